//! IKEv2 with a foreign peer, strongSwan: both sides beginning, in every way that both know.

mod certified;
mod ciphers;
mod eap;
mod eap_server;
mod moves;
mod nat;
mod policy;
mod traffic;
