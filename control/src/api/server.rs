//! Requests of the operator, answered by the agent.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{ConnectInfo, State};
use axum::http::header::CONNECTION;
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use ravelin_config::diagnostic::Findings;
use ravelin_contract::name::Name;
use serde::{Deserialize, Serialize};

use super::door::Peer;
use super::limit::{Limits, TurnedAway};
use super::view::{InForce, Overview, Port, Problem, Rule, Sa};
use crate::agent::explain::ExplainError;
use crate::agent::{Agent, ApplyError};
use crate::attls::view::{Standing, Statistics};
use crate::ike::Question;
use crate::ike::view::{IkeSa, Told};
use crate::io::dataplane::LinkError;
use crate::policy::diff::{Diff, diff};
use crate::policy::explain::answer::Answer as Explanation;
use crate::policy::explain::keyed::Reason;
use crate::policy::explain::question::Question as Packet;
use crate::policy::files::Paths;
use crate::report::certificates::Certificates;
use crate::report::{gather, metrics};

/// Paths that a request names; those it does not name are the configured ones.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct PolicyFiles {
    /// Policy files, absolute.
    #[serde(default)]
    pub policy: Vec<PathBuf>,
    /// `keys.toml`, absolute.
    pub keys: Option<PathBuf>,
    /// `attls.toml`, absolute.
    pub attls: Option<PathBuf>,
    /// `expect.toml`, absolute.
    #[serde(default)]
    pub expect: Option<PathBuf>,
}

/// What both doors allow, and whom they turned away.
#[derive(Debug, Default)]
pub struct Doors {
    /// The operator's.
    pub operator: Arc<TurnedAway>,
    /// The scraper's.
    pub scraper: Arc<TurnedAway>,
}

impl Doors {
    /// An apply of a large policy takes its time, and who may come is known.
    pub const OPERATOR: Limits = Limits { connections: 64, lifetime: Duration::from_secs(300) };
    /// Anybody may come who reaches the address.
    pub const SCRAPER: Limits = Limits { connections: 16, lifetime: Duration::from_secs(30) };
}

/// The operator's door.
pub fn operator(agent: Arc<Agent>) -> Router {
    Router::new()
        .route("/v1/status", get(status))
        .route("/v1/ports", get(ports))
        .route("/v1/rules", get(rules))
        .route("/v1/sas", get(sas))
        .route("/v1/policy/apply", post(apply))
        .route("/v1/policy/diff", post(difference))
        .route("/v1/policy/test", post(test))
        .route("/v1/policy/why", post(why))
        .route("/v1/ike", get(ike_list))
        .route("/v1/ike/explain", post(ike_explain))
        .route("/v1/ike/up", post(ike_up))
        .route("/v1/ike/down", post(ike_down))
        .route("/v1/ike/rekey", post(ike_rekey))
        .route("/v1/attls", get(attls_standing))
        .route("/v1/attls/stats", get(attls_statistics))
        .route("/v1/filter/default", post(filter_default))
        .route("/v1/filter/reload", post(filter_reload))
        .layer(map_response(close))
        .with_state(agent)
}

/// What a scrape looks at.
type Watched = (Arc<Agent>, Arc<Doors>, Arc<Certificates>);

/// The scraper's door.
pub fn scraper(agent: Arc<Agent>, doors: Arc<Doors>, certificates: Arc<Certificates>) -> Router {
    Router::new().route("/metrics", get(scrape)).layer(map_response(close)).with_state((
        agent,
        doors,
        certificates,
    ))
}

/// One request a connection, so that its life has an end (see [`Limits`]).
async fn close(mut response: Response) -> Response {
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// A problem with its HTTP status.
#[derive(Debug)]
struct Failure(StatusCode, Problem);

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        (self.0, Json(self.1)).into_response()
    }
}

impl From<LinkError> for Failure {
    fn from(error: LinkError) -> Self {
        let status = match error {
            LinkError::Refused(_) => StatusCode::CONFLICT,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self(
            status,
            Problem { error: error.to_string(), findings: serde_json::json!([]), rendered: String::new() },
        )
    }
}

impl From<ApplyError> for Failure {
    fn from(error: ApplyError) -> Self {
        let text = error.to_string();
        match error {
            ApplyError::Link(link) => link.into(),
            ApplyError::Files(findings) => Self::files(text, &findings),
            ApplyError::Store { .. } | ApplyError::NotKept { .. } | ApplyError::Ended => {
                let problem =
                    Problem { error: text, findings: serde_json::json!([]), rendered: String::new() };
                Self(StatusCode::INTERNAL_SERVER_ERROR, problem)
            }
        }
    }
}

impl From<ExplainError> for Failure {
    fn from(error: ExplainError) -> Self {
        let refused = |status, error: String| {
            Self(status, Problem { error, findings: serde_json::json!([]), rendered: String::new() })
        };
        match error {
            ExplainError::Link(link) => link.into(),
            ExplainError::Question(mistake) => refused(StatusCode::UNPROCESSABLE_ENTITY, mistake.to_string()),
            ExplainError::Unsettled => refused(StatusCode::CONFLICT, error.to_string()),
        }
    }
}

impl Failure {
    fn files(error: String, findings: &Findings) -> Self {
        let problem =
            Problem { error, findings: serde_json::json!(findings), rendered: findings.render(false) };
        Self(StatusCode::UNPROCESSABLE_ENTITY, problem)
    }
}

type Answer<T> = Result<Json<T>, Failure>;

async fn status(State(agent): State<Arc<Agent>>) -> Answer<Overview> {
    let status = gather::status(&agent.dataplane).await?;
    Ok(Json(Overview::new(status, agent.fingerprint().await)))
}

async fn ports(State(agent): State<Arc<Agent>>) -> Answer<Vec<Port>> {
    let interfaces = gather::interfaces(&agent.dataplane).await?;
    let ports = gather::ports(&agent.dataplane).await?;
    Ok(Json(ports.into_iter().map(|port| Port::new(port, &interfaces)).collect()))
}

async fn rules(State(agent): State<Arc<Agent>>) -> Answer<Vec<Rule>> {
    Ok(Json(gather::rules(&agent.dataplane).await?.into_iter().map(Rule::from).collect()))
}

async fn sas(State(agent): State<Arc<Agent>>) -> Answer<Vec<Sa>> {
    Ok(Json(gather::sas(&agent.dataplane).await?.into_iter().map(Sa::from).collect()))
}

/// The files of a request. Findings quote what they speak of, so only who could read any file anyway may name one.
fn named(agent: &Agent, peer: Peer, request: PolicyFiles) -> Result<Paths, Failure> {
    let others = [&request.keys, &request.attls, &request.expect];
    let names = !request.policy.is_empty() || others.iter().any(|path| path.is_some());
    if !peer.may_name_files && names {
        let error = "only root may name policy files; leave them out to use the configured ones".to_owned();
        let problem = Problem { error, findings: serde_json::json!([]), rendered: String::new() };
        return Err(Failure(StatusCode::FORBIDDEN, problem));
    }
    Ok(Paths {
        policy: if request.policy.is_empty() { agent.files.policy.clone() } else { request.policy },
        keys: request.keys.unwrap_or_else(|| agent.files.keys.clone()),
        attls: request.attls.unwrap_or_else(|| agent.files.attls.clone()),
        expect: request.expect.unwrap_or_else(|| agent.files.expect.clone()),
    })
}

async fn apply(
    State(agent): State<Arc<Agent>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Json(request): Json<PolicyFiles>,
) -> Answer<InForce> {
    let done = agent.apply(&named(&agent, peer, request)?).await?;
    let warnings = done.warnings.iter().map(ToString::to_string).collect();
    let (generation, took_us) = (done.generation, done.took_us);
    Ok(Json(InForce { generation, took_us, fingerprint: Some(done.fingerprint), warnings }))
}

async fn difference(
    State(agent): State<Arc<Agent>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Json(request): Json<PolicyFiles>,
) -> Answer<Diff> {
    let candidate = agent
        .compile(&named(&agent, peer, request)?)
        .await
        .map_err(|findings| Failure::files("the policy has errors".to_owned(), &findings))?;
    let current = agent.snapshot().await.unwrap_or_default();
    Ok(Json(diff(&current, &candidate.snapshot)))
}

async fn test(State(agent): State<Arc<Agent>>, Json(packet): Json<Packet>) -> Answer<Explanation> {
    Ok(Json(agent.explain(&packet).await?))
}

async fn why(State(agent): State<Arc<Agent>>, Json(packet): Json<Packet>) -> Answer<Reason> {
    Ok(Json(agent.reason(&packet).await?))
}

async fn filter_default(State(agent): State<Arc<Agent>>) -> Answer<InForce> {
    let (generation, took_us) = agent.use_default_filters().await?;
    Ok(Json(InForce { generation, took_us, fingerprint: None, warnings: vec![] }))
}

async fn filter_reload(State(agent): State<Arc<Agent>>) -> Answer<InForce> {
    let (generation, took_us) = agent.use_policy().await?;
    Ok(Json(InForce { generation, took_us, fingerprint: None, warnings: vec![] }))
}

/// Whom a request is about.
#[derive(Debug, Serialize, Deserialize)]
pub struct PeerName {
    /// The `[[peer]]`.
    pub peer: Name,
}

async fn ike_list(State(agent): State<Arc<Agent>>) -> Answer<Vec<IkeSa>> {
    ask_ike(&agent, Question::List).await
}

/// Whom an explanation is asked of.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Whom {
    /// The `[[peer]]` or an address; everybody without it.
    pub whom: Option<String>,
}

async fn ike_explain(State(agent): State<Arc<Agent>>, Json(Whom { whom }): Json<Whom>) -> Answer<Vec<Told>> {
    Ok(Json(agent.ike.journal().explain(whom.as_deref())))
}

async fn ike_up(
    State(agent): State<Arc<Agent>>,
    Json(PeerName { peer }): Json<PeerName>,
) -> Answer<Vec<IkeSa>> {
    ask_ike(&agent, Question::Up(peer)).await
}

async fn ike_down(
    State(agent): State<Arc<Agent>>,
    Json(PeerName { peer }): Json<PeerName>,
) -> Answer<Vec<IkeSa>> {
    ask_ike(&agent, Question::Down(peer)).await
}

async fn ike_rekey(
    State(agent): State<Arc<Agent>>,
    Json(PeerName { peer }): Json<PeerName>,
) -> Answer<Vec<IkeSa>> {
    ask_ike(&agent, Question::Rekey(peer)).await
}

async fn attls_standing(State(agent): State<Arc<Agent>>) -> Answer<Standing> {
    let problem = |error| {
        let problem = Problem { error, findings: serde_json::json!([]), rendered: String::new() };
        Failure(StatusCode::CONFLICT, problem)
    };
    agent.attls.ask().await.map(Json).map_err(problem)
}

async fn attls_statistics(State(agent): State<Arc<Agent>>) -> Answer<Statistics> {
    Ok(Json(agent.attls.ledger().statistics()))
}

async fn ask_ike(agent: &Agent, question: Question) -> Answer<Vec<IkeSa>> {
    let problem = |error| {
        let problem = Problem { error, findings: serde_json::json!([]), rendered: String::new() };
        Failure(StatusCode::CONFLICT, problem)
    };
    agent.ike.ask(question).await.map(Json).map_err(problem)
}

async fn scrape(State((agent, doors, certificates)): State<Watched>) -> Response {
    let (applied, failed) = agent.counts();
    let dataplane = gather::everything(&agent.dataplane).await.ok();
    let told = |away: &TurnedAway| (away.full(), away.slow());
    let (operator, scraper) = (told(&doors.operator), told(&doors.scraper));
    let expiries = certificates.look_now().await;
    let ike = agent.ike.journal().report();
    let (tunnels, tls) = (agent.tunnels().await, agent.attls.ledger().report());
    let scrape =
        metrics::Scrape { dataplane, applied, failed, operator, scraper, expiries, ike, tunnels, tls };
    match scrape.encode() {
        Ok(text) => ([("content-type", "text/plain; version=0.0.4")], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use ravelin_rings::store::Rings;

    use super::*;
    use crate::io::dataplane::Dataplane;
    use crate::policy::management::Site;

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
            Path::new("/nonexistent"),
            (crate::ike::door().unwrap().0, crate::attls::door(&Rings::at("/nonexistent")).0),
        );
        let naming = || PolicyFiles { policy: vec!["/etc/shadow".into()], ..PolicyFiles::default() };
        let (root, guest) = (Peer { may_name_files: true }, Peer { may_name_files: false });
        assert_eq!(named(&agent, guest, naming()).unwrap_err().0, StatusCode::FORBIDDEN);
        assert_eq!(named(&agent, root, naming()).unwrap().policy, [Path::new("/etc/shadow")]);
        assert_eq!(named(&agent, guest, PolicyFiles::default()).unwrap(), configured);
    }
}
