//! Whether the peer's certificate is believed: the judge of the rings, asked by rustls.

use std::sync::Arc;
use std::time::Duration;

use ravelin_rings::certificate::Certificate;
use ravelin_rings::map::Rules;
use ravelin_rings::revocation::Cache;
use ravelin_rings::ring::{Trust as Mark, Usage};
use ravelin_rings::verify::{Anchors, Presented, Purpose, Refusal, Requirements, verify};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use x509_cert::der::Encode;

use crate::environment::{Doors, SettingsError, rules};
use crate::provider::{rustls_scheme, verification};
use crate::scope::{self, Judged, Refused};
use crate::settings::{ClientAuth, Pick, Settings, Trust};

/// Judges certificates of peers.
#[derive(Debug)]
pub(crate) struct Judge {
    /// By what; nothing where certificates are handed on unjudged.
    measure: Option<Measure>,
    mandatory: bool,
    schemes: Vec<SignatureScheme>,
    algorithms: WebPkiSupportedAlgorithms,
}

#[derive(Debug)]
struct Measure {
    anchors: Anchors,
    requirements: Requirements,
    cache: Arc<Cache>,
    /// Names of the anchors: which authorities a client may show certificates of.
    hints: Vec<DistinguishedName>,
    /// Rules by which a certificate must stand for an identity.
    rules: Option<Rules>,
}

impl Judge {
    /// Of servers that we ask.
    pub(crate) fn of_servers(
        settings: &Settings,
        trust: &Trust,
        doors: &Doors,
    ) -> Result<Self, SettingsError> {
        let measure = Measure::new(trust, Purpose::TlsServer, None, doors)?;
        Ok(Self::new(settings, Some(measure), true))
    }

    /// Of clients, at one of the levels that ask for a certificate.
    pub(crate) fn of_clients(
        settings: &Settings,
        level: &ClientAuth,
        doors: &Doors,
    ) -> Result<Self, SettingsError> {
        let rules = match level {
            ClientAuth::Mapped(_) => Some(rules(doors)?),
            _ => None,
        };
        let measure = level.trust().map(|trust| Measure::new(trust, Purpose::TlsClient, rules, doors));
        let mandatory = matches!(level, ClientAuth::Required(_) | ClientAuth::Mapped(_));
        Ok(Self::new(settings, measure.transpose()?, mandatory))
    }

    fn new(settings: &Settings, measure: Option<Measure>, mandatory: bool) -> Self {
        let schemes = settings.schemes.iter().map(|scheme| rustls_scheme(*scheme)).collect();
        Self { measure, mandatory, schemes, algorithms: verification() }
    }

    /// Judges for the connection that is driven, at the time that it was given. Where certificates are not judged all pass.
    pub(crate) fn judge(&self, chain: &[CertificateDer<'_>], stapled: &[u8]) -> Result<(), Error> {
        let Some(measure) = &self.measure else { return Ok(()) };
        let (name, unix) = scope::notes(|notes| (notes.expected.clone(), notes.unix));
        let requirements = Requirements { name, ..measure.requirements.clone() };
        let stapled = (!stapled.is_empty()).then_some(stapled);
        let now = UnixTime::since_unix_epoch(Duration::from_secs(unix));
        let presented = Presented { chain, stapled };
        let verified = verify(presented, &measure.anchors, &requirements, now, &measure.cache)
            .map_err(|refusal| refuse(&refusal))?;
        let subject = verified.subject().to_string();
        let identity = match &measure.rules {
            Some(rules) => Some(map(rules, chain, &subject)?),
            None => None,
        };
        let judged = Judged { subject, identity, not_after: verified.not_after(), wanted: verified.wanted };
        scope::notes(|notes| notes.judged = Some(judged));
        Ok(())
    }
}

impl Measure {
    fn new(
        trust: &Trust,
        purpose: Purpose,
        rules: Option<Rules>,
        doors: &Doors,
    ) -> Result<Self, SettingsError> {
        let (mut anchors, mut hints) = (Anchors::none(), Vec::new());
        for pick in &trust.anchors {
            for certificate in trusted(doors, pick)? {
                let broken = |why: String| SettingsError::Ring(pick.to_string(), why);
                anchors
                    .add(&CertificateDer::from(certificate.der()))
                    .map_err(|refusal| broken(refusal.to_string()))?;
                let subject = certificate.parts().subject().to_der();
                hints.push(DistinguishedName::from(subject.map_err(|error| broken(error.to_string()))?));
            }
        }
        let mut requirements = Requirements::new(purpose, None, trust.revocation.clone());
        requirements.rsa_floor = requirements.rsa_floor.max(trust.rsa_floor);
        let cache = Arc::clone(&doors.revocation);
        Ok(Self { anchors, requirements, cache, hints, rules })
    }
}

/// The trust anchors of a pick; never none.
fn trusted(doors: &Doors, pick: &Pick) -> Result<Vec<Certificate>, SettingsError> {
    let ring = doors
        .rings
        .open(&pick.ring)
        .map_err(|error| SettingsError::Ring(pick.to_string(), error.to_string()))?;
    let named = |label: &_| pick.label.as_ref().is_none_or(|wanted| wanted == label);
    let believed = ring.entries.iter().filter(|entry| {
        entry.usage == Usage::TrustAnchor && entry.trust == Mark::Trusted && named(&entry.label)
    });
    let found: Vec<_> = believed.map(|entry| entry.certificate().clone()).collect();
    if found.is_empty() { Err(SettingsError::NoAnchor(pick.to_string())) } else { Ok(found) }
}

/// The identity that a verified certificate stands for.
fn map(rules: &Rules, chain: &[CertificateDer<'_>], subject: &str) -> Result<String, Error> {
    let read = chain.first().and_then(|leaf| Certificate::from_der(leaf).ok());
    let found = read.as_ref().and_then(|leaf| rules.find(leaf));
    match found {
        Some(found) => Ok(found.rule.identity.clone()),
        None => {
            let why = format!("no rule maps {subject} to an identity; see `ravelin cert map list`");
            note("not-mapped", why, Vec::new());
            Err(CertificateError::ApplicationVerificationFailure.into())
        }
    }
}

fn note(code: &'static str, why: String, wanted: Vec<ravelin_rings::revocation::Lookup>) {
    scope::notes(|notes| notes.refused = Some(Refused::Certificate(code, why, wanted)));
}

/// Writes the reason down, and gives rustls the error whose alert says the same.
fn refuse(refusal: &Refusal) -> Error {
    let wanted = match refusal {
        Refusal::RevocationUnknown { wanted, .. } => wanted.clone(),
        _ => Vec::new(),
    };
    note(refusal.code(), refusal.to_string(), wanted);
    let error = match refusal {
        Refusal::Expired { .. } => CertificateError::Expired,
        Refusal::NotYetValid { .. } => CertificateError::NotValidYet,
        Refusal::WrongName { .. } | Refusal::NameConstraint { .. } => CertificateError::NotValidForName,
        Refusal::WrongUsage { .. } | Refusal::SmallKey { .. } | Refusal::WeakSignature { .. } => {
            CertificateError::InvalidPurpose
        }
        Refusal::BrokenChain { .. } | Refusal::Untrusted { .. } => CertificateError::UnknownIssuer,
        Refusal::Revoked { .. } => CertificateError::Revoked,
        Refusal::RevocationUnknown { .. } => CertificateError::UnknownRevocationStatus,
        Refusal::Malformed { .. } => CertificateError::BadEncoding,
    };
    error.into()
}

fn whole<'a>(leaf: &CertificateDer<'a>, others: &[CertificateDer<'a>]) -> Vec<CertificateDer<'a>> {
    std::iter::once(leaf).chain(others).cloned().collect()
}

impl ServerCertVerifier for Judge {
    /// The name is that of the connection's notes: it may be another than that which SNI tells.
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        stapled: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.judge(&whole(leaf, others), stapled)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes.clone()
    }
}

impl ClientCertVerifier for Judge {
    fn client_auth_mandatory(&self) -> bool {
        self.mandatory
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.measure.as_ref().map_or(&[], |measure| &measure.hints)
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.judge(&whole(leaf, others), &[])?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes.clone()
    }
}
