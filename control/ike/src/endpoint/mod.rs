//! All IKE SAs of one gateway: which datagram is for which, what strangers may cost, and what one SA means for another.

mod command;
mod early;
mod records;
mod standing;

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ravelin_contract::name::Name;

use crate::action::Action;
use crate::context::{Context, Effect};
use crate::crypto::{CookieKeys, Random};
use crate::dear;
use crate::event::{Code, Event};
use crate::exchange::sa_init::{self, Response, Stranger};
use crate::exchange::view::View;
use crate::input::{IkeId, Input, Path};
use crate::job::{Done, Job, Work};
use crate::part::load::{Admission, Load};
use crate::policy::{Identity, Peer, Policy, Start};
use crate::random;
use crate::session::{Order, Session, SessionInput};
use crate::shared::Shared;
use crate::time::Time;
use crate::wire::{Content, ExchangeType, Message, NotifyType, ParseError};
pub use records::Installed;
use records::Records;
use standing::Standing;

/// How long a secret makes cookies.
const COOKIE_LIFE: Duration = Duration::from_secs(60);
/// Inputs that wait for an IKE SA that is being worked on elsewhere.
const QUEUE: usize = 32;
/// How long after its end an IKE SA that policy wants is begun anew.
const REVIVE: Duration = Duration::from_secs(5);

/// Where an IKE SA is.
enum Place {
    /// Here.
    Home(Box<Session>),
    /// In a job; these inputs wait.
    Away(VecDeque<SessionInput>),
}

struct Slot {
    place: Place,
    deadline: Option<Time>,
    /// A half-open SA counts against its source.
    half_open: Option<(SocketAddr, u64)>,
    stands: Option<Standing>,
    peer: Option<Arc<Peer>>,
    of_use: bool,
}

impl Slot {
    /// For an IKE SA that is being worked on.
    fn away(half_open: Option<(SocketAddr, u64)>) -> Self {
        let place = Place::Away(VecDeque::new());
        Self { place, deadline: None, half_open, stands: None, peer: None, of_use: false }
    }
}

/// Every IKE SA of one gateway. See the crate's documentation for how to drive it.
pub struct Endpoint {
    policy: Arc<Policy>,
    shared: Arc<Shared>,
    slots: HashMap<IkeId, Slot>,
    /// First messages of half-open SAs, so that repetitions find them.
    strangers: HashMap<(SocketAddr, u64), IkeId>,
    identities: HashMap<Identity, Vec<IkeId>>,
    timers: BTreeSet<(Time, IkeId)>,
    revive: Vec<(Time, Name)>,
    /// Peers that the operator brought down: not begun anew until brought up.
    down: HashSet<Name>,
    load: Load,
    under_load: bool,
    cookies: CookieKeys,
    cookies_since: Time,
    /// The timer that the caller has set; `None` when it must be told, even that there is none.
    announced: Option<Option<Time>>,
    counters: Counters,
    /// Which IKE SAs have changed since their records were asked for.
    records: Records,
}

/// What was turned away, by why. Grows only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Datagrams that are no IKE message.
    pub malformed: u64,
    /// IKEv1 messages.
    pub version_1: u64,
    /// Messages for IKE SAs that we do not have.
    pub unknown_spi: u64,
    /// Requests answered by a cookie.
    pub cookies: u64,
    /// Requests dropped because of limits.
    pub limited: u64,
    /// First messages that were read, and refused or sent elsewhere: no rule, no common proposal, a share that is none.
    pub refused: u64,
}

/// What [`Endpoint::begin`] leads to.
pub struct Begun {
    /// To do now.
    pub actions: Vec<Action>,
    /// Work that may run anywhere; each comes back by [`Endpoint::finish`].
    pub jobs: Vec<Job>,
}

impl Endpoint {
    /// An endpoint without IKE SAs. Begins what policy wants at once with the first input.
    pub fn new(now: Time, policy: Arc<Policy>, random: &mut dyn Random) -> Self {
        let revive = at_once(&policy).map(|peer| (now, peer.name.clone())).collect();
        Self {
            policy,
            shared: Arc::default(),
            slots: HashMap::new(),
            strangers: HashMap::new(),
            identities: HashMap::new(),
            timers: BTreeSet::new(),
            revive,
            down: HashSet::new(),
            load: Load::default(),
            under_load: false,
            cookies: CookieKeys::new(random),
            cookies_since: now,
            announced: Some(None),
            counters: Counters::default(),
            records: Records::default(),
        }
    }

    /// Handles one input here and now.
    pub fn handle(&mut self, now: Time, input: Input, random: &mut dyn Random) -> Vec<Action> {
        let Begun { mut actions, jobs } = self.begin(now, input, random);
        let mut waiting = VecDeque::from(jobs);
        while let Some(job) = waiting.pop_front() {
            let done = job.run(random);
            let more = self.finish(now, done, random);
            actions.extend(more.actions);
            waiting.extend(more.jobs);
        }
        actions
    }

    /// The cheap part of one input: finds the IKE SAs that it is for. Their work may then run on any thread.
    pub fn begin(&mut self, now: Time, input: Input, random: &mut dyn Random) -> Begun {
        let mut begun = Begun { actions: Vec::new(), jobs: Vec::new() };
        match input {
            Input::Datagram { path, bytes } => self.datagram(now, path, bytes, random, &mut begun),
            // The caller's timer has run out: it is told again, even if nothing has changed.
            Input::Timer => self.announced = None,
            Input::Command(command) => self.command(now, command, random, &mut begun),
            Input::Answer { ike, question, answer } => {
                self.dispatch(now, ike, SessionInput::Answer(question, answer), &mut begun);
            }
        }
        self.timers(now, random, &mut begun);
        self.announce(&mut begun.actions);
        begun
    }

    /// Takes back a job's outcome. What it leads to may be work again: of what waited for this IKE SA, or of another.
    pub fn finish(&mut self, now: Time, done: Done, random: &mut dyn Random) -> Begun {
        let mut begun = Begun { actions: Vec::new(), jobs: Vec::new() };
        self.settle(now, done, random, &mut begun);
        self.announce(&mut begun.actions);
        begun
    }

    /// What was turned away.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// IKE SAs that have not been proved yet.
    pub fn half_open(&self) -> usize {
        self.load.half_open()
    }

    /// Inbound SPIs of children that are taken.
    pub fn spis(&self) -> usize {
        self.shared.spis()
    }

    /// IKE SAs in any state.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Every IKE SA and the name of its state: `initiated`, `authenticating`, `responding`, `established` or `closing`.
    pub fn states(&self) -> Vec<(IkeId, &'static str)> {
        let name = |slot: &Slot| match &slot.place {
            Place::Home(session) => session.state.name(),
            Place::Away(_) => "working",
        };
        let mut states: Vec<_> = self.slots.iter().map(|(id, slot)| (*id, name(slot))).collect();
        states.sort_unstable();
        states
    }

    /// What stands, for `ravelin ike list`.
    pub fn statuses(&self) -> impl Iterator<Item = crate::status::Status> + '_ {
        self.slots.values().filter_map(|slot| match &slot.place {
            Place::Home(session) => crate::status::Status::of(session),
            Place::Away(_) => None,
        })
    }

    /// Octets that IKE SAs hold on the heap, without what the cryptographic library holds.
    pub fn memory(&self) -> usize {
        let held = |slot: &Slot| match &slot.place {
            Place::Home(session) => session.heap(),
            Place::Away(_) => 0,
        };
        self.slots.values().map(held).sum::<usize>()
            + self.slots.capacity() * (size_of::<Slot>() + size_of::<IkeId>())
            + self.strangers.capacity() * size_of::<((SocketAddr, u64), IkeId)>()
            + self.identities.capacity() * size_of::<(Identity, Vec<IkeId>)>()
            + self.timers.len() * size_of::<(Time, IkeId)>()
            + self.revive.capacity() * size_of::<(Time, Name)>()
            + self.load.heap()
            + self.shared.heap()
    }

    fn datagram(
        &mut self,
        now: Time,
        path: Path,
        bytes: Vec<u8>,
        random: &mut dyn Random,
        begun: &mut Begun,
    ) {
        if self.is_turned_away_unread(now, path, &bytes) {
            self.counters.limited += 1;
            return;
        }
        let message = match Message::parse(&bytes) {
            Ok(message) => message,
            Err(error) => return self.unreadable(path, &error, begun),
        };
        let header = message.header;
        let ours = if header.from_initiator { header.responder_spi } else { header.initiator_spi };
        if ours.is_zero() {
            let first =
                header.exchange == ExchangeType::IkeSaInit && !header.response && header.message_id == 0;
            if first && message.sealed.is_none() {
                self.stranger(now, path, &message, &bytes, random, begun);
            } else {
                self.counters.malformed += 1;
            }
            return;
        }
        let id = IkeId(ours.0);
        if self.slots.contains_key(&id) {
            self.dispatch(now, id, SessionInput::Message(path, bytes), begun);
        } else {
            self.counters.unknown_spi += 1;
        }
    }

    fn unreadable(&mut self, path: Path, error: &ParseError, begun: &mut Begun) {
        let code = match error {
            ParseError::IkeV1(_) => {
                self.counters.version_1 += 1;
                Code::IkeV1
            }
            _ => {
                self.counters.malformed += 1;
                Code::Malformed
            }
        };
        // Anybody can send such messages: the first of each power of two is told.
        let count = if code == Code::IkeV1 { self.counters.version_1 } else { self.counters.malformed };
        if count.is_power_of_two() {
            let text = format!("{error} (number {count})");
            begun.actions.push(event(code, path, text));
        }
    }

    /// A first message: no memory is spent on it before its address is proved, once there are many.
    fn stranger(
        &mut self,
        now: Time,
        path: Path,
        message: &Message<'_>,
        bytes: &[u8],
        random: &mut dyn Random,
        begun: &mut Begun,
    ) {
        let spi = message.header.initiator_spi;
        let key = (path.remote, spi.0);
        if let Some(id) = self.strangers.get(&key).copied() {
            return self.dispatch(now, id, SessionInput::Message(path, bytes.to_vec()), begun);
        }
        let view = View(&message.payloads);
        let Some(nonce) = view.nonce() else {
            self.counters.malformed += 1;
            return;
        };
        if now.since(self.cookies_since) >= COOKIE_LIFE {
            self.cookies.rotate(random);
            self.cookies_since = now;
        }
        let source = path.remote.ip();
        let proved = matches!(view.content(NotifyType::Cookie), Some(Content::Cookie(cookie))
            if self.cookies.verify(cookie, nonce.octets(), source, spi));
        let stranger = Stranger { path, message, datagram: bytes };
        let limits = self.policy.limits;
        self.tell_load(begun, path);
        match self.load.judge(now, source, proved, &limits) {
            Admission::Refuse => self.counters.limited += 1,
            _ if self.slots.len() >= limits.sessions => self.counters.limited += 1,
            Admission::Cookie => {
                self.counters.cookies += 1;
                let cookie = self.cookies.make(nonce.octets(), source, spi);
                let bytes = stranger.turn_away(Content::Cookie(&cookie).notify());
                begun.actions.push(Action::Send { local: path.local, remote: path.remote, bytes });
            }
            Admission::Admit => {
                let id = self.fresh_id(random);
                self.load.opened(source);
                self.strangers.insert(key, id);
                self.slots.insert(id, Slot::away(Some(key)));
                let dear = dear::is_dear(view.ke());
                begun.jobs.push(self.job(now, id, Work::Meet { path, bytes: bytes.to_vec(), dear }));
            }
        }
    }

    fn tell_load(&mut self, begun: &mut Begun, path: Path) {
        let under_load = self.load.half_open() >= self.policy.limits.cookies_from;
        if under_load && !self.under_load {
            let text =
                format!("{} IKE SAs are half-open: strangers must return cookies", self.load.half_open());
            begun.actions.push(event(Code::UnderLoad, path, text));
        }
        self.under_load = under_load;
    }

    fn fresh_id(&self, random: &mut dyn Random) -> IkeId {
        loop {
            let id = IkeId(random::non_zero(random));
            if !self.slots.contains_key(&id) {
                return id;
            }
        }
    }

    fn job(&self, now: Time, id: IkeId, work: Work) -> Job {
        let of_stranger = self.slots.get(&id).is_some_and(|slot| slot.half_open.is_some());
        Job { now, id, of_stranger, work, policy: Arc::clone(&self.policy), shared: Arc::clone(&self.shared) }
    }

    /// Hands an input to an IKE SA: as a job, or into the queue of the job that it is in.
    fn dispatch(&mut self, now: Time, id: IkeId, input: SessionInput, begun: &mut Begun) {
        let Some(slot) = self.slots.get_mut(&id) else { return self.undeliverable(input, begun) };
        match std::mem::replace(&mut slot.place, Place::Away(VecDeque::new())) {
            Place::Home(session) => {
                let job = self.job(now, id, Work::Handle { session, input });
                begun.jobs.push(job);
            }
            Place::Away(mut queue) => {
                // Peers repeat what is dropped; what other parts of the core hand over must not be lost.
                if queue.len() < QUEUE || !matches!(input, SessionInput::Message(..)) {
                    queue.push_back(input);
                }
                slot.place = Place::Away(queue);
            }
        }
    }

    fn settle(&mut self, now: Time, done: Done, random: &mut dyn Random, begun: &mut Begun) {
        let Done { id, session, effects } = done;
        let mut proved = false;
        let ended = session.as_ref().is_none_or(Session::is_gone);
        let refused = session.is_none();
        self.counters.refused += u64::from(refused);
        // Anybody can be refused as often as they like: all are counted, few are told.
        let untold = refused && !self.load.may_tell(now);
        let (queue, stood) = self.put_back(id, session);
        let rekeyed = effects.iter().any(|effect| matches!(effect, Effect::Spawn(_)));
        if let Some(ended) = stood.filter(|_| !rekeyed) {
            self.prefer_rest(now, id, &ended, begun);
        }
        let waits = effects.iter().any(|effect| matches!(effect, Effect::Proved)) && self.comes_beside(id);
        for effect in effects {
            match effect {
                Effect::Do(Action::InstallChild(mut child)) if waits => {
                    child.use_at_once = false;
                    begun.actions.push(Action::InstallChild(child));
                }
                Effect::Do(Action::Event(_)) if untold => {}
                Effect::Do(action) => begun.actions.push(action),
                Effect::Proved => proved = true,
                Effect::Spawn(session) => self.spawn(*session),
                Effect::Adopt(to, children, tasks) => {
                    self.dispatch(now, to, SessionInput::Adopt(children, tasks), begun);
                }
                Effect::Lease(to, pool, addresses) => {
                    self.dispatch(now, to, SessionInput::Lease(pool, addresses), begun);
                }
                Effect::Only { identity, since } => self.forget_others(now, id, &identity, since, begun),
                Effect::Begin(plan) => self.initiate(now, plan, random, begun),
                Effect::Supersedes(birth) => self.supersede(now, id, birth, begun),
                Effect::Confirm(successor) if self.slots.contains_key(&successor) => {
                    self.order(now, successor, Order::Confirm(id), begun);
                }
                // It has come and gone meanwhile.
                Effect::Confirm(_) => self.order(now, id, Order::Known, begun),
                Effect::Known(old) => self.order(now, old, Order::Known, begun),
                Effect::Redundant(rival, winner) => {
                    self.order(now, rival, Order::Redundant(winner), begun);
                }
            }
        }
        if proved {
            self.close_half(id);
            self.settle_twins(now, id, begun);
        }
        if ended {
            self.remove(now, id);
        }
        for input in queue {
            self.dispatch(now, id, input, begun);
        }
    }

    fn order(&mut self, now: Time, id: IkeId, order: Order, begun: &mut Begun) {
        self.dispatch(now, id, SessionInput::Order(order), begun);
    }

    /// An IKE SA is home again: what waited for it, and how it stood if it stands no more.
    fn put_back(
        &mut self,
        id: IkeId,
        session: Option<Session>,
    ) -> (VecDeque<SessionInput>, Option<Standing>) {
        let patience = self.policy.limits.patience;
        self.records.changed(id);
        let nothing = (VecDeque::new(), None);
        let Some(slot) = self.slots.get_mut(&id) else { return nothing };
        let Some(session) = session else { return nothing };
        if let Some(old) = slot.deadline.take() {
            self.timers.remove(&(old, id));
        }
        slot.deadline = session.deadline(patience);
        if let Some(deadline) = slot.deadline {
            self.timers.insert((deadline, id));
        }
        // What is gone has forgotten its rule; the slot must not, so that policy can want it back.
        slot.peer = session.peer().cloned().or(slot.peer.take());
        slot.of_use = session.is_of_use();
        let now = Standing::of(&session);
        let place = std::mem::replace(&mut slot.place, Place::Home(Box::new(session)));
        let mut stood = None;
        if now != slot.stands {
            let before = std::mem::replace(&mut slot.stands, now.clone());
            stood = before.clone().filter(|_| now.is_none());
            self.restand(id, before, now);
        }
        match place {
            Place::Away(queue) => (queue, stood),
            Place::Home(_) => (VecDeque::new(), stood),
        }
    }

    fn spawn(&mut self, session: Session) {
        let id = session.id();
        self.slots.insert(id, Slot::away(None));
        self.put_back(id, Some(session));
    }

    /// What was meant for an IKE SA that is gone: children end, addresses are given back.
    fn undeliverable(&self, input: SessionInput, begun: &mut Begun) {
        match input {
            SessionInput::Adopt(children, _) => {
                for child in children {
                    begun.actions.push(Action::RemoveChild { inbound: child.inbound });
                    self.shared.release_spi(child.inbound);
                }
            }
            SessionInput::Lease(pool, addresses) => self.shared.release(&pool, &addresses),
            _ => {}
        }
    }

    fn close_half(&mut self, id: IkeId) {
        if let Some(key) = self.slots.get_mut(&id).and_then(|slot| slot.half_open.take()) {
            self.load.closed(key.0.ip());
            self.strangers.remove(&key);
        }
    }

    fn remove(&mut self, now: Time, id: IkeId) {
        self.close_half(id);
        self.records.changed(id);
        let Some(slot) = self.slots.remove(&id) else { return };
        if let Some(deadline) = slot.deadline {
            self.timers.remove(&(deadline, id));
        }
        self.restand(id, slot.stands, None);
        let Some(peer) = slot.peer else { return };
        let wanted =
            peer.children.iter().any(|child| child.start == Start::AtOnce) && !self.down.contains(&peer.name);
        if wanted && !self.revive.iter().any(|(_, name)| *name == peer.name) {
            self.revive.push((now + REVIVE, peer.name.clone()));
        }
    }

    fn timers(&mut self, now: Time, random: &mut dyn Random, begun: &mut Begun) {
        while let Some((due, id)) = self.timers.first().copied().filter(|(due, _)| *due <= now) {
            self.timers.remove(&(due, id));
            if let Some(slot) = self.slots.get_mut(&id) {
                slot.deadline = None;
            }
            self.dispatch(now, id, SessionInput::Timer, begun);
        }
        let due: Vec<Name> = self.revive.extract_if(.., |(at, _)| *at <= now).map(|(_, name)| name).collect();
        for name in due {
            let wanted = |start| start == Start::AtOnce;
            self.bring_up(now, &name, wanted, random, begun);
        }
    }

    fn announce(&mut self, actions: &mut Vec<Action>) {
        let timer = self.timers.first().map(|(due, _)| *due);
        let next = self.revive.iter().map(|(due, _)| *due).chain(timer).min();
        if self.announced != Some(next) {
            self.announced = Some(next);
            actions.push(Action::SetTimer(next));
        }
    }

    fn ids(&self) -> Vec<IkeId> {
        let mut ids: Vec<IkeId> = self.slots.keys().copied().collect();
        ids.sort_unstable();
        ids
    }
}

fn at_once(policy: &Policy) -> impl Iterator<Item = &Arc<Peer>> {
    policy.peers.iter().filter(|peer| peer.children.iter().any(|child| child.start == Start::AtOnce))
}

fn event(code: Code, path: Path, text: String) -> Action {
    Action::Event(Event { code, peer: None, ike: None, remote: Some(path.remote), text })
}

/// Answers a stranger's first message, in a job.
pub(crate) fn meet(ctx: &mut Context<'_>, id: IkeId, path: Path, bytes: &[u8]) -> Option<Session> {
    // It was parsed when it was admitted.
    let message = Message::parse(bytes).ok()?;
    let stranger = Stranger { path, message: &message, datagram: bytes };
    match sa_init::respond(ctx, id, &stranger) {
        Response::Stands(state) => Some(Session { state: crate::state::State::Responding(state) }),
        Response::Away(bytes) => {
            ctx.act(Action::Send { local: path.local, remote: path.remote, bytes });
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::SystemRandom;

    #[test]
    fn a_timer_that_has_run_out_is_told_again_also_when_there_is_none() {
        let now = Time::from_micros(1);
        let mut endpoint = Endpoint::new(now, Arc::default(), &mut SystemRandom);
        let mut told = || endpoint.handle(now, Input::Timer, &mut SystemRandom);
        for _ in 0..2 {
            assert!(matches!(told()[..], [Action::SetTimer(None)]), "or the caller would call for ever");
        }
    }
}
