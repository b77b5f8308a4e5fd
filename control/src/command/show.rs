//! What is in force: SAs, filters, ports, counts.

use clap::Subcommand;
use hyper::Method;

use super::table::{print, print_json};
use super::{Failure, Session};
use crate::api::client::ask;
use crate::api::view::{InForce, Overview, Port, Rule, Sa, Trunk};

#[derive(Debug, Subcommand)]
pub(crate) enum SaVerb {
    /// One line an SA.
    List,
    /// All that is known of the SAs of one connection, or with one SPI.
    Show {
        /// Name of the connection, or SPI such as 0x1001.
        which: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum FilterVerb {
    /// The filters in force, in order, with their matches.
    List,
    /// Switch every worker to the default filters, at once and over restarts.
    Default,
    /// Back to the policy.
    Reload,
}

#[derive(Debug, Subcommand)]
pub(crate) enum InterfaceVerb {
    /// One line a port.
    List,
}

/// `()` as the body of a request without one.
const NO_BODY: Option<&()> = None;

pub(crate) async fn sa(session: &Session, verb: SaVerb) -> Result<(), Failure> {
    let sas: Vec<Sa> = ask(&session.socket()?, Method::GET, "/v1/sas", NO_BODY).await?;
    match verb {
        SaVerb::List => list_sas(session, &sas),
        SaVerb::Show { which } => {
            let chosen: Vec<&Sa> = sas.iter().filter(|sa| is_named(sa, &which)).collect();
            if chosen.is_empty() {
                return Err(Failure::Refused(format!(
                    "no SA has the name or SPI {which}; see `ravelin sa list`"
                )));
            }
            if session.json {
                return Ok(print_json(&chosen)?);
            }
            chosen.into_iter().try_for_each(|sa| show_sa(session, sa))
        }
    }
}

/// By its connection, or by its SPI with `0x` in front.
fn is_named(sa: &Sa, which: &str) -> bool {
    let spi = |text: &str| u32::from_str_radix(text.strip_prefix("0x")?, 16).ok();
    sa.name == which || spi(which).is_some_and(|number| spi(&sa.spi) == Some(number))
}

fn list_sas(session: &Session, sas: &[Sa]) -> Result<(), Failure> {
    let heading =
        ["NAME", "DIRECTION", "SPI", "LOCAL", "REMOTE", "MODE", "ALGORITHM", "PACKETS", "OCTETS", "DROPS"];
    let rows = sas.iter().map(|sa| {
        let drops: u64 = sa.drops.iter().map(|(_, count)| count).sum();
        [
            sa.name.clone(),
            sa.direction.clone(),
            sa.spi.clone(),
            sa.local.to_string(),
            sa.remote.to_string(),
            sa.mode.clone(),
            sa.algorithm.clone(),
            sa.packets.to_string(),
            sa.octets.to_string(),
            drops.to_string(),
        ]
    });
    print(session, &sas, heading, rows)
}

fn show_sa(session: &Session, sa: &Sa) -> Result<(), Failure> {
    let (number, bound) = match sa.direction.as_str() {
        "outbound" => ("next sequence number", "numbers reserved below"),
        _ => ("highest sequence number", "anti-replay window"),
    };
    let mut rows = vec![
        ["name".to_owned(), sa.name.clone()],
        ["tunnel".to_owned(), sa.tunnel.clone()],
        ["direction".to_owned(), sa.direction.clone()],
        ["SPI".to_owned(), sa.spi.clone()],
        ["local".to_owned(), sa.local.to_string()],
        ["remote".to_owned(), sa.remote.to_string()],
        ["mode".to_owned(), sa.mode.clone()],
        ["carrier".to_owned(), sa.carrier.clone()],
        ["algorithm".to_owned(), sa.algorithm.clone()],
        ["extended sequence".to_owned(), sa.extended_sequence.to_string()],
        ["packets".to_owned(), sa.packets.to_string()],
        ["octets".to_owned(), sa.octets.to_string()],
        [number.to_owned(), sa.sequence.to_string()],
        [bound.to_owned(), sa.bound.to_string()],
    ];
    rows.extend(sa.path_mtu.map(|mtu| ["path MTU".to_owned(), mtu.to_string()]));
    rows.extend(sa.drops.iter().map(|(verdict, count)| [format!("dropped: {verdict}"), count.to_string()]));
    print(session, sa, ["FIELD", "VALUE"], rows)
}

pub(crate) async fn filter(session: &Session, verb: FilterVerb) -> Result<(), Failure> {
    let socket = session.socket()?;
    let path = match verb {
        FilterVerb::List => {
            let rules: Vec<Rule> = ask(&socket, Method::GET, "/v1/rules", NO_BODY).await?;
            return list_rules(session, &rules);
        }
        FilterVerb::Default => "/v1/filter/default",
        FilterVerb::Reload => "/v1/filter/reload",
    };
    let done: InForce = ask(&socket, Method::POST, path, Some(&())).await?;
    print_in_force(session, &done)
}

pub(crate) fn print_in_force(session: &Session, done: &InForce) -> Result<(), Failure> {
    let rows = [[
        done.number.map_or_else(|| "-".to_owned(), |number| number.to_string()),
        done.generation.to_string(),
        format!("{:.3} ms", done.took_us as f64 / 1000.0),
        done.fingerprint.clone().unwrap_or_else(|| "-".to_owned()),
    ]];
    print(session, done, ["POLICY", "GENERATION", "IN FORCE AFTER", "FINGERPRINT"], rows)
}

fn list_rules(session: &Session, rules: &[Rule]) -> Result<(), Failure> {
    let heading =
        ["#", "RULE", "DIRECTION", "SOURCE", "DESTINATION", "SERVICE", "ACTION", "PACKETS", "OCTETS"];
    let rows = rules.iter().map(|rule| {
        [
            rule.index.to_string(),
            format!("{}.{}", rule.name, rule.extension),
            rule.direction.clone(),
            rule.source.clone(),
            rule.destination.clone(),
            rule.service.clone(),
            rule.action.clone(),
            rule.packets.to_string(),
            rule.octets.to_string(),
        ]
    });
    print(session, &rules, heading, rows)
}

pub(crate) async fn interface(session: &Session, verb: InterfaceVerb) -> Result<(), Failure> {
    let InterfaceVerb::List = verb;
    let ports: Vec<Port> = ask(&session.socket()?, Method::GET, "/v1/ports", NO_BODY).await?;
    let heading = ["NAME", "ZONE", "SIDE", "MAC", "MTU", "DRIVER", "XDP", "RECEIVED", "SENT", "LOST"];
    let unknown = || "-".to_owned();
    let rows = ports.iter().map(|port| {
        [
            port.name.clone(),
            port.zone.clone(),
            port.side.clone(),
            port.mac.clone(),
            port.mtu.to_string(),
            port.driver.clone(),
            port.trunk.as_ref().map_or_else(unknown, |trunk| trunk.xdp.clone()),
            port.received_packets.to_string(),
            port.sent_packets.to_string(),
            port.trunk.as_ref().map_or_else(unknown, |trunk| trunk.lost.values().sum::<u64>().to_string()),
        ]
    });
    print(session, &ports, heading, rows)
}

pub(crate) async fn stats(session: &Session) -> Result<(), Failure> {
    let ports: Vec<Port> = ask(&session.socket()?, Method::GET, "/v1/ports", NO_BODY).await?;
    let rows = ports.iter().flat_map(|port| {
        port.verdicts.iter().map(|count| {
            let end = if count.drop { "drop" } else { "pass" };
            let cells = [port.name.as_str(), count.verdict.as_str(), end].map(str::to_owned);
            let [name, verdict, end] = cells;
            [name, verdict, end, count.packets.to_string(), count.octets.to_string()]
        })
    });
    print(session, &ports, ["PORT", "VERDICT", "END", "PACKETS", "OCTETS"], rows.chain(carried(&ports)))
}

/// Each physical interface once: what its XDP program did with frames, and what the kernel lost.
fn carried(ports: &[Port]) -> Vec<[String; 5]> {
    let mut trunks: Vec<&Trunk> = ports.iter().filter_map(|port| port.trunk.as_ref()).collect();
    trunks.sort_by(|a, b| a.name.cmp(&b.name));
    trunks.dedup_by(|a, b| a.name == b.name);
    let row = |name: &str, what: String, end: &str, count: u64| {
        [name.to_owned(), what, end.to_owned(), count.to_string(), "-".to_owned()]
    };
    let of = |trunk: &Trunk| {
        let steered =
            trunk.steered.iter().map(|(class, count)| row(&trunk.name, class.clone(), "xdp", *count));
        let lost =
            trunk.lost.iter().map(|(cause, count)| row(&trunk.name, format!("lost_{cause}"), "drop", *count));
        steered.chain(lost).filter(|row| row[3] != "0").collect::<Vec<_>>()
    };
    trunks.into_iter().flat_map(of).collect()
}

pub(crate) async fn status(session: &Session) -> Result<(), Failure> {
    let overview: Overview = ask(&session.socket()?, Method::GET, "/v1/status", NO_BODY).await?;
    let fingerprint = |text: &Option<String>| text.clone().unwrap_or_else(|| "none".to_owned());
    let mut rows = vec![
        ["filters in force".to_owned(), overview.filters.clone()],
        ["policy applied".to_owned(), fingerprint(&overview.applied)],
        ["policy held".to_owned(), fingerprint(&overview.policy)],
        ["generation".to_owned(), overview.generation.to_string()],
        ["rules".to_owned(), overview.rules.to_string()],
        ["SAs in, out".to_owned(), format!("{}, {}", overview.inbound_sas, overview.outbound_sas)],
        ["routes, neighbours".to_owned(), format!("{}, {}", overview.routes, overview.neighbours)],
        ["crypto".to_owned(), overview.crypto.clone()],
        ["dataplane".to_owned(), format!("{} pid {}", overview.version, overview.pid)],
        ["uptime".to_owned(), format!("{} s", overview.uptime)],
    ];
    rows.extend(overview.workers.iter().map(|worker| {
        let frames = format!("{} of {} frames free", worker.frames_free, worker.frames);
        [format!("worker on core {}", worker.core), frames]
    }));
    print(session, &overview, ["FIELD", "VALUE"], rows)
}
