//! What breaks on the way of an apply leaves the old policy or the new.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use ravelin_control::agent::ApplyError;
use ravelin_control::agent::asked::Asked;

use crate::world::{Bench, Fault, agent, texts};

#[tokio::test(flavor = "multi_thread")]
async fn whatever_message_fails_the_old_policy_stays_everywhere() {
    let bench = Bench::new();
    let old = bench.applies("old").await;
    assert!(bench.is_at(&old).await);
    let messages = bench.peer.0.lock().unwrap().messages;
    assert!(messages >= 3, "Begin, parts, Commit");
    for at in 0..messages {
        for fault in [Fault::Break(at), Fault::Refuse(at)] {
            bench.peer.set(fault);
            assert!(bench.agent.apply(&bench.policy("new"), Asked::default()).await.is_err(), "{fault:?}");
            assert!(bench.is_at(&old).await, "{fault:?}");
            assert_eq!(bench.history().staged().unwrap(), None, "{fault:?}");
        }
    }
    bench.peer.set(Fault::None);
    let new = bench.applies("new").await;
    assert!(new != old && bench.is_at(&new).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_lost_after_the_commit_does_not_part_the_two_sides() {
    let bench = Bench::new();
    bench.applies("old").await;
    bench.peer.set(Fault::LoseAnswer);
    let new = bench.applies("new").await;
    assert!(bench.is_at(&new).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_apply_goes_on_when_its_asker_leaves() {
    let bench = Bench::new();
    bench.applies("old").await;
    bench.peer.set(Fault::Slow);
    let files = bench.policy("new");
    let left =
        tokio::time::timeout(Duration::from_millis(300), bench.agent.apply(&files, Asked::default())).await;
    assert!(left.is_err(), "it was still on its way");
    let new = bench.agent.compile(&files).await.unwrap().snapshot.fingerprint;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(bench.agent.fingerprint().await, Some(new.clone()), "waits for the apply");
    assert!(bench.is_at(&new).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn default_filters_do_not_wait_for_an_apply() {
    let bench = Bench::new();
    bench.peer.set(Fault::Slow);
    let (agent, files) = (Arc::clone(&bench.agent), bench.policy("new"));
    let applying = tokio::spawn(async move { agent.apply(&files, Asked::default()).await });
    tokio::time::sleep(Duration::from_millis(200)).await;
    bench.agent.use_default_filters().await.unwrap();
    assert!(!applying.is_finished() && bench.peer.0.lock().unwrap().default_filters);
    applying.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_request_after_a_restart_of_the_packet_process_arrives() {
    let bench = Bench::new();
    bench.agent.use_default_filters().await.unwrap();
    bench.peer.restart();
    bench.agent.use_default_filters().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_packet_process_gets_the_policy_again() {
    let bench = Bench::new();
    let policy = bench.applies("policy").await;
    let watch = tokio::spawn(Arc::clone(&bench.agent).watch());
    tokio::time::sleep(Duration::from_millis(150)).await;
    // The first try fails; it must not be the only one.
    bench.peer.set(Fault::Refuse(0));
    bench.peer.restart();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(bench.peer.held(), None);
    bench.peer.set(Fault::None);
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        if bench.peer.held().is_some() {
            break;
        }
    }
    watch.abort();
    assert!(bench.is_at(&policy).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_force_but_not_kept_is_told_so() {
    let bench = Bench::new();
    bench.applies("old").await;
    // A folder where a file would be written.
    let obstacle = bench.history().directory().join("head.new");
    fs::create_dir(&obstacle).unwrap();
    let error = bench.agent.apply(&bench.policy("new"), Asked::default()).await.unwrap_err();
    assert!(matches!(error, ApplyError::NotKept { .. }), "{error}");
    assert_eq!(bench.peer.held(), bench.agent.fingerprint().await);
    fs::remove_dir(&obstacle).unwrap();

    let again = agent(bench.place.path());
    again.recover().await;
    assert_eq!(again.fingerprint().await, bench.peer.held(), "the staged policy was in force");
}

#[tokio::test(flavor = "multi_thread")]
async fn recovery_does_not_undo_what_the_operator_applied_meanwhile() {
    let bench = Bench::new();
    bench.applies("old").await;
    let again = agent(bench.place.path());
    let new = again.apply(&bench.policy("new"), Asked::default()).await.unwrap().fingerprint;
    again.recover().await;
    assert_eq!((again.fingerprint().await, bench.peer.held()), (Some(new.clone()), Some(new)));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_apply_counts_when_the_packet_process_took_it() {
    for taken in [false, true] {
        let bench = Bench::new();
        let old = bench.applies("old").await;
        let files = bench.policy("new");
        let new = bench.agent.compile(&files).await.unwrap().snapshot.fingerprint;
        bench.history().stage(&texts(&files), &Asked::default(), &new).unwrap();
        if taken {
            bench.peer.0.lock().unwrap().held = Some(new.clone());
        }
        let again = agent(bench.place.path());
        again.recover().await;
        let expected = if taken { new } else { old };
        assert_eq!((again.fingerprint().await, bench.peer.held()), (Some(expected.clone()), Some(expected)));
        assert_eq!(bench.history().staged().unwrap(), None);
    }
}
