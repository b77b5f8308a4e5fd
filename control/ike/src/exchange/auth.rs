//! IKE_AUTH (RFC 7296 1.2, 2.15): what both sides put in, and how each proves itself.

use ravelin_contract::secret::Secret;

use super::sa_init::Agreed;
use super::view::View;
use crate::action::Ask;
use crate::crypto::auth::{self, AuthError, SignaturePolicy};
use crate::crypto::{PublicKey, SignatureScheme, SignedOctets};
use crate::policy::{Demand, Identity, Peer, Proof};
use crate::sa::Role;
use crate::wire::{
    AuthMethod, Authentication, Certificate, Content, DigitalSignature, Notify, NotifyType, Payload,
};

/// The IntAuth values of RFC 9242: what each side sent in IKE_INTERMEDIATE, under its SK_p.
#[derive(Debug, Default, Clone)]
pub(crate) struct Intermediate {
    pub(crate) initiator: Vec<u8>,
    pub(crate) responder: Vec<u8>,
}

/// What `side` signs. `id` is the body of its ID payload, `sk_p` its SK_pi or SK_pr.
pub(crate) fn signed(
    agreed: &Agreed,
    side: Role,
    sk_p: &[u8],
    id: &[u8],
    (intermediate, auth_id): (&Intermediate, u32),
) -> SignedOctets {
    let (message, nonce) = match side {
        Role::Initiator => (&agreed.request, &agreed.nr),
        Role::Responder => (&agreed.response, &agreed.ni),
    };
    let octets = SignedOctets::new(agreed.sa.suite.prf, message, nonce, sk_p, id);
    if intermediate.initiator.is_empty() {
        octets
    } else {
        octets.with_intermediate(&intermediate.initiator, &intermediate.responder, auth_id)
    }
}

/// What our proof needs.
pub(crate) enum OurProof {
    /// It is made.
    Made(Authentication<'static>),
    /// A private key must sign first.
    Ask(Ask),
    /// EAP proves us later.
    Later,
}

/// Makes our AUTH, or says what is missing for it.
pub(crate) fn prove(agreed: &Agreed, peer: &Peer, octets: &SignedOctets) -> OurProof {
    match &peer.proof {
        Proof::SharedKey(secret) => {
            OurProof::Made(auth::shared_key_payload(agreed.sa.suite.prf, secret, octets))
        }
        Proof::Key { key, .. } => OurProof::Ask(Ask::Sign {
            key: key.clone(),
            octets: octets.octets().to_vec(),
            hashes: agreed.said.hashes.clone(),
        }),
        Proof::Eap { .. } => OurProof::Later,
    }
}

/// The AUTH payload of a signature that came back.
pub(crate) fn signature(algorithm: &[u8], signature: &[u8]) -> Option<Authentication<'static>> {
    let data = DigitalSignature { algorithm, signature }.to_octets()?;
    Some(Authentication { method: AuthMethod::DigitalSignature, data: data.into() })
}

/// Our certificates, our own first.
pub(crate) fn certificates(peer: &Peer) -> Vec<Payload<'static>> {
    match &peer.proof {
        Proof::Key { chain, .. } => {
            chain.iter().map(|der| Payload::Certificate(Certificate::x509(der.clone()))).collect()
        }
        _ => Vec::new(),
    }
}

/// What the peer's proof needs before it can be judged.
#[derive(Debug)]
pub(crate) enum TheirProof {
    /// It is good.
    Good,
    /// Its certificates must be judged first.
    Ask(Ask),
    /// EAP must prove it.
    Eap,
}

/// Judges the peer's AUTH as far as that is possible without asking. `Err` is for the operator alone: the peer learns
/// only that it failed.
pub(crate) fn judge(
    agreed: &Agreed,
    peer: &Peer,
    identity: &Identity,
    view: View<'_>,
    octets: &SignedOctets,
) -> Result<TheirProof, String> {
    match (&peer.demand, view.auth()) {
        (Demand::EapPassword, None) => Ok(TheirProof::Eap),
        (_, None) => Err("the peer wants EAP, which policy does not allow".into()),
        (Demand::SharedKey(secret), Some(auth)) => shared(agreed, auth, secret, octets),
        (Demand::Certificate { authorities, .. }, Some(auth)) => {
            if auth.method == AuthMethod::SharedKey {
                return Err("the peer proves itself by a shared key, policy wants a certificate".into());
            }
            let chain = view.certificates();
            if chain.is_empty() {
                return Err("the peer sent no X.509 certificate".into());
            }
            let (identity, authorities) = (identity.clone(), authorities.clone());
            Ok(TheirProof::Ask(Ask::Verify { chain, identity, authorities }))
        }
        (Demand::EapPassword, Some(_)) => Err("the peer proves itself without EAP, policy wants EAP".into()),
    }
}

/// Judges a proof by a shared key: a PSK, or the key that EAP left.
pub(crate) fn shared(
    agreed: &Agreed,
    auth: &Authentication<'_>,
    secret: &Secret,
    octets: &SignedOctets,
) -> Result<TheirProof, String> {
    auth::verify_shared_key(auth, agreed.sa.suite.prf, secret, octets)
        .map(|_| TheirProof::Good)
        .map_err(|error| error.to_string())
}

/// Judges a signature by a key that is trusted.
pub(crate) fn verify(
    public_key: &[u8],
    auth: Option<&Authentication<'_>>,
    octets: &SignedOctets,
) -> Result<(), String> {
    let key = PublicKey::from_spki(public_key)
        .ok_or("the certificate's key is of a kind that does not sign here")?;
    let policy = SignaturePolicy { schemes: SignatureScheme::ALL.to_vec(), fixed_ecdsa: true };
    let auth = auth.ok_or("the peer sent no AUTH")?;
    auth::verify_signature(auth, &key, &policy, octets)
        .map(|_| ())
        .map_err(|error: AuthError| error.to_string())
}

/// A notification without data.
pub(crate) fn status(kind: NotifyType) -> Payload<'static> {
    Payload::Notify(Notify::new(kind, Vec::new()))
}

/// PPK_IDENTITY of the fixed kind (RFC 8784 5.1).
pub(crate) fn ppk_identity(id: &[u8]) -> Payload<'static> {
    Payload::Notify(Content::PpkIdentity { kind: 2, id }.notify())
}
