//! Everything that touches the world outside of the process.

pub mod dataplane;
