//! The layer of `tracing` that leaves records in the queues of all sinks.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ravelin_events::AUDIT;
use ravelin_events::catalogue::{FILTER_MATCH, LOG_SUPPRESSED};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use crate::limit::{Limit, Suppressed};
use crate::queue::Queue;
use crate::record::Record;

/// How often what was left out is looked for.
const LOOK: Duration = Duration::from_millis(500);
/// How long the end waits for all sinks together.
const FLUSH: Duration = Duration::from_secs(2);

/// All sinks. Whoever emits an event leaves it in their queues and goes on.
#[derive(Debug)]
pub struct Outlets(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    queues: Vec<Queue>,
    limit: Mutex<Limit>,
}

/// Waits for the sinks when it is dropped.
#[derive(Debug)]
pub struct Flushed(Arc<Inner>);

impl Outlets {
    pub(crate) fn start(queues: Vec<Queue>, rate: u32) -> std::io::Result<(Self, Flushed)> {
        let inner = Arc::new(Inner { queues, limit: Mutex::new(Limit::new(rate)) });
        let looked_at = Arc::downgrade(&inner);
        let life = move || {
            while let Some(inner) = looked_at.upgrade() {
                inner.tell(inner.limit(|limit| limit.over(Instant::now())));
                drop(inner);
                std::thread::sleep(LOOK);
            }
        };
        std::thread::Builder::new().name("log".to_owned()).spawn(life)?;
        Ok((Self(Arc::clone(&inner)), Flushed(inner)))
    }
}

impl Inner {
    fn limit<T>(&self, work: impl FnOnce(&mut Limit) -> T) -> T {
        work(&mut self.limit.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn put(&self, record: Record) {
        let record = Arc::new(record);
        self.queues.iter().for_each(|queue| queue.put(Arc::clone(&record)));
    }

    fn tell(&self, suppressed: impl IntoIterator<Item = Suppressed>) {
        for Suppressed { code, count } in suppressed {
            self.put(Record::told(&LOG_SUPPRESSED, &[("of", code.into()), ("suppressed", count.into())]));
        }
    }
}

impl<S: Subscriber> Layer<S> for Outlets {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut code = Code(String::new());
        event.record(&mut code);
        // Who used a key is never left out. Matches of filters the workers limit, rule by rule.
        if event.metadata().target() != AUDIT && code.0 != FILTER_MATCH.code {
            // Events without a code are counted by the place that they come from.
            let key = if code.0.is_empty() { event.metadata().name() } else { &code.0 };
            let (told, over) = self.0.limit(|limit| limit.admit(key, Instant::now()));
            self.0.tell(over);
            if !told {
                return;
            }
        }
        self.0.put(Record::of(event));
    }
}

impl Drop for Flushed {
    fn drop(&mut self) {
        self.0.tell(self.0.limit(Limit::all));
        let end = Instant::now() + FLUSH;
        self.0.queues.iter().for_each(|queue| queue.flush(end));
    }
}

/// Takes the code of an event and formats nothing else.
struct Code(String);

impl Visit for Code {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "code" {
            self.0.push_str(value);
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
}
