//! For tests: hears what is told on this thread, and holds it against the catalogue.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use ravelin_events::catalogue::find;
use serde_json::Value;
use tracing::subscriber::DefaultGuard;
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt};

use crate::record::Record;

/// Everything that this thread, or the whole program, tells while it lives.
#[derive(Debug)]
pub struct Heard {
    records: Records,
    _guard: Option<DefaultGuard>,
}

#[derive(Debug, Clone, Default)]
struct Records(Arc<Mutex<Vec<Record>>>);

impl<S: Subscriber> Layer<S> for Records {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Record::of(event));
    }
}

impl Heard {
    /// From now on.
    pub fn begin() -> Self {
        let records = Records::default();
        let subscriber = tracing_subscriber::registry().with(records.clone());
        Self { records, _guard: Some(tracing::subscriber::set_default(subscriber)) }
    }

    /// What all threads of this program tell, from the first call on. Tests beside this one are heard, too.
    pub fn everywhere() -> &'static Self {
        static ALL: OnceLock<Heard> = OnceLock::new();
        ALL.get_or_init(|| {
            let records = Records::default();
            let subscriber = tracing_subscriber::registry().with(records.clone());
            tracing::subscriber::set_global_default(subscriber).expect("nobody else listens in a test");
            Self { records, _guard: None }
        })
    }

    /// Waits for one of this code that is meant.
    pub fn wait(&self, code: &str, is_meant: impl Fn(&Record) -> bool) -> Record {
        for _ in 0..600 {
            if let Some(found) = self.all(code).into_iter().find(|record| is_meant(record)) {
                return found;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("no {code} in {:#?}", self.records);
    }

    /// All of this code so far. Each is what the catalogue says: severity, sentence, and no field that is not listed.
    pub fn all(&self, code: &str) -> Vec<Record> {
        let records = self.records.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found: Vec<_> =
            records.iter().filter(|record| record.code.as_deref() == Some(code)).cloned().collect();
        for record in &found {
            let entry = find(code).unwrap_or_else(|| panic!("{code} is not in the catalogue"));
            assert_eq!((record.severity, record.message.as_str()), (entry.severity, entry.says), "{code}");
            let stray = record.fields.iter().find(|(name, _)| !entry.fields.contains(name));
            assert_eq!(stray, None, "{code} does not list it");
        }
        found
    }

    /// The only one of this code.
    pub fn one(&self, code: &str) -> Record {
        let found = self.all(code);
        assert_eq!(found.len(), 1, "{code} among {:#?}", self.records);
        found[0].clone()
    }
}

impl Record {
    /// A field as text; empty where it is absent.
    pub fn text(&self, field: &str) -> String {
        let found = self.fields.iter().find(|(name, _)| *name == field);
        found.map_or(String::new(), |(_, value)| match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        })
    }
}
