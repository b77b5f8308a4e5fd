//! What the process tells of itself.

pub mod counter;
pub mod events;
