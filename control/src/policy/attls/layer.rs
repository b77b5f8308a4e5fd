//! Settings of one level: each may be left out, and then that of the next level outwards holds.

use std::time::Duration;

use ravelin_config::document::Table;
use ravelin_config::source::Place;
use ravelin_config::value::Value;
use ravelin_contract::limits;
use ravelin_contract::tls::{Answer, Truncation};
use ravelin_contract::tls_session::{Suite, Version};
use ravelin_events::catalogue::FILE_TWICE;
use ravelin_rings::revocation::Mode;
use ravelin_rings::scheme::Scheme;
use ravelin_rings::verify::{PeerName, RSA_FLOOR};
use ravelin_tls::Target;
use ravelin_tls::settings::Group;

use super::Expects;
use super::preset::{PRESETS, Preset};
use crate::policy::credential::{Pick, pick};

/// Keys of a layer.
pub(super) const KEYS: [&str; 27] = [
    "enabled",
    "role",
    "certificate",
    "trust",
    "revocation",
    "rsa_floor",
    "client_auth",
    "preset",
    "versions",
    "suites",
    "key_exchange",
    "signatures",
    "alpn",
    "server_name",
    "send_name",
    "check_name",
    "strict_names",
    "resumption",
    "tickets",
    "sessions",
    "first_timeout",
    "handshake_timeout",
    "record_size",
    "pad_to",
    "truncation",
    "answer",
    "proxy_protocol",
];

/// A setting with its place: `Some(None)` where nothing is written, `None` where it is wrong, which was told.
pub(super) type Said<T> = Option<Option<(T, Place)>>;

/// What becomes of connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Enabled {
    On,
    Off,
    Refuse,
}

/// Which end we are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Client,
    Server,
}

/// What clients have to show (row A34).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Demand {
    None,
    PassThrough,
    Wanted,
    Required,
    Mapped,
}

/// How sessions are taken up again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Resume {
    Off,
    Cache,
    Tickets,
}

/// Certificates of ours, and the host names that each is shown for.
pub(super) type Certificates = Vec<(Pick, Vec<String>, Place)>;

/// Settings of one level.
#[derive(Debug, Clone)]
pub(super) struct Layer {
    pub(super) enabled: Said<Enabled>,
    pub(super) role: Said<End>,
    pub(super) certificate: Said<Certificates>,
    pub(super) trust: Said<Vec<(Pick, Place)>>,
    pub(super) revocation: Said<Mode>,
    pub(super) rsa_floor: Said<u16>,
    pub(super) client_auth: Said<Demand>,
    pub(super) preset: Said<&'static Preset>,
    pub(super) versions: Said<Vec<Version>>,
    pub(super) suites: Said<Vec<Suite>>,
    pub(super) key_exchange: Said<Vec<Group>>,
    pub(super) signatures: Said<Vec<Scheme>>,
    pub(super) alpn: Said<Vec<Vec<u8>>>,
    pub(super) server_name: Said<String>,
    pub(super) send_name: Said<bool>,
    pub(super) check_name: Said<Expects>,
    pub(super) strict_names: Said<bool>,
    pub(super) resumption: Said<Resume>,
    pub(super) tickets: Said<usize>,
    pub(super) sessions: Said<usize>,
    pub(super) first_timeout: Said<Duration>,
    pub(super) handshake_timeout: Said<Duration>,
    pub(super) record_size: Said<u16>,
    pub(super) pad_to: Said<u16>,
    pub(super) truncation: Said<Truncation>,
    pub(super) answer: Said<Answer>,
    pub(super) proxy_protocol: Said<bool>,
    /// Each key that is written, with its value as it stands in the file.
    pub(super) written: Vec<(&'static str, String)>,
}

impl Layer {
    /// Of a table that knows [`KEYS`]. Every setting is read, so that all mistakes are told at once.
    pub(super) fn read(table: &Table<'_>) -> Self {
        let number = |key, bounds| said(table, key, |value| value.number(bounds));
        let small = |key, bounds| mapped(number(key, bounds), |number| number as u16);
        let count = |key, bounds| mapped(number(key, bounds), |number| number as usize);
        let seconds = |key| mapped(number(key, 1..=600), Duration::from_secs);
        let flag = |key| said(table, key, |value| value.flag());
        let written = |key| table.get(key).map(|value| (key, as_written(&value)));
        Self {
            enabled: said(table, "enabled", |value| {
                value.choice(&[("on", Enabled::On), ("off", Enabled::Off), ("refuse", Enabled::Refuse)])
            }),
            role: said(table, "role", |value| {
                value.choice(&[("client", End::Client), ("server", End::Server)])
            }),
            certificate: said(table, "certificate", |value| each(value, certificate)),
            trust: said(table, "trust", |value| {
                each(value, |value| Some((pick(value, "roots", "roots/our ca")?, value.place())))
            }),
            revocation: said(table, "revocation", |value| {
                value.choice(&[("off", Mode::Off), ("soft", Mode::Soft), ("hard", Mode::Hard)])
            }),
            rsa_floor: small("rsa_floor", u64::from(RSA_FLOOR)..=16384),
            client_auth: said(table, "client_auth", |value| value.choice(&DEMANDS)),
            preset: said(table, "preset", |value| value.choice(&PRESETS)),
            versions: said(table, "versions", |value| {
                listed(value, |value| value.choice(&[("1.3", Version::Tls13), ("1.2", Version::Tls12)]))
            }),
            suites: said(table, "suites", |value| listed(value, suite)),
            key_exchange: said(table, "key_exchange", |value| listed(value, |value| value.choice(&GROUPS))),
            signatures: said(table, "signatures", |value| {
                listed(value, |value| value.choice(&Scheme::ALL.map(|scheme| (scheme.name(), scheme))))
            }),
            alpn: said(table, "alpn", |value| listed(value, protocol)),
            server_name: said(table, "server_name", host),
            send_name: flag("send_name"),
            check_name: said(table, "check_name", expected),
            strict_names: flag("strict_names"),
            resumption: said(table, "resumption", |value| {
                value.choice(&[("tickets", Resume::Tickets), ("cache", Resume::Cache), ("off", Resume::Off)])
            }),
            tickets: count("tickets", 1..=8),
            sessions: count("sessions", 1..=1 << 20),
            first_timeout: seconds("first_timeout"),
            handshake_timeout: seconds("handshake_timeout"),
            record_size: small(
                "record_size",
                u64::from(limits::TLS_CONTENT_MIN)..=u64::from(limits::TLS_CONTENT),
            ),
            pad_to: small("pad_to", 1..=u64::from(limits::TLS_PADDING)),
            truncation: said(table, "truncation", |value| {
                value.choice(&[("strict", Truncation::Reset), ("lenient", Truncation::Accept)])
            }),
            answer: said(table, "answer", |value| {
                value.choice(&[("after-handshake", Answer::AfterHandshake), ("at-once", Answer::AtOnce)])
            }),
            proxy_protocol: said(table, "proxy_protocol", |value| {
                value.choice(&[("v2", true), ("off", false)])
            }),
            written: KEYS.into_iter().filter_map(written).collect(),
        }
    }
}

const DEMANDS: [(&str, Demand); 7] = [
    ("none", Demand::None),
    ("pass_through", Demand::PassThrough),
    ("wanted", Demand::Wanted),
    ("full", Demand::Wanted),
    ("required", Demand::Required),
    ("mapped", Demand::Mapped),
    ("safcheck", Demand::Mapped),
];

const GROUPS: [(&str, Group); 4] = [
    ("x25519mlkem768", Group::X25519MlKem768),
    ("x25519", Group::X25519),
    ("secp256r1", Group::Secp256r1),
    ("secp384r1", Group::Secp384r1),
];

fn said<T>(table: &Table<'_>, key: &'static str, reader: impl FnOnce(&Value<'_>) -> Option<T>) -> Said<T> {
    table.optional(key, |value| Some((reader(value)?, value.place())))
}

fn mapped<T, U>(said: Said<T>, map: impl FnOnce(T) -> U) -> Said<U> {
    said.map(|said| said.map(|(value, place)| (map(value), place)))
}

/// The text of the file, on one line.
fn as_written(value: &Value<'_>) -> String {
    let text = &value.context().source.text()[value.span()];
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// One or more, all read before any is given up.
fn each<T>(value: &Value<'_>, reader: impl Fn(&Value<'_>) -> Option<T>) -> Option<Vec<T>> {
    let list: Vec<_> = value.one_or_more().iter().map(reader).collect();
    list.into_iter().collect::<Option<Vec<_>>>().filter(|list| !list.is_empty())
}

/// As [`each`], and none twice.
fn listed<T: PartialEq>(value: &Value<'_>, reader: impl Fn(&Value<'_>) -> Option<T>) -> Option<Vec<T>> {
    let mut list = Vec::new();
    for (item, read) in value.one_or_more().iter().map(|item| (item, reader(item))).collect::<Vec<_>>() {
        let read = read?;
        if list.contains(&read) {
            item.error(FILE_TWICE.of(format!("`{}` lists the same twice", value.key())), "list each once");
            return None;
        }
        list.push(read);
    }
    (!list.is_empty()).then_some(list)
}

/// `"web"`, `"web/main"`, or `{ name = "web/main", hosts = ["a.example"] }`.
fn certificate(value: &Value<'_>) -> Option<(Pick, Vec<String>, Place)> {
    if value.as_text().is_some() {
        return Some((pick(value, "web", "web/main")?, Vec::new(), value.place()));
    }
    let table = value.table("a certificate", &["name", "hosts"])?;
    let name = table.need("name", "name = \"web/main\"").and_then(|name| pick(&name, "web", "web/main"));
    let hosts = table.optional("hosts", |hosts| each(hosts, pattern));
    Some((name?, hosts?.unwrap_or_default(), value.place()))
}

/// A host name, or `*.` and one.
fn pattern(value: &Value<'_>) -> Option<String> {
    let text = value.text()?;
    let host = text.strip_prefix("*.").unwrap_or(text);
    match Target::host(host) {
        Ok(_) => Some(text.to_owned()),
        Err(why) => {
            value.error(why, "write a host name such as \"www.example\", or \"*.example\"");
            None
        }
    }
}

fn host(value: &Value<'_>) -> Option<String> {
    let text = value.text()?;
    if let Err(why) = Target::host(text) {
        let remedy = "write a host name; leave the line out to ask for the server's address";
        value.error(why, remedy);
        return None;
    }
    Some(text.to_owned())
}

/// `false`, `true`, or the name that is expected.
fn expected(value: &Value<'_>) -> Option<Expects> {
    let Some(text) = value.as_text() else {
        return value.flag().map(|on| if on { Expects::Asked } else { Expects::Anyone });
    };
    match text.parse() {
        Ok(address) => Some(Expects::Other(PeerName::Ip(address))),
        Err(_) => host(value).map(|name| Expects::Other(PeerName::Dns(name))),
    }
}

/// By its name in the IANA registry, or its number there.
fn suite(value: &Value<'_>) -> Option<Suite> {
    let Some(number) = value.as_number() else {
        return value.choice(&Suite::ALL.map(|suite| (suite.name(), suite)));
    };
    let found = u16::try_from(number).ok().and_then(Suite::from_code);
    if found.is_none() {
        let names = Suite::ALL.map(Suite::name).join(", ");
        value.error(format!("no cipher suite {number:#06x} is known here"), format!("use one of {names}"));
    }
    found
}

fn protocol(value: &Value<'_>) -> Option<Vec<u8>> {
    let text = value.text()?;
    if !(1..=255).contains(&text.len()) {
        value.error("an application protocol has 1 to 255 octets", "write one such as \"h2\"");
        return None;
    }
    Some(text.as_bytes().to_vec())
}
