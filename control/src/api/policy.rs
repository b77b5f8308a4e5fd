//! Requests that change the policy, or ask about the one that is applied, one of the past, or files.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{ConnectInfo, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};

use super::door::Peer;
use super::kept::{self, Confirmed, Kept, Numbered, Past, Rollback, Standing, Waiting, Wish};
use super::server::{Answer, Failure};
use super::view::InForce;
use crate::agent::asked::{Asked, Cause};
use crate::agent::past::Side;
use crate::agent::{Agent, ApplyError, Done, off_thread};
use crate::policy::diff::{Diff, diff};
use crate::policy::explain::answer::Answer as Explanation;
use crate::policy::explain::keyed::Reason;
use crate::policy::explain::question::Question as Packet;
use crate::policy::files::Paths;

/// Longest reason, in octets.
const WHY: usize = 1000;
/// Longest time to confirm, in seconds: a day.
const CONFIRM: u64 = 86_400;

/// Paths that a request names; those it does not name are the configured ones.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct PolicyFiles {
    /// Policy files, absolute.
    pub policy: Vec<PathBuf>,
    /// `keys.toml`, absolute.
    pub keys: Option<PathBuf>,
    /// `attls.toml`, absolute.
    pub attls: Option<PathBuf>,
    /// `expect.toml`, absolute.
    pub expect: Option<PathBuf>,
}

/// Files to put in force.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Apply {
    /// Which.
    #[serde(flatten)]
    pub files: PolicyFiles,
    /// And how.
    #[serde(flatten)]
    pub wish: Wish,
}

/// What is compared: from the policy applied, or an older one, to files, or to another policy.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Compare {
    /// The number of the older side; the policy that is applied when left out.
    #[serde(default)]
    pub from: Option<u64>,
    /// The newer side.
    #[serde(default)]
    pub to: Newer,
    /// The files where the newer side is files.
    #[serde(flatten)]
    pub files: PolicyFiles,
}

/// The newer side of a comparison.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Newer {
    /// Files.
    #[default]
    Files,
    /// The policy that is applied.
    Applied,
    /// A policy of that number.
    Number(u64),
}

/// Their routes.
pub(super) fn routes() -> Router<Arc<Agent>> {
    Router::new()
        .route("/v1/policy/apply", post(apply))
        .route("/v1/policy/confirm", post(confirm))
        .route("/v1/policy/rollback", post(rollback))
        .route("/v1/policy/history", get(history))
        .route("/v1/policy/kept", post(kept_policy))
        .route("/v1/policy/status", get(status))
        .route("/v1/policy/diff", post(difference))
        .route("/v1/policy/test", post(test))
        .route("/v1/policy/why", post(why))
}

/// The files of a request. Findings quote what they speak of, so only who could read any file anyway may name one.
fn named(agent: &Agent, peer: Peer, request: PolicyFiles) -> Result<Paths, Failure> {
    let others = [&request.keys, &request.attls, &request.expect];
    let names = !request.policy.is_empty() || others.iter().any(|path| path.is_some());
    if !peer.may_name_files && names {
        let error = "only root may name policy files; leave them out to use the configured ones";
        return Err(Failure::refused(StatusCode::FORBIDDEN, error));
    }
    Ok(Paths {
        policy: if request.policy.is_empty() { agent.files.policy.clone() } else { request.policy },
        keys: request.keys.unwrap_or_else(|| agent.files.keys.clone()),
        attls: request.attls.unwrap_or_else(|| agent.files.attls.clone()),
        expect: request.expect.unwrap_or_else(|| agent.files.expect.clone()),
    })
}

/// What the agent is asked; who asks, it knows from the kernel alone.
fn asked(peer: Peer, wish: Wish) -> Result<Asked, Failure> {
    let refused = |error: &str| Err(Failure::refused(StatusCode::UNPROCESSABLE_ENTITY, error));
    let Wish { why, confirm, reload } = wish;
    if why.as_ref().is_some_and(|why| why.len() > WHY || why.chars().any(char::is_control)) {
        return refused("a reason is one line of at most 1000 octets");
    }
    if confirm.is_some_and(|seconds| !(1..=CONFIRM).contains(&seconds)) {
        return refused("the time to confirm a policy is 1 s to 24 h");
    }
    let cause = if reload { Cause::Reload } else { Cause::Apply };
    let confirm = confirm.map(Duration::from_secs);
    Ok(Asked { cause, uid: peer.uid, why, confirm, tell_changes: reload })
}

fn in_force(done: Done) -> Json<InForce> {
    let warnings = done.warnings.iter().map(ToString::to_string).collect();
    let Done { number, generation, took_us, fingerprint, changes, .. } = done;
    Json(InForce {
        number: Some(number),
        generation,
        took_us,
        fingerprint: Some(fingerprint),
        warnings,
        changes: changes.map(|changes| changes.0),
    })
}

async fn apply(
    State(agent): State<Arc<Agent>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Json(Apply { files, wish }): Json<Apply>,
) -> Answer<InForce> {
    Ok(in_force(agent.apply(&named(&agent, peer, files)?, asked(peer, wish)?).await?))
}

async fn rollback(
    State(agent): State<Arc<Agent>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Json(Rollback { number, wish }): Json<Rollback>,
) -> Answer<InForce> {
    Ok(in_force(agent.roll_back(number, asked(peer, wish)?).await?))
}

async fn confirm(State(agent): State<Arc<Agent>>) -> Answer<Confirmed> {
    Ok(Json(Confirmed { number: agent.confirm().await? }))
}

/// What is kept is read from the disk, where threads that answer others must not wait.
async fn read<T: Send + 'static>(
    agent: &Arc<Agent>,
    work: impl FnOnce(&Agent) -> Result<T, ApplyError> + Send + 'static,
) -> Result<T, ApplyError> {
    let agent = Arc::clone(agent);
    off_thread(move || work(&agent)).await
}

async fn history(State(agent): State<Arc<Agent>>) -> Answer<Vec<Past>> {
    let entries = read(&agent, Agent::kept).await?.into_iter().enumerate();
    Ok(Json(entries.map(|(at, entry)| Past::new(entry.record, at == 0, entry.follows)).collect()))
}

async fn kept_policy(
    State(agent): State<Arc<Agent>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Json(Numbered { number }): Json<Numbered>,
) -> Answer<Kept> {
    let (entry, texts) = read(&agent, move |agent| agent.texts(number)).await?;
    let applied = read(&agent, Agent::record).await?.is_some_and(|applied| applied.number == number);
    let files = kept::texts(&texts, peer.may_name_files);
    Ok(Json(Kept { past: Past::new(entry.record, applied, entry.follows), files }))
}

async fn status(State(agent): State<Arc<Agent>>) -> Answer<Standing> {
    let newest = read(&agent, Agent::kept).await?.into_iter().next();
    let applied = newest.map(|entry| Past::new(entry.record, true, entry.follows));
    let waiting = agent.waiting().map(|(_, seconds_left, back_to)| Waiting { seconds_left, back_to });
    let files_differ = read(&agent, Agent::files_differ).await?;
    Ok(Json(Standing { applied, files_differ, waiting }))
}

async fn difference(
    State(agent): State<Arc<Agent>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Json(Compare { from, to, files }): Json<Compare>,
) -> Answer<Diff> {
    let newer = match to {
        Newer::Files => Side::Files(named(&agent, peer, files)?),
        Newer::Applied => Side::Applied,
        Newer::Number(number) => Side::Kept(number),
    };
    let newer = agent.snapshot_of(&newer).await.map_err(compared)?;
    let older = agent.snapshot_of(&from.map_or(Side::Applied, Side::Kept)).await.map_err(compared)?;
    Ok(Json(diff(&older, &newer)))
}

/// Nothing was to be applied.
fn compared(error: ApplyError) -> Failure {
    match error {
        ApplyError::Files(findings) => Failure::files("the policy has errors".to_owned(), &findings),
        error => error.into(),
    }
}

async fn test(State(agent): State<Arc<Agent>>, Json(packet): Json<Packet>) -> Answer<Explanation> {
    Ok(Json(agent.explain(&packet).await?))
}

async fn why(State(agent): State<Arc<Agent>>, Json(packet): Json<Packet>) -> Answer<Reason> {
    Ok(Json(agent.reason(&packet).await?))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use ravelin_rings::store::Rings;

    use super::*;
    use crate::io::dataplane::Dataplane;
    use crate::policy::management::Site;

    const ROOT: Peer = Peer { uid: Some(0), may_name_files: true };
    const GUEST: Peer = Peer { uid: Some(1000), may_name_files: false };

    #[test]
    fn only_who_may_read_any_file_may_name_one() {
        let configured = Paths {
            policy: vec!["/etc/p.toml".into()],
            keys: "/etc/k.toml".into(),
            attls: "/etc/t.toml".into(),
            expect: "/etc/e.toml".into(),
        };
        let agent = Agent::new(
            Dataplane::new("/nonexistent"),
            configured.clone(),
            Site::default(),
            (Path::new("/nonexistent"), 1),
            (crate::ike::door().unwrap().0, crate::attls::door(&Rings::at("/nonexistent")).0),
        );
        let naming = || PolicyFiles { policy: vec!["/etc/shadow".into()], ..PolicyFiles::default() };
        assert_eq!(named(&agent, GUEST, naming()).unwrap_err().status(), StatusCode::FORBIDDEN);
        assert_eq!(named(&agent, ROOT, naming()).unwrap().policy, [Path::new("/etc/shadow")]);
        assert_eq!(named(&agent, GUEST, PolicyFiles::default()).unwrap(), configured);
    }

    #[test]
    fn who_asks_is_what_the_kernel_says_and_a_reason_is_one_line() {
        let wish = |why: &str, confirm| Wish { why: Some(why.to_owned()), confirm, reload: false };
        assert_eq!(asked(GUEST, wish("ticket 7", Some(120))).unwrap().uid, Some(1000));
        for (why, confirm) in
            [("two\nlines", None), ("\u{1b}[2J", None), ("none", Some(0)), ("long", Some(CONFIRM + 1))]
        {
            assert!(asked(ROOT, wish(why, confirm)).is_err(), "{why:?} {confirm:?}");
        }
        assert!(asked(ROOT, wish(&"x".repeat(WHY + 1), None)).is_err());
    }

    #[test]
    fn a_body_without_anything_means_the_configured_files() {
        let empty: Apply = serde_json::from_str("{}").unwrap();
        assert!(empty.files.policy.is_empty() && empty.wish.confirm.is_none());
        let empty: Compare = serde_json::from_str("{}").unwrap();
        assert_eq!((empty.from, empty.to), (None, Newer::Files));
        let numbers: Compare = serde_json::from_str(r#"{"from": 3, "to": {"number": 5}}"#).unwrap();
        assert_eq!((numbers.from, numbers.to), (Some(3), Newer::Number(5)));
    }
}
