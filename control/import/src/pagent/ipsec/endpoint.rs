//! Security endpoints: who somebody is in IKE, and where.

use ravelin_config::address::{self, Written};
use ravelin_contract::address::AddressRange;

use crate::pagent::book::Body;
use crate::pagent::condition::{self, AddressKeys, Set};
use crate::pagent::tree::Node;

const LOCATION: AddressKeys =
    AddressKeys { plain: &["Location"], references: ["LocationRef", "LocationSetRef", "LocationGroupRef"] };

/// One end of key exchange.
pub(super) struct Endpoint<'n> {
    pub(super) node: &'n Node,
    /// Where; `None` where it could not be read.
    pub(super) location: Option<Set>,
    /// Who; `None` where nothing is said.
    pub(super) identity: Option<String>,
    /// Authorities that its certificate may come from.
    pub(super) authorities: Vec<String>,
}

/// Reads one.
pub(super) fn read<'n>(body: &Body<'_, 'n>, remote: bool) -> Endpoint<'n> {
    let labels = body.all().filter(|node| node.is("CaLabel"));
    let authorities = labels.map(|node| {
        body.book.exact(node, "trust");
        node.rest.trim_matches(['"', '\'']).to_owned()
    });
    Endpoint {
        node: body.node,
        location: condition::addresses(body, &LOCATION),
        identity: identity(body, remote),
        authorities: authorities.collect(),
    }
}

/// `Identity TYPE VALUE` in our words. Of a peer it may be a pattern.
pub(super) fn identity(body: &Body<'_, '_>, pattern: bool) -> Option<String> {
    let node = body.once(&["Identity"]).one()?;
    let value = node.rest.split_once(char::is_whitespace).map_or("", |(_, value)| value.trim());
    let value = value.trim_matches(['"', '\'']);
    let plain = !value.is_empty() && value.bytes().all(|octet| octet.is_ascii_graphic());
    let star = |text: &str| pattern && text.starts_with('*') && text.matches('*').count() == 1;
    let named = |text: &str| plain && (!text.contains('*') || star(text));
    let identity = match node.first().to_ascii_lowercase().as_str() {
        "ipaddr" => address_of(value, pattern),
        "fqdn" if !value.contains('@') => named(value).then(|| value.to_owned()),
        "useratfqdn" | "useratdomain" => (named(value) && value.contains('@')).then(|| value.to_owned()),
        "x500dn" => {
            value.contains('=').then(|| value.split(',').map(str::trim).collect::<Vec<_>>().join(","))
        }
        "keyid" => {
            let hexadecimal = value.len().is_multiple_of(2) && value.chars().all(|c| c.is_ascii_hexdigit());
            (plain && hexadecimal).then(|| format!("keyid:{}", value.to_lowercase()))
        }
        _ => None,
    };
    match identity {
        Some(_) => body.book.exact(node, ""),
        None => {
            let allowed = "IpAddr, Fqdn, UserAtFqdn, X500dn or KeyID, with a value of this kind";
            body.book.bad_value(node, allowed);
        }
    }
    identity
}

fn address_of(value: &str, pattern: bool) -> Option<String> {
    match address::parse(value) {
        Ok(Written::Range(range)) if range.first() == range.last() => Some(range.first().to_string()),
        Ok(Written::Range(range)) if pattern && range.to_string().contains('/') => Some(range.to_string()),
        _ => None,
    }
}

/// Ranges of a set; all is none.
pub(super) fn ranges(set: &Set) -> Option<Vec<AddressRange>> {
    let Set::Some(list) = set else { return None };
    let range = |text: &String| match address::parse(text) {
        Ok(Written::Range(range)) => Some(range),
        _ => None,
    };
    Some(list.iter().filter_map(range).collect())
}

/// Whether every address of `inner` is one of `outer`.
pub(super) fn within(inner: Option<&Set>, outer: Option<&Set>) -> bool {
    let (Some(inner), Some(outer)) = (inner, outer) else { return false };
    match (ranges(inner), ranges(outer)) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(inner), Some(outer)) => {
            let held = |one: &AddressRange| {
                outer.iter().any(|out| out.contains(one.first()) && out.contains(one.last()))
            };
            !inner.is_empty() && inner.iter().all(held)
        }
    }
}
