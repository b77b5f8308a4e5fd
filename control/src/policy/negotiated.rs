//! What IKEv2 negotiates by: `[[peer]]`, and the keys of a `[[tunnel]]` that names one.

use std::time::Duration;

use ravelin_config::document::Table;
use ravelin_config::filter::read::Names;
use ravelin_config::value::Value;
use ravelin_contract::address::AddressRange;
use ravelin_contract::name::Name;
use ravelin_events::catalogue::{FILE_CONTRADICTION, FILE_MISPLACED};
use ravelin_ike::policy::{Identity, IdentityPattern, Lifetime, Narrowing, PerResource, Start};

use crate::policy::credential::{self, Theirs};
use crate::policy::model::{Model, Negotiated, Peer, Ppk};
use crate::policy::{identity, offer};

const PEER_KEYS: &[&str] = &[
    "name",
    "local",
    "remote",
    "local_id",
    "remote_id",
    "shared_key",
    "certificate",
    "trust",
    "revocation",
    "signatures",
    "ppk",
    "log_in",
    "eap",
    "eap_only",
    "users",
    "pool",
    "ciphers",
    "integrity",
    "prfs",
    "groups",
    "additional_groups",
    "rekey",
    "reauthenticate",
    "liveness",
    "nat",
    "force_udp",
    "mobike",
    "unique",
];
const PPK_KEYS: &[&str] = &["id", "key", "required"];
const REKEY_KEYS: &[&str] = &["seconds", "octets", "packets"];
const REKEY_IKE_KEYS: &[&str] = &["seconds"];
/// Keys of a tunnel that only mean something beside `peer`.
const NEGOTIATED_KEYS: [&str; 7] =
    ["algorithms", "pfs", "additional_groups", "start", "narrowing", "rekey", "per_core"];
const PER_CORE_KEYS: &[&str] = &["count", "required"];
/// More workers than any packet process has.
const MOST_CORES: u64 = 256;
/// Keys of a tunnel that the peer decides.
const MANUAL_KEYS: [&str; 7] =
    ["local", "remote", "encapsulation", "local_port", "remote_port", "keepalive", "manual"];

/// Child keys are renewed after four hours, IKE's own after a day, where nothing is written (rows B30, B32).
const CHILD_SECONDS: u64 = 4 * 3600;
const IKE_SECONDS: u64 = 24 * 3600;
const YEAR: u64 = 365 * 24 * 3600;

/// Adds the peers of one file.
pub fn add_peers(file: &Table<'_>, model: &mut Model, names: &mut Names) {
    for table in file.tables("peer", "a peer", PEER_KEYS) {
        let name = table.need("name", "name = \"gw-b\"").and_then(|value| {
            let name = value.name()?;
            names.take(&name, "peer", &value);
            Some(name)
        });
        match read_peer(&table, name.clone()) {
            Some(peer) => model.peers.push(peer),
            None => model.broken_peers.extend(name),
        }
    }
}

/// Every part is read before any is asked for, so that all mistakes are told at once.
fn read_peer(table: &Table<'_>, name: Option<Name>) -> Option<Peer> {
    let local = table.need("local", "local = \"192.0.2.1\"").and_then(|value| value.address());
    let remote =
        table.need("remote", "remote = \"198.51.100.1\", or \"any\"").and_then(|value| place(&value));
    let local_identity = table.optional("local_id", |value| identity::of(value, identity::identity));
    let remote_identity = table.optional("remote_id", |value| identity::of(value, identity::pattern));
    let proofs = credential::read(table);
    let ppk = table.optional("ppk", ppk);
    let pool = table.optional("pool", |value| Some((value.name()?, value.place())));
    let offer = offer::ike(table);
    let lifetime = lifetime(table, REKEY_IKE_KEYS, IKE_SECONDS);
    let reauthenticate = table.optional("reauthenticate", |value| seconds(value, 10));
    let liveness = table.optional("liveness", |value| seconds(value, 1));
    let flag = |key, default| table.get(key).map_or(Some(default), |value| value.flag());
    let (allow_nat, force_udp) = (flag("nat", true), flag("force_udp", false));
    let (mobike, unique) = (flag("mobike", true), flag("unique", true));
    let (local, remote, remote_identity, proofs) = (local?, remote?, remote_identity?, proofs?);
    let anywhere = remote.is_none_or(|range| range.first() != range.last());
    if anywhere && remote_identity.is_none() && matches!(proofs.theirs, Theirs::Certificate(_)) {
        let message = "`trust` lets in whoever has a certificate, as no `remote_id` says who may come";
        table.error(message, "add remote_id = \"*.example.com\", \"*,O=Example\", or \"*\" for everybody");
        return None;
    }
    if let (Some(range), Some(value)) = (remote, table.get("remote"))
        && range.first().is_ipv4() != local.is_ipv4()
    {
        value.error(
            FILE_CONTRADICTION.of("`local` and `remote` mix IPv4 and IPv6"),
            "use addresses of one family",
        );
        return None;
    }
    Some(Peer {
        name: name?,
        place: table.place(),
        local,
        remote,
        local_identity: local_identity?.unwrap_or(Identity::Address(local)),
        remote_identity: remote_identity.unwrap_or_else(|| default_pattern(remote)),
        proofs,
        ppk: ppk?,
        pool: pool?,
        offer: offer?,
        lifetime: lifetime?,
        reauthenticate: reauthenticate?,
        liveness: liveness?.or(Some(Duration::from_secs(30))),
        allow_nat: allow_nat?,
        force_udp: force_udp?,
        mobike: mobike?,
        unique: unique?,
    })
}

/// Without a word on who the peer may be, it is its address; from anywhere, anybody who has the key.
fn default_pattern(remote: Option<AddressRange>) -> IdentityPattern {
    match remote {
        None => IdentityPattern::Any,
        Some(range) if range.first() == range.last() => {
            IdentityPattern::Exactly(Identity::Address(range.first()))
        }
        Some(range) => IdentityPattern::Within(range),
    }
}

/// An address, a prefix, or `any`, which is `Some(None)`.
fn place(value: &Value<'_>) -> Option<Option<AddressRange>> {
    let text = value.text()?;
    if text == "any" {
        return Some(None);
    }
    let range = identity::range(text);
    if range.is_none() {
        let message = format!("`{}` is not an address, a prefix or \"any\"", value.key());
        value.error(message, "write \"198.51.100.1\", \"198.51.100.0/24\" or \"any\"");
    }
    range.map(Some)
}

/// `ppk = { id = "..", key = ".." }`. Required unless it says otherwise: a key that is silently left out protects nothing.
fn ppk(value: &Value<'_>) -> Option<Ppk> {
    let table = value.table("`ppk`", PPK_KEYS)?;
    let id = table.need("id", "id = \"gw-b-2026\", as the peer names it").and_then(|value| {
        let text = value.text()?;
        let good = !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_graphic());
        if !good {
            value.error("`id` is not printable ASCII without spaces", "write a name such as \"gw-b-2026\"");
        }
        good.then(|| text.to_owned())
    });
    let key = table
        .need("key", "key = \"site-b-ppk\", an entry of keys.toml")
        .and_then(|value| Some((value.name()?, value.place())));
    let required = table.get("required").map_or(Some(true), |value| value.flag());
    Some(Ppk { id: id?, key: key?, required: required? })
}

fn seconds(value: &Value<'_>, least: u64) -> Option<Duration> {
    value.number(least..=YEAR).map(Duration::from_secs)
}

/// `rekey = { seconds = .., octets = .., packets = .. }`. Keys are gone a quarter later, renewed or not.
fn lifetime(table: &Table<'_>, keys: &'static [&'static str], default: u64) -> Option<Lifetime> {
    let of = |soft: u64| {
        let soft = Duration::from_secs(soft);
        Lifetime { soft: Some(soft), hard: Some(soft + soft / 4), octets: None, packets: None }
    };
    let Some(value) = table.get("rekey") else { return Some(of(default)) };
    let written = value.table("`rekey`", keys)?;
    let seconds = written.optional("seconds", |value| value.number(2..=YEAR));
    let count = |key| match keys.contains(&key) {
        true => written.optional(key, |value| value.number(1..=u64::MAX / 2)),
        false => Some(None),
    };
    let (octets, packets) = (count("octets"), count("packets"));
    Some(Lifetime { octets: octets?, packets: packets?, ..of(seconds?.unwrap_or(default)) })
}

/// What a tunnel with a `peer` says of its keys.
pub fn of_tunnel(table: &Table<'_>) -> Option<Negotiated> {
    if let Some(stray) = MANUAL_KEYS.iter().find_map(|key| table.get(key)) {
        let message = FILE_MISPLACED.of(format!("`{}` beside `peer`, which decides it", stray.key()));
        stray.error(message, "remove the line; addresses are those of the [[peer]]");
    }
    let peer = table.get("peer").and_then(|value| Some((value.name()?, value.place())));
    let offer = offer::esp(table);
    let start = table.optional("start", |value| {
        value.choice(&[
            ("at-once", Start::AtOnce),
            ("on-demand", Start::OnDemand),
            ("on-command", Start::OnCommand),
            ("remote", Start::Remote),
        ])
    });
    let narrowing = table.optional("narrowing", |value| {
        value.choice(&[("rule", Narrowing::Rule), ("packet", Narrowing::Packet)])
    });
    let lifetime = lifetime(table, REKEY_KEYS, CHILD_SECONDS);
    let per_core = per_core(table);
    Some(Negotiated {
        peer: peer?,
        offer: offer?,
        start: start?,
        narrowing: narrowing?.unwrap_or_default(),
        lifetime: lifetime?,
        per_core: per_core?,
    })
}

/// `per_core = 4`, or `per_core = { count = 4, required = true }` (RFC 9611).
fn per_core(table: &Table<'_>) -> Option<PerResource> {
    let Some(value) = table.get("per_core") else { return Some(PerResource::default()) };
    let count = |value: &Value<'_>| value.number(0..=MOST_CORES).and_then(|count| u16::try_from(count).ok());
    if value.as_number().is_some() {
        return Some(PerResource { count: count(&value)?, required: false });
    }
    let written = value.table("`per_core`", PER_CORE_KEYS)?;
    let cores =
        written.need("count", "count = 4, the number of worker cores").and_then(|value| count(&value));
    let required = written.optional("required", |value| value.flag());
    Some(PerResource { count: cores?, required: required?.unwrap_or(false) })
}

/// Tells of keys that mean nothing without `peer`.
pub fn refuse_stray(table: &Table<'_>) {
    if let Some(stray) = NEGOTIATED_KEYS.iter().find_map(|key| table.get(key)) {
        let message = FILE_MISPLACED.of(format!("`{}` in a tunnel with manual keys", stray.key()));
        stray.error(message, "remove the line, or name a peer");
    }
}
