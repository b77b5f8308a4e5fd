//! Our gateway as a responder to measure: both processes, with one rule for all initiators.

use std::time::Duration;

use anyhow::{Context, Result};

use super::real::{Part, Real};
use super::{GATEWAY, INNER, settled};
use crate::gateway::Gateway;
use crate::initiators::Kind;

/// Whose files it has.
pub(super) const EXAMPLE: &str = "site-to-site-ike/gw-b";
/// Added to its appliance file.
pub(super) const APPLIANCE: &str = "rings = \"rings\"\n[workers]\ncount = 1\n";

/// Starts it with a policy of this kind.
pub(super) fn start(gateway: &mut Gateway, kind: Kind) -> Result<Real> {
    gateway.start()?;
    gateway.apply_text(&policy(kind))?;
    let control = gateway.control()?.pid().context("control runs")?;
    let packets = gateway.dataplane()?.pid().context("the packet process runs")?;
    settled(Duration::from_secs(1));
    let parts = vec![Part { name: "control", pid: control }, Part { name: "packets", pid: packets }];
    Ok(Real { name: "ravelin", parts })
}

fn policy(kind: Kind) -> String {
    let proof = match kind {
        Kind::Certificate => "certificate = \"gw/main\"\ntrust = \"ca\"",
        _ => "shared_key = \"gw-a\"",
    };
    let groups = match kind {
        Kind::SharedKey | Kind::Certificate => "groups = [\"curve25519\"]",
        Kind::PostQuantum => "groups = [\"curve25519\"]\nadditional_groups = [\"ml-kem-768\"]",
        Kind::Modp => "groups = [\"modp2048\"]",
    };
    format!(
        r#"
[[rule]]
name = "initiators"
source = "{INNER}"
destination = "172.16.0.0/12"
action = "ipsec"
tunnel = "initiators"

[[rule]]
name = "ike"
protocol = "udp"
destination_port = [500, 4500]
routing = "local"
zone = "wan"
action = "permit"

[[rule]]
name = "ike-answers"
protocol = "udp"
source_port = [500, 4500]
routing = "local"
zone = "wan"
action = "permit"

[[peer]]
name = "initiators"
local = "198.51.100.1"
remote = "any"
local_id = "{GATEWAY}"
remote_id = "*.example"
{proof}
{groups}
mobike = false
unique = false

[[tunnel]]
name = "initiators"
peer = "initiators"
start = "remote"
"#
    )
}
