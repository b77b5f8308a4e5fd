//! Certificates for a bench: one authority; a key for the initiators, one for strongSwan, one in the gateway's ring.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::GATEWAY;
use crate::foreign::openssl;
use crate::gateway::Gateway;
use crate::initiators::CERTIFIED;

/// The file names of strongSwan's key and certificate.
pub(super) const RESPONDER: &str = "responder";

/// Makes everything in the gateway's directory, which is returned: it serves as [`crate::initiators::Papers`].
pub(super) fn open(gateway: &Gateway) -> Result<PathBuf> {
    let folder = gateway.file("ravelin.toml").parent().context("a folder")?.to_owned();
    let ravelin = |line: &str| gateway.ravelin(&format!("{line} --rings rings"));
    for line in [
        "ring create ca",
        "ring create gw",
        "ca init ca/root --subject CN=Root --key p256",
        "cert export ca/root --out root.pem",
    ] {
        ravelin(line)?;
    }
    ravelin(&format!(
        "cert request gw/main --subject CN=gateway --san dns:{GATEWAY} --key p256 --out gateway.csr"
    ))?;
    ravelin("ca sign ca/root gateway.csr --profile ike --out gateway.pem")?;
    ravelin("cert receive gw gateway.pem --trust ca")?;
    for (name, san) in [(CERTIFIED, CERTIFIED), (RESPONDER, GATEWAY)] {
        openssl(&folder, &format!("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out {name}.key"))?;
        let request = format!("req -new -key {name}.key -subj /CN={name} -addext subjectAltName=DNS:{san}");
        openssl(&folder, &format!("{request} -out {name}.csr"))?;
        ravelin(&format!("ca sign ca/root {name}.csr --profile ike --out {name}.chain"))?;
        // strongSwan wants one certificate in a file.
        openssl(&folder, &format!("x509 -in {name}.chain -out {name}.pem"))?;
    }
    Ok(folder)
}

/// Puts strongSwan's where it looks for them.
pub(super) fn equip_swan(papers: &Path, directory: &Path) -> Result<()> {
    let places = [("root.pem", "x509ca"), ("responder.pem", "x509"), ("responder.key", "private")];
    for (file, place) in places {
        fs::create_dir_all(directory.join(place))?;
        fs::copy(papers.join(file), directory.join(place).join(file))?;
    }
    Ok(())
}
