//! Rules that are for some peers alone: by the identity that these prove in IKE (row B18).
//!
//! Control knows what a pattern means and tells the packet process of each child which patterns its peer fits; there they
//! are names, and a log-in changes nothing but the child's own SAs.

use std::collections::HashMap;

use ravelin_config::diagnostic::Collector;
use ravelin_config::filter::{FilterRule, WrittenAction};
use ravelin_config::source::Place;
use ravelin_contract::identity::{IdentityId, Pattern};
use ravelin_contract::limits;
use ravelin_events::catalogue::FILE_RANGE;
use ravelin_ike::policy::{Identity, IdentityPattern};

use crate::policy::credential::Theirs;
use crate::policy::identity;
use crate::policy::model::{Keying, Model, Peer};

const KEY: &str = "remote_identity";

/// The patterns that rules of a policy ask for, each once, numbered by their places.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Whom {
    patterns: Vec<(Pattern, IdentityPattern)>,
}

impl Whom {
    /// Those that `identity` fits. More than [`limits::FITTING`] nobody gets: where a rule asks for one beyond, it does not
    /// open.
    pub fn fitting(&self, identity: &Identity) -> Vec<Pattern> {
        let fits = self.patterns.iter().filter(|(_, pattern)| pattern.is_of(identity));
        fits.map(|(text, _)| text.clone()).take(limits::FITTING).collect()
    }

    /// As the packet process gets them.
    pub(super) fn names(&self) -> Vec<Pattern> {
        self.patterns.iter().map(|(text, _)| text.clone()).collect()
    }
}

/// Numbers the patterns of rule after rule.
#[derive(Default)]
pub(super) struct Numbering {
    whom: Whom,
    numbers: HashMap<Pattern, IdentityId>,
}

impl Numbering {
    /// What the rule asks for; nothing where it is for everybody. `None` when that makes no sense, which is told.
    pub(super) fn of(
        &mut self,
        rule: &FilterRule,
        model: &Model,
        notes: &Collector,
    ) -> Option<Vec<IdentityId>> {
        let Some(written) = &rule.remote_identity else { return Some(Vec::new()) };
        if let Some((_, place)) = written.get(limits::FITTING) {
            let message =
                FILE_RANGE.of(format!("`{KEY}` lists {}, at most {}", written.len(), limits::FITTING));
            notes.error(place.clone(), message, "write patterns such as *@example.org, or several rules");
            return None;
        }
        let numbers: Vec<_> =
            written.iter().map(|(text, place)| self.number(text, place, rule, model, notes)).collect();
        let mut numbers: Vec<_> = numbers.into_iter().collect::<Option<_>>()?;
        numbers.sort_unstable();
        numbers.dedup();
        Some(numbers)
    }

    /// All that were asked for.
    pub(super) fn done(self) -> Whom {
        self.whom
    }

    fn number(
        &mut self,
        text: &str,
        place: &Place,
        rule: &FilterRule,
        model: &Model,
        notes: &Collector,
    ) -> Option<IdentityId> {
        let told = |message: String, remedy: &str| notes.error(place.clone(), message, remedy);
        let read = identity::pattern(text).map_err(|wrong| told(wrong.message(KEY), wrong.remedy));
        let (pattern, known) =
            (read.ok()?, Pattern::new(text).map_err(|error| told(error.to_string(), "write less of it")));
        if pattern == IdentityPattern::Any {
            told(format!("`{KEY}` is everybody, as without it"), "remove the line");
            return None;
        }
        check_peer(&pattern, place, rule, model, notes)?;
        let (known, next) = (known.ok()?, self.whom.patterns.len());
        if let Some(number) = self.numbers.get(&known) {
            return Some(*number);
        }
        let number = IdentityId(u32::try_from(next).ok()?);
        self.whom.patterns.push((known.clone(), pattern));
        self.numbers.insert(known, number);
        Some(number)
    }
}

/// Somebody has to prove who he is, and it may be one of those meant.
fn check_peer(
    pattern: &IdentityPattern,
    place: &Place,
    rule: &FilterRule,
    model: &Model,
    notes: &Collector,
) -> Option<()> {
    let told = |message: String, remedy: &str| notes.error(place.clone(), message, remedy);
    // What cannot be found is told where it is named.
    let WrittenAction::Ipsec(name, _) = &rule.action else { return None };
    let Some(tunnel) = model.tunnels.iter().find(|tunnel| tunnel.name == *name) else { return Some(()) };
    let Keying::Negotiated(negotiated) = &tunnel.keying else {
        let message = format!("`{KEY}` with tunnel `{name}`, whose keys are manual: nobody proves who he is");
        told(message, "name a tunnel that has a peer, or remove the line");
        return None;
    };
    let Some(peer) = model.peers.iter().find(|peer| peer.name == negotiated.peer.0) else { return Some(()) };
    match known(peer) {
        Known::Proved => Some(()),
        Known::One(one) if pattern.is_of(one) => Some(()),
        Known::One(one) => {
            let message = format!("peer `{}` of tunnel `{name}` can only be {one}", peer.name);
            told(message, "write a pattern that it fits, or another `remote_id` of the peer");
            None
        }
        Known::Claimed => {
            let message = format!("whoever has the shared key of peer `{}` may call itself so", peer.name);
            told(message, "let clients prove who they are: write `trust` or `eap` in the peer");
            None
        }
    }
}

/// What a peer's proof says of who it is.
enum Known<'a> {
    /// Each has a proof of its own.
    Proved,
    /// There is only this one.
    One(&'a Identity),
    /// Many share one proof.
    Claimed,
}

fn known(peer: &Peer) -> Known<'_> {
    match (&peer.proofs.theirs, peer.remote_identity.single()) {
        // What such a client says of itself in IKE only leads to the peer.
        (Theirs::Eap(_), _) => Known::Proved,
        (_, Some(one)) => Known::One(one),
        (Theirs::Certificate(_), None) => Known::Proved,
        (Theirs::Shared(_), None) => Known::Claimed,
    }
}
