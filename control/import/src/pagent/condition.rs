//! What rules of both kinds match by: addresses, ports and times.

use ravelin_config::address::{self, AddressError, Written};

use super::book::{Body, Book, Once};
use super::tree::Node;
use crate::write::Value;

/// Addresses or ports of a rule. `None` in the place of one is what could not be read, which was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Set {
    /// Whatever it is.
    All,
    /// One of these, as our files write them.
    Some(Vec<String>),
}

impl Set {
    fn of(mut list: Vec<String>) -> Self {
        let mut seen = std::collections::HashSet::new();
        list.retain(|text| seen.insert(text.clone()));
        Self::Some(list)
    }

    /// For our files; nothing to write for all.
    pub(crate) fn addresses(&self) -> Option<Value> {
        match self {
            Self::All => None,
            Self::Some(list) => Some(Value::texts(list.clone())),
        }
    }

    /// As [`Self::addresses`], but numbers as such.
    pub(crate) fn ports(&self) -> Option<Value> {
        let Self::Some(list) = self else { return None };
        let port = |text: &String| text.parse().map_or_else(|_| Value::text(text.clone()), Value::Number);
        Some(Value::one_or_more(list.iter().map(port).collect()))
    }
}

/// The keywords of one end of a rule.
pub(crate) struct AddressKeys {
    /// An address in the line itself, such as `LocalAddr`.
    pub(crate) plain: &'static [&'static str],
    /// Names of an `IpAddr`, an `IpAddrSet` and an `IpAddrGroup`.
    pub(crate) references: [&'static str; 3],
}

/// The addresses of one end.
pub(crate) fn addresses(body: &Body<'_, '_>, keys: &AddressKeys) -> Option<Set> {
    let [addr, set, group] = keys.references;
    let node = match body.once(&[keys.plain, &[addr, set, group]].concat()) {
        Once::Absent => return Some(Set::All),
        Once::One(node) => node,
        Once::Several => return None,
    };
    let book = body.book;
    if keys.plain.iter().any(|key| node.is(key)) {
        return match node.block {
            Some(_) => in_set(book, node).map(merged),
            None => one_address(book, node),
        };
    }
    let kinds = [(addr, "IpAddr"), (set, "IpAddrSet"), (group, "IpAddrGroup")];
    let (_, kind) = kinds.into_iter().find(|(key, _)| node.is(key))?;
    let list = match kind {
        "IpAddr" => in_addr(book, book.find(kind, node)?),
        "IpAddrSet" => in_set(book, book.find(kind, node)?),
        _ => in_group(book, book.find(kind, node)?),
    };
    list.map(merged)
}

fn merged(sets: Vec<Set>) -> Set {
    let mut list = Vec::new();
    for set in sets {
        match set {
            Set::All => return Set::All,
            Set::Some(texts) => list.extend(texts),
        }
    }
    Set::of(list)
}

fn in_addr(book: &Book<'_>, node: &Node) -> Option<Vec<Set>> {
    nonempty(book, node, &["Addr"])
}

fn in_set(book: &Book<'_>, node: &Node) -> Option<Vec<Set>> {
    nonempty(book, node, &["Prefix", "Range"])
}

/// The addresses of a statement that has nothing else. All are read, so that every mistake is told.
fn nonempty(book: &Book<'_>, node: &Node, keys: &[&str]) -> Option<Vec<Set>> {
    tell_unknown(book, node, keys);
    let lines = node.block.iter().flatten().filter(|line| keys.iter().any(|key| line.is(key)));
    let read: Vec<_> = lines.map(|line| one_address(book, line)).collect();
    if read.is_empty() {
        book.refused(node, "it has no address", &format!("add a line with {}", keys[0]));
        return None;
    }
    read.into_iter().collect()
}

fn tell_unknown(book: &Book<'_>, node: &Node, keys: &[&str]) {
    book.notes.exact(&node.place, &node.shown(), "");
    for line in node.block.iter().flatten().filter(|line| !keys.iter().any(|key| line.is(key))) {
        book.refused(line, format!("{} has no such attribute", node.keyword), "remove it, or mend it");
    }
}

fn in_group<'n>(book: &Book<'n>, node: &'n Node) -> Option<Vec<Set>> {
    book.enter(node, || {
        let body = book.open(node);
        let addresses = body.statements("IpAddr").into_iter().map(|node| in_addr(book, node));
        let sets = body.statements("IpAddrSet").into_iter().map(|node| in_set(book, node));
        let read: Vec<_> = addresses.chain(sets).collect();
        let written = body.all().count();
        // A part that was not found, which was told, would leave the group narrower than it is.
        if read.len() != written || read.is_empty() {
            book.refused(node, "a part of it is missing", "name what it lists");
            return None;
        }
        let read: Option<Vec<_>> = read.into_iter().collect();
        read.map(|lists| lists.into_iter().flatten().collect())
    })
}

/// An address, a prefix, a range, or `All`.
pub(crate) fn one_address(book: &Book<'_>, node: &Node) -> Option<Set> {
    let text = node.first();
    let set = match text.to_ascii_lowercase().as_str() {
        "all" => Set::All,
        "all4" => Set::Some(vec!["any4".to_owned()]),
        "all6" => Set::Some(vec!["any6".to_owned()]),
        "0.0.0.0" | "::" | "::0" => {
            book.refused(node, "this address is nobody's", "write All4, All6 or the address that is meant");
            return None;
        }
        _ => match address::parse(text) {
            Ok(Written::Range(range)) | Err(AddressError::HostBits(range)) => {
                Set::Some(vec![range.to_string()])
            }
            Ok(Written::Any) | Err(_) => {
                let allowed =
                    "an address, a prefix such as 10.1.0.0/16, a range such as 10.1.0.1-10.1.0.9, or All";
                book.bad_value(node, allowed);
                return None;
            }
        },
    };
    book.exact(node, "");
    Some(set)
}

/// The keywords of the ports of one end.
pub(crate) struct PortKeys {
    /// Ports in the line itself.
    pub(crate) plain: &'static str,
    /// Name of a `PortRange`.
    pub(crate) range: &'static str,
    /// Name of a `PortGroup`.
    pub(crate) group: &'static str,
}

/// The ports of one end.
pub(crate) fn ports(body: &Body<'_, '_>, keys: &PortKeys) -> Option<Set> {
    let node = match body.once(&[keys.plain, keys.range, keys.group]) {
        Once::Absent => return Some(Set::All),
        Once::One(node) => node,
        Once::Several => return None,
    };
    let book = body.book;
    if node.is(keys.plain) {
        return one_range(book, node);
    }
    let kind = if node.is(keys.range) { "PortRange" } else { "PortGroup" };
    let named = book.find(kind, node)?;
    let read = if kind == "PortRange" { in_range(book, named) } else { in_port_group(book, named) };
    read.map(merged)
}

fn in_range(book: &Book<'_>, node: &Node) -> Option<Vec<Set>> {
    tell_unknown(book, node, &["Port"]);
    let lines = node.block.iter().flatten().filter(|line| line.is("Port"));
    let read: Vec<_> = lines.map(|line| one_range(book, line)).collect();
    if read.is_empty() {
        book.refused(node, "it has no port", "add a line such as: Port 992");
        return None;
    }
    read.into_iter().collect()
}

fn in_port_group<'n>(book: &Book<'n>, node: &'n Node) -> Option<Vec<Set>> {
    book.enter(node, || {
        let body = book.open(node);
        let read: Vec<_> =
            body.statements("PortRange").into_iter().map(|node| in_range(book, node)).collect();
        if read.len() != body.all().count() || read.is_empty() {
            book.refused(node, "a part of it is missing", "name what it lists");
            return None;
        }
        let read: Option<Vec<_>> = read.into_iter().collect();
        read.map(|lists| lists.into_iter().flatten().collect())
    })
}

/// `992`, `8000-8099`, `8000:8099`, `8000 8099`, or `All`.
pub(crate) fn one_range(book: &Book<'_>, node: &Node) -> Option<Set> {
    if node.first().eq_ignore_ascii_case("all") {
        book.exact(node, "");
        return Some(Set::All);
    }
    let number = |text: &str| text.parse::<u16>().ok().filter(|port| *port > 0);
    let ends = match (node.first().split_once(['-', ':']), node.words.get(1).and_then(|word| number(word))) {
        (Some((first, last)), _) => number(first).zip(number(last)),
        (None, Some(last)) => number(node.first()).map(|first| (first, last)),
        // Text beyond the value means nothing (row C9).
        (None, None) => number(node.first()).map(|port| (port, port)),
    };
    let Some((first, last)) = ends.filter(|(first, last)| first <= last) else {
        book.bad_value(node, "a port from 1 to 65535, a range such as 8000-8099, or All");
        return None;
    };
    book.exact(node, "");
    let text = if first == last { first.to_string() } else { format!("{first}-{last}") };
    Some(Set::Some(vec![text]))
}

/// Whether a time condition, if there is one, holds at all times. One that does not is refused: rules of ours have no times.
pub(crate) fn always(body: &Body<'_, '_>) -> Option<()> {
    let Some(node) = body.statement("IpTimeCondition") else { return Some(()) };
    let book = body.book;
    let condition = book.open(node);
    let mut always = true;
    for line in condition.all() {
        let all = |mask: char| line.rest.chars().all(|c| c == mask) && !line.rest.is_empty();
        let held = match line.keyword.to_ascii_lowercase().as_str() {
            "timezone" => true,
            "conditiontimerange" => line.first().eq_ignore_ascii_case("all") || line.rest.is_empty(),
            "monthofyearmask" | "dayofweekmask" | "dayofmonthmask" => all('1'),
            "timeofdayrange" => matches!(line.first(), "0-24" | "0:00-24:00" | "00:00-24:00"),
            _ => false,
        };
        if held {
            book.exact(line, "it holds at all times");
        } else {
            let remedy = "split the policy, and have `ravelin policy apply` run at those times";
            book.refused(line, "rules of ours hold at all times", remedy);
            always = false;
        }
    }
    always.then_some(())
}
