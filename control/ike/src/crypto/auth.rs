//! What AUTH payloads prove (RFC 7296 2.15, 2.16; RFC 7427; RFC 9242 3.3.2) and how it is checked.

use super::prf::Prf;
use super::signature::{PublicKey, SignatureScheme};
use super::{Secret, equal};
use crate::wire::{AuthMethod, Authentication, DigitalSignature};

const KEY_PAD: &[u8] = b"Key Pad for IKEv2";

/// What a side signs: its first message, the peer's nonce, its identity, and its IKE_INTERMEDIATE exchanges.
pub struct SignedOctets(Vec<u8>);

impl SignedOctets {
    /// `message` is the signer's IKE_SA_INIT from the header on (without non-ESP marker), `peer_nonce` the other side's,
    /// `identity` the body of the signer's ID payload, and `sk_p` its SK_pi or SK_pr.
    pub fn new(prf: Prf, message: &[u8], peer_nonce: &[u8], sk_p: &[u8], identity: &[u8]) -> Self {
        let maced = prf.mac(sk_p, &[identity]);
        Self([message, peer_nonce, maced.expose()].concat())
    }

    /// Adds `IntAuth_iN | IntAuth_rN | message ID of IKE_AUTH` (RFC 9242 3.3.2), for both sides alike.
    pub fn with_intermediate(mut self, initiator: &[u8], responder: &[u8], auth_message_id: u32) -> Self {
        self.0.extend_from_slice(initiator);
        self.0.extend_from_slice(responder);
        self.0.extend_from_slice(&auth_message_id.to_be_bytes());
        self
    }

    /// What goes to a signer.
    pub fn octets(&self) -> &[u8] {
        &self.0
    }

    /// AUTH by a shared secret: a PSK, or the MSK of an EAP method.
    pub fn shared_key_mac(&self, prf: Prf, shared: &Secret) -> Secret {
        let key = prf.mac(shared.expose(), &[KEY_PAD]);
        prf.mac(key.expose(), &[&self.0])
    }
}

/// Which signatures a policy believes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignaturePolicy {
    /// By RFC 7427.
    pub schemes: Vec<SignatureScheme>,
    /// Whether methods 9 to 11 (RFC 4754) are believed, for peers without RFC 7427.
    pub fixed_ecdsa: bool,
}

/// Why a proof was not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// Another method than the policy expects.
    #[error("the peer proves itself by {0}, which the policy does not accept here")]
    Method(AuthMethod),
    /// Method 1 is RSA with SHA-1.
    #[error("the peer signs with RSA and SHA-1; let it use digital signatures (RFC 7427)")]
    Sha1,
    /// The data has not the form of RFC 7427.
    #[error("the signature has no algorithm")]
    Form,
    /// An algorithm that is unknown, weak or has odd parameters.
    #[error("the peer's signature algorithm is not supported")]
    Unsupported,
    /// An algorithm that policy does not allow.
    #[error("the peer signs by {0}, which the policy does not allow")]
    NotAllowed(SignatureScheme),
    /// The certificate's key is of another kind.
    #[error("the peer signs by {0}, its certificate's key is of another kind")]
    Key(SignatureScheme),
    /// Signature or MAC are wrong: not the holder of the key, or another secret.
    #[error("the proof is wrong: another key or another secret")]
    Wrong,
}

/// A proof that was believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// A shared secret.
    SharedKey,
    /// A signature by RFC 7427.
    Signature(SignatureScheme),
    /// A signature by RFC 4754.
    FixedEcdsa,
}

/// Checks an AUTH payload made with a shared secret.
pub fn verify_shared_key(
    auth: &Authentication<'_>,
    prf: Prf,
    shared: &Secret,
    octets: &SignedOctets,
) -> Result<Proof, AuthError> {
    if auth.method != AuthMethod::SharedKey {
        return Err(AuthError::Method(auth.method));
    }
    let expected = octets.shared_key_mac(prf, shared);
    if equal(expected.expose(), &auth.data) { Ok(Proof::SharedKey) } else { Err(AuthError::Wrong) }
}

/// Checks an AUTH payload made with a private key, by the public key of a certificate that was believed before.
pub fn verify_signature(
    auth: &Authentication<'_>,
    key: &PublicKey,
    policy: &SignaturePolicy,
    octets: &SignedOctets,
) -> Result<Proof, AuthError> {
    match auth.method {
        AuthMethod::DigitalSignature => verify_digital(auth, key, policy, octets),
        AuthMethod::EcdsaSha256P256 | AuthMethod::EcdsaSha384P384 | AuthMethod::EcdsaSha512P521
            if policy.fixed_ecdsa =>
        {
            let fits = key.kind() == fixed_kind(auth.method);
            let good = fits && key.verify_fixed_ecdsa(octets.octets(), &auth.data);
            if good { Ok(Proof::FixedEcdsa) } else { Err(AuthError::Wrong) }
        }
        AuthMethod::RsaPkcs1Sha1 => Err(AuthError::Sha1),
        other => Err(AuthError::Method(other)),
    }
}

fn fixed_kind(method: AuthMethod) -> super::signature::KeyKind {
    use super::signature::KeyKind;
    match method {
        AuthMethod::EcdsaSha384P384 => KeyKind::EcdsaP384,
        AuthMethod::EcdsaSha512P521 => KeyKind::EcdsaP521,
        _ => KeyKind::EcdsaP256,
    }
}

fn verify_digital(
    auth: &Authentication<'_>,
    key: &PublicKey,
    policy: &SignaturePolicy,
    octets: &SignedOctets,
) -> Result<Proof, AuthError> {
    let signature = DigitalSignature::parse(&auth.data).ok_or(AuthError::Form)?;
    let scheme =
        SignatureScheme::from_algorithm_identifier(signature.algorithm).ok_or(AuthError::Unsupported)?;
    if !policy.schemes.contains(&scheme) {
        return Err(AuthError::NotAllowed(scheme));
    }
    if !scheme.fits(key.kind()) {
        return Err(AuthError::Key(scheme));
    }
    let good = key.verify(scheme, octets.octets(), signature.signature);
    if good { Ok(Proof::Signature(scheme)) } else { Err(AuthError::Wrong) }
}

/// The AUTH payload of a shared secret.
pub fn shared_key_payload(prf: Prf, shared: &Secret, octets: &SignedOctets) -> Authentication<'static> {
    let mac = octets.shared_key_mac(prf, shared);
    Authentication { method: AuthMethod::SharedKey, data: mac.expose().to_vec().into() }
}

/// The AUTH payload of a signature by RFC 7427.
pub fn signature_payload(scheme: SignatureScheme, signature: &[u8]) -> Option<Authentication<'static>> {
    let algorithm = scheme.algorithm_identifier();
    let data = DigitalSignature { algorithm: &algorithm, signature }.to_octets()?;
    Some(Authentication { method: AuthMethod::DigitalSignature, data: data.into() })
}
