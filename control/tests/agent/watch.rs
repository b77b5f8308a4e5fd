//! Watched files: a change is applied or told, a mistake changes nothing.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use ravelin_config::appliance::Watch;
use ravelin_control::agent::asked::{Asked, Cause};

use crate::world::Bench;

fn policy(name: &str) -> String {
    format!("[[rule]]\nname = \"{name}\"\nsource = \"10.1.0.0/16\"\naction = \"permit\"\n")
}

/// Writes a policy and waits until it is applied under this number. Again and again with another comment: the watch may not have
/// begun when it was written first, and what it meets then counts as known.
async fn reaches(bench: &Bench, number: u64, text: &str) {
    let file = &bench.agent.files.policy[0];
    for turn in 0..30 {
        // As an editor does: beside, then in the place of the old one.
        fs::write(file.with_extension("tmp"), format!("{text}# {turn}\n")).unwrap();
        fs::rename(file.with_extension("tmp"), file).unwrap();
        for _ in 0..40 {
            if bench.agent.record().unwrap().is_some_and(|record| record.number == number) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    panic!("policy {number} was never applied");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_applied_and_a_mistake_changes_nothing() {
    let bench = Bench::new();
    let file = bench.agent.files.policy[0].clone();
    fs::write(&file, policy("one")).unwrap();
    bench.agent.apply(&bench.agent.files, Asked::default()).await.unwrap();
    let watch = tokio::spawn(Arc::clone(&bench.agent).watch_files(Watch::Apply));
    reaches(&bench, 2, &policy("two")).await;
    assert_eq!(bench.agent.record().unwrap().unwrap().cause, Cause::Watch);
    let held = bench.peer.held();

    fs::write(&file, "[[rule]]\naction = \"premit\"\n").unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(bench.peer.held(), held);
    reaches(&bench, 3, &policy("three")).await;
    watch.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn where_a_commit_is_required_a_change_is_only_told() {
    let bench = Bench::new();
    let file = bench.agent.files.policy[0].clone();
    fs::write(&file, policy("one")).unwrap();
    bench.agent.apply(&bench.agent.files, Asked::default()).await.unwrap();
    assert!(!bench.agent.files_differ().unwrap());
    let watch = tokio::spawn(Arc::clone(&bench.agent).watch_files(Watch::Report));
    tokio::time::sleep(Duration::from_millis(500)).await;
    fs::write(&file, policy("two")).unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(bench.agent.files_differ().unwrap());
    assert_eq!(bench.agent.record().unwrap().unwrap().number, 1);
    watch.abort();
}
