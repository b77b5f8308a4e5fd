//! The back ends, and the choice among them.

mod portable;

pub(crate) use portable::AeadKey;

/// The name of the back end in use, for logs and metrics.
pub fn back_end() -> &'static str {
    "portable"
}
