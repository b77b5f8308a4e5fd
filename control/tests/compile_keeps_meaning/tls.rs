//! `attls.toml` as a person reads it: rules in their order, word by word.

use proptest::prelude::*;
use proptest::sample::select;

use super::{Families, Packet, Part, ZONES, lies_in, parts};

/// A rule for TLS of the same small world.
#[derive(Debug, Clone)]
pub(crate) struct Written {
    client: Option<Vec<Part>>,
    server: Option<Vec<Part>>,
    client_port: Option<(u16, u16)>,
    server_port: (u16, u16),
    zone: Option<usize>,
    priority: Option<u8>,
    action: &'static str,
}

/// All of the file.
#[derive(Debug, Clone)]
pub(crate) struct File {
    rules: Vec<Written>,
    /// Marked ports, and what becomes of connections to them that no rule speaks of.
    secure: Option<(u16, &'static str)>,
}

impl File {
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        if let Some((port, verdict)) = self.secure {
            text += &format!("secure_ports = [{port}]\non_no_match = {verdict:?}\n");
        }
        text + &self.rules.iter().enumerate().map(|(number, rule)| rule.text(number)).collect::<String>()
    }

    /// What becomes of a connection that this packet opens: the name of the rule and `off`, `refuse` or `client`. `client_zone`
    /// is that of the port which leads to who opens it.
    pub(crate) fn read_slowly(&self, packet: &Packet, client_zone: usize) -> Option<(String, &'static str)> {
        let mut numbered: Vec<(usize, &Written)> = self.rules.iter().enumerate().collect();
        // Higher priorities first, names decide among equal ones (one letter each), then those without in their order.
        numbered.sort_by_key(|(number, rule)| match rule.priority {
            Some(priority) => (0, 255 - priority, *number),
            None => (1, 0, *number),
        });
        let found = numbered.into_iter().find(|(_, rule)| rule.matches(packet, client_zone));
        if let Some((number, rule)) = found {
            return Some((name(number), rule.action));
        }
        let (_, port) = packet.flow.upper.filter(|_| packet.flow.protocol == 6)?;
        let denied = self.secure.is_some_and(|(marked, verdict)| marked == port && verdict == "deny");
        denied.then(|| ("on-no-match".to_owned(), "refuse"))
    }
}

fn name(number: usize) -> String {
    ["a", "b", "c", "d", "e", "f"][number].to_owned()
}

impl Written {
    fn text(&self, number: usize) -> String {
        let mut text = format!("[[rule]]\nname = {:?}\n", name(number));
        for (key, parts) in [("client", &self.client), ("server", &self.server)] {
            let Some(parts) = parts else { continue };
            text += &format!("{key} = {:?}\n", parts.iter().map(Part::text).collect::<Vec<_>>());
        }
        if let Some((first, last)) = self.client_port {
            text += &format!("client_port = \"{first}-{last}\"\n");
        }
        let (first, last) = self.server_port;
        text += &format!("server_port = \"{first}-{last}\"\n");
        if let Some(zone) = self.zone {
            text += &format!("zone = {:?}\n", ZONES[zone]);
        }
        if let Some(priority) = self.priority {
            text += &format!("priority = {priority}\n");
        }
        text + match self.action {
            "client" => "role = \"client\"\ntrust = \"roots\"\n",
            "off" => "enabled = \"off\"\n",
            _ => "enabled = \"refuse\"\n",
        }
    }

    fn matches(&self, packet: &Packet, client_zone: usize) -> bool {
        let Some((from, to)) = packet.flow.upper else { return false };
        let within = |(first, last): (u16, u16), port| (first..=last).contains(&port);
        packet.flow.protocol == 6
            && lies_in(&self.client, packet.flow.source)
            && lies_in(&self.server, packet.flow.destination)
            && self.client_port.is_none_or(|ports| within(ports, from))
            && within(self.server_port, to)
            && self.zone.is_none_or(|zone| zone == client_zone)
    }
}

fn rule() -> impl Strategy<Value = Written> {
    let ports = || (1u16..7, 1u16..7).prop_map(|(a, b)| (a.min(b), a.max(b)));
    let families = select(vec![Families::V4, Families::V6, Families::Both]);
    let ends = families.prop_flat_map(|f| (parts(f), parts(f)));
    let rest = (
        proptest::option::of(ports()),
        ports(),
        proptest::option::of(0usize..2),
        proptest::option::of(1u8..4),
        select(vec!["client", "off", "refuse"]),
    );
    (ends, rest).prop_map(|((client, server), (client_port, server_port, zone, priority, action))| Written {
        client,
        server,
        client_port,
        server_port,
        zone,
        priority,
        action,
    })
}

pub(crate) fn file() -> impl Strategy<Value = File> {
    let secure = proptest::option::of((1u16..7, select(vec!["permit", "deny"])));
    (proptest::collection::vec(rule(), 0..5), secure).prop_map(|(rules, secure)| File { rules, secure })
}
