//! What stands in the data of notifications: typed values, both ways.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::authentication::AuthMethod;
use super::code::code_points;
use super::cursor::{Body, Reader};
use super::limits;
use super::notify::{Notify, NotifyType};
use super::transform::GroupId;

code_points! {
    /// Hash algorithms of digital signatures (RFC 7427 4, RFC 8420).
    SignatureHash: u16 {
        Sha1 = 1 "SHA1",
        Sha2_256 = 2 "SHA2_256",
        Sha2_384 = 3 "SHA2_384",
        Sha2_512 = 4 "SHA2_512",
        Identity = 5 "IDENTITY",
    }
}

/// Where a redirected peer shall go (RFC 5685).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gateway<'a> {
    /// An address.
    Address(IpAddr),
    /// A name to be looked up.
    Fqdn(&'a str),
}

/// One authentication method that a side announces (RFC 9593 3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Announcement<'a> {
    /// The method.
    pub method: AuthMethod,
    /// Which authority of the CERTREQ payloads it is linked with; `None` for all.
    pub authority: Option<u8>,
    /// For [`AuthMethod::DigitalSignature`]: `AlgorithmIdentifier` in DER, else empty.
    pub algorithm: &'a [u8],
}

/// The content of a notification whose data has a form. Others have only their octets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content<'a> {
    /// `UNSUPPORTED_CRITICAL_PAYLOAD`: its type.
    UnsupportedCriticalPayload(u8),
    /// `INVALID_KE_PAYLOAD`: the group to use.
    InvalidKePayload(GroupId),
    /// `SET_WINDOW_SIZE`: requests that may be under way.
    WindowSize(u32),
    /// `COOKIE`: to be returned as it is.
    Cookie(&'a [u8]),
    /// `COOKIE2` of MOBIKE.
    Cookie2(&'a [u8]),
    /// `NAT_DETECTION_SOURCE_IP`.
    NatDetectionSource([u8; 20]),
    /// `NAT_DETECTION_DESTINATION_IP`.
    NatDetectionDestination([u8; 20]),
    /// `ADDITIONAL_IP4_ADDRESS`, `ADDITIONAL_IP6_ADDRESS`.
    AdditionalAddress(IpAddr),
    /// `NO_NATS_ALLOWED`: the addresses and ports as the sender sees them.
    NoNatsAllowed {
        /// Source.
        source: (IpAddr, u16),
        /// Destination.
        destination: (IpAddr, u16),
    },
    /// `AUTH_LIFETIME` in seconds (RFC 4478).
    AuthLifetime(u32),
    /// `REDIRECT` (RFC 5685): where to, and in IKE_SA_INIT the initiator's nonce.
    Redirect {
        /// Where to.
        gateway: Gateway<'a>,
        /// The nonce that was sent.
        nonce: &'a [u8],
    },
    /// `REDIRECTED_FROM`: who sent the peer here.
    RedirectedFrom(Gateway<'a>),
    /// `QUICK_CRASH_DETECTION`: a token (RFC 6290).
    CrashToken(&'a [u8]),
    /// `IKEV2_MESSAGE_ID_SYNC` (RFC 6311 5.1).
    MessageIdSync {
        /// Against replay.
        nonce: u32,
        /// The next request that the sender will send.
        send: u32,
        /// The next request that the sender expects.
        receive: u32,
    },
    /// `IPSEC_REPLAY_COUNTER_SYNC` (RFC 6311 5.2): skip so many numbers. Four octets, or eight with ESN.
    ReplayCounterSync {
        /// How many.
        delta: u64,
        /// Whether it has eight octets.
        extended: bool,
    },
    /// `SIGNATURE_HASH_ALGORITHMS`.
    SignatureHashes(Vec<SignatureHash>),
    /// `PPK_IDENTITY` (RFC 8784 5.1): type 1 opaque, 2 fixed.
    PpkIdentity {
        /// Type.
        kind: u8,
        /// Which key.
        id: &'a [u8],
    },
    /// `SUPPORTED_AUTH_METHODS`.
    SupportedAuthMethods(Vec<Announcement<'a>>),
    /// `SA_RESOURCE_INFO` (RFC 9611 5.1): a resource's name, for people.
    ResourceInfo(&'a [u8]),
    /// `ADDITIONAL_KEY_EXCHANGE` (RFC 9370 2.2.4): links follow-up exchanges.
    AdditionalKeyExchange(&'a [u8]),
    /// Anything else.
    Octets(NotifyType, &'a [u8]),
}

impl<'a> Notify<'a> {
    /// Its data as a value, or what is wrong with it.
    pub fn content(&self) -> Result<Content<'_>, &'static str> {
        let data: &[u8] = &self.data;
        let mut reader = Reader::new(data);
        let length = "the data has the wrong length";
        let content = match self.kind {
            NotifyType::UnsupportedCriticalPayload => reader.u8().map(Content::UnsupportedCriticalPayload),
            NotifyType::InvalidKePayload => reader.u16().map(|id| Content::InvalidKePayload(id.into())),
            NotifyType::SetWindowSize => reader.u32().map(Content::WindowSize),
            NotifyType::AuthLifetime => reader.u32().map(Content::AuthLifetime),
            NotifyType::Cookie => bounded(&mut reader, 1..=limits::COOKIE).map(Content::Cookie),
            NotifyType::Cookie2 => bounded(&mut reader, 8..=limits::COOKIE).map(Content::Cookie2),
            NotifyType::NatDetectionSourceIp => reader.array().map(Content::NatDetectionSource),
            NotifyType::NatDetectionDestinationIp => reader.array().map(Content::NatDetectionDestination),
            NotifyType::AdditionalIp4Address => v4(&mut reader).map(Content::AdditionalAddress),
            NotifyType::AdditionalIp6Address => v6(&mut reader).map(Content::AdditionalAddress),
            NotifyType::NoNatsAllowed => no_nats(&mut reader),
            NotifyType::Redirect => Some(redirect(&mut reader)?),
            NotifyType::RedirectedFrom => Some(Content::RedirectedFrom(gateway(&mut reader)?)),
            NotifyType::QuickCrashDetection => bounded(&mut reader, 16..=128).map(Content::CrashToken),
            NotifyType::MessageIdSync => message_id_sync(&mut reader),
            NotifyType::ReplayCounterSync => counter_sync(&mut reader),
            NotifyType::SignatureHashAlgorithms => hashes(&mut reader),
            NotifyType::PpkIdentity => ppk_identity(&mut reader),
            NotifyType::SupportedAuthMethods => Some(announcements(&mut reader)?),
            NotifyType::SaResourceInfo => Some(Content::ResourceInfo(reader.rest())),
            NotifyType::AdditionalKeyExchange => {
                bounded(&mut reader, 1..=1_024).map(Content::AdditionalKeyExchange)
            }
            kind => Some(Content::Octets(kind, reader.rest())),
        };
        content.filter(|_| reader.is_empty()).ok_or(length)
    }
}

fn bounded<'a>(reader: &mut Reader<'a>, range: std::ops::RangeInclusive<usize>) -> Option<&'a [u8]> {
    Some(reader.rest()).filter(|octets| range.contains(&octets.len()))
}

fn v4(reader: &mut Reader<'_>) -> Option<IpAddr> {
    reader.array::<4>().map(|octets| Ipv4Addr::from(octets).into())
}

fn v6(reader: &mut Reader<'_>) -> Option<IpAddr> {
    reader.array::<16>().map(|octets| Ipv6Addr::from(octets).into())
}

fn no_nats<'a>(reader: &mut Reader<'_>) -> Option<Content<'a>> {
    let address = match reader.left() {
        12 => v4,
        36 => v6,
        _ => return None,
    };
    let (source, destination) = (address(reader)?, address(reader)?);
    Some(Content::NoNatsAllowed {
        source: (source, reader.u16()?),
        destination: (destination, reader.u16()?),
    })
}

fn gateway<'a>(reader: &mut Reader<'a>) -> Body<Gateway<'a>> {
    let short = "ends within the gateway's identity";
    let kind = reader.u8().ok_or(short)?;
    let length = usize::from(reader.u8().ok_or(short)?);
    let octets = reader.take(length).ok_or(short)?;
    let mut inside = Reader::new(octets);
    match (kind, length) {
        (1, 4) => v4(&mut inside).map(Gateway::Address).ok_or(short),
        (2, 16) => v6(&mut inside).map(Gateway::Address).ok_or(short),
        (3, 1..) => std::str::from_utf8(octets)
            .ok()
            .filter(|name| name.bytes().all(|octet| octet.is_ascii_alphanumeric() || b".-_".contains(&octet)))
            .map(Gateway::Fqdn)
            .ok_or("the gateway's name is no host name"),
        _ => Err("the gateway's identity has an unknown type or the wrong length"),
    }
}

fn redirect<'a>(reader: &mut Reader<'a>) -> Body<Content<'a>> {
    let gateway = gateway(reader)?;
    let nonce = reader.rest();
    let fits = nonce.is_empty() || (limits::NONCE_MIN..=limits::NONCE_MAX).contains(&nonce.len());
    if fits { Ok(Content::Redirect { gateway, nonce }) } else { Err("the nonce has the wrong length") }
}

fn message_id_sync<'a>(reader: &mut Reader<'_>) -> Option<Content<'a>> {
    let (nonce, send, receive) = (reader.u32()?, reader.u32()?, reader.u32()?);
    Some(Content::MessageIdSync { nonce, send, receive })
}

fn counter_sync<'a>(reader: &mut Reader<'_>) -> Option<Content<'a>> {
    match reader.left() {
        8 => Some(Content::ReplayCounterSync { delta: reader.u64()?, extended: true }),
        _ => Some(Content::ReplayCounterSync { delta: reader.u32()?.into(), extended: false }),
    }
}

fn hashes<'a>(reader: &mut Reader<'_>) -> Option<Content<'a>> {
    let (pairs, odd) = reader.rest().as_chunks::<2>();
    let hashes = pairs.iter().take(32).map(|pair| u16::from_be_bytes(*pair).into()).collect();
    odd.is_empty().then_some(Content::SignatureHashes(hashes))
}

fn ppk_identity<'a>(reader: &mut Reader<'a>) -> Option<Content<'a>> {
    let kind = reader.u8()?;
    bounded(reader, 1..=limits::IDENTITY).map(|id| Content::PpkIdentity { kind, id })
}

fn announcements<'a>(reader: &mut Reader<'a>) -> Body<Content<'a>> {
    let mut list = Vec::new();
    while !reader.is_empty() {
        let length = reader.u8().ok_or("ends within an announcement")?;
        let inside = length.checked_sub(1).ok_or("an announcement's length is zero")?;
        let octets = reader.take(inside.into()).ok_or("ends within an announcement")?;
        let (&method, rest) = octets.split_first().ok_or("an announcement without a method")?;
        let (authority, algorithm) = match rest.split_first() {
            None => (None, rest),
            Some((&authority, algorithm)) => ((authority != 0).then_some(authority), algorithm),
        };
        list.push(Announcement { method: method.into(), authority, algorithm });
    }
    Ok(Content::SupportedAuthMethods(list))
}

impl Content<'_> {
    /// The notification that carries this.
    pub fn notify(&self) -> Notify<'static> {
        let (kind, data) = self.parts();
        Notify::new(kind, Cow::Owned(data))
    }

    fn parts(&self) -> (NotifyType, Vec<u8>) {
        match self {
            Self::UnsupportedCriticalPayload(kind) => (NotifyType::UnsupportedCriticalPayload, vec![*kind]),
            Self::InvalidKePayload(group) => {
                (NotifyType::InvalidKePayload, u16::from(*group).to_be_bytes().to_vec())
            }
            Self::WindowSize(size) => (NotifyType::SetWindowSize, size.to_be_bytes().to_vec()),
            Self::Cookie(octets) => (NotifyType::Cookie, octets.to_vec()),
            Self::Cookie2(octets) => (NotifyType::Cookie2, octets.to_vec()),
            Self::NatDetectionSource(hash) => (NotifyType::NatDetectionSourceIp, hash.to_vec()),
            Self::NatDetectionDestination(hash) => (NotifyType::NatDetectionDestinationIp, hash.to_vec()),
            Self::AdditionalAddress(address) => match address {
                IpAddr::V4(v4) => (NotifyType::AdditionalIp4Address, v4.octets().to_vec()),
                IpAddr::V6(v6) => (NotifyType::AdditionalIp6Address, v6.octets().to_vec()),
            },
            Self::NoNatsAllowed { source, destination } => {
                let ports = [source.1.to_be_bytes(), destination.1.to_be_bytes()].concat();
                (NotifyType::NoNatsAllowed, [octets(source.0), octets(destination.0), ports].concat())
            }
            Self::AuthLifetime(seconds) => (NotifyType::AuthLifetime, seconds.to_be_bytes().to_vec()),
            Self::Redirect { gateway, nonce } => {
                (NotifyType::Redirect, [&gateway.to_octets(), *nonce].concat())
            }
            Self::RedirectedFrom(gateway) => (NotifyType::RedirectedFrom, gateway.to_octets()),
            Self::CrashToken(token) => (NotifyType::QuickCrashDetection, token.to_vec()),
            Self::MessageIdSync { nonce, send, receive } => {
                let parts = [nonce.to_be_bytes(), send.to_be_bytes(), receive.to_be_bytes()];
                (NotifyType::MessageIdSync, parts.concat())
            }
            Self::ReplayCounterSync { delta, extended } => {
                let skip = if *extended { 0 } else { 4 };
                (NotifyType::ReplayCounterSync, delta.to_be_bytes()[skip..].to_vec())
            }
            Self::SignatureHashes(list) => {
                let octets = list.iter().flat_map(|hash| u16::from(*hash).to_be_bytes()).collect();
                (NotifyType::SignatureHashAlgorithms, octets)
            }
            Self::PpkIdentity { kind, id } => (NotifyType::PpkIdentity, [&[*kind], *id].concat()),
            Self::SupportedAuthMethods(list) => (
                NotifyType::SupportedAuthMethods,
                list.iter().copied().flat_map(Announcement::to_octets).collect(),
            ),
            Self::ResourceInfo(name) => (NotifyType::SaResourceInfo, name.to_vec()),
            Self::AdditionalKeyExchange(link) => (NotifyType::AdditionalKeyExchange, link.to_vec()),
            Self::Octets(kind, data) => (*kind, data.to_vec()),
        }
    }
}

impl Gateway<'_> {
    fn to_octets(&self) -> Vec<u8> {
        let (kind, octets) = match self {
            Self::Address(address @ IpAddr::V4(_)) => (1, octets(*address)),
            Self::Address(address @ IpAddr::V6(_)) => (2, octets(*address)),
            Self::Fqdn(name) => (3, name.as_bytes().iter().copied().take(255).collect()),
        };
        [vec![kind, octets.len() as u8], octets].concat()
    }
}

impl Announcement<'_> {
    fn to_octets(self) -> Vec<u8> {
        let mut out = vec![0, self.method.into()];
        if self.authority.is_some() || !self.algorithm.is_empty() {
            out.push(self.authority.unwrap_or(0));
            out.extend(self.algorithm.iter().take(252));
        }
        out[0] = out.len() as u8;
        out
    }
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}
