//! What of an IKE SA survives the process: enough to go on where the peer cannot tell.
//!
//! A record is taken after every input. Children are to be installed before it is kept, and nothing is to be sent or removed
//! before. So a child that it knows is there, and the peer has never seen a message that it does not know of: message numbers go on, the request on the way and the last answer go out
//! again octet by octet, and no IV is used twice. What cannot go on is not recorded: an IKE SA whose own rekey is on the
//! way, whose children come from elsewhere, or that has addresses of the peer's pool. It is made anew.

mod vault;

use std::net::IpAddr;
use std::sync::Arc;

use ravelin_contract::codec;
use ravelin_contract::name::Name;
use ravelin_contract::sa::{Mode, Spi};
use ravelin_contract::secret::Secret;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::child::{Child, Life};
use crate::crypto::IkeSuite;
use crate::input::{IkeId, Path};
use crate::part::nat_detection::Nat;
use crate::policy::{Identity, Peer, Policy, Traffic};
use crate::sa::IkeSa;
use crate::shared::Shared;
use crate::state::State;
use crate::state::closing::{Closing, Why};
use crate::state::established::{Birth, Clock, Doing, Established, Features, GRACE, Task};
use crate::time::Time;
use crate::window::Window;
use crate::wire::{Payload, PayloadType, ProposalSpi, SecurityAssociation, parse_chain, write_chain};

pub use vault::Vault;

/// One record to keep, or to forget.
#[derive(Debug)]
pub enum Keep {
    /// Instead of an older one of the same IKE SA.
    Put(Kept),
    /// The IKE SA is gone, or could not go on.
    Drop(IkeId),
}

/// A record as it is kept: keys in clear. Wiped when dropped; see [`Vault`].
#[derive(Clone, PartialEq, Eq)]
pub struct Kept {
    /// Whose.
    pub ike: IkeId,
    /// What [`crate::Endpoint::restore`] reads.
    pub octets: Zeroizing<Vec<u8>>,
}

impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Kept({} .. {} octets)", self.ike, self.octets.len())
    }
}

/// Algorithms, as a proposal on the wire.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SuiteRecord(Vec<u8>);

impl SuiteRecord {
    pub(crate) fn of(suite: &IkeSuite) -> Self {
        let mut octets = Vec::new();
        let proposals = vec![suite.to_proposal(1, ProposalSpi::None)];
        let payload = Payload::SecurityAssociation(SecurityAssociation { proposals });
        // One proposal fits any message; a record without it is refused.
        let _ = write_chain(&[payload], PayloadType::None, &mut octets);
        Self(octets)
    }

    pub(crate) fn suite(&self) -> Option<IkeSuite> {
        let payloads = parse_chain(PayloadType::SecurityAssociation, &self.0).ok()?;
        let Some(Payload::SecurityAssociation(sa)) = payloads.first() else { return None };
        IkeSuite::from_proposal(sa.proposals.first()?).ok()
    }
}

/// Keys, numbers and path of an IKE SA.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SaRecord {
    pub(crate) initiator: bool,
    pub(crate) spis: (u64, u64),
    pub(crate) path: Path,
    pub(crate) nat: Nat,
    pub(crate) udp: bool,
    pub(crate) suite: SuiteRecord,
    pub(crate) window: Window,
    pub(crate) fragment_above: Option<u16>,
    pub(crate) sk_d: Secret,
    pub(crate) protection: [Secret; 4],
    pub(crate) next_iv: Option<u64>,
}

#[derive(Debug, Serialize, Deserialize)]
struct ChildRecord {
    name: Name,
    inbound: Spi,
    outbound: Spi,
    local: Box<[Traffic]>,
    remote: Box<[Traffic]>,
    mode: Mode,
    life: Life,
    soft: Option<Time>,
    hard: Option<Time>,
    resource: Option<u16>,
    waits: bool,
}

impl ChildRecord {
    fn of(child: &Child) -> Self {
        Self {
            name: child.policy.name.clone(),
            inbound: child.inbound,
            outbound: child.outbound,
            local: child.local.clone(),
            remote: child.remote.clone(),
            mode: child.mode,
            life: child.life,
            soft: child.soft,
            hard: child.hard,
            resource: child.resource,
            waits: child.waits,
        }
    }

    fn revive(self, now: Time, peer: &Peer) -> Result<Child, String> {
        let policy = peer.child(&self.name).cloned();
        let policy = policy.ok_or_else(|| format!("the policy has no tunnel {} any more", self.name))?;
        // What was told while nobody listened, of octets or packets, is made up for by renewing soon.
        let soft = match self.life {
            Life::Replaced => Some(now + GRACE),
            _ => self.soft.or(policy.lifetime.soft.map(|_| now + GRACE)),
        };
        let Self { inbound, outbound, local, remote, mode, life, hard, resource, waits, .. } = self;
        Ok(Child { policy, inbound, outbound, local, remote, mode, life, soft, hard, resource, waits })
    }
}

/// What the request on the way is about.
#[derive(Debug, Serialize, Deserialize)]
enum UnderWay {
    Nothing,
    Probe,
    Addresses,
    Delete(Vec<Spi>),
    Child { inbound: Spi, old: Option<Spi> },
}

impl UnderWay {
    /// None for what cannot go on.
    fn of(doing: Option<&Doing>) -> Option<Self> {
        Some(match doing {
            None => Self::Nothing,
            Some(Doing::Probe) => Self::Probe,
            Some(Doing::Addresses(_)) => Self::Addresses,
            Some(Doing::DeleteChildren(spis)) => Self::Delete(spis.clone()),
            Some(Doing::NewChild(flight)) => Self::Child { inbound: flight.ask.inbound, old: None },
            Some(Doing::RekeyChild { old, ask, .. }) => {
                Self::Child { inbound: ask.ask.inbound, old: Some(*old) }
            }
            Some(Doing::Forgotten { inbound, old }) => Self::Child { inbound: *inbound, old: *old },
            Some(Doing::RekeyIke { .. }) => return None,
        })
    }

    fn doing(self) -> Option<Doing> {
        match self {
            Self::Nothing => None,
            Self::Probe | Self::Addresses => Some(Doing::Probe),
            Self::Delete(spis) => Some(Doing::DeleteChildren(spis)),
            Self::Child { inbound, old } => Some(Doing::Forgotten { inbound, old }),
        }
    }
}

/// An IKE SA, and what it is about.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    taken: Time,
    peer: Name,
    fingerprint: [u8; 32],
    sa: SaRecord,
    form: Form,
}

#[derive(Debug, Serialize, Deserialize)]
enum Form {
    Works(Box<Works>),
    /// Repetitions are answered, and our delete is repeated: the peer may wait for either.
    Closes {
        why: Why,
        until: Time,
        successor: Option<IkeId>,
    },
}

/// Of an IKE SA that works.
#[derive(Debug, Serialize, Deserialize)]
struct Works {
    identity: Identity,
    features: Features,
    birth: Birth,
    clock: Clock,
    children: Vec<ChildRecord>,
    under_way: UnderWay,
    /// Children that we were about to delete.
    deletes: Vec<Spi>,
    /// And those that only the peer has.
    forgotten: Vec<Spi>,
    /// We were about to delete everything.
    ends: bool,
    leased: Vec<IpAddr>,
}

impl Works {
    fn of(this: &Established) -> Option<Self> {
        if this.awaits || !this.assigned.is_empty() {
            return None;
        }
        let deletes = this.tasks.iter().filter_map(|task| match task {
            Task::DeleteChild(spi) => Some(*spi),
            _ => None,
        });
        let forgotten = this.tasks.iter().filter_map(|task| match task {
            Task::DeleteForgotten(spi) => Some(*spi),
            _ => None,
        });
        Some(Self {
            identity: this.identity.clone(),
            features: this.features,
            birth: this.birth,
            clock: this.clock,
            children: this.children.iter().map(ChildRecord::of).collect(),
            under_way: UnderWay::of(this.doing.as_ref())?,
            deletes: deletes.collect(),
            forgotten: forgotten.collect(),
            ends: this.tasks.iter().any(|task| matches!(task, Task::DeleteIke)),
            leased: this.leased.clone(),
        })
    }

    fn revive(
        mut self,
        now: Time,
        sa: IkeSa,
        peer: Arc<Peer>,
        shared: &Shared,
    ) -> Result<Established, String> {
        if self.clock.hard.is_some_and(|hard| hard <= now) {
            return Err("its lifetime is over".into());
        }
        if self.clock.proof.is_some_and(|end| end <= now) {
            return Err("a certificate has ended that it rests on".into());
        }
        if peer.lifetime.soft.is_some() && self.clock.rekey.is_none() {
            self.clock.rekey = Some(now + GRACE);
        }
        let records = std::mem::take(&mut self.children).into_iter();
        let children = records.map(|child| child.revive(now, &peer)).collect::<Result<Vec<_>, _>>()?;
        if let Some(lease) = peer.lease.as_ref().filter(|_| !self.leased.is_empty()) {
            let got = shared.lease_again(lease, &self.identity, &self.leased);
            if got != self.leased {
                shared.release(&lease.pool, &got);
                return Err("its addresses are taken".into());
            }
        }
        for (at, child) in children.iter().enumerate() {
            if !shared.reserve(child.inbound, sa.id) {
                children[..at].iter().for_each(|child| shared.release_spi(child.inbound));
                peer.pool().into_iter().for_each(|pool| shared.release(pool, &self.leased));
                return Err("an SPI of its children is taken".into());
            }
        }
        let moves = matches!(self.under_way, UnderWay::Addresses);
        let mut this = Established::new(sa, peer, self.identity, self.features, self.birth, self.clock);
        this.children = children;
        this.leased = self.leased;
        this.doing = self.under_way.doing();
        if moves {
            this.push(if self.birth.ours { Task::UpdateAddresses } else { Task::CheckAddress });
        }
        self.forgotten.into_iter().for_each(|spi| this.push(Task::DeleteForgotten(spi)));
        self.deletes.into_iter().for_each(|spi| this.push(Task::DeleteChild(spi)));
        this.push(if self.ends { Task::DeleteIke } else { Task::Probe });
        Ok(this)
    }
}

impl Record {
    /// None for an IKE SA that cannot go on. `fingerprint` gives that of its rule.
    pub(crate) fn of(
        state: &State,
        now: Time,
        fingerprint: impl FnOnce(&Arc<Peer>) -> [u8; 32],
    ) -> Option<Self> {
        let (sa, peer, form) = match state {
            State::Established(this) => (&this.sa, &this.peer, Form::Works(Box::new(Works::of(this)?))),
            State::Closing(this) => {
                let Closing { why, until, successor, .. } = **this;
                (&this.sa, &this.peer, Form::Closes { why, until, successor })
            }
            State::Initiated(_) | State::Authenticating(_) | State::Responding(_) | State::Gone => {
                return None;
            }
        };
        if !sa.proved {
            return None;
        }
        let (name, fingerprint) = (peer.name.clone(), fingerprint(peer));
        Some(Self { taken: now, peer: name, fingerprint, sa: sa.record(), form })
    }

    pub(crate) fn write(&self) -> Option<Zeroizing<Vec<u8>>> {
        codec::encode(self).ok()
    }

    pub(crate) fn read(octets: &[u8]) -> Result<Self, String> {
        codec::decode(octets).map_err(|error| format!("the record cannot be read: {error}"))
    }

    /// The IKE SA that it is of.
    pub(crate) fn ike(&self) -> IkeId {
        IkeId(if self.sa.initiator { self.sa.spis.0 } else { self.sa.spis.1 })
    }

    /// Goes on, or says why not. `now` is on the clock by which the record was taken.
    pub(crate) fn revive(self, now: Time, policy: &Policy, shared: &Shared) -> Result<State, String> {
        let peer = policy.peer(&self.peer).cloned();
        let peer = peer.ok_or_else(|| format!("the policy has no peer {} any more", self.peer))?;
        if peer.fingerprint() != self.fingerprint {
            return Err(format!("the policy for {} has changed", peer.name));
        }
        if self.taken > now {
            return Err("the record is of another start of this machine".into());
        }
        let mut sa = IkeSa::restored(self.sa)?;
        sa.window.hurry(now);
        Ok(match self.form {
            Form::Works(works) => State::Established(Box::new(works.revive(now, sa, peer, shared)?)),
            Form::Closes { why, until, successor } => {
                State::Closing(Box::new(Closing::restored(sa, peer, (why, until), successor)))
            }
        })
    }
}
