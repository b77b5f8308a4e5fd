//! Whether a peer's certificates are believed: anchors of key rings, the peer's name, revocation.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ravelin_ike::Answer;
use ravelin_ike::crypto::nat::authority_hash;
use ravelin_ike::policy::{Identity, Revocation, Trust};
use ravelin_rings::certificate::Certificate;
use ravelin_rings::io::Http;
use ravelin_rings::revocation::{Cache, Mode, RevocationPolicy, verify_online};
use ravelin_rings::ring::{Entry, Ring, Trust as Mark, Usage};
use ravelin_rings::store::{Recent, Rings};
use ravelin_rings::verify::{Anchors, PeerName, Presented, Purpose, Requirements};
use rustls_pki_types::{CertificateDer, UnixTime};
use x509_cert::der::Decode;
use x509_cert::name::Name;

use crate::policy::credential::Pick;

/// Folder with revocation lists, in that of the rings.
pub(crate) const LISTS: &str = ".crls";

/// Certificates of a chain that is judged by whoever asks.
const SHORT: usize = 2;
/// Octets of such a chain, and of a revocation list whose signature it may be the first to need.
const SMALL: usize = 1 << 14;
/// Trust anchors that such a chain may lead to.
const FEW: usize = 16;

/// Anchors, and the rings that they were in.
type Read = (Vec<Arc<Ring>>, Arc<Anchors>);

/// Who peers are believed by.
#[derive(Debug)]
pub(super) struct Authorities {
    lists: PathBuf,
    rings: Recent,
    /// The anchors behind lists of names.
    anchors: Mutex<BTreeMap<Vec<String>, Read>>,
    cache: Cache,
    fetch: Http,
}

impl Authorities {
    pub(super) fn new(rings: Rings) -> Self {
        Self {
            lists: rings.root().join(LISTS),
            rings: Recent::new(rings),
            anchors: Mutex::default(),
            cache: Cache::default(),
            fetch: Http::default(),
        }
    }

    /// Reads the folder of revocation lists again. Gives what could not be read.
    pub(super) fn read_lists(&self) -> Vec<String> {
        let folder = &self.lists;
        if !folder.exists() {
            return Vec::new();
        }
        self.cache
            .read_directory(folder)
            .unwrap_or_else(|error| vec![format!("{}: {error}", folder.display())])
    }

    /// SHA-1 of the public keys of the anchors behind a name of policy.
    pub(super) fn hashes(&self, name: &str) -> Result<Vec<[u8; 20]>, String> {
        let ring = self.ring(name)?;
        let found = believed(name, &ring)?;
        found.iter().map(|one| Ok(authority_hash(&one.spki().map_err(|e| e.to_string())?))).collect()
    }

    fn ring(&self, name: &str) -> Result<Arc<Ring>, String> {
        self.rings.open(&pick(name)?.ring).map_err(|error| error.to_string())
    }

    /// What these names stand for. Put together once for each state of their rings.
    fn anchors(&self, names: &[String]) -> Result<Arc<Anchors>, String> {
        let known = || self.anchors.lock().unwrap_or_else(PoisonError::into_inner);
        let rings = names.iter().map(|name| self.ring(name)).collect::<Result<Vec<_>, _>>()?;
        if let Some((then, anchors)) = known().get(names)
            && then.iter().zip(&rings).all(|(then, now)| Arc::ptr_eq(then, now))
        {
            return Ok(Arc::clone(anchors));
        }
        let mut anchors = Anchors::none();
        for (name, ring) in names.iter().zip(&rings) {
            for one in believed(name, ring)? {
                anchors.add(&CertificateDer::from(one.der())).map_err(|refusal| refusal.to_string())?;
            }
        }
        let anchors = Arc::new(anchors);
        known().insert(names.to_vec(), (rings, Arc::clone(&anchors)));
        Ok(anchors)
    }

    /// Whether judging this chain takes as long as waking a thread for it: no file has to be read, no long list hashed, and
    /// there are so few certificates that a stranger's cannot keep anybody busy. It may still have to ask the network.
    pub(super) fn is_at_hand(&self, chain: &[Vec<u8>], trust: &Trust) -> bool {
        let octets: usize = chain.iter().map(Vec::len).sum();
        if chain.len() > SHORT || octets > SMALL || self.cache.has_unjudged(SMALL) {
            return false;
        }
        let rings = {
            let known = self.anchors.lock().unwrap_or_else(PoisonError::into_inner);
            known
                .get(&trust.authorities)
                .filter(|(_, anchors)| anchors.len() <= FEW)
                .map(|(rings, _)| rings.clone())
        };
        rings.is_some_and(|rings| rings.iter().all(|ring| self.rings.is_now(ring)))
    }

    /// Judges a chain, leaf first.
    pub(super) async fn verify(
        &self,
        chain: &[Vec<u8>],
        identity: &Identity,
        trust: &Trust,
    ) -> Result<Answer, String> {
        let anchors = self.anchors(&trust.authorities)?;
        let chain: Vec<_> = chain.iter().map(|der| CertificateDer::from(der.as_slice())).collect();
        let presented = Presented { chain: &chain, stapled: None };
        let revocation = RevocationPolicy::new(mode(trust.revocation));
        let requirements = Requirements::new(Purpose::Ike, Some(name_of(identity)?), revocation);
        let now = now();
        let time = UnixTime::since_unix_epoch(now);
        let judged = verify_online(presented, &anchors, &requirements, time, &self.cache, &self.fetch).await;
        let verified = judged
            .map_err(|refusal| format!("the certificate is not believed ({}): {refusal}", refusal.code()))?;
        let good_for = Duration::from_secs(verified.not_after()).saturating_sub(now);
        Ok(Answer::Trusted { public_key: verified.public_key(), good_for: Some(good_for) })
    }
}

fn pick(name: &str) -> Result<Pick, String> {
    name.parse().map_err(|error: ravelin_rings::Error| error.to_string())
}

/// The trust anchors of a ring, or the one of them that is named.
fn believed<'a>(name: &str, ring: &'a Ring) -> Result<Vec<&'a Certificate>, String> {
    let label = pick(name)?.label;
    let named = |entry: &&Entry| label.as_ref().is_none_or(|wanted| *wanted == entry.label);
    let usable = |entry: &&Entry| entry.usage == Usage::TrustAnchor && entry.trust == Mark::Trusted;
    let found: Vec<_> = ring.entries.iter().filter(usable).filter(named).map(Entry::certificate).collect();
    match found.is_empty() {
        true => Err(format!("{name} has no trust anchor; import one with ravelin cert import")),
        false => Ok(found),
    }
}

/// Since 1970.
pub(super) fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn mode(revocation: Revocation) -> Mode {
    match revocation {
        Revocation::Off => Mode::Off,
        Revocation::Soft => Mode::Soft,
        Revocation::Hard => Mode::Hard,
    }
}

/// The name that a certificate must have to speak for this identity (RFC 4945 3.1).
pub(super) fn name_of(identity: &Identity) -> Result<PeerName, String> {
    Ok(match identity {
        Identity::Address(address) => PeerName::Ip(*address),
        Identity::Fqdn(name) => PeerName::Dns(name.clone()),
        Identity::Email(name) => PeerName::Email(name.clone()),
        Identity::Dn(der) => PeerName::Subject(
            Name::from_der(der).map_err(|error| format!("its name cannot be read: {error}"))?,
        ),
        Identity::KeyId(octets) => PeerName::KeyId(octets.clone()),
        Identity::User(name) => {
            return Err(format!("{name} is the name of a user, which no certificate has"));
        }
    })
}
