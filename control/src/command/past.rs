//! `ravelin policy` about policies that were applied: history, show, rollback, and the word that one may stay.

use std::io::Write;
use std::time::Duration;

use hyper::Method;

use super::cert::describe::date;
use super::show::print_in_force;
use super::table::{print, print_json};
use super::{Failure, Session};
use crate::api::client::ask;
use crate::api::kept::{Confirmed, Kept, Numbered, Past, Rollback, Standing, Wish};
use crate::api::view::InForce;

/// `()` as the body of a request without one.
const NO_BODY: Option<&()> = None;
/// Digits of a fingerprint that tell policies apart for people.
const SHORT: usize = 12;

#[derive(Debug, clap::Args)]
pub(crate) struct WishArguments {
    /// Why, for `ravelin policy history`.
    #[arg(long, short = 'm', value_name = "TEXT")]
    why: Option<String>,
    /// Take it back unless `ravelin policy confirm` comes within this time, such as 120s or 5m.
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    confirm: Option<u64>,
}

impl WishArguments {
    pub(crate) fn wish(&self, reload: bool) -> Wish {
        Wish { why: self.why.clone(), confirm: self.confirm, reload }
    }
}

/// `120`, `120s`, `5m`, `2h`.
fn seconds(text: &str) -> Result<u64, String> {
    let (number, unit) = match text.char_indices().next_back() {
        Some((at, 's')) => (&text[..at], 1),
        Some((at, 'm')) => (&text[..at], 60),
        Some((at, 'h')) => (&text[..at], 3600),
        _ => (text, 1),
    };
    let number: u64 = number.parse().map_err(|_| "write 120s, 5m or 2h".to_owned())?;
    number.checked_mul(unit).ok_or_else(|| "that is too long".to_owned())
}

/// What people should know of a policy that was put in force, beside the table.
pub(crate) fn tell(session: &Session, done: &InForce, confirm: Option<u64>) -> Result<(), Failure> {
    let mut told = std::io::stderr();
    done.warnings.iter().try_for_each(|warning| writeln!(told, "{warning}"))?;
    if let (Some(within), false) = (confirm, session.json) {
        let within = Duration::from_secs(within);
        writeln!(told, "it is taken back in {within:?} unless you say `ravelin policy confirm`")?;
    }
    Ok(())
}

pub(crate) async fn confirm(session: &Session) -> Result<(), Failure> {
    let done: Confirmed = ask(&session.socket()?, Method::POST, "/v1/policy/confirm", Some(&())).await?;
    print(session, &done, ["CONFIRMED"], [[done.number.to_string()]])
}

pub(crate) async fn rollback(
    session: &Session,
    number: Option<u64>,
    wish: &WishArguments,
) -> Result<(), Failure> {
    let request = Rollback { number, wish: wish.wish(false) };
    let done: InForce = ask(&session.socket()?, Method::POST, "/v1/policy/rollback", Some(&request)).await?;
    tell(session, &done, request.wish.confirm)?;
    print_in_force(session, &done)
}

pub(crate) async fn history(session: &Session) -> Result<(), Failure> {
    let socket = session.socket()?;
    let past: Vec<Past> = ask(&socket, Method::GET, "/v1/policy/history", NO_BODY).await?;
    let rows = past.iter().map(|policy| {
        let state = match (policy.applied, policy.follows) {
            (_, false) => "record broken",
            (true, true) => "applied",
            (false, true) => "-",
        };
        [
            policy.number.to_string(),
            date(policy.time),
            who(policy),
            policy.cause.to_string(),
            policy.fingerprint.chars().take(SHORT).collect(),
            state.to_owned(),
            policy.why.clone().unwrap_or_else(|| "-".to_owned()),
        ]
    });
    print(session, &past, ["NUMBER", "TIME (UTC)", "WHO", "HOW", "FINGERPRINT", "STATE", "WHY"], rows)
}

fn who(policy: &Past) -> String {
    match (&policy.user, policy.uid) {
        (Some(user), _) => user.clone(),
        (None, Some(uid)) => format!("uid {uid}"),
        (None, None) => "control".to_owned(),
    }
}

pub(crate) async fn status(session: &Session) -> Result<(), Failure> {
    let standing: Standing = ask(&session.socket()?, Method::GET, "/v1/policy/status", NO_BODY).await?;
    let mut rows =
        standing.applied.as_ref().map_or_else(|| vec![["policy".to_owned(), "none".to_owned()]], described);
    let files = if standing.files_differ { "say something else" } else { "as applied" };
    rows.push(["configured files".to_owned(), files.to_owned()]);
    if let Some(waiting) = &standing.waiting {
        let back_to = waiting.back_to.map_or("the default filters".to_owned(), |to| format!("policy {to}"));
        let left = format!("within {} s, else {back_to} comes back", waiting.seconds_left);
        rows.push(["to be confirmed".to_owned(), left]);
    }
    print(session, &standing, ["FIELD", "VALUE"], rows)
}

fn described(policy: &Past) -> Vec<[String; 2]> {
    vec![
        ["policy".to_owned(), policy.number.to_string()],
        ["time (UTC)".to_owned(), date(policy.time)],
        ["who".to_owned(), who(policy)],
        ["how".to_owned(), policy.cause.to_string()],
        ["why".to_owned(), policy.why.clone().unwrap_or_else(|| "-".to_owned())],
        ["fingerprint".to_owned(), policy.fingerprint.clone()],
    ]
}

pub(crate) async fn show(session: &Session, number: u64) -> Result<(), Failure> {
    let request = Numbered { number };
    let kept: Kept = ask(&session.socket()?, Method::POST, "/v1/policy/kept", Some(&request)).await?;
    if session.json {
        return Ok(print_json(&kept)?);
    }
    print(session, &kept, ["FIELD", "VALUE"], described(&kept.past))?;
    let mut out = std::io::stdout().lock();
    for file in &kept.files {
        writeln!(out, "\n# {}", file.name)?;
        match &file.text {
            Some(text) => write!(out, "{text}")?,
            None => writeln!(out, "# not shown")?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::seconds;

    #[test]
    fn times_are_written_as_people_write_them() {
        let read = ["120", "120s", "5m", "2h"].map(|text| seconds(text).unwrap());
        assert_eq!(read, [120, 120, 300, 7200]);
        for wrong in ["", "s", "5 m", "-1s", "1d", "99999999999999999h"] {
            assert!(seconds(wrong).is_err(), "{wrong:?}");
        }
    }
}
