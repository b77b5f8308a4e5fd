//! Attributes of group, environment and connection together: the innermost that says something decides.

use std::collections::BTreeMap;

use crate::pagent::book::{Body, Book};
use crate::pagent::tree::Node;

/// Statements whose attributes count as if they stood in the action itself.
const PARTS: [&str; 10] = [
    "TTLSGroupAdvancedParms",
    "TTLSKeyringParms",
    "TTLSCipherParms",
    "TTLSSignatureParms",
    "TTLSEnvironmentAdvancedParms",
    "TTLSConnectionAdvancedParms",
    "TTLSGskAdvancedParms",
    "TTLSGskLdapParms",
    "TTLSGskOcspParms",
    "TTLSGskHttpCdpParms",
];

/// Attributes by keyword in lower case; several where a level lists several.
pub(super) struct Effective<'n> {
    held: BTreeMap<String, Vec<&'n Node>>,
}

impl<'n> Effective<'n> {
    /// Of actions, the outermost first.
    pub(super) fn of(actions: impl Iterator<Item = &'n Node>, book: &Book<'n>) -> Self {
        let mut held: BTreeMap<String, Vec<&Node>> = BTreeMap::new();
        for action in actions {
            let mut level = BTreeMap::new();
            gather(book, action, &mut level);
            for (key, nodes) in level {
                let inner = nodes.first().map_or(0, |node: &&Node| node.line());
                for outer in held.insert(key, nodes).into_iter().flatten() {
                    book.ignored(
                        outer,
                        format!("line {inner} says otherwise, and is nearer to the connection"),
                    );
                }
            }
        }
        Self { held }
    }

    /// The attribute; of several in one statement the last, as on z/OS.
    pub(super) fn last(&mut self, key: &str, book: &Book<'n>) -> Option<&'n Node> {
        let mut nodes = self.every(key);
        let last = nodes.pop()?;
        for earlier in nodes {
            book.ignored(earlier, format!("line {} says it again, and the last one holds", last.line()));
        }
        Some(last)
    }

    /// All with this keyword, which are then done with.
    pub(super) fn every(&mut self, key: &str) -> Vec<&'n Node> {
        self.held.remove(&key.to_lowercase()).unwrap_or_default()
    }

    /// Whether any of these says something.
    pub(super) fn has(&self, keys: &[&str]) -> bool {
        keys.iter().any(|key| self.held.contains_key(&key.to_lowercase()))
    }

    /// What nobody asked for.
    pub(super) fn rest(self) -> impl Iterator<Item = &'n Node> {
        self.held.into_values().flatten()
    }
}

fn gather<'n>(book: &Book<'n>, node: &'n Node, level: &mut BTreeMap<String, Vec<&'n Node>>) {
    let body: Body<'_, 'n> = book.open(node);
    for attribute in body.all() {
        let part = PARTS.iter().any(|part| {
            let shorter = attribute.keyword.to_lowercase();
            shorter.strip_suffix("ref").unwrap_or(&shorter) == part.to_lowercase()
        });
        if !part {
            // Lists of suites stand under two keywords and are one list.
            let key = attribute.keyword.to_lowercase();
            let key = if key == "v3ciphersuites4char" { "v3ciphersuites".to_owned() } else { key };
            level.entry(key).or_default().push(attribute);
        }
    }
    for part in PARTS {
        for statement in body.statements(part) {
            let read = book.enter(statement, || {
                gather(book, statement, level);
                Some(())
            });
            let _ = read;
        }
    }
}
