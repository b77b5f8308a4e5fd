//! What many handshakes share, made of settings and rings; and made anew when a ring has changed.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use ravelin_config::diagnostic::{Collector, Findings};
use ravelin_contract::name::Name;
use ravelin_events::catalogue::CHECK_RING;
use ravelin_rings::access::Caller;
use ravelin_rings::io::Http;
use ravelin_rings::map::Rules;
use ravelin_rings::name::RingName;
use ravelin_rings::revocation::{Cache, Lookup};
use ravelin_rings::ring::{Entry, Ring};
use ravelin_rings::signer::Signer;
use ravelin_rings::store::{Recent, Rings};
use ravelin_tls::environment::SettingsError;
use ravelin_tls::settings::{ClientAuth, Role, Settings};
use ravelin_tls::{Doors, Environment};
use rustls_pki_types::UnixTime;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use super::turn::unix;
use crate::ike::LISTS;
use crate::policy::attls::{Attls, Plan};

/// How long rings are taken to be what they were.
const FRESH: Duration = Duration::from_secs(1);
/// How often revocation lists are read again.
const PERIOD: Duration = Duration::from_secs(60);
/// Questions about revocation at a time; what comes on top is asked at another handshake.
const QUESTIONS: usize = 16;

/// What a policy is served by: each rule's plan with its environment.
pub type Served = Arc<BTreeMap<Name, Arc<Service>>>;

/// One rule at work.
#[derive(Debug)]
pub struct Service {
    pub(super) plan: Arc<Plan>,
    pub(super) slot: Arc<Slot>,
}

/// The environment of some settings. Rules with the same settings share it, over policies too: sessions are resumed in it.
#[derive(Debug)]
pub(super) struct Slot {
    settings: Settings,
    held: Mutex<Held>,
}

#[derive(Debug)]
struct Held {
    environment: Result<Arc<Environment>, SettingsError>,
    seen: Seen,
    looked: Instant,
}

/// What the rings held.
type Seen = (Vec<Option<Arc<Ring>>>, Option<Rules>);

/// The way from settings to environments.
#[derive(Debug)]
pub(super) struct Environments {
    doors: Doors,
    recent: Recent,
    lists: PathBuf,
    slots: Mutex<Vec<Weak<Slot>>>,
    runtime: OnceLock<Handle>,
    fetch: Arc<Http>,
    questions: Arc<Semaphore>,
}

impl Environments {
    pub(super) fn new(rings: &Rings) -> Self {
        let doors = Doors {
            rings: rings.clone(),
            signer: Arc::new(Signer::new(rings.clone())),
            caller: Caller::this_process(),
            revocation: Arc::new(Cache::default()),
        };
        Self {
            doors,
            recent: Recent::new(rings.clone()),
            lists: rings.root().join(LISTS),
            slots: Mutex::default(),
            runtime: OnceLock::new(),
            fetch: Arc::default(),
            questions: Arc::new(Semaphore::new(QUESTIONS)),
        }
    }

    pub(super) fn rings(&self) -> &Rings {
        &self.doors.rings
    }

    /// Reads revocation lists now and then, for as long as the runtime lives.
    pub(super) fn watch(self: &Arc<Self>, runtime: Handle) {
        let watch = Arc::clone(self);
        runtime.spawn(async move {
            let mut told = Vec::new();
            loop {
                let look = Arc::clone(&watch);
                let problems =
                    tokio::task::spawn_blocking(move || look.read_lists()).await.unwrap_or_default();
                for problem in problems.iter().filter(|problem| !told.contains(*problem)) {
                    ravelin_events::tell!(TLS_REVOCATION, %problem);
                }
                told = problems;
                tokio::time::sleep(PERIOD).await;
            }
        });
        // A second start would find the first's.
        let _ = self.runtime.set(runtime);
    }

    fn read_lists(&self) -> Vec<String> {
        if !self.lists.exists() {
            return Vec::new();
        }
        let read = self.doors.revocation.read_directory(&self.lists);
        read.unwrap_or_else(|error| vec![format!("{}: {error}", self.lists.display())])
    }

    /// Environments for every plan, and what is wrong with rings, where they are named.
    pub(super) fn prepare(&self, attls: &Attls) -> (Served, Findings) {
        let notes = Collector::default();
        let mut served = BTreeMap::new();
        for (name, plan) in &attls.plans {
            let slot = self.slot(&plan.settings);
            if let Err(error) = self.environment(&slot) {
                tell(plan, &error, &notes);
            }
            served.insert(name.clone(), Arc::new(Service { plan: Arc::clone(plan), slot }));
        }
        (Arc::new(served), notes.finish())
    }

    /// The slot of these settings, or a new one.
    fn slot(&self, settings: &Settings) -> Arc<Slot> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.retain(|slot| slot.strong_count() > 0);
        if let Some(slot) = slots.iter().filter_map(Weak::upgrade).find(|slot| slot.settings == *settings) {
            return slot;
        }
        let (seen, environment) = (self.look(settings), self.make(settings));
        let held = Mutex::new(Held { environment, seen, looked: Instant::now() });
        let slot = Arc::new(Slot { settings: settings.clone(), held });
        slots.push(Arc::downgrade(&slot));
        slot
    }

    fn make(&self, settings: &Settings) -> Result<Arc<Environment>, SettingsError> {
        Environment::new(settings, &self.doors).map(Arc::new)
    }

    /// The environment as the rings are now. Reads files, maybe a token.
    pub(super) fn environment(&self, slot: &Slot) -> Result<Arc<Environment>, SettingsError> {
        let mut held = slot.held();
        if held.looked.elapsed() >= FRESH {
            let seen = self.look(&slot.settings);
            // What failed may have had other reasons than what the rings hold.
            if held.environment.is_err() || !same(&seen, &held.seen) {
                held.environment = self.make(&slot.settings);
                held.seen = seen;
            }
            held.looked = Instant::now();
        }
        held.environment.clone()
    }

    fn look(&self, settings: &Settings) -> Seen {
        let rings = rings(settings).into_iter().map(|ring| self.recent.open(ring).ok()).collect();
        let mapped = matches!(&settings.role, Role::Server { client_auth: ClientAuth::Mapped(_), .. });
        (rings, mapped.then(|| Rules::load(&self.doors.rings).ok()).flatten())
    }

    /// Asks who could tell more of revocation, for the next handshake. Nobody waits for it.
    pub(super) fn ask(self: &Arc<Self>, wanted: Vec<Lookup>) {
        let Some(runtime) = self.runtime.get().filter(|_| !wanted.is_empty()) else { return };
        let Ok(place) = Arc::clone(&self.questions).try_acquire_owned() else { return };
        let (cache, fetch) = (Arc::clone(&self.doors.revocation), Arc::clone(&self.fetch));
        runtime.spawn(async move {
            for lookup in wanted {
                let now = UnixTime::since_unix_epoch(Duration::from_secs(unix()));
                if let Err(error) = lookup.ask(&*fetch, &cache, now).await {
                    ravelin_events::tell!(TLS_REVOCATION, url = error.url, problem = error.problem);
                }
            }
            drop(place);
        });
    }
}

impl Slot {
    fn held(&self) -> MutexGuard<'_, Held> {
        // Each part is replaced whole.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Every ring that settings name.
fn rings(settings: &Settings) -> Vec<&RingName> {
    let mut found: Vec<&RingName> = Vec::new();
    let trust = match &settings.role {
        Role::Client { trust, identities } => {
            found.extend(identities.iter().map(|pick| &pick.ring));
            Some(trust)
        }
        Role::Server { identities, client_auth, .. } => {
            found.extend(identities.iter().map(|identity| &identity.pick.ring));
            match client_auth {
                ClientAuth::None | ClientAuth::PassThru => None,
                ClientAuth::Wanted(trust) | ClientAuth::Required(trust) | ClientAuth::Mapped(trust) => {
                    Some(trust)
                }
            }
        }
    };
    found.extend(trust.into_iter().flat_map(|trust| &trust.anchors).map(|pick| &pick.ring));
    found
}

fn same(a: &Seen, b: &Seen) -> bool {
    let rings = |(a, b): (&Option<Arc<Ring>>, &Option<Arc<Ring>>)| match (a, b) {
        (Some(a), Some(b)) => Arc::ptr_eq(a, b) || same_ring(a, b),
        (None, None) => true,
        _ => false,
    };
    a.1 == b.1 && a.0.len() == b.0.len() && a.0.iter().zip(&b.0).all(rings)
}

/// Whether an environment could not tell the one from the other.
fn same_ring(a: &Ring, b: &Ring) -> bool {
    let entries = |(a, b): (&Entry, &Entry)| {
        (&a.label, a.usage, a.trust, a.has_key) == (&b.label, b.usage, b.trust, b.has_key)
            && a.chain.iter().map(|one| one.der()).eq(b.chain.iter().map(|one| one.der()))
    };
    a.default == b.default
        && a.entries.len() == b.entries.len()
        && a.entries.iter().zip(&b.entries).all(entries)
}

/// What is wrong, where the ring is named; else at the rule.
fn tell(plan: &Plan, error: &SettingsError, notes: &Collector) {
    let about = match error {
        SettingsError::Ring(name, _) | SettingsError::NoIdentity(name) | SettingsError::NoAnchor(name) => {
            Some(name)
        }
        _ => None,
    };
    let is_meant =
        |pick: &str| about.is_some_and(|name| name == pick || name.starts_with(&format!("{pick}/")));
    let found = plan.rings.iter().find(|named| is_meant(&named.pick.to_string()));
    let place = found.map_or(&plan.place, |named| &named.place);
    let remedy = "put the ring right, or name another; `ravelin cert list` shows what there is";
    notes.error(place.clone(), CHECK_RING.of(format!("rule `{}`: {error}", plan.rule)), remedy);
}
