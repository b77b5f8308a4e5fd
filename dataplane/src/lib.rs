//! The packet process: pinned workers own AF_XDP rings and carry packets through filters, ESP and TLS.
//!
//! Modules in the order in which a packet meets them.

pub mod classify;
pub mod clock;
pub mod engine;
pub mod esp;
pub mod forward;
pub mod frame;
pub mod gate;
pub mod gateway;
pub mod inbox;
pub mod kernel;
pub mod packet;
pub mod pin;
pub mod port;
pub mod reassemble;
pub mod report;
pub mod stack;
pub mod table;
pub mod tls;
pub mod wire;
pub mod wiring;
pub mod worker;
