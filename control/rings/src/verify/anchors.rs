//! The authorities that are trusted.

use std::sync::Arc;

use rustls_pki_types::{CertificateDer, TrustAnchor};
use webpki::anchor_from_trusted_cert;

use super::dn;
use super::known::Known;
use super::link::Link;
use super::refusal::Refusal;

/// Certificates of trusted authorities, ready for use.
#[derive(Debug, Clone, Default)]
pub struct Anchors {
    ready: Vec<TrustAnchor<'static>>,
    links: Vec<Link>,
    /// What was found good on the ways to them.
    known: Arc<Known>,
}

impl Anchors {
    /// None: everything is refused.
    pub fn none() -> Self {
        Self::default()
    }

    /// Adds a certificate that is trusted from now on.
    pub fn add(&mut self, certificate: &CertificateDer<'_>) -> Result<(), Refusal> {
        let link = Link::read(certificate, "a trust anchor")?;
        let anchor = anchor_from_trusted_cert(certificate)
            .map_err(|e| Refusal::Malformed { what: link.words(), problem: e.to_string() })?;
        self.ready.push(anchor.to_owned());
        self.links.push(link);
        Ok(())
    }

    /// All of these.
    pub fn from_certificates<'a>(
        certificates: impl IntoIterator<Item = &'a CertificateDer<'a>>,
    ) -> Result<Self, Refusal> {
        let mut anchors = Self::none();
        certificates.into_iter().try_for_each(|certificate| anchors.add(certificate))?;
        Ok(anchors)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.links.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.links.is_empty()
    }

    pub(super) fn ready(&self) -> &[TrustAnchor<'static>] {
        &self.ready
    }

    pub(super) fn known(&self) -> &Known {
        &self.known
    }

    /// The certificate behind an anchor that ended a path.
    pub(super) fn link(&self, anchor: &TrustAnchor<'_>) -> Option<&Link> {
        let same = |known: &TrustAnchor<'_>| {
            known.subject == anchor.subject && known.subject_public_key_info == anchor.subject_public_key_info
        };
        let at = self.ready.iter().position(same)?;
        self.links.get(at)
    }

    /// Authorities of the name that issued `link`.
    pub(super) fn issuers_of<'a>(&'a self, link: &'a Link) -> impl Iterator<Item = &'a Link> {
        self.links.iter().filter(|anchor| dn::equal(anchor.subject(), link.issuer()))
    }
}
