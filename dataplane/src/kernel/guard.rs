//! The second line: rules that keep the kernel from sending in clear what belongs into tunnels, whatever becomes of us.
//!
//! The first line is the XDP program, which sees what comes in. This one holds what the kernel itself would send on
//! or send out. It stays when the process ends; nothing is put back then, on purpose.

use std::io::Write;
use std::process::{Command, Stdio};

use ravelin_contract::address::{AddressRange, Family};

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

/// Settings that make the kernel forward; of the network namespace of the calling thread.
const FORWARDING: [&str; 2] = ["/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/ipv6/conf/all/forwarding"];

/// Switches the kernel's forwarding off and puts the nft table `inet ravelin` in place of the one that was there, in
/// one step. `protected` are the destinations that may only be reached through tunnels; `trusted` are the interfaces of
/// the protected side (RFC 4301 3.1), by which cleartext may leave all the same: a policy that protects everything
/// must not cut the host off from its own LAN. To be called again whenever they change.
///
/// Not for the packet path: starts a process and waits for it.
pub fn raise(protected: &[AddressRange], trusted: &[String]) -> Result<(), GuardError> {
    for setting in FORWARDING {
        match std::fs::write(setting, "0") {
            // A kernel without IPv6 forwards none.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            other => other.map_err(|error| GuardError::Setting(setting, error))?,
        }
    }
    run_nft(&rules(protected, trusted))
}

fn run_nft(rules: &str) -> Result<(), GuardError> {
    let mut nft = Command::new("nft");
    nft.args(["-f", "-"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = nft.spawn().map_err(GuardError::Run)?;
    if let Some(mut input) = child.stdin.take() {
        input.write_all(rules.as_bytes()).map_err(GuardError::Run)?;
    }
    let output = child.wait_with_output().map_err(GuardError::Run)?;
    match output.status.success() {
        true => Ok(()),
        false => Err(GuardError::Refused(String::from_utf8_lossy(&output.stderr).trim().to_owned())),
    }
}

/// The rules in nft's language. The table is made before it is deleted, so that this also works the first time.
fn rules(protected: &[AddressRange], trusted: &[String]) -> String {
    format!(
        "table inet ravelin
delete table inet ravelin
table inet ravelin {{
    comment \"Ravelin: nothing passes the kernel, nothing protected leaves in clear\"
    set protected4 {{ type ipv4_addr; flags interval; auto-merge;{v4} }}
    set protected6 {{ type ipv6_addr; flags interval; auto-merge;{v6} }}
    set trusted {{ type ifname;{trusted} }}
    chain forward {{
        type filter hook forward priority filter; policy drop;
        counter drop
    }}
    chain output {{
        type filter hook output priority filter; policy accept;
        fib daddr type local accept
        oifname @trusted accept
        meta l4proto {{ esp, ah }} accept
        udp dport {{ 500, 4500 }} accept
        icmpv6 type {{ nd-neighbor-solicit, nd-neighbor-advert }} accept
        ip daddr @protected4 counter drop
        ip6 daddr @protected6 counter drop
    }}
}}
",
        v4 = addresses(protected, Family::V4),
        v6 = addresses(protected, Family::V6),
        trusted = elements(trusted.iter().map(|name| format!("{name:?}"))),
    )
}

fn addresses(protected: &[AddressRange], family: Family) -> String {
    elements(protected.iter().filter(|range| range.family() == family).map(AddressRange::to_string))
}

/// A set may have no element, but then nft wants no list either.
fn elements(list: impl Iterator<Item = String>) -> String {
    let list: Vec<String> = list.collect();
    if list.is_empty() { String::new() } else { format!(" elements = {{ {} }}", list.join(", ")) }
}
