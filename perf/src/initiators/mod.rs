//! Many IKE initiators, each with its own identity and one address: how a gateway fares with thousands of peers.
//!
//! [`rules`] says what both sides want, [`crowd`] are the initiators without sockets, [`wire`] gives them some, and
//! [`papers`] are certificates.

mod crowd;
mod papers;
mod rules;
mod wire;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use anyhow::{Result, ensure};

pub use crowd::{Crowd, Datagram};
pub use papers::Papers;
pub use rules::{first_message, responder};
pub use wire::Wire;

/// Initiators have addresses from here on, behind them.
pub const NETWORK: Ipv4Addr = Ipv4Addr::new(172, 16, 0, 0);
/// IKE's port.
pub const PORT: u16 = 500;
/// Where IKE goes on once a NAT is found.
pub const FLOATED: u16 = 4500;
/// Who every initiator says to be that has a certificate: one serves for all.
pub const CERTIFIED: &str = "site.example";

/// How both sides agree on keys and prove who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    /// X25519, and a shared key.
    SharedKey,
    /// X25519, and a certificate with ECDSA P-256 on each side.
    Certificate,
    /// X25519 with ML-KEM-768 on top, and a shared key.
    PostQuantum,
    /// MODP-2048, and a shared key.
    Modp,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::SharedKey, Self::Certificate, Self::PostQuantum, Self::Modp];

    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            Self::SharedKey => "X25519, PSK",
            Self::Certificate => "X25519, ECDSA-256",
            Self::PostQuantum => "X25519+ML-KEM-768, PSK",
            Self::Modp => "MODP-2048, PSK",
        }
    }

    /// For the command line and for scripts.
    pub fn word(self) -> &'static str {
        match self {
            Self::SharedKey => "shared-key",
            Self::Certificate => "certificate",
            Self::PostQuantum => "post-quantum",
            Self::Modp => "modp",
        }
    }
}

/// Whom they come to, and how.
#[derive(Debug, Clone, clap::Args)]
pub struct Target {
    /// Our ends, of which initiators take turns: gateways limit what comes from one address.
    #[arg(long, required = true)]
    pub from: Vec<IpAddr>,
    /// The gateway's end.
    #[arg(long)]
    pub to: IpAddr,
    /// Identity of the gateway, a name.
    #[arg(long)]
    pub gateway: String,
    /// What all of them share with it.
    #[arg(long)]
    pub secret: String,
    /// Traffic on the gateway's side, a /24.
    #[arg(long)]
    pub network: Ipv4Addr,
    /// How keys are agreed on, and how each proves itself.
    #[arg(long, value_enum, default_value_t = Kind::SharedKey)]
    pub kind: Kind,
    /// Folder with the certificates, see [`Papers`].
    #[arg(long, required_if_eq("kind", "certificate"))]
    pub papers: Option<PathBuf>,
}

impl Target {
    /// Where initiator `number` and the gateway speak to each other at first.
    pub fn ends(&self, number: u32) -> Result<(SocketAddr, SocketAddr)> {
        ensure!(!self.from.is_empty(), "initiators need an address");
        let from = self.from[number as usize % self.from.len()];
        Ok((SocketAddr::new(from, PORT), SocketAddr::new(self.to, PORT)))
    }
}
