//! The control process and the command of the operator.

pub mod policy;
