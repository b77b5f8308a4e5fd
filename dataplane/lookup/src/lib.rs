//! Which rule of a policy a packet meets, and what becomes of it by that: one code for the workers that carry packets and for
//! control, which explains what they do.
//!
//! [`crossing`] says which lookups a packet needs, [`filters`] makes one, [`judge`] makes all that are due and draws the
//! conclusion, [`tls`] finds the rule of a connection. [`tree`] searches; [`scan`] says in few words what it must find. No I/O,
//! no clock, no allocation in a lookup.

pub mod crossing;
pub mod filters;
pub mod judge;
pub mod scan;
pub mod tls;
pub mod tree;
