//! A policy that must be confirmed: it stays by a word, goes without one, and nothing in between brings the wrong one back.

use std::sync::Arc;
use std::time::Duration;

use ravelin_control::agent::ApplyError;
use ravelin_control::agent::asked::{Asked, Cause};

use crate::world::{Bench, Fault, agent};

const HOUR: Duration = Duration::from_secs(3600);
const MOMENT: Duration = Duration::from_millis(300);

fn within(confirm: Duration) -> Asked {
    Asked { confirm: Some(confirm), ..Asked::default() }
}

async fn wait_until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    for _ in 0..600 {
        if is_so().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("waited in vain for {what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_word_the_policy_before_comes_back_by_itself() {
    let bench = Bench::new();
    let old = bench.applies("old").await;
    let watch = tokio::spawn(Arc::clone(&bench.agent).watch());
    let new = bench.agent.apply(&bench.policy("new"), within(Duration::from_secs(2))).await.unwrap();
    assert_eq!(bench.peer.held(), Some(new.fingerprint));
    let (number, left, back_to) = bench.agent.waiting().unwrap();
    assert!(number == 2 && left <= 2 && back_to == Some(1), "{left}");
    wait_until("the old policy", async || bench.is_at(&old).await).await;
    watch.abort();
    assert_eq!(bench.agent.waiting(), None);
    let record = bench.agent.record().unwrap().unwrap();
    assert_eq!((record.number, record.cause, record.uid), (3, Cause::NotConfirmed { to: 1 }, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_word_in_time_lets_it_stay_also_over_a_restart() {
    let bench = Bench::new();
    bench.applies("old").await;
    assert!(matches!(bench.agent.confirm().await, Err(ApplyError::NothingToConfirm)));
    let new = bench.agent.apply(&bench.policy("new"), within(HOUR)).await.unwrap().fingerprint;
    assert_eq!(bench.agent.confirm().await.unwrap(), 2);
    assert_eq!(bench.agent.waiting(), None);
    let again = agent(bench.place.path());
    again.recover().await;
    assert_eq!((again.waiting(), again.fingerprint().await), (None, Some(new)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_within_the_time_goes_on_waiting() {
    let bench = Bench::new();
    bench.applies("old").await;
    let new = bench.agent.apply(&bench.policy("new"), within(HOUR)).await.unwrap().fingerprint;
    let again = agent(bench.place.path());
    again.recover().await;
    assert_eq!(again.fingerprint().await, Some(new.clone()));
    let (number, left, back_to) = again.waiting().unwrap();
    assert!((number, back_to) == (2, Some(1)) && left > 1800, "{left}");
    assert_eq!(again.confirm().await.unwrap(), 2);
    assert!(bench.is_at(&new).await);
}

/// As on a disk that was full when it came into force, and no more when it was confirmed.
#[tokio::test(flavor = "multi_thread")]
async fn what_could_not_be_written_down_stays_by_a_word_too() {
    let bench = Bench::new();
    bench.applies("old").await;
    let in_the_way = bench.place.path().join("state/policy/head.new");
    std::fs::create_dir(&in_the_way).unwrap();
    let files = bench.policy("new");
    let error = bench.agent.apply(&files, within(HOUR)).await.unwrap_err();
    assert!(matches!(error, ApplyError::NotKept { .. }), "{error}");
    std::fs::remove_dir(&in_the_way).unwrap();
    assert_eq!(bench.agent.confirm().await.unwrap(), 2);
    let again = agent(bench.place.path());
    again.recover().await;
    let new = again.compile(&files).await.unwrap().snapshot.fingerprint;
    assert_eq!((again.waiting(), again.fingerprint().await), (None, Some(new)));
}

/// Both when the packet process still holds it and when that has lost it.
#[tokio::test(flavor = "multi_thread")]
async fn a_start_after_the_time_takes_the_old_one_and_never_installs_the_new() {
    for lost in [false, true] {
        let bench = Bench::new();
        let old = bench.applies("old").await;
        bench.agent.apply(&bench.policy("new"), within(MOMENT)).await.unwrap();
        tokio::time::sleep(MOMENT * 2).await;
        assert!(matches!(bench.agent.confirm().await, Err(ApplyError::TooLate(2))));
        if lost {
            bench.peer.restart();
        }
        let before = bench.peer.0.lock().unwrap().installed.len();
        let again = agent(bench.place.path());
        again.recover().await;
        assert_eq!((again.fingerprint().await, bench.peer.held()), (Some(old.clone()), Some(old.clone())));
        assert_eq!(bench.peer.0.lock().unwrap().installed[before..], [old]);
        assert_eq!(again.waiting(), None);
    }
}

/// The record of an apply that was interrupted after the packet process took it says that it must be confirmed.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_to_be_confirmed_is_so_from_before_it_is_in_force() {
    let bench = Bench::new();
    bench.applies("old").await;
    let files = bench.policy("new");
    let new = bench.agent.compile(&files).await.unwrap().snapshot.fingerprint;
    bench.history().stage(&crate::world::texts(&files), &within(HOUR), &new).unwrap();
    bench.peer.0.lock().unwrap().held = Some(new.clone());
    let again = agent(bench.place.path());
    again.recover().await;
    assert_eq!(again.fingerprint().await, Some(new));
    assert!(again.waiting().is_some_and(|(number, _, back_to)| (number, back_to) == (2, Some(1))));
}

#[tokio::test(flavor = "multi_thread")]
async fn while_one_waits_another_is_refused_and_a_roll_back_ends_the_waiting() {
    let bench = Bench::new();
    let old = bench.applies("old").await;
    let new = bench.agent.apply(&bench.policy("new"), within(HOUR)).await.unwrap().fingerprint;
    for asked in [Asked::default(), within(HOUR)] {
        let error = bench.agent.apply(&bench.policy("other"), asked).await.unwrap_err();
        assert!(matches!(error, ApplyError::Waiting { number: 2, .. }), "{error}");
    }
    assert!(bench.is_at(&new).await);
    bench.agent.roll_back(None, Asked::default()).await.unwrap();
    assert!(bench.is_at(&old).await);
    assert_eq!(bench.agent.waiting(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_packet_process_that_is_gone_when_the_time_is_over_gets_the_old_one_later() {
    let bench = Bench::new();
    let old = bench.applies("old").await;
    let watch = tokio::spawn(Arc::clone(&bench.agent).watch());
    bench.agent.apply(&bench.policy("new"), within(MOMENT)).await.unwrap();
    bench.peer.set(Fault::Break(0));
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_ne!(bench.peer.held(), Some(old.clone()));
    bench.peer.set(Fault::None);
    wait_until("the old policy", async || bench.is_at(&old).await).await;
    watch.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_policy_without_a_word_ends_in_the_default_filters() {
    let bench = Bench::new();
    let watch = tokio::spawn(Arc::clone(&bench.agent).watch());
    bench.agent.apply(&bench.policy("new"), within(MOMENT)).await.unwrap();
    wait_until("default filters", async || bench.peer.0.lock().unwrap().default_filters).await;
    wait_until("the end of the waiting", async || bench.agent.waiting().is_none()).await;
    watch.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_one_to_go_back_to_is_kept_whatever_the_bound() {
    let bench = Bench::new();
    bench.applies("old").await;
    let history = ravelin_control::agent::history::History::new(&bench.place.path().join("state"), 1);
    bench.agent.apply(&bench.policy("new"), within(HOUR)).await.unwrap();
    history.prune().unwrap();
    assert_eq!(history.list().unwrap().len(), 2);
    bench.agent.confirm().await.unwrap();
    history.prune().unwrap();
    assert_eq!(history.list().unwrap().len(), 1);
}
