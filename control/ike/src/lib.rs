//! IKEv2 (RFC 7296) without sockets, clock or dice of its own: time, datagrams and randomness come in as arguments.
//!
//! # Driving it
//!
//! An [`Endpoint`] holds every IKE SA of a gateway. Hand it one [`Input`] at a time, and do what each [`Action`] says, in order:
//!
//! ```text
//! Datagram, Timer, Command, Answer ──► Endpoint::handle(now, input, random) ──► Send, InstallChild, UseChild, StopSending,
//!                                                                              RemoveChild, MoveChild, Assigned, Ask,
//!                                                                              Event, SetTimer
//! ```
//!
//! - `Send` and `Datagram` carry IKE messages without the non-ESP marker of port 4500.
//! - `InstallChild` hands out both directions of a child SA with their keys. Put the inbound direction in first. With
//!   `use_at_once` false, go on sending under the child that it `replaces` until `UseChild` or until an authentic packet
//!   came in under the new one (RFC 7296 2.8). `StopSending` and `RemoveChild` end it.
//! - `Ask` wants something that only the world outside knows: a signature by a private key, the judgement on a certificate
//!   chain, a password. The IKE SA waits; hand the answer back with the same number. All others go on.
//! - `SetTimer` says when to hand in `Timer` next.
//! - A packet that finds no SA comes in as `Command::Acquire`; limits by octets and packets, which the packet process counts, come
//!   in as `Command::RekeyChild`; authentic ESP from a new address as `Command::PeerMoved`.
//!
//! [`Endpoint::handle`] does everything at once. To spread work over threads use its halves: [`Endpoint::begin`] finds the
//! IKE SAs that an input is for and gives [`Job`]s; [`Job::run`] does the dear work of one IKE SA anywhere; and
//! [`Endpoint::finish`] takes the outcome back.
//!
//! # Inside
//!
//! From the bottom up: [`wire`] turns octets into values and back and knows no cryptography; [`crypto`] holds algorithms and
//! knows no messages; [`keymat`] derives keys; [`sealed`] and [`fragment`] are the encrypted payload, whole and in pieces;
//! [`eap`] authenticates users inside.
//! On them stand `window` (message numbers), `sa` (one IKE SA whatever its state), `part` (pieces that exchanges share),
//! `exchange` (what each message carries), `state` (one struct for each state; handling consumes it and gives the next), `record` (what survives the process),
//! `session` (an input reaches its state) and `endpoint` (all of them together).

mod child;
mod context;
mod dear;
mod endpoint;
mod exchange;
mod job;
mod part;
mod pool;
mod random;
mod record;
mod sa;
mod session;
mod shared;
mod state;
mod time;
mod window;

pub mod action;
pub mod crypto;
pub mod eap;
pub mod event;
pub mod fragment;
pub mod input;
pub mod keymat;
pub mod policy;
pub mod sealed;
pub mod status;
pub mod wire;

pub use action::{Action, Ask, Assignment};
pub use child::ChildSa;
pub use crypto::Random;
pub use endpoint::{Begun, Counters, Endpoint, Installed};
pub use event::{Code, Event};
pub use input::{Answer, Command, IkeId, Input, Path};
pub use job::{Done, Job};
pub use part::nat_detection::Nat;
pub use policy::Policy;
pub use record::{Keep, Kept, Vault};
pub use time::Time;
