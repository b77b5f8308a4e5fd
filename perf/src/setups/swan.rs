//! strongSwan as a responder to measure, in the shape that it does best in: hash tables for many SAs, no limits, hardly a log.

use anyhow::{Context, Result};

use super::real::{Part, Real};
use super::{GATEWAY, INNER, SECRET};
use crate::initiators::{CERTIFIED, Kind};
use crate::lab::{Lab, Namespace, StrongSwan};

/// Its log tells of each SA that comes and goes, as ours does.
const SETTINGS: &str = "ikesa_table_size = 16384\n ikesa_table_segments = 16\n dos_protection = no\n \
                        cookie_threshold = 0\n cookie_threshold_ip = 0\n block_threshold = 0\n init_limit_half_open = 0\n \
                        filelog { stderr { default = 0\n ike = 0\n cfg = 0\n knl = 0\n flush_line = no } }";

/// Starts it; `None` when it knows nothing of this kind.
pub(super) fn start(lab: &Lab, namespace: &Namespace, kind: Kind) -> Result<Option<(StrongSwan, Real)>> {
    let Some(connection) = connection(kind) else { return Ok(None) };
    // Its ESP in user space wants an address of ours in each child's traffic, for a route.
    namespace.run("ip address add 10.2.0.1/32 dev lo")?;
    let swan = StrongSwan::start(lab, namespace, &connection, SETTINGS)?;
    let pid = swan.pid().context("charon runs")?;
    Ok(Some((swan, Real { name: "strongswan", parts: vec![Part { name: "charon", pid }] })))
}

fn connection(kind: Kind) -> Option<String> {
    let group = match kind {
        Kind::SharedKey | Kind::Certificate => "x25519",
        Kind::Modp => "modp2048",
        // Version 6 is the first that has ML-KEM.
        Kind::PostQuantum => return None,
    };
    let (own, other) = match kind {
        Kind::Certificate => (
            "auth = pubkey\n certs = responder.pem".to_owned(),
            format!("auth = pubkey\n cacerts = root.pem\n id = {CERTIFIED}"),
        ),
        _ => ("auth = psk".to_owned(), "auth = psk\n id = %any".to_owned()),
    };
    Some(format!(
        "connections {{ a {{ version = 2\n local_addrs = 192.0.2.1\n remote_addrs = %any\n unique = never\n mobike = no\n\
         \x20send_cert = always\n proposals = aes256gcm16-prfsha256-{group}\n local {{ {own}\n id = {GATEWAY} }}\n\
         \x20remote {{ {other} }}\n children {{ a {{ local_ts = {INNER}\n remote_ts = 172.16.0.0/12\n\
         \x20esp_proposals = aes256gcm16 }} }} }} }}\nsecrets {{ ike-a {{ secret = \"{SECRET}\" }} }}\n"
    ))
}
