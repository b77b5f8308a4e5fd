//! Building the path to a trust anchor (by rustls-webpki), and naming the reason when there is none.

use std::cell::RefCell;

use rustls_pki_types::{CertificateDer, SignatureVerificationAlgorithm, UnixTime};
use webpki::{EndEntityCert, Error, VerifiedPath};

use super::link::Link;
use super::{Anchors, Refusal, Requirements, dn, purpose};
use crate::verify::signature::SignatureProblem;

/// The path from the leaf, `links[0]`, to a trust anchor. Of several the first that passes all checks.
pub(super) fn build(
    links: &[Link],
    leaf: &EndEntityCert<'_>,
    anchors: &Anchors,
    requirements: &Requirements,
    now: UnixTime,
) -> Result<Vec<Link>, Refusal> {
    let others: Vec<CertificateDer<'_>> = links[1..].iter().map(Link::der).collect();
    // What our own checks said of a candidate: the library only learns that it is refused, and tries the next.
    let outcome: RefCell<Option<Result<Vec<Link>, Refusal>>> = RefCell::new(None);
    let judge = |candidate: &VerifiedPath<'_>| {
        let judged = judge(&links[0], candidate, anchors, requirements, now);
        let accepted = judged.is_ok();
        let mut outcome = outcome.borrow_mut();
        if accepted || outcome.is_none() {
            *outcome = Some(judged);
        }
        if accepted { Ok(()) } else { Err(Error::UnknownIssuer) }
    };
    let algorithms = anchors.known().algorithms();
    let algorithms: Vec<&dyn SignatureVerificationAlgorithm> =
        algorithms.iter().map(|one| one as _).collect();
    let found = leaf.verify_for_usage(
        &algorithms,
        anchors.ready(),
        &others,
        now,
        requirements.purpose,
        None,
        Some(&judge),
    );
    let error = found.err();
    match (outcome.into_inner(), error) {
        (Some(Ok(path)), None) => Ok(path),
        (Some(Err(refusal)), _) => Err(refusal),
        (_, error) => Err(reason(links, anchors, requirements, now, error.unwrap_or(Error::UnknownIssuer))),
    }
}

/// Our own demands on a path whose signatures, dates and constraints hold.
fn judge(
    leaf: &Link,
    candidate: &VerifiedPath<'_>,
    anchors: &Anchors,
    requirements: &Requirements,
    now: UnixTime,
) -> Result<Vec<Link>, Refusal> {
    let mut path = vec![leaf.clone()];
    for authority in candidate.intermediate_certificates() {
        path.push(Link::read(&authority.der(), "an authority of the chain")?);
    }
    let unknown = || Refusal::Untrusted { authority: leaf.issuer().to_string() };
    let anchor = anchors.link(candidate.anchor()).ok_or_else(unknown)?;
    anchor.check_time(now)?;
    path.push(anchor.clone());
    for authority in &path[1..] {
        authority.check_key(requirements.rsa_floor)?;
    }
    for authority in &path[1..] {
        // A pinned certificate that signed itself is its own anchor, and no authority.
        if authority.der() != leaf.der() {
            purpose::check_authority(authority)?;
        }
    }
    Ok(path)
}

/// The library's error as the one reason that an operator can act on.
fn reason(
    links: &[Link],
    anchors: &Anchors,
    requirements: &Requirements,
    now: UnixTime,
    error: Error,
) -> Refusal {
    let leaf = &links[0];
    let subject = leaf.words();
    match error {
        Error::CertExpired { .. } | Error::CertNotValidYet { .. } => {
            let late = links.iter().find_map(|link| link.check_time(now).err());
            late.unwrap_or(Refusal::BrokenChain { subject, problem: error.to_string() })
        }
        // `Purpose` reports a missing extended key usage by this error.
        Error::EmptyEkuExtension => Refusal::WrongUsage {
            subject,
            problem: format!(
                "no extended key usage for {} in it or in an authority above it",
                requirements.purpose
            ),
        },
        Error::CaUsedAsEndEntity => Refusal::WrongUsage {
            subject,
            problem: "it is an authority's certificate, not a peer's".to_owned(),
        },
        Error::EndEntityUsedAsCa => Refusal::WrongUsage {
            subject: not_authority(links),
            problem: "it issued a certificate, and is no authority".to_owned(),
        },
        Error::NameConstraintViolation => Refusal::NameConstraint { subject },
        Error::PathLenConstraintViolated => Refusal::BrokenChain {
            subject,
            problem: "more authorities below one than its path length allows".to_owned(),
        },
        Error::UnknownIssuer
        | Error::InvalidSignatureForPublicKey
        | Error::UnsupportedSignatureAlgorithmContext(_)
        | Error::UnsupportedSignatureAlgorithmForPublicKeyContext(_) => {
            where_it_breaks(links, anchors, requirements.rsa_floor)
        }
        Error::MaximumPathDepthExceeded
        | Error::MaximumSignatureChecksExceeded
        | Error::MaximumPathBuildCallsExceeded
        | Error::MaximumNameConstraintComparisonsExceeded => {
            Refusal::BrokenChain { subject, problem: "too many ways to build a path".to_owned() }
        }
        other => Refusal::Malformed { what: subject, problem: other.to_string() },
    }
}

fn not_authority(links: &[Link]) -> String {
    let found = links[1..].iter().find(|link| !link.is_authority());
    found.unwrap_or(&links[0]).words()
}

/// Walks up from the leaf, one issuer a step, to the link that does not hold.
fn where_it_breaks(links: &[Link], anchors: &Anchors, rsa_floor: u16) -> Refusal {
    let mut at = &links[0];
    for _ in 0..links.len() {
        if let Err(refusal) = at.check_method().and_then(|()| at.check_key(rsa_floor)) {
            return refusal;
        }
        let presented =
            links.iter().filter(|link| dn::equal(link.subject(), at.issuer()) && link.der() != at.der());
        let mut failure = None;
        let mut above = None;
        for (issuer, trusted) in
            anchors.issuers_of(at).map(|anchor| (anchor, true)).chain(presented.map(|link| (link, false)))
        {
            match checked(at, issuer, rsa_floor) {
                Ok(()) if trusted => {
                    return Refusal::BrokenChain {
                        subject: at.words(),
                        problem: "no path holds as a whole".to_owned(),
                    };
                }
                Ok(()) => above = Some(issuer),
                Err(refusal) => failure = Some(refusal),
            }
        }
        match (above, failure) {
            (Some(issuer), _) => at = issuer,
            (None, Some(refusal)) => return refusal,
            (None, None) if at.is_self_issued() => return Refusal::Untrusted { authority: at.words() },
            (None, None) => {
                let problem = format!("its issuer {} was not sent, and is no trust anchor", at.issuer());
                return Refusal::BrokenChain { subject: at.words(), problem };
            }
        }
    }
    Refusal::BrokenChain { subject: at.words(), problem: "its authorities issued each other".to_owned() }
}

/// Whether `issuer` has a fit key and signed `link`.
fn checked(link: &Link, issuer: &Link, rsa_floor: u16) -> Result<(), Refusal> {
    issuer.check_key(rsa_floor)?;
    link.is_signed_by(issuer).map_err(|problem| match problem {
        SignatureProblem::Algorithm(_) => {
            Refusal::WeakSignature { subject: link.words(), problem: problem.to_string() }
        }
        _ => Refusal::BrokenChain {
            subject: link.words(),
            problem: format!("its issuer's certificate {} is there, and {problem}", issuer.words()),
        },
    })
}
