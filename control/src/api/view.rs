//! What the API answers, in the operator's words. The command prints the same values as tables.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ravelin_contract::report::{FilterMode, InterfaceStatus, PortStatus, RuleStatus, SaStatus, Status};
use ravelin_contract::rule::{Action, Direction, Discard, Fragments, Log, Opening, Routing};
use ravelin_contract::sa::{Carrier, Mode};
use ravelin_contract::selector::{Upper, protocol};
use serde::{Deserialize, Serialize};

use crate::policy::diff::Change;

/// Both processes at a glance.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Overview {
    /// `policy`, `default-no-policy` or `default-forced`.
    pub filters: String,
    /// Fingerprint of the policy that the packet process holds.
    pub policy: Option<String>,
    /// Fingerprint of the policy that was applied last.
    pub applied: Option<String>,
    /// Generation in force.
    pub generation: u64,
    /// Rules in force.
    pub rules: u64,
    /// Inbound SAs in force.
    pub inbound_sas: u64,
    /// Outbound SAs in force.
    pub outbound_sas: u64,
    /// Microseconds that the last change took to reach every worker.
    pub publish_us: u64,
    /// Back end of the AEAD kernels.
    pub crypto: String,
    /// Version of the packet process.
    pub version: String,
    /// Its process id.
    pub pid: u32,
    /// Its age in seconds.
    pub uptime: u64,
    /// Routes known.
    pub routes: u64,
    /// Neighbours with a link address.
    pub neighbours: u64,
    /// Workers.
    pub workers: Vec<Worker>,
}

/// One worker.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Worker {
    /// Core.
    pub core: u32,
    /// Generation that it works with.
    pub generation: u64,
    /// Breaths since start.
    pub breaths: u64,
    /// Nanoseconds spent in breaths that found work.
    pub busy_ns: u64,
    /// Free frames.
    pub frames_free: u32,
    /// All frames.
    pub frames: u32,
}

/// One port.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Port {
    /// Interface.
    pub name: String,
    /// Zone.
    pub zone: String,
    /// `protected` or `unprotected` (RFC 4301 3.1).
    pub side: String,
    /// MAC address.
    pub mac: String,
    /// MTU.
    pub mtu: u32,
    /// How frames come.
    pub driver: String,
    /// Packets received.
    pub received_packets: u64,
    /// Octets received.
    pub received_octets: u64,
    /// Packets sent.
    pub sent_packets: u64,
    /// Octets sent.
    pub sent_octets: u64,
    /// How packets that came in here ended.
    pub verdicts: Vec<VerdictCount>,
    /// The physical interface that carries it, with the traffic of all ports on it.
    pub trunk: Option<Trunk>,
}

/// The physical interface below a port.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Trunk {
    /// Interface.
    pub name: String,
    /// How the XDP program is attached: `native` or `generic`.
    pub xdp: String,
    /// Whether the driver works on packet memory itself.
    pub zero_copy: bool,
    /// What the kernel lost on the way to or from the workers, by cause.
    pub lost: BTreeMap<String, u64>,
    /// Frames by what the XDP program did with them, and why.
    pub steered: BTreeMap<String, u64>,
}

/// Packets that ended one way.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct VerdictCount {
    /// Name of the verdict.
    pub verdict: String,
    /// Whether it is a drop.
    pub drop: bool,
    /// Packets.
    pub packets: u64,
    /// Octets.
    pub octets: u64,
}

/// One filter rule.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Rule {
    /// Position.
    pub index: u32,
    /// Name.
    pub name: String,
    /// Part of the name's split, from 1.
    pub extension: u16,
    /// `inbound` or `outbound`.
    pub direction: String,
    /// Source addresses.
    pub source: String,
    /// Destination addresses.
    pub destination: String,
    /// Protocol with ports or ICMP type and code.
    pub service: String,
    /// `local`, `routed` or `either`.
    pub routing: String,
    /// Zone index, when the rule names one.
    pub zone: Option<u8>,
    /// Whether only fragments match.
    pub fragments_only: bool,
    /// Whether connection-opening segments are excluded.
    pub opening_excluded: bool,
    /// Who the peer must have proved to be, the first four; empty for whoever it is.
    #[serde(default)]
    pub remote_identity: Vec<String>,
    /// `permit`, `deny`, `deny-icmp` or `ipsec`.
    pub action: String,
    /// `no`, `yes`, `permit` or `deny`.
    pub log: String,
    /// Packets decided.
    pub packets: u64,
    /// Octets decided.
    pub octets: u64,
}

/// One SA.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Sa {
    /// Connection.
    pub name: String,
    /// Tunnel.
    pub tunnel: String,
    /// `inbound` or `outbound`.
    pub direction: String,
    /// SPI in hexadecimal.
    pub spi: String,
    /// Our endpoint.
    pub local: IpAddr,
    /// The peer's endpoint.
    pub remote: IpAddr,
    /// `tunnel` or `transport`.
    pub mode: String,
    /// `esp` or `udp LOCAL-REMOTE`.
    pub carrier: String,
    /// Algorithm.
    pub algorithm: String,
    /// Extended sequence numbers.
    pub extended_sequence: bool,
    /// Packets.
    pub packets: u64,
    /// Octets of inner packets.
    pub octets: u64,
    /// Outbound: next number. Inbound: highest accepted.
    pub sequence: u64,
    /// Outbound: numbers below are reserved. Inbound: window size.
    pub bound: u64,
    /// Path MTU in force, outbound.
    pub path_mtu: Option<u32>,
    /// Drops by verdict.
    pub drops: Vec<(String, u64)>,
}

/// Answer to a change of filters or policy.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct InForce {
    /// The number under which the policy is kept, when one was applied.
    pub number: Option<u64>,
    /// The new generation.
    pub generation: u64,
    /// Microseconds until every worker had it.
    pub took_us: u64,
    /// Fingerprint, when a policy was applied.
    pub fingerprint: Option<String>,
    /// Findings that did not stop it, rendered.
    pub warnings: Vec<String>,
    /// What differs from the policy before, when that was asked.
    pub changes: Option<Vec<Change>>,
}

impl InForce {
    /// Other filters, no policy.
    pub fn switched(generation: u64, took_us: u64) -> Self {
        Self { number: None, generation, took_us, fingerprint: None, warnings: Vec::new(), changes: None }
    }
}

/// An error as the API gives it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Problem {
    /// What went wrong, in one sentence.
    pub error: String,
    /// Findings in files: a list with file, line, column, message and remedy each.
    #[serde(default)]
    pub findings: serde_json::Value,
    /// The same findings as text.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub rendered: String,
}

/// The word for a filter mode.
pub fn filter_mode(mode: FilterMode) -> &'static str {
    match mode {
        FilterMode::Policy => "policy",
        FilterMode::DefaultNoPolicy => "default-no-policy",
        FilterMode::DefaultForced => "default-forced",
    }
}

/// The word for a direction.
pub fn direction(direction: Direction) -> &'static str {
    match direction {
        Direction::Inbound => "inbound",
        Direction::Outbound => "outbound",
    }
}

impl Overview {
    /// From the packet process's status and what the agent applied last.
    pub fn new(status: Status, applied: Option<String>) -> Self {
        let workers = status.workers.iter().map(|w| Worker {
            core: w.core,
            generation: w.generation,
            breaths: w.breaths,
            busy_ns: w.busy_ns,
            frames_free: w.frames.0,
            frames: w.frames.1,
        });
        Self {
            filters: filter_mode(status.mode).to_owned(),
            workers: workers.collect(),
            policy: status.policy,
            applied,
            generation: status.generation,
            rules: status.counts.0,
            inbound_sas: status.counts.1,
            outbound_sas: status.counts.2,
            publish_us: status.publish_us,
            crypto: status.crypto,
            version: status.version,
            pid: status.pid,
            uptime: status.uptime,
            routes: status.routes,
            neighbours: status.neighbours,
        }
    }
}

impl Port {
    /// Of a port and the interfaces that there are.
    pub fn new(port: PortStatus, interfaces: &[InterfaceStatus]) -> Self {
        let trunk = interfaces.iter().find(|interface| interface.name == port.trunk).map(Trunk::from);
        let verdicts = port.verdicts.iter().map(|&(verdict, packets, octets)| VerdictCount {
            verdict: verdict.name().to_owned(),
            drop: verdict.is_drop(),
            packets,
            octets,
        });
        let mac: Vec<String> = port.mac.iter().map(|octet| format!("{octet:02x}")).collect();
        Self {
            verdicts: verdicts.collect(),
            trunk,
            name: port.name,
            zone: port.zone,
            side: if port.protected { "protected" } else { "unprotected" }.to_owned(),
            mac: mac.join(":"),
            mtu: port.mtu,
            driver: port.driver,
            received_packets: port.received.0,
            received_octets: port.received.1,
            sent_packets: port.sent.0,
            sent_octets: port.sent.1,
        }
    }
}

impl From<&InterfaceStatus> for Trunk {
    fn from(interface: &InterfaceStatus) -> Self {
        let lost = interface.losses.by_cause().map(|(cause, count)| (cause.to_owned(), count));
        Self {
            name: interface.name.clone(),
            xdp: interface.mode.clone(),
            zero_copy: interface.zero_copy,
            lost: lost.into(),
            steered: interface.steered.iter().cloned().collect(),
        }
    }
}

impl From<RuleStatus> for Rule {
    fn from(status: RuleStatus) -> Self {
        let rule = status.rule;
        Self {
            index: status.index,
            name: rule.name.to_string(),
            extension: rule.extension,
            direction: direction(rule.direction).to_owned(),
            source: rule.selector.source.to_string(),
            destination: rule.selector.destination.to_string(),
            service: service(&rule.selector.upper),
            routing: match rule.routing {
                Routing::Local => "local",
                Routing::Routed => "routed",
                Routing::Either => "either",
            }
            .to_owned(),
            zone: rule.zone.map(|zone| zone.0),
            fragments_only: rule.fragments == Fragments::Only,
            opening_excluded: rule.opening == Opening::Excluded,
            remote_identity: status.whom.iter().map(ToString::to_string).collect(),
            action: match rule.action {
                Action::Permit => "permit",
                Action::Deny(Discard::Silent) => "deny",
                Action::Deny(Discard::Icmp) => "deny-icmp",
                Action::Protect(_) => "ipsec",
            }
            .to_owned(),
            log: match rule.log {
                Log::No => "no",
                Log::Yes => "yes",
                Log::Permitted => "permit",
                Log::Denied => "deny",
            }
            .to_owned(),
            packets: status.matched.0,
            octets: status.matched.1,
        }
    }
}

impl From<SaStatus> for Sa {
    fn from(sa: SaStatus) -> Self {
        Self {
            name: sa.name,
            tunnel: sa.tunnel,
            direction: direction(sa.direction).to_owned(),
            spi: format!("{:#010x}", sa.spi),
            local: sa.endpoints.0,
            remote: sa.endpoints.1,
            mode: match sa.mode {
                Mode::Tunnel => "tunnel",
                Mode::Transport => "transport",
            }
            .to_owned(),
            carrier: match sa.carrier {
                Carrier::Ip => "esp".to_owned(),
                Carrier::Udp { local_port, remote_port, .. } => format!("udp {local_port}-{remote_port}"),
            },
            algorithm: sa.algorithm,
            extended_sequence: sa.extended_sequence,
            packets: sa.traffic.0,
            octets: sa.traffic.1,
            sequence: sa.sequence,
            bound: sa.bound,
            path_mtu: sa.path_mtu,
            drops: sa.drops.iter().map(|(verdict, count)| (verdict.name().to_owned(), *count)).collect(),
        }
    }
}

/// Protocol with ports or ICMP type and code, as a person would say it.
pub fn service(upper: &Upper) -> String {
    let name = |number: u8| match number {
        protocol::ICMP => "icmp".to_owned(),
        protocol::TCP => "tcp".to_owned(),
        protocol::UDP => "udp".to_owned(),
        protocol::ESP => "esp".to_owned(),
        protocol::ICMPV6 => "icmpv6".to_owned(),
        protocol::SCTP => "sctp".to_owned(),
        other => other.to_string(),
    };
    let part = |label: &str, range: &ravelin_contract::address::NumberRange| match range.is_all() {
        true => String::new(),
        false => format!(" {label} {range}"),
    };
    match upper {
        Upper::Any => "any".to_owned(),
        Upper::Protocol(number) => name(*number),
        Upper::Ports { protocol, source, destination } => {
            format!("{}{}{}", name(*protocol), part("from", source), part("to", destination))
        }
        Upper::Icmp { protocol, types, codes } => {
            format!("{}{}{}", name(*protocol), part("type", types), part("code", codes))
        }
    }
}
