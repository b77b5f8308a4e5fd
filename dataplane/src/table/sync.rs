//! The atomics and the reference counter that [`super::publish`] is built on; the loom model swaps this file.

pub(crate) use std::sync::Arc;
pub(crate) use std::sync::atomic::{AtomicPtr, Ordering};
