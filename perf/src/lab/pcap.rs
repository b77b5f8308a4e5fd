//! Reading captures (the classic pcap format, Ethernet) and judging what is in them.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};

const FILE_HEADER: usize = 24;
const RECORD_HEADER: usize = 16;
/// Little-endian, microseconds: what tcpdump writes on the machines we run on.
const MAGIC: [u8; 4] = [0xd4, 0xc3, 0xb2, 0xa1];
const LINKTYPE_ETHERNET: u32 = 1;

/// A capture in memory.
#[derive(Debug, Clone)]
pub struct Pcap {
    bytes: Vec<u8>,
}

/// What kind of thing a frame on the wan is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// ESP (RFC 4303), also as a fragment.
    Esp,
    /// UDP port 4500 with anything but a non-ESP marker: ESP in UDP or its keepalive (RFC 3948).
    EspInUdp,
    /// ARP, neighbour discovery, multicast listener reports: talk between neighbours.
    Neighbours,
    /// Anything else; on a wan, something that should not be in clear.
    Other,
}

impl Pcap {
    /// Reads a file. An error when it is not a pcap of Ethernet frames or ends inside a frame.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = fs::read(path).with_context(|| format!("reading {}", path.display()))?;
        Self::parse(bytes).with_context(|| format!("reading {}", path.display()))
    }

    /// Takes the bytes of a file. Errors as for [`Pcap::read`].
    pub fn parse(bytes: Vec<u8>) -> Result<Self> {
        ensure!(bytes.get(..4) == Some(&MAGIC), "not a little-endian pcap file");
        ensure!(number(&bytes, 20) == Some(LINKTYPE_ETHERNET), "not a capture of Ethernet frames");
        let capture = Self { bytes };
        let end = FILE_HEADER + capture.frames().map(|frame| RECORD_HEADER + frame.len()).sum::<usize>();
        ensure!(end == capture.bytes.len(), "the capture ends inside a frame");
        Ok(capture)
    }

    /// The frames, from the destination's link address on.
    pub fn frames(&self) -> impl Iterator<Item = &[u8]> {
        self.timed_frames().map(|(_, frame)| frame)
    }

    /// The frames with the time when each passed.
    pub fn timed_frames(&self) -> impl Iterator<Item = (SystemTime, &[u8])> {
        let mut at = FILE_HEADER;
        std::iter::from_fn(move || {
            let (seconds, micros) = (number(&self.bytes, at)?, number(&self.bytes, at + 4)?);
            let time =
                UNIX_EPOCH + Duration::from_secs(seconds.into()) + Duration::from_micros(micros.into());
            let length = number(&self.bytes, at + 8)? as usize;
            let begin = at + RECORD_HEADER;
            let frame = self.bytes.get(begin..begin.checked_add(length)?)?;
            at = begin + length;
            Some((time, frame))
        })
    }

    /// How many frames are of this kind.
    pub fn count(&self, kind: Kind) -> usize {
        self.frames().filter(|frame| kind_of(frame) == kind).count()
    }

    /// How many frames contain these bytes anywhere.
    pub fn count_containing(&self, needle: &[u8]) -> usize {
        self.frames().filter(|frame| contains(frame, needle)).count()
    }
}

/// What a frame is. Whatever cannot be read is [`Kind::Other`].
pub fn kind_of(frame: &[u8]) -> Kind {
    classify(frame).unwrap_or(Kind::Other)
}

fn classify(frame: &[u8]) -> Option<Kind> {
    let mut at = 12;
    while matches!(ethertype(frame, at)?, 0x8100 | 0x88a8) {
        at += 4;
    }
    let packet = frame.get(at + 2..)?;
    match ethertype(frame, at)? {
        0x0800 => ipv4(packet),
        0x86dd => ipv6(packet),
        0x0806 => Some(Kind::Neighbours),
        _ => None,
    }
}

fn ipv4(packet: &[u8]) -> Option<Kind> {
    let header = usize::from(packet.first()? & 0x0f) * 4;
    let later_fragment = u16::from_be_bytes([packet.get(6)? & 0x1f, *packet.get(7)?]) != 0;
    match packet.get(9)? {
        50 => Some(Kind::Esp),
        17 if !later_fragment => udp(packet.get(header..)?),
        // IGMP
        2 => Some(Kind::Neighbours),
        _ => None,
    }
}

fn ipv6(packet: &[u8]) -> Option<Kind> {
    let mut next = *packet.get(6)?;
    let mut rest = packet.get(40..)?;
    // Hop-by-hop options precede listener reports; a fragment header may precede ESP.
    while matches!(next, 0 | 44) {
        let length = if next == 44 { 8 } else { 8 + usize::from(*rest.get(1)?) * 8 };
        next = *rest.first()?;
        rest = rest.get(length..)?;
    }
    match next {
        50 => Some(Kind::Esp),
        17 => udp(rest),
        58 if matches!(rest.first()?, 130..=137 | 143) => Some(Kind::Neighbours),
        _ => None,
    }
}

fn udp(datagram: &[u8]) -> Option<Kind> {
    let is_nat_port = |at: usize| datagram.get(at..at + 2) == Some(&4500_u16.to_be_bytes());
    let non_esp_marker = datagram.get(8..12) == Some(&[0; 4]);
    ((is_nat_port(0) || is_nat_port(2)) && !non_esp_marker).then_some(Kind::EspInUdp)
}

fn ethertype(frame: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*frame.get(at..)?.first_chunk()?))
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// Whether the bytes occur; an empty needle does not.
fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    let Some(&first) = needle.first() else { return false };
    let mut rest = haystack;
    while let Some(at) = rest.iter().position(|&byte| byte == first) {
        if rest[at..].starts_with(needle) {
            return true;
        }
        rest = &rest[at + 1..];
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(frames: &[&[u8]]) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend([0; 16]);
        bytes.extend(LINKTYPE_ETHERNET.to_le_bytes());
        for frame in frames {
            let length = u32::try_from(frame.len()).unwrap().to_le_bytes();
            bytes.extend([7, 0, 0, 0, 5, 0, 0, 0]);
            bytes.extend(length);
            bytes.extend(length);
            bytes.extend(*frame);
        }
        bytes
    }

    /// Ethernet header and the rest.
    fn frame(ethertype: u16, rest: &[u8]) -> Vec<u8> {
        [&[2; 12], &ethertype.to_be_bytes()[..], rest].concat()
    }

    fn v4(protocol: u8, payload: &[u8]) -> Vec<u8> {
        let mut header = [0_u8; 20];
        header[0] = 0x45;
        header[9] = protocol;
        frame(0x0800, &[&header, payload].concat())
    }

    fn v6(next: u8, payload: &[u8]) -> Vec<u8> {
        let mut header = [0_u8; 40];
        header[0] = 0x60;
        header[6] = next;
        frame(0x86dd, &[&header, payload].concat())
    }

    #[test]
    fn frames_come_back_as_written() {
        let capture = Pcap::parse(file(&[b"first", b"", b"third"])).unwrap();
        assert_eq!(capture.frames().collect::<Vec<_>>(), [&b"first"[..], b"", b"third"]);
        let (time, _) = capture.timed_frames().last().unwrap();
        assert_eq!(time.duration_since(UNIX_EPOCH).unwrap(), Duration::from_micros(7_000_005));
    }

    #[test]
    fn a_cut_file_is_refused() {
        let whole = file(&[b"first", b"second"]);
        for end in 0..whole.len() {
            let at_a_boundary = [FILE_HEADER, FILE_HEADER + RECORD_HEADER + 5].contains(&end);
            assert_eq!(Pcap::parse(whole[..end].to_vec()).is_ok(), at_a_boundary, "cut at {end}");
        }
    }

    #[test]
    fn needles_are_found_anywhere_and_only_when_there() {
        let capture = Pcap::parse(file(&[b"aab", b"xaabx", b"aa", b"ab"])).unwrap();
        assert_eq!(capture.count_containing(b"aab"), 2);
        assert_eq!(capture.count_containing(b"b"), 3);
        assert_eq!(capture.count_containing(b"c"), 0);
        assert_eq!(capture.count_containing(b""), 0);
    }

    #[test]
    fn kinds_are_told_apart() {
        let nat = |payload: &[u8]| [&[0x11, 0x94, 0x11, 0x94, 0, 20, 0, 0], payload].concat();
        assert_eq!(kind_of(&v4(50, &[])), Kind::Esp);
        assert_eq!(kind_of(&v6(50, &[])), Kind::Esp);
        assert_eq!(kind_of(&v6(44, &[50, 0, 0, 0, 0, 0, 0, 0])), Kind::Esp);
        assert_eq!(kind_of(&v4(17, &nat(&[0, 0, 1, 0]))), Kind::EspInUdp);
        assert_eq!(kind_of(&v4(17, &nat(&[0xff]))), Kind::EspInUdp);
        assert_eq!(kind_of(&v4(17, &nat(&[0, 0, 0, 0, 1]))), Kind::Other, "IKE");
        assert_eq!(kind_of(&v4(6, &[])), Kind::Other);
        assert_eq!(kind_of(&v4(1, &[])), Kind::Other);
        assert_eq!(kind_of(&v6(58, &[128, 0])), Kind::Other, "an echo is no neighbour's talk");
        assert_eq!(kind_of(&v6(58, &[135, 0])), Kind::Neighbours);
        assert_eq!(kind_of(&v6(0, &[58, 0, 5, 2, 0, 0, 0, 0, 143, 0])), Kind::Neighbours);
        assert_eq!(kind_of(&frame(0x0806, &[])), Kind::Neighbours);
        assert_eq!(kind_of(&frame(0x8100, &[&[0, 5][..], &v4(50, &[])[12..]].concat())), Kind::Esp);
    }

    #[test]
    fn whatever_ends_early_is_other() {
        for whole in [v4(50, &[]), v6(50, &[])] {
            // The next-header octet of IPv6 is at 20, the protocol of IPv4 at 23; IPv6 needs its whole header.
            for end in 0..23 {
                assert_eq!(kind_of(&whole[..end]), Kind::Other);
            }
        }
    }
}
