//! Issuing and judging certificates, with OpenSSL, GnuTLS and Python's cryptography on the other side.

mod acme;
mod issued;
mod judges;
mod refusals;
mod revocation;
