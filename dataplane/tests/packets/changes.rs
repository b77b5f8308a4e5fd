//! Changes of policy and filters: whole or not at all, and never behind something slow.
#![allow(clippy::unwrap_used, reason = "this is test code, which the lint sees only in test functions")]

use std::fs::{File, OpenOptions};
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use crate::support::network::host;
use crate::support::plan::{Plan, gcm, outbound};
use crate::support::samples::{Ip, udp};
use crate::support::{LAN, Rig, Setup, WAN, across, only};
use ravelin_contract::message::{Refusal, Reply};
use ravelin_contract::report::FilterMode;
use ravelin_contract::rule::Direction;
use ravelin_contract::sa::{Origin, Sa, Spi};
use ravelin_contract::snapshot::Snapshot;
use ravelin_contract::verdict::Verdict;
use ravelin_dataplane::esp::fingerprint::Fingerprint;

/// Longer than anything here takes, unless it is stuck.
const STUCK: Duration = Duration::from_secs(10);

fn packet(from: u8, to: u8) -> Vec<u8> {
    Ip::new(&host(from, false), &host(to, false), 17, udp(4000, 53, b"data")).octets()
}

fn tunnel(site: u8) -> Snapshot {
    with_origin(Plan::of(site).tunnel(3 - site, &gcm()).done(), "manual", Origin::Manual)
}

fn with_origin(mut snapshot: Snapshot, fingerprint: &str, origin: Origin) -> Snapshot {
    snapshot.fingerprint = fingerprint.to_owned();
    snapshot.sas.iter_mut().for_each(|sa| sa.origin = origin);
    snapshot
}

fn without_inbound(mut snapshot: Snapshot) -> Snapshot {
    snapshot.sas.retain(Sa::is_outbound);
    snapshot
}

fn sequence(sealed: &[u8]) -> u32 {
    u32::from_be_bytes(sealed[24..28].try_into().unwrap())
}

fn two_workers(site: u8) -> Setup {
    Setup { workers: 2, ..Setup::of(site) }
}

/// Runs `act` while the first worker alone breathes.
fn while_one_lags<T: Send>(rig: &mut Rig, act: impl FnOnce() -> T + Send) -> T {
    let first = &mut rig.workers[0];
    std::thread::scope(|scope| {
        let doing = scope.spawn(act);
        while !doing.is_finished() {
            first.breathe();
            std::thread::yield_now();
        }
        doing.join().unwrap()
    })
}

fn is_lag<T: std::fmt::Debug>(result: &Result<T, Refusal>) -> bool {
    matches!(result, Err(Refusal::NotInForce(_)))
}

#[test]
fn a_policy_that_one_worker_does_not_take_is_refused_whole() {
    let mut rig = Rig::with(two_workers(1), tunnel(1));
    let held = rig.engine.identity().1;
    let engine = Arc::clone(&rig.engine);
    let other = without_inbound(with_origin(tunnel(1), "other", Origin::Manual));
    let refused = while_one_lags(&mut rig, move || engine.install(other));
    assert!(is_lag(&refused), "{refused:?}");

    rig.breathe();
    let status = rig.engine.status();
    assert_eq!((status.policy, status.mode), (held, FilterMode::Policy));
    assert_eq!((status.counts.1, status.counts.2), (1, 1), "the SAs held before are in force");
    assert!(status.workers.iter().all(|worker| worker.generation == status.generation));
    assert_eq!(rig.pass(LAN, &packet(1, 2)).len(), 1);
    rig.install(tunnel(1)).unwrap();
}

/// A negotiated key has no reservation: when a refused policy comes again, only memory keeps its numbers apart.
#[test]
fn a_refused_policy_that_comes_again_repeats_no_number() {
    let snapshot = || with_origin(tunnel(1), "negotiated", Origin::Ike);
    let mut rig = Rig::new(two_workers(1));
    let engine = Arc::clone(&rig.engine);
    let (first, plugs) = (&mut rig.workers[0], &rig.plugs);
    let frame = crate::support::network::framed(&rig.setup, LAN, &packet(1, 2));
    let mut used = Vec::new();
    std::thread::scope(|scope| {
        let doing = scope.spawn(move || engine.install(snapshot()));
        while !doing.is_finished() {
            plugs[0][LAN].feed(&frame);
            first.breathe();
            used.extend(std::iter::from_fn(|| plugs[0][WAN].take()).map(|frame| sequence(&frame[14..])));
            std::thread::sleep(Duration::from_millis(5));
        }
        assert!(is_lag(&doing.join().unwrap()));
    });
    assert!(!used.is_empty(), "the first worker used the SA while the other lagged");

    rig.install(snapshot()).unwrap();
    let next = sequence(&rig.pass(LAN, &packet(1, 2))[0]);
    assert!(!used.contains(&next), "number {next} was used under this key: {used:?}");
}

#[test]
fn going_back_to_the_policy_fails_closed_when_a_worker_lags() {
    let mut rig = Rig::with(Setup::of(1), tunnel(1));
    rig.meanwhile(|engine| engine.use_default_filters()).unwrap();
    let refused = rig.engine.use_policy();
    assert!(is_lag(&refused), "{refused:?}");
    assert_eq!(rig.engine.status().mode, FilterMode::DefaultForced);
    let state = Arc::clone(&rig.state);
    let counted = rig.counted(|rig| rig.receive(LAN, &packet(1, 2)));
    assert_eq!(only(&counted), Verdict::ImplicitlyDenied);
    drop(rig);

    let mut again = Rig::on(Setup::of(1), state);
    again.install(tunnel(1)).unwrap();
    assert_eq!(again.engine.status().mode, FilterMode::DefaultForced, "the choice is still kept");
}

/// A file that blocks who writes to it until the result is dropped.
fn blocked(path: &Path) -> impl Drop + use<> {
    struct Open(std::path::PathBuf, Vec<File>);
    impl Drop for Open {
        fn drop(&mut self) {
            // Opened for both, so neither the writer nor a later reader waits.
            self.1.push(OpenOptions::new().read(true).write(true).open(&self.0).unwrap());
            std::thread::sleep(Duration::from_millis(200));
        }
    }
    let status = std::process::Command::new("mkfifo").arg(path).status().unwrap();
    assert!(status.success());
    Open(path.to_owned(), vec![])
}

/// Default filters are in force soon, whether or not `use_default_filters` has returned.
fn default_filters_soon(rig: &mut Rig) -> bool {
    let engine = Arc::clone(&rig.engine);
    let (told, done) = mpsc::channel();
    std::thread::spawn(move || told.send(engine.use_default_filters()));
    let began = std::time::Instant::now();
    while began.elapsed() < STUCK {
        let counted = rig.counted(|rig| rig.receive(LAN, &packet(1, 2)));
        let _ = done.try_recv();
        if only(&counted) == Verdict::ImplicitlyDenied {
            return true;
        }
    }
    false
}

#[test]
fn a_slow_disk_does_not_delay_the_default_filters() {
    let mut rig = Rig::with(Setup::of(1), tunnel(1));
    let blocked = blocked(&rig.state.path().join("default-filters-forced"));
    assert!(default_filters_soon(&mut rig));
    drop(blocked);
}

#[test]
fn an_install_that_waits_for_the_disk_does_not_delay_the_default_filters() {
    let mut rig = Rig::with(Setup::of(1), tunnel(1));
    let new = Sa { spi: Spi::new(7777).unwrap(), origin: Origin::Manual, ..outbound(1, 3, &gcm()) };
    let draft = format!("numbers/{}.new", Fingerprint::of_numbers(&new));
    let blocked = blocked(&rig.state.path().join(draft));
    let engine = Arc::clone(&rig.engine);
    let installing = std::thread::spawn(move || {
        let snapshot = tunnel(1);
        engine.install(Snapshot { sas: vec![new], ..snapshot })
    });
    std::thread::sleep(Duration::from_millis(50));
    assert!(!installing.is_finished(), "the disk blocks");
    assert!(default_filters_soon(&mut rig));
    drop(blocked);
    let _ = installing.join();
}

/// An inbound SA that goes and comes again refuses what it accepted before.
#[test]
fn taking_an_sa_away_and_back_opens_no_gap_for_replay() {
    let (mut a, mut b) = (Rig::with(Setup::of(1), tunnel(1)), Rig::with(Setup::of(2), tunnel(2)));
    let (arrived, wire) = across(&mut a, &mut b, &packet(1, 2));
    assert_eq!(arrived.len(), 1);
    b.install(without_inbound(tunnel(2))).unwrap();
    b.install(tunnel(2)).unwrap();
    let counted = b.counted(|b| b.receive(WAN, &wire[0]));
    assert_eq!(only(&counted), Verdict::Replayed);
}

#[test]
fn pages_of_sas_join_to_the_whole_list() {
    let kind = gcm();
    let more =
        (0..600).map(|number| Sa { spi: Spi::new(0x20000 + number).unwrap(), ..outbound(1, 2, &kind) });
    let rig = Rig::with(Setup::of(1), Plan::of(1).tunnel(2, &kind).sas(more).done());
    let (mut all, mut from) = (Vec::new(), Some(0));
    while let Some(position) = from {
        let Reply::Sas { sas, next } = rig.engine.list_sas(position) else { panic!("no SAs") };
        assert!(next.is_none_or(|next| next > position && sas.len() == 256));
        all.extend(sas);
        from = next;
    }
    assert_eq!((all.len(), all[0].direction), (602, Direction::Inbound));
    let spis: std::collections::BTreeSet<_> = all.iter().map(|sa| (sa.direction, sa.spi)).collect();
    assert_eq!(spis.len(), 602);
    assert!(matches!(rig.engine.list_sas(5000), Reply::Sas { sas, next: None } if sas.is_empty()));
}
