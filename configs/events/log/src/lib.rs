//! Where events go: standard error, journald (native protocol), syslog (RFC 5424); all bounded, counted, and never in the way.
//!
//! A [`Layer`](tracing_subscriber::Layer) takes each event, asks the [`limit`] of its code, makes one [`record`] of it with control
//! characters escaped, and leaves that in the queue of every [`sink`]. A thread of its own empties each queue, so whoever emits never
//! waits for a sink. What a sink does not take is counted, and told when it takes something again (`RVL-LOG-LOST`); what comes too
//! often is counted, and told a second later (`RVL-LOG-SUPPRESSED`).

pub mod heard;
mod journald;
mod layer;
mod limit;
mod queue;
pub mod record;
mod sink;
mod stderr;
mod syslog;

use ravelin_config::appliance::log::{Log, Sink};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;

pub use layer::{Flushed, Outlets};
use queue::Queue;
use ravelin_events::AUDIT;
pub use stderr::last_word;

/// Begins to log as the appliance file says; `RUST_LOG` overrides its level. What is given back is to be kept until the end: dropping
/// it waits for what is under way, two seconds at most.
///
/// # Errors
/// A thread cannot be had, or somebody began before.
pub fn start(settings: &Log, process: &'static str) -> std::io::Result<Flushed> {
    let filter =
        EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(settings.level.level().as_str()));
    // Who used a key is told at every level.
    let audit = format!("{AUDIT}=info").parse().map_err(std::io::Error::other)?;
    let filter = filter.add_directive(audit);
    let (outlets, flushed) = open(settings, process)?;
    let subscriber = tracing_subscriber::registry().with(filter).with(outlets);
    tracing::subscriber::set_global_default(subscriber).map_err(std::io::Error::other)?;
    Ok(flushed)
}

/// The layer alone, and what waits for its sinks.
///
/// # Errors
/// A thread cannot be had.
pub fn open(settings: &Log, process: &'static str) -> std::io::Result<(Outlets, Flushed)> {
    let open = |sink: &Sink| match sink {
        Sink::Stderr => Queue::start("stderr", stderr::Stderr::new(settings.json)),
        Sink::Journald => Queue::start("journald", journald::Journald::new(&settings.journal, process)),
        Sink::Syslog => {
            Queue::start("syslog", syslog::Syslog::new(&settings.syslog, settings.facility, process))
        }
    };
    let queues = settings.sinks.iter().map(open).collect::<std::io::Result<Vec<_>>>()?;
    Outlets::start(queues, settings.rate)
}
