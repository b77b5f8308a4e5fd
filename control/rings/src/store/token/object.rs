//! Objects on a token: finding, making, signing with them. What is made there cannot leave it.

use aws_lc_rs::digest::{self, digest};
use cryptoki::error::Result;
use cryptoki::mechanism::eddsa::{EddsaParams, EddsaSignatureScheme};
use cryptoki::mechanism::rsa::{PkcsMgfType, PkcsPssParams};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, AttributeType, CertificateType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use x509_cert::der::asn1::{AnyRef, BitStringRef, ObjectIdentifier, OctetStringRef, UintRef};
use x509_cert::der::{Decode, Encode, Result as Encoded, Tag};

use crate::certificate::Certificate;
use crate::key::{self, KeyKind};
use crate::scheme::Scheme;

/// A certificate object.
pub(super) struct CertificateObject {
    pub(super) label: String,
    pub(super) id: Vec<u8>,
    pub(super) der: Vec<u8>,
}

/// Certificates and labels and ids of private keys.
pub(super) type Listing = (Vec<CertificateObject>, Vec<(String, Vec<u8>)>);

/// All certificates and private keys.
pub(super) fn list(session: &Session) -> Result<Listing> {
    let mut certificates = Vec::new();
    for object in session.find_objects(&[Attribute::Class(ObjectClass::CERTIFICATE)])? {
        let (label, id) = names(session, object)?;
        let der = bytes(session, object, AttributeType::Value)?;
        certificates.push(CertificateObject { label, id, der });
    }
    let mut keys = Vec::new();
    for object in session.find_objects(&[Attribute::Class(ObjectClass::PRIVATE_KEY)])? {
        keys.push(names(session, object)?);
    }
    Ok((certificates, keys))
}

fn names(session: &Session, object: ObjectHandle) -> Result<(String, Vec<u8>)> {
    let label = bytes(session, object, AttributeType::Label)?;
    Ok((String::from_utf8_lossy(&label).into_owned(), bytes(session, object, AttributeType::Id)?))
}

fn bytes(session: &Session, object: ObjectHandle, kind: AttributeType) -> Result<Vec<u8>> {
    let found = session.get_attributes(object, &[kind])?.into_iter().next();
    Ok(match found {
        Some(
            Attribute::Label(v)
            | Attribute::Id(v)
            | Attribute::Value(v)
            | Attribute::EcPoint(v)
            | Attribute::Modulus(v)
            | Attribute::PublicExponent(v),
        ) => v,
        _ => Vec::new(),
    })
}

/// Makes a key pair that cannot leave the token; gives its SubjectPublicKeyInfo.
pub(super) fn generate(session: &Session, label: &str, id: &[u8], kind: KeyKind) -> Result<Vec<u8>> {
    let name = |mut list: Vec<Attribute>| {
        let shared = [Attribute::Token(true), Attribute::Label(label.into()), Attribute::Id(id.to_vec())];
        list.extend(shared);
        list
    };
    let private = name(vec![
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Sign(true),
    ]);
    let curve = |oid: ObjectIdentifier| {
        oid.to_der().map(Attribute::EcParams).unwrap_or(Attribute::EcParams(Vec::new()))
    };
    let (mechanism, special) = match kind {
        KeyKind::Rsa(bits) => (
            Mechanism::RsaPkcsKeyPairGen,
            vec![Attribute::ModulusBits(u64::from(bits).into()), Attribute::PublicExponent(vec![1, 0, 1])],
        ),
        KeyKind::P256 => (Mechanism::EccKeyPairGen, vec![curve(key::P256)]),
        KeyKind::P384 => (Mechanism::EccKeyPairGen, vec![curve(key::P384)]),
        KeyKind::P521 => (Mechanism::EccKeyPairGen, vec![curve(key::P521)]),
        KeyKind::Ed25519 => (Mechanism::EccEdwardsKeyPairGen, vec![curve(key::ED25519)]),
    };
    let public = name([special, vec![Attribute::Verify(true)]].concat());
    let (public, _) = session.generate_key_pair(&mechanism, &public, &private)?;
    let octets = match kind {
        KeyKind::Rsa(_) => {
            let modulus = bytes(session, public, AttributeType::Modulus)?;
            let exponent = bytes(session, public, AttributeType::PublicExponent)?;
            rsa_public(&modulus, &exponent)
        }
        _ => {
            let point = bytes(session, public, AttributeType::EcPoint)?;
            // A point stands in an octet string, says PKCS#11; not every token listens.
            let inner = <&OctetStringRef>::from_der(&point).map(|inner| inner.as_bytes().to_vec()).ok();
            Ok(inner.unwrap_or(point))
        }
    };
    // What cannot be written is refused by whoever reads it as a public key.
    Ok(octets.and_then(|octets| spki(kind, &octets)).unwrap_or_default())
}

fn rsa_public(modulus: &[u8], exponent: &[u8]) -> Encoded<Vec<u8>> {
    let parts = [UintRef::new(modulus)?.to_der()?, UintRef::new(exponent)?.to_der()?].concat();
    AnyRef::new(Tag::Sequence, &parts)?.to_der()
}

fn spki(kind: KeyKind, octets: &[u8]) -> Encoded<Vec<u8>> {
    let null = AnyRef::new(Tag::Null, &[])?.to_der()?;
    let algorithm = match kind {
        KeyKind::Rsa(_) => [key::RSA.to_der()?, null].concat(),
        KeyKind::P256 => [key::EC.to_der()?, key::P256.to_der()?].concat(),
        KeyKind::P384 => [key::EC.to_der()?, key::P384.to_der()?].concat(),
        KeyKind::P521 => [key::EC.to_der()?, key::P521.to_der()?].concat(),
        KeyKind::Ed25519 => key::ED25519.to_der()?,
    };
    let algorithm = AnyRef::new(Tag::Sequence, &algorithm)?.to_der()?;
    let bits = BitStringRef::from_bytes(octets)?.to_der()?;
    AnyRef::new(Tag::Sequence, &[algorithm, bits].concat())?.to_der()
}

/// Puts a certificate beside the key of the same id, in place of an older one.
pub(super) fn put_certificate(
    session: &Session,
    label: &str,
    id: &[u8],
    certificate: &Certificate,
) -> Result<()> {
    let of_label = [Attribute::Class(ObjectClass::CERTIFICATE), Attribute::Label(label.into())];
    for old in session.find_objects(&of_label)? {
        session.destroy_object(old)?;
    }
    let parts = certificate.parts();
    let template = [
        Attribute::Class(ObjectClass::CERTIFICATE),
        Attribute::CertificateType(CertificateType::X_509),
        Attribute::Token(true),
        Attribute::Private(false),
        Attribute::Label(label.into()),
        Attribute::Id(id.to_vec()),
        Attribute::Subject(parts.subject().to_der().unwrap_or_default()),
        Attribute::Issuer(parts.issuer().to_der().unwrap_or_default()),
        Attribute::SerialNumber(parts.serial_number().to_der().unwrap_or_default()),
        Attribute::Value(certificate.der().to_vec()),
    ];
    session.create_object(&template).map(|_| ())
}

/// All objects of a label.
fn labelled(session: &Session, label: &str) -> Result<Vec<ObjectHandle>> {
    session.find_objects(&[Attribute::Label(label.into())])
}

/// Gives all objects of a label another one.
pub(super) fn rename(session: &Session, from: &str, to: &str) -> Result<()> {
    let objects = labelled(session, from)?;
    objects
        .into_iter()
        .try_for_each(|object| session.update_attributes(object, &[Attribute::Label(to.into())]))
}

/// Destroys all objects of a label.
pub(super) fn remove(session: &Session, label: &str) -> Result<()> {
    labelled(session, label)?.into_iter().try_for_each(|object| session.destroy_object(object))
}

/// Signs with the private key of this id. Nothing when there is none.
pub(super) fn sign(session: &Session, id: &[u8], scheme: Scheme, message: &[u8]) -> Result<Option<Vec<u8>>> {
    let template = [Attribute::Class(ObjectClass::PRIVATE_KEY), Attribute::Id(id.to_vec())];
    let Some(key) = session.find_objects(&template)?.into_iter().next() else { return Ok(None) };
    let pss = |hash_alg, mgf, octets: u64| PkcsPssParams { hash_alg, mgf, s_len: octets.into() };
    // Tokens sign ECDSA over a digest that we make; few know mechanisms with one inside.
    let hashed = |algorithm| digest(algorithm, message).as_ref().to_vec();
    let (mechanism, input) = match scheme {
        Scheme::RsaPkcs1Sha256 => (Mechanism::Sha256RsaPkcs, message.to_vec()),
        Scheme::RsaPkcs1Sha384 => (Mechanism::Sha384RsaPkcs, message.to_vec()),
        Scheme::RsaPkcs1Sha512 => (Mechanism::Sha512RsaPkcs, message.to_vec()),
        Scheme::RsaPssSha256 => {
            let parameters = pss(MechanismType::SHA256, PkcsMgfType::MGF1_SHA256, 32);
            (Mechanism::Sha256RsaPkcsPss(parameters), message.to_vec())
        }
        Scheme::RsaPssSha384 => {
            let parameters = pss(MechanismType::SHA384, PkcsMgfType::MGF1_SHA384, 48);
            (Mechanism::Sha384RsaPkcsPss(parameters), message.to_vec())
        }
        Scheme::RsaPssSha512 => {
            let parameters = pss(MechanismType::SHA512, PkcsMgfType::MGF1_SHA512, 64);
            (Mechanism::Sha512RsaPkcsPss(parameters), message.to_vec())
        }
        Scheme::EcdsaP256Sha256 => (Mechanism::Ecdsa, hashed(&digest::SHA256)),
        Scheme::EcdsaP384Sha384 => (Mechanism::Ecdsa, hashed(&digest::SHA384)),
        Scheme::EcdsaP521Sha512 => (Mechanism::Ecdsa, hashed(&digest::SHA512)),
        Scheme::Ed25519 => {
            (Mechanism::Eddsa(EddsaParams::new(EddsaSignatureScheme::Ed25519)), message.to_vec())
        }
    };
    let is_ecdsa = matches!(mechanism, Mechanism::Ecdsa);
    let signature = session.sign(&mechanism, key, &input)?;
    Ok(if is_ecdsa { two_numbers(&signature).ok() } else { Some(signature) })
}

/// Two numbers side by side as the DER that the rest of the world uses (RFC 3279 2.2.3).
fn two_numbers(signature: &[u8]) -> Encoded<Vec<u8>> {
    let (r, s) = signature.split_at(signature.len() / 2);
    let parts = [UintRef::new(r)?.to_der()?, UintRef::new(s)?.to_der()?].concat();
    AnyRef::new(Tag::Sequence, &parts)?.to_der()
}
