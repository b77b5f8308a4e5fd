//! Ports of real interfaces: an XDP program steers, AF_XDP rings carry.
//!
//! [`steering`] loads the program, tells it what to steer and pins it, so that it outlives this process; [`class`] is
//! what the program counts, [`meter`] what the kernel counts of a queue. [`worker`] opens the queues of one worker. Below it: [`queue`] is the port, `socket` the four rings of a queue, `ring` one ring
//! end, [`umem`] packet memory, `mapping` shared memory; [`offload`] is what the network card must not do.

pub mod class;
mod mapping;
pub mod meter;
mod mirror;
pub mod offload;
mod pins;
pub(crate) mod prefixes;
pub mod queue;
mod ring;
mod socket;
pub mod steering;
pub mod umem;
pub mod worker;
