//! The splice between two simulated hosts in virtual time: whatever the links do, every octet arrives once and in
//! order, or both ends see a reset.

mod chaos;
mod faults;
mod goodput;
mod host;
mod smoltcp;
mod stories;
#[path = "../support/mod.rs"]
mod support;
mod world;
