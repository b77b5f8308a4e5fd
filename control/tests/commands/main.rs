//! The commands as an operator or a script meets them, and the door that they knock at.

mod acme_renewal;
mod door;
mod help;
mod rings;
mod status;
mod trust;
