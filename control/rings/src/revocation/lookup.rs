//! What to ask of whom when nothing is known, and asking it through whoever can reach the network.

use std::future::Future;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use rustls_pki_types::UnixTime;
use x509_cert::ext::pkix::name::{DistributionPointName, GeneralName};
use x509_cert::ext::pkix::{AuthorityInfoAccessSyntax, CrlDistributionPoints};

use super::cache::Cache;
use super::ocsp::{self, Nonce};
use super::{RevocationPolicy, Source};
use crate::verify::link::Link;
use crate::verify::{Anchors, Presented, Refusal, Requirements, Verified, verify};

const OCSP_ACCESS: der::asn1::ObjectIdentifier =
    der::asn1::ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.1");

/// How an address is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Method {
    /// A plain GET, for CRLs.
    Get,
    /// An OCSP request (RFC 6960 A.1): by GET when it is short and needs no nonce, so that caches can answer, else by POST.
    Ocsp,
}

/// One question that may be asked of the network.
#[derive(Debug, Clone)]
pub struct Lookup {
    /// Where.
    pub url: String,
    /// How.
    pub method: Method,
    certificate: Box<Link>,
    issuer: Box<Link>,
    nonce_required: bool,
}

impl PartialEq for Lookup {
    fn eq(&self, other: &Self) -> bool {
        (&self.url, &self.method, &self.certificate) == (&other.url, &other.method, &other.certificate)
    }
}

impl Eq for Lookup {}

/// Why an address gave no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{url}: {problem}")]
pub struct FetchError {
    /// Where it was asked.
    pub url: String,
    /// What happened.
    pub problem: String,
}

/// Whoever can reach the network: asks an address, with limits of time, size and place of its own.
pub trait Fetch: Sync {
    /// The body of a good answer. With `body` it is a POST of an OCSP request.
    fn fetch(
        &self,
        url: &str,
        body: Option<Vec<u8>>,
    ) -> impl Future<Output = Result<Vec<u8>, FetchError>> + Send;
}

/// Whom a certificate names for questions, in the order of the policy.
pub(super) fn for_certificate(certificate: &Link, issuer: &Link, policy: &RevocationPolicy) -> Vec<Lookup> {
    let mut found = Vec::new();
    for source in &policy.order {
        let (method, urls) = match source {
            Source::Staple => continue,
            Source::Ocsp => (Method::Ocsp, responders(certificate)),
            Source::Crl => (Method::Get, distribution_points(certificate)),
        };
        found.extend(urls.into_iter().take(policy.most_addresses).map(|url| Lookup {
            url,
            method: method.clone(),
            certificate: Box::new(certificate.clone()),
            issuer: Box::new(issuer.clone()),
            nonce_required: policy.nonce_required,
        }));
    }
    found
}

/// OCSP responders of authorityInfoAccess (RFC 5280 4.2.2.1).
fn responders(certificate: &Link) -> Vec<String> {
    let access =
        certificate.extension::<AuthorityInfoAccessSyntax>().map(|access| access.0).unwrap_or_default();
    let responders = access.into_iter().filter(|one| one.access_method == OCSP_ACCESS);
    responders.filter_map(|one| web_address(&one.access_location)).collect()
}

/// HTTP addresses of cRLDistributionPoints (RFC 5280 4.2.1.13), those for all reasons and of the issuer itself.
pub(super) fn distribution_points(certificate: &Link) -> Vec<String> {
    let points = certificate.extension::<CrlDistributionPoints>().map(|points| points.0).unwrap_or_default();
    let whole = points.into_iter().filter(|point| point.reasons.is_none() && point.crl_issuer.is_none());
    let names = whole.filter_map(|point| match point.distribution_point {
        Some(DistributionPointName::FullName(names)) => Some(names),
        _ => None,
    });
    names.flatten().filter_map(|name| web_address(&name)).collect()
}

fn web_address(name: &GeneralName) -> Option<String> {
    match name {
        GeneralName::UniformResourceIdentifier(uri) if uri.as_str().starts_with("http://") => {
            Some(uri.as_str().to_owned())
        }
        _ => None,
    }
}

impl Lookup {
    /// Asks, judges the answer, and keeps it when it is good.
    pub async fn ask(&self, fetch: &impl Fetch, cache: &Cache, now: UnixTime) -> Result<(), FetchError> {
        let failed = |problem: String| FetchError { url: self.url.clone(), problem };
        match self.method {
            Method::Get => {
                let octets = fetch.fetch(&self.url, None).await?;
                cache.admit_crl(&octets, &self.issuer, now).map_err(failed)
            }
            Method::Ocsp => {
                let nonce = self.nonce()?;
                let request = ocsp::request_for(&self.certificate, &self.issuer, nonce.as_ref())
                    .map_err(|e| failed(e.to_string()))?;
                let response = match nonce {
                    None => fetch.fetch(&get_address(&self.url, &request), None).await?,
                    Some(_) => fetch.fetch(&self.url, Some(request)).await?,
                };
                let (certificate, issuer) = (&self.certificate, &self.issuer);
                let nonce = nonce.as_ref();
                let judged =
                    ocsp::judge(&response, certificate, issuer, nonce, self.nonce_required, now, cache);
                cache.admit_answer(certificate, issuer, judged.map_err(failed)?, now);
                Ok(())
            }
        }
    }

    fn nonce(&self) -> Result<Option<Nonce>, FetchError> {
        if !self.nonce_required {
            return Ok(None);
        }
        let mut nonce: Nonce = [0; 32];
        aws_lc_rs::rand::fill(&mut nonce)
            .map_err(|_| FetchError { url: self.url.clone(), problem: "no random numbers".to_owned() })?;
        Ok(Some(nonce))
    }
}

/// The address of a request by GET (RFC 6960 A.1): base64, with what an address may not hold escaped.
fn get_address(url: &str, request: &[u8]) -> String {
    let encoded = BASE64_STANDARD.encode(request);
    let escaped = encoded.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
    format!("{}/{escaped}", url.trim_end_matches('/'))
}

/// [`verify`], and once more after asking whatever could tell more. What each address said wrong is logged.
pub async fn verify_online(
    presented: Presented<'_>,
    anchors: &Anchors,
    requirements: &Requirements,
    now: UnixTime,
    cache: &Cache,
    fetch: &impl Fetch,
) -> Result<Verified, Refusal> {
    let first = verify(presented, anchors, requirements, now, cache);
    let mut outcome = first;
    // Hard stops at the first certificate that is not known, so every certificate of a path may take a round.
    for _ in 0..presented.chain.len() {
        let wanted = match &outcome {
            Ok(verified) => verified.wanted.clone(),
            Err(Refusal::RevocationUnknown { wanted, .. }) => wanted.clone(),
            Err(_) => return outcome,
        };
        if wanted.is_empty() || !ask_all(&wanted, fetch, cache, now).await {
            return outcome;
        }
        outcome = verify(presented, anchors, requirements, now, cache);
    }
    outcome
}

/// Asks in order, one good answer for each certificate. Says whether there was any.
async fn ask_all(wanted: &[Lookup], fetch: &impl Fetch, cache: &Cache, now: UnixTime) -> bool {
    let mut answered: Vec<&Link> = Vec::new();
    for lookup in wanted {
        if answered.iter().any(|done| done.der() == lookup.certificate.der()) {
            continue;
        }
        match lookup.ask(fetch, cache, now).await {
            Ok(()) => answered.push(&lookup.certificate),
            Err(error) => {
                ravelin_events::tell!(REVOCATION_SOURCE, url = error.url, problem = error.problem);
            }
        }
    }
    !answered.is_empty()
}
