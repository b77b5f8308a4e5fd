//! TCP segments as octets: a view that checks once, and a builder.

pub mod build;
pub mod checksum;
pub mod options;
pub mod segment;
pub mod seq;
pub(crate) mod template;
