//! Policies of the past: kept whole, with who and why, so many and no more, through any crash.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use ravelin_control::agent::ApplyError;
use ravelin_control::agent::asked::{Asked, Cause};
use ravelin_control::agent::history::{Head, History};
use ravelin_control::agent::past::Side;
use ravelin_control::policy::diff::{Kind, diff};

use crate::world::{Bench, KEEP, agent, texts, write_policy};

fn by(why: &str) -> Asked {
    Asked { uid: Some(0), why: Some(why.to_owned()), ..Asked::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_policy_is_kept_with_who_when_and_why() {
    let bench = Bench::new();
    for name in ["one", "two", "three"] {
        bench.agent.apply(&bench.policy(name), by(name)).await.unwrap();
    }
    let kept = bench.agent.kept().unwrap();
    let told: Vec<_> = kept.iter().map(|entry| (entry.record.number, entry.record.why.as_deref())).collect();
    assert_eq!(told, [(3, Some("three")), (2, Some("two")), (1, Some("one"))]);
    let newest = &kept[0].record;
    assert_eq!((newest.uid, newest.user.as_deref(), newest.cause), (Some(0), Some("root"), Cause::Apply));
    assert!(newest.time > 1_700_000_000 && kept.iter().all(|entry| entry.follows));
    let (_, files) = bench.agent.texts(2).unwrap();
    let path = bench.place.path().join("two.toml");
    assert_eq!(files.policy[0].text(), fs::read_to_string(&path).unwrap(), "octet for octet");
    assert_eq!(files.policy[0].name(), path.display().to_string());
    assert!(matches!(bench.agent.texts(9), Err(ApplyError::NoSuch(9))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_is_damaged_hides_no_other() {
    let bench = Bench::new();
    let mut fingerprints = Vec::new();
    for name in ["one", "two", "three"] {
        fingerprints.push(bench.applies(name).await);
    }
    fs::write(bench.history().directory().join("kept/000002/record.json"), "{").unwrap();
    let kept = bench.agent.kept().unwrap();
    let told: Vec<_> = kept.iter().map(|entry| (entry.record.number, entry.follows)).collect();
    assert_eq!(told, [(3, false), (1, true)], "what follows it shows that something is wrong");
    bench.agent.roll_back(Some(1), Asked::default()).await.unwrap();
    assert!(bench.is_at(&fingerprints[0]).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_are_kept_than_asked_for_and_nobody_else_may_read_them() {
    let bench = Bench::new();
    fs::write(bench.place.path().join("keys.toml"), "").unwrap();
    fs::set_permissions(bench.place.path().join("keys.toml"), fs::Permissions::from_mode(0o600)).unwrap();
    for number in 0..KEEP + 3 {
        bench.applies(&format!("p{number}")).await;
    }
    let numbers: Vec<u64> = bench.agent.kept().unwrap().iter().map(|entry| entry.record.number).collect();
    assert_eq!(numbers, [7, 6, 5, 4]);
    let mut seen = 0;
    closed(bench.history().directory(), &mut seen);
    assert_eq!(seen, 1 + 1 + 1 + KEEP * 4, "head, folders, records, policies, keys");
}

/// Every folder has mode 0700, every file 0600.
fn closed(path: &Path, seen: &mut usize) {
    *seen += 1;
    let about = fs::metadata(path).unwrap();
    let expected = if about.is_dir() { 0o700 } else { 0o600 };
    assert_eq!(about.permissions().mode() & 0o777, expected, "{}", path.display());
    if about.is_dir() {
        fs::read_dir(path).unwrap().for_each(|entry| closed(&entry.unwrap().path(), seen));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_changed_afterwards_is_seen_and_never_comes_back() {
    let bench = Bench::new();
    for name in ["one", "two", "three"] {
        bench.applies(name).await;
    }
    let folder = bench.history().directory().join("kept/000002");
    fs::write(folder.join("policy-000000.toml"), "[[rule]]\naction = \"permit\"\n").unwrap();
    let error = bench.agent.roll_back(Some(2), Asked::default()).await.unwrap_err();
    assert!(
        matches!(&error, ApplyError::Files(findings) if findings.to_string().contains("not what was applied"))
    );

    let record = fs::read_to_string(folder.join("record.json")).unwrap();
    fs::write(folder.join("record.json"), record.replace("\"uid\": null", "\"uid\": 4711")).unwrap();
    let follows: Vec<bool> = bench.agent.kept().unwrap().iter().map(|entry| entry.follows).collect();
    assert_eq!(follows, [false, true, true], "the record after the one that was changed tells");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_roll_back_is_an_apply_of_its_own() {
    let bench = Bench::new();
    let one = bench.applies("one").await;
    let two = bench.applies("two").await;
    assert!(matches!(bench.agent.roll_back(Some(9), by("x")).await, Err(ApplyError::NoSuch(9))));
    let done = bench.agent.roll_back(None, by("two was wrong")).await.unwrap();
    assert_eq!((done.number, &done.fingerprint), (3, &one));
    assert!(bench.is_at(&one).await);
    let newest = bench.agent.record().unwrap().unwrap();
    assert_eq!((newest.cause, newest.why.as_deref()), (Cause::Rollback { to: 1 }, Some("two was wrong")));
    assert_eq!(bench.agent.roll_back(Some(2), by("no, it was right")).await.unwrap().fingerprint, two);

    let again = agent(bench.place.path());
    again.recover().await;
    assert_eq!(again.fingerprint().await, Some(two));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_roll_back_is_asked_what_its_policy_was_expected_to_say() {
    let bench = Bench::new();
    let expect = bench.place.path().join("expect.toml");
    let expected = |verdict: &str| {
        format!(
            "[[expect]]\nsource = \"10.1.0.1\"\ndestination = \"10.2.0.1\"\nprotocol = \"tcp\"\n\
             direction = \"outbound\"\nverdict = \"{verdict}\"\n"
        )
    };
    fs::write(&expect, expected("permit")).unwrap();
    bench.applies("one").await;
    fs::remove_file(&expect).unwrap();
    bench.applies("two").await;
    bench.agent.roll_back(Some(1), Asked::default()).await.unwrap();
    // It came with its expectations.
    assert!(bench.agent.texts(3).unwrap().1.expect.is_some_and(|source| source.text() == expected("permit")));
}

#[tokio::test(flavor = "multi_thread")]
async fn policies_of_the_past_are_compared() {
    let bench = Bench::new();
    bench.applies("one").await;
    bench.applies("two").await;
    let sides = [Side::Kept(1), Side::Kept(2), Side::Applied, Side::Files(bench.policy("three"))];
    let mut snapshots = Vec::new();
    for side in &sides {
        snapshots.push(bench.agent.snapshot_of(side).await.unwrap());
    }
    let told = |a: usize, b: usize| {
        let changes = diff(&snapshots[a], &snapshots[b]).0.into_iter();
        changes.map(|change| (change.kind, change.name)).collect::<Vec<_>>()
    };
    let changed = |from: &str, to: &str| vec![(Kind::Removed, from.to_owned()), (Kind::Added, to.to_owned())];
    assert_eq!(told(0, 1), changed("one", "two"));
    assert_eq!(told(1, 2), []);
    assert_eq!(told(0, 3), changed("one", "three"));
}

fn name_of(history: &History) -> Option<String> {
    let record = history.applied().unwrap()?;
    let files = history.texts(&record).unwrap();
    files.policy[0].text().lines().nth(1).map(str::to_owned)
}

/// The folders as a crash leaves them at each step.
#[test]
fn a_crash_at_each_step_leaves_the_old_policy_or_the_new() {
    let place = tempfile::tempdir().unwrap();
    let (old, new) = (write_policy(place.path(), "old"), write_policy(place.path(), "new"));
    for step in 0..5 {
        let history = History::new(&place.path().join(step.to_string()), 2);
        let applied = |number| Head { applied: number, unconfirmed: None };
        history.stage(&texts(&old), &Asked::default(), "old").unwrap();
        history.promote(&applied(1)).unwrap();
        let folder = history.directory().to_owned();
        match step {
            // In the middle of writing a file.
            0 => {
                fs::create_dir(folder.join("writing")).unwrap();
                fs::write(folder.join("writing/policy-000000.toml"), "[[ru").unwrap();
            }
            _ => drop(history.stage(&texts(&new), &Asked::default(), "new").unwrap()),
        }
        match step {
            // In the middle of writing the head.
            2 => fs::write(folder.join("head.new"), "{\"appl").unwrap(),
            3 => history.promote(&applied(2)).unwrap(),
            // In the middle of removing one.
            4 => {
                history.promote(&applied(2)).unwrap();
                fs::rename(folder.join("kept/000001"), folder.join("gone")).unwrap();
                fs::remove_file(folder.join("gone/record.json")).unwrap();
            }
            _ => {}
        }
        let whole = history.staged().unwrap().map(|record| record.fingerprint);
        assert_eq!(whole.as_deref(), [1, 2].contains(&step).then_some("new"), "step {step}");
        history.discard().unwrap();
        let expected = if step < 3 { "old" } else { "new" };
        assert_eq!(name_of(&history), Some(format!("name = \"{expected}\"")), "step {step}");
        // And the next apply goes as if nothing had been.
        let next = history.stage(&texts(&new), &Asked::default(), "next").unwrap();
        history.promote(&applied(next.number)).unwrap();
        assert_eq!(history.list().unwrap()[0].record.fingerprint, "next");
    }
}

#[test]
fn what_was_compiled_is_kept_not_what_the_file_holds_later() {
    let place = tempfile::tempdir().unwrap();
    let paths = write_policy(place.path(), "first");
    let (read, history) = (texts(&paths), History::new(place.path(), 1));
    fs::write(&paths.policy[0], "edited").unwrap();
    history.stage(&read, &Asked::default(), "first").unwrap();
    history.promote(&Head { applied: 1, unconfirmed: None }).unwrap();
    assert_eq!(name_of(&history), Some("name = \"first\"".to_owned()));
    // With one that is kept, keys of the policy before are not left behind.
    history.stage(&texts(&write_policy(place.path(), "second")), &Asked::default(), "second").unwrap();
    history.promote(&Head { applied: 2, unconfirmed: None }).unwrap();
    history.prune().unwrap();
    let left: Vec<_> =
        fs::read_dir(history.directory().join("kept")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["000002"]);
}
