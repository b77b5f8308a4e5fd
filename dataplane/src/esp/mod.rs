//! ESP (RFC 4303) without input and output: two entry points, [`inbound::open`] and [`outbound::seal`].
//!
//! A packet is opened and sealed in the frame it came in. An SA ([`sa`]) has a part that is only read and a part that
//! changes and lives on when tables change ([`builder`]). Sequence numbers never repeat under one key: [`sequence`] within
//! the process, [`reservation`] across restarts, [`numbers`] for both.

pub mod builder;
mod claim;
mod counter;
pub mod ecn;
pub mod fingerprint;
pub mod inbound;
pub mod keepalive;
pub mod lookup;
pub mod numbers;
pub mod outbound;
mod outer;
mod parts;
pub mod path_mtu;
pub mod replay;
pub mod reservation;
mod room;
pub mod sa;
pub mod sequence;
mod spent;
mod suite;
pub mod trailer;
mod transport;
