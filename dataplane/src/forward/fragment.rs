//! Cutting a packet into fragments (RFC 791 3.2, RFC 8200 4.5).

use arrayvec::ArrayVec;
use ravelin_contract::verdict::Verdict;

use crate::frame::{Frame, Pool};
use crate::packet::{Batch, Packet};
use crate::wire::ip::{Fragment, Headers, IPV4_HEADER, word};
use crate::wire::{edit, ipv4};

/// Longest header that is repeated in front of every piece.
const LONGEST_HEAD: usize = 128;
/// Octets of an IPv6 fragment header.
const FRAGMENT_HEADER: usize = 8;
/// Number of the IPv6 fragment header.
const FRAGMENT: u8 = 44;

/// Cuts the packet at `index` into pieces of at most `mtu` octets; one that fits stays whole. The first piece stays in its place, the others are
/// appended to the batch. All keep route, decision and the whole packet's flow, so that one SA seals them all.
///
/// An IPv6 packet gets fragment headers with `id`, so it must be ours; in IPv4 `id` is not used. Whether the packet may
/// be cut is for the caller to know.
///
/// Errors, with the packet as it was: `TooBig` when `mtu` leaves no room for data; `BatchFull` and `NoFrame`.
pub fn cut(batch: &mut Batch, index: usize, mtu: u16, id: u32, pool: &mut Pool) -> Result<(), Verdict> {
    let packet = &batch.packets[index];
    if packet.frame.len() <= mtu.into() {
        return Ok(());
    }
    let plan = Plan::new(packet, mtu, id).ok_or(Verdict::TooBig)?;
    let more_pieces = plan.payload_len.div_ceil(plan.chunk) - 1;
    if more_pieces > batch.packets.remaining_capacity() {
        return Err(Verdict::BatchFull);
    }
    let grown = plan.first_head - usize::from(packet.ip.header_len);
    if more_pieces > pool.free() as usize || grown > packet.frame.headroom() {
        return Err(Verdict::NoFrame);
    }
    for number in 1..=more_pieces {
        let whole = &batch.packets[index];
        // Frames of one pool are alike and every piece is shorter than the whole, so this one has the room.
        let frame = plan.later(whole, number, pool).ok_or(Verdict::NoFrame)?;
        let ip = plan.headers(&whole.ip, number, frame.len());
        let piece = piece(frame, ip, whole);
        batch.packets.push(piece);
    }
    plan.first(&mut batch.packets[index])
}

fn piece(frame: Frame, ip: Headers, whole: &Packet) -> Packet {
    Packet {
        opened_by: whole.opened_by,
        route: whole.route,
        decision: whole.decision,
        sealed: whole.sealed,
        outer_mtu: whole.outer_mtu,
        ..Packet::new(frame, ip, whole.ingress, whole.origin)
    }
}

/// How one packet is cut.
struct Plan {
    /// Header of the later pieces, with an IPv6 fragment header at its end; lengths and offset are still to be written.
    head: ArrayVec<u8, LONGEST_HEAD>,
    /// Octets of the first piece's header.
    first_head: usize,
    /// Octets of payload in every piece but the last; a multiple of 8, not 0.
    chunk: usize,
    /// Octets of payload of the whole; more than `chunk`.
    payload_len: usize,
    /// Offset of the whole, when it is a fragment itself.
    base: usize,
    /// Whether fragments follow the whole.
    more: bool,
    /// Identification.
    id: u32,
}

impl Plan {
    fn new(packet: &Packet, mtu: u16, id: u32) -> Option<Self> {
        let octets = packet.frame.bytes();
        let is_ipv4 = packet.ip.flow.source.is_ipv4();
        let header = &octets[..packet.ip.header_len.into()];
        let (head, first_head, id) = if is_ipv4 {
            (later_ipv4_head(header), header.len(), word(header, 4).into())
        } else {
            (ipv6_head(header, &packet.ip, id)?, header.len() + FRAGMENT_HEADER, id)
        };
        let (base, more) = match packet.ip.fragment {
            Fragment::Whole => (0, false),
            Fragment::First { .. } => (0, true),
            Fragment::Later { offset, more, .. } => (offset.into(), more),
        };
        // The first header is never shorter than the others.
        let chunk = usize::from(mtu).checked_sub(first_head)? & !7;
        let payload_len = octets.len() - header.len();
        (chunk > 0 && payload_len > chunk).then_some(Self {
            head,
            first_head,
            chunk,
            payload_len,
            base,
            more,
            id,
        })
    }

    /// Piece `number`, counted from 0, of the packet that is still whole.
    fn later(&self, whole: &Packet, number: usize, pool: &mut Pool) -> Option<Frame> {
        let start = number * self.chunk;
        let end = self.payload_len.min(start + self.chunk);
        let payload = &whole.frame.bytes()[whole.ip.header_len.into()..][start..end];
        let mut frame = pool.take()?;
        // With the headroom of the whole, which may be just what sealing needs to stay in place.
        if frame.place(whole.frame.headroom(), self.head.len() + payload.len()).is_none() {
            pool.give(frame);
            return None;
        }
        let octets = frame.bytes_mut();
        octets[..self.head.len()].copy_from_slice(&self.head);
        octets[self.head.len()..].copy_from_slice(payload);
        self.stamp(octets, self.head.len(), number);
        Some(frame)
    }

    /// Makes the whole its own first piece.
    fn first(&self, packet: &mut Packet) -> Result<(), Verdict> {
        let header_len = usize::from(packet.ip.header_len);
        let grown = self.first_head - header_len;
        packet.frame.grow_front(grown).ok_or(Verdict::NoFrame)?;
        let length = self.first_head + self.chunk;
        packet.frame.place(packet.frame.headroom(), length).ok_or(Verdict::NoFrame)?;
        let octets = packet.frame.bytes_mut();
        if grown > 0 {
            octets[..self.first_head].copy_from_slice(&self.head);
        }
        self.stamp(octets, self.first_head, 0);
        packet.ip = self.headers(&packet.ip, 0, length);
        Ok(())
    }

    /// Writes length, offset and flag into a piece whose header takes `head` octets.
    fn stamp(&self, octets: &mut [u8], head: usize, number: usize) {
        let total_len = octets.len() as u16;
        edit::set_total_len(octets, total_len);
        let (offset, more) = self.position(number);
        if octets[0] >> 4 == 4 {
            edit::mark_fragment(octets, offset, more);
        } else {
            octets[head - 6..head - 4].copy_from_slice(&(offset | u16::from(more)).to_be_bytes());
        }
    }

    fn position(&self, number: usize) -> (u16, bool) {
        let is_last = (number + 1) * self.chunk >= self.payload_len;
        ((self.base + number * self.chunk) as u16, self.more || !is_last)
    }

    fn headers(&self, whole: &Headers, number: usize, total_len: usize) -> Headers {
        let (offset, more) = self.position(number);
        let id = self.id;
        let header_len = if number == 0 { self.first_head } else { self.head.len() };
        let is_ipv4 = whole.flow.source.is_ipv4();
        Headers {
            header_len: header_len as u16,
            total_len: total_len as u16,
            protocol_at: if is_ipv4 { whole.protocol_at } else { (header_len - FRAGMENT_HEADER) as u16 },
            fragment: if offset == 0 { Fragment::First { id } } else { Fragment::Later { id, offset, more } },
            opens_tcp: whole.opens_tcp && offset == 0,
            ..*whole
        }
    }
}

/// The header of later pieces: only options with the copied flag come again (RFC 791 3.1).
fn later_ipv4_head(header: &[u8]) -> ArrayVec<u8, LONGEST_HEAD> {
    const COPIED: u8 = 0x80;
    let (base, mut options) = header.split_at(IPV4_HEADER);
    let mut head: ArrayVec<u8, LONGEST_HEAD> = base.iter().copied().collect();
    // Parsing has judged the options: lengths hold, 0 ends them and 1 stands alone.
    while let [kind, rest @ ..] = options
        && *kind != 0
    {
        let length =
            if *kind == 1 { 1 } else { rest.first().map_or(1, |length| usize::from(*length).max(2)) };
        let (option, after) = options.split_at(length.min(options.len()));
        if kind & COPIED != 0 {
            head.extend(option.iter().copied());
        }
        options = after;
    }
    while !head.len().is_multiple_of(4) {
        head.push(0);
    }
    head[0] = 0x40 | (head.len() / 4) as u8;
    ipv4::write_checksum(&mut head);
    head
}

/// `None` when extension headers make it too long.
fn ipv6_head(header: &[u8], ip: &Headers, id: u32) -> Option<ArrayVec<u8, LONGEST_HEAD>> {
    let mut head = ArrayVec::new();
    head.try_extend_from_slice(header).ok()?;
    head.try_extend_from_slice(&[ip.flow.protocol, 0, 0, 0]).ok()?;
    head.try_extend_from_slice(&id.to_be_bytes()).ok()?;
    head[usize::from(ip.protocol_at)] = FRAGMENT;
    Some(head)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::packet::{Decision, Origin, PortIndex, Route};
    use crate::port::HEADROOM;
    use crate::wire::ip;
    use crate::wire::samples::{Ip, join, tcp, udp};

    fn batch_of(pool: &mut Pool, octets: &[u8]) -> Batch {
        let mut frame = pool.take().unwrap();
        frame.place(HEADROOM, octets.len()).unwrap();
        frame.bytes_mut().copy_from_slice(octets);
        let mut packet = Packet::new(frame, ip::parse(octets).unwrap(), PortIndex(0), Origin::Wire);
        packet.route = Route::Local;
        packet.decision = Decision::Clear;
        let mut batch = Batch::default();
        batch.packets.push(packet);
        batch
    }

    fn octets_of(batch: &Batch) -> Vec<Vec<u8>> {
        batch.packets.iter().map(|packet| packet.frame.bytes().to_vec()).collect()
    }

    fn ipv4(length: usize) -> Ip {
        Ip::new("192.0.2.1", "198.51.100.2", 17, udp(1, 2, &(0..length).map(|n| n as u8).collect::<Vec<_>>()))
    }

    fn ipv6(length: usize) -> Ip {
        Ip {
            source: "2001:db8::1".parse().unwrap(),
            destination: "2001:db8::2".parse().unwrap(),
            ..ipv4(length)
        }
    }

    proptest! {
        /// Pieces, and pieces of pieces, fit and join to what was there; what the packet knows of itself is what is written.
        #[test]
        fn pieces_join_to_the_whole(
            is_ipv6: bool, length in 200usize..1800, mtu in 150u16..1500, then in 90u16..150,
            options in prop::sample::select(vec![vec![], vec![148, 4, 0, 0], vec![7, 7, 4, 1, 2, 3, 4, 1], vec![1, 7, 3, 4, 148, 4, 0, 0]]),
        ) {
            let mut ip = if is_ipv6 { ipv6(length) } else { ipv4(length) };
            ip.options = options;
            let mut pool = Pool::in_memory(64, 2048);
            let mut batch = batch_of(&mut pool, &ip.octets());
            prop_assert_eq!(cut(&mut batch, 0, mtu, 77, &mut pool), Ok(()));
            prop_assert!(octets_of(&batch).iter().all(|piece| piece.len() <= mtu.into()));
            if !is_ipv6 {
                // A second router on the way has a smaller MTU.
                for index in 0..batch.packets.len() {
                    prop_assert_eq!(cut(&mut batch, index, then, 0, &mut pool), Ok(()));
                }
                prop_assert!(octets_of(&batch).iter().all(|piece| piece.len() <= then.into()));
            }
            prop_assert_eq!(pool.free() as usize + batch.packets.len(), 64);
            for packet in &batch.packets {
                let written = ip::parse(packet.frame.bytes()).unwrap();
                prop_assert_eq!(Headers { flow: packet.ip.flow, ..written }, packet.ip);
                prop_assert_eq!((packet.route, packet.decision), (Route::Local, Decision::Clear));
            }
            prop_assert_eq!(join(&octets_of(&batch)), Some((17, ip.payload)));
        }
    }

    #[test]
    fn a_cut_syn_opens_once() {
        let mut ip = ipv4(400);
        (ip.protocol, ip.payload) = (6, [tcp(1, 2, 0x02, &[]), vec![0; 400]].concat());
        let mut pool = Pool::in_memory(8, 2048);
        let mut batch = batch_of(&mut pool, &ip.octets());
        cut(&mut batch, 0, 220, 0, &mut pool).unwrap();
        assert_eq!(
            batch.packets.iter().map(|packet| packet.ip.opens_tcp).collect::<Vec<_>>(),
            [true, false, false]
        );
    }

    #[test]
    fn only_copied_options_come_again() {
        let mut ip = ipv4(400);
        ip.options = vec![7, 3, 4, 1, 148, 4, 0, 0];
        let mut pool = Pool::in_memory(8, 2048);
        let mut batch = batch_of(&mut pool, &ip.octets());
        cut(&mut batch, 0, 228, 0, &mut pool).unwrap();
        let pieces = octets_of(&batch);
        assert_eq!(pieces[0][20..28], ip.options);
        assert_eq!(pieces[1][20..24], [148, 4, 0, 0]);
        assert_eq!((pieces[0][0], pieces[1][0]), (0x47, 0x46));
    }

    #[test]
    fn a_cut_that_cannot_be_done_changes_nothing() {
        let octets = ipv4(1400).octets();
        let mut pool = Pool::in_memory(3, 2048);
        let mut batch = batch_of(&mut pool, &octets);
        assert_eq!(cut(&mut batch, 0, 400, 0, &mut pool), Err(Verdict::NoFrame));
        assert_eq!(cut(&mut batch, 0, 27, 0, &mut pool), Err(Verdict::TooBig));
        let mut large = Pool::in_memory(100, 2048);
        assert_eq!(cut(&mut batch, 0, 36, 0, &mut large), Err(Verdict::BatchFull));
        assert_eq!(octets_of(&batch), [octets]);
        assert_eq!((pool.free(), large.free()), (2, 100));
    }
}
