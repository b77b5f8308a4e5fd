//! The seam between the legs: what happens to octets on their way from one to the other.

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

/// Octets of one leg in, octets of the other out. TLS records will be made and opened here.
pub trait Relay {
    /// A connection stands; nothing has passed yet.
    fn open(&mut self, flow: u32);

    /// Passes octets on, as many as there is room for. They come in order, each once.
    ///
    /// While the output has room the whole input is taken, into the relay's own memory if need be; what it keeps comes
    /// out of a later call.
    ///
    /// # Errors
    /// [`Refused`] resets both legs.
    fn pass(&mut self, way: Way, input: &[u8], output: &mut [u8]) -> Result<Passed, Refused>;

    /// The sender has ended in order, and all its octets were taken. Writes what is still to come, and says how many
    /// octets that were; it is asked again until it writes none. Then FIN goes out.
    ///
    /// # Errors
    /// [`Refused`] resets both legs.
    fn finish(&mut self, way: Way, output: &mut [u8]) -> Result<usize, Refused>;

    /// The connection is gone.
    fn close(&mut self, flow: u32);
}

/// Passes octets on as they are.
#[derive(Debug, Clone, Copy, Default)]
pub struct Clear;

impl Relay for Clear {
    fn open(&mut self, _: u32) {}

    fn pass(&mut self, _: Way, input: &[u8], output: &mut [u8]) -> Result<Passed, Refused> {
        let count = input.len().min(output.len());
        output[..count].copy_from_slice(&input[..count]);
        Ok(Passed { taken: count, given: count })
    }

    fn finish(&mut self, _: Way, _: &mut [u8]) -> Result<usize, Refused> {
        Ok(0)
    }

    fn close(&mut self, _: u32) {}
}
