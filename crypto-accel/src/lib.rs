//! Authenticated encryption by the batch.
