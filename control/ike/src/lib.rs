//! IKEv2 (RFC 7296) without sockets, clock or dice of its own: time, datagrams and randomness come in as arguments.
//!
//! From the bottom up: [`wire`] turns octets into values and back and knows no cryptography; [`crypto`] holds algorithms and
//! knows no messages; [`keymat`] derives keys; [`sealed`] and [`fragment`] are the encrypted payload, whole and in pieces;
//! [`eap`] authenticates users inside.

pub mod crypto;
pub mod eap;
pub mod fragment;
pub mod keymat;
pub mod sealed;
pub mod wire;
