//! All statements that a policy may refer to, and how one is read.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};

use ravelin_config::similar::did_you_mean;

use super::grammar;
use super::tree::{NAME, Node};
use crate::report::Notes;

/// Statements by kind and name, the last of each name (row C10).
pub(crate) struct Book<'n> {
    by_name: HashMap<(String, &'n str), &'n Node>,
    pub(crate) notes: &'n Notes,
    /// Statements that are being resolved, against those that refer to themselves.
    busy: RefCell<HashSet<(String, usize)>>,
}

impl<'n> Book<'n> {
    /// Of all files, in the order in which the Policy Agent would read them.
    pub(crate) fn new(nodes: impl Iterator<Item = &'n Node>, notes: &'n Notes) -> Self {
        let mut by_name: HashMap<_, &Node> = HashMap::new();
        for node in nodes.filter(|node| node.block.is_some() && !node.first().is_empty()) {
            if let Some(before) = by_name.insert((node.keyword.to_lowercase(), node.first()), node) {
                let said = format!(
                    "the same name stands again in {} line {}, and the last one wins, as on z/OS",
                    node.place.source.name(),
                    node.line()
                );
                notes.approximated(&before.place, &before.shown(), said, "give each a name of its own");
            }
        }
        Self { by_name, notes, busy: RefCell::default() }
    }

    /// Whether `node` is the one that its name stands for.
    pub(crate) fn is_last(&self, node: &Node) -> bool {
        let last = self.by_name.get(&(node.keyword.to_lowercase(), node.first()));
        last.is_none_or(|last| std::ptr::eq(*last, node))
    }

    /// The statement of this kind and name; one that is missing is told.
    pub(crate) fn find(&self, kind: &str, reference: &Node) -> Option<&'n Node> {
        let name = reference.first();
        let found = self.by_name.get(&(kind.to_lowercase(), name));
        match found {
            Some(node) => {
                self.notes.exact(&reference.place, &reference.shown(), "");
                Some(node)
            }
            None => {
                let names = self.by_name.keys().filter(|(of, _)| of == &kind.to_lowercase());
                let remedy =
                    did_you_mean(name, names.map(|(_, name)| *name), "name a statement of these files");
                self.refused(reference, format!("there is no {kind} `{name}`"), &remedy);
                None
            }
        }
    }

    /// Reads a statement with a block: attributes that it does not have are told.
    pub(crate) fn open<'b>(&'b self, node: &'n Node) -> Body<'b, 'n> {
        let (notes, shown) = (self.notes, node.shown());
        notes.exact(&node.place, &shown, "");
        if node.first().len() > NAME {
            let remedy = "z/OS refuses it; choose a shorter name";
            notes.refused(&node.place, &shown, format!("the name is longer than {NAME}"), remedy);
        }
        let keys = grammar::keys(&node.keyword).unwrap_or_default();
        let body = Body { book: self, node };
        for attribute in body.all() {
            if !body.has(attribute) {
                let said = format!("{} has no such attribute", node.keyword);
                let remedy = did_you_mean(&attribute.keyword, keys.iter().copied(), "remove it, or mend it");
                // Its value may be a secret under a mistyped name.
                self.notes.refused(&attribute.place, &attribute.keyword, said, &remedy);
            }
        }
        body
    }

    /// Goes into a statement that may refer to others; `None` when it is being read already.
    pub(crate) fn enter<T>(&self, node: &Node, read: impl FnOnce() -> Option<T>) -> Option<T> {
        let start = node.place.span.as_ref().map_or(0, |span| span.start);
        let key = (node.place.source.name().to_owned(), start);
        if !self.busy.borrow_mut().insert(key.clone()) {
            self.refused(node, "it refers to itself", "list what is meant");
            return None;
        }
        let read = read();
        self.busy.borrow_mut().remove(&key);
        read
    }

    pub(crate) fn exact(&self, node: &Node, said: impl Into<String>) {
        self.notes.exact(&node.place, &node.shown(), said);
    }

    pub(crate) fn ignored(&self, node: &Node, said: impl Into<String>) {
        self.notes.ignored(&node.place, &node.shown(), said);
    }

    pub(crate) fn approximated(&self, node: &Node, said: impl Into<String>, remedy: &str) {
        self.notes.approximated(&node.place, &node.shown(), said, remedy);
    }

    pub(crate) fn refused(&self, node: &Node, said: impl Into<String>, remedy: &str) {
        self.notes.refused(&node.place, &node.shown(), said, remedy);
    }

    /// Tells of a value that the attribute cannot have.
    pub(crate) fn bad_value(&self, node: &Node, allowed: &str) {
        self.refused(node, "the value is not one that the attribute has", &format!("write {allowed}"));
    }
}

/// An attribute that may stand once.
#[derive(Clone, Copy)]
pub(crate) enum Once<'n> {
    Absent,
    One(&'n Node),
    /// Which was told.
    Several,
}

impl<'n> Once<'n> {
    /// The one.
    pub(crate) fn one(self) -> Option<&'n Node> {
        match self {
            Self::One(node) => Some(node),
            Self::Absent | Self::Several => None,
        }
    }
}

/// The attributes of one statement.
#[derive(Clone, Copy)]
pub(crate) struct Body<'b, 'n> {
    pub(crate) book: &'b Book<'n>,
    pub(crate) node: &'n Node,
}

impl<'n> Body<'_, 'n> {
    /// All attributes in order.
    pub(crate) fn all(&self) -> impl Iterator<Item = &'n Node> + use<'n> {
        self.node.block.iter().flatten()
    }

    /// Whether it is an attribute that the statement has.
    pub(crate) fn has(&self, attribute: &Node) -> bool {
        grammar::keys(&self.node.keyword).unwrap_or_default().iter().any(|key| attribute.is(key))
    }

    /// One that may stand once. A second one is refused: nobody can say which holds.
    pub(crate) fn once(&self, keys: &[&'static str]) -> Once<'n> {
        let found: Vec<&Node> = self.all().filter(|node| keys.iter().any(|key| node.is(key))).collect();
        let [first, others @ ..] = found.as_slice() else { return Once::Absent };
        for again in others {
            let said = format!("it stands beside line {}, and only one can hold", first.line());
            self.book.refused(again, said, "remove one of them");
        }
        if others.is_empty() { Once::One(first) } else { Once::Several }
    }

    /// Statements that stand inline under `key` or are referred to by `KEYRef`, in order.
    pub(crate) fn statements(&self, key: &'static str) -> Vec<&'n Node> {
        let reference = format!("{key}Ref");
        let resolved = |node: &'n Node| {
            if node.is(&reference) {
                self.book.find(key, node)
            } else if node.block.is_some() {
                Some(node)
            } else {
                self.book
                    .bad_value(node, &format!("its attributes between braces, or {reference} and a name"));
                None
            }
        };
        let meant = self.all().filter(|node| node.is(key) || node.is(&reference));
        meant.filter_map(resolved).collect()
    }

    /// As [`Self::statements`], for what stands at most once.
    pub(crate) fn statement(&self, key: &'static str) -> Option<&'n Node> {
        let found = self.statements(key);
        if let [_, again, ..] = found.as_slice() {
            self.book.refused(again, format!("{key} stands twice"), "remove one of them");
        }
        found.first().copied()
    }
}
