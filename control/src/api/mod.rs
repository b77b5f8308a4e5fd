//! The operator's door: JSON over HTTP on a Unix socket. The command uses nothing else.

pub mod client;
pub mod door;
pub mod kept;
pub mod limit;
pub mod policy;
pub mod server;
pub mod view;
