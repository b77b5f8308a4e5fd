//! The driver of TLS between a packet process that follows a script and real peers: other handshakes of `ravelin-tls`, OpenSSL.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod failures;
mod handshakes;
mod lifecycle;
mod openssl;
#[path = "../../tls/tests/handshake/site.rs"]
mod site;
mod world;

use std::sync::Arc;

use ravelin_config::source::Source;
use ravelin_contract::tls::{ConnectionId, Order};
use ravelin_contract::tls_session::Role;
use ravelin_control::attls::{self, Door};
use ravelin_control::io::dataplane::Dataplane;
use ravelin_control::policy::management::Site as Gateway;
use ravelin_control::policy::{self, Compiled};
use ravelin_tls::{Handshake, Progress};
use site::Site;
use world::World;

/// A gateway's control side with the rings of a site.
struct Bench {
    site: Site,
    world: World,
    door: Door,
    _runtime: tokio::runtime::Runtime,
    _place: tempfile::TempDir,
}

/// What control made of a handshake.
#[derive(Debug, Default)]
struct Seen {
    orders: Vec<Order>,
    /// Octets that were sent.
    sent: usize,
}

fn compiled(attls: &str) -> Compiled {
    let beside = Source::from_text("ipsec.toml", "[[rule]]\nname = \"all\"\naction = \"permit\"\n");
    let attls = Source::from_text("attls.toml", attls);
    policy::load_with_tls(&[beside], None, Some(&attls), &Gateway::default())
        .unwrap_or_else(|e| panic!("{e}"))
}

impl Bench {
    /// With this policy in force.
    fn new(attls: &str) -> Self {
        let bench = Self::without_policy();
        bench.apply(attls);
        bench
    }

    fn without_policy() -> Self {
        let (site, place) = (Site::new(), tempfile::tempdir().unwrap());
        let path = place.path().join("dataplane.sock");
        let world = World::start(&path);
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (door, doorway) = attls::door(&site.doors.rings);
        let _guard = runtime.enter();
        attls::start(&door, doorway, &Dataplane::new(path)).unwrap();
        drop(_guard);
        Self { site, world, door, _runtime: runtime, _place: place }
    }

    /// Puts a policy in force. Its fingerprint is its length.
    fn apply(&self, attls: &str) {
        let served = self._runtime.block_on(self.door.prepare_anyway(&compiled(attls).attls)).0;
        let fingerprint = attls.len().to_string();
        self.world.set_policy(&fingerprint);
        self.door.coming(&fingerprint, &served);
        self.door.in_force(&fingerprint, &served);
    }

    /// Waits until what the driver shows is so.
    fn until(&self, so: impl Fn(&attls::view::Standing) -> bool) {
        world::wait(|| so(&self._runtime.block_on(self.door.ask()).unwrap()).then_some(()));
    }

    /// How often a handshake of a rule ended so.
    fn count(&self, rule: &str, result: &str) -> u64 {
        let report = self.door.ledger().report();
        let is_meant = |kind: &&attls::ledger::Kind| kind.rule.as_str() == rule && kind.result == result;
        report.handshakes.iter().filter(|(kind, _)| is_meant(kind)).map(|(_, count)| count).sum()
    }

    /// A connection of this rule.
    fn open(&self, rule: &str, role: Role) -> ConnectionId {
        self.world.open(rule, role)
    }

    /// Lets a peer speak until keys are handed over, or the connection is ended.
    fn meet(&self, connection: ConnectionId, peer: &mut Handshake) -> Seen {
        let mut seen = Seen::default();
        loop {
            let octets = peer.take_output();
            seen.sent += octets.len();
            self.world.octets(connection, &octets);
            let order = self.world.next_order(connection);
            if let Order::Octets { octets, .. } = &order {
                peer.receive(octets, site::now());
            }
            let over = matches!(order, Order::Run { .. } | Order::End { .. });
            seen.orders.push(order);
            if over && peer.progress() != Progress::Going
                || matches!(seen.orders.last(), Some(Order::End { .. }))
            {
                return seen;
            }
        }
    }
}

impl Seen {
    fn session(&self) -> &ravelin_contract::tls_session::Session {
        let session = self.orders.iter().find_map(|order| match order {
            Order::Run { session, .. } => Some(session),
            _ => None,
        });
        session.unwrap_or_else(|| panic!("no keys: {:?}", self.orders))
    }

    fn taken(&self) -> usize {
        let taken = |order: &Order| match order {
            Order::Taken { count, .. } => *count as usize,
            _ => 0,
        };
        self.orders.iter().map(taken).sum()
    }
}

/// A client that believes `ca`.
fn client(site: &Site, shows: &[&str]) -> Handshake {
    let environment = site.environment(&site::client("ca", shows));
    Handshake::client(&environment, ravelin_tls::Target::host("host.example").unwrap(), site::now()).unwrap()
}

/// A server that shows `web`.
fn server(site: &Site) -> Handshake {
    let settings = site::server("web", ravelin_tls::settings::ClientAuth::None);
    let environment: Arc<_> = site.environment(&settings);
    Handshake::server(&environment, site::now()).unwrap()
}
