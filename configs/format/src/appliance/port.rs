//! `[[port]]`: an interface, or one VLAN of it.

use std::collections::{HashMap, HashSet};

use ravelin_contract::limits;
use ravelin_contract::name::Name;
use ravelin_events::catalogue::{CHECK_CLEAR, FILE_MISSING, FILE_RANGE, FILE_TWICE};

use crate::document::Table;
use crate::value::Value;

/// One network interface that the workers serve: all untagged traffic of a physical one, or a VLAN of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// Name in the kernel, 1 to 15 octets. The kernel's addresses, routes and neighbours of it are the port's.
    pub interface: String,
    /// Where it comes by with a tag; `None` for untagged traffic.
    pub vlan: Option<Vlan>,
    /// Zone, for rules; the interface's name when none is written.
    pub zone: Name,
    /// Whether it faces the side that is protected (RFC 4301 3.1).
    pub protected: bool,
}

/// One VLAN of a physical interface (IEEE 802.1Q).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Vlan {
    /// Name of the physical interface in the kernel.
    pub parent: String,
    /// VLAN number, 1 to 4094.
    pub number: u16,
}

impl Port {
    /// The physical interface that it comes by.
    pub fn trunk(&self) -> &str {
        self.vlan.as_ref().map_or(&self.interface, |vlan| &vlan.parent)
    }
}

const KEYS: &[&str] = &["interface", "parent", "vlan", "zone", "side"];

/// The physical interfaces of these ports, each once, in order.
pub(super) fn trunks(ports: &[Port]) -> Vec<&str> {
    let mut trunks = Vec::new();
    for port in ports {
        if !trunks.contains(&port.trunk()) {
            trunks.push(port.trunk());
        }
    }
    trunks
}

/// What earlier ports have taken.
#[derive(Default)]
struct Taken {
    interfaces: HashSet<String>,
    /// With the interface that has it.
    vlans: HashMap<Vlan, String>,
}

/// All ports of the file.
pub(super) fn read_all(file: &Table<'_>) -> Vec<Port> {
    let tables = file.tables("port", "a port", KEYS);
    if file.get("port").is_none() {
        let remedy = "add [[port]] with interface = \"eth0\" and side = \"unprotected\"";
        file.error(FILE_MISSING.of("the file has no port"), remedy);
    }
    let mut taken = Taken::default();
    let ports: Vec<_> = tables.iter().filter_map(|table| read(table, &mut taken)).collect();
    if ports.len() > limits::PORTS {
        file.error(
            FILE_RANGE.of(format!("{} ports are too many", ports.len())),
            format!("use at most {}", limits::PORTS),
        );
    }
    refuse_stacked(&tables, &taken);
    let notes = file.context().notes;
    if !notes.has_errors() && ports.iter().all(|port| port.protected) {
        let remedy = "write side = \"unprotected\" at the port that faces the other network";
        notes.warning(
            file.context().source.whole(),
            CHECK_CLEAR.of("no port is unprotected, so no traffic is protected"),
            remedy,
        );
    }
    ports
}

/// A VLAN within a VLAN would need two tags.
fn refuse_stacked(tables: &[Table<'_>], taken: &Taken) {
    for parent in tables.iter().filter_map(|table| table.get("parent")) {
        if taken.vlans.values().any(|interface| parent.as_text() == Some(interface)) {
            parent.error("`parent` is itself a VLAN", "name the physical interface; one tag is understood");
        }
    }
}

fn read(table: &Table<'_>, taken: &mut Taken) -> Option<Port> {
    let interface =
        table.need("interface", "interface = \"eth0\"").and_then(|value| read_interface(&value, taken));
    let protected = table
        .need("side", "side = \"protected\", or \"unprotected\"")
        .and_then(|value| value.choice(&[("protected", true), ("unprotected", false)]));
    let zone = table.get("zone").map(|value| value.name());
    let interface = interface?;
    let vlan = read_vlan(table, &interface, taken);
    let zone = match zone {
        Some(zone) => zone?,
        None => default_zone(table, &interface)?,
    };
    Some(Port { vlan: vlan?, interface, zone, protected: protected? })
}

fn default_zone(table: &Table<'_>, interface: &str) -> Option<Name> {
    let name = Name::new(interface).ok();
    if name.is_none() {
        table.error("the interface's name cannot be a zone's name", "add a line such as: zone = \"wan\"");
    }
    name
}

fn read_interface(value: &Value<'_>, taken: &mut Taken) -> Option<String> {
    let name = interface_name(value)?;
    if !taken.interfaces.insert(name.clone()) {
        value.error(
            FILE_TWICE.of(format!("interface {name} stands twice")),
            "give each interface one [[port]]",
        );
        return None;
    }
    Some(name)
}

/// A name as the kernel allows it.
pub(super) fn interface_name(value: &Value<'_>) -> Option<String> {
    let text = value.text()?;
    let bad = |c: char| c == '/' || c == ':' || c.is_whitespace() || c.is_control();
    if text.is_empty() || text.len() > 15 || matches!(text, "." | "..") || text.contains(bad) {
        value.error(
            format!("{text:?} is not an interface's name"),
            "use 1 to 15 characters without space, / and :, as `ip link` shows it",
        );
        return None;
    }
    Some(text.to_owned())
}

/// The outer `None` is a mistake.
#[expect(clippy::option_option, reason = "a mistake and no VLAN are two things")]
fn read_vlan(table: &Table<'_>, interface: &str, taken: &mut Taken) -> Option<Option<Vlan>> {
    let (parent, number) = match (table.get("parent"), table.get("vlan")) {
        (None, None) => return Some(None),
        (Some(parent), Some(number)) => (parent, number),
        (None, Some(vlan)) => {
            vlan.error(
                FILE_MISSING.of("`vlan` without `parent`"),
                "add the physical interface, such as: parent = \"wan0\"",
            );
            return None;
        }
        (Some(parent), None) => {
            parent.error(
                FILE_MISSING.of("`parent` without `vlan`"),
                "add the number of the VLAN, such as: vlan = 100",
            );
            return None;
        }
    };
    let name = interface_name(&parent);
    let number = number.number(1..=4094)? as u16;
    let vlan = Vlan { parent: name?, number };
    if vlan.parent == interface {
        parent.error("`parent` is the port's own interface", "name the physical interface below it");
        return None;
    }
    if let Some(other) = taken.vlans.insert(vlan.clone(), interface.to_owned()) {
        table.error(
            FILE_TWICE.of(format!("VLAN {} of {} is already the port {other}", vlan.number, vlan.parent)),
            "give each VLAN one [[port]]",
        );
        return None;
    }
    Some(Some(vlan))
}
