//! IKE_AUTH (RFC 7296 1.2, 2.15): what both sides put in, and how each proves itself.

use ravelin_contract::secret::Secret;

use super::sa_init::Agreed;
use super::view::View;
use crate::action::Ask;
use crate::crypto::auth::{self, AuthError, SignaturePolicy};
use crate::crypto::{PublicKey, SignatureScheme, SignedOctets};
use crate::part::certificates;
use crate::policy::{Demand, Identity, Peer, Proof, Trust};
use crate::sa::Role;
use crate::wire::{AuthMethod, Authentication, Certificate, Content, Notify, NotifyType, Payload, limits};

/// Most certificates that we show: more than any honest chain has.
const CHAIN: usize = 16;

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
    /// It cannot be made; why.
    Cannot(&'static str),
}

/// Makes our AUTH, or says what is missing for it.
pub(crate) fn prove(agreed: &Agreed, peer: &Peer, octets: &SignedOctets) -> OurProof {
    match &peer.proof {
        Proof::SharedKey(secret) => {
            OurProof::Made(auth::shared_key_payload(agreed.sa.suite.prf, secret, octets))
        }
        Proof::Key { key, .. } => match certificates::schemes(peer, &agreed.said.hashes) {
            Ok(schemes) => OurProof::Ask(Ask::Sign {
                key: key.clone(),
                identity: peer.local_identity.clone(),
                octets: octets.octets().to_vec(),
                schemes,
                authorities: agreed.said.authorities.clone(),
            }),
            Err(why) => OurProof::Cannot(why),
        },
        Proof::Eap { .. } => OurProof::Later,
    }
}

/// Our AUTH by the key that EAP left (RFC 7296 2.16).
pub(crate) fn by_msk(agreed: &Agreed, msk: &Secret, octets: &SignedOctets) -> Authentication<'static> {
    auth::shared_key_payload(agreed.sa.suite.prf, msk, octets)
}

/// Our AUTH, and the certificates that go before it.
#[derive(Debug)]
pub(crate) struct Shown {
    pub(crate) auth: Authentication<'static>,
    chain: Vec<Vec<u8>>,
}

impl Shown {
    /// A proof that needs no certificate.
    pub(crate) fn alone(auth: Authentication<'static>) -> Self {
        Self { auth, chain: Vec::new() }
    }

    /// A signature that came back, with its certificates, our own first. `Err` when they fit no payload.
    pub(crate) fn signed(
        scheme: SignatureScheme,
        signature: &[u8],
        chain: Vec<Vec<u8>>,
    ) -> Result<Self, &'static str> {
        let fits = |der: &Vec<u8>| !der.is_empty() && der.len() <= limits::CERTIFICATE;
        if chain.len() > CHAIN || !chain.iter().all(fits) {
            return Err("our certificates are too many or too long for IKE");
        }
        let auth = auth::signature_payload(scheme, signature).ok_or("the signature is too long for IKE")?;
        Ok(Self { auth, chain })
    }

    /// The certificates.
    pub(crate) fn certificates(&mut self) -> impl Iterator<Item = Payload<'static>> + use<> {
        let chain = std::mem::take(&mut self.chain);
        chain.into_iter().map(|der| Payload::Certificate(Certificate::x509(der)))
    }
}

/// What the peer's proof needs before it can be judged.
#[derive(Debug)]
pub(crate) enum TheirProof {
    /// It is good.
    Good,
    /// Its certificates must be judged first.
    Ask(Ask),
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
        (_, None) => Err("the peer does not prove itself, or wants EAP, which policy does not allow".into()),
        (Demand::SharedKey(secret), Some(auth)) => shared(agreed, auth, secret, octets),
        (Demand::Certificate(trust), Some(auth)) => {
            if auth.method == AuthMethod::SharedKey {
                return Err("the peer proves itself by a shared key, policy wants a certificate".into());
            }
            let chain = view.certificates();
            if chain.is_empty() {
                return Err("the peer sent no X.509 certificate".into());
            }
            let (identity, trust) = (identity.clone(), trust.clone());
            Ok(TheirProof::Ask(Ask::Verify { chain, identity, trust }))
        }
        (Demand::Eap(_), Some(_)) => Err("the peer proves itself without EAP, policy wants EAP".into()),
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
    peer: &Peer,
    public_key: &[u8],
    auth: Option<&Authentication<'_>>,
    octets: &SignedOctets,
) -> Result<(), String> {
    let key = PublicKey::from_spki(public_key)
        .ok_or("the certificate's key is of a kind that does not sign here")?;
    let Demand::Certificate(Trust { schemes, .. }) = &peer.demand else {
        return Err("policy wants no certificate of the peer".into());
    };
    let fixed_ecdsa = schemes.iter().any(|scheme| scheme.fits(key.kind()));
    let policy = SignaturePolicy { schemes: schemes.clone(), fixed_ecdsa };
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
