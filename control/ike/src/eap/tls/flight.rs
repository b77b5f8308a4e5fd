//! One side's flights of TLS in pieces that fit an EAP packet (RFC 5216 2.1.5, 3.1), the same for server and client.

use rustls::{ConnectionCommon, IoState, ProtocolVersion};

use crate::crypto::Secret;

pub(super) const LENGTH_INCLUDED: u8 = 0x80;
pub(super) const MORE_FRAGMENTS: u8 = 0x40;
pub(super) const START: u8 = 0x20;

/// Octets of one side's flight: a long chain of certificates and everything around it.
pub(super) const FLIGHT: usize = 65_536;
/// Octets of TLS in one packet, so that the IKE message fits a path of 1,280 octets even unfragmented.
pub(super) const FRAGMENT: usize = 1_000;
/// Octets of the master session key.
const MSK: usize = 64;

/// One packet's data.
pub(super) struct Fragment<'a> {
    pub(super) more: bool,
    pub(super) octets: &'a [u8],
}

impl<'a> Fragment<'a> {
    pub(super) fn parse(data: &'a [u8]) -> Option<Self> {
        let (&flags, rest) = data.split_first()?;
        let octets = if flags & LENGTH_INCLUDED == 0 {
            rest
        } else {
            let (length, rest) = rest.split_first_chunk::<4>()?;
            let said = usize::try_from(u32::from_be_bytes(*length)).ok()?;
            (said <= FLIGHT && rest.len() <= said).then_some(rest)?
        };
        (flags & START == 0).then_some(Self { more: flags & MORE_FRAGMENTS != 0, octets })
    }

    pub(super) fn is_acknowledgement(&self) -> bool {
        !self.more && self.octets.is_empty()
    }
}

/// What the other side has sent of its flight.
#[derive(Default)]
pub(super) struct Incoming(Vec<u8>);

impl Incoming {
    /// Adds a piece; false when it is none, or one too many.
    pub(super) fn add(&mut self, fragment: &Fragment<'_>) -> bool {
        if fragment.octets.is_empty() || self.0.len() + fragment.octets.len() > FLIGHT {
            return false;
        }
        self.0.extend_from_slice(fragment.octets);
        true
    }

    /// Hands all of it to TLS, which says where it is after each piece.
    pub(super) fn feed<Data>(
        &mut self,
        tls: &mut ConnectionCommon<Data>,
        mut look: impl FnMut(&ConnectionCommon<Data>, IoState),
    ) -> Result<(), rustls::Error> {
        let flight = std::mem::take(&mut self.0);
        let mut rest = &flight[..];
        while !rest.is_empty() {
            let general = |error: std::io::Error| rustls::Error::General(error.to_string());
            let read = tls.read_tls(&mut rest).map_err(general)?;
            let state = tls.process_new_packets()?;
            look(tls, state);
            if read == 0 {
                break;
            }
        }
        Ok(())
    }
}

/// Our flight, and how much of it has been sent.
#[derive(Default)]
pub(super) struct Outgoing {
    octets: Vec<u8>,
    sent: usize,
}

impl Outgoing {
    /// Everything that TLS has to say now.
    pub(super) fn of<Data>(tls: &mut ConnectionCommon<Data>) -> std::io::Result<Self> {
        let mut octets = Vec::new();
        while tls.wants_write() {
            tls.write_tls(&mut octets)?;
        }
        Ok(Self { octets, sent: 0 })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.octets.is_empty()
    }

    pub(super) fn is_sent(&self) -> bool {
        self.sent == self.octets.len()
    }

    /// The next piece as a packet's data; the first says how long all of it is. Nothing left is an acknowledgement.
    pub(super) fn next(&mut self) -> Vec<u8> {
        let left = &self.octets[self.sent..];
        let piece = &left[..left.len().min(FRAGMENT)];
        let more = if piece.len() < left.len() { MORE_FRAGMENTS } else { 0 };
        let mut data = Vec::with_capacity(5 + piece.len());
        if self.sent == 0 && !piece.is_empty() {
            data.push(more | LENGTH_INCLUDED);
            // A flight is far below four gigabytes.
            data.extend_from_slice(&(self.octets.len() as u32).to_be_bytes());
        } else {
            data.push(more);
        }
        data.extend_from_slice(piece);
        self.sent += piece.len();
        data
    }
}

/// RFC 5216 2.3 for TLS 1.2, RFC 9190 2.3 for TLS 1.3.
pub(super) fn msk<Data>(tls: &ConnectionCommon<Data>) -> Result<Secret, rustls::Error> {
    let mut out = zeroize::Zeroizing::new([0; 2 * MSK]);
    let (label, context): (&[u8], Option<&[u8]>) = match tls.protocol_version() {
        Some(ProtocolVersion::TLSv1_3) => (b"EXPORTER_EAP_TLS_Key_Material", Some(&[13])),
        _ => (b"client EAP encryption", None),
    };
    tls.export_keying_material(&mut out[..], label, context)?;
    Ok(Secret::new(out[..MSK].to_vec()))
}
