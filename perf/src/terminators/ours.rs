//! Our gateway before site a's server: nobody there knows of TLS, and clients speak to the server's own address.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context, Result};

use super::{CLEAR, NAME, Terminator};
use crate::foreign::openssl;
use crate::gateway::Gateway;
use crate::lab::TwoSites;

/// Behind the rules of the example: connections come in from the wan.
const RULE: &str = r#"
[[rule]]
name = "in"
source = "lan"
protocol = "tcp"
connect = "inbound"
routing = "routed"
action = "permit"
"#;

/// Starts it, with one worker as the others have one thread.
pub(super) fn start(sites: &TwoSites) -> Result<(Terminator, Gateway)> {
    let more = "rings = \"rings\"\n[workers]\ncount = 1\n";
    let mut gateway = Gateway::lay_out(&sites.lab, &sites.a.gateway, "gw-a", "tls", more)?;
    gateway.start()?;
    certify(&gateway)?;
    let rule = format!(
        "[[rule]]\nname = \"bench\"\nserver = \"{}\"\nserver_port = {CLEAR}\nrole = \"server\"\n\
         versions = \"1.3\"\ncertificate = \"web/main\"\n",
        sites.a.site_v4
    );
    fs::write(gateway.file("attls.toml"), rule)?;
    gateway.apply_text(&(gateway.policy_text()? + RULE))?;
    let control = gateway.control()?.pid().context("control runs")?;
    let packets = gateway.dataplane()?.pid().context("the packet process runs")?;
    let at = SocketAddr::new(sites.a.site_v4, CLEAR);
    let parts = vec![("control", control), ("packets", packets)];
    Ok((Terminator { name: "ravelin".to_owned(), parts, at }, gateway))
}

/// One authority, our certificate in the ring, and one for the others.
fn certify(gateway: &Gateway) -> Result<()> {
    let rings = |line: &str| gateway.ravelin(&format!("{line} --rings rings")).map(drop);
    for line in [
        "ring create ca",
        "ring create web",
        "ca init ca/root --subject CN=Root --key p256",
        "cert export ca/root --out root.pem",
    ] {
        rings(line)?;
    }
    rings(&format!("cert request web/main --subject CN=web --san dns:{NAME} --key p256 --out web.csr"))?;
    rings("ca sign ca/root web.csr --profile server --out web.pem")?;
    rings("cert receive web web.pem --trust ca")?;
    let folder = gateway.file("ravelin.toml").parent().context("a folder")?.to_owned();
    let openssl = |words: &str| openssl(&folder, words);
    openssl("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out other.key")?;
    openssl(&format!(
        "req -new -key other.key -subj /CN=web -addext subjectAltName=DNS:{NAME} -out other.csr"
    ))?;
    rings("ca sign ca/root other.csr --profile server --out other.pem")
}

/// Certificate and key of the others in one file.
pub(super) fn papers(gateway: &Gateway) -> Result<PathBuf> {
    let [certificate, key] = ["other.pem", "other.key"].map(|name| fs::read_to_string(gateway.file(name)));
    let both = gateway.file("both.pem");
    fs::write(&both, certificate? + &key?)?;
    Ok(both)
}
