//! The files an operator writes: text, positions, diagnostics, filter rules.
//!
//! A file is read whole into a [`source::Source`], parsed as TOML 1.1, and walked once by hand rather than by serde,
//! so that one pass finds every mistake with its line, its column and a remedy. What a reader returns needs no
//! further question. Read in this order: [`source`], [`diagnostic`], [`document`], [`value`], then the files:
//! [`appliance`], [`filter`], [`default_filters`].

pub mod address;
pub mod appliance;
pub mod default_filters;
pub mod diagnostic;
pub mod document;
pub mod filter;
pub mod service;
pub mod similar;
pub mod source;
pub mod value;
