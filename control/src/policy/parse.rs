//! `ipsec.toml` into the model: one file's values, each checked alone.

use std::ops::RangeInclusive;

use ravelin_config::diagnostic::Collector;
use ravelin_config::document::{self, Table};
use ravelin_config::filter::read::{self, Kind, Names};
use ravelin_config::source::{Place, Source};
use ravelin_config::value::Value;
use ravelin_contract::limits::{REPLAY_WINDOW_MAX, REPLAY_WINDOW_MIN, SPI_MIN};
use ravelin_contract::name::Name;
use ravelin_contract::rule::FilterSettings;
use ravelin_contract::sa::{Carrier, DontFragment, Dscp, Mode, Sending, Spi};
use ravelin_events::catalogue::{FILE_CONTRADICTION, FILE_MISPLACED, FILE_MISSING, FILE_SECRET, FILE_TWICE};

use crate::policy::algorithm::{ALGORITHMS, Algorithm};
use crate::policy::model::{FILTER, Keying, Manual, Model, Tunnel};
use crate::policy::{ike_settings, negotiated, road};

const KEYS: &[&str] = &["filter", "ike", "rule", "tunnel", "peer", "pool", "addresses", "services"];
const FILTER_KEYS: &[&str] = &["log", "log_implicit", "implicit_discard", "pre_decap"];
const TUNNEL_KEYS: &[&str] = &[
    "name",
    "local",
    "remote",
    "mode",
    "encapsulation",
    "local_port",
    "remote_port",
    "keepalive",
    "manual",
    "peer",
    "algorithms",
    "pfs",
    "additional_groups",
    "start",
    "narrowing",
    "per_core",
    "rekey",
    "extended_sequence",
    "replay_window",
    "df",
    "dscp",
    "hop_limit",
    "pad_to",
    "clamp_mss",
    "selectors",
];
const MANUAL_KEYS: &[&str] = &["algorithm", "outbound_spi", "inbound_spi", "keys"];
/// Keys that shape an outer header, which transport mode does not have.
const OUTER_KEYS: [&str; 3] = ["df", "dscp", "hop_limit"];
/// Keys of UDP encapsulation.
const UDP_KEYS: [&str; 3] = ["local_port", "remote_port", "keepalive"];

/// Names given so far, over all files.
#[derive(Default)]
pub struct Unique {
    rules: Names,
    tunnels: Names,
    peers: Names,
    pools: Names,
}

/// Adds one file to `model`; `None` when it is not TOML.
pub fn add(source: &Source, model: &mut Model, names: &mut Unique, notes: &Collector) -> Option<()> {
    document::read(source, notes, KEYS, |file| {
        read_filter(file, model);
        ike_settings::read(file, model);
        model.objects.read(file);
        model.rules.extend(read::rules(file, Kind::Policy, model.rules.len(), &mut names.rules));
        let tables = file.tables("tunnel", "a tunnel", TUNNEL_KEYS);
        tables.iter().for_each(|table| add_tunnel(table, model, &mut names.tunnels));
        negotiated::add_peers(file, model, &mut names.peers);
        road::add_pools(file, model, &mut names.pools);
        Some(())
    })
}

/// `[filter]`: what holds for all rules (row B3). A mistake in it leaves its default, and is told.
fn read_filter(file: &Table<'_>, model: &mut Model) {
    let Some(table) = file.table("filter", "[filter]", FILTER_KEYS) else { return };
    if let Some((_, first)) = &model.filter {
        let message = FILE_TWICE.of(format!("`[filter]` stands in {} already", first.source.name()));
        table.error(message, "say it in one file");
    }
    let flag = |key, default| table.get(key).and_then(|value| value.flag()).unwrap_or(default);
    let discard = table.get("implicit_discard").and_then(|value| value.choice(&read::DISCARDS));
    let settings = FilterSettings {
        log: flag("log", FILTER.log),
        log_implicit: flag("log_implicit", FILTER.log_implicit),
        implicit_discard: discard.unwrap_or(FILTER.implicit_discard),
        pre_decap: flag("pre_decap", FILTER.pre_decap),
    };
    model.filter = Some((settings, table.place()));
}

fn add_tunnel(table: &Table<'_>, model: &mut Model, names: &mut Names) {
    let name = table.need("name", "name = \"site-b\"").and_then(|value| {
        let name = value.name()?;
        names.take(&name, "tunnel", &value);
        Some(name)
    });
    let tunnel = read_tunnel(table, name.clone());
    match (tunnel, name) {
        (Some(tunnel), _) => model.tunnels.push(tunnel),
        (None, name) => model.broken.extend(name),
    }
}

/// Every part is read before any is asked for, so that all mistakes of a tunnel are told at once.
fn read_tunnel(table: &Table<'_>, name: Option<Name>) -> Option<Tunnel> {
    let mode = read_mode(table);
    let sending = read_sending(table);
    let anti_replay = read_anti_replay(table);
    let selectors = read_selectors(table);
    let keying = match table.get("peer") {
        Some(_) => negotiated::of_tunnel(table).map(Keying::Negotiated),
        None => read_manual(table).map(Keying::Manual),
    };
    let (extended_sequence, replay_window) = anti_replay?;
    Some(Tunnel {
        name: name?,
        place: table.place(),
        mode: mode?,
        sending: sending?,
        replay_window,
        extended_sequence,
        selectors: selectors?,
        keying: keying?,
    })
}

/// Both security endpoints, written out.
fn read_endpoints(table: &Table<'_>) -> Option<(std::net::IpAddr, std::net::IpAddr)> {
    let local = table.need("local", "local = \"192.0.2.1\"").and_then(|value| value.address());
    let remote = table.need("remote", "remote = \"198.51.100.1\"").and_then(|value| value.address());
    if let (Some(local), Some(remote), Some(value)) = (local, remote, table.get("remote")) {
        if local.is_ipv4() != remote.is_ipv4() {
            value.error(
                FILE_CONTRADICTION.of("`local` and `remote` mix IPv4 and IPv6"),
                "use two addresses of one family",
            );
        } else if local == remote {
            value.error("`local` and `remote` are one address", "write the peer's address");
        }
    }
    local.zip(remote)
}

fn read_mode(table: &Table<'_>) -> Option<Mode> {
    let Some(value) = table.get("mode") else { return Some(Mode::Tunnel) };
    let mode = value.choice(&[("tunnel", Mode::Tunnel), ("transport", Mode::Transport)])?;
    if mode == Mode::Transport
        && let Some(stray) = OUTER_KEYS.iter().find_map(|key| table.get(key))
    {
        let message = FILE_MISPLACED
            .of(format!("`{}` in transport mode, which has no outer header of its own", stray.key()));
        stray.error(message, "remove the line, or write mode = \"tunnel\"");
    }
    Some(mode)
}

fn read_carrier(table: &Table<'_>) -> Option<Carrier> {
    let choices = [("esp", false), ("udp", true)];
    let udp = table.get("encapsulation").map_or(Some(false), |value| value.choice(&choices))?;
    if !udp {
        if let Some(stray) = UDP_KEYS.iter().find_map(|key| table.get(key)) {
            let message = FILE_MISPLACED.of(format!("`{}` without UDP encapsulation", stray.key()));
            stray.error(message, "remove the line, or write encapsulation = \"udp\"");
        }
        return Some(Carrier::Ip);
    }
    let local_port = number(table, "local_port", 1..=65535, 4500);
    let remote_port = number(table, "remote_port", 1..=65535, 4500);
    let keepalive = number(table, "keepalive", 0..=3600, 20);
    Some(Carrier::Udp { local_port: local_port?, remote_port: remote_port?, keepalive: keepalive? })
}

fn read_sending(table: &Table<'_>) -> Option<Sending> {
    let choices = [("copy", DontFragment::Copy), ("set", DontFragment::Set), ("clear", DontFragment::Clear)];
    let df = table.get("df").map_or(Some(DontFragment::Copy), |value| value.choice(&choices));
    let dscp = copied_or(table, "dscp", 0..=63, None);
    let hop_limit = copied_or(table, "hop_limit", 1..=255, Some(64));
    let pad_to = number(table, "pad_to", 0..=1500, 0);
    let clamp_mss = table.get("clamp_mss").map_or(Some(true), |value| value.flag());
    Some(Sending {
        dont_fragment: df?,
        dscp: dscp?.map_or(Dscp::Copy, Dscp::Value),
        hop_limit: hop_limit?,
        pad_to: pad_to?,
        clamp_mss: clamp_mss?,
    })
}

/// A number, or `"copy"` for the inner header's value, which is `Some(None)`.
fn copied_or(
    table: &Table<'_>,
    key: &'static str,
    bounds: RangeInclusive<u64>,
    default: Option<u8>,
) -> Option<Option<u8>> {
    match table.get(key) {
        None => Some(default),
        Some(value) if value.as_text() == Some("copy") => Some(None),
        Some(value) if value.as_text().is_some() => {
            let (low, high) = (bounds.start(), bounds.end());
            value.error(
                format!("`{key}` is neither a number nor \"copy\""),
                format!("use {low} to {high}, or \"copy\""),
            );
            None
        }
        Some(value) => value.number(bounds).map(|number| Some(number as u8)),
    }
}

fn number(table: &Table<'_>, key: &'static str, bounds: RangeInclusive<u64>, default: u16) -> Option<u16> {
    table.get(key).map_or(Some(default), |value| value.number(bounds).map(|number| number as u16))
}

/// Whether numbers are extended, and the window (RFC 4303 3.4.3).
fn read_anti_replay(table: &Table<'_>) -> Option<(Option<bool>, u32)> {
    let extended = table.optional("extended_sequence", |value| value.flag());
    let Some(value) = table.get("replay_window") else { return Some((extended?, 4096)) };
    let window = value.number(0..=u64::from(REPLAY_WINDOW_MAX))? as u32;
    let (low, high) = (REPLAY_WINDOW_MIN, REPLAY_WINDOW_MAX);
    if !window.is_multiple_of(64) {
        let remedy = format!("use {}, or 0 for no window", window.next_multiple_of(64).clamp(low, high));
        value.error(format!("`replay_window` is {window}, not a multiple of 64"), remedy);
        return None;
    }
    let extended = extended?;
    if window == 0 && extended != Some(false) {
        let message =
            FILE_CONTRADICTION.of("no window with extended sequence numbers, whose upper half it finds");
        value.error(message, "write a window, or extended_sequence = false");
        return None;
    }
    Some((extended, window))
}

fn read_selectors(table: &Table<'_>) -> Option<Option<Vec<ravelin_config::filter::Traffic>>> {
    let Some(value) = table.get("selectors") else { return Some(None) };
    let tables = value.one_or_more().into_iter().map(|item| item.table("a selector", &read::TRAFFIC_KEYS));
    let list: Vec<_> = tables.map(|table| table.and_then(|table| read::traffic(&table))).collect();
    let list: Option<Vec<_>> = list.into_iter().collect();
    list.filter(|list| !list.is_empty()).map(Some)
}

fn read_manual(table: &Table<'_>) -> Option<Manual> {
    let ends = read_endpoints(table);
    let carrier = read_carrier(table);
    negotiated::refuse_stray(table);
    if table.get("manual").is_none() {
        let remedy = "add peer = \"name of a [[peer]]\", or [tunnel.manual] with algorithm, SPIs and keys";
        table.error(FILE_MISSING.of("a tunnel has no keys"), remedy);
    }
    let manual = table.table("manual", "[tunnel.manual]", MANUAL_KEYS)?;
    let algorithm = manual.need("algorithm", "algorithm = \"aes256-gcm16\"").and_then(|v| read_algorithm(&v));
    let outbound_spi = manual.need("outbound_spi", "outbound_spi = 0x1001").and_then(|v| read_spi(&v));
    let inbound_spi = manual.need("inbound_spi", "inbound_spi = 0x1002").and_then(|v| read_spi(&v));
    let keys = manual.need("keys", "keys = \"site-b\", an entry of keys.toml").and_then(|value| {
        if document::is_like_a_key(value.text()?) {
            let remedy =
                "put the key into keys.toml, a new one since this was written down, and name its entry";
            value.error(FILE_SECRET.of("`keys` holds what looks like a key"), remedy);
            return None;
        }
        Some((value.name()?, value.place()))
    });
    let (local, remote) = ends?;
    Some(Manual {
        local,
        remote,
        carrier: carrier?,
        algorithm: algorithm?,
        outbound_spi: outbound_spi?,
        inbound_spi: inbound_spi?,
        keys: keys?,
    })
}

fn read_algorithm(value: &Value<'_>) -> Option<&'static Algorithm> {
    let choices: Vec<_> = ALGORITHMS.iter().map(|algorithm| (algorithm.name, algorithm)).collect();
    value.choice(&choices)
}

fn read_spi(value: &Value<'_>) -> Option<(Spi, Place)> {
    if value.as_number().is_some_and(|number| number < u64::from(SPI_MIN)) {
        let message = format!("`{}` is below {SPI_MIN}, which is reserved (RFC 4303 2.1)", value.key());
        value.error(message, format!("use a number from {SPI_MIN} on, such as 0x1001"));
        return None;
    }
    let number = value.number(u64::from(SPI_MIN)..=u64::from(u32::MAX))?;
    Spi::new(number as u32).map(|spi| (spi, value.place()))
}
