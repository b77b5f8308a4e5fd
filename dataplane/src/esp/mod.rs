//! ESP (RFC 4303) without input and output: two entry points, opening and sealing.

pub mod ecn;
pub mod path_mtu;
pub mod replay;
pub mod sequence;
pub mod trailer;
