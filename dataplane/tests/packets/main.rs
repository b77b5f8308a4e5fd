//! Packets, policies and orders through whole gateways without a kernel.

mod changes;
mod children;
mod door;
mod every_verdict;
mod fuzz_seeds;
mod keepalives;
mod life_of_a_packet;
mod mutated_frames;
mod spliced;
mod start;
#[path = "../support/mod.rs"]
mod support;
