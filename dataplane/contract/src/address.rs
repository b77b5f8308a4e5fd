//! Addresses, ranges of addresses and prefixes as values that cannot be malformed.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// IPv4 or IPv6. The two never mix in one rule (row B1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// The family of `address`.
    pub fn of(address: IpAddr) -> Self {
        if address.is_ipv4() { Self::V4 } else { Self::V6 }
    }
}

/// Addresses `first..=last` of one family, `first <= last`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "(IpAddr, IpAddr)", into = "(IpAddr, IpAddr)")]
pub struct AddressRange {
    first: IpAddr,
    last: IpAddr,
}

/// Why two addresses make no range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RangeError {
    /// One is IPv4, the other IPv6.
    #[error("a range cannot mix IPv4 and IPv6")]
    Mixed,
    /// The first is above the last.
    #[error("the first value of a range is above its last")]
    Reversed,
    /// The prefix is longer than the address.
    #[error("a prefix of this family has at most {0} bits")]
    TooLong(u8),
}

impl AddressRange {
    /// The range `first..=last`.
    pub fn new(first: IpAddr, last: IpAddr) -> Result<Self, RangeError> {
        if first.is_ipv4() != last.is_ipv4() {
            return Err(RangeError::Mixed);
        }
        if first > last {
            return Err(RangeError::Reversed);
        }
        Ok(Self { first, last })
    }

    /// Every address of `family`.
    pub fn all(family: Family) -> Self {
        match family {
            Family::V4 => Self { first: [0u8; 4].into(), last: [255u8; 4].into() },
            Family::V6 => Self { first: [0u8; 16].into(), last: [255u8; 16].into() },
        }
    }

    /// One address.
    pub fn single(address: IpAddr) -> Self {
        Self { first: address, last: address }
    }

    /// The addresses of a prefix; host bits of `address` are ignored.
    pub fn prefix(address: IpAddr, length: u8) -> Result<Self, RangeError> {
        match address {
            IpAddr::V4(v4) if length <= 32 => {
                let host = u32::MAX.checked_shr(length.into()).unwrap_or(0);
                let bits = v4.to_bits();
                Ok(Self {
                    first: std::net::Ipv4Addr::from_bits(bits & !host).into(),
                    last: std::net::Ipv4Addr::from_bits(bits | host).into(),
                })
            }
            IpAddr::V6(v6) if length <= 128 => {
                let host = u128::MAX.checked_shr(length.into()).unwrap_or(0);
                let bits = v6.to_bits();
                Ok(Self {
                    first: std::net::Ipv6Addr::from_bits(bits & !host).into(),
                    last: std::net::Ipv6Addr::from_bits(bits | host).into(),
                })
            }
            IpAddr::V4(_) => Err(RangeError::TooLong(32)),
            IpAddr::V6(_) => Err(RangeError::TooLong(128)),
        }
    }

    /// The lowest address.
    pub fn first(&self) -> IpAddr {
        self.first
    }

    /// The highest address.
    pub fn last(&self) -> IpAddr {
        self.last
    }

    /// The family of both ends.
    pub fn family(&self) -> Family {
        Family::of(self.first)
    }

    /// Whether `address` lies within. An address of the other family never does.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.first <= address && address <= self.last && self.first.is_ipv4() == address.is_ipv4()
    }

    /// Whether any address lies in both.
    pub fn intersects(&self, other: &Self) -> bool {
        self.family() == other.family() && self.first <= other.last && other.first <= self.last
    }

    /// The prefix length when the range is exactly one prefix.
    pub fn as_prefix(&self) -> Option<u8> {
        let (first, last, width) = match (self.first, self.last) {
            (IpAddr::V4(a), IpAddr::V4(b)) => (u128::from(a.to_bits()), u128::from(b.to_bits()), 32),
            (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits(), b.to_bits(), 128),
            _ => return None,
        };
        let host_bits = 128 - (first ^ last).leading_zeros();
        let host = if host_bits == 128 { u128::MAX } else { (1u128 << host_bits) - 1 };
        (first & host == 0 && last & host == host).then(|| (width - host_bits) as u8)
    }
}

impl TryFrom<(IpAddr, IpAddr)> for AddressRange {
    type Error = RangeError;
    fn try_from((first, last): (IpAddr, IpAddr)) -> Result<Self, RangeError> {
        Self::new(first, last)
    }
}

impl From<AddressRange> for (IpAddr, IpAddr) {
    fn from(range: AddressRange) -> Self {
        (range.first, range.last)
    }
}

impl std::fmt::Display for AddressRange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.as_prefix() {
            Some(_) if self.first == self.last => write!(f, "{}", self.first),
            Some(length) => write!(f, "{}/{length}", self.first),
            None => write!(f, "{}-{}", self.first, self.last),
        }
    }
}

/// Numbers `first..=last`: ports, ICMP types or codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "(u16, u16)", into = "(u16, u16)")]
pub struct NumberRange {
    first: u16,
    last: u16,
}

impl NumberRange {
    /// Every number.
    pub const ALL: Self = Self { first: 0, last: u16::MAX };

    /// The range `first..=last`.
    pub fn new(first: u16, last: u16) -> Result<Self, RangeError> {
        if first > last { Err(RangeError::Reversed) } else { Ok(Self { first, last }) }
    }

    /// One number.
    pub fn single(number: u16) -> Self {
        Self { first: number, last: number }
    }

    /// The lowest number.
    pub fn first(&self) -> u16 {
        self.first
    }

    /// The highest number.
    pub fn last(&self) -> u16 {
        self.last
    }

    /// Whether `number` lies within.
    pub fn contains(&self, number: u16) -> bool {
        self.first <= number && number <= self.last
    }

    /// Whether every number is in it.
    pub fn is_all(&self) -> bool {
        *self == Self::ALL
    }
}

impl TryFrom<(u16, u16)> for NumberRange {
    type Error = RangeError;
    fn try_from((first, last): (u16, u16)) -> Result<Self, RangeError> {
        Self::new(first, last)
    }
}

impl From<NumberRange> for (u16, u16) {
    fn from(range: NumberRange) -> Self {
        (range.first, range.last)
    }
}

impl std::fmt::Display for NumberRange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.first == self.last {
            write!(f, "{}", self.first)
        } else {
            write!(f, "{}-{}", self.first, self.last)
        }
    }
}
