//! The EAP payload (RFC 7296 3.16) with the packet's header (RFC 3748 4).

use std::borrow::Cow;

use super::code::code_points;
use super::cursor::{Body, Reader, at_most};
use super::error::WriteError;
use super::limits;

code_points! {
    /// EAP method types that are named here.
    EapType: u8 {
        Identity = 1 "Identity",
        Notification = 2 "Notification",
        Nak = 3 "Nak",
        Md5Challenge = 4 "MD5-Challenge",
        OneTimePassword = 5 "OTP",
        GenericTokenCard = 6 "GTC",
        Tls = 13 "EAP-TLS",
        Ttls = 21 "EAP-TTLS",
        Peap = 25 "PEAP",
        MsChapV2 = 26 "EAP-MSCHAPv2",
        Expanded = 254 "Expanded",
    }
}

/// A packet of the authentication inside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Eap<'a> {
    /// Code 1.
    Request {
        /// Pairs it with its response.
        identifier: u8,
        /// The method.
        kind: EapType,
        /// What the method says.
        data: Cow<'a, [u8]>,
    },
    /// Code 2.
    Response {
        /// That of the request.
        identifier: u8,
        /// The method.
        kind: EapType,
        /// What the method says.
        data: Cow<'a, [u8]>,
    },
    /// Code 3.
    Success {
        /// That of the last response.
        identifier: u8,
    },
    /// Code 4.
    Failure {
        /// That of the last response.
        identifier: u8,
    },
}

impl<'a> Eap<'a> {
    /// Reads one packet.
    pub fn parse(octets: &'a [u8]) -> Result<Self, &'static str> {
        at_most(octets.len(), limits::EAP, "the EAP packet is too long")?;
        Self::parse_parts(octets)
    }

    fn parse_parts(octets: &'a [u8]) -> Body<Self> {
        let mut reader = Reader::new(octets);
        let short = "ends within the EAP header";
        let code = reader.u8().ok_or(short)?;
        let identifier = reader.u8().ok_or(short)?;
        if reader.u16().ok_or(short).map(usize::from)? != octets.len() {
            return Err("the EAP length is not that of the payload");
        }
        match code {
            3 | 4 if !reader.is_empty() => Err("an EAP success or failure has data"),
            3 => Ok(Self::Success { identifier }),
            4 => Ok(Self::Failure { identifier }),
            1 | 2 => {
                let kind = reader.u8().ok_or("an EAP request or response without a type")?.into();
                let data = reader.rest().into();
                Ok(match code {
                    1 => Self::Request { identifier, kind, data },
                    _ => Self::Response { identifier, kind, data },
                })
            }
            _ => Err("the EAP code is not known"),
        }
    }

    /// The same, on its own.
    pub fn into_owned(self) -> Eap<'static> {
        let own = |data: Cow<'a, [u8]>| data.into_owned().into();
        match self {
            Self::Request { identifier, kind, data } => Eap::Request { identifier, kind, data: own(data) },
            Self::Response { identifier, kind, data } => Eap::Response { identifier, kind, data: own(data) },
            Self::Success { identifier } => Eap::Success { identifier },
            Self::Failure { identifier } => Eap::Failure { identifier },
        }
    }

    /// Its identifier.
    pub fn identifier(&self) -> u8 {
        match self {
            Self::Request { identifier, .. }
            | Self::Response { identifier, .. }
            | Self::Success { identifier }
            | Self::Failure { identifier } => *identifier,
        }
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) -> Result<(), WriteError> {
        let (code, identifier, inside) = match self {
            Self::Request { identifier, kind, data } => (1, *identifier, Some((*kind, data))),
            Self::Response { identifier, kind, data } => (2, *identifier, Some((*kind, data))),
            Self::Success { identifier } => (3, *identifier, None),
            Self::Failure { identifier } => (4, *identifier, None),
        };
        let length = 4 + inside.map_or(0, |(_, data)| 1 + data.len());
        at_most(length, limits::EAP, "an EAP packet is too long").map_err(WriteError)?;
        let length = u16::try_from(length).map_err(|_| WriteError("an EAP packet is too long"))?;
        out.extend_from_slice(&[code, identifier]);
        out.extend_from_slice(&length.to_be_bytes());
        if let Some((kind, data)) = inside {
            out.push(kind.into());
            out.extend_from_slice(data);
        }
        Ok(())
    }
}
