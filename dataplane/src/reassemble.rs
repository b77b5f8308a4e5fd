//! Joining the fragments of ESP packets that are for us, which must happen before they are opened (RFC 4303 3.4.1).
//!
//! One table per worker, of fixed size. The fragment of a packet that arrives first gives its frame: the others are
//! copied into it and end as `Reassembled`; it comes out again as the whole packet, or with the verdict that says why
//! not. So each entry holds exactly one frame, and no more memory than that is ever used.

use std::net::IpAddr;
use std::ops::Range;

use arrayvec::ArrayVec;
use ravelin_contract::verdict::Verdict;

use crate::clock::Now;
use crate::frame::Frame;
use crate::packet::{Batch, Packet};
use crate::port::HEADROOM;
use crate::wire::edit;
use crate::wire::ip::{self, Chain, Fragment, Headers};

/// Packets that wait for fragments at once, per worker. When one more begins, the oldest is given up.
pub const CONTEXTS: usize = 64;
/// Fragments of one packet, at most.
pub const PIECES: usize = 32;
/// How long the rest of an IPv4 packet is waited for (RFC 791 3.2).
const TIMEOUT_IPV4_MS: u64 = 15_000;
/// How long the rest of an IPv6 packet is waited for (RFC 8200 4.5).
const TIMEOUT_IPV6_MS: u64 = 60_000;
/// Longest header before the fragments: IPv4 with all options, or IPv6 with a little more than its base header.
const LONGEST_HEAD: usize = 64;
/// Where payload begins within the slot, so that any header leaves the usual headroom.
const PAYLOAD_AT: usize = HEADROOM + LONGEST_HEAD;

/// The packets of one worker that are not complete.
#[derive(Debug)]
pub struct Reassembly {
    /// Never grows beyond [`CONTEXTS`], for which room was made at the start.
    contexts: Vec<Context>,
}

impl Default for Reassembly {
    fn default() -> Self {
        Self { contexts: Vec::with_capacity(CONTEXTS) }
    }
}

impl Reassembly {
    /// Takes in the fragments among the travelling packets that `is_ours` picks; whole packets come out at the end of the
    /// batch. Also ends what waited too long, as far as the batch has room.
    ///
    /// Every fragment ends as `Reassembled`, `FragmentOverlap` or `FragmentLimit`, or is kept; what was kept comes out
    /// whole, or with `FragmentTimeout`, `FragmentOverlap`, `FragmentLimit`, or what [`ip::parse`] says of the whole.
    pub fn collect(&mut self, batch: &mut Batch, now: Now, is_ours: impl Fn(&Packet) -> bool) {
        self.expire(batch, now);
        let mut index = 0;
        while let Some(packet) = batch.packets.get(index) {
            let wanted = packet.travels() && packet.ip.fragment != Fragment::Whole && is_ours(packet);
            if !wanted || !self.take(batch, index, now) {
                index += 1;
            }
        }
    }

    /// Frames that are kept.
    pub fn held(&self) -> usize {
        self.contexts.iter().filter(|context| context.state.is_ok()).count()
    }

    /// Ends what waited too long.
    fn expire(&mut self, batch: &mut Batch, now: Now) {
        let mut index = 0;
        while let Some(context) = self.contexts.get(index) {
            if context.until > now || batch.packets.is_full() {
                index += 1;
                continue;
            }
            self.give_up(index, Verdict::FragmentTimeout, batch);
        }
    }

    /// Forgets a context. The batch has room.
    fn give_up(&mut self, index: usize, verdict: Verdict, batch: &mut Batch) {
        let context = self.contexts.swap_remove(index);
        if let Ok(whole) = context.state {
            end_kept(whole.packet, verdict, batch);
        }
    }

    /// Takes the fragment at `index`. Says whether it left the batch.
    fn take(&mut self, batch: &mut Batch, index: usize, now: Now) -> bool {
        let packet = &mut batch.packets[index];
        let Some(piece) = Piece::of(packet) else {
            packet.end(Verdict::FragmentLimit);
            return false;
        };
        match self.contexts.iter().position(|context| context.key == piece.key) {
            None => {
                let packet = batch.packets.remove(index);
                self.begin(packet, &piece, now, batch);
                true
            }
            Some(_) if batch.packets.is_full() => {
                batch.packets[index].end(Verdict::FragmentLimit);
                false
            }
            Some(at) => {
                self.go_on(at, &piece, index, batch);
                false
            }
        }
    }

    /// Opens a context for the first of its fragments. It has left the batch, which so has room for one.
    fn begin(&mut self, packet: Packet, piece: &Piece, now: Now, batch: &mut Batch) {
        if self.contexts.len() == CONTEXTS
            && let Some(oldest) = (0..CONTEXTS).min_by_key(|at| self.contexts[*at].since)
        {
            self.give_up(oldest, Verdict::FragmentLimit, batch);
        }
        let timeout = if piece.key.source.is_ipv4() { TIMEOUT_IPV4_MS } else { TIMEOUT_IPV6_MS };
        let state = Ok(Whole::begin(packet, piece));
        self.contexts.push(Context { key: piece.key, since: now, until: now.plus_ms(timeout), state });
    }

    /// Adds the fragment at `index` to the context `at`. The batch has room for one.
    fn go_on(&mut self, at: usize, piece: &Piece, index: usize, batch: &mut Batch) {
        let context = &mut self.contexts[at];
        let added = match &mut context.state {
            Ok(whole) => whole.add(&batch.packets[index], piece),
            Err(verdict) => Err(*verdict),
        };
        let fragment = &mut batch.packets[index];
        match added {
            Ok(()) => {
                fragment.end(Verdict::Reassembled);
                self.finish(at, batch);
            }
            Err(verdict) => {
                fragment.end(verdict);
                // RFC 5722 3: fragments still to come are dropped too, so the context stays, without a frame.
                if let Ok(whole) = std::mem::replace(&mut context.state, Err(verdict)) {
                    end_kept(whole.packet, verdict, batch);
                }
            }
        }
    }

    /// Lets the packet of context `at` out if it is complete. The batch has room for one.
    fn finish(&mut self, at: usize, batch: &mut Batch) {
        if !self.contexts[at].state.as_ref().is_ok_and(Whole::is_complete) {
            return;
        }
        if let Ok(whole) = self.contexts.swap_remove(at).state {
            batch.packets.push(whole.finish());
        }
    }
}

fn end_kept(mut packet: Packet, verdict: Verdict, batch: &mut Batch) {
    packet.end(verdict);
    batch.packets.push(packet);
}

/// One packet that is waited for.
#[derive(Debug)]
struct Context {
    key: Key,
    /// When its first fragment came.
    since: Now,
    /// When it is given up.
    until: Now,
    /// Why it will never be whole, or what there is of it.
    state: Result<Whole, Verdict>,
}

/// What fragments of one packet have in common (RFC 791 3.2, RFC 8200 4.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Key {
    source: IpAddr,
    destination: IpAddr,
    id: u32,
    /// IPv4 only: in IPv6 the first fragment alone decides.
    protocol: Option<u8>,
}

/// One fragment, as far as joining needs it.
#[derive(Debug)]
struct Piece {
    key: Key,
    /// Octets of the whole payload that it holds.
    covers: Range<u16>,
    is_last: bool,
    /// Octets of its own before the payload.
    payload_at: usize,
    /// Whether a router marked congestion on it (RFC 3168 5.3).
    is_congested: bool,
    /// The header of the whole packet, in the first fragment.
    head: Option<ArrayVec<u8, LONGEST_HEAD>>,
}

impl Piece {
    /// `None` when it can be no part of a packet that fits a frame.
    fn of(packet: &Packet) -> Option<Self> {
        let octets = packet.frame.bytes();
        let headers = &packet.ip;
        let (id, offset, is_last) = match headers.fragment {
            Fragment::Whole => return None,
            Fragment::First { id } => (id, 0, false),
            Fragment::Later { id, offset, more } => (id, offset, !more),
        };
        let is_ipv4 = headers.flow.source.is_ipv4();
        // In IPv6 more headers may follow the fragment header; they are payload here.
        let (payload_at, named) = if is_ipv4 {
            (headers.header_len.into(), None)
        } else {
            let (fragment_header, named_at) = Chain::walk(octets).ok()?.fragment_header?;
            (fragment_header + 8, Some((fragment_header, named_at)))
        };
        let end = offset.checked_add(u16::try_from(octets.len() - payload_at).ok()?)?;
        let head = match (offset, named) {
            (0, None) => Some(octets[..payload_at].iter().copied().collect()),
            (0, Some((fragment_header, named_at))) => Some(ipv6_head(octets, fragment_header, named_at)?),
            _ => None,
        };
        let fits = PAYLOAD_AT + usize::from(end) <= packet.frame.capacity();
        fits.then_some(Self {
            key: Key {
                source: headers.flow.source,
                destination: headers.flow.destination,
                id,
                protocol: is_ipv4.then_some(headers.flow.protocol),
            },
            covers: offset..end,
            is_last,
            payload_at,
            is_congested: headers.traffic_class & CONGESTED == CONGESTED,
            head,
        })
    }
}

/// The ECN field of a packet that met congestion.
const CONGESTED: u8 = 0b11;

/// The headers before the fragment header, the last of which names what the fragment header named.
fn ipv6_head(octets: &[u8], fragment_header: usize, named_at: usize) -> Option<ArrayVec<u8, LONGEST_HEAD>> {
    let mut head = ArrayVec::new();
    head.try_extend_from_slice(&octets[..fragment_header]).ok()?;
    head[named_at] = octets[fragment_header];
    Some(head)
}

/// What there is of one packet.
#[derive(Debug)]
struct Whole {
    /// The fragment that came first. Its frame spans the slot: payload lies from [`PAYLOAD_AT`], the head before it.
    packet: Packet,
    /// Length of the head, once the first fragment is there.
    head_len: Option<usize>,
    /// Length of the payload, once the last fragment is there; no piece reaches further.
    payload_len: Option<u16>,
    /// What is there: pieces as they came, none overlapping.
    pieces: ArrayVec<Range<u16>, PIECES>,
    is_congested: bool,
}

impl Whole {
    fn begin(packet: Packet, piece: &Piece) -> Self {
        let mut whole =
            Self { packet, head_len: None, payload_len: None, pieces: ArrayVec::new(), is_congested: false };
        let frame = &mut whole.packet.frame;
        let from = frame.headroom() + piece.payload_at;
        let length = frame.len() - piece.payload_at;
        let slot = slot(frame);
        slot.copy_within(from..from + length, PAYLOAD_AT + usize::from(piece.covers.start));
        whole.note(piece);
        whole
    }

    /// Copies a fragment in.
    ///
    /// Errors: `FragmentOverlap` when octets are there already, unless it is the same fragment again, or when it does not
    /// agree with the end of the packet; `FragmentLimit` when there are too many.
    fn add(&mut self, fragment: &Packet, piece: &Piece) -> Result<(), Verdict> {
        let agrees = self.agrees_on_end(piece);
        let is_again = self.pieces.contains(&piece.covers);
        if !agrees || (!is_again && self.overlaps(&piece.covers)) {
            return Err(Verdict::FragmentOverlap);
        }
        let payload = &fragment.frame.bytes()[piece.payload_at..];
        let place = PAYLOAD_AT + usize::from(piece.covers.start);
        let there = slot(&mut self.packet.frame).get_mut(place..place + payload.len());
        let there = there.ok_or(Verdict::FragmentLimit)?;
        if is_again {
            // RFC 8200 4.5 lets exact duplicates be ignored.
            return if there == payload { Ok(()) } else { Err(Verdict::FragmentOverlap) };
        }
        if self.pieces.is_full() {
            return Err(Verdict::FragmentLimit);
        }
        there.copy_from_slice(payload);
        self.note(piece);
        Ok(())
    }

    fn overlaps(&self, covers: &Range<u16>) -> bool {
        self.pieces.iter().any(|piece| piece.start < covers.end && covers.start < piece.end)
    }

    fn agrees_on_end(&self, piece: &Piece) -> bool {
        let furthest = self.pieces.iter().map(|piece| piece.end).max().unwrap_or(0);
        match (self.payload_len, piece.is_last) {
            (Some(length), true) => piece.covers.end == length,
            // Others come before the last.
            (Some(length), false) => piece.covers.end < length,
            (None, true) => furthest <= piece.covers.start,
            (None, false) => true,
        }
    }

    /// Writes down a piece whose payload is in place.
    fn note(&mut self, piece: &Piece) {
        self.pieces.push(piece.covers.clone());
        self.is_congested |= piece.is_congested;
        if piece.is_last {
            self.payload_len = Some(piece.covers.end);
        }
        if let Some(head) = &piece.head {
            slot(&mut self.packet.frame)[PAYLOAD_AT - head.len()..PAYLOAD_AT].copy_from_slice(head);
            self.head_len = Some(head.len());
        }
    }

    fn is_complete(&self) -> bool {
        let there: usize = self.pieces.iter().map(Range::len).sum();
        self.head_len.is_some() && self.payload_len.is_some_and(|length| there == usize::from(length))
    }

    /// The packet, ready to be read as any other. It is complete.
    fn finish(self) -> Packet {
        let Self { mut packet, head_len, payload_len, is_congested, .. } = self;
        let (head_len, payload_len) = (head_len.unwrap_or(0), usize::from(payload_len.unwrap_or(0)));
        let parsed = match packet.frame.place(PAYLOAD_AT - head_len, head_len + payload_len) {
            Some(()) => mend(packet.frame.bytes_mut(), is_congested),
            None => Err(Verdict::FragmentLimit),
        };
        match parsed {
            Ok(headers) => packet.ip = headers,
            Err(verdict) => packet.end(verdict),
        }
        packet
    }
}

/// Makes the header of the first fragment that of the whole packet.
fn mend(octets: &mut [u8], is_congested: bool) -> Result<Headers, Verdict> {
    // A frame holds no more than 65,535 octets.
    let total_len = octets.len() as u16;
    edit::set_total_len(octets, total_len);
    if octets[0] >> 4 == 4 {
        edit::mark_fragment(octets, 0, false);
    }
    let mut headers = ip::parse(octets)?;
    // A packet whose sender does not know ECN never says that it met congestion.
    if is_congested && headers.traffic_class & CONGESTED != 0 {
        headers.traffic_class |= CONGESTED;
        edit::set_traffic_class(octets, headers.traffic_class);
    }
    Ok(headers)
}

/// All octets of the frame's slot; the packet within spans them from here on.
fn slot(frame: &mut Frame) -> &mut [u8] {
    // Cannot fail: the slot has `capacity` octets.
    let _ = frame.place(0, frame.capacity());
    frame.bytes_mut()
}

#[cfg(test)]
mod tests;
