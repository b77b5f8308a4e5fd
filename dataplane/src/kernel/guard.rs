//! The second line: rules that hold the kernel to the policy, whatever becomes of us.
//!
//! The first line is the XDP program, which sees what comes in and gives the workers what they must judge. This one
//! judges what the kernel itself takes in and sends out by our ports, by the same filters ([`super::host_filter`]), and
//! keeps it from forwarding. It stays when the process ends; nothing is put back then, on purpose.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};

use ravelin_contract::address::{AddressRange, Family};
use ravelin_contract::rule::{Action, Direction, ZoneId};

use super::host_filter::{self, End, FRAGMENT_MARK, Line, quoted};
use crate::table::PortInfo;
use crate::table::policy::Policy;

/// Why the second line does not stand.
#[derive(Debug, thiserror::Error)]
pub enum GuardError {
    /// A kernel setting cannot be written.
    #[error(
        "cannot switch forwarding off by {0}: {1}; the dataplane needs CAP_NET_ADMIN and a writable /proc/sys"
    )]
    Setting(&'static str, std::io::Error),
    /// nft cannot be run.
    #[error("cannot run nft: {0}; install nftables")]
    Run(std::io::Error),
    /// nft refused the rules.
    #[error("nft refused the rules: {0}")]
    Refused(String),
}

/// What the kernel is held to.
#[derive(Debug, Clone, Copy)]
pub struct Guarded<'a> {
    /// Destinations that may only be reached through tunnels.
    pub protected: &'a [AddressRange],
    /// Our ports; what comes and goes by other interfaces is not ours to judge.
    pub ports: &'a [PortInfo],
    /// The interface that leads to the workers, which judge what goes there.
    pub workers: Option<&'a str>,
    /// Filters in force.
    pub filters: &'a Policy,
    /// Whether they are an installed policy. It says itself what may go to `protected`; default filters do not know of
    /// tunnels, and may not open what a policy had closed.
    pub by_policy: bool,
}

/// Settings that make the kernel forward; of the network namespace of the calling thread.
const FORWARDING: [&str; 2] = ["/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/ipv6/conf/all/forwarding"];

/// Octets of nft's complaint that are handed on.
const COMPLAINT: usize = 400;

/// Switches the kernel's forwarding off and puts the nft table `inet ravelin` in place of the one that was there, in
/// one step: when it fails, what stood stands. To be called again whenever any of it changes.
///
/// Not for the packet path: starts a process and waits for it, some 50 µs for each filter that speaks of this host.
pub fn raise(guarded: &Guarded<'_>) -> Result<(), GuardError> {
    for setting in FORWARDING {
        match std::fs::write(setting, "0") {
            // A kernel without IPv6 forwards none.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            other => other.map_err(|error| GuardError::Setting(setting, error))?,
        }
    }
    run_nft(&table(guarded))
}

fn run_nft(rules: &str) -> Result<(), GuardError> {
    let mut nft = Command::new("nft");
    nft.args(["-f", "-"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = nft.spawn().map_err(GuardError::Run)?;
    let written = child.stdin.take().map_or(Ok(()), |mut input| input.write_all(rules.as_bytes()));
    let output = child.wait_with_output().map_err(GuardError::Run)?;
    if !output.status.success() {
        let complaint: String =
            String::from_utf8_lossy(&output.stderr).trim().chars().take(COMPLAINT).collect();
        return Err(GuardError::Refused(complaint));
    }
    written.map_err(GuardError::Run)
}

/// The whole table in nft's language. It is made before it is deleted, so that this also works the first time.
///
/// Neighbour discovery and multicast listener discovery (RFC 4861, RFC 2710, RFC 3810) never hang on the policy: without
/// them there is no IPv6. Nor does our own "prohibited" to a packet that came in clear.
pub(crate) fn table(guarded: &Guarded<'_>) -> String {
    let chains = Chains::of(guarded);
    let protected = |family| {
        let of_family = guarded.protected.iter().filter(|range| range.family() == family);
        elements(of_family.map(AddressRange::to_string))
    };
    let ports = || guarded.ports.iter();
    let trusted = ports().filter(|port| port.protected).map(|port| port.name.as_str()).chain(guarded.workers);
    format!(
        "table inet ravelin
delete table inet ravelin
table inet ravelin {{
    comment \"Ravelin: nothing passes the kernel, and its own traffic keeps to the policy\"
    set protected4 {{ type ipv4_addr; flags interval; auto-merge;{v4} }}
    set protected6 {{ type ipv6_addr; flags interval; auto-merge;{v6} }}
    set trusted {{ type ifname;{trusted} }}
    set ports {{ type ifname;{ports} }}
    chain forward {{
        type filter hook forward priority filter; policy drop;
        counter drop
    }}
    chain guarded {{
        meta l4proto {{ esp, ah }} return
        udp dport {{ 500, 4500 }} return
        udp sport {{ 500, 4500 }} return
        icmpv6 type {{ nd-neighbor-solicit, nd-neighbor-advert }} return
        ip daddr @protected4 counter drop
        ip6 daddr @protected6 counter drop
    }}
{chains}    chain input {{
        type filter hook input priority filter; policy accept;
        iifname != @ports accept
        icmpv6 type {{ 130-137, 143 }} accept
        frag frag-off != 0 accept
        meta nfproto vmap {{ ipv4 : goto input4, ipv6 : goto input6 }}
    }}
    chain output {{
        type filter hook output priority filter; policy accept;
        fib daddr type local accept
        oifname @trusted accept
        oifname != @ports goto guarded
{guard_ports}        icmpv6 type {{ 130-137, 143 }} accept
        icmp type destination-unreachable icmp code admin-prohibited accept
        icmpv6 type destination-unreachable icmpv6 code admin-prohibited accept
        meta nfproto vmap {{ ipv4 : goto output4, ipv6 : goto output6 }}
    }}
}}
",
        v4 = protected(Family::V4),
        v6 = protected(Family::V6),
        trusted = elements(trusted.map(quoted)),
        ports = elements(ports().map(|port| quoted(&port.name))),
        chains = chains.0,
        guard_ports = if guarded.by_policy { "" } else { "        jump guarded\n" },
    )
}

/// The chains of the filters, one for each direction and family.
struct Chains(String);

impl Chains {
    fn of(guarded: &Guarded<'_>) -> Self {
        let interfaces = |zone: ZoneId| {
            let in_zone = |port: &&PortInfo| guarded.filters.zone(&port.zone_name) == Some(zone);
            guarded.ports.iter().filter(in_zone).map(|port| port.name.clone()).collect()
        };
        let mut chains = Self(String::new());
        let rest = host_filter::end(Action::Deny(guarded.filters.filters().settings().implicit_discard));
        let mut marked = false;
        for (name, direction) in [("input", Direction::Inbound), ("output", Direction::Outbound)] {
            for (suffix, family) in [("4", Family::V4), ("6", Family::V6)] {
                let lines =
                    host_filter::lines(guarded.filters.filters().rules(), direction, family, &interfaces);
                marked |= direction == Direction::Inbound && host_filter::ask_for_fragments(&lines);
                chains.add(&format!("{name}{suffix}"), &lines, rest);
            }
        }
        if marked {
            chains.add_marks();
        }
        chains
    }

    /// What no line matches is the implicit deny, `rest`.
    fn add(&mut self, name: &str, lines: &[Line], rest: End) {
        let Self(text) = self;
        // Writing to a string does not fail.
        let _ = writeln!(text, "    chain {name} {{");
        for line in lines {
            let _ = writeln!(text, "        {line}");
        }
        let _ = writeln!(text, "        counter {}\n    }}", rest.in_nft());
    }

    /// Before the kernel joins fragments, at priority -400.
    fn add_marks(&mut self) {
        let _ = write!(
            self.0,
            "    chain prerouting {{
        type filter hook prerouting priority -450; policy accept;
        iifname != @ports accept
        ip frag-off & 0x3fff != 0 meta mark set meta mark | {FRAGMENT_MARK:#x}
        frag more-fragments 1 meta mark set meta mark | {FRAGMENT_MARK:#x}
        frag frag-off != 0 meta mark set meta mark | {FRAGMENT_MARK:#x}
    }}
"
        );
    }
}

/// A set may have no element, but then nft wants no list either.
fn elements(list: impl Iterator<Item = String>) -> String {
    let list: Vec<String> = list.collect();
    if list.is_empty() { String::new() } else { format!(" elements = {{ {} }}", list.join(", ")) }
}

#[cfg(test)]
mod tests;
