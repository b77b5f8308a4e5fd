//! Links: veth pairs, set up so that they behave like cables.

use anyhow::Result;

use super::command::{MOMENT, check, words};
use super::namespace::Namespace;

/// One end of a link.
#[derive(Debug)]
pub struct End<'a> {
    namespace: &'a Namespace,
    interface: &'a str,
    mac: Option<&'a str>,
    addresses: Vec<&'a str>,
    queues: u16,
}

impl<'a> End<'a> {
    /// An interface of that name in this namespace.
    pub fn new(namespace: &'a Namespace, interface: &'a str) -> Self {
        Self { namespace, interface, mac: None, addresses: Vec::new(), queues: 1 }
    }

    /// With this link address.
    pub fn mac(mut self, mac: &'a str) -> Self {
        self.mac = Some(mac);
        self
    }

    /// With this address, `ADDRESS/LENGTH`; may be given several times.
    pub fn address(mut self, address: &'a str) -> Self {
        self.addresses.push(address);
        self
    }

    /// With so many receive and transmit queues, instead of one.
    pub fn queues(mut self, queues: u16) -> Self {
        self.queues = queues;
        self
    }

    fn set_up(&self, mtu: u16) -> Result<()> {
        let Self { namespace, interface, .. } = self;
        // Without this, TCP hands over packets of 64 KiB with unfinished checksums, which an XDP ring cannot carry.
        namespace.run(&format!("ethtool -K {interface} tx off rx off tso off gso off gro off"))?;
        // The ring of a veth holds 256 packets and drops bursts silently; a queue before it keeps them.
        namespace.run(&format!("tc qdisc replace dev {interface} root pfifo limit 4000"))?;
        for address in &self.addresses {
            namespace.run(&format!("ip address add {address} dev {interface}"))?;
        }
        if let Some(mac) = self.mac {
            namespace.run(&format!("ip link set dev {interface} address {mac}"))?;
        }
        namespace.run(&format!("ip link set dev {interface} mtu {mtu} up"))?;
        Ok(())
    }
}

/// A link to be made.
#[derive(Debug)]
pub struct Link<'a> {
    ends: [End<'a>; 2],
    mtu: u16,
}

impl<'a> Link<'a> {
    /// Between these two ends, with an MTU of 1,500 octets.
    pub fn between(one: End<'a>, other: End<'a>) -> Self {
        Self { ends: [one, other], mtu: 1500 }
    }

    /// With this MTU, in octets.
    pub fn mtu(mut self, mtu: u16) -> Self {
        self.mtu = mtu;
        self
    }

    /// Makes it, up at both ends.
    pub fn create(self) -> Result<()> {
        let [one, other] = &self.ends;
        let end = |end: &End<'_>| {
            let (queues, netns) = (end.queues, end.namespace.name());
            format!("name {} netns {netns} numtxqueues {queues} numrxqueues {queues}", end.interface)
        };
        check(&mut words(&format!("ip link add {} type veth peer {}", end(one), end(other))), MOMENT)?;
        self.ends.iter().try_for_each(|end| end.set_up(self.mtu))
    }
}
