//! One core's work: it owns its rings, its frames and its memory of flows, and shares nothing that changes.

pub mod desk;
mod entry;
mod finish;
pub mod handoff;
pub mod host;
pub mod run;
mod view;

use std::sync::Arc;

use crate::classify::{self, Flows};
use crate::clock::{Clock, Now};
use crate::esp;
use crate::forward::icmp_error::Limiter;
use crate::forward::neighbour::{Asks, Neighbours};
use crate::forward::{link, route, size};
use crate::frame::Pool;
use crate::packet::{Batch, Packet};
use crate::port::Port;
use crate::reassemble::Reassembly;
use crate::report::counter::WorkerCounters;
use crate::report::events::{EventSink, Events};
use crate::table::Tables;
use crate::table::publish::Reader;
use crate::tls::{self, Tls};
use crate::wiring::{TrunkIndex, Wiring};
use desk::Desk;
use handoff::{Passage, Post};
use host::Host;
use view::View;

/// Every outbound SA is asked for a due keepalive once in so many nanoseconds, however often a worker breathes.
const KEEPALIVE_ROUND: u64 = 1_000_000_000;
/// Breaths between two looks at the fill of the rings.
const LOOK_AT_RINGS: u64 = 1024;
/// Most batches that a breath adds for what TLS connections send; the rest has its turn in the next.
const ROUNDS: usize = 16;

/// What a worker is made of.
pub struct Parts {
    /// Its number, from 0.
    pub index: usize,
    /// How many there are.
    pub workers: usize,
    /// The clock of all.
    pub clock: Clock,
    /// Generations arrive here.
    pub reader: Reader<Tables>,
    /// Its frames.
    pub pool: Pool,
    /// The rings of each trunk, in order.
    pub trunks: Vec<Box<dyn Port>>,
    /// Which ports come by them.
    pub wiring: Arc<Wiring>,
    /// What it counts.
    pub counters: Arc<WorkerCounters>,
    /// Where it reports events.
    pub events: Arc<Events>,
    /// Questions about neighbours.
    pub asks: Asks,
    /// Packets for other workers' SAs.
    pub post: Arc<Post>,
    /// Packets for this host's own stack, and its own.
    pub host: Arc<Host>,
    /// Between TLS connections and control.
    pub desk: Arc<Desk>,
    /// Its TLS connections.
    pub tls: Tls,
}

/// A worker.
pub struct Worker {
    index: usize,
    workers: usize,
    clock: Clock,
    reader: Reader<Tables>,
    trunks: Vec<Box<dyn Port>>,
    wiring: Arc<Wiring>,
    counters: Arc<WorkerCounters>,
    post: Arc<Post>,
    host: Arc<Host>,
    desk: Arc<Desk>,
    pool: Pool,
    batch: Batch,
    events: EventSink,
    stages: Stages,
}

/// What the stages remember from packet to packet.
struct Stages {
    flows: Flows,
    /// Where the filters in force lie. The reader keeps them until it takes others, so those lie elsewhere.
    filters: usize,
    neighbours: Neighbours,
    reassembly: Reassembly,
    limiter: Limiter,
    tls: Tls,
    /// Position of the next SA to ask for a keepalive, and when SAs were last asked.
    keepalive: (u32, Now),
}

impl Worker {
    /// Takes all the memory that it will ever take.
    pub fn new(parts: Parts) -> Self {
        let now = parts.clock.read();
        let stages = Stages {
            flows: Flows::new(),
            filters: 0,
            neighbours: Neighbours::new(parts.asks),
            reassembly: Reassembly::default(),
            limiter: Limiter::new(now),
            tls: parts.tls,
            keepalive: (0, now),
        };
        Self {
            index: parts.index,
            workers: parts.workers,
            clock: parts.clock,
            reader: parts.reader,
            trunks: parts.trunks,
            wiring: parts.wiring,
            counters: parts.counters,
            post: parts.post,
            host: parts.host,
            desk: parts.desk,
            pool: parts.pool,
            batch: Batch::default(),
            events: EventSink::new(parts.events),
            stages,
        }
    }

    /// One breath: what every trunk has received goes its whole way. Returns whether there was anything.
    pub fn breathe(&mut self) -> bool {
        let now = self.clock.read();
        let mut worked = self.take_orders();
        for number in 0..self.trunks.len() {
            if self.receive(TrunkIndex(number as u8)) {
                self.carry(now);
                worked = true;
            }
        }
        worked |= self.receive_from_host();
        worked |= self.receive_handed_over();
        self.make_keepalives(now);
        self.carry(now);
        for _ in 0..ROUNDS {
            if !self.stages.tls.is_busy() {
                break;
            }
            self.carry(now);
        }
        self.desk.say(self.stages.tls.notices());
        for trunk in &mut self.trunks {
            trunk.flush(&mut self.pool);
        }
        self.note(now, worked);
        worked
    }

    /// The packet's way, stage by stage. Every packet of the batch has a verdict at its end.
    fn carry(&mut self, now: Now) {
        let Self { reader, wiring, pool, batch, events, stages, .. } = self;
        let tables = reader.current();
        let view = View::new(tables, now, events, self.index);
        stages.notice_filters(tables);

        stages.reassembly.collect(batch, now, |packet| view.may_hold_esp(packet));
        view.learn_path_mtu(batch);
        view.hand_over(batch, &self.post, self.index, self.workers);
        stages.admit_sealed(batch, tables, events, &mut *pool, self.index, &view);
        esp::inbound::open(batch, &view);
        view.tell_unknown(batch);
        let hand = |owner: usize, packet: &Packet| {
            let opened = packet.opened_by.map(|sa| (sa, tables.generation));
            let passage = Passage { ingress: packet.ingress, opened };
            self.post.send(owner, passage, packet.frame.bytes())
        };
        stages.tls.learn_path_mtu(batch, &mut tls::Means { tables, now, pool, hand: &hand });
        route::find(batch, &tables.forwarding);
        stages.decide(batch, tables, events, &mut *pool, (self.index, now));
        if stages.tls.carry(batch, &mut tls::Means { tables, now, pool, hand: &hand }) {
            route::find(batch, &tables.forwarding);
            stages.decide(batch, tables, events, &mut *pool, (self.index, now));
        }
        let mut means = size::Means { now, pool, limiter: &mut stages.limiter };
        size::fit(batch, &view, &mut means);
        stages.tls.learn_own_mtu(batch, &mut tls::Means { tables, now, pool, hand: &hand });
        // What a stage has made, an ICMP error, is routed and judged like any other packet.
        route::find(batch, &tables.forwarding);
        stages.decide(batch, tables, events, &mut *pool, (self.index, now));
        esp::outbound::seal(batch, &view, pool, now);
        view.acquire(batch);
        route::find(batch, &tables.forwarding);
        size::cut_sealed(batch, pool);
        link::dress(batch, now, (&tables.forwarding, wiring), pool, &mut stages.neighbours);
        self.finish();
    }

    /// What control wants of TLS connections. Returns whether there was anything.
    fn take_orders(&mut self) -> bool {
        let mut any = false;
        while let Some(command) = self.desk.next_order(self.index) {
            self.stages.tls.order(command);
            any = true;
        }
        any
    }

    /// As many of the SAs as the time since the last look asks for, and each SA by one worker alone. Where there is no
    /// room for more, the rest has its turn in the next breath.
    fn make_keepalives(&mut self, now: Now) {
        let Self { reader, stages, batch, pool, index, workers, .. } = self;
        let sas = &reader.current().sas;
        let (from, asked) = stages.keepalive;
        let due = (sas.counts().1 as u64).saturating_mul(now.since(asked)) / KEEPALIVE_ROUND;
        let mut rest = sas.outbound_from(from);
        for (at, entry) in rest.by_ref().take(due.max(1) as usize) {
            if batch.packets.is_full() || pool.free() == 0 {
                return;
            }
            stages.keepalive.0 = at + 1;
            if entry.sa.spi() as usize % *workers == *index {
                esp::keepalive::keepalives(std::iter::once(&*entry.sa), batch, pool, now);
            }
        }
        stages.keepalive.1 = now;
        if rest.next().is_none() {
            stages.keepalive.0 = 0;
        }
    }

    fn note(&mut self, begun: Now, worked: bool) {
        let counters = &self.counters;
        counters.breaths.add(1);
        if worked {
            counters.worked(self.clock.read().since(begun));
        }
        counters.generation.set(self.reader.current().generation);
        counters.frames_free.set(self.pool.free().into());
        if counters.breaths.get() % LOOK_AT_RINGS == 1 {
            counters.frames.set(self.pool.total().into());
            for (port, trunk) in self.wiring.ports() {
                counters.port(port).note_rings(self.trunks[usize::from(trunk.0)].rings());
            }
        }
    }

    /// Whether packets wait for something that comes by no port: a neighbour's answer, or room in a full ring.
    fn is_waiting(&self) -> bool {
        self.stages.neighbours.waiting() > 0 || self.trunks.iter().any(|trunk| trunk.rings()[2].0 > 0)
    }

    /// Whether there is work that came by no port.
    fn has_post(&self) -> bool {
        !self.post.is_empty(self.index)
            || self.desk.has_orders(self.index)
            || self.stages.tls.is_busy()
            || (self.index == 0 && self.host.has_sent())
    }

    /// What to wait on when idle.
    fn trunks(&self) -> impl Iterator<Item = &dyn Port> {
        self.trunks.iter().map(|trunk| &**trunk)
    }

    /// Frames that are neither free nor in a ring: held for neighbours, for missing fragments, or by TLS connections.
    pub fn frames_held(&self) -> usize {
        let Stages { neighbours, reassembly, tls, .. } = &self.stages;
        neighbours.waiting() + reassembly.held() + tls.frames_held()
    }

    /// Free frames.
    pub fn frames_free(&self) -> u32 {
        self.pool.free()
    }
}

impl Stages {
    /// What waits was judged by the filters before, so it ends with them.
    fn notice_filters(&mut self, tables: &Tables) {
        let filters = std::ptr::from_ref(&*tables.policy).addr();
        if filters != self.filters {
            self.filters = filters;
            self.neighbours.outdate();
        }
    }

    fn admit_sealed(
        &mut self,
        batch: &mut Batch,
        tables: &Tables,
        events: &EventSink,
        pool: &mut Pool,
        worker: usize,
        view: &View<'_>,
    ) {
        let (now, limiter) = (view.now(), &mut self.limiter);
        let mut means = classify::Means { now, worker, pool, limiter, events };
        classify::admit_sealed(batch, tables, &mut self.flows, &mut means, |packet| {
            esp::inbound::is_sealed(packet, view)
        });
    }

    fn decide(
        &mut self,
        batch: &mut Batch,
        tables: &Tables,
        events: &EventSink,
        pool: &mut Pool,
        (worker, now): (usize, Now),
    ) {
        let limiter = &mut self.limiter;
        classify::decide(
            batch,
            tables,
            &mut self.flows,
            &mut classify::Means { now, worker, pool, limiter, events },
        );
    }
}
