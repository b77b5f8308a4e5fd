//! Which identity a certificate stands for (row E41): rules by issuer, subject and alternative name, the most specific first.

mod pattern;
mod rules;

pub use pattern::{NamePattern, Pattern};
pub use rules::{Match, Rule, Rules};
