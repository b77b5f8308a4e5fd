//! Road warriors: how they log in by EAP (RFC 7296 2.16), and the pools that their addresses come from (RFC 7296 3.15, RFC 8598).

use std::net::IpAddr;

use ravelin_config::document::Table;
use ravelin_config::filter::read::Names;
use ravelin_config::source::Place;
use ravelin_config::value::Value;
use ravelin_contract::address::AddressRange;
use ravelin_contract::name::Name;
use ravelin_events::catalogue::{FILE_MISPLACED, FILE_MISSING, FILE_RANGE, FILE_TWICE};
use ravelin_ike::policy::{Eap, EapMethod, Lease, Trust};

use crate::policy::credential::Ours;
use crate::policy::model::Model;

const POOL_KEYS: &[&str] = &["name", "addresses", "dns", "domains"];
/// Most entries of one list of a pool: what fits a message with room for everything else.
const ENTRIES: usize = 16;
/// Longest domain name (RFC 1035 2.3.4).
const DOMAIN: usize = 253;

/// One `[[pool]]`.
#[derive(Debug, Clone)]
pub struct Pool {
    /// Where its table begins.
    pub place: Place,
    /// What its clients get.
    pub lease: Lease,
}

/// How clients log in.
#[derive(Debug, Clone)]
pub struct LogIn {
    /// Methods, and whether a client may do with EAP alone.
    pub eap: Eap,
    /// Entry of the file of keys with the users, and where it was named.
    pub users: Option<(Name, Place)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Method {
    MsChapV2,
    Tls,
}

const METHODS: &[(&str, Method)] = &[("mschapv2", Method::MsChapV2), ("tls", Method::Tls)];

/// Adds the pools of one file.
pub fn add_pools(file: &Table<'_>, model: &mut Model, names: &mut Names) {
    for table in file.tables("pool", "a pool", POOL_KEYS) {
        let name = table.need("name", "name = \"road\"").and_then(|value| {
            let name = value.name()?;
            names.take(&name, "pool", &value);
            Some(name)
        });
        match read_pool(&table, name.clone(), &model.pools) {
            Some(pool) => model.pools.push(pool),
            None => model.broken_pools.extend(name),
        }
    }
}

fn read_pool(table: &Table<'_>, name: Option<Name>, others: &[Pool]) -> Option<Pool> {
    let addresses = table
        .need("addresses", "addresses = [\"10.9.0.0/24\", \"2001:db8:9::/112\"]")
        .and_then(|value| ranges(&value, others));
    let dns = table.optional("dns", |value| all(value, |value| value.address()));
    let domains = table.optional("domains", |value| {
        if table.get("dns").is_none() {
            let message = FILE_MISSING.of("`domains` of a pool without `dns`: nobody answers for them");
            value.error(message, "add dns = [\"10.1.0.10\"], or remove the line");
            return None;
        }
        all(value, domain)
    });
    let lease = Lease {
        pool: name?,
        addresses: addresses?,
        dns: dns?.unwrap_or_default(),
        domains: domains?.unwrap_or_default(),
        subnets: Vec::new(),
    };
    Some(Pool { place: table.place(), lease })
}

fn all<T>(value: &Value<'_>, read: impl Fn(&Value<'_>) -> Option<T>) -> Option<Vec<T>> {
    let values = value.one_or_more();
    if values.len() > ENTRIES {
        let message =
            FILE_RANGE.of(format!("`{}` has {} entries, at most {ENTRIES}", value.key(), values.len()));
        value.error(message, "list fewer");
        return None;
    }
    let read: Vec<_> = values.iter().map(&read).collect();
    read.into_iter().collect::<Option<Vec<_>>>().filter(|list| !list.is_empty())
}

fn domain(value: &Value<'_>) -> Option<String> {
    let text = value.text()?;
    let label = |label: &str| {
        let plain = label.bytes().all(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_'));
        !label.is_empty() && label.len() <= 63 && plain
    };
    let good = text.len() <= DOMAIN && text.split('.').all(label);
    if !good {
        value.error(format!("`{}` is not a domain", value.key()), "write it like \"corp.example\"");
    }
    good.then(|| text.to_owned())
}

/// Addresses that no other pool and no other entry has: nobody may get what another has.
fn ranges(value: &Value<'_>, others: &[Pool]) -> Option<Vec<AddressRange>> {
    let mut found: Vec<AddressRange> = Vec::new();
    for (range, entry) in all(value, range)?.into_iter().zip(value.one_or_more()) {
        let overlaps = |other: &&AddressRange| {
            other.family() == range.family() && other.first() <= range.last() && range.first() <= other.last()
        };
        if let Some(other) = found.iter().find(overlaps) {
            entry.error(
                FILE_TWICE.of(format!("these addresses are in {other} too")),
                "list each address once",
            );
            return None;
        }
        if let Some(pool) =
            others.iter().find(|pool| pool.lease.addresses.iter().any(|other| overlaps(&other)))
        {
            let message =
                FILE_TWICE.of(format!("pool `{}` has some of these addresses too", pool.lease.pool));
            entry.error(message, "give each address to one pool");
            return None;
        }
        found.push(range);
    }
    Some(found)
}

/// `10.9.0.0/24` without its first and last address, which hosts may not have; `10.9.0.10-10.9.0.99`; or one address.
fn range(value: &Value<'_>) -> Option<AddressRange> {
    let text = value.text()?;
    let range = match (text.split_once('/'), text.split_once('-')) {
        (Some((address, length)), _) => prefix(address, length),
        (None, Some((first, last))) => {
            let ends = first.trim().parse().ok().zip(last.trim().parse().ok());
            ends.and_then(|(first, last)| AddressRange::new(first, last).ok())
        }
        (None, None) => text.parse().ok().map(AddressRange::single),
    };
    if range.is_none() {
        let message = format!("`{}` is not a range of addresses", value.key());
        value.error(message, "write \"10.9.0.0/24\", \"10.9.0.10-10.9.0.99\" or \"2001:db8:9::/112\"");
    }
    range
}

fn prefix(address: &str, length: &str) -> Option<AddressRange> {
    let range = AddressRange::prefix(address.parse().ok()?, length.parse().ok()?).ok()?;
    let (first, last) = (range.first(), range.last());
    let hosts = match (first, last) {
        (IpAddr::V4(first), IpAddr::V4(last)) if last.to_bits() - first.to_bits() > 2 => {
            let inner = [first.to_bits() + 1, last.to_bits() - 1].map(std::net::Ipv4Addr::from_bits);
            AddressRange::new(inner[0].into(), inner[1].into())
        }
        // The first of an IPv6 network is every router's (RFC 4291 2.6.1).
        (IpAddr::V6(first), IpAddr::V6(last)) if last.to_bits() - first.to_bits() > 2 => {
            AddressRange::new(std::net::Ipv6Addr::from_bits(first.to_bits() + 1).into(), last.into())
        }
        _ => return Some(range),
    };
    hosts.ok()
}

/// What a peer says of EAP, certificates apart.
pub struct Said {
    methods: Vec<Method>,
    alone: bool,
    users: Option<(Name, Place)>,
}

/// Reads what a peer says of EAP; `Some(None)` when it says nothing.
pub fn said(table: &Table<'_>) -> Option<Option<Said>> {
    if table.get("log_in").is_some() {
        let strays: Vec<_> = ["eap", "eap_only"].into_iter().filter_map(|key| table.get(key)).collect();
        for stray in &strays {
            stray.error(
                FILE_MISPLACED.of("a peer that we log in at lets no clients in"),
                "remove the line, or `log_in`",
            );
        }
        return strays.is_empty().then_some(None);
    }
    let methods = table.optional("eap", |value| {
        let words: Vec<_> = value.one_or_more().iter().map(|word| word.choice(METHODS)).collect();
        words.into_iter().collect::<Option<Vec<_>>>().filter(|list| !list.is_empty())
    });
    let users = table.optional("users", |value| Some((value.name()?, value.place())));
    let alone = table.optional("eap_only", Value::flag);
    let (methods, users, alone) = (methods?, users?, alone?);
    let has = |method| methods.iter().flatten().any(|one| *one == method);
    let stray = |key, message: &str, remedy: &str| {
        if let Some(value) = table.get(key) {
            value.error(message, remedy);
        }
        None
    };
    match (users.is_some(), has(Method::MsChapV2)) {
        (true, false) => {
            let message = "`users` of a peer where nobody logs in with a password";
            return stray("users", message, "remove the line, or add eap = [\"mschapv2\"]");
        }
        (false, true) => {
            let example = "users = \"staff\", an entry of keys.toml with users = { NAME = \"PASSWORD\" }";
            table.need("users", example);
            return None;
        }
        _ => {}
    }
    if alone == Some(true) && !has(Method::Tls) {
        let message = "`eap_only` without a method that proves us to clients";
        return stray("eap_only", message, "remove the line, or add eap = [\"tls\"]");
    }
    Some(methods.map(|methods| Said { methods, alone: alone.unwrap_or_default(), users }))
}

impl Said {
    /// With what the peer says of certificates. EAP-TLS needs one on each side.
    pub fn with(self, table: &Table<'_>, trust: Option<Trust>, ours: &Option<Ours>) -> Option<LogIn> {
        let tls = self.methods.contains(&Method::Tls);
        if let (false, Some(stray)) = (tls, table.get("trust")) {
            let message = FILE_MISPLACED.of("`trust` of a peer where nobody shows a certificate");
            stray.error(message, "remove the line, or add eap = [\"tls\"]");
            return None;
        }
        if tls && !matches!(ours, Some(Ours::Certificate(..))) {
            let message = FILE_MISSING.of("EAP-TLS shows a certificate to clients, and none is named");
            table.error(message, "add certificate = \"RING\", or leave \"tls\" out of `eap`");
            return None;
        }
        let trust = match (tls, trust) {
            (true, None) => {
                table.error(
                    FILE_MISSING.of("EAP-TLS asks clients for a certificate, and nothing says whose"),
                    "add trust = [\"RING\"], or leave \"tls\" out of `eap`",
                );
                return None;
            }
            (_, trust) => trust,
        };
        let method = |method: &Method| match method {
            Method::MsChapV2 => Some(EapMethod::MsChapV2),
            Method::Tls => trust.clone().map(EapMethod::Tls),
        };
        let methods = self.methods.iter().filter_map(method).collect();
        Some(LogIn { eap: Eap { methods, alone: self.alone }, users: self.users })
    }
}
