//! What becomes of policies is told, each time with its code.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use ravelin_log::heard::Heard;
use ravelin_log::record::Record;

use crate::world::{Bench, Fault, agent};

/// Waits until an event of this code was told.
async fn hear(heard: &Heard, code: &str) -> Record {
    for _ in 0..600 {
        if let Some(record) = heard.all(code).into_iter().next() {
            return record;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("no {code}: {heard:#?}");
}

#[tokio::test]
async fn what_becomes_of_the_policy_over_restarts_is_told() {
    let heard = Heard::begin();
    let bench = Bench::new();
    Arc::clone(&bench.agent).recover().await;
    heard.one("RVL-POLICY-NONE");
    bench.applies("policy").await;
    agent(bench.place.path()).recover().await;
    heard.one("RVL-POLICY-HELD");
    let watch = tokio::spawn(Arc::clone(&bench.agent).watch());
    bench.peer.set(Fault::Refuse(0));
    tokio::time::sleep(Duration::from_millis(200)).await;
    bench.peer.restart();
    assert!(!hear(&heard, "RVL-POLICY-NOT-AGAIN").await.text("error").is_empty());
    bench.peer.set(Fault::None);
    assert_eq!(hear(&heard, "RVL-POLICY-AGAIN").await.text("generation"), "2");
    watch.abort();
}

#[tokio::test]
async fn what_sighup_changes_or_does_not_is_told() {
    let heard = Heard::begin();
    let bench = Bench::new();
    let file = bench.place.path().join("missing.toml");
    fs::write(&file, "[[rule]]\naction = \"maybe\"\n").unwrap();
    Arc::clone(&bench.agent).recover().await;
    assert!(heard.one("RVL-POLICY-FINDINGS").text("findings").contains("[RVL-FILE-VALUE]"));
    bench.agent.reload().await;
    let refused = heard.one("RVL-POLICY-NOT-APPLIED");
    assert_eq!(refused.text("by"), "SIGHUP");
    assert!(refused.text("error").contains("missing.toml:2:10: error: "), "{refused:?}");
    fs::write(&file, "[[rule]]\nname = \"web\"\naction = \"permit\"\n").unwrap();
    bench.agent.reload().await;
    let applied = heard.one("RVL-POLICY-APPLIED");
    let changed = heard.all("RVL-POLICY-CHANGED");
    assert_eq!(
        (applied.text("by"), applied.text("changes")),
        ("SIGHUP".to_owned(), changed.len().to_string())
    );
    assert!(changed.iter().any(|change| change.text("name") == "web"), "{changed:?}");
}
