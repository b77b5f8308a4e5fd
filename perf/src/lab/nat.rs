//! The router of the wan as a NAT that changes addresses and ports of IKE and of ESP in UDP.

use std::net::IpAddr;

use anyhow::Result;

use super::command::{MOMENT, check};
use super::two_sites::{Side, TwoSites};

/// Who is hidden, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behind {
    /// Others reach the gateway only by answering it; its ports change.
    Masquerade,
    /// Its ports 500 and 4500 are reached at the router, and it goes out as the router with ports unchanged.
    StaticMapping,
}

/// The NAT. What it remembers of a flow is forgotten by [`Nat::rebind`].
#[derive(Debug)]
pub struct Nat<'a> {
    sites: &'a TwoSites,
    hidden: &'a Side,
    other: &'a Side,
}

impl<'a> Nat<'a> {
    /// Hides the gateway of side `hidden` from the other. With [`Behind::Masquerade`], its ports 500 and 4500 become
    /// `base` + 500 and `base` + 4500.
    pub fn hide(sites: &'a TwoSites, hidden: &'a Side, kind: Behind, base: u16) -> Result<Self> {
        let other = if hidden.letter == 'a' { &sites.b } else { &sites.a };
        let nat = Self { sites, hidden, other };
        nat.set(kind, base)?;
        Ok(nat)
    }

    /// The address at which the other side sees the hidden gateway.
    pub fn outside(&self) -> IpAddr {
        self.other.router_v4()
    }

    /// From now on these are the ports, also of what goes on: a NAT that was started again.
    pub fn rebind(&self, base: u16) -> Result<()> {
        self.set(Behind::Masquerade, base)?;
        self.forget()
    }

    fn set(&self, kind: Behind, base: u16) -> Result<()> {
        let out = format!("oifname \"{}\" ip saddr {}", self.other.wan_interface(), self.hidden.gateway_v4);
        let rules = match kind {
            Behind::Masquerade => [500, 4500]
                .map(|port: u16| format!("  {out} udp sport {port} masquerade to :{}\n", base + port))
                .concat(),
            Behind::StaticMapping => format!("  {out} masquerade\n"),
        };
        let inside = match kind {
            Behind::Masquerade => String::new(),
            Behind::StaticMapping => format!(
                "  iifname \"{}\" ip daddr {} udp dport {{ 500, 4500 }} dnat to {}\n",
                self.other.wan_interface(),
                self.outside(),
                self.hidden.gateway_v4
            ),
        };
        self.nft(&format!(
            "table ip nat\ndelete table ip nat\ntable ip nat {{\n chain out {{\n  type nat hook postrouting priority srcnat\n\
             {rules} }}\n chain in {{\n  type nat hook prerouting priority dstnat\n{inside} }}\n}}\n"
        ))
    }

    fn nft(&self, script: &str) -> Result<()> {
        check(self.sites.wan.command("nft").arg(script), MOMENT).map(drop)
    }

    /// The kernel forgets masqueraded flows when the address goes that they have; it comes back at once.
    fn forget(&self) -> Result<()> {
        let (address, interface) = (self.outside(), self.other.wan_interface());
        let script = format!(
            "ip address del {address}/24 dev {interface} && ip address add {address}/24 dev {interface} && \
             ip route replace {} via {}",
            self.other.network_v4(),
            self.other.gateway_v4
        );
        check(self.sites.wan.command("sh").args(["-c", &script]), MOMENT).map(drop)
    }
}
