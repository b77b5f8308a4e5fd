//! The crate's own way to the network; everything else here has none.

mod http;

pub use http::Http;
