//! Payloads and their chain (RFC 7296 3.2), with the critical bit of 2.5.

use std::borrow::Cow;

use super::authentication::Authentication;
use super::certificate::{Certificate, CertificateRequest};
use super::code::code_points;
use super::configuration::Configuration;
use super::cursor::{Body, Reader, put, with_length};
use super::eap::Eap;
use super::error::{ParseError, WriteError};
use super::identity::Identity;
use super::key_exchange::{KeyExchange, Nonce};
use super::limits;
use super::notify::{Delete, Notify};
use super::security_association::SecurityAssociation;
use super::traffic_selector::TrafficSelectors;

code_points! {
    /// What the next payload is.
    PayloadType: u8 {
        None = 0 "none",
        SecurityAssociation = 33 "SA",
        KeyExchange = 34 "KE",
        IdInitiator = 35 "IDi",
        IdResponder = 36 "IDr",
        Certificate = 37 "CERT",
        CertificateRequest = 38 "CERTREQ",
        Authentication = 39 "AUTH",
        Nonce = 40 "No",
        Notify = 41 "N",
        Delete = 42 "D",
        VendorId = 43 "V",
        TsInitiator = 44 "TSi",
        TsResponder = 45 "TSr",
        Encrypted = 46 "SK",
        Configuration = 47 "CP",
        Eap = 48 "EAP",
        EncryptedFragment = 53 "SKF",
    }
}

/// One payload. Octets are borrowed from the datagram where that is possible.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload<'a> {
    /// SA.
    SecurityAssociation(SecurityAssociation),
    /// KE.
    KeyExchange(KeyExchange<'a>),
    /// IDi.
    IdInitiator(Identity<'a>),
    /// IDr.
    IdResponder(Identity<'a>),
    /// CERT.
    Certificate(Certificate<'a>),
    /// CERTREQ.
    CertificateRequest(CertificateRequest<'a>),
    /// AUTH.
    Authentication(Authentication<'a>),
    /// Ni, Nr.
    Nonce(Nonce<'a>),
    /// N.
    Notify(Notify<'a>),
    /// D.
    Delete(Delete),
    /// V.
    VendorId(Cow<'a, [u8]>),
    /// TSi.
    TsInitiator(TrafficSelectors),
    /// TSr.
    TsResponder(TrafficSelectors),
    /// CP.
    Configuration(Configuration<'a>),
    /// EAP.
    Eap(Eap<'a>),
    /// Not known here and not critical: to be ignored (RFC 7296 2.5), shown in diagnostics.
    Unknown {
        /// Its type.
        kind: u8,
        /// Its body.
        body: Cow<'a, [u8]>,
    },
}

impl<'a> Payload<'a> {
    /// Its type.
    pub fn kind(&self) -> PayloadType {
        match self {
            Self::SecurityAssociation(_) => PayloadType::SecurityAssociation,
            Self::KeyExchange(_) => PayloadType::KeyExchange,
            Self::IdInitiator(_) => PayloadType::IdInitiator,
            Self::IdResponder(_) => PayloadType::IdResponder,
            Self::Certificate(_) => PayloadType::Certificate,
            Self::CertificateRequest(_) => PayloadType::CertificateRequest,
            Self::Authentication(_) => PayloadType::Authentication,
            Self::Nonce(_) => PayloadType::Nonce,
            Self::Notify(_) => PayloadType::Notify,
            Self::Delete(_) => PayloadType::Delete,
            Self::VendorId(_) => PayloadType::VendorId,
            Self::TsInitiator(_) => PayloadType::TsInitiator,
            Self::TsResponder(_) => PayloadType::TsResponder,
            Self::Configuration(_) => PayloadType::Configuration,
            Self::Eap(_) => PayloadType::Eap,
            Self::Unknown { kind, .. } => (*kind).into(),
        }
    }

    fn parse(kind: PayloadType, body: &'a [u8]) -> Body<Self> {
        Ok(match kind {
            PayloadType::SecurityAssociation => Self::SecurityAssociation(SecurityAssociation::parse(body)?),
            PayloadType::KeyExchange => Self::KeyExchange(KeyExchange::parse(body)?),
            PayloadType::IdInitiator => Self::IdInitiator(Identity::parse(body)?),
            PayloadType::IdResponder => Self::IdResponder(Identity::parse(body)?),
            PayloadType::Certificate => Self::Certificate(Certificate::parse(body)?),
            PayloadType::CertificateRequest => Self::CertificateRequest(CertificateRequest::parse(body)?),
            PayloadType::Authentication => Self::Authentication(Authentication::parse(body)?),
            PayloadType::Nonce => Self::Nonce(Nonce::parse(body)?),
            PayloadType::Notify => Self::Notify(Notify::parse(body)?),
            PayloadType::Delete => Self::Delete(Delete::parse(body)?),
            PayloadType::VendorId if body.len() > limits::VENDOR_ID => {
                return Err("the vendor ID is too long");
            }
            PayloadType::VendorId => Self::VendorId(body.into()),
            PayloadType::TsInitiator => Self::TsInitiator(TrafficSelectors::parse(body)?),
            PayloadType::TsResponder => Self::TsResponder(TrafficSelectors::parse(body)?),
            PayloadType::Configuration => Self::Configuration(Configuration::parse(body)?),
            PayloadType::Eap => Self::Eap(Eap::parse(body)?),
            PayloadType::None | PayloadType::Encrypted | PayloadType::EncryptedFragment => {
                return Err("out of place");
            }
            PayloadType::Unknown(kind) => Self::Unknown { kind, body: body.into() },
        })
    }

    fn write_body(&self, out: &mut Vec<u8>) -> Result<(), WriteError> {
        match self {
            Self::SecurityAssociation(body) => body.write(out),
            Self::KeyExchange(body) => body.write(out),
            Self::IdInitiator(body) | Self::IdResponder(body) => body.write(out),
            Self::Certificate(body) => body.write(out),
            Self::CertificateRequest(body) => body.write(out),
            Self::Authentication(body) => body.write(out),
            Self::Nonce(body) => put(out, body.octets()),
            Self::Notify(body) => body.write(out),
            Self::Delete(body) => body.write(out),
            Self::VendorId(body) if body.len() > limits::VENDOR_ID => {
                Err(WriteError("a vendor ID is too long"))
            }
            Self::VendorId(body) => put(out, body),
            Self::TsInitiator(body) | Self::TsResponder(body) => body.write(out),
            Self::Configuration(body) => body.write(out),
            Self::Eap(body) => body.write(out),
            Self::Unknown { kind, body } => match PayloadType::from(*kind) {
                PayloadType::Unknown(_) => put(out, body),
                _ => Err(WriteError("a payload of a known type written as unknown")),
            },
        }
    }
}

/// One link of a chain, before its body is looked at.
pub(super) struct Link<'a> {
    pub(super) next: PayloadType,
    pub(super) critical: bool,
    pub(super) body: &'a [u8],
}

impl<'a> Link<'a> {
    /// The payload of type `kind` that `reader` stands at.
    pub(super) fn read(kind: PayloadType, reader: &mut Reader<'a>) -> Result<Self, ParseError> {
        let left = reader.left();
        let short = ParseError::PayloadLength { kind, said: 0, left };
        let next = PayloadType::from(reader.u8().ok_or(short)?);
        let flags = reader.u8().ok_or(short)?;
        let said = reader.u16().ok_or(short)?;
        let wrong = ParseError::PayloadLength { kind, said, left };
        let inside = usize::from(said).checked_sub(limits::PAYLOAD_HEADER).ok_or(wrong)?;
        let body = reader.take(inside).ok_or(wrong)?;
        Ok(Self { next, critical: flags & 0x80 != 0, body })
    }

    /// Its meaning. The critical bit of a known payload says nothing (RFC 7296 2.5).
    pub(super) fn payload(self, kind: PayloadType) -> Result<Payload<'a>, ParseError> {
        match kind {
            PayloadType::Unknown(kind) if self.critical => Err(ParseError::UnknownCritical(kind)),
            _ => Payload::parse(kind, self.body).map_err(|why| ParseError::Payload { kind, why }),
        }
    }
}

/// The chain that begins with a payload of type `first` and fills `octets`: what was decrypted.
pub fn parse_chain(first: PayloadType, octets: &[u8]) -> Result<Vec<Payload<'_>>, ParseError> {
    let mut reader = Reader::new(octets);
    let mut payloads = Vec::new();
    let mut kind = first;
    while kind != PayloadType::None {
        if payloads.len() == limits::PAYLOADS {
            return Err(ParseError::TooManyPayloads);
        }
        let link = Link::read(kind, &mut reader)?;
        let next = link.next;
        payloads.push(link.payload(kind)?);
        kind = next;
    }
    if reader.is_empty() { Ok(payloads) } else { Err(ParseError::Trailing(reader.left())) }
}

/// Appends the payloads, and `then` as the type after the last. Returns the type of the first.
pub fn write_chain(
    payloads: &[Payload<'_>],
    then: PayloadType,
    out: &mut Vec<u8>,
) -> Result<PayloadType, WriteError> {
    if payloads.len() > limits::PAYLOADS {
        return Err(WriteError("too many payloads"));
    }
    for (index, payload) in payloads.iter().enumerate() {
        let next = payloads.get(index + 1).map_or(then, Payload::kind);
        let start = out.len();
        out.extend_from_slice(&[next.into(), 0]);
        with_length(out, start, |out| payload.write_body(out))?;
    }
    Ok(payloads.first().map_or(then, Payload::kind))
}

impl std::fmt::Display for Payload<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Notify(notify) => write!(f, "N({})", notify.kind),
            Self::SecurityAssociation(sa) => write!(f, "SA({sa})"),
            Self::KeyExchange(share) => write!(f, "KE({})", share.group),
            Self::IdInitiator(id) => write!(f, "IDi({id})"),
            Self::IdResponder(id) => write!(f, "IDr({id})"),
            Self::TsInitiator(ts) => write!(f, "TSi({ts})"),
            Self::TsResponder(ts) => write!(f, "TSr({ts})"),
            Self::Authentication(auth) => write!(f, "AUTH({})", auth.method),
            Self::Unknown { kind, .. } => write!(f, "unknown({kind})"),
            other => write!(f, "{}", other.kind()),
        }
    }
}
