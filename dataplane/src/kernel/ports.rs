//! Whether the ports of the appliance file are what the kernel says of its interfaces: the VLAN of the interface that they name.
//!
//! Addresses, routes and MTU of a port are those of the kernel's sub-interface, its tag and its rings those of the file. Where
//! the two speak of different VLANs, packets of one zone would leave with the tag of another.

use ravelin_config::appliance::Port;

use crate::table::forwarding::view::{Link, View};

/// The ports, as far as the kernel agrees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Agreed {
    /// Interface index of each port; 0 where it is not there, or is something else.
    pub(crate) indexes: Vec<u32>,
    /// What the kernel says otherwise, with what to do.
    pub(crate) mistakes: Vec<String>,
}

/// Compares the file with the kernel. An interface that is not there yet is no mistake.
pub(crate) fn agreed(ports: &[Port], view: &View, indexes: &[u32]) -> Agreed {
    let mut agreed = Agreed { indexes: indexes.to_vec(), mistakes: Vec::new() };
    for (port, index) in ports.iter().zip(&mut agreed.indexes) {
        let Some(link) = view.links.iter().find(|link| link.index == *index) else { continue };
        let (written, found) = (written(port), found(link, view));
        if written != found {
            let what = "`parent` and `vlan` of its [[port]] and `ip -d link` must say the same";
            let name = &port.interface;
            agreed.mistakes.push(format!(
                "{name} is {written} in the appliance file, but {found} in the kernel; {what}"
            ));
            *index = 0;
        }
    }
    agreed
}

fn written(port: &Port) -> String {
    port.vlan.as_ref().map_or_else(no_vlan, |vlan| format!("VLAN {} of {}", vlan.number, vlan.parent))
}

fn found(link: &Link, view: &View) -> String {
    let Some(vlan) = link.vlan else { return no_vlan() };
    let parent = view.links.iter().find(|other| other.index == vlan.parent);
    let parent = parent.map_or("an interface of another namespace", |parent| parent.name.as_str());
    let kind = if vlan.service { "service VLAN" } else { "VLAN" };
    format!("{kind} {} of {parent}", vlan.number)
}

fn no_vlan() -> String {
    "no VLAN".to_owned()
}

#[cfg(test)]
mod tests {
    use ravelin_config::appliance::Appliance;
    use ravelin_config::source::Source;

    use super::*;
    use crate::table::forwarding::view::Vlan;

    fn link(index: u32, name: &str, vlan: Option<(u32, u16, bool)>) -> Link {
        let vlan = vlan.map(|(parent, number, service)| Vlan { parent, number, service });
        Link { index, name: name.to_owned(), mac: None, mtu: 1500, up: true, vlan }
    }

    /// What is said of a port `wan0.100`, VLAN 100 of wan0, when the kernel has this at its place.
    fn said(of: Option<(u32, u16, bool)>) -> Agreed {
        let text = "[[port]]\ninterface = \"wan0\"\nside = \"unprotected\"\n[[port]]\ninterface = \"wan0.100\"\n\
                    parent = \"wan0\"\nvlan = 100\nside = \"unprotected\"\n";
        let (appliance, _) = Appliance::parse(&Source::from_text("ravelin.toml", text)).unwrap();
        let links = vec![link(1, "lan0", None), link(2, "wan0", None), link(3, "wan0.100", of)];
        agreed(&appliance.ports, &View { links, ..View::default() }, &[2, 3])
    }

    #[test]
    fn only_the_same_vlan_of_the_same_interface_is_the_port() {
        assert_eq!(said(Some((2, 100, false))), Agreed { indexes: vec![2, 3], mistakes: vec![] });
        for (of, kernel) in [
            (None, "no VLAN"),
            (Some((2, 101, false)), "VLAN 101 of wan0"),
            (Some((1, 100, false)), "VLAN 100 of lan0"),
            (Some((2, 100, true)), "service VLAN 100 of wan0"),
            (Some((77, 100, false)), "VLAN 100 of an interface of another namespace"),
        ] {
            let agreed = said(of);
            assert_eq!(agreed.indexes, [2, 0]);
            let expected =
                format!("wan0.100 is VLAN 100 of wan0 in the appliance file, but {kernel} in the kernel; ");
            assert!(agreed.mistakes.len() == 1 && agreed.mistakes[0].starts_with(&expected), "{agreed:?}");
        }
    }

    #[test]
    fn an_interface_that_is_not_there_yet_is_no_mistake() {
        let text = "[[port]]\ninterface = \"wan0\"\nside = \"unprotected\"\n";
        let (appliance, _) = Appliance::parse(&Source::from_text("ravelin.toml", text)).unwrap();
        let nothing = Agreed { indexes: vec![0], mistakes: vec![] };
        assert_eq!(agreed(&appliance.ports, &View::default(), &[0]), nothing);
    }
}
