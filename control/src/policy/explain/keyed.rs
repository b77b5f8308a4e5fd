//! Whose keys protect what a rule lets pass: what stands behind a tunnel, and behind a rule for TLS (row G26).

use ravelin_rings::access::Owner;
use ravelin_rings::name::RingName;
use ravelin_rings::store::Rings;
use ravelin_tls::settings::{Pick, Role};
use serde::{Deserialize, Serialize};

use super::answer::Answer;
use crate::policy::attls::{Effective, Plan};
use crate::policy::credential::{Ours, Theirs};
use crate::policy::model::{Keying, Model, Peer, Tunnel as Written};
use crate::policy::origin::At;

/// The answer to a question, and all that stands behind it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Reason {
    /// What becomes of the packet.
    pub answer: Answer,
    /// The tunnels that the answer names.
    pub tunnels: Vec<Tunnel>,
    /// The rules for TLS that the answer names, where they speak TLS.
    pub tls: Vec<Tls>,
}

/// A tunnel.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tunnel {
    /// Name.
    pub name: String,
    /// Where it stands, such as `ipsec.toml:12`.
    pub place: String,
    /// `tunnel` or `transport`.
    pub mode: String,
    /// Where the keys come from, in words.
    pub keys: String,
    /// With whom they are agreed on.
    pub peer: Option<PeerFacts>,
    /// SAs that stand; none of a candidate.
    pub sas: Vec<Standing>,
}

/// An IKE peer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerFacts {
    /// Name.
    pub name: String,
    /// Where it stands.
    pub place: String,
    /// Who we say that we are, and who the peer must be.
    pub identities: [String; 2],
    /// How we prove it: the key and whose it is.
    pub own_key: String,
    /// How the peer must.
    pub peer_proof: String,
}

/// An SA that stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// SPIs, inbound and outbound.
    pub spis: String,
    /// Its state, and with whom.
    pub state: String,
}

/// A rule that speaks TLS.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tls {
    /// Name of the rule.
    pub rule: String,
    /// Certificates that we show, each with the owner of its key.
    pub own_keys: Vec<String>,
    /// Every setting that was written: key, value, and the level that it comes from.
    pub settings: Vec<[String; 3]>,
}

impl Tunnel {
    /// As it is written; SAs come later.
    pub(crate) fn of(
        tunnel: &Written,
        model: &Model,
        at: impl Fn(&ravelin_config::source::Place) -> At,
    ) -> Self {
        let mode = match tunnel.mode {
            ravelin_contract::sa::Mode::Tunnel => "tunnel",
            ravelin_contract::sa::Mode::Transport => "transport",
        };
        let (keys, peer) = match &tunnel.keying {
            Keying::Manual(manual) => {
                let (out, into) = (manual.outbound_spi.0, manual.inbound_spi.0);
                let (entry, algorithm) = (&manual.keys.0, manual.algorithm.name);
                (format!("manual, entry `{entry}` of keys.toml, {algorithm}, SPI out {out}, in {into}"), None)
            }
            Keying::Negotiated(negotiated) => {
                let peer = model.peers.iter().find(|peer| peer.name == negotiated.peer.0);
                let facts = peer.map(|peer| PeerFacts::of(peer, at(&peer.place).to_string()));
                (format!("IKEv2 agrees on them with peer `{}`", negotiated.peer.0), facts)
            }
        };
        Self {
            name: tunnel.name.to_string(),
            place: at(&tunnel.place).to_string(),
            mode: mode.to_owned(),
            keys,
            peer,
            sas: Vec::new(),
        }
    }
}

impl PeerFacts {
    fn of(peer: &Peer, place: String) -> Self {
        let own_key = match &peer.proofs.ours {
            Ours::Shared((entry, _)) => format!("shared key, entry `{entry}` of keys.toml"),
            Ours::Certificate(pick, _) => format!("certificate {pick}"),
            Ours::LogIn(_) => "EAP, as a client".to_owned(),
        };
        let peer_proof = match &peer.proofs.theirs {
            Theirs::Shared((entry, _)) => format!("shared key, entry `{entry}` of keys.toml"),
            Theirs::Certificate(trust) => {
                format!("certificate that leads to {}", trust.authorities.join(", "))
            }
            Theirs::Eap(_) => "EAP, each client for itself".to_owned(),
        };
        let identities = [peer.local_identity.to_string(), peer.remote_identity.to_string()];
        Self { name: peer.name.to_string(), place, identities, own_key, peer_proof }
    }

    /// Adds whose the ring is, where a ring holds the key.
    fn own(&mut self, rings: &Rings) {
        if let Some(pick) = self.own_key.strip_prefix("certificate ") {
            let ring = pick.split('/').next().unwrap_or(pick).to_owned();
            self.own_key += &format!(", {}", owner(&ring, rings));
        }
    }
}

impl Tls {
    /// Of the plan by which connections of a rule are served.
    pub(crate) fn of(plan: &Plan) -> Self {
        let picks: Vec<&Pick> = match &plan.settings.role {
            Role::Client { identities, .. } => identities.iter().collect(),
            Role::Server { identities, .. } => identities.iter().map(|identity| &identity.pick).collect(),
        };
        let shown = |pick: &Pick| match &pick.label {
            Some(label) => format!("{}/{label}", pick.ring),
            None => pick.ring.to_string(),
        };
        let setting = |one: &Effective| [one.key.to_owned(), one.value.clone(), one.from.clone()];
        Self {
            rule: plan.rule.to_string(),
            own_keys: picks.into_iter().map(shown).collect(),
            settings: plan.effective.iter().map(setting).collect(),
        }
    }
}

impl Reason {
    /// Adds whose the rings are that hold keys.
    pub fn own(&mut self, rings: &Rings) {
        self.tunnels.iter_mut().filter_map(|tunnel| tunnel.peer.as_mut()).for_each(|peer| peer.own(rings));
        for key in self.tls.iter_mut().flat_map(|tls| &mut tls.own_keys) {
            let ring = key.split('/').next().unwrap_or(key).to_owned();
            *key += &format!(", {}", owner(&ring, rings));
        }
    }
}

/// Such as `ring of user 0 in a directory store`. The key itself stays in its store.
fn owner(ring: &str, rings: &Rings) -> String {
    let opened = RingName::new(ring).and_then(|name| rings.open(&name));
    match opened {
        Ok(ring) => {
            let whose = match ring.owner {
                Owner::User(uid) => format!("user {uid}"),
                Owner::Ca => "this site's authority".to_owned(),
                Owner::Host => "this host".to_owned(),
            };
            format!("ring of {whose} in a {} store", ring.store)
        }
        Err(error) => format!("ring not readable: {error}"),
    }
}
