//! Kinds of certificates, and the extensions that make them so.

use aws_lc_rs::digest::{SHA256, digest};
use der::asn1::{Ia5String, ObjectIdentifier, OctetString};
use der::oid::AssociatedOid;
use der::{Decode, Encode};
use x509_cert::certificate::TbsCertificate;
use x509_cert::ext::pkix::constraints::name::GeneralSubtrees;
use x509_cert::ext::pkix::crl::dp::DistributionPoint;
use x509_cert::ext::pkix::name::{DistributionPointName, GeneralName};
use x509_cert::ext::pkix::{
    AccessDescription, AuthorityInfoAccessSyntax, AuthorityKeyIdentifier, BasicConstraints,
    CrlDistributionPoints, ExtendedKeyUsage, KeyUsage, KeyUsages, NameConstraints, SubjectAltName,
    SubjectKeyIdentifier,
};
use x509_cert::ext::{Extension, Extensions};
use x509_cert::spki::SubjectPublicKeyInfoOwned;

use super::Plan;
use crate::key::{KeyKind, PublicKey};

const SERVER_AUTH: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.1");
const CLIENT_AUTH: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.2");
const OCSP_SIGNING: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.9");
const IPSEC_IKE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.17");
const OCSP_ACCESS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.1");

/// What a certificate is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// Servers of TLS.
    Server,
    /// Clients of TLS.
    Client,
    /// Peers of IKE (RFC 4945).
    Ike,
    /// Signs OCSP responses for its issuer.
    Ocsp,
    /// An authority, with the number of authorities that may stand below it.
    Ca(Option<u8>),
}

/// What an authority may issue for (RFC 5280 4.2.1.10).
#[derive(Debug, Clone, Default)]
pub struct Constraints {
    /// Names of a kind that occurs here must lie in one of these.
    pub permitted: GeneralSubtrees,
    /// No name may lie in one of these.
    pub excluded: GeneralSubtrees,
}

impl Profile {
    fn usage(self, kind: KeyKind) -> KeyUsage {
        let rsa = matches!(kind, KeyKind::Rsa(_));
        KeyUsage(match self {
            Self::Ca(_) => KeyUsages::KeyCertSign | KeyUsages::CRLSign,
            // Old servers decipher a key by RSA.
            Self::Server if rsa => KeyUsages::DigitalSignature | KeyUsages::KeyEncipherment,
            Self::Server | Self::Client | Self::Ike | Self::Ocsp => KeyUsages::DigitalSignature.into(),
        })
    }

    fn extended_usage(self) -> Option<ExtendedKeyUsage> {
        let purposes = match self {
            Self::Ca(_) => return None,
            Self::Server => vec![SERVER_AUTH],
            Self::Client => vec![CLIENT_AUTH],
            Self::Ike => vec![IPSEC_IKE],
            Self::Ocsp => vec![OCSP_SIGNING],
        };
        Some(ExtendedKeyUsage(purposes))
    }

    fn basic(self) -> BasicConstraints {
        match self {
            Self::Ca(path_len_constraint) => BasicConstraints { ca: true, path_len_constraint },
            _ => BasicConstraints { ca: false, path_len_constraint: None },
        }
    }
}

/// All extensions of a certificate. Without `issuer` it signs itself.
pub(super) fn extensions(
    plan: &Plan,
    key: &PublicKey,
    issuer: Option<&TbsCertificate>,
) -> der::Result<Extensions> {
    let own_id = key_identifier(key.spki())?;
    let authority_id = match issuer {
        None => own_id.clone(),
        Some(issuer) => identifier_of(issuer)?,
    };
    let mut all = vec![
        extension(true, &plan.profile.basic())?,
        extension(true, &plan.profile.usage(key.kind()))?,
        extension(false, &SubjectKeyIdentifier(own_id))?,
        extension(
            false,
            &AuthorityKeyIdentifier {
                key_identifier: Some(authority_id),
                ..AuthorityKeyIdentifier::default()
            },
        )?,
    ];
    if let Some(usage) = plan.profile.extended_usage() {
        all.push(extension(false, &usage)?);
    }
    if !plan.names.is_empty() {
        // Critical where there is no subject (RFC 5280 4.2.1.6).
        all.push(extension(plan.subject.is_empty(), &SubjectAltName(plan.names.clone()))?);
    }
    let Constraints { permitted, excluded } = &plan.constraints;
    if !permitted.is_empty() || !excluded.is_empty() {
        let some = |trees: &GeneralSubtrees| (!trees.is_empty()).then(|| trees.clone());
        let constraints =
            NameConstraints { permitted_subtrees: some(permitted), excluded_subtrees: some(excluded) };
        all.push(extension(true, &constraints)?);
    }
    if !plan.crl_urls.is_empty() {
        all.push(extension(false, &distribution_points(&plan.crl_urls)?)?);
    }
    if !plan.ocsp_urls.is_empty() {
        all.push(extension(false, &ocsp_access(&plan.ocsp_urls)?)?);
    }
    Ok(all)
}

fn distribution_points(urls: &[String]) -> der::Result<CrlDistributionPoints> {
    let names: Vec<GeneralName> = urls.iter().map(|url| uri(url)).collect::<der::Result<_>>()?;
    let point = DistributionPoint {
        distribution_point: Some(DistributionPointName::FullName(names)),
        reasons: None,
        crl_issuer: None,
    };
    Ok(CrlDistributionPoints(vec![point]))
}

fn ocsp_access(urls: &[String]) -> der::Result<AuthorityInfoAccessSyntax> {
    let describe = |url: &String| -> der::Result<AccessDescription> {
        Ok(AccessDescription { access_method: OCSP_ACCESS, access_location: uri(url)? })
    };
    Ok(AuthorityInfoAccessSyntax(urls.iter().map(describe).collect::<der::Result<_>>()?))
}

fn uri(url: &str) -> der::Result<GeneralName> {
    Ok(GeneralName::UniformResourceIdentifier(Ia5String::new(url)?))
}

pub(super) fn extension<T: Encode + AssociatedOid>(critical: bool, value: &T) -> der::Result<Extension> {
    Ok(Extension { extn_id: T::OID, critical, extn_value: OctetString::new(value.to_der()?)? })
}

/// The issuer's own key identifier, or one made of its key.
pub(super) fn identifier_of(issuer: &TbsCertificate) -> der::Result<OctetString> {
    match issuer.get_extension::<SubjectKeyIdentifier>()? {
        Some((_, identifier)) => Ok(identifier.0),
        None => key_identifier(&issuer.subject_public_key_info().to_der()?),
    }
}

/// RFC 7093 method 1: the leftmost 160 bits of the SHA-256 of the key.
fn key_identifier(spki: &[u8]) -> der::Result<OctetString> {
    let info = SubjectPublicKeyInfoOwned::from_der(spki)?;
    OctetString::new(&digest(&SHA256, info.subject_public_key.raw_bytes()).as_ref()[..20])
}
