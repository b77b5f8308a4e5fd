//! Packets as octets: views that check lengths once, and small values with a meaning.

pub mod checksum;
pub mod ip;
#[cfg(test)]
pub(crate) mod samples;
