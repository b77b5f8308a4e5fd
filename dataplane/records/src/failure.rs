//! Why a connection ends otherwise than by close_notify, and which alert says so to the peer.

use crate::alert::Alert;

/// What ended it. After one of these nothing more is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// Longer than RFC 8446 5.1 and 5.2, RFC 5246 6.2 or the limit that we announced allow.
    #[error("a record of {0} octets is too long")]
    TooLong(u32),
    /// No room for what every record has.
    #[error("a record of {0} octets is too short")]
    TooShort(u16),
    /// Its tag does not fit.
    #[error("a record is not authentic")]
    BadTag,
    /// A record of TLS 1.2 with another version in its header.
    #[error("a record of version {0:#06x}")]
    Version(u16),
    /// A type of record or content that has no place here.
    #[error("a record of type {0}, which has no place here")]
    UnexpectedType(u8),
    /// Nothing but padding (RFC 8446 5.4).
    #[error("a record without content type")]
    NoContentType,
    /// Handshake or alert records without content (RFC 8446 5.1).
    #[error("an empty record of type {0}")]
    Empty(u8),
    /// Records without data, one after the other.
    #[error("too many records without data")]
    EmptyFlood,
    /// Alerts that end nothing, or requests to renegotiate, one after the other.
    #[error("too many warnings")]
    WarningFlood,
    /// An alert that is not of two octets.
    #[error("an alert of {0} octets")]
    MalformedAlert(u16),
    /// Something between the parts of a handshake message (RFC 8446 5.1).
    #[error("a handshake message is interrupted by a record of type {0}")]
    Interrupted(u8),
    /// A handshake message that may not come after the handshake.
    #[error("a handshake message of type {0}, which has no place here")]
    UnexpectedHandshake(u8),
    /// A handshake message longer than any that may come.
    #[error("a handshake message of {0} octets is too long")]
    LongHandshake(u32),
    /// A KeyUpdate that is not of one octet.
    #[error("a KeyUpdate of {0} octets")]
    MalformedKeyUpdate(u32),
    /// A KeyUpdate that asks for something unknown (RFC 8446 4.6.3).
    #[error("a KeyUpdate that asks for {0}")]
    UnknownKeyUpdate(u8),
    /// Handshake octets behind a KeyUpdate in its record (RFC 8446 5.1).
    #[error("handshake messages span a change of keys")]
    SpansKeys,
    /// No number is left for what the peer may send.
    #[error("the peer has used up its record numbers")]
    NumbersSpent,
    /// Records were finished in another order than they were prepared in; our own fault.
    #[error("an error of ours: records were finished out of order")]
    OutOfOrder,
    /// A fatal alert came.
    #[error("the peer sent the alert {0}")]
    PeerAlert(Alert),
    /// The stream ended without close_notify (RFC 8446 6.1): somebody may have cut it.
    #[error("the stream was cut off without close_notify")]
    Truncated,
}

impl Failure {
    /// What the peer is told; nothing where it knows or is gone.
    pub fn alert(self) -> Option<Alert> {
        Some(match self {
            Self::TooLong(_) => Alert::RECORD_OVERFLOW,
            Self::TooShort(_) | Self::BadTag => Alert::BAD_RECORD_MAC,
            Self::Version(_) => Alert::PROTOCOL_VERSION,
            Self::UnexpectedType(_)
            | Self::NoContentType
            | Self::Empty(_)
            | Self::EmptyFlood
            | Self::WarningFlood
            | Self::Interrupted(_)
            | Self::UnexpectedHandshake(_)
            | Self::SpansKeys => Alert::UNEXPECTED_MESSAGE,
            Self::MalformedAlert(_) | Self::LongHandshake(_) | Self::MalformedKeyUpdate(_) => {
                Alert::DECODE_ERROR
            }
            Self::UnknownKeyUpdate(_) => Alert::ILLEGAL_PARAMETER,
            Self::NumbersSpent | Self::OutOfOrder => Alert::INTERNAL_ERROR,
            Self::PeerAlert(_) | Self::Truncated => return None,
        })
    }
}

/// Why nothing was sealed. No number was used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CannotSeal {
    /// The key has done what it may (RFC 8446 5.5): no record goes out under it.
    #[error("the key is used up")]
    KeySpent,
    /// The peer asked for a change of our keys; data must wait for the next one (RFC 8446 4.6.3).
    #[error("the peer waits for a change of keys")]
    UpdateOwed,
    /// close_notify or a fatal alert has gone out.
    #[error("our side is closed")]
    Closed,
    /// More than a record may hold.
    #[error("{given} octets in a record that holds {most}")]
    TooMuch {
        /// Octets of content.
        given: usize,
        /// Octets that fit.
        most: usize,
    },
    /// The place for the record is too small.
    #[error("a record of {needed} octets where {room} fit")]
    NoRoom {
        /// Octets of the record.
        needed: usize,
        /// Octets of the place.
        room: usize,
    },
    /// TLS 1.2 has no such message, or the key does not fit.
    #[error("{0}")]
    Key(#[from] crate::protection::KeyFault),
}
