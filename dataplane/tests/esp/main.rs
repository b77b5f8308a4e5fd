//! ESP by itself: seal and open, rules, published packets, another implementation.

#[path = "../esp_support/mod.rs"]
mod esp_support;
mod generations;
mod round_trip;
mod rules;
mod scapy;
mod vectors;
