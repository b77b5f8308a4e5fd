//! What the process tells of itself.

pub mod events;
