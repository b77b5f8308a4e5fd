//! What changes of negotiated SAs mean for the table of SAs: each touched pair once, whatever was done to it.

use std::collections::BTreeMap;
use std::sync::Arc;

use ravelin_contract::sa::Spi;

use super::Held;
use crate::engine::ends::End;
use crate::engine::install::Compiled;
use crate::esp::sa::{InboundSa, OutboundSa};
use crate::table::SaTable;
use crate::table::sa_table::{InboundEntry, OutboundEntry};

type Inbound = InboundEntry<InboundSa>;
type Outbound = OutboundEntry<OutboundSa>;

/// A difference of two tables.
#[derive(Default)]
pub(in crate::engine) struct Delta {
    inbound: Vec<(Option<Inbound>, Option<Inbound>)>,
    /// Those that go.
    silent: Vec<Outbound>,
    /// Those that have moved, and stay as new as they were.
    moved: Vec<(Outbound, Outbound)>,
    /// Those that begin to send, with their turn.
    sending: Vec<(Option<u64>, Outbound)>,
    ends: (Vec<End>, Vec<End>),
}

impl Delta {
    /// From what was there before each of several changes to what is held now.
    pub(super) fn between(
        before: &[(Spi, Option<Held>)],
        now: &BTreeMap<Spi, Held>,
        policy: &Compiled,
    ) -> Self {
        let mut first: BTreeMap<Spi, Option<&Held>> = BTreeMap::new();
        for (spi, held) in before {
            first.entry(*spi).or_insert(held.as_ref());
        }
        let mut delta = Self::default();
        for (spi, old) in first {
            delta.pair(old, now.get(&spi), policy);
        }
        delta.sending.sort_by_key(|(turn, _)| *turn);
        delta
    }

    /// Ends of pairs that have come, and of such as are gone.
    pub(in crate::engine) fn ends(&self) -> (Vec<End>, Vec<End>) {
        self.ends.clone()
    }

    /// Changes the table. What goes makes room first.
    pub(in crate::engine) fn apply(self, sas: &mut SaTable) {
        for (old, _) in &self.inbound {
            old.iter().for_each(|old| sas.remove_inbound(old));
        }
        self.inbound.into_iter().filter_map(|(_, new)| new).for_each(|new| sas.add_inbound(new));
        self.silent.iter().for_each(|old| sas.remove_outbound(old));
        self.moved.into_iter().for_each(|(old, new)| sas.replace_outbound(&old, new));
        self.sending.into_iter().for_each(|(_, new)| sas.add_outbound(new));
    }

    fn pair(&mut self, old: Option<&Held>, new: Option<&Held>, policy: &Compiled) {
        let same = |(old, new): (&Held, &Held)| old.child.identities == new.child.identities;
        let stays = |pair: (&Held, &Held)| Arc::ptr_eq(&pair.0.inbound, &pair.1.inbound) && same(pair);
        if !old.zip(new).is_some_and(stays) {
            let entry = |held: Option<&Held>| held.and_then(|held| held.inbound_entry(policy));
            self.inbound.push((entry(old), entry(new)));
        }
        let entry =
            |held: Option<&Held>| held.and_then(|held| Some((held.turn, held.outbound_entry(policy)?)));
        match (entry(old), entry(new)) {
            (Some((before, old)), Some((turn, new))) if before == turn => {
                if !Arc::ptr_eq(&old.sa, &new.sa) || old.identities != new.identities {
                    self.moved.push((old, new));
                }
            }
            (old, new) => {
                self.silent.extend(old.map(|(_, entry)| entry));
                self.sending.extend(new);
            }
        }
        self.ends.0.extend(new.map(Held::end));
        self.ends.1.extend(old.map(Held::end));
    }
}
