//! Addresses as operators write them: `10.1.0.7`, `10.1.0.0/24`, `10.1.0.7-10.1.0.9`, `any`, `any4`, `any6`.

use std::net::IpAddr;

use ravelin_contract::address::{AddressRange, Family, RangeError};

/// What one text says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// `any`: all of both families.
    Any,
    /// All else.
    Range(AddressRange),
}

/// Why a text is not an address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// It does not look like one; it may be the name of an object.
    #[error("not an address")]
    NotAnAddress,
    /// Bits behind the prefix are set. Holds the prefix that may have been meant.
    #[error("has bits set behind its prefix")]
    HostBits(AddressRange),
    /// The ends do not fit together.
    #[error("{0}")]
    Range(#[from] RangeError),
}

/// Reads one text.
pub fn parse(text: &str) -> Result<Written, AddressError> {
    match text {
        "any" => return Ok(Written::Any),
        "any4" => return Ok(Written::Range(AddressRange::all(Family::V4))),
        "any6" => return Ok(Written::Range(AddressRange::all(Family::V6))),
        _ => {}
    }
    let range = match (text.split_once('/'), text.split_once('-')) {
        (Some((address, length)), _) => prefix(address, length)?,
        (None, Some((first, last))) => AddressRange::new(single(first)?, single(last)?)?,
        (None, None) => AddressRange::single(single(text)?),
    };
    Ok(Written::Range(range))
}

fn single(text: &str) -> Result<IpAddr, AddressError> {
    text.trim().parse().map_err(|_| AddressError::NotAnAddress)
}

fn prefix(address: &str, length: &str) -> Result<AddressRange, AddressError> {
    let address = single(address)?;
    let length = length.trim().parse().map_err(|_| AddressError::NotAnAddress)?;
    let range = AddressRange::prefix(address, length)?;
    if range.first() == address { Ok(range) } else { Err(AddressError::HostBits(range)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_shows() {
        for text in ["10.1.0.7", "10.1.0.0/24", "10.1.0.7-10.1.0.9", "2001:db8::/32", "::1", "0.0.0.0/0"] {
            let Ok(Written::Range(range)) = parse(text) else { panic!("{text}") };
            assert_eq!(range.to_string(), text);
        }
    }

    #[test]
    fn says_what_is_wrong() {
        assert_eq!(parse("lan"), Err(AddressError::NotAnAddress));
        assert_eq!(parse("10.0.0.0/"), Err(AddressError::NotAnAddress));
        assert_eq!(parse("10.0.0.0/33"), Err(AddressError::Range(RangeError::TooLong(32))));
        assert_eq!(parse("10.0.0.9-10.0.0.1"), Err(AddressError::Range(RangeError::Reversed)));
        assert_eq!(parse("10.0.0.9-::1"), Err(AddressError::Range(RangeError::Mixed)));
        assert!(
            matches!(parse("10.1.0.9/24"), Err(AddressError::HostBits(r)) if r.to_string() == "10.1.0.0/24")
        );
    }
}
