//! Sending on: routes, sizes, link headers, and the ICMP errors about what cannot go on.

pub mod icmp_error;
