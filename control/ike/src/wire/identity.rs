//! IDi and IDr payloads (RFC 7296 3.5): who a side says it is.

use std::borrow::Cow;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::cursor::{Body, Reader, at_most};
use super::error::WriteError;
use super::limits;

/// An identity. Names are octets as they came: whether they are a name is for policy to say, and text for people is escaped.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Identity<'a> {
    /// `ID_IPV4_ADDR`, 1.
    Ipv4(Ipv4Addr),
    /// `ID_FQDN`, 2.
    Fqdn(Cow<'a, [u8]>),
    /// `ID_RFC822_ADDR`, 3.
    Email(Cow<'a, [u8]>),
    /// `ID_IPV6_ADDR`, 5.
    Ipv6(Ipv6Addr),
    /// `ID_DER_ASN1_DN`, 9: a distinguished name in DER.
    DistinguishedName(Cow<'a, [u8]>),
    /// `ID_DER_ASN1_GN`, 10: a general name in DER.
    GeneralName(Cow<'a, [u8]>),
    /// `ID_KEY_ID`, 11: octets whose meaning both sides agreed on.
    KeyId(Cow<'a, [u8]>),
    /// `ID_NULL`, 13 (RFC 7619).
    Null,
    /// A type not known here.
    Unknown {
        /// ID type.
        kind: u8,
        /// Identification data.
        data: Cow<'a, [u8]>,
    },
}

impl<'a> Identity<'a> {
    pub(super) fn parse(octets: &'a [u8]) -> Body<Self> {
        let mut reader = Reader::new(octets);
        let kind = reader.u8().ok_or("ends within the type")?;
        reader.take(3).ok_or("ends within the reserved octets")?;
        Self::from_parts(kind, reader.rest())
    }

    fn from_parts(kind: u8, data: &'a [u8]) -> Body<Self> {
        at_most(data.len(), limits::IDENTITY, "the identity is too long")?;
        if data.is_empty() != (kind == 13) {
            return Err("an identity is empty that must not be, or the other way about");
        }
        let mut reader = Reader::new(data);
        let address = "an address of the wrong length";
        Ok(match kind {
            1 if data.len() == 4 => Self::Ipv4(reader.array::<4>().ok_or(address)?.into()),
            5 if data.len() == 16 => Self::Ipv6(reader.array::<16>().ok_or(address)?.into()),
            1 | 5 => return Err(address),
            2 => Self::Fqdn(data.into()),
            3 => Self::Email(data.into()),
            9 => Self::DistinguishedName(data.into()),
            10 => Self::GeneralName(data.into()),
            11 => Self::KeyId(data.into()),
            13 => Self::Null,
            _ => Self::Unknown { kind, data: data.into() },
        })
    }

    /// The ID type's number.
    pub fn kind(&self) -> u8 {
        match self {
            Self::Ipv4(_) => 1,
            Self::Fqdn(_) => 2,
            Self::Email(_) => 3,
            Self::Ipv6(_) => 5,
            Self::DistinguishedName(_) => 9,
            Self::GeneralName(_) => 10,
            Self::KeyId(_) => 11,
            Self::Null => 13,
            Self::Unknown { kind, .. } => *kind,
        }
    }

    /// The body of the payload: what AUTH covers as `RestOfIDPayload` (RFC 7296 2.15).
    pub fn body(&self) -> Vec<u8> {
        let mut out = vec![self.kind(), 0, 0, 0];
        match self {
            Self::Ipv4(address) => out.extend_from_slice(&address.octets()),
            Self::Ipv6(address) => out.extend_from_slice(&address.octets()),
            Self::Null => {}
            Self::Fqdn(data)
            | Self::Email(data)
            | Self::DistinguishedName(data)
            | Self::GeneralName(data)
            | Self::KeyId(data)
            | Self::Unknown { data, .. } => out.extend_from_slice(data),
        }
        out
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) -> Result<(), WriteError> {
        let body = self.body();
        // What cannot be read back is not written.
        match Identity::parse(&body) {
            Ok(same) if same == *self => out.extend_from_slice(&body),
            Ok(_) => return Err(WriteError("an identity of a known type written as unknown")),
            Err(why) => return Err(WriteError(why)),
        }
        Ok(())
    }

    /// A copy that outlives the datagram.
    pub fn into_owned(self) -> Identity<'static> {
        let own = |data: Cow<'a, [u8]>| Cow::Owned(data.into_owned());
        match self {
            Self::Ipv4(address) => Identity::Ipv4(address),
            Self::Ipv6(address) => Identity::Ipv6(address),
            Self::Null => Identity::Null,
            Self::Fqdn(data) => Identity::Fqdn(own(data)),
            Self::Email(data) => Identity::Email(own(data)),
            Self::DistinguishedName(data) => Identity::DistinguishedName(own(data)),
            Self::GeneralName(data) => Identity::GeneralName(own(data)),
            Self::KeyId(data) => Identity::KeyId(own(data)),
            Self::Unknown { kind, data } => Identity::Unknown { kind, data: own(data) },
        }
    }
}

impl std::fmt::Display for Identity<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ipv4(address) => write!(f, "{address}"),
            Self::Ipv6(address) => write!(f, "{address}"),
            Self::Fqdn(name) | Self::Email(name) => write!(f, "{}", name.escape_ascii()),
            Self::DistinguishedName(der) => write!(f, "dn:{}", Hex(der)),
            Self::GeneralName(der) => write!(f, "gn:{}", Hex(der)),
            Self::KeyId(data) => write!(f, "keyid:{}", Hex(data)),
            Self::Null => f.write_str("null"),
            Self::Unknown { kind, data } => write!(f, "type{kind}:{}", Hex(data)),
        }
    }
}

/// Octets as text.
pub(super) struct Hex<'a>(pub(super) &'a [u8]);

impl std::fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}
