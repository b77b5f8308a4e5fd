//! Pieces that several exchanges share.

pub(crate) mod agreement;
pub(crate) mod certificates;
pub(crate) mod collision;
pub(crate) mod load;
pub(crate) mod narrowing;
pub(crate) mod nat_detection;
pub(crate) mod proposal;
pub(crate) mod resources;
