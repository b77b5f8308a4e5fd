//! Keys of IKE: exchanges, schedules and proofs, by both sides and by published vectors.

mod both_sides;
#[path = "../common/hex.rs"]
mod hex;
#[path = "../common/script.rs"]
mod script;
mod vectors;
mod wycheproof;
