//! Why octets are no message, and why a value cannot be written.

use super::header::ikev1;
use super::notify::NotifyType;
use super::payload::PayloadType;

/// Why a datagram or a decrypted chain was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// Less than an IKE header.
    #[error("{0} octets are less than an IKE header")]
    Short(usize),
    /// More than [`super::limits::MESSAGE`].
    #[error("{0} octets are more than a message may have")]
    Long(usize),
    /// The header's length is not the datagram's.
    #[error("the header says {said} octets, the datagram has {found}")]
    Length {
        /// What the header says.
        said: u32,
        /// What came.
        found: usize,
    },
    /// IKEv1, which is not spoken here.
    #[error("{0}")]
    IkeV1(ikev1::Refused),
    /// A version above 2.
    #[error("IKE version {0} is not spoken here, only version 2")]
    Version(u8),
    /// The initiator's SPI is zero.
    #[error("the initiator's SPI is zero")]
    NoSpi,
    /// A payload of a type not known here has the critical bit set.
    #[error("payload {0} is not known here and marked critical")]
    UnknownCritical(u8),
    /// More than [`super::limits::PAYLOADS`].
    #[error("more payloads than a message may have")]
    TooManyPayloads,
    /// A payload's length is below its header or beyond the message.
    #[error("payload {kind}: length {said}, {left} octets left")]
    PayloadLength {
        /// Of this payload.
        kind: PayloadType,
        /// Its length field.
        said: u16,
        /// Octets from its header to the end.
        left: usize,
    },
    /// The chain ended, but octets follow.
    #[error("{0} octets after the last payload")]
    Trailing(usize),
    /// What stands in a payload is wrong.
    #[error("payload {kind}: {why}")]
    Payload {
        /// In this payload.
        kind: PayloadType,
        /// What is wrong.
        why: &'static str,
    },
}

impl ParseError {
    /// A short name for counters. The list is closed.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Short(_) => "short",
            Self::Long(_) => "long",
            Self::Length { .. } => "length",
            Self::IkeV1(_) => "ikev1",
            Self::Version(_) => "version",
            Self::NoSpi => "no_spi",
            Self::UnknownCritical(_) => "unknown_critical",
            Self::TooManyPayloads => "too_many_payloads",
            Self::PayloadLength { .. } => "payload_length",
            Self::Trailing(_) => "trailing",
            Self::Payload { .. } => "payload",
        }
    }

    /// The error notification that RFC 7296 2.5, 2.21 and 3.10.1 ask for, where an answer is due at all.
    pub fn notify(&self) -> Option<NotifyType> {
        match self {
            Self::Version(_) => Some(NotifyType::InvalidMajorVersion),
            Self::UnknownCritical(_) => Some(NotifyType::UnsupportedCriticalPayload),
            Self::TooManyPayloads | Self::PayloadLength { .. } | Self::Trailing(_) | Self::Payload { .. } => {
                Some(NotifyType::InvalidSyntax)
            }
            Self::Short(_) | Self::Long(_) | Self::Length { .. } | Self::IkeV1(_) | Self::NoSpi => None,
        }
    }
}

/// A value that has no form on the wire: a limit is exceeded or a part contradicts another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("cannot be written: {0}")]
pub struct WriteError(pub &'static str);
