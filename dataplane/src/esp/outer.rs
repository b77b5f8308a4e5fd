//! The outer header of a tunnel (RFC 4301 5.1.2), in all four pairs of IPv4 and IPv6.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ravelin_contract::sa::{Carrier, DontFragment, Dscp, Sa, Sending};
use ravelin_contract::selector::{FlowKey, protocol};

use super::ecn::ECN_MASK;
use crate::wire::ip::{Fragment, Headers, IPV4_HEADER, IPV6_HEADER};
use crate::wire::{ipv4, ipv6};

/// What an outer header may take from the packet inside.
#[derive(Debug, Clone, Copy)]
pub(super) struct Carried {
    /// DSCP and ECN.
    pub(super) traffic_class: u8,
    /// TTL or hop limit.
    pub(super) hop_limit: u8,
    /// Always set for IPv6.
    pub(super) dont_fragment: bool,
}

impl From<&Headers> for Carried {
    fn from(inner: &Headers) -> Self {
        let Headers { traffic_class, hop_limit, dont_fragment, .. } = *inner;
        Self { traffic_class, hop_limit, dont_fragment }
    }
}

/// What the outer headers of one SA have in common, and what they take from the inner ones.
#[derive(Debug)]
pub(super) struct Outer {
    source: IpAddr,
    destination: IpAddr,
    /// UDP or ESP.
    protocol: u8,
    /// Source and destination port of UDP.
    ports: Option<(u16, u16)>,
    dscp: Dscp,
    dont_fragment: DontFragment,
    hop_limit: Option<u8>,
}

impl Outer {
    /// From `sa`, whose side is `sending`. Its endpoints are of one family.
    pub(super) fn new(sa: &Sa, sending: &Sending) -> Self {
        let ports = match sa.carrier {
            Carrier::Ip => None,
            Carrier::Udp { local_port, remote_port, .. } => Some((local_port, remote_port)),
        };
        Self {
            source: sa.local,
            destination: sa.remote,
            protocol: if ports.is_some() { protocol::UDP } else { protocol::ESP },
            ports,
            dscp: sending.dscp,
            dont_fragment: sending.dont_fragment,
            hop_limit: sending.hop_limit,
        }
    }

    /// Octets of the IP header.
    pub(super) fn len(&self) -> usize {
        if self.source.is_ipv4() { IPV4_HEADER } else { IPV6_HEADER }
    }

    /// Writes the IP header at the start of `packet`, whose length is that of the whole sealed packet, at most 65,535.
    /// `identification` should not return soon; it serves IPv4 packets that may be fragmented.
    pub(super) fn write(&self, packet: &mut [u8], inner: Carried, identification: u16) -> Headers {
        let headers = self.headers(packet.len() as u16, inner);
        // A packet shorter than its header stays as it is: nobody makes one.
        let _: Option<()> = match (self.source, self.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let header = self.ipv4(&headers, identification, (source, destination));
                packet.first_chunk_mut().map(|room| header.write(room))
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let header = self.ipv6(&headers, (source, destination));
                packet.first_chunk_mut().map(|room| header.write(room))
            }
            // `Snapshot::check` lets no such SA through; a packet of it has no header and goes nowhere.
            _ => None,
        };
        headers
    }

    fn ipv4(&self, headers: &Headers, identification: u16, ends: (Ipv4Addr, Ipv4Addr)) -> ipv4::Header {
        ipv4::Header {
            traffic_class: headers.traffic_class,
            total_len: headers.total_len,
            identification,
            dont_fragment: headers.dont_fragment,
            hop_limit: headers.hop_limit,
            protocol: self.protocol,
            source: ends.0,
            destination: ends.1,
        }
    }

    fn ipv6(&self, headers: &Headers, ends: (Ipv6Addr, Ipv6Addr)) -> ipv6::Header {
        ipv6::Header {
            traffic_class: headers.traffic_class,
            // No label: one made from the inner flow would tell flows apart (RFC 6438 is for tunnels in clear).
            flow_label: 0,
            payload_len: headers.total_len.saturating_sub(IPV6_HEADER as u16),
            next_header: self.protocol,
            hop_limit: headers.hop_limit,
            source: ends.0,
            destination: ends.1,
        }
    }

    /// What the header will say.
    fn headers(&self, total_len: u16, inner: Carried) -> Headers {
        let is_ipv4 = self.source.is_ipv4();
        Headers {
            flow: FlowKey {
                source: self.source,
                destination: self.destination,
                protocol: self.protocol,
                upper: self.ports,
            },
            header_len: self.len() as u16,
            total_len,
            protocol_at: if is_ipv4 { 9 } else { 6 },
            fragment: Fragment::Whole,
            traffic_class: self.traffic_class(inner.traffic_class),
            hop_limit: self.hop_limit.unwrap_or(inner.hop_limit),
            dont_fragment: match self.dont_fragment {
                _ if !is_ipv4 => true,
                DontFragment::Copy => inner.dont_fragment,
                DontFragment::Set => true,
                DontFragment::Clear => false,
            },
            opens_tcp: false,
        }
    }

    /// DSCP as configured; ECN copied, which is the normal mode of RFC 6040 4.1.
    fn traffic_class(&self, inner: u8) -> u8 {
        match self.dscp {
            Dscp::Copy => inner,
            Dscp::Value(value) => value << 2 | inner & ECN_MASK,
        }
    }
}
