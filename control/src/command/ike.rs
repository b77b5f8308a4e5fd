//! `ravelin ike`: what stands with peers, and bringing it up, down, or to new keys.

use clap::Subcommand;
use hyper::Method;
use ravelin_contract::name::Name;

use super::table::print;
use super::{Failure, Session};
use crate::api::client::ask;
use crate::api::server::PeerName;
use crate::ike::view::IkeSa;

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// One line for each tunnel that stands.
    List,
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
    let standing = match verb {
        Verb::List => ask(&socket, Method::GET, "/v1/ike", None::<&()>).await?,
        Verb::Up { peer } => told("/v1/ike/up", peer).await?,
        Verb::Down { peer } => told("/v1/ike/down", peer).await?,
        Verb::Rekey { peer } => told("/v1/ike/rekey", peer).await?,
    };
    list(session, &standing)
}

fn list(session: &Session, standing: &[IkeSa]) -> Result<(), Failure> {
    let heading = [
        "PEER",
        "IDENTITY",
        "PROOF",
        "ROLE",
        "LOCAL",
        "REMOTE",
        "ALGORITHMS",
        "TUNNEL",
        "STATE",
        "SPI IN",
        "SPI OUT",
    ];
    let row = |ike: &IkeSa, child: [String; 4]| {
        let [tunnel, state, inbound, outbound] = child;
        [
            ike.peer.clone(),
            ike.identity.clone(),
            ike.proof.clone(),
            ike.role.clone(),
            ike.local.clone(),
            ike.remote.clone(),
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
