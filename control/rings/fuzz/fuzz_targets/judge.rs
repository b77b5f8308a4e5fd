//! A peer before the judge, with a chain or a stapled response that nobody signed.

use std::sync::LazyLock;
use std::time::Duration;

use ravelin_rings::certificate::Certificate;
use ravelin_rings::issue::{Plan, Profile, issue, self_sign};
use ravelin_rings::key::{KeyKind, PrivateKey};
use ravelin_rings::revocation::{Cache, Mode, RevocationPolicy};
use ravelin_rings::verify::{Anchors, Presented, Purpose, Requirements, parse_name, verify};
use rustls_pki_types::{CertificateDer, UnixTime};

const NOW: u64 = 1_800_000_000;

/// An authority and a peer that it certified.
static WORLD: LazyLock<(Certificate, Certificate)> = LazyLock::new(|| {
    let plan = |name: &str, profile| {
        Plan::new(parse_name(name).expect("a name"), Vec::new(), profile, NOW - 3600, 30)
    };
    let key = PrivateKey::generate(KeyKind::P256).expect("a key");
    let root = self_sign(&plan("CN=Root", Profile::Ca(None)), &key).expect("a certificate");
    let peer = PrivateKey::generate(KeyKind::P256).expect("a key");
    let leaf = issue(&plan("CN=Peer", Profile::Server), peer.public(), &root, &key).expect("a certificate");
    (root, leaf)
});

/// Whether the peer is believed with `stapled`, or with a chain that begins with `forged`.
pub(crate) fn believed(forged: Option<&[u8]>, stapled: Option<&[u8]>) -> bool {
    let (root, leaf) = &*WORLD;
    let root = CertificateDer::from(root.der());
    let anchors = Anchors::from_certificates([&root]).expect("an anchor");
    let chain = [CertificateDer::from(forged.unwrap_or(leaf.der())), root.clone()];
    let mode = if stapled.is_some() { Mode::Hard } else { Mode::Off };
    let requirements = Requirements::new(Purpose::TlsServer, None, RevocationPolicy::new(mode));
    let now = UnixTime::since_unix_epoch(Duration::from_secs(NOW));
    verify(Presented { chain: &chain, stapled }, &anchors, &requirements, now, &Cache::default()).is_ok()
}
