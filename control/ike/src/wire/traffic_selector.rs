//! TSi and TSr payloads (RFC 7296 3.13): which packets a child SA carries.

use std::net::IpAddr;

use ravelin_contract::address::{AddressRange, NumberRange};

use super::cursor::{Body, Reader, at_most};
use super::error::WriteError;
use super::limits;

/// Ports, or ICMP type and code in one number, of a selector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ports {
    /// From, to.
    Range(NumberRange),
    /// Packets whose ports cannot be seen (RFC 7296 3.13.1): 65535 to 0 on the wire.
    Opaque,
}

/// Packets by address, protocol and port of one side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TrafficSelector {
    /// IP protocol, 0 for any.
    pub protocol: u8,
    /// Ports; all of them when the protocol has none.
    pub ports: Ports,
    /// Addresses of one family.
    pub addresses: AddressRange,
}

impl TrafficSelector {
    /// Everything between these addresses.
    pub fn any(addresses: AddressRange) -> Self {
        Self { protocol: 0, ports: Ports::Range(NumberRange::ALL), addresses }
    }

    /// `None` for a type not known here: RFC 7296 3.13.1 lets the responder narrow it away.
    fn parse(reader: &mut Reader<'_>) -> Body<Option<Self>> {
        let short = "ends within a selector";
        let kind = reader.u8().ok_or(short)?;
        let protocol = reader.u8().ok_or(short)?;
        let length = usize::from(reader.u16().ok_or(short)?);
        let inside = length.checked_sub(4).ok_or("a selector's length is below 4")?;
        let mut body = Reader::new(reader.take(inside).ok_or(short)?);
        let wanted = match kind {
            7 => 12,
            8 => 36,
            _ => return Ok(None),
        };
        if inside != wanted {
            return Err("a selector's length is not that of its type");
        }
        let ports = Self::parse_ports(&mut body).ok_or("a selector's ports are reversed")?;
        let (first, last) =
            if kind == 7 { addresses::<4>(&mut body) } else { addresses::<16>(&mut body) }.ok_or(short)?;
        let addresses = AddressRange::new(first, last).map_err(|_| "a selector's addresses are reversed")?;
        Ok(Some(Self { protocol, ports, addresses }))
    }

    fn parse_ports(body: &mut Reader<'_>) -> Option<Ports> {
        match (body.u16()?, body.u16()?) {
            (65_535, 0) => Some(Ports::Opaque),
            (first, last) => NumberRange::new(first, last).ok().map(Ports::Range),
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        let (kind, length) = if self.addresses.first().is_ipv4() { (7, 16u16) } else { (8, 40u16) };
        let (first, last) = match self.ports {
            Ports::Range(range) => (range.first(), range.last()),
            Ports::Opaque => (65_535, 0),
        };
        out.extend_from_slice(&[kind, self.protocol]);
        [length, first, last].iter().for_each(|number| out.extend_from_slice(&number.to_be_bytes()));
        for address in [self.addresses.first(), self.addresses.last()] {
            match address {
                IpAddr::V4(v4) => out.extend_from_slice(&v4.octets()),
                IpAddr::V6(v6) => out.extend_from_slice(&v6.octets()),
            }
        }
    }
}

fn addresses<const N: usize>(body: &mut Reader<'_>) -> Option<(IpAddr, IpAddr)>
where
    IpAddr: From<[u8; N]>,
{
    Some((body.array::<N>()?.into(), body.array::<N>()?.into()))
}

impl std::fmt::Display for TrafficSelector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.addresses)?;
        match self.ports {
            Ports::Range(range) if range.is_all() && self.protocol == 0 => Ok(()),
            Ports::Range(range) if range.is_all() => write!(f, "[{}]", self.protocol),
            Ports::Range(range) if range.first() == range.last() => {
                write!(f, "[{}/{}]", self.protocol, range.first())
            }
            Ports::Range(range) => write!(f, "[{}/{}-{}]", self.protocol, range.first(), range.last()),
            Ports::Opaque => write!(f, "[{}/OPAQUE]", self.protocol),
        }
    }
}

/// The selectors of one side. `unknown` counts those of types not known here, which are narrowed away.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TrafficSelectors {
    /// Those known here.
    pub list: Vec<TrafficSelector>,
    /// How many others came. Never written.
    pub unknown: u8,
}

impl TrafficSelectors {
    /// These.
    pub fn new(list: Vec<TrafficSelector>) -> Self {
        Self { list, unknown: 0 }
    }

    pub(super) fn parse(octets: &[u8]) -> Body<Self> {
        let mut reader = Reader::new(octets);
        let count = reader.u8().ok_or("ends within its count")?;
        reader.take(3).ok_or("ends within the reserved octets")?;
        if count == 0 {
            return Err("no selector");
        }
        let mut selectors =
            Self { list: Vec::with_capacity(usize::from(count).min(reader.left() / 16)), unknown: 0 };
        for _ in 0..count {
            match TrafficSelector::parse(&mut reader)? {
                Some(selector) => selectors.list.push(selector),
                None => selectors.unknown += 1,
            }
        }
        if reader.is_empty() { Ok(selectors) } else { Err("octets after the last selector") }
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) -> Result<(), WriteError> {
        at_most(self.list.len(), limits::TRAFFIC_SELECTORS, "too many selectors").map_err(WriteError)?;
        let count = u8::try_from(self.list.len()).map_err(|_| WriteError("too many selectors"))?;
        if count == 0 {
            return Err(WriteError("no selector"));
        }
        if self.unknown != 0 {
            return Err(WriteError("selectors of unknown types are not kept"));
        }
        out.extend_from_slice(&[count, 0, 0, 0]);
        self.list.iter().for_each(|selector| selector.write(out));
        Ok(())
    }
}

impl std::fmt::Display for TrafficSelectors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, selector) in self.list.iter().enumerate() {
            let between = if index == 0 { "" } else { " " };
            write!(f, "{between}{selector}")?;
        }
        if self.unknown == 0 { Ok(()) } else { write!(f, " and {} of unknown type", self.unknown) }
    }
}
