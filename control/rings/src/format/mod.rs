//! Foreign formats of certificates and keys, both ways.

pub(crate) mod pem;
pub(crate) mod pkcs8;
