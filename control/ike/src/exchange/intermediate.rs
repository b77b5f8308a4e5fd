//! IKE_INTERMEDIATE (RFC 9242): an additional key exchange before IKE_AUTH, bound to it by a MAC over every message.

use ravelin_contract::secret::Secret;

use super::auth::Intermediate;
use crate::keymat::intermediate_mac;
use crate::sa::{IkeSa, Role};
use crate::sealed::Plain;

/// Takes a message that `side` sent into its chain of MACs, under the keys that protected it.
pub(crate) fn bind(sa: &IkeSa, side: Role, chains: &mut Intermediate, header: &[u8; 28], plain: &Plain) {
    let chain = match side {
        Role::Initiator => &mut chains.initiator,
        Role::Responder => &mut chains.responder,
    };
    let previous = (!chain.is_empty()).then(|| Secret::new(std::mem::take(chain)));
    let mac = intermediate_mac(sa.suite.prf, &sa.sk_p(side, None), previous.as_ref(), header, plain);
    *chain = mac.expose().to_vec();
}
