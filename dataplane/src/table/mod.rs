//! What the workers decide by, frozen into generations.

pub mod forwarding;
