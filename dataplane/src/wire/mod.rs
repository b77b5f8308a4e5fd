//! Packets as octets: views that check lengths once, and small values with a meaning.

pub mod edit;
pub mod esp;
pub mod ethernet;
pub mod icmp;
pub mod ip;
pub mod ipv4;
pub mod ipv6;
#[cfg(test)]
pub(crate) mod samples;
pub mod tcp;
pub mod udp;

pub use ravelin_splice::wire::checksum;
