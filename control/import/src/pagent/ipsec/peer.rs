//! Key exchange: which peer a rule's tunnel is with, and how both ends prove themselves.

use std::collections::HashMap;

use super::endpoint::{self, Endpoint};
use super::{Setting, offer};
use crate::pagent::book::{Body, Book};
use crate::pagent::condition::{self, AddressKeys, Set};
use crate::pagent::tree::Node;
use crate::write::Value;

/// Where the IKE daemon of z/OS has its certificates, unless its own configuration says otherwise.
const RING: &str = "iked.keyring";

const LOCAL: AddressKeys =
    AddressKeys { plain: &["LocalIp"], references: ["LocalIpRef", "LocalIpSetRef", ""] };
const REMOTE: AddressKeys =
    AddressKeys { plain: &["RemoteIp"], references: ["RemoteIpRef", "RemoteIpSetRef", ""] };

/// A `[[peer]]` of ours.
pub(super) struct Peer {
    pub(super) name: String,
    pub(super) origin: String,
    pub(super) settings: Vec<Setting>,
    /// It has one address.
    pub(super) is_callable: bool,
}

/// A `KeyExchangeRule`.
struct Rule<'n> {
    node: &'n Node,
    local: Option<Endpoint<'n>>,
    remote: Option<Endpoint<'n>>,
    /// `None` where something of it cannot be said, which was told.
    peer: Option<Peer>,
}

/// All of key exchange.
pub(super) struct Exchange<'b, 'n> {
    book: &'b Book<'n>,
    rules: Vec<Rule<'n>>,
    /// What `LocalDynVpnRule`s begin by themselves.
    called: Vec<(Option<Set>, Option<Set>)>,
}

/// What holds for all peers.
#[derive(Default)]
struct Common {
    nat: Option<bool>,
    liveness: Option<u64>,
    reauthenticate: Option<u64>,
    revocation: Option<&'static str>,
}

impl<'b, 'n> Exchange<'b, 'n> {
    pub(super) fn new(policy: Option<&'n Node>, local: Option<&'n Node>, book: &'b Book<'n>) -> Self {
        let called = local.map(|node| called(&book.open(node))).unwrap_or_default();
        let Some(policy) = policy else { return Self { book, rules: Vec::new(), called } };
        let body = book.open(policy);
        let common = common(&body);
        let mut names = HashMap::new();
        let rules = rules(&body).into_iter().map(|node| match node.is("KeyExchangeRule") {
            true => rule(&book.open(node), &common, &mut names),
            false => Rule { node, local: None, remote: None, peer: None },
        });
        Self { book, rules: rules.collect(), called }
    }

    pub(super) fn peers(&self) -> impl Iterator<Item = &Peer> {
        self.rules.iter().filter_map(|rule| rule.peer.as_ref())
    }

    /// Whether something begins the tunnel of these ends by itself.
    pub(super) fn is_called(&self, (source, destination): (Option<&Set>, Option<&Set>)) -> bool {
        self.called.iter().any(|(local, remote)| {
            endpoint::within(local.as_ref(), source.or(Some(&Set::All)))
                && endpoint::within(remote.as_ref(), destination.or(Some(&Set::All)))
        })
    }

    /// The peer of a filter rule: the first whose endpoints are those of its start action, else those that its traffic ends at.
    pub(super) fn find(
        &self,
        rule: &Body<'_, 'n>,
        start: Option<&Body<'_, 'n>>,
        (source, destination): (Option<&Set>, Option<&Set>),
    ) -> Option<&Peer> {
        let named = |key| start.and_then(|start| start.statement(key)).map(|node| self.location(node));
        let (local, remote) = (named("LocalSecurityEndpoint"), named("RemoteSecurityEndpoint"));
        let fits =
            |end: &Option<Endpoint<'n>>, named: &Option<(&Node, Option<Set>)>, traffic: Option<&Set>| {
                // It may be anybody; such a rule has no peer, so that what it may be for is refused.
                let Some(end) = end.as_ref().filter(|end| end.location.is_some()) else { return true };
                match named {
                    Some((node, location)) => {
                        std::ptr::eq(end.node, *node)
                            || endpoint::within(location.as_ref(), end.location.as_ref())
                    }
                    None => endpoint::within(traffic, end.location.as_ref()),
                }
            };
        let remote_fits = |candidate: &&Rule<'n>| fits(&candidate.remote, &remote, destination);
        let local_fits = |candidate: &&Rule<'n>| {
            local.is_none() && remote.is_some() || fits(&candidate.local, &local, source)
        };
        // Where nothing names the endpoints, a peer whose own traffic it is may come to what lies behind us.
        let both = self.rules.iter().find(|candidate| remote_fits(candidate) && local_fits(candidate));
        let found = both.or_else(|| self.rules.iter().filter(|_| start.is_none()).find(remote_fits));
        match found {
            Some(Rule { peer: Some(peer), .. }) => Some(peer),
            Some(Rule { node, peer: None, .. }) => {
                let said = format!("its {} cannot be taken over", node.shown());
                self.book.refused(rule.node, said, "see what is said there");
                None
            }
            None => {
                let remedy =
                    "name the endpoints by an IpLocalStartAction, and write a KeyExchangeRule for them";
                self.book.refused(rule.node, "no KeyExchangeRule is for its security endpoints", remedy);
                None
            }
        }
    }

    fn location(&self, node: &'n Node) -> (&'n Node, Option<Set>) {
        let remote = node.is("RemoteSecurityEndpoint");
        (node, endpoint::read(&self.book.open(node), remote).location)
    }
}

fn common(body: &Body<'_, '_>) -> Common {
    let number = |key: &'static str| {
        let node = body.once(&[key]).one()?;
        match node.first().parse::<u64>() {
            Ok(number) if number <= 500_000 => {
                body.book.exact(node, "");
                Some(number).filter(|number| *number > 0)
            }
            _ => {
                body.book.bad_value(node, "a number");
                None
            }
        }
    };
    Common {
        nat: super::switch(body, "AllowNat"),
        liveness: number("LivenessInterval"),
        reauthenticate: number("ReauthInterval"),
        revocation: revocation(body),
    }
}

fn revocation(body: &Body<'_, '_>) -> Option<&'static str> {
    let node = body.once(&["RevocationChecking"]).one()?;
    let word = match node.first().to_ascii_lowercase().as_str() {
        "none" => "off",
        "loose" => "soft",
        "strict" => "hard",
        _ => {
            body.book.bad_value(node, "None, Loose or Strict");
            return None;
        }
    };
    body.book.exact(node, "revocation");
    Some(word)
}

/// Key exchange rules in order, those of groups where the group is named: the first that fits holds. In the place of one that is
/// not found stands what names it, as it may have been the one.
fn rules<'n>(body: &Body<'_, 'n>) -> Vec<&'n Node> {
    let book = body.book;
    let mut found = Vec::new();
    for node in body.all() {
        let group = match node.keyword.to_ascii_lowercase().as_str() {
            "keyexchangerule" if node.block.is_some() => {
                found.push(node);
                continue;
            }
            "keyexchangeruleref" => {
                found.push(book.find("KeyExchangeRule", node).unwrap_or(node));
                continue;
            }
            "keyexchangegroup" if node.block.is_some() => Some(node),
            "keyexchangegroupref" => book.find("KeyExchangeGroup", node),
            "keyexchangerule" | "keyexchangegroup" => {
                book.bad_value(node, "its attributes between braces, or the name behind the word with Ref");
                None
            }
            // What is no attribute of the statement may be a rule, mistyped.
            _ if body.has(node) => continue,
            _ => None,
        };
        let within = group.and_then(|group| book.enter(group, || Some(rules(&book.open(group)))));
        found.extend(within.unwrap_or_else(|| vec![node]));
    }
    found
}

/// Ends of what begins by itself.
fn called(body: &Body<'_, '_>) -> Vec<(Option<Set>, Option<Set>)> {
    let book = body.book;
    let mut rules = body.statements("LocalDynVpnRule");
    for group in body.statements("LocalDynVpnGroup") {
        rules.extend(
            book.enter(group, || Some(book.open(group).statements("LocalDynVpnRule"))).unwrap_or_default(),
        );
    }
    let mut found = Vec::new();
    for node in rules {
        let rule = book.open(node);
        let ends = (condition::addresses(&rule, &LOCAL), condition::addresses(&rule, &REMOTE));
        if super::switch(&rule, "AutoActivate") == Some(true) {
            book.approximated(node, "start = \"at-once\", for all that its filter rule is for", "");
            found.push(ends);
        } else {
            book.approximated(node, "`ravelin ike up` brings up all that its filter rule is for", "");
        }
    }
    found
}

fn rule<'n>(body: &Body<'_, 'n>, common: &Common, names: &mut HashMap<String, usize>) -> Rule<'n> {
    let book = body.book;
    let before = book.notes.refusals();
    let end =
        |key| body.statement(key).map(|node| endpoint::read(&book.open(node), key.starts_with("Remote")));
    let (local, remote) = (end("LocalSecurityEndpoint"), end("RemoteSecurityEndpoint"));
    let action = body.statement("KeyExchangeAction").map(|node| book.open(node));
    let mut name = crate::pagent::our_name(body.node.first());
    let count = names.entry(name.clone()).or_insert(0);
    *count += 1;
    if *count > 1 {
        name = format!("{name}.{count}");
    }
    let settings = match (&local, &remote, &action) {
        (Some(local), Some(remote), Some(action)) => settings(body, &name, local, remote, action, common),
        _ => {
            let remedy = "add a LocalSecurityEndpoint, a RemoteSecurityEndpoint and a KeyExchangeAction";
            book.refused(body.node, "a part of it is missing", remedy);
            None
        }
    };
    let whole = book.notes.refusals() == before;
    let origin = format!("{}, {}", body.node.shown(), crate::pagent::at(&body.node.place));
    let peer = settings.filter(|_| whole).map(|settings| {
        let remote = settings.iter().find(|(key, _)| *key == "remote").map(|(_, value)| value.to_string());
        let silent = action.is_some_and(|action| {
            action.all().any(|node| node.is("HowToInitiate") && node.first().eq_ignore_ascii_case("DoNot"))
        });
        let is_callable =
            !silent && remote.is_some_and(|text| text.trim_matches('"').parse::<std::net::IpAddr>().is_ok());
        Peer { name, origin, settings, is_callable }
    });
    Rule { node: body.node, local, remote, peer }
}

fn settings(
    rule: &Body<'_, '_>,
    name: &str,
    local: &Endpoint<'_>,
    remote: &Endpoint<'_>,
    action: &Body<'_, '_>,
    common: &Common,
) -> Option<Vec<Setting>> {
    let book = rule.book;
    let ours = one_place(local, false, book);
    let theirs = one_place(remote, true, book);
    let algorithms = offer::ike(action);
    let proofs = proofs(rule, name, remote, action, common);
    versions(action);
    let mut settings = vec![("local", Value::text(ours?)), ("remote", Value::text(theirs?))];
    settings.extend(local.identity.clone().map(|identity| ("local_id", Value::text(identity))));
    let anybody = || {
        let said = "it says no Identity, so anybody who proves itself is taken: remote_id = \"*\"";
        book.approximated(remote.node, said, "add the Identity");
        "*".to_owned()
    };
    settings.push(("remote_id", Value::text(remote.identity.clone().unwrap_or_else(anybody))));
    settings.extend(proofs?);
    settings.extend(algorithms?);
    let nat = super::switch(action, "AllowNat").or(common.nat).unwrap_or(false);
    settings.push(("nat", Value::Flag(nat)));
    settings.push(("mobike", Value::Flag(false)));
    let again = action.once(&["ReauthInterval"]).one().and_then(|node| {
        book.exact(node, "reauthenticate");
        node.first().parse().ok()
    });
    let again = again.or(common.reauthenticate).filter(|minutes| (1..500_000).contains(minutes));
    settings.extend(again.map(|minutes| ("reauthenticate", Value::Number(minutes * 60))));
    settings.extend(common.liveness.map(|seconds| ("liveness", Value::Number(seconds))));
    Some(settings)
}

/// The address, or for a peer also a prefix or any.
fn one_place(end: &Endpoint<'_>, remote: bool, book: &Book<'_>) -> Option<String> {
    match end.location.as_ref()? {
        Set::All if remote => return Some("any".to_owned()),
        Set::Some(list) if remote && ["any4", "any6"].contains(&list[0].as_str()) => {
            return Some("any".to_owned());
        }
        Set::Some(list) if list.len() == 1 => {
            let one = list[0].parse::<std::net::IpAddr>().is_ok();
            if one || remote && list[0].contains('/') {
                return Some(list[0].clone());
            }
        }
        _ => {}
    }
    let said = if remote { "it is not at one address or prefix" } else { "it is not at one address" };
    book.refused(end.node, said, "write one Location, and a KeyExchangeRule for each");
    None
}

/// How both ends prove themselves. Keys and certificates are not taken over.
fn proofs(
    rule: &Body<'_, '_>,
    name: &str,
    remote: &Endpoint<'_>,
    action: &Body<'_, '_>,
    common: &Common,
) -> Option<Vec<Setting>> {
    let book = rule.book;
    if let Some(node) = rule.once(&["SharedKey"]).one() {
        let remedy = format!("write it into keys.toml: [{name}] shared = \"..\", at least 16 characters");
        book.notes.approximated(&node.place, &node.keyword, "the key itself is not taken over", &remedy);
    }
    let by_key = |node: &Node| match node.first().to_ascii_lowercase().as_str() {
        "presharedkey" => Some(true),
        "rsasignature" | "digitalsignature" | "ecdsa-256" | "ecdsa-384" | "ecdsa-521" => Some(false),
        _ => {
            book.bad_value(
                node,
                "PresharedKey, RsaSignature, ECDSA-256, ECDSA-384, ECDSA-521 or DigitalSignature",
            );
            None
        }
    };
    let peers =
        action.statements("KeyExchangeOffer").into_iter().flat_map(|node| node.block.iter().flatten());
    let peers: Vec<&Node> = peers.filter(|node| node.is("HowToAuthPeers")).collect();
    let theirs = peers.first().map(|node| by_key(node));
    let me = action.once(&["HowToAuthMe"]).one();
    let ours = match me {
        Some(node) => by_key(node)?,
        // z/OS signs where nothing is written; a rule with a key and peers that have it means the key.
        None => theirs.flatten() == Some(true),
    };
    let theirs = theirs.unwrap_or(Some(ours))?;
    for node in peers.iter().chain(me.iter()) {
        let same = by_key(node)? == if node.is("HowToAuthMe") { ours } else { theirs };
        match same {
            true => book.exact(node, ""),
            false => book.approximated(
                node,
                "a peer of ours has one way to prove itself, that of the first offer",
                "",
            ),
        }
    }
    let mut settings = Vec::new();
    if ours || theirs {
        settings.push(("shared_key", Value::text(name)));
        if rule.once(&["SharedKey"]).one().is_none() {
            book.refused(rule.node, "it has no SharedKey", "add it");
        }
    }
    if !ours {
        let said = format!(
            "proved by a certificate of the ring `{RING}` for its identity, which has to be made here"
        );
        book.approximated(rule.node, said, "ravelin ring create iked.keyring, and ravelin cert import");
        settings.push(("certificate", Value::text(RING)));
    }
    if !theirs {
        let labels = remote.authorities.iter().map(|label| format!("{RING}/{}", label.replace('/', "-")));
        let labels: Vec<String> = labels.collect();
        settings.push(("trust", if labels.is_empty() { Value::text(RING) } else { Value::texts(labels) }));
        settings.extend(common.revocation.map(|word| ("revocation", Value::text(word))));
    }
    Some(settings)
}

/// IKEv1 is not spoken.
fn versions(action: &Body<'_, '_>) {
    for node in action.all() {
        match node.keyword.to_ascii_lowercase().as_str() {
            "howtoinitiate" if node.first().eq_ignore_ascii_case("ikev2") => action.book.exact(node, ""),
            "howtoinitiate" if node.first().eq_ignore_ascii_case("donot") => {
                action.book.exact(node, "start = \"remote\"");
            }
            "howtoinitiate" => {
                let said = "IKEv2 is spoken, and nothing else";
                action.book.approximated(node, said, "have the peer speak IKEv2");
            }
            "howtorespond" | "howtorespondikev1" => {
                action.book.ignored(node, "it is for IKEv1, which is not spoken")
            }
            "bypassipvalidation" | "certificateurllookuppreference" => {
                action.book.ignored(node, "peers are known by what they prove");
            }
            _ => {}
        }
    }
}
