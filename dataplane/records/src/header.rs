//! The five octets before each record, and cutting records out of a stream by them.

use ravelin_contract::tls_session::Version;

use crate::failure::Failure;
use crate::scatter;

/// Octets of a header.
pub const HEADER_LEN: usize = 5;
/// Most octets of content in a record (RFC 8446 5.1).
pub const CONTENT_MAX: usize = 1 << 14;
/// Longest record that is opened, header included: that of TLS 1.2 (RFC 5246 6.2.3).
pub const RECORD_MAX: usize = HEADER_LEN + CONTENT_MAX + 2048;

/// What a record carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum ContentType {
    /// Alerts.
    Alert = 21,
    /// Handshake messages.
    Handshake = 22,
    /// What the application says.
    Data = 23,
}

impl ContentType {
    /// Its number.
    pub(crate) fn code(self) -> u8 {
        self as u8
    }

    /// The type of this number, if it may come after the handshake. change_cipher_spec may not (RFC 8446 5).
    pub(crate) fn from_code(code: u8) -> Result<Self, Failure> {
        match code {
            21 => Ok(Self::Alert),
            22 => Ok(Self::Handshake),
            23 => Ok(Self::Data),
            other => Err(Failure::UnexpectedType(other)),
        }
    }
}

/// What lies at the front of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// A whole record of so many octets, header included.
    Whole(usize),
    /// No whole record before the stream is this long, from the front of the record. Looking earlier is of no use.
    Short(usize),
}

/// Looks for a record at the front of `pieces`. Reads nothing but its header.
///
/// # Errors
/// The header announces more than any record may have.
pub fn record_len(pieces: &[&[u8]]) -> Result<Look, Failure> {
    let mut octets = [0; HEADER_LEN];
    let (have, total) = (scatter::copy_front(pieces, &mut octets), scatter::total(pieces));
    if have < HEADER_LEN {
        return Ok(Look::Short(HEADER_LEN));
    }
    let whole = HEADER_LEN + Header(octets).body_len();
    if whole > RECORD_MAX {
        return Err(Failure::TooLong((whole - HEADER_LEN) as u32));
    }
    Ok(if total < whole { Look::Short(whole) } else { Look::Whole(whole) })
}

/// A header as it stands in the stream; in TLS 1.3 it is the associated data (RFC 8446 5.2).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Header(pub(crate) [u8; HEADER_LEN]);

impl Header {
    pub(crate) fn new(kind: u8, body_len: usize) -> Self {
        let [high, low] = (body_len as u16).to_be_bytes();
        Self([kind, 3, 3, high, low])
    }

    pub(crate) fn kind(self) -> u8 {
        self.0[0]
    }

    /// Octets behind the header.
    pub(crate) fn body_len(self) -> usize {
        usize::from(u16::from_be_bytes([self.0[3], self.0[4]]))
    }

    /// Whether such a record may come. In TLS 1.3 the outer type says nothing, and the version is ignored (RFC 8446 5.1).
    pub(crate) fn check(self, version: Version) -> Result<(), Failure> {
        let most = match version {
            Version::Tls13 => CONTENT_MAX + 256,
            Version::Tls12 => CONTENT_MAX + 2048,
        };
        if self.body_len() > most {
            return Err(Failure::TooLong(self.body_len() as u32));
        }
        match version {
            Version::Tls13 if self.kind() != ContentType::Data.code() => {
                Err(Failure::UnexpectedType(self.kind()))
            }
            Version::Tls13 => Ok(()),
            Version::Tls12 if self.0[1..3] != [3, 3] => {
                Err(Failure::Version(u16::from_be_bytes([self.0[1], self.0[2]])))
            }
            Version::Tls12 => ContentType::from_code(self.kind()).map(drop),
        }
    }
}
