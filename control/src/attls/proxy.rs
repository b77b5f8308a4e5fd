//! The header of the PROXY protocol, version 2: what the application's end is told of the peer in front of all data.
//!
//! Addresses, and as TLVs the host name and application protocol that were agreed on, and of TLS version, suite, and the client's
//! certificate. A certificate that would make the header longer than one order may carry is left out; its name stays.

use std::net::{IpAddr, SocketAddr};

use ravelin_contract::limits;
use ravelin_rings::certificate::Certificate;
use ravelin_tls::{Facts, Peer};

/// What every header begins with.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// Version 2, for a connection of somebody else.
const PROXY: u8 = 0x21;
const TCP_OVER_V4: u8 = 0x11;
const TCP_OVER_V6: u8 = 0x21;

// Types of TLVs.
const ALPN: u8 = 0x01;
const AUTHORITY: u8 = 0x02;
const SSL: u8 = 0x20;
const SSL_VERSION: u8 = 0x21;
const SSL_CN: u8 = 0x22;
const SSL_CIPHER: u8 = 0x23;
const SSL_GROUP: u8 = 0x26;
const SSL_CLIENT_CERT: u8 = 0x28;

// What the client did.
const CLIENT_SSL: u8 = 1;
const CLIENT_CERT_CONN: u8 = 2;
const CLIENT_CERT_SESS: u8 = 4;

/// The header of a connection.
pub(super) fn header(client: SocketAddr, server: SocketAddr, facts: &Facts) -> Vec<u8> {
    let whole = written(client, server, facts, true);
    if whole.len() <= limits::TLS_CHUNK { whole } else { written(client, server, facts, false) }
}

fn written(client: SocketAddr, server: SocketAddr, facts: &Facts, with_certificate: bool) -> Vec<u8> {
    let (family, mut body) = addresses(client, server);
    if let Some(alpn) = &facts.alpn {
        add(&mut body, ALPN, alpn);
    }
    if let Some(name) = &facts.name {
        add(&mut body, AUTHORITY, name.as_bytes());
    }
    add(&mut body, SSL, &ssl(facts, with_certificate));
    let mut header = SIGNATURE.to_vec();
    header.extend([PROXY, family]);
    header.extend(length(&body));
    header.extend(body);
    header
}

/// The family, and both ends. Two ends are always of one family.
fn addresses(client: SocketAddr, server: SocketAddr) -> (u8, Vec<u8>) {
    let mut body = Vec::new();
    let family = match (client.ip(), server.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            body.extend(from.octets());
            body.extend(to.octets());
            TCP_OVER_V4
        }
        (from, to) => {
            body.extend(as_v6(from));
            body.extend(as_v6(to));
            TCP_OVER_V6
        }
    };
    body.extend(client.port().to_be_bytes());
    body.extend(server.port().to_be_bytes());
    (family, body)
}

fn as_v6(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

fn ssl(facts: &Facts, with_certificate: bool) -> Vec<u8> {
    let (chain, judged) = match &facts.peer {
        Peer::Anonymous => (None, false),
        Peer::Unjudged { chain } => (chain.first(), false),
        Peer::Judged { chain, .. } => (chain.first(), true),
    };
    let shown = match (chain, facts.resumed) {
        (None, _) => 0,
        (Some(_), true) => CLIENT_CERT_SESS,
        (Some(_), false) => CLIENT_CERT_CONN | CLIENT_CERT_SESS,
    };
    let mut ssl = vec![CLIENT_SSL | shown];
    // Zero is for a certificate that was shown and is believed.
    ssl.extend(u32::from(!judged).to_be_bytes());
    add(&mut ssl, SSL_VERSION, facts.suite.version().name().as_bytes());
    add(&mut ssl, SSL_CIPHER, facts.suite.name().as_bytes());
    if let Some(group) = &facts.group {
        add(&mut ssl, SSL_GROUP, group.as_bytes());
    }
    if let Some(name) = chain.and_then(|der| common_name(der)) {
        add(&mut ssl, SSL_CN, name.as_bytes());
    }
    if let Some(der) = chain.filter(|_| with_certificate) {
        add(&mut ssl, SSL_CLIENT_CERT, der);
    }
    ssl
}

/// At most as much as a header may have: a name may be as long as its certificate.
fn common_name(der: &[u8]) -> Option<String> {
    let certificate = Certificate::from_der(der).ok()?;
    let name = certificate.parts().subject().common_name().ok()??;
    Some(name.value().to_string()).filter(|name| name.len() <= 256)
}

fn add(to: &mut Vec<u8>, kind: u8, value: &[u8]) {
    // Nothing is longer than a certificate, and none of those that handshakes take fills 16 bits.
    if u16::try_from(value.len()).is_ok() {
        to.push(kind);
        to.extend(length(value));
        to.extend(value);
    }
}

fn length(of: &[u8]) -> [u8; 2] {
    u16::try_from(of.len()).unwrap_or(u16::MAX).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use ravelin_contract::tls_session::{Role, Suite};

    use super::*;

    fn facts(peer: Peer) -> Facts {
        Facts {
            suite: Suite::Aes128GcmSha256,
            role: Role::Server,
            group: Some("X25519".to_owned()),
            resumed: false,
            name: Some("a.example".to_owned()),
            alpn: Some(b"h2".to_vec()),
            shown: None,
            peer,
        }
    }

    #[test]
    fn every_octet_of_a_small_header() {
        let ends = ("192.0.2.1:40000".parse().expect("an end"), "198.51.100.2:443".parse().expect("an end"));
        let header = header(ends.0, ends.1, &facts(Peer::Anonymous));
        let mut expected = vec![0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a];
        let ssl = [
            [1, 0, 0, 0, 1].as_slice(),
            &[0x21, 0, 7],
            b"TLSv1.3",
            &[0x23, 0, 22],
            b"TLS_AES_128_GCM_SHA256",
            &[0x26, 0, 6],
            b"X25519",
        ]
        .concat();
        let body = [
            [192, 0, 2, 1, 198, 51, 100, 2, 0x9c, 0x40, 0x01, 0xbb].as_slice(),
            &[0x01, 0, 2],
            b"h2",
            &[0x02, 0, 9],
            b"a.example",
            &[0x20, 0, ssl.len() as u8],
            &ssl,
        ]
        .concat();
        expected.extend([0x21, 0x11, 0, body.len() as u8]);
        expected.extend(body);
        assert_eq!(header, expected);
    }

    #[test]
    fn a_certificate_that_is_too_long_is_left_out() {
        let ends = ("[2001:db8::1]:1".parse().expect("an end"), "[2001:db8::2]:2".parse().expect("an end"));
        for (octets, kept) in [(1000, true), (3000, false), (70_000, false)] {
            let peer = Peer::Unjudged { chain: vec![vec![7; octets]] };
            let header = header(ends.0, ends.1, &facts(peer));
            assert!(header.len() <= limits::TLS_CHUNK);
            assert_eq!(header.windows(1000).any(|part| part == [7; 1000]), kept, "{octets}");
            assert_eq!(header[13], TCP_OVER_V6);
            assert_eq!(usize::from(header[14]) << 8 | usize::from(header[15]), header.len() - 16);
        }
    }
}
