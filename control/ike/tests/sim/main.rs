//! Two endpoints, one network, one clock, one seed: IKEv2 as it lives, in simulated time and with real cryptography.

mod network;
mod policies;
mod stories;
mod world;
