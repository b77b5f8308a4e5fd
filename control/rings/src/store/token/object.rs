//! Objects on a token: finding, making, bringing, signing with them. A key that is there cannot leave it.

use std::collections::BTreeSet;

use aws_lc_rs::digest::{self, digest};
use cryptoki::error::{Error as Failure, Result};
use cryptoki::mechanism::eddsa::{EddsaParams, EddsaSignatureScheme};
use cryptoki::mechanism::rsa::{PkcsMgfType, PkcsPssParams};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, AttributeType, CertificateType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use x509_cert::der::asn1::{AnyRef, BitStringRef, OctetStringRef, UintRef};
use x509_cert::der::{Decode, Encode, Result as Encoded, SliceReader, Tag};
use x509_cert::spki::SubjectPublicKeyInfoRef;
use zeroize::Zeroize;

use crate::certificate::Certificate;
use crate::key::{self, KeyKind, PrivateKey};
use crate::scheme::Scheme;

/// A certificate object.
pub(super) struct CertificateObject {
    pub(super) label: String,
    pub(super) id: Vec<u8>,
    pub(super) der: Vec<u8>,
}

/// What a key is found by (CKA_ID).
pub(super) type KeyId = Vec<u8>;

/// A key pair that was just made.
pub(super) struct Made {
    pub(super) spki: Vec<u8>,
    pub(super) id: KeyId,
}

/// What is under one label.
pub(super) struct Objects {
    /// The key pair.
    pub(super) key: Option<KeyId>,
    /// DER of the certificate.
    pub(super) certificate: Option<Vec<u8>>,
}

/// All certificates, and the ids of all private keys.
pub(super) fn list(session: &Session) -> Result<(Vec<CertificateObject>, BTreeSet<KeyId>)> {
    let mut certificates = Vec::new();
    for object in session.find_objects(&[Attribute::Class(ObjectClass::CERTIFICATE)])? {
        let label = bytes(session, object, AttributeType::Label)?;
        let label = String::from_utf8_lossy(&label).into_owned();
        let id = bytes(session, object, AttributeType::Id)?;
        let der = bytes(session, object, AttributeType::Value)?;
        certificates.push(CertificateObject { label, id, der });
    }
    let keys = session.find_objects(&[Attribute::Class(ObjectClass::PRIVATE_KEY)])?;
    let ids = keys.into_iter().map(|object| bytes(session, object, AttributeType::Id));
    Ok((certificates, ids.collect::<Result<_>>()?))
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

/// What a private key on a token is: it signs, and does not come out.
fn private(label: &str, id: &[u8]) -> Vec<Attribute> {
    let kept = [
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Sign(true),
    ];
    [named(label, id), kept.to_vec()].concat()
}

fn named(label: &str, id: &[u8]) -> Vec<Attribute> {
    vec![Attribute::Token(true), Attribute::Label(label.into()), Attribute::Id(id.to_vec())]
}

/// The curve of a key, or nothing for RSA.
fn curve(kind: KeyKind) -> Vec<Attribute> {
    let oid = match kind {
        KeyKind::Rsa(_) => return Vec::new(),
        KeyKind::P256 => key::P256,
        KeyKind::P384 => key::P384,
        KeyKind::P521 => key::P521,
        KeyKind::Ed25519 => key::ED25519,
    };
    vec![Attribute::EcParams(oid.to_der().unwrap_or_default())]
}

/// Makes a key pair that cannot leave the token.
pub(super) fn generate(session: &Session, label: &str, kind: KeyKind) -> Result<Made> {
    let mut id = vec![0; 16];
    aws_lc_rs::rand::fill(&mut id).map_err(|_| Failure::InvalidValue)?;
    let (mechanism, special) = match kind {
        KeyKind::Rsa(bits) => (
            Mechanism::RsaPkcsKeyPairGen,
            vec![Attribute::ModulusBits(u64::from(bits).into()), Attribute::PublicExponent(vec![1, 0, 1])],
        ),
        KeyKind::Ed25519 => (Mechanism::EccEdwardsKeyPairGen, curve(kind)),
        _ => (Mechanism::EccKeyPairGen, curve(kind)),
    };
    let public = [named(label, &id), special, vec![Attribute::Verify(true)]].concat();
    let (public, _) = session.generate_key_pair(&mechanism, &public, &private(label, &id))?;
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
    Ok(Made { spki: octets.and_then(|octets| spki(kind, &octets)).unwrap_or_default(), id })
}

/// Gives a key pair another id.
pub(super) fn set_id(session: &Session, old: &[u8], new: &[u8]) -> Result<()> {
    let pair = session.find_objects(&[Attribute::Id(old.to_vec())])?;
    pair.into_iter().try_for_each(|object| session.update_attributes(object, &[Attribute::Id(new.to_vec())]))
}

/// Brings a key pair to the token, which will not give it out again.
pub(super) fn put_key(session: &Session, label: &str, id: &[u8], key: &PrivateKey) -> Result<()> {
    let kind = key.public().kind();
    let parts = parts(key).map_err(|_| Failure::InvalidValue)?;
    let sort = match kind {
        KeyKind::Rsa(_) => KeyType::RSA,
        KeyKind::Ed25519 => KeyType::EC_EDWARDS,
        _ => KeyType::EC,
    };
    let class = |class| vec![Attribute::Class(class), Attribute::KeyType(sort)];
    let public = [
        class(ObjectClass::PUBLIC_KEY),
        named(label, id),
        curve(kind),
        parts.public,
        vec![Attribute::Verify(true)],
    ];
    let mut secret =
        [class(ObjectClass::PRIVATE_KEY), private(label, id), curve(kind), parts.private].concat();
    session.create_object(&public.concat())?;
    let created = session.create_object(&secret);
    secret.iter_mut().for_each(wipe);
    created.map(drop)
}

/// A key as a token wants it.
struct Parts {
    public: Vec<Attribute>,
    private: Vec<Attribute>,
}

fn parts(key: &PrivateKey) -> Encoded<Parts> {
    let info = pkcs8::PrivateKeyInfoRef::from_der(key.pkcs8())?;
    let octets = info.private_key.as_bytes();
    let public = SubjectPublicKeyInfoRef::from_der(key.public().spki())?.subject_public_key.raw_bytes();
    let point = || OctetStringRef::new(public)?.to_der().map(Attribute::EcPoint);
    match key.public().kind() {
        KeyKind::Rsa(_) => rsa_parts(octets),
        KeyKind::Ed25519 => {
            let seed = <&OctetStringRef>::from_der(octets)?.as_bytes().to_vec();
            Ok(Parts { public: vec![point()?], private: vec![Attribute::Value(seed)] })
        }
        // ECPrivateKey (RFC 5915): version, number, and more.
        _ => {
            let fields = AnyRef::from_der(octets)?;
            let mut reader = SliceReader::new(fields.value())?;
            u8::decode(&mut reader)?;
            let number = <&OctetStringRef>::decode(&mut reader)?.as_bytes().to_vec();
            Ok(Parts { public: vec![point()?], private: vec![Attribute::Value(number)] })
        }
    }
}

/// RSAPrivateKey (RFC 8017 A.1.2): version, and eight numbers.
fn rsa_parts(octets: &[u8]) -> Encoded<Parts> {
    let fields = AnyRef::from_der(octets)?;
    let mut reader = SliceReader::new(fields.value())?;
    u8::decode(&mut reader)?;
    let mut number = || UintRef::decode(&mut reader).map(|number| number.as_bytes().to_vec());
    let public = vec![Attribute::Modulus(number()?), Attribute::PublicExponent(number()?)];
    let mut private = public.clone();
    private.extend([
        Attribute::PrivateExponent(number()?),
        Attribute::Prime1(number()?),
        Attribute::Prime2(number()?),
        Attribute::Exponent1(number()?),
        Attribute::Exponent2(number()?),
        Attribute::Coefficient(number()?),
    ]);
    Ok(Parts { public, private })
}

fn wipe(attribute: &mut Attribute) {
    match attribute {
        Attribute::Value(v)
        | Attribute::PrivateExponent(v)
        | Attribute::Prime1(v)
        | Attribute::Prime2(v)
        | Attribute::Exponent1(v)
        | Attribute::Exponent2(v)
        | Attribute::Coefficient(v) => v.zeroize(),
        _ => {}
    }
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

/// Puts a certificate beside the key of the same id, in place of an older one of the same label.
pub(super) fn put_certificate(
    session: &Session,
    label: &str,
    id: &[u8],
    certificate: &Certificate,
) -> Result<()> {
    let of_label = [Attribute::Class(ObjectClass::CERTIFICATE), Attribute::Label(label.into())];
    let older = session.find_objects(&of_label)?;
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
    session.create_object(&template)?;
    older.into_iter().try_for_each(|old| session.destroy_object(old))
}

/// The objects themselves.
fn found(session: &Session, objects: &Objects) -> Result<Vec<ObjectHandle>> {
    let mut found = Vec::new();
    if let Some(id) = &objects.key {
        for class in [ObjectClass::PRIVATE_KEY, ObjectClass::PUBLIC_KEY] {
            found.extend(session.find_objects(&[Attribute::Class(class), Attribute::Id(id.clone())])?);
        }
    }
    if let Some(der) = &objects.certificate {
        let same = [Attribute::Class(ObjectClass::CERTIFICATE), Attribute::Value(der.clone())];
        found.extend(session.find_objects(&same)?);
    }
    Ok(found)
}

/// Gives objects another label.
pub(super) fn rename(session: &Session, objects: &Objects, to: &str) -> Result<()> {
    let label = [Attribute::Label(to.into())];
    found(session, objects)?.into_iter().try_for_each(|object| session.update_attributes(object, &label))
}

/// Destroys objects.
pub(super) fn remove(session: &Session, objects: &Objects) -> Result<()> {
    found(session, objects)?.into_iter().try_for_each(|object| session.destroy_object(object))
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
