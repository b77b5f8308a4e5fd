//! What IKE asks of the key rings: our signatures, and the judgement of a peer's certificates. The driver never waits for it.
//!
//! A token may take half a minute, a revocation list ten seconds: both are asked from threads of their own. What needs neither is
//! done by a thread of the pool, and what takes no longer than waking that, by the driver itself. What they say comes back by the [`Door`].

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Waker};
use std::time::Duration;

use ravelin_ike::policy::{Demand, EapMethod, LogIn, Policy, Proof};
use ravelin_ike::{Answer, Ask, IkeId, Input};
use ravelin_rings::store::Rings;
use rayon::ThreadPool;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch};

use super::identity::Identities;
use super::log_in;
use super::trust::Authorities;
use super::{Door, Knock};

/// Most questions that may wait; whoever asks more than that is turned away, and may begin again.
const WAITING: usize = 1024;
/// Signatures at a time.
const SIGNATURES: usize = 16;
/// Judgements at a time: they may wait for the network.
const JUDGEMENTS: usize = 64;
/// How often rings and revocation lists are looked at for what has changed.
const PERIOD: Duration = Duration::from_secs(60);

/// SHA-1 of the public keys behind each name of a policy.
pub(super) type Hashes = BTreeMap<String, Vec<[u8; 20]>>;

/// What policy names of the rings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Named {
    /// Who peers are believed by.
    authorities: Vec<String>,
    /// What we sign with.
    keys: Vec<String>,
}

/// The way to the rings.
pub(super) struct Authority {
    identities: Arc<Identities>,
    authorities: Arc<Authorities>,
    signatures: Arc<Semaphore>,
    judgements: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
    named: watch::Sender<Named>,
    threads: Arc<ThreadPool>,
    runtime: Handle,
    door: Door,
}

impl Authority {
    /// Watches the rings from now on, for as long as it lives.
    pub(super) fn new(rings: &Rings, threads: Arc<ThreadPool>, runtime: Handle, door: Door) -> Self {
        let (named, watched) = watch::channel(Named::default());
        let this = Self {
            identities: Arc::new(Identities::new(rings.clone())),
            authorities: Arc::new(Authorities::new(rings.clone())),
            signatures: Arc::new(Semaphore::new(SIGNATURES)),
            judgements: Arc::new(Semaphore::new(JUDGEMENTS)),
            waiting: Arc::default(),
            named,
            threads,
            runtime,
            door,
        };
        let look = Look {
            identities: Arc::clone(&this.identities),
            authorities: Arc::clone(&this.authorities),
            door: this.door.clone(),
        };
        this.runtime.spawn(look.life(watched));
        this
    }

    /// A policy is in force: its authorities and keys are looked at, now and then again and again.
    pub(super) fn serve(&self, policy: &Policy) {
        let mut named = Named::default();
        for peer in &policy.peers {
            let mut trusts: Vec<_> = match &peer.demand {
                Demand::Certificate(trust) => vec![trust],
                Demand::Eap(eap) => eap.methods.iter().filter_map(EapMethod::trust).collect(),
                Demand::SharedKey(_) => Vec::new(),
            };
            match &peer.proof {
                Proof::Key { key, .. } => named.keys.push(key.clone()),
                Proof::Eap { by: LogIn::Certificate { key, trust }, .. } => {
                    named.keys.push(key.clone());
                    trusts.push(trust);
                }
                Proof::Eap { by: LogIn::Password(_), .. } | Proof::SharedKey(_) => {}
            }
            named.authorities.extend(trusts.into_iter().flat_map(|trust| trust.authorities.iter().cloned()));
        }
        for list in [&mut named.authorities, &mut named.keys] {
            list.sort_unstable();
            list.dedup();
        }
        self.named.send_replace(named);
    }

    /// Has the question answered; the answer comes by the door, or is given at once where nobody is to be asked.
    pub(super) fn ask(&self, ike: IkeId, question: u64, ask: Ask) -> Option<Input> {
        let at_once =
            |why: &str| Some(Input::Answer { ike, question, answer: Answer::Refused(why.to_owned()) });
        let places = match &ask {
            Ask::Sign { .. } | Ask::Tls { .. } | Ask::TlsLogIn { .. } => &self.signatures,
            Ask::Verify { .. } => &self.judgements,
            Ask::Password { .. } => return at_once("passwords are in no ring"),
        };
        if let Ask::Sign { key, identity, octets, schemes, authorities } = &ask
            && let Some(made) = self.identities.sign_at_hand(key, identity, octets, schemes, authorities)
        {
            let answer = made.unwrap_or_else(Answer::Refused);
            return Some(Input::Answer { ike, question, answer });
        }
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= WAITING {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            return at_once("too many peers wait for their certificates");
        }
        let (places, waiting, door) = (Arc::clone(places), Arc::clone(&self.waiting), self.door.clone());
        let (identities, authorities) = (Arc::clone(&self.identities), Arc::clone(&self.authorities));
        let at_hand = match &ask {
            Ask::Verify { chain, trust, .. } => authorities.is_at_hand(chain, trust),
            _ => false,
        };
        let near = match &ask {
            Ask::Verify { .. } => true,
            Ask::Sign { key, .. } => identities.is_near(key),
            _ => false,
        };
        let work = async move {
            let place = places.acquire().await;
            let answer = match ask {
                Ask::Verify { chain, identity, trust } => authorities.verify(&chain, &identity, &trust).await,
                ask if near => answer(&identities, ask),
                ask => {
                    let lost = |_| Err("an error of ours: the question was lost".to_owned());
                    tokio::task::spawn_blocking(move || answer(&identities, ask)).await.unwrap_or_else(lost)
                }
            };
            drop(place);
            waiting.fetch_sub(1, Ordering::Relaxed);
            door.knock(Knock::Answered { ike, question, answer: answer.unwrap_or_else(Answer::Refused) });
        };
        let runtime = self.runtime.clone();
        match near {
            _ if at_hand => begin(work, &runtime),
            true => self.threads.spawn(move || begin(work, &runtime)),
            false => drop(runtime.spawn(work)),
        }
        None
    }
}

/// What the rings say, when they say it. Not for a thread that must not wait.
fn answer(identities: &Arc<Identities>, ask: Ask) -> Result<Answer, String> {
    match ask {
        Ask::Sign { key, identity, octets, schemes, authorities } => {
            identities.sign(&key, &identity, &octets, &schemes, &authorities)
        }
        Ask::Tls { key, identity } => log_in::to_clients(identities, &key, &identity).map(Answer::Tls),
        Ask::TlsLogIn { key, identity } => {
            log_in::to_server(identities, &key, &identity).map(Answer::TlsLogIn)
        }
        Ask::Verify { .. } | Ask::Password { .. } => Err("this is not asked of our keys".to_owned()),
    }
}

/// Does here what need not wait for anybody, and leaves the rest to the runtime: most chains are judged without the network.
fn begin(work: impl Future<Output = ()> + Send + 'static, runtime: &Handle) {
    let _inside = runtime.enter();
    let mut work = Box::pin(work);
    if work.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending() {
        runtime.spawn(work);
    }
}

/// The look at what the policy names.
struct Look {
    identities: Arc<Identities>,
    authorities: Arc<Authorities>,
    door: Door,
}

impl Look {
    async fn life(self, mut named: watch::Receiver<Named>) {
        let look = Arc::new(self);
        let mut known = Hashes::new();
        // Errors are told once each, and again when they were gone.
        let mut told = Vec::new();
        loop {
            let (current, worker) = (named.borrow_and_update().clone(), Arc::clone(&look));
            let looked = tokio::task::spawn_blocking(move || worker.look(&current)).await;
            let (hashes, problems) = looked.unwrap_or_default();
            for problem in problems.iter().filter(|problem| !told.contains(*problem)) {
                ravelin_events::tell!(IKE_RINGS, %problem);
            }
            told = problems;
            if hashes != known {
                known.clone_from(&hashes);
                look.door.knock(Knock::Authorities(hashes));
            }
            let changed = tokio::time::timeout(PERIOD, named.changed()).await;
            if changed.is_ok_and(|driver| driver.is_err()) {
                return;
            }
        }
    }

    /// Reads files: not for a thread that must not wait.
    fn look(&self, named: &Named) -> (Hashes, Vec<String>) {
        let mut problems = self.authorities.read_lists();
        let mut hashes = Hashes::new();
        for name in &named.authorities {
            match self.authorities.hashes(name) {
                Ok(found) => drop(hashes.insert(name.clone(), found)),
                Err(problem) => problems.push(format!("no peer is believed by {name}: {problem}")),
            }
        }
        for key in &named.keys {
            if let Err(problem) = self.identities.look(key) {
                problems.push(format!("no peer can be shown {key}: {problem}"));
            }
        }
        (hashes, problems)
    }
}

#[cfg(test)]
mod tests;
