//! Changes of negotiated SAs, with what it takes to undo them.

use std::sync::Arc;

use ravelin_contract::child::{Change, Child, ChildFault, Path, Start};
use ravelin_contract::limits;
use ravelin_contract::message::Refusal;
use ravelin_contract::rule::TunnelId;
use ravelin_contract::sa::{Sa, Spi};
use ravelin_contract::snapshot::Inconsistency;

use super::{Children, Delta, Held};
use crate::clock::Now;
use crate::engine::install::Compiled;
use crate::engine::random;
use crate::esp::builder::Builder;
use crate::esp::sa::{InboundSa, OutboundSa, Received, Sent};
use crate::esp::sequence::Sequence;

/// Changes under way.
pub(super) struct Edit<'a> {
    children: &'a mut Children,
    policy: &'a Compiled,
    now: Now,
    before: Before,
}

/// What was there before each change, in their order.
pub(super) type Before = Vec<(Spi, Option<Held>)>;

/// What a pair remembers while its SAs are made anew.
struct Memory {
    received: Arc<Received>,
    sent: Arc<Sent>,
    sequence: Arc<Sequence>,
}

impl<'a> Edit<'a> {
    pub(super) fn new(children: &'a mut Children, policy: &'a Compiled, now: Now) -> Self {
        Self { children, policy, now, before: Vec::new() }
    }

    /// What was there before, and what the changes mean for the table of SAs.
    pub(super) fn done(self) -> (Before, Delta) {
        let delta = Delta::between(&self.before, &self.children.held, self.policy);
        (self.before, delta)
    }

    /// Makes one change.
    pub(super) fn make(&mut self, change: Change, builder: &mut Builder) -> Result<(), Refusal> {
        match change {
            Change::Install(child) => self.install(*child, builder),
            Change::Send(spi) => {
                let held = self.get(spi)?;
                self.children.turns += 1;
                self.put(Held { turn: Some(self.children.turns), ..held });
                Ok(())
            }
            Change::Move { spi, path } => self.run_elsewhere(spi, path),
            Change::Identify { spi, identities } => {
                let mut held = self.get(spi)?;
                Arc::make_mut(&mut held.child).identities = identities;
                held.child.check()?;
                self.put(held);
                Ok(())
            }
            Change::Remove(spi) => {
                let held = self.children.held.remove(&spi);
                self.before.push((spi, held));
                Ok(())
            }
        }
    }

    fn install(&mut self, child: Child, builder: &mut Builder) -> Result<(), Refusal> {
        let spi = child.spi();
        child.check()?;
        if self.children.held.contains_key(&spi) || self.policy.receives(spi.get(), child.path.local) {
            return Err(ChildFault::Taken(spi).into());
        }
        let sas = self.policy.sas() + 2 * (self.children.held.len() + 1);
        if sas > limits::SAS {
            return Err(ChildFault::Full(sas as u64).into());
        }
        let sas = self.checked(&child)?;
        let memory = Memory {
            received: Arc::new(Received::new(&child.inbound.receiving, 0)),
            sent: Arc::new(Sent::new(self.now)),
            sequence: builder.numbers.sequence(&sas[1])?,
        };
        let (inbound, outbound) = build(&child, &sas, memory)?;
        let turn = (child.start == Start::Sending).then(|| {
            self.children.turns += 1;
            self.children.turns
        });
        self.children.agenda.add(self.now, spi);
        let (child, since, due) = (Arc::new(child), self.now, self.now);
        self.put(Held { child, inbound, outbound, turn, since, seen: Default::default(), due });
        Ok(())
    }

    fn run_elsewhere(&mut self, spi: Spi, path: Path) -> Result<(), Refusal> {
        let mut held = self.get(spi)?;
        Arc::make_mut(&mut held.child).path = path;
        if self.policy.receives(spi.get(), path.local) {
            return Err(ChildFault::Taken(spi).into());
        }
        let sas = self.checked(&held.child)?;
        let memory = Memory {
            received: Arc::clone(held.inbound.received()),
            sent: Arc::clone(held.outbound.sent()),
            sequence: Arc::clone(held.outbound.sequence()),
        };
        (held.inbound, held.outbound) = build(&held.child, &sas, memory)?;
        self.put(held);
        Ok(())
    }

    fn get(&self, spi: Spi) -> Result<Held, Refusal> {
        Ok(self.children.held.get(&spi).cloned().ok_or(ChildFault::Unknown(spi))?)
    }

    fn put(&mut self, held: Held) {
        let spi = held.child.spi();
        self.before.push((spi, self.children.held.insert(spi, held)));
    }

    /// Its two SAs, inbound first, when nothing is wrong with them.
    fn checked(&self, child: &Child) -> Result<[Sa; 2], Refusal> {
        let tunnel = self.policy.tunnel(&child.tunnel);
        let tunnel: TunnelId = tunnel.ok_or_else(|| ChildFault::Tunnel(child.spi(), child.tunnel.clone()))?;
        let sas = child.sas(tunnel);
        sas.iter().try_for_each(Sa::check)?;
        Ok(sas)
    }
}

fn build(
    child: &Child,
    [inbound, outbound]: &[Sa; 2],
    memory: Memory,
) -> Result<(Arc<InboundSa>, Arc<OutboundSa>), Refusal> {
    let wrong_key = |_| Refusal::from(Inconsistency::Key(child.name.to_string()));
    let Memory { received, sent, sequence } = memory;
    let inbound = InboundSa::new(inbound, received).map_err(wrong_key)?;
    let outbound = OutboundSa::new(outbound, &child.outbound.sending, sequence, sent, &random());
    Ok((Arc::new(inbound), Arc::new(outbound.map_err(wrong_key)?)))
}
