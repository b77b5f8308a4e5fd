//! What IKE has told lately, and how often: for `ravelin ike explain` and for the metrics.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use ravelin_contract::name::Name;
use ravelin_ike::{Code, Counters, Endpoint, Event};

use super::view::Told;

/// Most events that are remembered in all.
const ALL: usize = 4096;
/// Most events of one peer, or of all whom no rule fits: who fails without end must not have others forgotten.
const EACH: usize = 32;

/// What both ends of a [`super::Door`] write into. It is read without the driver, which may be busy.
#[derive(Debug, Default)]
pub struct Journal {
    pages: Mutex<Pages>,
    dropped_of_peers: AtomicU64,
    dropped_of_strangers: AtomicU64,
}

#[derive(Debug, Default)]
struct Pages {
    /// By number, the oldest first.
    told: BTreeMap<u64, (SystemTime, Event)>,
    /// The numbers of what each peer has, or nobody known.
    of: HashMap<Option<Name>, VecDeque<u64>>,
    counts: BTreeMap<Code, u64>,
    next: u64,
    tally: Tally,
}

/// How many there are, and what was turned away.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tally {
    /// IKE SAs in any state.
    pub ike_sas: usize,
    /// Those that have not been proved yet.
    pub half_open: usize,
    /// Child SAs, by the inbound SPIs that are taken.
    pub children: usize,
    /// What was turned away.
    pub refused: Counters,
}

/// Everything that a scrape tells of IKE.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Now.
    pub tally: Tally,
    /// Events since the start of the process, by code.
    pub events: BTreeMap<Code, u64>,
    /// Datagrams of peers, and first messages of strangers, that were dropped because too many waited.
    pub dropped: (u64, u64),
}

impl Journal {
    /// Remembers one event.
    pub(super) fn note(&self, event: &Event) {
        self.pages().note(SystemTime::now(), event.clone());
    }

    /// Remembers how many there are now.
    pub(super) fn tally(&self, endpoint: &Endpoint) {
        self.pages().tally = Tally {
            ike_sas: endpoint.len(),
            half_open: endpoint.half_open(),
            children: endpoint.spis(),
            refused: endpoint.counters(),
        };
    }

    /// So many datagrams of peers were dropped, or first messages of strangers.
    pub(super) fn dropped(&self, of_stranger: bool, more: u64) {
        let count = if of_stranger { &self.dropped_of_strangers } else { &self.dropped_of_peers };
        count.fetch_add(more, Ordering::Relaxed);
    }

    /// What was told of a peer, named by its rule or its address, or of everybody; the oldest first.
    pub fn explain(&self, who: Option<&str>) -> Vec<Told> {
        let is_meant = |event: &Event| {
            who.is_none_or(|who| {
                event.peer.as_ref().is_some_and(|peer| peer.as_str() == who)
                    || event.remote.is_some_and(|remote| remote.ip().to_string() == who)
            })
        };
        let pages = self.pages();
        pages
            .told
            .values()
            .filter(|(_, event)| is_meant(event))
            .map(|(at, event)| Told::new(*at, event))
            .collect()
    }

    /// Everything that a scrape tells.
    pub fn report(&self) -> Report {
        let dropped = (&self.dropped_of_peers, &self.dropped_of_strangers);
        let pages = self.pages();
        Report {
            tally: pages.tally,
            events: pages.counts.clone(),
            dropped: (dropped.0.load(Ordering::Relaxed), dropped.1.load(Ordering::Relaxed)),
        }
    }

    /// A thread that panicked while it held them left nothing half done that matters here.
    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pages {
    fn note(&mut self, at: SystemTime, event: Event) {
        *self.counts.entry(event.code).or_default() += 1;
        let own = self.of.entry(event.peer.clone()).or_default();
        own.push_back(self.next);
        if own.len() > EACH
            && let Some(oldest) = own.pop_front()
        {
            self.told.remove(&oldest);
        }
        self.told.insert(self.next, (at, event));
        self.next += 1;
        if self.told.len() > ALL {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        let Some((_, (_, event))) = self.told.pop_first() else { return };
        if let Some(own) = self.of.get_mut(&event.peer) {
            own.pop_front();
            if own.is_empty() {
                self.of.remove(&event.peer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(peer: Option<&str>, remote: &str, text: &str) -> Event {
        Event {
            code: Code::NoProposal,
            peer: peer.map(|name| Name::new(name).expect("a name")),
            ike: None,
            remote: Some(remote.parse().expect("an address")),
            text: text.to_owned(),
        }
    }

    #[test]
    fn who_fails_without_end_has_nobody_forgotten_and_fills_no_memory() {
        let journal = Journal::default();
        journal.note(&event(Some("quiet"), "192.0.2.1:500", "once"));
        for number in 0..10 * EACH {
            journal.note(&event(Some("loud"), "192.0.2.2:500", &number.to_string()));
            journal.note(&event(None, "192.0.2.3:500", &number.to_string()));
        }
        let texts = |who| journal.explain(Some(who)).into_iter().map(|told| told.text).collect::<Vec<_>>();
        assert_eq!(texts("quiet"), ["once"]);
        let last: Vec<_> = (9 * EACH..10 * EACH).map(|number| number.to_string()).collect();
        assert_eq!(texts("loud"), last);
        assert_eq!(texts("192.0.2.3"), last, "who has no rule is asked for by address");
        assert_eq!(journal.explain(None).len(), 2 * EACH + 1);
        assert_eq!(journal.report().events[&Code::NoProposal], 20 * EACH as u64 + 1);
    }

    #[test]
    fn many_peers_share_a_bound() {
        let journal = Journal::default();
        for number in 0..2 * ALL {
            journal.note(&event(Some(&format!("p{number}")), "192.0.2.1:500", "refused"));
        }
        assert_eq!(journal.explain(None).len(), ALL);
        assert_eq!(journal.pages().of.len(), ALL);
        assert!(journal.explain(Some("p0")).is_empty());
        assert_eq!(journal.explain(Some(&format!("p{}", 2 * ALL - 1))).len(), 1);
    }
}
