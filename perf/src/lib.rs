//! The lab: namespaces, peers, traffic, measurement.
//!
//! Everything here runs the real programs in network namespaces of their own and looks at what passes between them. It knows the
//! programs only by their commands and files, never by their types; only [`initiators`] are peers made of our own IKE core.

pub mod demo;
mod figures;
pub mod foreign;
pub mod gateway;
pub mod gateway_and_swan;
pub mod initiators;
pub mod lab;
pub mod metrics;
pub mod setups;
pub mod spent;
pub mod terminators;
pub mod two_gateways;
