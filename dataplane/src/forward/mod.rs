//! Sending on: routes, sizes, link headers, and the ICMP errors about what cannot go on.

pub mod fragment;
pub mod icmp_error;
pub mod link;
pub mod neighbour;
mod pending;
pub mod route;
#[cfg(test)]
mod samples;
pub mod size;
