//! The order in which the kernel and the workers hear of new filters, and what a kernel that refuses leaves behind.

use std::sync::{Arc, Mutex};

use ravelin_contract::address::{AddressRange, Family};
use ravelin_contract::name::Name;
use ravelin_contract::rule::{Action, Direction, Fragments, Log, Opening, Routing, Rule, TunnelId};
use ravelin_contract::selector::Selector;
use ravelin_contract::snapshot::{Snapshot, Tunnel};
use ravelin_log::heard::Heard as Told;

use super::*;
use crate::esp::numbers::Numbers;
use crate::esp::reservation::{STEP, Store};
use crate::table::policy::PolicySource;
use crate::table::publish;
use crate::worker::desk::Desk;

/// What the surroundings have heard, and whether the kernel refuses.
#[derive(Default)]
struct Heard {
    refuses: bool,
    /// Prefixes that its maps have room for, if limited.
    room: Option<usize>,
    /// Whether its maps take more prefixes, but not fewer.
    only_grows: bool,
    /// Filters of each accepted call: mode, rules, number of prefixes if told.
    host: Vec<(FilterMode, usize, Option<usize>)>,
    protected: Vec<usize>,
    woken: usize,
}

struct Fake(Arc<Mutex<Heard>>);

impl Surroundings for Fake {
    fn host(&self, in_force: &InForce<'_>) -> Result<(), String> {
        let mut heard = self.0.lock().unwrap();
        if heard.refuses {
            return Err("nft is away".to_owned());
        }
        let prefixes = in_force.protected.map(<[_]>::len);
        heard.host.push((in_force.mode, in_force.policy.filters().rules().len(), prefixes));
        Ok(())
    }
    fn protect(&self, prefixes: &[AddressRange]) -> Result<(), String> {
        let mut heard = self.0.lock().unwrap();
        if heard.room.is_some_and(|room| prefixes.len() > room) {
            return Err("the map is full".to_owned());
        }
        if heard.only_grows && heard.protected.last().is_some_and(|last| prefixes.len() < *last) {
            return Err("the map cannot be emptied".to_owned());
        }
        heard.protected.push(prefixes.len());
        Ok(())
    }
    fn encapsulation_ports(&self, _: &[u16]) -> Result<(), String> {
        Ok(())
    }
    fn peers(&self, _: &[IpAddr]) -> Result<(), String> {
        Ok(())
    }
    fn peers_changed(&self, _: &[IpAddr], _: &[IpAddr]) -> Result<(), String> {
        Ok(())
    }
    fn wake(&self) {
        self.0.lock().unwrap().woken += 1;
    }
}

struct Bench {
    engine: Engine,
    heard: Arc<Mutex<Heard>>,
    _state: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let state = tempfile::tempdir().unwrap();
        let defaults = Arc::new(Policy::compile(PolicySource::default(), 0, None));
        let first = Tables {
            generation: 1,
            mode: FilterMode::DefaultNoPolicy,
            policy: Arc::clone(&defaults),
            sas: Arc::default(),
            encapsulation_ports: Arc::default(),
            forwarding: Arc::default(),
            ports: [].into(),
        };
        let heard = Arc::new(Mutex::new(Heard::default()));
        let engine = Engine::new(Parts {
            defaults,
            ports: vec![],
            carried: vec![],
            counters: vec![],
            events: Events::new(),
            builder: Builder::new(Numbers::new(Store::open(&state.path().join("numbers")), STEP)),
            clock: Clock::start(),
            mode_file: ModeFile::new(state.path()),
            surroundings: Box::new(Fake(Arc::clone(&heard))),
            publisher: publish::channel(Arc::new(first), 0).0,
            crypto: String::new(),
            desk: Desk::new(0, vec![]).unwrap(),
        });
        Self { engine, heard, _state: state }
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap()
    }

    fn mode(&self) -> FilterMode {
        self.engine.status().mode
    }
}

/// A policy that protects each of these prefixes.
fn snapshot(protected: &[&str]) -> Snapshot {
    let rule = |prefix: &&str| {
        let mut selector = Selector::all(Family::V4);
        selector.destination = AddressRange::prefix(prefix.parse().unwrap(), 24).unwrap();
        Rule {
            name: Name::new("site").unwrap(),
            extension: 1,
            direction: Direction::Outbound,
            selector,
            routing: Routing::Either,
            zone: None,
            fragments: Fragments::Any,
            opening: Opening::Allowed,
            action: Action::Protect(TunnelId(0)),
            log: Log::No,
            identities: Vec::new(),
        }
    };
    Snapshot {
        tunnels: vec![Tunnel { name: Name::new("site-b").unwrap() }],
        rules: protected.iter().map(rule).collect(),
        ..Snapshot::default()
    }
}

#[test]
fn a_policy_is_refused_whole_when_the_kernel_cannot_keep_to_it() {
    let bench = Bench::new();
    bench.heard().refuses = true;
    let refused = bench.engine.install(snapshot(&["10.2.0.0"]));
    assert_eq!(refused, Err(Refusal::Unenforceable("nft is away".to_owned())));
    assert_eq!((bench.mode(), bench.engine.identity().1), (FilterMode::DefaultNoPolicy, None));
    // What a policy before a restart protected must not be forgotten for one that was refused.
    let heard = bench.heard();
    assert_eq!((heard.protected.len(), heard.woken), (0, 0));
}

#[test]
fn a_policy_is_refused_whole_when_the_xdp_program_does_not_take_its_prefixes() {
    let bench = Bench::new();
    bench.engine.install(snapshot(&["10.2.0.0"])).unwrap();
    let (before, woken) = (bench.engine.status(), bench.heard().woken);
    bench.heard().room = Some(2);
    let refused = bench.engine.install(snapshot(&["10.3.0.0", "10.4.0.0"]));
    assert_eq!(refused, Err(Refusal::Unenforceable("the map is full".to_owned())));
    let after = bench.engine.status();
    assert_eq!(
        (after.generation, after.counts, bench.heard().woken),
        (before.generation, before.counts, woken)
    );
    // The second line goes back to the policy that is in force.
    assert_eq!(bench.heard().host.last(), Some(&(FilterMode::Policy, 1, None)));
}

#[test]
fn old_and_new_prefixes_are_guarded_while_policies_change() {
    let bench = Bench::new();
    bench.engine.install(snapshot(&["10.2.0.0"])).unwrap();
    bench.engine.install(snapshot(&["10.3.0.0", "10.4.0.0"])).unwrap();
    let heard = bench.heard();
    let policy = FilterMode::Policy;
    assert_eq!(heard.host, [(policy, 1, Some(1)), (policy, 2, Some(3)), (policy, 2, None)]);
    assert_eq!(heard.protected, [1, 1, 3, 2]);
}

#[test]
fn default_filters_reach_the_workers_even_when_the_kernel_refuses() {
    let bench = Bench::new();
    bench.engine.install(snapshot(&["10.2.0.0"])).unwrap();
    bench.heard().refuses = true;
    let woken = bench.heard().woken;
    assert!(bench.engine.use_default_filters().is_err(), "the operator must hear of it");
    assert_eq!((bench.mode(), bench.heard().woken), (FilterMode::DefaultForced, woken + 1));
    assert!(bench.engine.use_policy().is_err());
    assert_eq!(bench.mode(), FilterMode::DefaultForced, "what the kernel does not keep to is not in force");
    bench.heard().refuses = false;
    bench.engine.use_policy().unwrap();
    assert_eq!(
        (bench.mode(), bench.heard().host.last().copied()),
        (FilterMode::Policy, Some((FilterMode::Policy, 1, None)))
    );
}

#[test]
fn what_the_kernel_keeps_though_it_should_not_is_told() {
    let told = Told::begin();
    let bench = Bench::new();
    bench.engine.install(snapshot(&["10.2.0.0"])).unwrap();
    bench.heard().only_grows = true;
    bench.engine.install(snapshot(&["10.3.0.0"])).unwrap();
    assert!(told.one("RVL-GUARD-WIDE").text("error").contains("cannot be emptied"));
    bench.heard().refuses = true;
    bench.engine.try_guard_host();
    assert!(told.one("RVL-HOST-GUARD-STALE").text("error").contains("nft is away"));
}

#[test]
fn a_policy_that_waits_behind_default_filters_changes_nothing_in_the_kernel() {
    let bench = Bench::new();
    bench.engine.use_default_filters().unwrap();
    bench.engine.install(snapshot(&["10.2.0.0"])).unwrap();
    let heard: Vec<_> = bench.heard().host.clone();
    assert_eq!(heard, [(FilterMode::DefaultForced, 0, None), (FilterMode::DefaultForced, 0, Some(1))]);
    assert_eq!(bench.mode(), FilterMode::DefaultForced);
}
