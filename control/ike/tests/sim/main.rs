//! Two endpoints, one network, one clock, one seed: IKEv2 as it lives, in simulated time and with real cryptography.

mod chaos;
mod controls;
mod features;
mod followups;
mod network;
mod policies;
mod regressions;
mod resumed;
mod road_warriors;
mod stories;
mod tls_log_ins;
mod transitions;
mod weaknesses;
mod world;
