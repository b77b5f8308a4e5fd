//! The crate's own way to the network; everything else here has none.

mod challenges;
mod http;

pub use challenges::Challenges;
pub use http::Http;
