//! Sealing: take a number, make room, pad, encrypt, write the headers outside (RFC 4303 3.3).

use arrayvec::ArrayVec;
use ravelin_contract::sa::Mode;
use ravelin_contract::selector::protocol;
use ravelin_contract::verdict::Verdict;
use ravelin_crypto_accel::Text;
use ravelin_crypto_accel::aead::{self, SealJob};
use ravelin_crypto_accel::etm;
use ravelin_crypto_accel::nonce::{Nonce, Number};

use super::claim::{self, paired};
use super::lookup::Lookup;
use super::outer::Carried;
use super::parts::{Parts, upper_half};
use super::sa::OutboundSa;
use super::suite::Cipher;
use super::transport::{self, Place};
use super::{room, trailer};
use crate::clock::Now;
use crate::frame::Pool;
use crate::packet::{BATCH, Batch, Decision, Packet, Route};
use crate::wire::ip::{Fragment, Headers};
use crate::wire::{esp, udp};

/// A packet to seal.
struct Claim<'a> {
    place: usize,
    sa: &'a OutboundSa,
    /// Used up by sealing.
    number: Option<Number>,
    parts: Parts,
    /// What [`Parts::spread`] covered, until it is put back.
    covered: Option<[u8; 4]>,
    /// Octets of the packet before it was sealed.
    inner_len: u16,
}

impl claim::Claim for Claim<'_> {
    fn place(&self) -> usize {
        self.place
    }
}

impl Claim<'_> {
    fn refuse(&self, packet: &mut Packet, verdict: Verdict) {
        packet.end(verdict);
        self.sa.sent.drops.count(verdict);
    }
}

type Claims<'a> = ArrayVec<Claim<'a>, BATCH>;

/// Seals every travelling packet whose decision is to protect it. Each either becomes a sealed packet with its new
/// headers in `packet.ip` and its route unknown again, or ends: `NoSa`, `SequenceExhausted`, `SequenceNotReserved`,
/// `NotSealable`, `TooLongToSeal`, `NoFrame`.
pub fn seal(batch: &mut Batch, sas: &impl Lookup, pool: &mut Pool, now: Now) {
    // Filled in place: as a value it would be copied, empty or not, in each breath.
    let mut claims = Claims::new();
    find(batch, sas, &mut claims);
    if claims.is_empty() {
        return;
    }
    take_numbers(batch, &mut claims);
    dress(batch, &mut claims, sas, pool, now);
    encrypt(batch, &mut claims);
    finish(batch, &mut claims);
    count(batch, &mut claims, now);
}

fn find<'a>(batch: &mut Batch, sas: &'a impl Lookup, claims: &mut Claims<'a>) {
    for (place, packet) in batch.packets.iter_mut().enumerate() {
        let Decision::Protect(tunnel) = packet.decision else { continue };
        if packet.sealed || !packet.travels() {
            continue;
        }
        let Some(sa) = sas.outbound(tunnel, &packet.ip.flow) else {
            packet.end(Verdict::NoSa);
            continue;
        };
        let parts = Parts { esp_at: 0, text_at: 0, icv_at: 0, end: 0 };
        let claim = Claim { place, sa, number: None, parts, covered: None, inner_len: packet.ip.total_len };
        if is_sealable(sa, &packet.ip) {
            claims.push(claim);
        } else {
            claim.refuse(packet, Verdict::NotSealable);
        }
    }
}

/// A tunnel carries anything. Transport mode carries whole packets between the security endpoints (RFC 4301 4.1, RFC 4303
/// 3.3.4).
fn is_sealable(sa: &OutboundSa, ip: &Headers) -> bool {
    sa.mode == Mode::Tunnel
        || (ip.fragment == Fragment::Whole && (ip.flow.source, ip.flow.destination) == sa.endpoints())
}

/// One step of the shared counter for each run of packets of one SA.
fn take_numbers(batch: &mut Batch, claims: &mut Claims<'_>) {
    for run in claims.chunk_by_mut(|a, b| std::ptr::eq(a.sa, b.sa)) {
        number_run(&mut batch.packets, run);
    }
}

fn number_run(packets: &mut [Packet], mut run: &mut [Claim<'_>]) {
    while let Some(first) = run.first() {
        match first.sa.sequence.take(run.len() as u32, first.sa.last_number()) {
            Ok(mut range) => {
                // A reservation may end within the run; then the next round asks for the rest.
                let (numbered, rest) = run.split_at_mut(range.remaining() as usize);
                numbered.iter_mut().for_each(|claim| claim.number = range.take());
                run = rest;
            }
            Err(shortage) => {
                run.iter().for_each(|claim| claim.refuse(&mut packets[claim.place], shortage.into()));
                return;
            }
        }
    }
}

fn dress(batch: &mut Batch, claims: &mut Claims<'_>, sas: &impl Lookup, pool: &mut Pool, now: Now) {
    for (packet, claim) in paired(&mut batch.packets, claims) {
        let flow_padding = flow_padding(claim.sa, packet, sas, now);
        if let Err(verdict) = dress_one(packet, claim, flow_padding, pool) {
            claim.refuse(packet, verdict);
        }
    }
}

/// Octets that hide the length of a packet in a tunnel (RFC 4303 2.7), as far as the path carries them.
fn flow_padding(sa: &OutboundSa, packet: &Packet, sas: &impl Lookup, now: Now) -> usize {
    if sa.sending.pad_to == 0 || sa.mode == Mode::Transport {
        return 0;
    }
    let most = sa.inner_mtu(sas.link_mtu(sa.endpoints().1), now);
    trailer::flow_padding(packet.ip.total_len.into(), sa.sending.pad_to.into(), most.into())
}

/// Writes everything but IV, UDP header and ICV.
fn dress_one(
    packet: &mut Packet,
    claim: &mut Claim<'_>,
    flow_padding: usize,
    pool: &mut Pool,
) -> Result<(), Verdict> {
    let (sa, number) = (claim.sa, claim.number.as_ref().map_or(0, Number::get));
    packet.frame.place(packet.frame.headroom(), packet.ip.total_len.into()).ok_or(Verdict::Malformed)?;
    let inside = Inside::of(sa, packet);

    let payload = packet.frame.len() - inside.header_len + flow_padding;
    let padding = sa.suite.padding(payload) + trailer::TRAILER;
    let back = flow_padding + padding + sa.suite.icv_len();
    room::grow(&mut packet.frame, pool, sa.front(), back)?;

    let octets = packet.frame.bytes_mut();
    octets.copy_within(sa.front()..sa.front() + inside.header_len, 0);
    let parts = inside.parts(sa, payload + padding);
    octets[parts.icv_at - padding - flow_padding..parts.icv_at - padding].fill(0);
    trailer::write(&mut octets[parts.icv_at - padding..parts.icv_at], inside.next_header);
    let header = esp::Header { spi: sa.spi, sequence: number as u32 };
    octets[parts.esp_at..].first_chunk_mut().map(|room| header.write(room)).ok_or(Verdict::TooLongToSeal)?;

    packet.ip = inside.write_headers(sa, octets, &packet.ip, number);
    claim.parts = parts;
    Ok(())
}

/// What becomes the payload.
struct Inside {
    /// Octets of the packet that stay outside: 0 in a tunnel.
    header_len: usize,
    /// Offset of the octet that will name ESP or UDP; in transport mode only.
    protocol_at: usize,
    /// What the ESP trailer names.
    next_header: u8,
}

impl Inside {
    fn of(sa: &OutboundSa, packet: &Packet) -> Self {
        let is_ipv4 = packet.ip.flow.source.is_ipv4();
        match sa.mode {
            Mode::Tunnel => {
                let next_header = if is_ipv4 { protocol::IPV4 } else { protocol::IPV6 };
                Self { header_len: 0, protocol_at: 0, next_header }
            }
            Mode::Transport => {
                let octets = packet.frame.bytes();
                let Place { header_len, protocol_at } = Place::find(octets, &packet.ip);
                Self { header_len, protocol_at, next_header: octets[protocol_at] }
            }
        }
    }

    /// Where everything lies after the frame has grown.
    fn parts(&self, sa: &OutboundSa, text_len: usize) -> Parts {
        let text_at = self.header_len + sa.front();
        let icv_at = text_at + text_len;
        Parts { esp_at: text_at - sa.suite.front(), text_at, icv_at, end: icv_at + sa.suite.icv_len() }
    }

    /// The IP header outside, written or changed.
    fn write_headers(&self, sa: &OutboundSa, octets: &mut [u8], inner: &Headers, number: u64) -> Headers {
        if sa.mode == Mode::Tunnel {
            // The low half of the number does not return within the life of a fragment.
            return sa.outer.write(octets, Carried::from(inner), number as u16);
        }
        let outside = if sa.ports.is_some() { protocol::UDP } else { protocol::ESP };
        transport::fit_headers(octets, self.protocol_at, outside);
        Headers {
            flow: ravelin_contract::selector::FlowKey { protocol: outside, upper: sa.ports, ..inner.flow },
            header_len: self.header_len as u16,
            total_len: octets.len() as u16,
            protocol_at: self.protocol_at as u16,
            opens_tcp: false,
            ..*inner
        }
    }
}

/// All combined modes of the batch go to the cipher in one call.
fn encrypt(batch: &mut Batch, claims: &mut Claims<'_>) {
    let mut jobs = ArrayVec::<SealJob<'_>, BATCH>::new();
    for (packet, claim) in paired(&mut batch.packets, claims) {
        let Packet { frame, verdict, .. } = packet;
        // What has no number or does not fit is not sealed, and so must not travel on. Neither happens.
        let Some(number) = claim.number.take() else {
            verdict.get_or_insert(Verdict::SequenceNotReserved);
            continue;
        };
        let octets = frame.bytes_mut();
        let done = match &claim.sa.suite.cipher {
            Cipher::Aead { .. } => seal_job(claim, number, octets).map(|job| jobs.push(job)),
            Cipher::Etm(key) => encrypt_then_mac(key, claim, number, octets),
        };
        if done.is_none() {
            verdict.get_or_insert(Verdict::TooLongToSeal);
        }
    }
    aead::seal(&mut jobs);
}

fn seal_job<'o, 'sa: 'o>(
    claim: &mut Claim<'sa>,
    number: Number,
    octets: &'o mut [u8],
) -> Option<SealJob<'o>> {
    let (sa, parts, value) = (claim.sa, claim.parts, number.get());
    let Cipher::Aead { key, salt, in_clear } = &sa.suite.cipher else { return None };
    let (nonce, iv) = Nonce::esp(salt.0, number);
    *parts.iv8(octets)? = iv;
    claim.covered = sa.extended.then(|| parts.spread(octets, value));
    let view = parts.aead(octets, sa.extended, *in_clear)?;
    Some(SealJob::new(key, nonce, view.aad, Text::in_place(view.text).ok()?, view.tag))
}

fn encrypt_then_mac(key: &etm::Key, claim: &Claim<'_>, number: Number, octets: &mut [u8]) -> Option<()> {
    let (sa, parts) = (claim.sa, claim.parts);
    let high = upper_half(number.get());
    let after: &[u8] = if sa.extended { &high } else { &[] };
    let iv = sa.ivs.as_ref()?.iv(number);
    let travels = &iv.octets()[..key.iv_len()];
    octets.get_mut(parts.text_at - travels.len()..parts.text_at)?.copy_from_slice(travels);
    let view = parts.etm(octets)?;
    key.seal(view.header, iv, Text::in_place(view.text).ok()?, after, view.icv).ok()
}

/// Puts back what the associated data covered, and writes the UDP header, whose checksum is over the ciphertext.
fn finish(batch: &mut Batch, claims: &mut Claims<'_>) {
    for (packet, claim) in paired(&mut batch.packets, claims) {
        let octets = packet.frame.bytes_mut();
        if let Some(covered) = claim.covered.take() {
            claim.parts.unspread(octets, covered);
        }
        if let Some(ports) = claim.sa.ports {
            let (source, destination) = claim.sa.endpoints();
            let datagram = &mut octets[claim.parts.esp_at - udp::HEADER..];
            if udp::write_header(datagram, ports, source, destination).is_none() {
                packet.end(Verdict::TooLongToSeal);
                continue;
            }
        }
        packet.sealed = true;
        packet.route = Route::Unknown;
    }
}

/// Counts what was sealed, once per run of packets of one SA.
fn count(batch: &mut Batch, claims: &mut Claims<'_>, now: Now) {
    let sealed = |claim: &&Claim<'_>| batch.packets[claim.place].sealed;
    for run in claims.chunk_by(|a, b| std::ptr::eq(a.sa, b.sa)) {
        let packets = run.iter().filter(sealed).count() as u64;
        let octets = run.iter().filter(sealed).map(|claim| u64::from(claim.inner_len)).sum();
        if packets > 0 {
            run[0].sa.sent.traffic.add(packets, octets);
            run[0].sa.sent.touch(now);
        }
    }
}
