//! The configuration payload (RFC 7296 3.15), with split DNS (RFC 8598).

use std::borrow::Cow;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::code::code_points;
use super::cursor::{Body, Reader, at_most};
use super::error::WriteError;
use super::limits;

code_points! {
    /// Who says what.
    ConfigurationType: u8 {
        Request = 1 "CFG_REQUEST",
        Reply = 2 "CFG_REPLY",
        Set = 3 "CFG_SET",
        Ack = 4 "CFG_ACK",
    }
}

code_points! {
    /// An attribute's name.
    AttributeType: u16 {
        InternalIp4Address = 1 "INTERNAL_IP4_ADDRESS",
        InternalIp4Netmask = 2 "INTERNAL_IP4_NETMASK",
        InternalIp4Dns = 3 "INTERNAL_IP4_DNS",
        InternalIp4Nbns = 4 "INTERNAL_IP4_NBNS",
        InternalIp4Dhcp = 6 "INTERNAL_IP4_DHCP",
        ApplicationVersion = 7 "APPLICATION_VERSION",
        InternalIp6Address = 8 "INTERNAL_IP6_ADDRESS",
        InternalIp6Dns = 10 "INTERNAL_IP6_DNS",
        InternalIp6Dhcp = 12 "INTERNAL_IP6_DHCP",
        InternalIp4Subnet = 13 "INTERNAL_IP4_SUBNET",
        SupportedAttributes = 14 "SUPPORTED_ATTRIBUTES",
        InternalIp6Subnet = 15 "INTERNAL_IP6_SUBNET",
        InternalDnsDomain = 25 "INTERNAL_DNS_DOMAIN",
        InternalDnssecTa = 26 "INTERNAL_DNSSEC_TA",
    }
}

/// One attribute: asked for when it has no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigurationAttribute<'a> {
    /// Its name.
    pub kind: AttributeType,
    /// Its octets: see [`ConfigurationAttribute::value`].
    pub data: Cow<'a, [u8]>,
}

/// A value of an attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfigurationValue<'a> {
    /// No value: the attribute is asked for, or acknowledged.
    Empty,
    /// An IPv4 address or mask.
    Ipv4(Ipv4Addr),
    /// Address and mask of a subnet.
    Ipv4Subnet(Ipv4Addr, Ipv4Addr),
    /// An IPv6 address.
    Ipv6(Ipv6Addr),
    /// An IPv6 address with the length of its prefix.
    Ipv6Prefix(Ipv6Addr, u8),
    /// Names of attributes.
    Supported(Vec<AttributeType>),
    /// A domain to be resolved inside (RFC 8598 3.1).
    Domain(&'a str),
    /// A trust anchor (RFC 8598 3.2): a DS record's fields.
    TrustAnchor {
        /// Key tag.
        key_tag: u16,
        /// DNSKEY algorithm.
        algorithm: u8,
        /// Digest type.
        digest_type: u8,
        /// Digest.
        digest: &'a [u8],
    },
    /// Text or an attribute not known here.
    Octets(&'a [u8]),
}

impl ConfigurationAttribute<'_> {
    /// Asks for `kind`.
    pub fn ask(kind: AttributeType) -> Self {
        Self { kind, data: Cow::Borrowed(&[]) }
    }

    /// An attribute with a value.
    pub fn new(kind: AttributeType, value: &ConfigurationValue<'_>) -> ConfigurationAttribute<'static> {
        ConfigurationAttribute { kind, data: Cow::Owned(value.to_octets()) }
    }

    /// Its value, or what is wrong with it.
    pub fn value(&self) -> Result<ConfigurationValue<'_>, &'static str> {
        let mut reader = Reader::new(&self.data);
        if reader.is_empty() {
            return Ok(ConfigurationValue::Empty);
        }
        let value = match self.kind {
            AttributeType::InternalIp4Address
            | AttributeType::InternalIp4Netmask
            | AttributeType::InternalIp4Dns
            | AttributeType::InternalIp4Nbns
            | AttributeType::InternalIp4Dhcp => {
                reader.array::<4>().map(|octets| ConfigurationValue::Ipv4(octets.into()))
            }
            AttributeType::InternalIp4Subnet => subnet4(&mut reader),
            AttributeType::InternalIp6Dns | AttributeType::InternalIp6Dhcp => {
                reader.array::<16>().map(|octets| ConfigurationValue::Ipv6(octets.into()))
            }
            AttributeType::InternalIp6Address | AttributeType::InternalIp6Subnet => prefix6(&mut reader),
            AttributeType::SupportedAttributes => supported(&mut reader),
            AttributeType::InternalDnsDomain => domain(&mut reader),
            AttributeType::InternalDnssecTa => trust_anchor(&mut reader),
            AttributeType::ApplicationVersion | AttributeType::Unknown(_) => {
                Some(ConfigurationValue::Octets(reader.rest()))
            }
        };
        value.filter(|_| reader.is_empty()).ok_or("an attribute's value does not fit its type")
    }
}

fn subnet4<'a>(reader: &mut Reader<'_>) -> Option<ConfigurationValue<'a>> {
    Some(ConfigurationValue::Ipv4Subnet(reader.array::<4>()?.into(), reader.array::<4>()?.into()))
}

fn prefix6<'a>(reader: &mut Reader<'_>) -> Option<ConfigurationValue<'a>> {
    let address = reader.array::<16>()?.into();
    let length = reader.u8().filter(|length| *length <= 128)?;
    Some(ConfigurationValue::Ipv6Prefix(address, length))
}

fn supported<'a>(reader: &mut Reader<'_>) -> Option<ConfigurationValue<'a>> {
    let (pairs, odd) = reader.rest().as_chunks::<2>();
    let kinds = pairs.iter().map(|pair| (u16::from_be_bytes(*pair) & 0x7fff).into()).collect();
    odd.is_empty().then_some(ConfigurationValue::Supported(kinds))
}

/// RFC 8598 3.1 asks for a name in presentation form; anything else is refused, since it would reach a resolver's files.
fn domain<'a>(reader: &mut Reader<'a>) -> Option<ConfigurationValue<'a>> {
    let name = std::str::from_utf8(reader.rest()).ok()?;
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'-' || octet == b'_')
    };
    let bare = name.strip_suffix('.').unwrap_or(name);
    (name.len() <= 254 && bare.split('.').all(label)).then_some(ConfigurationValue::Domain(name))
}

fn trust_anchor<'a>(reader: &mut Reader<'a>) -> Option<ConfigurationValue<'a>> {
    let (key_tag, algorithm, digest_type) = (reader.u16()?, reader.u8()?, reader.u8()?);
    let digest = reader.rest();
    (!digest.is_empty()).then_some(ConfigurationValue::TrustAnchor {
        key_tag,
        algorithm,
        digest_type,
        digest,
    })
}

impl ConfigurationValue<'_> {
    fn to_octets(&self) -> Vec<u8> {
        match self {
            Self::Empty => Vec::new(),
            Self::Ipv4(address) => address.octets().to_vec(),
            Self::Ipv4Subnet(address, mask) => [address.octets(), mask.octets()].concat(),
            Self::Ipv6(address) => address.octets().to_vec(),
            Self::Ipv6Prefix(address, length) => [&address.octets()[..], &[*length]].concat(),
            Self::Supported(kinds) => kinds.iter().flat_map(|kind| u16::from(*kind).to_be_bytes()).collect(),
            Self::Domain(name) => name.as_bytes().to_vec(),
            Self::TrustAnchor { key_tag, algorithm, digest_type, digest } => {
                [&key_tag.to_be_bytes()[..], &[*algorithm, *digest_type], digest].concat()
            }
            Self::Octets(octets) => octets.to_vec(),
        }
    }
}

/// Requests, replies and their attributes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Configuration<'a> {
    /// Request, reply, set or acknowledgement.
    pub kind: ConfigurationType,
    /// In the order they came.
    pub attributes: Vec<ConfigurationAttribute<'a>>,
}

impl<'a> Configuration<'a> {
    pub(super) fn parse(octets: &'a [u8]) -> Body<Self> {
        let mut reader = Reader::new(octets);
        let kind = reader.u8().ok_or("ends within the type")?.into();
        reader.take(3).ok_or("ends within the reserved octets")?;
        let mut attributes = Vec::new();
        while !reader.is_empty() {
            at_most(attributes.len() + 1, limits::CONFIGURATION_ATTRIBUTES, "too many attributes")?;
            let short = "ends within an attribute";
            let name = reader.u16().ok_or(short)? & 0x7fff;
            let length = reader.u16().ok_or(short)?;
            let data = reader.take(length.into()).ok_or(short)?;
            attributes.push(ConfigurationAttribute { kind: name.into(), data: data.into() });
        }
        Ok(Self { kind, attributes })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) -> Result<(), WriteError> {
        at_most(self.attributes.len(), limits::CONFIGURATION_ATTRIBUTES, "too many attributes")
            .map_err(WriteError)?;
        out.extend_from_slice(&[self.kind.into(), 0, 0, 0]);
        for attribute in &self.attributes {
            let kind = u16::from(attribute.kind);
            let length =
                u16::try_from(attribute.data.len()).map_err(|_| WriteError("an attribute is too long"))?;
            if kind & 0x8000 != 0 {
                return Err(WriteError("an attribute's type has more than 15 bits"));
            }
            out.extend_from_slice(&kind.to_be_bytes());
            out.extend_from_slice(&length.to_be_bytes());
            out.extend_from_slice(&attribute.data);
        }
        Ok(())
    }
}
