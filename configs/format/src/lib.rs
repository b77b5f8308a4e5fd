//! The files an operator writes: text, positions, diagnostics, filter rules.
