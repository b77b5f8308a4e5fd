//! What became of connections: counts for the metrics, and failures for people.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ravelin_contract::name::Name;
use ravelin_contract::tls::Ending;
use ravelin_events::tell;
use ravelin_tls::{Facts, Failure, Reason};

use super::turn::unix;
use super::view::{Agreed, RuleStatistics, Statistics, Told};

/// Bounds of the buckets for durations of handshakes, in milliseconds.
pub const BOUNDS: [u64; 12] = [1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 5000, 30_000];
/// Most failures that are remembered.
const KEPT: usize = 256;

/// What every handshake is counted by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kind {
    /// The rule.
    pub rule: Name,
    /// `done`, or why not.
    pub result: String,
    /// Protocol version, where one was agreed on.
    pub version: &'static str,
    /// Cipher suite, where one was agreed on.
    pub suite: &'static str,
    /// Whether an earlier session was taken up again.
    pub resumed: bool,
}

/// Counts of one rule.
#[derive(Debug, Clone, Default)]
pub struct Counts {
    /// Handshakes that run.
    pub handshaking: u64,
    /// Connections whose handshake is done.
    pub running: u64,
    /// Handshakes that are done, by their duration; one more than [`BOUNDS`].
    pub durations: [u64; BOUNDS.len() + 1],
    /// Their sum.
    pub took: Duration,
    /// Octets of applications that went out in records, and that came in by them.
    pub octets: [u64; 2],
    /// Ends of connections whose handshake was done, by how.
    pub endings: BTreeMap<String, u64>,
}

/// Everything that is counted.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Handshakes that came to an end.
    pub handshakes: BTreeMap<Kind, u64>,
    /// By rule.
    pub rules: BTreeMap<Name, Counts>,
}

/// It is read without the driver, which may be busy.
#[derive(Debug, Default)]
pub struct Ledger(Mutex<Pages>);

#[derive(Debug, Default)]
struct Pages {
    report: Report,
    told: VecDeque<Told>,
}

/// A connection as reports name it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Which<'a> {
    pub(super) rule: &'a Name,
    pub(super) client: SocketAddr,
    pub(super) server: SocketAddr,
}

impl Ledger {
    /// Counts since the start of the process.
    pub fn report(&self) -> Report {
        self.pages().report.clone()
    }

    /// Failures that are remembered, the oldest first.
    pub fn failures(&self) -> Vec<Told> {
        self.pages().told.iter().cloned().collect()
    }

    /// Both, for people.
    pub fn statistics(&self) -> Statistics {
        let pages = self.pages();
        let Report { handshakes, rules } = &pages.report;
        let mut found: BTreeMap<&Name, RuleStatistics> = BTreeMap::new();
        for (rule, counts) in rules {
            let Counts { handshaking, running, octets, .. } = counts;
            let (handshaking, secure, octets) = (*handshaking, *running, *octets);
            let rule_name = rule.to_string();
            let one = RuleStatistics { rule: rule_name, handshaking, secure, octets, ..Default::default() };
            found.insert(rule, one);
        }
        for (kind, count) in handshakes {
            let one = found.entry(&kind.rule).or_default();
            one.rule = kind.rule.to_string();
            match kind.result.as_str() {
                "done" => one.done += count,
                _ => one.failed += count,
            }
            one.resumed += if kind.resumed { *count } else { 0 };
        }
        let rules = found.into_values().collect();
        Statistics { rules, failures: pages.told.iter().cloned().collect() }
    }

    /// A handshake begins.
    pub(super) fn begun(&self, rule: &Name) {
        self.pages().rule(rule).handshaking += 1;
    }

    /// It is done.
    pub(super) fn done(&self, which: Which<'_>, facts: &Facts, agreed: &Agreed, took: Duration) {
        let (version, suite) = (facts.suite.version().name(), facts.suite.name());
        let mut pages = self.pages();
        let counts = pages.rule(which.rule);
        counts.handshaking = counts.handshaking.saturating_sub(1);
        counts.running += 1;
        let bucket = BOUNDS.iter().position(|bound| took <= Duration::from_millis(*bound));
        counts.durations[bucket.unwrap_or(BOUNDS.len())] += 1;
        counts.took += took;
        let (rule, resumed) = (which.rule.clone(), facts.resumed);
        pages.count(Kind { rule, result: "done".to_owned(), version, suite, resumed });
        let (client, server) = (which.client, which.server);
        let Agreed { key_exchange, alpn, peer, identity, .. } = agreed;
        let (group, alpn, identity) = (key_exchange.as_deref(), alpn.as_deref(), identity.as_deref());
        let (rule, took_ms) = (which.rule, took.as_millis() as u64);
        tell!(
            TLS_START,
            %rule,
            %client,
            %server,
            version,
            suite,
            group,
            alpn,
            resumed,
            peer,
            identity,
            took_ms
        );
    }

    /// It has failed; or it never began.
    pub(super) fn failed(&self, which: Which<'_>, failure: &Failure, begun: bool) {
        self.gone(which, failure.reason.code(), number(&failure.reason), &failure.to_string(), begun);
    }

    /// A connection came to nothing, for a reason that is no failure of the handshake itself.
    pub(super) fn refused(&self, which: Which<'_>, result: &str, why: &str, begun: bool) {
        self.gone(which, result, None, why, begun);
    }

    fn gone(&self, which: Which<'_>, result: &str, number: Option<u16>, why: &str, begun: bool) {
        let Which { rule, client, server } = which;
        let mut pages = self.pages();
        let counts = pages.rule(rule);
        if begun {
            counts.handshaking = counts.handshaking.saturating_sub(1);
        }
        let (version, suite) = ("", "");
        pages.count(Kind { rule: rule.clone(), result: result.to_owned(), version, suite, resumed: false });
        pages.tell(Told {
            time: unix(),
            result: result.to_owned(),
            number,
            rule: rule.to_string(),
            client: client.to_string(),
            server: server.to_string(),
            text: why.to_owned(),
        });
    }

    /// A connection that was secure is over.
    pub(super) fn ended(
        &self,
        which: Which<'_>,
        agreed: &Agreed,
        age: Duration,
        ending: &Ending,
        octets: [u64; 2],
    ) {
        let Which { rule, client, server } = which;
        let mut pages = self.pages();
        let counts = pages.rule(rule);
        counts.running = counts.running.saturating_sub(1);
        *counts.endings.entry(ending_name(ending).to_owned()).or_default() += 1;
        for (sum, more) in counts.octets.iter_mut().zip(octets) {
            *sum += more;
        }
        let [out, into] = octets;
        let Agreed { version, suite, resumed, peer, identity, .. } = agreed;
        let (identity, lived_ms) = (identity.as_deref(), age.as_millis() as u64);
        tell!(
            TLS_END,
            %rule,
            %client,
            %server,
            version,
            suite,
            resumed,
            peer,
            identity,
            lived_ms,
            octets_out = out,
            octets_in = into,
            ?ending
        );
    }

    /// A thread that panicked while it held them left nothing half done that matters here.
    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pages {
    fn rule(&mut self, rule: &Name) -> &mut Counts {
        self.report.rules.entry(rule.clone()).or_default()
    }

    fn count(&mut self, kind: Kind) {
        *self.report.handshakes.entry(kind).or_default() += 1;
    }

    fn tell(&mut self, told: Told) {
        let Told { result, number: return_code, rule, client, server, text: why, .. } = &told;
        tell!(TLS_ERROR, rule, client, server, result, return_code, why);
        if self.told.len() == KEPT {
            self.told.pop_front();
        }
        self.told.push_back(told);
    }
}

/// Return codes that runbooks know from z/OS (row A77).
fn number(reason: &Reason) -> Option<u16> {
    match reason {
        Reason::NoCertificate => Some(5001),
        Reason::Certificate { code: "not-mapped", .. } => Some(5002),
        Reason::NotTls(_) => Some(5003),
        Reason::Silent(_) => Some(5004),
        _ => None,
    }
}

/// A stable word for an ending.
pub(super) fn ending_name(ending: &Ending) -> &'static str {
    match ending {
        Ending::Closed => "closed",
        Ending::Reset => "reset",
        Ending::Ordered => "ordered",
        Ending::TimedOut => "timed-out",
        Ending::Alert(_) => "alert",
        Ending::Failed(_) => "failed",
    }
}
