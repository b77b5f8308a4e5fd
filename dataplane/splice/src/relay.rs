//! The seam between the legs: what happens to octets on their way from one to the other.

use crate::turn::Endpoint;

/// Who a leg speaks with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Side {
    /// The one that sent the first SYN.
    Client = 0,
    /// The one that it was for.
    Server = 1,
}

impl Side {
    /// The one across.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }
}

/// One direction of one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Way {
    /// Number of the connection, reused after its end.
    pub flow: u32,
    /// Whose octets these are.
    pub from: Side,
}

/// How far a relay came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Passed {
    /// Octets of the input that it needs no more.
    pub taken: usize,
    /// Octets of the output that it has written.
    pub given: usize,
}

/// The relay will not go on with this connection: both legs are reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused;

/// How far the end of one direction came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finish {
    /// So many octets were written, at least one, and more may follow.
    More(usize),
    /// All is written: FIN goes out.
    Done,
    /// It cannot end yet. Whoever knows when it can says so by `Splice::wake`.
    Wait,
}

/// Octets of one leg in, octets of the other out. TLS records are made and opened here.
pub trait Relay {
    /// A connection stands between these two, client first; nothing has passed yet.
    fn open(&mut self, flow: u32, ends: [Endpoint; 2]);

    /// Passes octets on, as many as there is room for. They come in order, each once. What is not taken comes again: with
    /// the next input, or after `Splice::wake`.
    ///
    /// # Errors
    /// [`Refused`] resets both legs.
    fn pass(&mut self, way: Way, input: &[u8], output: &mut [u8]) -> Result<Passed, Refused>;

    /// Whether there are octets to be written for which no input is needed: [`Relay::pass`] is then called with none.
    fn owes(&self, way: Way) -> bool;

    /// Whether the sender has said its last word inside of what it sends, though its stream goes on.
    fn has_ended(&self, way: Way) -> bool;

    /// A connection has its turn soon: what it needs may be looked at before.
    fn look_ahead(&self, _flow: u32) {}

    /// Octets of room below which a new frame is begun rather than an old one filled up.
    fn least_room(&self) -> usize {
        1
    }

    /// The sender has ended in order, and all its octets were taken. Writes what is still to come; is asked again until it
    /// has none.
    ///
    /// # Errors
    /// [`Refused`] resets both legs.
    fn finish(&mut self, way: Way, output: &mut [u8]) -> Result<Finish, Refused>;

    /// The connection is gone.
    fn close(&mut self, flow: u32);
}

/// Passes octets on as they are.
#[derive(Debug, Clone, Copy, Default)]
pub struct Clear;

impl Relay for Clear {
    fn open(&mut self, _: u32, _: [Endpoint; 2]) {}

    fn pass(&mut self, _: Way, input: &[u8], output: &mut [u8]) -> Result<Passed, Refused> {
        let count = input.len().min(output.len());
        output[..count].copy_from_slice(&input[..count]);
        Ok(Passed { taken: count, given: count })
    }

    fn owes(&self, _: Way) -> bool {
        false
    }

    fn has_ended(&self, _: Way) -> bool {
        false
    }

    fn finish(&mut self, _: Way, _: &mut [u8]) -> Result<Finish, Refused> {
        Ok(Finish::Done)
    }

    fn close(&mut self, _: u32) {}
}
