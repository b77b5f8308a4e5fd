//! The clear part of an ESP packet (RFC 4303 2) and what else arrives on its UDP port (RFC 3948 2).

use super::ip::long;

/// Octets of SPI and sequence number.
pub const HEADER: usize = 8;

/// SPI and sequence number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Which SA; 0 never is one, 1 to 255 are reserved (RFC 4303 2.1).
    pub spi: u32,
    /// Low 32 bits of the sequence number.
    pub sequence: u32,
}

impl Header {
    /// Reads it. `None` when there are fewer than 8 octets.
    pub fn read(packet: &[u8]) -> Option<Self> {
        let header: &[u8; HEADER] = packet.first_chunk()?;
        Some(Self { spi: long(header, 0), sequence: long(header, 4) })
    }

    /// Writes it.
    pub fn write(&self, into: &mut [u8; HEADER]) {
        into[..4].copy_from_slice(&self.spi.to_be_bytes());
        into[4..].copy_from_slice(&self.sequence.to_be_bytes());
    }
}

/// The SPI alone, for quotes that end after it. `None` when there are fewer than 4 octets.
pub fn spi(packet: &[u8]) -> Option<u32> {
    packet.first_chunk().map(|spi| u32::from_be_bytes(*spi))
}

/// What a datagram on the UDP port for encapsulated ESP carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InUdp<'a> {
    /// An ESP packet: it begins with an SPI that is not 0. It may still be too short.
    Esp(&'a [u8]),
    /// Four octets of 0 come first: an IKE message.
    NonEspMarker,
    /// One octet of 0xff.
    Keepalive,
    /// Too short to be any of these.
    Neither,
}

impl<'a> InUdp<'a> {
    /// Tells by the first octets of a UDP payload.
    pub fn of(payload: &'a [u8]) -> Self {
        match payload {
            [0xff] => Self::Keepalive,
            [0, 0, 0, 0, ..] => Self::NonEspMarker,
            [_, _, _, _, ..] => Self::Esp(payload),
            _ => Self::Neither,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_is_read_as_written() {
        let header = Header { spi: 0x0102_0304, sequence: 0xfffe_fdfc };
        let mut octets = [0; HEADER];
        header.write(&mut octets);
        assert_eq!(octets, [1, 2, 3, 4, 0xff, 0xfe, 0xfd, 0xfc]);
        assert_eq!(Header::read(&octets), Some(header));
        assert_eq!(Header::read(&octets[1..]), None);
    }

    #[test]
    fn payloads_are_told_apart() {
        assert_eq!(InUdp::of(&[0xff]), InUdp::Keepalive);
        assert_eq!(InUdp::of(&[0xff, 0xff]), InUdp::Neither);
        assert_eq!(InUdp::of(&[]), InUdp::Neither);
        assert_eq!(InUdp::of(&[0; 4]), InUdp::NonEspMarker);
        assert_eq!(InUdp::of(&[0, 0, 0]), InUdp::Neither);
        assert_eq!(InUdp::of(&[0, 0, 1, 0]), InUdp::Esp(&[0, 0, 1, 0]));
    }
}
