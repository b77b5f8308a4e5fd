//! What control reports: metrics, and certificates that come to their end.

mod certificates;
mod health;
mod metrics;
mod told;
