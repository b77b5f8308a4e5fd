//! TCP connections ended twice: two legs with the original addresses and ports, and octets relayed between them.
//!
//! ```text
//!             segment of the client                         segment of the server
//!                      |                                             |
//!   Splice::receive    v        table: four-tuple -> flow, side      v
//!               +-- Leg (client) ----------+         +---------- Leg (server) --+
//!               | judge, acknowledge,      |         |      judge, acknowledge, |
//!               | receive: held, strays    |         |  receive: held, strays   |
//!               +--------------------------+         +--------------------------+
//!                      | octets in order    Relay          octets in order |
//!   Splice::flush      +----> pass, finish ------> queue of the server leg |
//!                 queue of the client leg <------- pass, finish <----------+
//!                      |                                             |
//!                 Leg::output: lost, new, acknowledgment        Leg::output
//!                      v                                             v
//!                              Splice::transmit, then complete
//! ```
//!
//! Time, packet memory and randomness come in as arguments; there is no I/O, no clock, no unsafe code, and after
//! [`Splice::new`] no allocation. The caller's round is: [`Splice::receive`] for each segment of a burst,
//! [`Splice::expire`], [`Splice::flush`], then [`Splice::transmit`] until it gives none; [`Splice::complete`] for each frame that
//! the port has done with; and again no later than [`Splice::next_deadline`].
//!
//! # Opening
//!
//! `opening` carries each SYN across with its own number, and answers nobody before the far end has: both
//! legs use the numbers of the ends. Until both are established every reset passes as it is, and an ICMP error may:
//! [`Splice::is_open`] tells the caller whether octets are ours already.
//!
//! With [`Answer::OnWord`] the server's leg stands first, and the client waits until [`Splice::answer`]: what fails before
//! is a connection that was refused.
//!
//! Above [`Limits::cookies_above`] half-open connections a SYN is answered with a cookie, and the server is asked when the client
//! has brought it back: then the order is turned round, and who connects hears of a refusal by a reset.
//!
//! # The seam
//!
//! A [`Relay`] takes in-order octets of one leg and writes octets of the other straight into the frame that will be sent, so the
//! transformation is the only pass over them. Here it is [`Clear`]; TLS records take its place. Back-pressure is the
//! window: what a leg has received or the other has not got rid of counts against the budget of that direction.
//!
//! # Frames
//!
//! The frame that is sent is the retransmission entry. While a port's ring has it, the handle is away and cannot be
//! written; see [`frame`]. Lists run through the ledger's entries, so there is no buffer beside packet memory.
//!
//! # What is missing
//!
//! Missing: bounds by prefix under flood, small records for TIME-WAIT, autotuned budgets, ECN, pacing, spurious-timeout detection, urgent pointers (urgent data pass inline).

mod cookie;
mod counters;
mod flow;
pub mod frame;
mod leg;
mod limits;
mod opening;
mod relay;
mod splice;
mod table;
mod time;
mod turn;
mod wheel;
pub mod wire;

pub use counters::{Counters, Event};
pub use frame::{Frame, Memory};
pub use limits::Limits;
pub use opening::Answer;
pub use relay::{Clear, Finish, Passed, Refused, Relay, Side, Way};
pub use splice::{Arrival, Splice, Unfit};
pub use time::Now;
pub use turn::{Endpoint, Ends, Transmit};

/// Octets that a connection takes, beside its places in the table and the timer wheel (32 octets).
pub const FLOW_OCTETS: usize = size_of::<Option<flow::Flow>>();
