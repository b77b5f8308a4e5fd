//! Two sites, with a Ravelin gateway at a and strongSwan at b: the stand of the tests with a foreign IKE peer.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::foreign::workspace;
use crate::gateway::Gateway;
use crate::lab::{Connection, PingReport, Shape, StrongSwan, TwoSites, wait_until};

/// Whose files gateway a has.
const EXAMPLE: &str = "site-to-site-ike/gw-a";
/// Ample for a negotiation on a machine with other work.
const PATIENCE: Duration = Duration::from_secs(60);

/// The whole stand. Dropping it ends the gateways first and then removes the sites.
#[derive(Debug)]
pub struct GatewayAndSwan {
    /// Gateway of site a.
    pub a: Gateway,
    /// Gateway of site b.
    pub b: StrongSwan,
    /// The namespaces and links.
    pub sites: TwoSites,
}

impl GatewayAndSwan {
    /// Builds it and puts the example's policy in force: gateway a begins when a packet needs it to, strongSwan when it is told to.
    pub fn start(label: &str, connection: &Connection) -> Result<Self> {
        Self::start_in(TwoSites::build(label)?, connection, "")
    }

    /// Like [`GatewayAndSwan::start`] among sites of this shape.
    pub fn start_shaped(label: &str, shape: Shape, connection: &Connection) -> Result<Self> {
        Self::start_in(TwoSites::build_with(label, shape)?, connection, "")
    }

    /// Like [`GatewayAndSwan::start`] among these sites, with more settings of strongSwan's daemon.
    pub fn start_in(sites: TwoSites, connection: &Connection, settings: &str) -> Result<Self> {
        let b = StrongSwan::start(&sites.lab, &sites.b.gateway, connection, settings)?;
        let mut a = Gateway::lay_out(&sites.lab, &sites.a.gateway, "gw-a", EXAMPLE, "")?;
        a.start()?;
        a.apply_policy()?;
        Ok(Self { a, b, sites })
    }

    /// The example's policy with more lines about the peer and about the tunnel.
    pub fn policy(peer: &str, tunnel: &str) -> Result<String> {
        let example = std::fs::read_to_string(workspace().join("configs").join(EXAMPLE).join("ipsec.toml"))?;
        let (before, after) = example.split_once("[[tunnel]]").context("the example has a tunnel")?;
        Ok(format!("{before}{peer}\n\n[[tunnel]]{after}{tunnel}\n"))
    }

    /// Waits until pings from site a are answered; the first of them makes gateway a begin.
    pub fn open(&self) -> Result<()> {
        self.sites.wait_for_traffic(PATIENCE).with_context(|| self.told())
    }

    /// Strongswan begins.
    pub fn called(&self) -> Result<()> {
        self.b.initiate().with_context(|| self.told()).map(drop)
    }

    /// Pings from site a to b, one each 5 ms.
    pub fn ping(&self, count: u32) -> Result<PingReport> {
        self.sites.start_ping(self.sites.b.site_v4, count, Duration::from_millis(5))?.report()
    }

    /// An error unless, once traffic flows, every one of so many pings is answered once. strongSwan says that a child stands before its
    /// own tunnel takes packets.
    pub fn ensure_carries(&self, count: u32) -> Result<()> {
        self.sites.wait_for_traffic(PATIENCE).with_context(|| self.told())?;
        let report = self.ping(count)?;
        ensure!(report.is_perfect(), "{report:?}\n{}", self.told());
        Ok(())
    }

    /// StrongSwan ends the connection, and gateway a knows.
    pub fn end(&self) -> Result<()> {
        self.b.terminate()?;
        self.wait_for_end()
    }

    /// Waits until nothing stands at gateway a.
    pub fn wait_for_end(&self) -> Result<()> {
        wait_until("no IKE SA to stand", PATIENCE, || self.a.ike_sas().is_ok_and(|list| list.is_empty()))
            .with_context(|| self.told())
    }

    /// Whether an event with this code and these words stands in gateway a's log, from `begin` on.
    pub fn has_event(&self, begin: usize, code: &str, words: &[&str]) -> bool {
        let is_it = |line: &str| line.contains(code) && words.iter().all(|word| line.contains(word));
        self.a.control_log().get(begin..).is_some_and(|log| log.lines().any(is_it))
    }

    /// Waits until [`Self::has_event`].
    pub fn wait_for_event(&self, begin: usize, code: &str, words: &[&str]) -> Result<()> {
        wait_until(&format!("{code} with {words:?}"), PATIENCE, || self.has_event(begin, code, words))
            .with_context(|| self.told())
    }

    /// What both sides logged, for whoever searches a fault.
    pub fn told(&self) -> String {
        let tail = |log: &str| {
            let lines = log.lines().collect::<Vec<_>>();
            lines[lines.len().saturating_sub(60)..].join("\n")
        };
        format!("--- control\n{}\n--- strongSwan\n{}", tail(&self.a.control_log()), tail(&self.b.log()))
    }
}
