//! The text of `stunnel.conf`: options, and services in brackets.

use ravelin_config::diagnostic::Collector;
use ravelin_config::source::{Place, Source};

/// `key = value`.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) value: String,
    pub(super) place: Place,
}

impl Entry {
    /// As it is written.
    pub(super) fn shown(&self) -> String {
        format!("{} = {}", self.key, self.value)
    }
}

/// `[name]` and what stands below.
#[derive(Debug)]
pub(super) struct Service {
    pub(super) name: String,
    pub(super) place: Place,
    pub(super) options: Vec<Entry>,
}

/// The file.
#[derive(Debug, Default)]
pub(super) struct File {
    pub(super) global: Vec<Entry>,
    pub(super) services: Vec<Service>,
}

/// Reads a file; `None` when a line is neither, or a service stands twice.
pub(super) fn parse(source: &Source, errors: &Collector) -> Option<File> {
    let mut file = File::default();
    let mut begin = 0;
    for line in source.text().split_inclusive('\n') {
        let text = line.trim();
        let at = begin + (line.len() - line.trim_start().len());
        begin += line.len();
        let place = source.place(at..at + text.len());
        if text.is_empty() || text.starts_with([';', '#']) {
            continue;
        }
        if let Some(name) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            if file.services.iter().any(|service| service.name == name.trim()) {
                errors.error(place, format!("service `{name}` stands twice"), "give each a name of its own");
                return None;
            }
            file.services.push(Service { name: name.trim().to_owned(), place, options: Vec::new() });
            continue;
        }
        let split =
            text.split_once('=').filter(|(key, _)| !key.trim().is_empty() && !key.trim().contains(' '));
        let Some((key, value)) = split else {
            let remedy = "write key = value or [service]; put what other files have into this one";
            errors.error(place, "neither an option nor a service", remedy);
            return None;
        };
        let option = Entry { key: key.trim().to_owned(), value: value.trim().to_owned(), place };
        file.services.last_mut().map_or(&mut file.global, |service| &mut service.options).push(option);
    }
    if file.services.is_empty() {
        errors.error(source.whole(), "there is no service", "name a file with [service] in it");
        return None;
    }
    Some(file)
}
