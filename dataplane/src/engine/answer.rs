//! Answers to what control asks.

use std::process;
use std::sync::Arc;

use ravelin_contract::limits;
use ravelin_contract::message::{Event, Reply};
use ravelin_contract::report::{InterfaceStatus, PortStatus, SaStatus, Status};

use super::{Engine, State};

/// Most SAs in one answer: each has drops and names, a few hundred octets.
const SAS: usize = 256;

impl Engine {
    /// Incarnation and fingerprint of the policy held.
    pub fn identity(&self) -> (u64, Option<String>) {
        (self.incarnation, self.state().fingerprint())
    }

    /// The whole process.
    pub fn status(&self) -> Status {
        let state = self.state();
        let newest = state.publisher.newest();
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: process::id(),
            uptime: self.started.elapsed().as_secs(),
            mode: newest.mode,
            generation: newest.generation,
            policy: state.fingerprint(),
            counts: (
                newest.policy.filters().rules().len() as u64,
                newest.sas.counts().0 as u64,
                newest.sas.counts().1 as u64,
            ),
            publish_us: state.took.as_micros() as u64,
            crypto: self.crypto.clone(),
            workers: self.counters.iter().map(|counters| counters.status()).collect(),
            routes: newest.forwarding.routes() as u64,
            neighbours: newest.forwarding.neighbours() as u64,
            events_lost: self.events.lost(),
            // The door counts them.
            turned_away: (0, 0),
        }
    }

    /// All ports, folded over workers.
    pub fn ports(&self) -> Vec<PortStatus> {
        let ports = Arc::clone(&self.state().publisher.newest().ports);
        let mut all: Vec<PortStatus> = Vec::with_capacity(ports.len());
        for (number, port) in (0u8..).zip(ports.iter()) {
            let carried = self.carried.get(usize::from(number));
            let mut status = PortStatus {
                name: port.name.clone(),
                trunk: carried.map_or_else(|| port.name.clone(), |carried| carried.trunk.clone()),
                zone: port.zone_name.clone(),
                protected: port.protected,
                ifindex: port.ifindex,
                mac: port.mac,
                mtu: port.mtu.into(),
                driver: carried.map(|carried| carried.driver.clone()).unwrap_or_default(),
                received: (0, 0),
                sent: (0, 0),
                verdicts: Vec::new(),
                rings: [(0, 0); 4],
            };
            for counters in &self.counters {
                counters.port(crate::packet::PortIndex(number)).fold_into(&mut status);
            }
            status.verdicts.sort_unstable_by_key(|entry| entry.0);
            all.push(status);
        }
        all
    }

    /// What steers and carries, by physical interface.
    pub fn interfaces(&self) -> Vec<InterfaceStatus> {
        self.surroundings.interfaces()
    }

    /// Rules in force from position `from` on.
    pub fn list_rules(&self, from: u32) -> Reply {
        let policy = Arc::clone(&self.state().publisher.newest().policy);
        let (rules, next) = policy.status(from, limits::ENTRIES);
        Reply::Rules { rules, next }
    }

    /// SAs held, in force or not, from position `from` on: inbound first.
    pub fn list_sas(&self, from: u32) -> Reply {
        let (held, now) = {
            let state = self.state();
            (state.held(), self.clock.read())
        };
        let Some((sas, policy)) = held else { return Reply::Sas { sas: vec![], next: None } };
        let tunnel = |id| policy.tunnel_name(id).map(ToString::to_string).unwrap_or_default();
        // Positions of outbound SAs come after all that inbound ones may have.
        let end = sas.inbound_end();
        let inbound = sas.inbound_from(from).map(|(at, entry)| (at, entry.sa.status(&tunnel(entry.tunnel))));
        let outbound = sas.outbound_from(from.saturating_sub(end));
        let outbound = outbound.map(|(at, entry)| (end + at, entry.sa.status(&tunnel(entry.tunnel), now)));
        let mut rest = inbound.chain(outbound);
        let page: Vec<SaStatus> = rest.by_ref().take(SAS).map(|(_, status)| status).collect();
        Reply::Sas { sas: page, next: rest.next().map(|(at, _)| at) }
    }

    /// Events that wait.
    pub fn take_events(&self) -> Vec<Event> {
        self.events.take(limits::ENTRIES, &self.clock)
    }
}

impl State {
    fn fingerprint(&self) -> Option<String> {
        self.installed.as_ref().map(|installed| installed.policy.fingerprint.clone())
    }
}
