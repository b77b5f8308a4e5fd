//! Requests of the operator, answered by the agent.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::header::CONNECTION;
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use ravelin_config::diagnostic::Findings;
use ravelin_contract::name::Name;
use serde::{Deserialize, Serialize};

use super::limit::{Limits, TurnedAway};
use super::policy;
use super::view::{InForce, Overview, Port, Problem, Rule, Sa};
use crate::agent::explain::ExplainError;
use crate::agent::{Agent, ApplyError};
use crate::attls::view::{Standing, Statistics};
use crate::ike::Question;
use crate::ike::view::{IkeSa, Told};
use crate::io::dataplane::LinkError;
use crate::report::certificates::Certificates;
use crate::report::{gather, metrics};

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
        .merge(policy::routes())
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
pub(super) struct Failure(StatusCode, Problem);

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
        Self::refused(status, error.to_string())
    }
}

impl From<ApplyError> for Failure {
    fn from(error: ApplyError) -> Self {
        let text = error.to_string();
        match error {
            ApplyError::Link(link) => link.into(),
            ApplyError::Files(findings) => Self::files(text, &findings),
            ApplyError::Waiting { .. }
            | ApplyError::NothingToConfirm
            | ApplyError::TooLate(_)
            | ApplyError::NoneBefore => Self::refused(StatusCode::CONFLICT, text),
            ApplyError::NoSuch(_) => Self::refused(StatusCode::NOT_FOUND, text),
            ApplyError::Store { .. }
            | ApplyError::NotKept { .. }
            | ApplyError::History { .. }
            | ApplyError::Ended => Self::refused(StatusCode::INTERNAL_SERVER_ERROR, text),
        }
    }
}

impl From<ExplainError> for Failure {
    fn from(error: ExplainError) -> Self {
        match error {
            ExplainError::Link(link) => link.into(),
            ExplainError::Question(mistake) => {
                Self::refused(StatusCode::UNPROCESSABLE_ENTITY, mistake.to_string())
            }
            ExplainError::Unsettled => Self::refused(StatusCode::CONFLICT, error.to_string()),
        }
    }
}

impl Failure {
    /// In one sentence.
    pub(super) fn refused(status: StatusCode, error: impl Into<String>) -> Self {
        let problem =
            Problem { error: error.into(), findings: serde_json::json!([]), rendered: String::new() };
        Self(status, problem)
    }

    /// Files are wrong.
    pub(super) fn files(error: String, findings: &Findings) -> Self {
        let problem =
            Problem { error, findings: serde_json::json!(findings), rendered: findings.render(false) };
        Self(StatusCode::UNPROCESSABLE_ENTITY, problem)
    }

    /// Its HTTP status.
    #[cfg(test)]
    pub(super) fn status(&self) -> StatusCode {
        self.0
    }
}

/// What a request gets.
pub(super) type Answer<T> = Result<Json<T>, Failure>;

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

async fn filter_default(State(agent): State<Arc<Agent>>) -> Answer<InForce> {
    let (generation, took_us) = agent.use_default_filters().await?;
    Ok(Json(InForce::switched(generation, took_us)))
}

async fn filter_reload(State(agent): State<Arc<Agent>>) -> Answer<InForce> {
    let (generation, took_us) = agent.use_policy().await?;
    Ok(Json(InForce::switched(generation, took_us)))
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
    let problem = |error: String| Failure::refused(StatusCode::CONFLICT, error);
    agent.attls.ask().await.map(Json).map_err(problem)
}

async fn attls_statistics(State(agent): State<Arc<Agent>>) -> Answer<Statistics> {
    Ok(Json(agent.attls.ledger().statistics()))
}

async fn ask_ike(agent: &Agent, question: Question) -> Answer<Vec<IkeSa>> {
    let problem = |error: String| Failure::refused(StatusCode::CONFLICT, error);
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
