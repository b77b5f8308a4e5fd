//! One certificate of a chain, read once, with the questions that validation asks it.

use der::Decode;
use der::oid::AssociatedOid;
use rustls_pki_types::{CertificateDer, UnixTime};
use x509_cert::certificate::TbsCertificate;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{BasicConstraints, KeyUsage, SubjectAltName};
use x509_cert::name::Name;

use super::refusal::Refusal;
use super::signature::{self, SignatureProblem, Signed};
use crate::certificate::{Certificate, hex};
use crate::key::KeyKind;

/// A certificate of a chain.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Link(Certificate);

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Link({})", self.words())
    }
}

impl Link {
    /// Reads one; `what` names it in the refusal.
    pub(crate) fn read(der: &[u8], what: &str) -> Result<Self, Refusal> {
        Certificate::from_der(der)
            .map(Self)
            .map_err(|e| Refusal::Malformed { what: what.to_owned(), problem: e.to_string() })
    }

    /// One that was read before.
    pub(crate) fn of(certificate: &Certificate) -> Self {
        Self(certificate.clone())
    }

    pub(crate) fn der(&self) -> CertificateDer<'_> {
        CertificateDer::from(self.0.der())
    }

    pub(crate) fn parts(&self) -> &TbsCertificate {
        self.0.parts()
    }

    pub(crate) fn subject(&self) -> &Name {
        self.parts().subject()
    }

    pub(crate) fn issuer(&self) -> &Name {
        self.parts().issuer()
    }

    /// Serial number as its INTEGER's octets.
    pub(crate) fn serial(&self) -> &[u8] {
        self.parts().serial_number().as_bytes()
    }

    /// The subject in words; a certificate without one goes by its first alternative name or its serial number.
    pub(crate) fn words(&self) -> String {
        if !self.subject().is_empty() {
            return self.subject().to_string();
        }
        let first = self.alternative_names().first().map(super::name::describe);
        first.unwrap_or_else(|| format!("serial number {}", hex(self.serial())))
    }

    pub(crate) fn spki(&self) -> Vec<u8> {
        // What was read as DER can be written as DER; nothing fits an empty key.
        self.0.spki().unwrap_or_default()
    }

    /// Names of the subjectAltName extension; none when it is absent or unreadable.
    pub(crate) fn alternative_names(&self) -> Vec<GeneralName> {
        self.extension::<SubjectAltName>().map(|names| names.0).unwrap_or_default()
    }

    /// An extension, when it is there once and readable.
    pub(crate) fn extension<'a, T: Decode<'a, Error = der::Error> + AssociatedOid>(&'a self) -> Option<T> {
        let found = self.parts().get_extension::<T>();
        found.ok().flatten().map(|(_, value)| value)
    }

    pub(crate) fn is_authority(&self) -> bool {
        self.extension::<BasicConstraints>().is_some_and(|constraints| constraints.ca)
    }

    /// Key usage, when the certificate is limited to one.
    pub(crate) fn key_usage(&self) -> Option<KeyUsage> {
        self.extension::<KeyUsage>()
    }

    pub(crate) fn is_self_issued(&self) -> bool {
        super::dn::equal(self.subject(), self.issuer())
    }

    /// Last moment, in seconds since 1970.
    pub(crate) fn not_after(&self) -> u64 {
        self.0.validity().1
    }

    /// Refuses outside of notBefore and notAfter.
    pub(crate) fn check_time(&self, now: UnixTime) -> Result<(), Refusal> {
        let validity = self.parts().validity();
        let subject = || self.words();
        if now.as_secs() > self.not_after() {
            return Err(Refusal::Expired { subject: subject(), not_after: validity.not_after.to_string() });
        }
        if now.as_secs() < self.0.validity().0 {
            return Err(Refusal::NotYetValid {
                subject: subject(),
                not_before: validity.not_before.to_string(),
            });
        }
        Ok(())
    }

    /// Refuses RSA keys below `rsa_floor` bits and kinds that are not accepted.
    pub(crate) fn check_key(&self, rsa_floor: u16) -> Result<(), Refusal> {
        let small = |problem: String| Err(Refusal::SmallKey { subject: self.words(), problem });
        match self.0.public_key().map(|key| key.kind()) {
            Ok(KeyKind::Rsa(bits)) if bits < rsa_floor => {
                small(format!("RSA of {bits} bits, the floor is {rsa_floor}"))
            }
            Ok(_) => Ok(()),
            Err(error) => small(error.to_string()),
        }
    }

    /// Refuses signatures by methods that are not accepted, whoever made them.
    pub(crate) fn check_method(&self) -> Result<(), Refusal> {
        let signed = Signed::from_der(self.0.der())
            .map_err(|e| Refusal::Malformed { what: self.words(), problem: e.to_string() })?;
        if signature::accepted(signed.algorithm) {
            return Ok(());
        }
        let problem = SignatureProblem::Algorithm(signature::algorithm_name(signed.algorithm)).to_string();
        Err(Refusal::WeakSignature { subject: self.words(), problem })
    }

    /// Whether `issuer` signed this.
    pub(crate) fn is_signed_by(&self, issuer: &Self) -> Result<(), SignatureProblem> {
        Signed::from_der(self.0.der())?.check(&issuer.spki())
    }
}
