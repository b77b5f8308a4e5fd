//! The operator's door: JSON over HTTP on a Unix socket. The command uses nothing else.

pub mod client;
pub mod door;
pub mod limit;
pub mod server;
pub mod view;
