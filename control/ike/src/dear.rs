//! Which work takes long: all other is done sooner than a thread of a pool is woken for it.

use crate::crypto::Group;
use crate::policy::{Demand, Peer, Proof};
use crate::session::{Session, SessionInput};
use crate::state::State;
use crate::wire::{ExchangeType, KeyExchange};

/// Octet of a header that says which exchange a message belongs to (RFC 7296 3.1).
const EXCHANGE: usize = 18;

impl Peer {
    /// EAP may ask keys that lie in a token.
    fn talks_eap(&self) -> bool {
        matches!(self.demand, Demand::Eap(_)) || matches!(self.proof, Proof::Eap { .. })
    }

    /// Whether any key exchange of the rule takes long.
    fn has_dear_group(&self) -> bool {
        let mut own = self.offers.iter().flat_map(|offer| offer.all_groups());
        let mut of_children =
            self.children.iter().flat_map(|child| &child.offers).flat_map(|offer| offer.groups());
        own.any(Group::is_dear) || of_children.any(Group::is_dear)
    }
}

impl Session {
    /// Whether this input may take long.
    pub(crate) fn is_dear(&self, input: &SessionInput) -> bool {
        let Some(peer) = self.peer() else { return false };
        match input {
            _ if matches!(self.state, State::Closing(_)) => false,
            SessionInput::Adopt(..) | SessionInput::Lease(..) => false,
            SessionInput::Answer(..) => peer.talks_eap(),
            SessionInput::Message(_, bytes) => match bytes.get(EXCHANGE).copied().map(ExchangeType::from) {
                Some(ExchangeType::Informational) => false,
                Some(ExchangeType::IkeAuth) => peer.talks_eap(),
                _ => peer.talks_eap() || peer.has_dear_group(),
            },
            SessionInput::Timer | SessionInput::Order(_) => peer.has_dear_group(),
        }
    }
}

/// Whether answering a stranger's share takes long.
pub(crate) fn is_dear(share: Option<&KeyExchange<'_>>) -> bool {
    share.and_then(|share| Group::from_id(share.group)).is_some_and(Group::is_dear)
}
