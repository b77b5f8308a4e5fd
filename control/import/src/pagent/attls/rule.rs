//! One `TTLSRule`: which connections, in which direction, and what its actions say.

use super::{Actions, Setting, settings};
use crate::pagent::Options;
use crate::pagent::book::{Body, Book, Once};
use crate::pagent::condition::{self, AddressKeys, PortKeys, Set};
use crate::pagent::tree::Node;
use crate::write::Value;

const LOCAL: AddressKeys = AddressKeys {
    plain: &["LocalAddr"],
    references: ["LocalAddrRef", "LocalAddrSetRef", "LocalAddrGroupRef"],
};
const REMOTE: AddressKeys = AddressKeys {
    plain: &["RemoteAddr"],
    references: ["RemoteAddrRef", "RemoteAddrSetRef", "RemoteAddrGroupRef"],
};
const LOCAL_PORT: PortKeys =
    PortKeys { plain: "LocalPortRange", range: "LocalPortRangeRef", group: "LocalPortGroupRef" };
const REMOTE_PORT: PortKeys =
    PortKeys { plain: "RemotePortRange", range: "RemotePortRangeRef", group: "RemotePortGroupRef" };
/// Highest priority (row A25).
const PRIORITY: u32 = 2_000_000_000;

/// Who opens the connections of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::pagent) enum Side {
    /// The remote end.
    Inbound,
    /// The local end.
    Outbound,
}

/// A rule in one direction.
pub(super) struct Rule<'n> {
    pub(super) node: &'n Node,
    pub(super) name: String,
    pub(super) our_name: String,
    pub(super) priority: u32,
    pub(super) side: Side,
    /// Something of it cannot be said.
    pub(super) refused: bool,
    /// Its connections pass in clear.
    pub(super) passes: bool,
    /// How TLS is spoken, and the actions that say so; `None` where it is not.
    pub(super) settings: Option<(Vec<Setting>, Actions<'n>)>,
    /// Addresses and ports of both ends, `None` where they could not be read.
    ends: Ends,
}

#[derive(Clone)]
struct Ends {
    local: Option<Set>,
    remote: Option<Set>,
    local_port: Option<Set>,
    remote_port: Option<Set>,
}

/// The rule, once for each direction that it is for.
pub(super) fn read<'n>(node: &'n Node, book: &Book<'n>, options: &Options) -> Vec<Rule<'n>> {
    let before = book.notes.refusals();
    let body = book.open(node);
    let ends = Ends {
        local: condition::addresses(&body, &LOCAL),
        remote: condition::addresses(&body, &REMOTE),
        local_port: condition::ports(&body, &LOCAL_PORT),
        remote_port: condition::ports(&body, &REMOTE_PORT),
    };
    // What cannot be read was told, and is counted as a refusal.
    let _ = condition::always(&body);
    let priority = priority(&body);
    let sides = sides(&body);
    let actions = actions(&body);
    let clear = actions.is_some_and(|actions| actions.are_off());
    who(&body, clear, options);
    let spoiled = book.notes.refusals() > before;
    let one = |side: Side| {
        let before = book.notes.refusals();
        let read = actions.map(|actions| settings::read(&actions, side, node, book));
        let refused = spoiled || read.is_none() || book.notes.refusals() > before;
        let (passes, settings) = match (read, actions) {
            (Some(settings::Read::Off), _) => (true, None),
            (Some(settings::Read::On(settings)), Some(actions)) => (false, Some((settings, actions))),
            _ => (false, None),
        };
        // A refused rule needs no settings but its own refusal.
        let settings = settings.filter(|_| !refused);
        let suffix = if sides.len() > 1 { side.suffix() } else { "" };
        let name = format!("{}{suffix}", node.first());
        let ends = ends.clone();
        Rule { node, name, our_name: String::new(), priority, side, refused, passes, settings, ends }
    };
    sides.iter().map(|side| one(*side)).collect()
}

impl Rule<'_> {
    /// Conditions as we write them. Where one could not be read it is left out, which only a rule that refuses may do.
    pub(super) fn conditions(&self) -> Vec<Setting> {
        let Ends { local, remote, local_port, remote_port } = &self.ends;
        let (client, server, client_port, server_port) = match self.side {
            Side::Inbound => (remote, local, remote_port, local_port),
            Side::Outbound => (local, remote, local_port, remote_port),
        };
        let addresses = |set: &Option<Set>| set.as_ref().and_then(Set::addresses);
        let ports = |set: &Option<Set>| set.as_ref().and_then(Set::ports);
        let all = [
            ("client", addresses(client)),
            ("client_port", ports(client_port)),
            ("server", addresses(server)),
            ("server_port", ports(server_port)),
        ];
        let mut written: Vec<_> = all.into_iter().filter_map(|(key, value)| Some((key, value?))).collect();
        if written.is_empty() {
            // One condition must stand in each rule of ours; this one holds for all connections.
            written.push(("server_port", Value::text("0-65535")));
        }
        written
    }
}

/// A gateway sees no jobs and no users. What passes in clear for one of them never passes for all.
fn who(body: &Body<'_, '_>, clear: bool, options: &Options) {
    for node in ["Jobname", "Userid"].into_iter().filter_map(|key| body.once(&[key]).one()) {
        if node.first() == "*" {
            body.book.exact(node, "");
        } else if options.any_job && !clear {
            let said = "left out: you said that nobody else uses these addresses and ports";
            body.book.approximated(node, said, "");
        } else {
            let remedy =
                "where nobody else uses these addresses and ports, import with --any-job; else narrow them";
            body.book.refused(node, "a gateway does not see whose connection it is", remedy);
        }
    }
}

fn priority(body: &Body<'_, '_>) -> u32 {
    let node = match body.once(&["Priority"]) {
        Once::Absent => return 1,
        Once::One(node) => node,
        Once::Several => return PRIORITY,
    };
    match node.first().parse() {
        Ok(priority @ 1..=PRIORITY) => {
            body.book.exact(node, "");
            priority
        }
        _ => {
            body.book.bad_value(node, &format!("a number from 1 to {PRIORITY}"));
            // Nothing comes before a rule that refuses what it might be for.
            PRIORITY
        }
    }
}

/// Both where it cannot be read: such a rule refuses.
fn sides(body: &Body<'_, '_>) -> Vec<Side> {
    let both = vec![Side::Inbound, Side::Outbound];
    let node = match body.once(&["Direction"]) {
        Once::One(node) => node,
        Once::Several => return both,
        Once::Absent => {
            let remedy = "add Direction Inbound, Outbound or Both";
            body.book.refused(body.node, "it has no Direction", remedy);
            return both;
        }
    };
    let sides = match node.first().to_ascii_lowercase().as_str() {
        "inbound" => vec![Side::Inbound],
        "outbound" => vec![Side::Outbound],
        "both" => {
            body.book.exact(node, "two rules, one for each direction");
            return both;
        }
        _ => {
            body.book.bad_value(node, "Inbound, Outbound or Both");
            return both;
        }
    };
    body.book.exact(node, "");
    sides
}

fn actions<'n>(body: &Body<'_, 'n>) -> Option<Actions<'n>> {
    let group = body.statement("TTLSGroupAction");
    let environment = body.statement("TTLSEnvironmentAction");
    let connection = body.statement("TTLSConnectionAction");
    if group.is_none() {
        let remedy = "add a TTLSGroupActionRef; z/OS refuses a rule without";
        body.book.refused(body.node, "it names no TTLSGroupAction", remedy);
    }
    Some(Actions { group: group?, environment, connection })
}
