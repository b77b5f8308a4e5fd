//! What becomes of the packets of a rule: generic action, VPN action, and who begins.

use super::Setting;
use super::algorithm;
use super::offer;
use super::peer::Exchange;
use crate::pagent::book::Body;
use crate::pagent::condition::{self, Set};
use crate::pagent::tree::Node;
use crate::write::Value;

/// What becomes of packets.
pub(super) enum Verb {
    Permit,
    Deny {
        /// Whether senders are told.
        icmp: bool,
    },
    Ipsec(Tunnel),
    /// It was to be protected, or nobody knows.
    Unknown,
}

/// A tunnel of ours: one for each rule, as each has SAs of its own on z/OS.
pub(super) struct Tunnel {
    pub(super) name: String,
    /// Whom keys are agreed on with.
    pub(super) peer: Option<String>,
    pub(super) settings: Vec<Setting>,
    /// `[tunnel.manual]`; empty where keys are negotiated.
    pub(super) manual: Vec<Setting>,
    /// Whom the rule is for.
    pub(super) identity: Option<String>,
}

/// The action of a rule, and what it logs.
pub(super) fn read<'n>(
    body: &Body<'_, 'n>,
    name: &str,
    ends: (Option<&Set>, Option<&Set>),
    exchange: &Exchange<'_, 'n>,
    on_demand: bool,
) -> (Verb, Option<&'static str>) {
    let book = body.book;
    let dynamic = body.statement("IpDynVpnAction");
    let manual = body.statement("IpManVpnAction");
    let start = body.statement("IpLocalStartAction");
    let identity = identity(body);
    let Some(generic) = body.statement("IpGenericFilterAction") else {
        book.refused(body.node, "it names no IpGenericFilterAction", "add one with Permit, Deny or IPSec");
        return (Verb::Unknown, None);
    };
    let generic = book.open(generic);
    let (verb, logged) = (generic.once(&["IpFilterAction"]).one(), logging(&generic));
    let icmp = discard(&generic);
    let verb = match verb.map(|node| (node, node.first().to_ascii_lowercase())) {
        Some((node, word)) if word == "permit" => {
            book.exact(node, "");
            Verb::Permit
        }
        Some((node, word)) if word == "deny" => {
            book.exact(node, "");
            Verb::Deny { icmp }
        }
        Some((node, word)) if word == "ipsec" => {
            book.exact(node, "");
            let tunnel = match (dynamic, manual) {
                (Some(dynamic), None) => negotiated(body, name, dynamic, start, ends, exchange, on_demand),
                (None, Some(manual)) => algorithm::manual(&book.open(manual), name),
                _ => {
                    let remedy = "name one IpDynVpnAction or IpManVpnAction";
                    book.refused(body.node, "it does not say how packets are protected", remedy);
                    None
                }
            };
            return (
                tunnel.map_or(Verb::Unknown, |tunnel| Verb::Ipsec(Tunnel { identity, ..tunnel })),
                logged,
            );
        }
        Some((node, _)) => {
            book.bad_value(node, "Permit, Deny or IPSec");
            return (Verb::Unknown, logged);
        }
        None => {
            book.refused(generic.node, "it does not say what becomes of packets", "add IpFilterAction");
            return (Verb::Unknown, logged);
        }
    };
    if let Some(stray) = dynamic.or(manual) {
        let remedy = "write IpFilterAction IPSec, or take it out";
        book.refused(stray, "a VPN action beside Permit or Deny", remedy);
        return (Verb::Unknown, logged);
    }
    (verb, logged)
}

/// Who the peer must be (row B18).
fn identity(body: &Body<'_, '_>) -> Option<String> {
    let node = body.statement("RemoteIdentity")?;
    let body = body.book.open(node);
    super::endpoint::identity(&body, true)
}

fn logging(generic: &Body<'_, '_>) -> Option<&'static str> {
    let node = generic.once(&["IpFilterLogging"]).one()?;
    let word = match node.first().to_ascii_lowercase().as_str() {
        "yes" => "yes",
        "no" => "no",
        "logpermit" => "permit",
        "logdeny" => "deny",
        _ => {
            generic.book.bad_value(node, "Yes, No, LogPermit or LogDeny");
            return None;
        }
    };
    generic.book.exact(node, "log");
    Some(word)
}

fn discard(generic: &Body<'_, '_>) -> bool {
    let Some(node) = generic.once(&["DiscardAction"]).one() else { return false };
    match node.first().to_ascii_lowercase().as_str() {
        "silent" => generic.book.exact(node, ""),
        "icmp" => generic.book.exact(node, "discard = \"icmp\""),
        _ => generic.book.bad_value(node, "Silent or ICMP"),
    }
    node.first().eq_ignore_ascii_case("icmp")
}

/// A tunnel whose keys IKEv2 agrees on.
fn negotiated<'n>(
    rule: &Body<'_, 'n>,
    name: &str,
    action: &'n Node,
    start: Option<&'n Node>,
    ends: (Option<&Set>, Option<&Set>),
    exchange: &Exchange<'_, 'n>,
    on_demand: bool,
) -> Option<Tunnel> {
    let book = rule.book;
    let action = book.open(action);
    let start = start.map(|node| book.open(node));
    let peer = exchange.find(rule, start.as_ref(), ends)?;
    let offers = offer::read(&action);
    let begins = begins(&action, start.as_ref(), on_demand, exchange.is_called(ends), peer.is_callable);
    let narrowing = start.as_ref().and_then(narrowing);
    let mut settings = vec![("peer", Value::text(peer.name.clone()))];
    settings.extend(offers?);
    settings.push(("start", Value::text(begins?)));
    settings.extend(narrowing.map(|word| ("narrowing", Value::text(word))));
    let tunnel = settings.iter().all(|(key, value)| *key != "mode" || *value == Value::text("tunnel"));
    settings.extend(outer(&action).into_iter().filter(|_| tunnel));
    let name = name.to_owned();
    Some(Tunnel { name, peer: Some(peer.name.clone()), settings, manual: Vec::new(), identity: None })
}

/// Who begins.
fn begins(
    action: &Body<'_, '_>,
    start: Option<&Body<'_, '_>>,
    on_demand: bool,
    called: bool,
    callable: bool,
) -> Option<&'static str> {
    let book = action.book;
    let initiation = action.once(&["Initiation"]).one();
    let remote = match initiation.map(|node| (node, node.first().to_ascii_lowercase())) {
        None => false,
        Some((node, word)) if word == "either" => {
            book.exact(node, "");
            false
        }
        Some((node, word)) if word == "remoteonly" => {
            book.exact(node, "start = \"remote\"");
            true
        }
        Some((node, word)) if word == "localonly" => {
            book.approximated(node, "a peer that begins is answered, too", "");
            false
        }
        Some((node, _)) => {
            book.bad_value(node, "LocalOnly, RemoteOnly or Either");
            return None;
        }
    };
    let demand = start.and_then(|start| super::switch(start, "AllowOnDemand")).unwrap_or(on_demand);
    Some(match (remote || !callable, called, demand) {
        (true, _, _) => "remote",
        (false, true, _) => "at-once",
        (false, false, true) => "on-demand",
        (false, false, false) => "on-command",
    })
}

/// What a packet on demand brings up.
fn narrowing(start: &Body<'_, '_>) -> Option<&'static str> {
    const KEYS: [&str; 7] = [
        "LocalIpGranularity",
        "RemoteIpGranularity",
        "ProtocolGranularity",
        "LocalPortGranularity",
        "RemotePortGranularity",
        "IcmpTypeGranularity",
        "IcmpCodeGranularity",
    ];
    let written: Vec<&Node> = KEYS.iter().filter_map(|key| start.once(&[key]).one()).collect();
    let packet = |node: &&&Node| node.first().eq_ignore_ascii_case("packet");
    let packets = written.iter().filter(packet).count();
    for node in &written {
        match node.first().to_ascii_lowercase().as_str() {
            "rule" | "packet" if packets == 0 || packets == written.len() => {
                start.book.exact(node, "narrowing")
            }
            "rule" | "packet" => {
                start.book.approximated(
                    node,
                    "narrowing = \"packet\" for all: SAs are narrower, and more of them",
                    "",
                );
            }
            _ => start.book.bad_value(node, "Rule or Packet"),
        }
    }
    (packets > 0).then_some("packet")
}

/// Outer headers of tunnel mode.
pub(super) fn outer(action: &Body<'_, '_>) -> Vec<Setting> {
    let mut keys = Vec::new();
    if let Some(node) = action.once(&["PassthroughDF"]).one() {
        let words: Vec<_> = node.words.iter().map(|word| word.to_ascii_lowercase()).collect();
        match (words.first().map(String::as_str), words.get(1).map(String::as_str)) {
            (Some("yes"), _) => action.book.exact(node, ""),
            (Some("no"), None | Some("clear")) => {
                action.book.exact(node, "df = \"clear\"");
                keys.push(("df", Value::text("clear")));
            }
            (Some("no"), Some("set")) => {
                action.book.exact(node, "df = \"set\"");
                keys.push(("df", Value::text("set")));
            }
            _ => action.book.bad_value(node, "Yes, No Clear or No Set"),
        }
    }
    if let Some(passes) = super::switch(action, "PassthroughDSCP")
        && !passes
    {
        keys.push(("dscp", Value::Number(0)));
    }
    keys
}

/// One address of an attribute such as `LocalSecurityEndpointAddr`.
pub(super) fn single(
    body: &Body<'_, '_>,
    plain: &'static [&'static str],
    reference: &'static str,
) -> Option<String> {
    let keys = condition::AddressKeys { plain, references: [reference, "", ""] };
    match condition::addresses(body, &keys) {
        Some(Set::Some(list)) if list.len() == 1 && list[0].parse::<std::net::IpAddr>().is_ok() => {
            list.into_iter().next()
        }
        Some(_) => {
            body.book.refused(body.node, format!("{} is not one address", plain[0]), "write one address");
            None
        }
        None => None,
    }
}
