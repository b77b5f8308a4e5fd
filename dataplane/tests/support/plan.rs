//! Policies of the lab from contract values: what control would send.

use ravelin_contract::address::{AddressRange, NumberRange};
use ravelin_contract::name::Name;
use ravelin_contract::rule::{Action, Direction, Fragments, Log, Opening, Routing, Rule, TunnelId};
use ravelin_contract::sa::{Mode, Sa, Sending, Side, Spi, Transform};
use ravelin_contract::secret::Secret;
use ravelin_contract::selector::{Selector, Upper};
use ravelin_contract::snapshot::{Snapshot, Tunnel};
use ravelin_contract::tls::{Answer, Secure, TlsAction, TlsRule, Truncation};
use ravelin_contract::tls_session::Role;

use super::esp_support::{Kind, octets};
use super::network::{INTERNET, ip, lan_prefix, wan};

/// AES-GCM with a 128-bit key, in a tunnel over IPv4.
pub fn gcm() -> Kind {
    let transform = Transform::AesGcm16 { key: Secret::new(octets(16, 1)), salt: [0; 4] };
    Kind { transform, mode: Mode::Tunnel, outer_v6: false, extended: false, udp: false }
}

/// A prefix as an operator writes it.
pub fn range(text: &str) -> AddressRange {
    let (address, length) =
        text.split_once('/').unwrap_or((text, if text.contains(':') { "128" } else { "32" }));
    AddressRange::prefix(ip(address), length.parse().unwrap()).unwrap()
}

/// One rule between two prefixes.
pub fn rule(direction: Direction, source: &str, destination: &str, action: Action) -> Rule {
    Rule {
        name: Name::new(format!("{direction:?}-{source}-{destination}")).unwrap(),
        extension: 1,
        direction,
        selector: Selector { source: range(source), destination: range(destination), upper: Upper::Any },
        routing: Routing::Either,
        zone: None,
        fragments: Fragments::Any,
        opening: Opening::Allowed,
        action,
        log: Log::No,
        identities: Vec::new(),
    }
}

/// A bidirectional rule, as the compiler makes two of it.
pub fn both(near: &str, far: &str, action: Action) -> Vec<Rule> {
    vec![rule(Direction::Outbound, near, far, action), rule(Direction::Inbound, far, near, action)]
}

/// The SPI from one site to another.
pub fn spi(from: u8, to: u8) -> u32 {
    0x10000 + u32::from(from) * 0x100 + u32::from(to)
}

/// The SA of `kind` from one site to another, as the sender has it.
pub fn outbound(from: u8, to: u8, kind: &Kind) -> Sa {
    let mut transform = kind.transform.clone();
    if let Transform::AesGcm16 { salt, .. }
    | Transform::AesGmac { salt, .. }
    | Transform::ChaCha20Poly1305 { salt, .. } = &mut transform
    {
        *salt = [from, to, 7, 7];
    }
    Sa {
        name: Name::new(format!("{from}-to-{to}")).unwrap(),
        tunnel: TunnelId(0),
        spi: Spi::new(spi(from, to)).unwrap(),
        local: ip(&wan(from, kind.outer_v6)),
        remote: ip(&wan(to, kind.outer_v6)),
        transform,
        ..kind.outbound()
    }
}

/// The same as the receiver has it.
pub fn inbound(from: u8, to: u8, kind: &Kind) -> Sa {
    let sa = outbound(from, to, kind);
    Sa { local: sa.remote, remote: sa.local, side: kind.inbound().side, ..sa }
}

pub fn sending(sa: &mut Sa) -> &mut Sending {
    match &mut sa.side {
        Side::Outbound(sending) => sending,
        Side::Inbound(_) => panic!("an inbound SA"),
    }
}

/// The policy of one site, put together.
pub struct Plan {
    site: u8,
    snapshot: Snapshot,
}

impl Plan {
    /// Zones and nothing else.
    pub fn of(site: u8) -> Self {
        let zones = ["lan", "wan"].map(|zone| Name::new(zone).unwrap()).to_vec();
        let fingerprint = format!("policy of site {site}");
        Self { site, snapshot: Snapshot { fingerprint, zones, ..Snapshot::default() } }
    }

    pub fn rules(mut self, rules: impl IntoIterator<Item = Rule>) -> Self {
        self.snapshot.rules.extend(rules);
        self
    }

    /// A tunnel without rules and SAs; its number.
    pub fn bare_tunnel(&mut self, name: &str) -> TunnelId {
        self.snapshot.tunnels.push(Tunnel { name: Name::new(name).unwrap() });
        TunnelId(self.snapshot.tunnels.len() as u32 - 1)
    }

    /// Everything between the two LANs, of both families, goes by a tunnel of `kind`.
    pub fn tunnel(self, peer: u8, kind: &Kind) -> Self {
        let site = self.site;
        let pairs = [false, true].map(|v6| (text(lan_prefix(site, v6)), text(lan_prefix(peer, v6))));
        self.tunnel_between(peer, kind, &pairs)
    }

    /// A tunnel to `peer` for these pairs of near and far prefixes.
    pub fn tunnel_between(mut self, peer: u8, kind: &Kind, pairs: &[(String, String)]) -> Self {
        let tunnel = self.bare_tunnel(&format!("to-{peer}"));
        for (near, far) in pairs {
            self.snapshot.rules.extend(both(near, far, Action::Protect(tunnel)));
        }
        let sas = [outbound(self.site, peer, kind), inbound(peer, self.site, kind)];
        self.snapshot.sas.extend(sas.map(|sa| Sa { tunnel, ..sa }));
        self
    }

    pub fn sas(mut self, sas: impl IntoIterator<Item = Sa>) -> Self {
        self.snapshot.sas.extend(sas);
        self
    }

    /// Changes every SA.
    pub fn each_sa(mut self, change: impl Fn(&mut Sa)) -> Self {
        self.snapshot.sas.iter_mut().for_each(change);
        self
    }

    pub fn done(self) -> Snapshot {
        self.snapshot
    }
}

pub fn text((address, length): (String, u8)) -> String {
    format!("{address}/{length}")
}

pub fn udp_to(port: u16) -> Upper {
    Upper::Ports { protocol: 17, source: NumberRange::ALL, destination: NumberRange::single(port) }
}

/// We speak TLS for a server.
pub fn served() -> TlsAction {
    spoken_for(Role::Server, Answer::AtOnce)
}

/// We speak TLS in this role.
pub fn spoken_for(role: Role, answer: Answer) -> TlsAction {
    TlsAction::Secure(Secure { role, patience_ms: 1_000, truncation: Truncation::Reset, answer })
}

/// For connections to this port of the internet.
pub fn tls_rule(port: u16, action: TlsAction) -> TlsRule {
    let selector = Selector {
        source: range("0.0.0.0/0"),
        destination: range(&format!("{INTERNET}/32")),
        upper: Upper::Ports { protocol: 6, source: NumberRange::ALL, destination: NumberRange::single(port) },
    };
    TlsRule { name: Name::new("web").unwrap(), extension: 1, selector, zone: None, action }
}
