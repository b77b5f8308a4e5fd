//! Exchanges: what each message carries, built and read in one place (RFC 7296 1).

pub(crate) mod auth;
pub(crate) mod child;
pub(crate) mod child_answer;
pub(crate) mod configuration;
pub(crate) mod create_child;
pub(crate) mod followup;
pub(crate) mod forgotten;
pub(crate) mod informational;
pub(crate) mod intermediate;
pub(crate) mod mobike;
pub(crate) mod rekey_ike;
pub(crate) mod sa_init;
pub(crate) mod view;
