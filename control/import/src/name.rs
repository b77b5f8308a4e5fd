//! Names and places as our files write them.

use ravelin_config::source::Place;

/// File and line.
pub(crate) fn at(place: &Place) -> String {
    let line = place.span.as_ref().map_or(1, |span| place.source.position(span.start).line);
    format!("{}:{line}", place.source.name())
}

/// A name as ours may be: other characters become dots.
pub(crate) fn ours(name: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || "._-@/:".contains(c);
    let text: String = name.chars().map(|c| if fits(c) { c } else { '.' }).take(48).collect();
    if text.is_empty() { "rule".to_owned() } else { text }
}
