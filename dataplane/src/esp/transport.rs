//! Transport mode (RFC 4303 3.1.1): where ESP goes into a packet, and how its headers change.

use ravelin_contract::selector::protocol;

use crate::wire::checksum::Sum;
use crate::wire::edit;
use crate::wire::ip::{Fragment, Headers, IPV6_HEADER};

/// IPv6 extension headers, by next-header number.
const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const DESTINATION: u8 = 60;

/// Where the ESP header goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// Octets that stay before it, in clear.
    pub(super) header_len: usize,
    /// Offset of the octet that will name ESP; it names what will be inside.
    pub(super) protocol_at: usize,
}

impl Place {
    /// In IPv4 after the options. In IPv6 after hop-by-hop options, routing and fragment headers, and after the
    /// destination options that come before a routing header; later destination options are for the far end and go
    /// inside (RFC 4303 3.1.1). `packet` is the one that `headers` was read from.
    pub(super) fn find(packet: &[u8], headers: &Headers) -> Self {
        if headers.flow.source.is_ipv4() {
            return Self { header_len: headers.header_len.into(), protocol_at: 9 };
        }
        let mut best = Self { header_len: IPV6_HEADER, protocol_at: 6 };
        let mut here = best;
        while here.header_len < usize::from(headers.header_len) {
            let named = packet[here.protocol_at];
            let units = usize::from(packet[here.header_len + 1]);
            let length = if named == FRAGMENT { 8 } else { 8 + units * 8 };
            here = Self { header_len: here.header_len + length, protocol_at: here.header_len };
            match named {
                HOP_BY_HOP | ROUTING | FRAGMENT => best = here,
                DESTINATION => {}
                _ => break,
            }
        }
        best
    }
}

/// Makes the headers of `packet` fit: `protocol` named at `protocol_at`, the length that of `packet`.
pub(super) fn fit_headers(packet: &mut [u8], protocol_at: usize, protocol: u8) {
    edit::set_protocol(packet, protocol_at as u16, protocol);
    let total_len = packet.len() as u16;
    edit::set_total_len(packet, total_len);
}

/// Computes the transport checksum of an opened packet anew, because a NAT changed the addresses that it covers and could
/// not reach it (RFC 3948 3.1.2). The ICV vouches for the octets. Fragments are left alone, and so is UDP over IPv4
/// without a checksum.
pub(super) fn renew_checksum(packet: &mut [u8], headers: &Headers) {
    if headers.fragment != Fragment::Whole {
        return;
    }
    let flow = &headers.flow;
    let upper = &mut packet[headers.header_len.into()..headers.total_len.into()];
    let at = match flow.protocol {
        protocol::TCP => 16,
        protocol::UDP => 6,
        protocol::ICMPV6 => 2,
        _ => return,
    };
    let Some(field) = upper.get_mut(at..at + 2) else { return };
    let unused = flow.protocol == protocol::UDP && flow.source.is_ipv4() && field == [0, 0];
    if unused {
        return;
    }
    field.fill(0);
    let sum = Sum::default().pseudo_header(flow.source, flow.destination, flow.protocol, upper.len() as u16);
    let checksum = match sum.octets(upper).finish() {
        // In UDP 0 says that there is none (RFC 768); in the others both mean the same.
        0 if flow.protocol == protocol::UDP => 0xffff,
        checksum => checksum,
    };
    upper[at..at + 2].copy_from_slice(&checksum.to_be_bytes());
}
