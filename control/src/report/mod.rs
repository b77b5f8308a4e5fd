//! What the outside may see.

mod attls;
pub mod certificates;
pub mod events;
pub mod family;
pub mod gather;
mod ike;
pub mod metrics;
