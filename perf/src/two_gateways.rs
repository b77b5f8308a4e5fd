//! Two sites, with a Ravelin gateway at each: what the end-to-end tests and the demo run.

use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::gateway::Gateway;
use crate::lab::{Capture, Captured, Ping, PingReport, Shape, Side, TwoSites};

/// Port of file servers at site b.
pub const HTTP: u16 = 8080;

/// The whole stand. Dropping it ends the gateways first and then removes the sites.
#[derive(Debug)]
pub struct TwoGateways {
    /// Gateway of site a.
    pub a: Gateway,
    /// Gateway of site b.
    pub b: Gateway,
    /// The namespaces and links.
    pub sites: TwoSites,
}

impl TwoGateways {
    /// Builds it and starts all processes. No policy is in force.
    pub fn start(label: &str) -> Result<Self> {
        Self::start_in(label, Shape::default())
    }

    /// Like [`TwoGateways::start`], with two workers at each gateway.
    pub fn start_with_two_workers(label: &str) -> Result<Self> {
        Self::start_in(label, Shape { queues: 2, router_queues: 2, ..Shape::default() })
    }

    /// Like [`TwoGateways::start`], among sites of this shape. Each gateway has a worker per queue.
    pub fn start_in(label: &str, shape: Shape) -> Result<Self> {
        Self::start_example(label, shape, "site-to-site")
    }

    /// Like [`TwoGateways::start_in`], with the files of `configs/EXAMPLE`.
    pub fn start_example(label: &str, shape: Shape, example: &str) -> Result<Self> {
        let sites = TwoSites::build_with(label, shape)?;
        let more = format!("[workers]\ncount = {}\n", shape.queues);
        let gateway = |side: &Side| {
            let name = format!("gw-{}", side.letter);
            let example = format!("{example}/{name}");
            let mut gateway = Gateway::lay_out(&sites.lab, &side.gateway, &name, &example, &more)?;
            gateway.start().with_context(|| format!("starting {name}"))?;
            anyhow::Ok(gateway)
        };
        let (a, b) = (gateway(&sites.a)?, gateway(&sites.b)?);
        Ok(Self { a, b, sites })
    }

    /// Puts the policy in force at both gateways and waits until traffic passes.
    pub fn protect(&self) -> Result<()> {
        self.a.apply_policy()?;
        self.b.apply_policy()?;
        self.wait_for_traffic()
    }

    /// Waits until a ping from site a to site b is answered.
    pub fn wait_for_traffic(&self) -> Result<()> {
        self.sites.wait_for_traffic(Duration::from_secs(20))
    }

    /// Whether a single ping from site a to site b is answered within a second.
    pub fn is_open(&self) -> bool {
        self.sites.is_open()
    }

    /// Starts pings from site a to an address, one each `interval`.
    pub fn start_ping(&self, to: IpAddr, count: u32, interval: Duration) -> Result<Ping> {
        self.sites.start_ping(to, count, interval)
    }

    /// Pings from site a to an address, to the end.
    pub fn ping(&self, to: IpAddr, count: u32, interval: Duration) -> Result<PingReport> {
        self.start_ping(to, count, interval)?.report()
    }

    /// Sends exactly `count` pings from site a to an address, one each 10 ms, and returns how many were answered.
    pub fn ping_in_vain(&self, to: IpAddr, count: u32) -> Result<u32> {
        let interval = Duration::from_millis(10);
        let ping = Ping::start_in_vain(&self.sites.lab, &self.sites.a.site, to, count, interval)?;
        Ok(ping.report()?.received)
    }

    /// Records the wan, where gateway b is attached.
    pub fn capture_wan(&self, name: &str) -> Result<Capture> {
        Capture::start(&self.sites.lab, &self.sites.wan, &self.sites.b.wan_interface(), name)
    }

    /// Records the ESP packets that the wan gives to gateway b.
    pub fn capture_esp_to_b(&self, name: &str) -> Result<Capture> {
        let interface = self.sites.b.wan_interface();
        Capture::start_sent(&self.sites.lab, &self.sites.wan, &interface, name, "esp")
    }

    /// Sends a capture of [`TwoGateways::capture_esp_to_b`] again, so many packets a second; returns how many were sent.
    pub fn replay_to_b(&self, captured: &Captured, rate: u32) -> Result<usize> {
        let mut replay = crate::foreign::script(|python| self.sites.wan.command(python), "replay.py")?;
        replay.arg(&captured.file).args([self.sites.b.wan_interface(), rate.to_string()]);
        let sent = crate::lab::check(&mut replay, Duration::from_secs(120))?;
        sent.trim().parse().context("replay.py printed no number")
    }

    /// The URL of a file at site b.
    pub fn url(&self, file: &str) -> String {
        format!("http://{}:{HTTP}/{file}", self.sites.b.site_v4)
    }
}
