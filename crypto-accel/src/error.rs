//! What can go wrong: a key or a text of the wrong length is the caller's fault, a bad tag the sender's.

/// A key whose length the algorithm does not take. It shows lengths, never octets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{algorithm} does not take a key of {given} octets")]
pub struct KeyError {
    /// The algorithm that refused.
    pub algorithm: &'static str,
    /// Octets that were given.
    pub given: usize,
}

/// Lengths that do not fit together. Nothing was read or written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LengthError {
    /// The output is not exactly as long as the input and its tail together.
    #[error("output holds {output} octets, input and tail {input}")]
    Output {
        /// Octets of input and tail.
        input: usize,
        /// Octets of output.
        output: usize,
    },
    /// More than [`TEXT_MAX`](crate::TEXT_MAX) octets.
    #[error("text of {0} octets is too long")]
    TooLong(usize),
    /// CBC works on whole blocks only (RFC 3602 2.4).
    #[error("text of {0} octets is not a multiple of the block of 16")]
    Blocks(usize),
    /// The ICV is not as long as the algorithm makes it (RFC 4868 2.3).
    #[error("ICV of {given} octets where {expected} are due")]
    Icv {
        /// Octets that the algorithm makes.
        expected: usize,
        /// Octets that were given.
        given: usize,
    },
}

/// The text or its associated data is not what was sealed. The output has been wiped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("authentication failed")]
pub struct BadTag;
