//! One key exchange: our share out, the peer's in, a secret at the end. Each is used once.

use ravelin_contract::secret::Secret;

use crate::crypto::{CryptoError, Group, KeyPair, Random};
use crate::wire::{KeyExchange, Payload};

/// Why there is no secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    /// The share is no good: of the wrong length, not of the group, or leading to a secret that anybody knows.
    #[error("the peer's share is refused: {0}")]
    Share(#[from] CryptoError),
    /// Another group than was chosen, or none.
    #[error("the KE payload is not for {0}, which was chosen")]
    Group(Group),
}

/// Our half until the answer comes.
#[derive(Debug)]
pub(crate) struct Share(KeyPair);

impl Share {
    pub(crate) fn new(group: Group, random: &mut dyn Random) -> Result<Self, CryptoError> {
        KeyPair::generate(group, random).map(Self)
    }

    pub(crate) fn group(&self) -> Group {
        self.0.group()
    }

    /// The KE payload that carries it.
    pub(crate) fn payload(&self) -> Payload<'static> {
        Payload::KeyExchange(KeyExchange { group: self.group().id(), data: self.0.share().to_vec().into() })
    }

    /// The secret with the peer's answer. Gives the share back when the answer is no good: it may be a forgery.
    pub(crate) fn agree(self, group: Group, ke: Option<&KeyExchange<'_>>) -> Result<Secret, Refused> {
        let ke =
            ke.filter(|ke| ke.group == group.id() && self.group() == group).ok_or(Refused::Group(group))?;
        Ok(self.0.finish(&ke.data)?)
    }
}

/// The KE payload that answers the peer's, and the secret.
pub(crate) fn answer(
    group: Group,
    ke: &KeyExchange<'_>,
    random: &mut dyn Random,
) -> Result<(Payload<'static>, Secret), Refused> {
    let (share, secret) = group.respond(&ke.data, random)?;
    Ok((Payload::KeyExchange(KeyExchange { group: group.id(), data: share.into() }), secret))
}
