//! Whether a peer's certificate is believed: path (RFC 5280 6), names, usage, strength of keys, revocation. No I/O, no clock.

mod anchors;
pub(crate) mod dn;
mod known;
pub(crate) mod link;
pub(crate) mod name;
mod path;
mod purpose;
mod refusal;
pub mod signature;

use rustls_pki_types::{CertificateDer, UnixTime};
use webpki::EndEntityCert;
use x509_cert::name::Name;

pub use anchors::Anchors;
pub use name::PeerName;
pub use purpose::Purpose;
pub use refusal::Refusal;

use crate::certificate::Certificate;
use crate::revocation::{self, Cache, Lookup, RevocationPolicy};
use link::Link;

/// The longest chain that is looked at; more is a way to keep us busy.
pub const MOST_CERTIFICATES: usize = 16;

/// Below this RSA keys are refused whatever is configured: the signature library does not take them.
pub const RSA_FLOOR: u16 = 2048;

/// What the peer showed.
#[derive(Debug, Clone, Copy)]
pub struct Presented<'a> {
    /// Its certificate first, then others in any order.
    pub chain: &'a [CertificateDer<'a>],
    /// The OCSP response it stapled (RFC 6066 8), if any.
    pub stapled: Option<&'a [u8]>,
}

/// What the verifier asks of every chain.
#[derive(Debug, Clone)]
pub struct Requirements {
    /// What the certificate is wanted for.
    pub purpose: Purpose,
    /// Who the peer must be; `None` when somebody else decides by the verified names.
    pub name: Option<PeerName>,
    /// The smallest RSA modulus in bits; at least [`RSA_FLOOR`].
    pub rsa_floor: u16,
    /// How revocation is looked at.
    pub revocation: RevocationPolicy,
}

impl Requirements {
    /// For this purpose and name, with the usual strength, and revocation as given.
    pub fn new(purpose: Purpose, name: Option<PeerName>, revocation: RevocationPolicy) -> Self {
        Self { purpose, name, rsa_floor: RSA_FLOOR, revocation }
    }
}

/// A chain that is believed.
#[derive(Debug, Clone)]
pub struct Verified {
    path: Vec<Link>,
    /// What could tell more of revocation than is known: to be asked, then verify again. Empty with `hard`.
    pub wanted: Vec<Lookup>,
}

impl Verified {
    /// DER of the path, from the peer's certificate to the trust anchor.
    pub fn path(&self) -> impl Iterator<Item = CertificateDer<'_>> {
        self.path.iter().map(Link::der)
    }

    /// The peer's subject.
    pub fn subject(&self) -> &Name {
        self.path[0].subject()
    }

    /// The peer's SubjectPublicKeyInfo.
    pub fn public_key(&self) -> Vec<u8> {
        self.path[0].spki()
    }

    /// When the first certificate of the path expires, in seconds since 1970.
    pub fn not_after(&self) -> u64 {
        self.path.iter().map(Link::not_after).min().unwrap_or(0)
    }
}

/// Judges a chain at the moment `now`. The one entry for IKE, TLS and the command.
pub fn verify(
    presented: Presented<'_>,
    anchors: &Anchors,
    requirements: &Requirements,
    now: UnixTime,
    cache: &Cache,
) -> Result<Verified, Refusal> {
    let links = read(presented.chain)?;
    let leaf = &links[0];
    leaf.check_time(now)?;
    leaf.check_key(requirements.rsa_floor.max(RSA_FLOOR))?;
    leaf.check_method()?;
    let der = leaf.der();
    let parsed = EndEntityCert::try_from(&der)
        .map_err(|e| Refusal::Malformed { what: leaf.words(), problem: e.to_string() })?;
    let path = path::build(&links, &parsed, anchors, requirements, now)?;
    purpose::check_leaf(leaf, requirements.purpose)?;
    if let Some(wanted) = &requirements.name {
        name::check(leaf, wanted, requirements.purpose)?;
    }
    let wanted = revocation::check(&path, presented.stapled, &requirements.revocation, now, cache)?;
    Ok(Verified { path, wanted })
}

/// Whether a certificate is for `name` in IKE. Says nothing of whether to believe it.
pub fn speaks_for(certificate: &Certificate, name: &PeerName) -> bool {
    name::matches(&Link::of(certificate), name, Purpose::Ike)
}

fn read(chain: &[CertificateDer<'_>]) -> Result<Vec<Link>, Refusal> {
    let malformed = |problem: String| Refusal::Malformed { what: "the peer's chain".to_owned(), problem };
    if chain.is_empty() {
        return Err(malformed("it has no certificate".to_owned()));
    }
    if chain.len() > MOST_CERTIFICATES {
        return Err(malformed(format!("more than {MOST_CERTIFICATES} certificates")));
    }
    chain
        .iter()
        .enumerate()
        .map(|(at, der)| Link::read(der, &format!("certificate {} of the chain", at + 1)))
        .collect()
}

/// Reads a distinguished name as RFC 4514 writes it: `CN=gw.example,O=Example`.
pub fn parse_name(text: &str) -> Result<Name, String> {
    let name: Name = text.parse().map_err(|_| {
        format!("{text:?} is no distinguished name; write it like \"CN=gw.example,O=Example,C=DE\"")
    })?;
    match name.is_empty() {
        true => Err("the distinguished name is empty; write at least CN=..".to_owned()),
        false => Ok(name),
    }
}
