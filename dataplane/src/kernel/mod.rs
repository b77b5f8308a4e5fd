//! The kernel beside us: it resolves neighbours and hears routing daemons, and we follow what it knows.
//!
//! One thread mirrors links, addresses, routes and neighbours by netlink and hands each new picture on, and asks the
//! kernel to resolve the neighbours that workers need. [`guard`] is the second line that holds the kernel's
//! own traffic to the policy; [`tun`] and [`detour`] join the host's own stack to the workers.

pub mod detour;
mod follow;
pub mod guard;
mod host_filter;
mod mirror;
mod neighbour;
mod netlink;
pub(crate) mod ports;
mod read;
pub mod tun;

pub use follow::{Follower, Publish, follow};
