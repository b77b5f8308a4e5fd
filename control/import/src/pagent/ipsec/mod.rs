//! IP filters, VPN actions and key exchange as `ipsec.toml`.

mod action;
mod algorithm;
mod endpoint;
mod filter;
mod offer;
mod peer;
mod service;

use std::collections::BTreeSet;

use super::book::{Body, Book};
use super::tree::Node;
use crate::write::{Page, Value};
use action::Verb;
use filter::Filter;
use peer::Exchange;

/// A setting of ours.
pub(super) type Setting = (&'static str, Value);

/// `ipsec.toml`; `None` when there is no filter policy.
pub(super) fn convert<'n>(nodes: &[&'n Node], book: &Book<'n>) -> Option<String> {
    let last = |kind: &str| nodes.iter().rfind(|node| node.is(kind)).copied();
    let Some(policy) = last("IpFilterPolicy") else {
        if let Some(stray) = last("IpFilterRule") {
            let said = "there is no IpFilterPolicy, so no filter is in force";
            book.refused(stray, said, "import the file that has it");
        }
        return None;
    };
    for before in nodes.iter().filter(|node| node.is("IpFilterPolicy") && !std::ptr::eq(**node, policy)) {
        book.ignored(
            before,
            format!("line {} of {} takes its place", policy.line(), policy.place.source.name()),
        );
    }
    let exchange = Exchange::new(last("KeyExchangePolicy"), last("LocalDynVpnPolicy"), book);
    let body = book.open(policy);
    let settings = policy_settings(&body);
    let on_demand = switch(&body, "AllowOnDemand").unwrap_or(false);
    let mut taken = BTreeSet::new();
    let mut filters: Vec<Filter<'n>> = Vec::new();
    for node in rules(&body) {
        if filters.iter().any(|filter| std::ptr::eq(filter.node, node)) {
            book.ignored(node, "it stands in the policy before, too");
            continue;
        }
        let name = super::unused(&filter::our_name(node), &mut taken);
        filters.push(match node.is("IpFilterRule") {
            true => filter::read(node, name, book, &exchange, on_demand),
            false => filter::missing(node, name),
        });
    }
    Some(write(&settings, &filters, &exchange))
}

/// All rules in order, those of groups where the group is named. In the place of one that is not found stands what names it: it
/// may have denied.
fn rules<'n>(body: &Body<'_, 'n>) -> Vec<&'n Node> {
    let book = body.book;
    let mut found = Vec::new();
    for node in body.all() {
        let group = match node.keyword.to_ascii_lowercase().as_str() {
            "ipfilterrule" => {
                found.push(node);
                continue;
            }
            "ipfilterruleref" => {
                found.push(book.find("IpFilterRule", node).unwrap_or(node));
                continue;
            }
            "ipfiltergroup" => Some(node),
            "ipfiltergroupref" => book.find("IpFilterGroup", node),
            // What is no attribute of the statement may be a rule, mistyped.
            _ if body.has(node) => continue,
            _ => None,
        };
        let within = group.and_then(|group| book.enter(group, || Some(rules(&book.open(group)))));
        found.extend(within.unwrap_or_else(|| vec![node]));
    }
    found
}

/// `[filter]`.
fn policy_settings(body: &Body<'_, '_>) -> Vec<Setting> {
    let mut settings = Vec::new();
    for (key, ours) in
        [("PreDecap", "pre_decap"), ("FilterLogging", "log"), ("FilterLogImplicit", "log_implicit")]
    {
        settings.extend(switch(body, key).map(|on| (ours, Value::Flag(on))));
    }
    if let Some(node) = body.once(&["ImplicitDiscardAction"]).one() {
        match node.first().to_ascii_lowercase().as_str() {
            "silent" => body.book.exact(node, ""),
            "icmp" => {
                body.book.exact(node, "implicit_discard");
                settings.push(("implicit_discard", Value::text("icmp")));
            }
            _ => body.book.bad_value(node, "Silent or ICMP"),
        }
    }
    fips(body);
    settings
}

/// Approved algorithms are those that a policy names; the library is not validated.
fn fips(body: &Body<'_, '_>) {
    let Some(node) = body.once(&["FIPS140"]).one() else { return };
    if super::attls::switch(node, body.book) == Some(true) {
        let said = "that the library is a validated module is not said; no weak algorithm is known here";
        body.book.approximated(node, said, "");
    }
}

/// `Yes` or `No`, `On` or `Off`.
fn switch(body: &Body<'_, '_>, key: &'static str) -> Option<bool> {
    let node = body.once(&[key]).one()?;
    super::attls::switch(node, body.book)
}

fn write(settings: &[Setting], filters: &[Filter<'_>], exchange: &Exchange<'_, '_>) -> String {
    let mut page = Page::default();
    page.comment("Made by `ravelin import pagent`. Read its report before you put it in force.");
    if !settings.is_empty() {
        page.gap();
        page.head("[filter]");
        page.keys(settings);
    }
    let mut peers = BTreeSet::new();
    let mut tunnels = Page::default();
    for filter in filters {
        page.gap();
        write_filter(filter, &mut page);
        if let (Verb::Ipsec(tunnel), false) = (&filter.verb, filter.refused) {
            peers.extend(tunnel.peer.clone());
            tunnels.gap();
            tunnels.head("[[tunnel]]");
            tunnels.key("name", &Value::text(tunnel.name.clone()));
            tunnels.keys(&tunnel.settings);
            if !tunnel.manual.is_empty() {
                tunnels.head("[tunnel.manual]");
                tunnels.keys(&tunnel.manual);
            }
        }
    }
    for peer in exchange.peers().filter(|peer| peers.contains(&peer.name)) {
        page.gap();
        page.comment(&peer.origin);
        page.head("[[peer]]");
        page.key("name", &Value::text(peer.name.clone()));
        page.keys(&peer.settings);
    }
    let tunnels = tunnels.into_text();
    if tunnels.is_empty() { page.into_text() } else { page.into_text() + "\n" + &tunnels }
}

fn write_filter(filter: &Filter<'_>, page: &mut Page) {
    page.comment(&format!("{}, {}", filter.node.shown(), super::at(&filter.node.place)));
    if filter.refused && matches!(filter.verb, Verb::Permit) {
        page.comment("Left out, because a part of it cannot be said here: what it let pass is left to the rules behind it.");
        return;
    }
    if filter.refused {
        page.comment(
            "A part of it cannot be said here, so that all that it may be for is denied: see the report.",
        );
    }
    let parts = filter.parts();
    for (part, number) in parts.iter().zip(1..) {
        if number > 1 {
            page.gap();
        }
        let wanted = if parts.len() > 1 { format!("{}.{number}", filter.name) } else { filter.name.clone() };
        page.head("[[rule]]");
        page.key("name", &Value::text(wanted));
        page.keys(part);
        page.keys(&filter.verdict());
    }
}
