//! Records of two ends of ours, of a peer that keeps no rule, of rustls, and of RFC 8448.

mod common;
mod cuts;
mod keys;
mod refused;
mod twin;
mod vectors;
