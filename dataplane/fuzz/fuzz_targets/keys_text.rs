//! `keys.toml`: keys or findings, and no finding shows what stands in the file.
#![no_main]

use ravelin_config::diagnostic::Collector;
use ravelin_config::source::Source;
use ravelin_control::policy::keys;

libfuzzer_sys::fuzz_target!(|text: &str| {
    let notes = Collector::default();
    let keys = keys::read(&Source::from_secret("keys.toml", text), &notes);
    assert!(keys.is_some() || notes.has_errors());
    notes.finish().render(false);
});
