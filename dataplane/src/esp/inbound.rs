//! Opening: find the SA, check the window, verify and decrypt, commit the window, take everything outside off, check the
//! selectors (RFC 4303 3.4, RFC 4301 5.2).

use arrayvec::ArrayVec;
use ravelin_contract::sa::Mode;
use ravelin_contract::selector::protocol;
use ravelin_contract::verdict::Verdict;
use ravelin_crypto_accel::Text;
use ravelin_crypto_accel::aead::{self, OpenJob};
use ravelin_crypto_accel::etm::{self, OpenError};
use ravelin_crypto_accel::nonce::ReceivedNonce;

use super::claim::{self, paired};
use super::lookup::{End, Lookup};
use super::parts::{Parts, upper_half};
use super::sa::InboundSa;
use super::suite::Cipher;
use super::{ecn, trailer, transport};
use crate::packet::{BATCH, Batch, Origin, Packet, Route};
use crate::wire::esp::{Header, InUdp};
use crate::wire::ip::{self, Fragment, Headers};
use crate::wire::{edit, udp};

/// A packet to open.
struct Claim<'a> {
    place: usize,
    sa: &'a InboundSa,
    /// Position of the SA in its table.
    index: u32,
    /// With the upper half, where numbers are extended.
    number: u64,
    /// Octets of the IP header outside, extension headers included.
    header_len: usize,
    parts: Parts,
    /// What [`Parts::spread`] covered, until it is put back.
    covered: Option<[u8; 4]>,
}

impl claim::Claim for Claim<'_> {
    fn place(&self) -> usize {
        self.place
    }
}

impl Claim<'_> {
    fn refuse(&self, packet: &mut Packet, verdict: Verdict) {
        packet.end(verdict);
        self.sa.received.drops.count(verdict);
    }

    /// What a wrong ICV means. A copy from before the window is completed to a number of the next half (RFC 4303 A2.2),
    /// under which its ICV cannot be right: that is a replay, not an attempt to forge.
    fn unproved(&self) -> Verdict {
        let old = self.sa.extended && self.sa.received.window.is_likely_old(self.number);
        if old { Verdict::Replayed } else { Verdict::BadIcv }
    }

    /// Where the packet, not yet stripped, came from.
    fn end_of(&self, packet: &Packet) -> End {
        let port = packet.ip.flow.upper.map(|(source, _)| source);
        (packet.ip.flow.source, port.filter(|_| self.is_in_udp()))
    }

    fn is_in_udp(&self) -> bool {
        self.parts.esp_at > self.header_len
    }
}

type Claims<'a> = ArrayVec<Claim<'a>, BATCH>;

/// Opens every received packet that is ESP, or ESP in UDP, to an address of ours. Each either becomes the packet that was
/// inside, with its headers in `packet.ip` and its SA in `packet.opened_by`, or ends. It stays in its frame. What is not
/// ESP to us is left alone, IKE on the same UDP port too; NAT keepalives end here.
///
/// One level is opened: ESP inside ESP is left as it is.
///
/// Only the worker that owns an SA may open its packets, because the window has one writer.
pub fn open(batch: &mut Batch, sas: &impl Lookup) {
    // Filled in place: as a value it would be copied, empty or not, in each breath.
    let mut claims = Claims::new();
    find(batch, sas, &mut claims);
    if claims.is_empty() {
        return;
    }
    check(batch, &mut claims); // cheap: most replays end here
    decrypt(batch, &mut claims); // dear: proves that the number is the peer's
    commit(batch, &mut claims, sas); // only proved numbers move the window
    strip(batch, &mut claims);
    count(batch, &claims);
}

/// The SPI of a packet that [`open`] would open: it belongs to the worker that owns the SA.
pub fn spi(packet: &Packet, sas: &impl Lookup) -> Option<u32> {
    if !is_for_us(packet) {
        return None;
    }
    let (esp_at, end) = locate(packet, sas).ok()??;
    let header = packet.frame.bytes().get(esp_at..end).and_then(Header::read)?;
    sas.inbound(header.spi, packet.ip.flow.destination).map(|_| header.spi)
}

/// Whether the packet is ESP, or ESP in UDP, that [`open`] would look at.
pub fn is_sealed(packet: &Packet, sas: &impl Lookup) -> bool {
    is_for_us(packet)
        && sas.is_local(packet.ip.flow.destination)
        && matches!(locate(packet, sas), Ok(Some(_)))
}

/// What an ESP packet names for which there is no SA: its SPI, and the UDP ports where UDP carried it.
pub fn unknown(packet: &Packet, sas: &impl Lookup) -> Option<(u32, Option<(u16, u16)>)> {
    let (esp_at, end) = locate(packet, sas).ok()??;
    let header = packet.frame.bytes().get(esp_at..end).and_then(Header::read)?;
    let is_in_udp = packet.ip.flow.protocol == protocol::UDP;
    Some((header.spi, packet.ip.flow.upper.filter(|_| is_in_udp)))
}

/// Whether the packet is one to look at: from outside, and not opened yet.
fn is_for_us(packet: &Packet) -> bool {
    packet.travels() && packet.origin == Origin::Wire && packet.opened_by.is_none()
}

fn find<'a>(batch: &mut Batch, sas: &'a impl Lookup, claims: &mut Claims<'a>) {
    for (place, packet) in batch.packets.iter_mut().enumerate() {
        if !is_for_us(packet) {
            continue;
        }
        match find_one(place, packet, sas) {
            Ok(claim) => claims.extend(claim),
            Err(verdict) => packet.end(verdict),
        }
    }
}

/// `None` when the packet is not ESP to us.
fn find_one<'a>(place: usize, packet: &Packet, sas: &'a impl Lookup) -> Result<Option<Claim<'a>>, Verdict> {
    let Some((esp_at, end)) = locate(packet, sas)? else { return Ok(None) };
    let destination = packet.ip.flow.destination;
    let header = packet.frame.bytes().get(esp_at..end).and_then(Header::read);
    let found = header.and_then(|header| Some((header, sas.inbound(header.spi, destination)?)));
    let Some((header, (index, sa))) = found else {
        return match (sas.is_local(destination), header) {
            (false, _) => Ok(None),
            (true, None) => Err(Verdict::BadEspLength),
            (true, Some(_)) => Err(Verdict::NoSuchSa),
        };
    };
    let refuse = |verdict| {
        sa.received.drops.count(verdict);
        verdict
    };
    let text_len = sa.suite.text_len(end - esp_at).ok_or(Verdict::BadEspLength).map_err(refuse)?;
    let number = number_of(sa, header.sequence).ok_or(Verdict::Replayed).map_err(refuse)?;
    let text_at = esp_at + sa.suite.front();
    Ok(Some(Claim {
        place,
        sa,
        index,
        number,
        header_len: packet.ip.header_len.into(),
        parts: Parts { esp_at, text_at, icv_at: text_at + text_len, end },
        covered: None,
    }))
}

/// Start and end of the ESP packet within the frame, plain or in UDP.
fn locate(packet: &Packet, sas: &impl Lookup) -> Result<Option<(usize, usize)>, Verdict> {
    let ip = &packet.ip;
    let (start, end) = (usize::from(ip.header_len), usize::from(ip.total_len));
    match (ip.flow.protocol, ip.flow.upper) {
        // Fragments are put together before ESP (RFC 4303 3.4.1). What comes here all the same is no ESP packet.
        (protocol::ESP, _) if ip.fragment != Fragment::Whole => {
            if sas.is_local(ip.flow.destination) {
                Err(Verdict::BadEspLength)
            } else {
                Ok(None)
            }
        }
        (protocol::ESP, _) => Ok(Some((start, end))),
        (protocol::UDP, Some((_, port))) if ip.fragment == Fragment::Whole && sas.carries_esp(port) => {
            let Some(payload) = packet.frame.bytes().get(start..end).and_then(udp::payload) else {
                return Ok(None);
            };
            let esp_at = start + udp::HEADER;
            match InUdp::of(payload) {
                InUdp::Esp(esp) => Ok(Some((esp_at, esp_at + esp.len()))),
                InUdp::Keepalive if sas.is_local(ip.flow.destination) => Err(Verdict::Keepalive),
                _ => Ok(None),
            }
        }
        _ => Ok(None),
    }
}

/// The packet's number. 0 is never sent, and without extended numbers there is no upper half to find.
fn number_of(sa: &InboundSa, low: u32) -> Option<u64> {
    let number = if sa.extended { sa.received.window.complete(low)? } else { low.into() };
    (number != 0).then_some(number)
}

fn check(batch: &mut Batch, claims: &mut Claims<'_>) {
    for (packet, claim) in paired(&mut batch.packets, claims) {
        if !claim.sa.received.window.check(claim.number) {
            claim.refuse(packet, Verdict::Replayed);
        }
    }
}

fn commit(batch: &mut Batch, claims: &mut Claims<'_>, sas: &impl Lookup) {
    for (packet, claim) in paired(&mut batch.packets, claims) {
        let window = &claim.sa.received.window;
        let is_newest = claim.number > window.highest();
        if !window.commit(claim.number) {
            claim.refuse(packet, Verdict::Replayed);
        } else if is_newest {
            // An old packet tells nothing about where the peer is now.
            claim.sa.notice_end(claim.end_of(packet), |end| sas.moved(claim.sa, end));
        }
    }
}

/// All combined modes of the batch go to the cipher in one call.
fn decrypt(batch: &mut Batch, claims: &mut Claims<'_>) {
    let mut jobs = ArrayVec::<OpenJob<'_>, BATCH>::new();
    for (packet, claim) in paired(&mut batch.packets, claims) {
        let Packet { frame, verdict, .. } = packet;
        let octets = frame.bytes_mut();
        let outcome = match &claim.sa.suite.cipher {
            Cipher::Aead { .. } => match aead_job(claim, octets) {
                Some(job) => {
                    jobs.push(job);
                    Ok(())
                }
                None => Err(Verdict::BadEspLength),
            },
            Cipher::Etm(key) => verify_then_decrypt(key, claim, octets),
        };
        if let Err(refused) = outcome {
            verdict.get_or_insert(refused);
            claim.sa.received.drops.count(refused);
        }
    }
    aead::open(&mut jobs);
    let authentic: ArrayVec<bool, BATCH> = jobs.iter().map(|job| job.outcome().is_ok()).collect();
    drop(jobs);
    conclude(batch, claims, &authentic);
}

fn aead_job<'o, 'sa: 'o>(claim: &mut Claim<'sa>, octets: &'o mut [u8]) -> Option<OpenJob<'o>> {
    let (sa, parts) = (claim.sa, claim.parts);
    let Cipher::Aead { key, salt, in_clear } = &sa.suite.cipher else { return None };
    let nonce = ReceivedNonce::esp(salt.0, *parts.iv8(octets)?);
    claim.covered = sa.extended.then(|| parts.spread(octets, claim.number));
    let view = parts.aead(octets, sa.extended, *in_clear)?;
    Some(OpenJob::new(key, nonce, view.aad, Text::in_place(view.text).ok()?, view.tag))
}

/// Ends the packets whose ICV was wrong; `authentic` has one entry per combined-mode claim that still travels. The header
/// outside becomes whole again: transport mode needs it.
fn conclude(batch: &mut Batch, claims: &mut Claims<'_>, authentic: &[bool]) {
    let combined = paired(&mut batch.packets, claims)
        .filter(|(_, claim)| matches!(claim.sa.suite.cipher, Cipher::Aead { .. }));
    for ((packet, claim), authentic) in combined.zip(authentic) {
        if let Some(covered) = claim.covered.take() {
            claim.parts.unspread(packet.frame.bytes_mut(), covered);
        }
        if !authentic {
            claim.refuse(packet, claim.unproved());
        }
    }
}

fn verify_then_decrypt(key: &etm::Key, claim: &Claim<'_>, octets: &mut [u8]) -> Result<(), Verdict> {
    let high = upper_half(claim.number);
    let after: &[u8] = if claim.sa.extended { &high } else { &[] };
    let view = claim.parts.etm(octets).ok_or(Verdict::BadEspLength)?;
    let iv = view.iv.first_chunk().copied().unwrap_or_default();
    let text = Text::in_place(view.text).map_err(|_| Verdict::BadEspLength)?;
    key.open(view.header, &iv, text, after, view.icv).map_err(|error| match error {
        OpenError::Length(_) => Verdict::BadEspLength,
        OpenError::BadTag(_) => claim.unproved(),
    })
}

fn strip(batch: &mut Batch, claims: &mut Claims<'_>) {
    for (packet, claim) in paired(&mut batch.packets, claims) {
        match strip_one(packet, claim) {
            Ok(headers) => {
                packet.ip = headers;
                packet.opened_by = Some(claim.index);
                packet.route = Route::Unknown;
            }
            Err(verdict) => claim.refuse(packet, verdict),
        }
    }
}

/// Makes the frame begin and end with the packet that was inside.
fn strip_one(packet: &mut Packet, claim: &Claim<'_>) -> Result<Headers, Verdict> {
    let Parts { text_at, icv_at, .. } = claim.parts;
    let text = packet.frame.bytes().get(text_at..icv_at).ok_or(Verdict::BadEspLength)?;
    let (payload, next_header) = trailer::read(text)?;
    packet.frame.place(packet.frame.headroom(), text_at + payload).ok_or(Verdict::BadEspLength)?;
    let headers = match (next_header, claim.sa.mode) {
        (protocol::NONE, _) => return Err(Verdict::Dummy),
        (protocol::IPV4 | protocol::IPV6, Mode::Tunnel) => leave_tunnel(packet, next_header, text_at)?,
        (_, Mode::Tunnel) => return Err(Verdict::BadInner),
        (_, Mode::Transport) => close_gap(packet, claim, next_header)?,
    };
    if claim.sa.admits(&headers.flow) { Ok(headers) } else { Err(Verdict::SelectorMismatch) }
}

/// Tunnel mode: what follows `inner_at` is a packet and, where its own length says that it ends earlier, padding that hid
/// its length (RFC 4303 2.7).
fn leave_tunnel(packet: &mut Packet, next_header: u8, inner_at: usize) -> Result<Headers, Verdict> {
    packet.frame.trim_front(inner_at).ok_or(Verdict::BadInner)?;
    let mut inner = parse(packet.frame.bytes())?;
    if inner.flow.source.is_ipv4() != (next_header == protocol::IPV4) {
        return Err(Verdict::BadInner);
    }
    packet.frame.place(packet.frame.headroom(), inner.total_len.into()).ok_or(Verdict::BadInner)?;
    let class = ecn::leave_tunnel(inner.traffic_class, packet.ip.traffic_class).ok_or(Verdict::BadEcn)?;
    if class != inner.traffic_class {
        edit::set_traffic_class(packet.frame.bytes_mut(), class);
        inner.traffic_class = class;
    }
    Ok(inner)
}

/// Transport mode: the headers outside move up to the payload.
fn close_gap(packet: &mut Packet, claim: &Claim<'_>, next_header: u8) -> Result<Headers, Verdict> {
    let start = claim.parts.text_at - claim.header_len;
    packet.frame.bytes_mut().copy_within(..claim.header_len, start);
    packet.frame.trim_front(start).ok_or(Verdict::BadInner)?;
    let octets = packet.frame.bytes_mut();
    transport::fit_headers(octets, packet.ip.protocol_at.into(), next_header);
    let headers = parse(octets)?;
    if claim.is_in_udp() {
        transport::renew_checksum(octets, &headers);
    }
    Ok(headers)
}

/// What was sealed in spite of its headers is the peer's fault, not the network's.
fn parse(octets: &[u8]) -> Result<Headers, Verdict> {
    ip::parse(octets).map_err(|_| Verdict::BadInner)
}

/// Counts what was opened, once per run of packets of one SA.
fn count(batch: &Batch, claims: &Claims<'_>) {
    for run in claims.chunk_by(|a, b| a.index == b.index) {
        let opened =
            run.iter().map(|claim| &batch.packets[claim.place]).filter(|packet| packet.opened_by.is_some());
        let (packets, octets) = opened
            .fold((0, 0), |(packets, octets), packet| (packets + 1, octets + u64::from(packet.ip.total_len)));
        if packets > 0 {
            run[0].sa.received.traffic.add_as_owner(packets, octets);
        }
    }
}
