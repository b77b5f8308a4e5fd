//! Standing orders: certificates that are renewed by themselves.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use rustls_pki_types::CertificateDer;
use serde::{Deserialize, Serialize};

use super::{AcmeServer, Wish, due_at, obtain};
use crate::beside;
use crate::certificate::Certificate;
use crate::io::Challenges;
use crate::issue::parse_alternative_name;
use crate::name::{Place, RingName};
use crate::signer::Signer;
use crate::store::Rings;
use crate::verify::Anchors;
use crate::{Error, Result};

/// How long one step of an order may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// A certificate that an ACME server makes, and makes anew when a third of its life is left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// Address of the server's directory.
    pub directory: String,
    /// Host names (`dns:`) and addresses (`ip:`).
    pub names: Vec<String>,
    /// Kind of its keys.
    pub key: String,
    /// Where the challenges are answered; the server asks on port 80.
    pub listen: SocketAddr,
    /// Certificate (PEM) that the server's web server is believed by; the system's when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<PathBuf>,
    /// Mailboxes that the server may write to, as `mailto:ops@example`.
    #[serde(default)]
    pub contact: Vec<String>,
    /// Rings whose trust anchors the certificate must lead to, beside those of its own.
    #[serde(default)]
    pub trust: Vec<RingName>,
    /// Where the certificate lies.
    pub place: Place,
}

/// All standing orders, in a file beside the rings.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Orders {
    /// In the order in which they were given.
    #[serde(default)]
    pub order: Vec<Order>,
}

impl Order {
    /// When its time to be renewed comes, in seconds since 1970; at once while there is no certificate.
    pub fn due_at(&self, rings: &Rings) -> Result<u64> {
        let ring = rings.open(&self.place.ring)?;
        Ok(ring.entry(&self.place.label).map_or(0, |entry| due_at(entry.certificate())))
    }

    /// Gets the certificate into its place.
    pub async fn run(&self, rings: &Rings, signer: &Signer, clock: impl Fn() -> u64) -> Result<Certificate> {
        let names = self.names.iter().map(|name| parse_alternative_name(name)).collect::<Result<_>>()?;
        let wish = Wish { place: self.place.clone(), names, kind: self.key.parse()? };
        let server = AcmeServer {
            directory: self.directory.clone(),
            root: self.root.clone(),
            contact: self.contact.clone(),
            patience: PATIENCE,
        };
        let mut anchors = Anchors::none();
        for name in self.trust.iter().chain([&self.place.ring]) {
            for certificate in rings.open(name)?.trust_anchors() {
                if let Err(refusal) = anchors.add(&CertificateDer::from(certificate.der())) {
                    ravelin_events::tell!(ANCHOR_REFUSED, ring = %name, problem = %refusal);
                }
            }
        }
        if anchors.is_empty() {
            let rings = "connect or import the authority's root, or name a ring that has it";
            return Err(Error::Unfit(format!("no trust anchor to hold the certificate against: {rings}")));
        }
        let listening = |e| Error::Unfit(format!("cannot listen on {} for challenges: {e}", self.listen));
        let challenges = Challenges::listen(self.listen).await.map_err(listening)?;
        obtain(rings, signer, &wish, &server, &challenges, &anchors, clock).await
    }
}

impl Orders {
    /// Adds an order, in place of an older one for the same certificate.
    pub fn put(&mut self, order: Order) {
        self.order.retain(|known| known.place != order.place);
        self.order.push(order);
    }

    /// Removes the order for a certificate; says whether there was one.
    pub fn remove(&mut self, place: &Place) -> bool {
        let before = self.order.len();
        self.order.retain(|known| known.place != *place);
        self.order.len() < before
    }

    /// Reads the text of the file `what`.
    pub fn parse(what: &str, text: &str) -> Result<Self> {
        beside::parse(what, text)
    }

    /// The orders beside the rings; none when there is no file.
    pub fn load(rings: &Rings) -> Result<Self> {
        beside::load(&path(rings), Self::parse)
    }

    /// Changes them; others wait meanwhile, and a power cut leaves the old ones.
    pub fn change<T>(rings: &Rings, work: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        beside::change(rings, &path(rings), Self::parse, work)
    }
}

fn path(rings: &Rings) -> PathBuf {
    rings.root().join(".acme.toml")
}
