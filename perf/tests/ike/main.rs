//! IKEv2 between gateways of ours: at work, read from the wire, where other daemons are weak, and many at once.

mod at_work;
mod many;
mod weaknesses;
mod wire;
