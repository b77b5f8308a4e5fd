//! `ravelin ike`: what stands with peers and what came of trying, and bringing it up, down, or to new keys.

use std::io::Write;
use std::time::SystemTime;

use clap::Subcommand;
use hyper::Method;
use ravelin_contract::name::Name;

use super::table::{print, print_json};
use super::{Failure, Session};
use crate::api::client::ask;
use crate::api::server::{PeerName, Whom};
use crate::ike::view::{ChildSa, IkeSa, Told};

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// One line for each tunnel that stands.
    List,
    /// All that is known of what stands with a peer.
    Show {
        /// The `[[peer]]`, or our SPI of the IKE SA.
        which: String,
    },
    /// What IKE told lately: why a peer was refused, or refused us, and what to do about it.
    Explain {
        /// The `[[peer]]`, or an address. Everybody without it.
        whom: Option<String>,
    },
    /// Bring up every tunnel of a peer. Returns at once; `ravelin ike list` shows what came of it.
    Up {
        /// The `[[peer]]`.
        peer: String,
    },
    /// End every IKE SA of a peer, with its tunnels. What policy protects is dropped then.
    Down {
        /// The `[[peer]]`.
        peer: String,
    },
    /// New keys for every IKE SA of a peer and its tunnels.
    Rekey {
        /// The `[[peer]]`.
        peer: String,
    },
}

pub(crate) async fn run(session: &Session, verb: Verb) -> Result<(), Failure> {
    let socket = session.socket()?;
    let told = |path, peer: String| {
        let socket = socket.clone();
        async move {
            let peer = Name::new(&peer).map_err(|error| Failure::Refused(format!("{peer}: {error}")))?;
            Ok::<Vec<IkeSa>, Failure>(ask(&socket, Method::POST, path, Some(&PeerName { peer })).await?)
        }
    };
    let all = || ask(&socket, Method::GET, "/v1/ike", None::<&()>);
    let standing = match verb {
        Verb::List => all().await?,
        Verb::Show { which } => return show(session, all().await?, &which),
        Verb::Explain { whom } => {
            let told: Vec<Told> = ask(&socket, Method::POST, "/v1/ike/explain", Some(&Whom { whom })).await?;
            return explain(session, &told);
        }
        Verb::Up { peer } => told("/v1/ike/up", peer).await?,
        Verb::Down { peer } => told("/v1/ike/down", peer).await?,
        Verb::Rekey { peer } => told("/v1/ike/rekey", peer).await?,
    };
    list(session, &standing)
}

fn show(session: &Session, mut standing: Vec<IkeSa>, which: &str) -> Result<(), Failure> {
    standing.retain(|ike| ike.peer == which || ike.id == which);
    if standing.is_empty() {
        return Err(Failure::Refused(format!(
            "no IKE SA stands with {which}; `ravelin ike explain {which}` tells what came of trying"
        )));
    }
    if session.json {
        return Ok(print_json(&standing)?);
    }
    standing.iter().try_for_each(|ike| {
        let children = ike.children.iter().flat_map(child_rows);
        print(session, ike, ["FIELD", "VALUE"], own_rows(ike).into_iter().chain(children))
    })
}

fn own_rows(ike: &IkeSa) -> Vec<[String; 2]> {
    let [initiator, responder] = &ike.spis;
    let in_time = |due: Option<u64>| due.map_or("never".to_owned(), |due| format!("in {due} s"));
    [
        ("peer", ike.peer.clone()),
        ("identity", format!("{} by {}", ike.identity, ike.proof)),
        ("our proof", ike.own_proof.clone()),
        ("role", ike.role.clone()),
        ("SPIs", format!("{initiator} {responder}")),
        ("local", ike.local.clone()),
        ("remote", ike.remote.clone()),
        ("NAT before", ike.nat.clone()),
        ("given to it", given(&ike.leased)),
        ("given to us", given(&ike.assigned)),
        ("algorithms", ike.algorithms.clone()),
        ("age", format!("{} s", ike.age_s)),
        ("last heard of", format!("{} s ago", ike.heard_s)),
        ("new keys", in_time(ike.rekey_in_s)),
        ("new proof", in_time(ike.reauthenticate_in_s)),
    ]
    .map(|(field, value)| [field.to_owned(), value])
    .into()
}

/// Addresses of a pool.
fn given(addresses: &[String]) -> String {
    if addresses.is_empty() { "-".to_owned() } else { addresses.join(" ") }
}

fn child_rows(child: &ChildSa) -> Vec<[String; 2]> {
    let core = child.core.map_or("every core".to_owned(), |core| format!("core {core}"));
    [
        ("tunnel", format!("{} ({}, {}, {core})", child.tunnel, child.state, child.mode)),
        ("  SPI in, out", format!("{} {}", child.inbound_spi, child.outbound_spi)),
        ("  local", child.local.join(", ")),
        ("  remote", child.remote.join(", ")),
    ]
    .map(|(field, value)| [field.to_owned(), value])
    .into()
}

fn explain(session: &Session, told: &[Told]) -> Result<(), Failure> {
    if session.json {
        return Ok(print_json(&told)?);
    }
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let mut out = std::io::stdout().lock();
    if told.is_empty() {
        writeln!(out, "nothing was told since ravelin-control started")?;
    }
    for one in told {
        let (peer, remote) = (one.peer.as_deref().unwrap_or("-"), one.remote.as_deref().unwrap_or("-"));
        writeln!(out, "{} s ago  {}  {peer}  {remote}", now.saturating_sub(one.time), one.code)?;
        writeln!(out, "    {}", one.text)?;
        if let Some(remedy) = &one.remedy {
            writeln!(out, "    remedy: {remedy}")?;
        }
    }
    Ok(())
}

fn list(session: &Session, standing: &[IkeSa]) -> Result<(), Failure> {
    let heading = [
        "PEER",
        "IDENTITY",
        "PROOF",
        "ROLE",
        "LOCAL",
        "REMOTE",
        "ADDRESS",
        "ALGORITHMS",
        "TUNNEL",
        "STATE",
        "SPI IN",
        "SPI OUT",
    ];
    let row = |ike: &IkeSa, child: [String; 4]| {
        let [tunnel, state, inbound, outbound] = child;
        let address = given(&[&ike.leased[..], &ike.assigned].concat());
        [
            ike.peer.clone(),
            ike.identity.clone(),
            ike.proof.clone(),
            ike.role.clone(),
            ike.local.clone(),
            ike.remote.clone(),
            address,
            ike.algorithms.clone(),
            tunnel,
            state,
            inbound,
            outbound,
        ]
    };
    let rows = standing.iter().flat_map(|ike| {
        let children = ike.children.iter().map(|child| {
            let spis = (child.inbound_spi.clone(), child.outbound_spi.clone());
            row(ike, [child.tunnel.clone(), child.state.clone(), spis.0, spis.1])
        });
        let alone = ike.children.is_empty().then(|| row(ike, ["-"; 4].map(str::to_owned)));
        children.chain(alone).collect::<Vec<_>>()
    });
    print(session, &standing, heading, rows)
}
