//! Whether the key rings that a policy names serve it: the part of `policy check` that reads more than the policy's files.
//!
//! A policy whose rings are not in order yet is sound for itself, so nothing here is an error: `apply` decides. Any check of a
//! gateway's health may ask the same.

use std::collections::BTreeMap;

use ravelin_config::diagnostic::{Collector, Findings};
use ravelin_events::catalogue::{CHECK_CERT_ENDED, CHECK_CERT_ENDS, CHECK_RING};
use ravelin_rings::name::RingName;
use ravelin_rings::ring::{Entry, Ring, Trust, Usage};
use ravelin_rings::store::Rings;

use crate::policy::Compiled;
use crate::policy::credential::{Named, Need};

const DAY: u64 = 86_400;
/// How long before its end a certificate is spoken of.
const SOON: u64 = 30 * DAY;
const RENEW: &str = "renew it: `ravelin cert renew`, or an order for renewal";

/// Rings that were opened, or why they cannot be.
type Opened = BTreeMap<RingName, Result<Ring, String>>;

/// What is wrong with the rings that `compiled` names, at the moment `now` (seconds since 1970), each where it is named.
pub fn check(compiled: &Compiled, rings: &Rings, now: u64) -> Findings {
    let notes = Collector::default();
    let mut opened = Opened::new();
    let of_tls = compiled.attls.plans.values().flat_map(|plan| &plan.rings);
    for named in compiled.ike.rings.iter().chain(of_tls) {
        let open = |name: &RingName| rings.open(name).map_err(|error| error.to_string());
        let ring = opened.entry(named.pick.ring.clone()).or_insert_with_key(open);
        match ring {
            Ok(ring) => look(named, ring, now, &notes),
            Err(error) => {
                let message = CHECK_RING.of(format!("the ring of `{}` cannot be used: {error}", named.pick));
                notes.warning(named.place.clone(), message, "make or mend the ring, or name another");
            }
        }
    }
    notes.finish()
}

fn look(named: &Named, ring: &Ring, now: u64, notes: &Collector) {
    if ring.passphrase_until.is_some_and(|until| until < now) {
        let message = CHECK_RING.of(format!("the passphrase of ring {} has ended", ring.name));
        notes.warning(named.place.clone(), message, format!("change it: ravelin ring passwd {}", ring.name));
    }
    let serving: Vec<_> = ring.entries.iter().filter(|entry| serves(named, entry)).collect();
    let Some(last) = serving.iter().map(|entry| ends(entry)).max() else {
        let (lacks, remedy) = match named.need {
            Need::Identity => ("no certificate of ours with its key", "import or order one"),
            Need::Anchor => ("no trust anchor", "import one: ravelin cert import"),
        };
        let message = CHECK_RING.of(format!("`{}` holds {lacks}", named.pick));
        return notes.warning(named.place.clone(), message, remedy);
    };
    // As long as one serves, others may end.
    let labels = || serving.iter().map(|entry| format!("{}/{}", ring.name, entry.label)).collect::<Vec<_>>();
    if last < now {
        let message = CHECK_CERT_ENDED.of(format!("{} has ended", labels().join(", ")));
        notes.warning(named.place.clone(), message, RENEW);
    } else if last - now < SOON {
        let days = (last - now) / DAY;
        let message = CHECK_CERT_ENDS.of(format!("{} ends in {days} days", labels().join(", ")));
        notes.warning(named.place.clone(), message, RENEW);
    }
}

fn serves(named: &Named, entry: &Entry) -> bool {
    let fits = match named.need {
        Need::Identity => entry.usage == Usage::Identity && entry.has_key,
        Need::Anchor => entry.usage == Usage::TrustAnchor,
    };
    fits && entry.trust == Trust::Trusted
        && named.pick.label.as_ref().is_none_or(|label| *label == entry.label)
}

fn ends(entry: &Entry) -> u64 {
    entry.certificate().validity().1
}
