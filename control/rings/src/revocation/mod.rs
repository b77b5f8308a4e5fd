//! Whether certificates were taken back: stapled responses, OCSP (RFC 6960) and CRLs (RFC 5280 5), off, soft or hard.

mod cache;
mod crl;
mod lookup;
mod ocsp;
mod status;

use rustls_pki_types::UnixTime;

pub use cache::{Cache, CacheLimits};
pub use crl::Crl;
pub use lookup::{Fetch, FetchError, Lookup, Method, verify_online};
pub use ocsp::{Nonce, request as ocsp_request};
pub use status::{Status, reason_words};

use crate::verify::Refusal;
use crate::verify::link::Link;

/// How much must be known (rows A52 to A55).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Nothing is asked.
    Off,
    /// What is known to be revoked is refused; what is not known passes.
    Soft,
    /// Only what is known to be good passes.
    Hard,
}

/// Where an answer may come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// What the peer stapled.
    Staple,
    /// The OCSP responder that the certificate names.
    Ocsp,
    /// CRLs: files first, then the distribution points that the certificate names.
    Crl,
}

/// How revocation is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevocationPolicy {
    /// How much must be known.
    pub mode: Mode,
    /// Which sources are used, in this order.
    pub order: Vec<Source>,
    /// Whether authorities of the chain are looked at too, not only the peer.
    pub whole_chain: bool,
    /// Whether a responder must repeat the nonce of the request (RFC 9654). Many prepare their answers, and cannot.
    pub nonce_required: bool,
    /// How many addresses of one extension are tried.
    pub most_addresses: usize,
}

impl RevocationPolicy {
    /// The usual order: staple, OCSP, CRL, for the whole chain.
    pub fn new(mode: Mode) -> Self {
        Self {
            mode,
            order: vec![Source::Staple, Source::Ocsp, Source::Crl],
            whole_chain: true,
            nonce_required: false,
            most_addresses: 3,
        }
    }

    /// Nothing is asked.
    pub fn off() -> Self {
        Self::new(Mode::Off)
    }
}

/// Looks at every certificate of a path but its anchor. Gives what could be asked where nothing is known.
pub(crate) fn check(
    path: &[Link],
    stapled: Option<&[u8]>,
    policy: &RevocationPolicy,
    now: UnixTime,
    cache: &Cache,
) -> Result<Vec<Lookup>, Refusal> {
    let mut wanted = Vec::new();
    if policy.mode == Mode::Off {
        return Ok(wanted);
    }
    let depth = if policy.whole_chain { path.len() } else { path.len().min(2) };
    for (at, pair) in path[..depth].windows(2).enumerate() {
        let [certificate, issuer] = pair else { continue };
        // A pinned certificate that signed itself is trusted as it is.
        if certificate.der() == issuer.der() {
            continue;
        }
        let stapled = stapled.filter(|_| at == 0);
        let question = Question { certificate, issuer, stapled, policy, now, cache };
        question.decide(&mut wanted)?;
    }
    Ok(wanted)
}

/// One certificate under its issuer.
struct Question<'a> {
    certificate: &'a Link,
    issuer: &'a Link,
    stapled: Option<&'a [u8]>,
    policy: &'a RevocationPolicy,
    now: UnixTime,
    cache: &'a Cache,
}

impl Question<'_> {
    fn decide(&self, wanted: &mut Vec<Lookup>) -> Result<(), Refusal> {
        let mut problems = Vec::new();
        for source in &self.policy.order {
            match self.ask(*source) {
                Status::Good => return Ok(()),
                Status::Revoked { at, reason } => {
                    let subject = self.certificate.words();
                    return Err(Refusal::Revoked { subject, reason: reason_words(reason), at });
                }
                Status::Unknown(problem) => problems.extend(problem),
            }
        }
        let lookups = lookup::for_certificate(self.certificate, self.issuer, self.policy);
        if self.policy.mode == Mode::Soft {
            wanted.extend(lookups);
            return Ok(());
        }
        if problems.is_empty() {
            problems.push("no source has an answer".to_owned());
        }
        let problem = problems.join("; ");
        Err(Refusal::RevocationUnknown { subject: self.certificate.words(), problem, wanted: lookups })
    }

    fn ask(&self, source: Source) -> Status {
        match source {
            Source::Staple => match self.stapled {
                None => Status::Unknown(None),
                Some(response) => {
                    ocsp::judge(response, self.certificate, self.issuer, None, false, self.now, self.cache)
                        .map_or_else(
                            |problem| Status::Unknown(Some(format!("stapled response: {problem}"))),
                            |answer| answer.status,
                        )
                }
            },
            Source::Ocsp => self.cache.ocsp(self.certificate, self.issuer, self.now),
            Source::Crl => self.cache.crl(self.certificate, self.issuer, self.now),
        }
    }
}
