//! A watch on the wan: that gateways with IKE let out nothing but IKE and ESP.

use anyhow::{Result, ensure};

use super::capture::{Capture, NOT_IPSEC};
use super::two_sites::TwoSites;

/// Captures of what the wan gets from each gateway that is neither IKE nor ESP.
#[derive(Debug)]
pub struct Watch([Capture; 2]);

impl Watch {
    /// Begins.
    pub fn start(sites: &TwoSites) -> Result<Self> {
        let capture =
            |interface| Capture::start_received(&sites.lab, &sites.wan, interface, interface, NOT_IPSEC);
        Ok(Self([capture("to-a")?, capture("to-b")?]))
    }

    /// Ends. An error when there was anything.
    pub fn ensure_nothing_else(self) -> Result<()> {
        for capture in self.0 {
            let seen = capture.stop()?;
            let count = seen.packets.frames().count();
            ensure!(count == 0, "{count} packets in {} are neither IKE nor ESP", seen.file.display());
        }
        Ok(())
    }
}
