//! One connection as the driver has it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ravelin_contract::name::Name;
use ravelin_contract::tls::ConnectionId;
use ravelin_contract::tls_session::{Change, Happening, Role, Version};
use ravelin_rings::revocation::Lookup;
use ravelin_tls::{Facts, Handshake, Keeper, Now, Peer};

use super::super::environments::Service;
use super::super::ledger::Which;
use super::super::turn::{Input, running};
use super::super::view;
use crate::policy::attls::Plan;

pub(super) struct Connection {
    pub(super) service: Arc<Service>,
    pub(super) client: SocketAddr,
    pub(super) server: SocketAddr,
    /// By the running clock.
    pub(super) opened: Duration,
    /// What came while a turn was being taken.
    pub(super) waiting: Vec<Input>,
    pub(super) state: State,
    /// Whether the first turn was given.
    begun: bool,
}

pub(super) enum State {
    /// For the peer.
    Waiting(Box<Handshake>),
    /// A turn is being taken.
    Working,
    /// Its keys are handed over.
    Running(Box<Secured>),
}

impl Connection {
    pub(super) fn new(service: Arc<Service>, client: SocketAddr, server: SocketAddr) -> Self {
        let (opened, waiting) = (running(), Vec::new());
        Self { service, client, server, opened, waiting, state: State::Working, begun: false }
    }

    /// What the next turn begins with; none while one is being taken.
    pub(super) fn begin_turn(&mut self) -> Option<(Option<Box<Handshake>>, Vec<Input>)> {
        let handshake = match std::mem::replace(&mut self.state, State::Working) {
            State::Waiting(handshake) => Some(handshake),
            State::Working if !self.begun => None,
            other => {
                self.state = other;
                return None;
            }
        };
        self.begun = true;
        Some((handshake, std::mem::take(&mut self.waiting)))
    }

    pub(super) fn age(&self) -> Duration {
        running().saturating_sub(self.opened)
    }

    pub(super) fn which(&self) -> Which<'_> {
        Which { rule: &self.service.plan.rule, client: self.client, server: self.server }
    }

    pub(super) fn view(&self, id: ConnectionId, stale: bool) -> view::Connection {
        let plan = &self.service.plan;
        let (state, agreed) = match &self.state {
            State::Waiting(_) | State::Working => ("handshake", None),
            State::Running(secured) => ("secure", Some(secured.agreed.clone())),
        };
        view::Connection {
            id: format!("{}.{}.{}", id.worker, id.slot, id.serial),
            rule: plan.rule.to_string(),
            group: named(&plan.actions[0]),
            stale,
            client: self.client.to_string(),
            server: self.server.to_string(),
            role: role(plan).to_owned(),
            state: state.to_owned(),
            age_s: self.age().as_secs(),
            agreed,
        }
    }
}

/// What stays of a handshake that is done.
pub(super) struct Secured {
    keeper: Keeper,
    version: Version,
    agreed: view::Agreed,
}

impl Secured {
    pub(super) fn new(keeper: Keeper, facts: &Facts) -> Self {
        Self { keeper, version: facts.suite.version(), agreed: agreed(facts) }
    }

    /// What both ends agreed on.
    pub(super) fn agreed(&self) -> &view::Agreed {
        &self.agreed
    }

    /// What is to change now.
    pub(super) fn happened(&mut self, happening: &Happening, now: Now) -> Result<Vec<Change>, String> {
        let words = |error: ravelin_tls::handover::KeeperError| error.to_string();
        let mut changes = Vec::new();
        match happening {
            Happening::PeerUpdated { answer } => {
                changes.push(self.keeper.receive_under().map_err(words)?);
                if *answer {
                    changes.push(self.keeper.send_under(false).map_err(words)?);
                }
            }
            // In TLS 1.2 keys last as long as the connection.
            Happening::UpdateDue if self.version == Version::Tls12 => {}
            Happening::UpdateDue => changes.push(self.keeper.send_under(true).map_err(words)?),
            Happening::Ticket(ticket) => {
                if let Err(error) = self.keeper.ticket(ticket, now) {
                    tracing::debug!(%error, "a ticket is not kept");
                }
            }
        }
        Ok(changes)
    }
}

/// Who could tell more of revocation.
pub(super) fn wanted(facts: &Facts) -> Vec<Lookup> {
    match &facts.peer {
        Peer::Judged { wanted, .. } => wanted.clone(),
        Peer::Anonymous | Peer::Unjudged { .. } => Vec::new(),
    }
}

fn agreed(facts: &Facts) -> view::Agreed {
    let (peer, identity) = match &facts.peer {
        Peer::Anonymous => ("anonymous".to_owned(), None),
        Peer::Unjudged { .. } => ("not judged".to_owned(), None),
        Peer::Judged { subject, identity, .. } => (subject.clone(), identity.clone()),
    };
    view::Agreed {
        version: facts.suite.version().name().to_owned(),
        suite: facts.suite.name().to_owned(),
        key_exchange: facts.group.clone(),
        resumed: facts.resumed,
        server_name: facts.name.clone(),
        alpn: facts.alpn.as_ref().map(|alpn| String::from_utf8_lossy(alpn).into_owned()),
        certificate: facts.shown.clone(),
        peer,
        identity,
    }
}

pub(super) fn rule(plan: &Plan) -> view::Rule {
    let [group, environment, connection] = &plan.actions;
    let setting = |one: &crate::policy::attls::Effective| view::Setting {
        key: one.key.to_owned(),
        value: one.value.clone(),
        from: one.from.clone(),
    };
    view::Rule {
        rule: plan.rule.to_string(),
        group: named(group),
        environment: named(environment),
        connection: named(connection),
        role: role(plan).to_owned(),
        settings: plan.effective.iter().map(setting).collect(),
    }
}

fn role(plan: &Plan) -> &'static str {
    match plan.role() {
        Role::Client => "client",
        Role::Server => "server",
    }
}

fn named(name: &Option<Name>) -> String {
    name.as_ref().map_or("-".to_owned(), Name::to_string)
}
