//! What the rings answer IKE, from real rings: names, choice, renewal, access lists.

use ravelin_ike::crypto::SignatureScheme;
use ravelin_ike::policy::{Identity, Revocation, Trust};
use ravelin_rings::access::{Access, Owner};
use ravelin_rings::issue::{Authority, Desk, IssuingKey, Plan, Profile, parse_alternative_name};
use ravelin_rings::key::KeyKind;
use ravelin_rings::name::{Place, RingName};
use ravelin_rings::passphrase::Source;
use ravelin_rings::signer::Signer;
use ravelin_rings::store::{NewRing, StoreKind};
use ravelin_rings::verify::parse_name;

use super::*;

mod at_hand;

const ECDSA: &[SignatureScheme] = &[SignatureScheme::Ed25519, SignatureScheme::EcdsaSha256];

/// Rings of a site: `ca` with two authorities, and `gw` with certificates of ours.
struct Site {
    rings: Rings,
    _folder: tempfile::TempDir,
}

impl Site {
    fn new(owner: Owner) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let site = Self { rings: Rings::at(folder.path()), _folder: folder };
        for ring in ["ca", "gw"] {
            let new = NewRing {
                owner,
                access: Access::default(),
                store: StoreKind::Directory,
                passphrase: Source::stash(),
            };
            site.rings.create(&RingName::new(ring).expect("a name"), new).expect("a ring");
        }
        for root in ["root", "other"] {
            let plan = site.plan(&format!("CN={root}"), &[], Profile::Ca(None), 300);
            let place = place(&format!("ca/{root}"));
            site.desk(&site.signer(), |desk| {
                desk.self_sign(&place, KeyKind::P256, &plan).expect("an authority")
            });
        }
        site
    }

    fn signer(&self) -> Signer {
        Signer::new(self.rings.clone())
    }

    fn desk<T>(&self, signer: &Signer, work: impl FnOnce(Desk<'_>) -> T) -> T {
        work(Desk::new(&self.rings, signer, super::super::trust::now().as_secs()))
    }

    fn plan(&self, subject: &str, names: &[&str], profile: Profile, days: u32) -> Plan {
        let names = names.iter().map(|name| parse_alternative_name(name).expect("a name")).collect();
        let now = super::super::trust::now().as_secs();
        Plan::new(parse_name(subject).expect("a name"), names, profile, now - 60, days)
    }

    /// A certificate of ours at `at`, by the authority `by`.
    fn certify(&self, at: &str, by: &str, kind: KeyKind, names: &[&str]) {
        let (signer, plan) = (self.signer(), self.plan("CN=gw,O=Ravens", names, Profile::Ike, 30));
        let authority = Authority::open(&self.rings, &signer, &place(by)).expect("an authority");
        self.desk(&signer, |desk| {
            let certify =
                |key: &ravelin_rings::issue::HeldKey<'_>| authority.sign(&plan, IssuingKey::public(key));
            desk.with_new_key(&place(at), kind, certify, Profile::Ike).expect("a certificate");
        });
    }

    fn sign(&self, key: &str, identity: &Identity, wanted: &[[u8; 20]]) -> Result<Shown, String> {
        let identities = Identities::new(self.rings.clone());
        match identities.sign(key, identity, b"octets", ECDSA, wanted)? {
            Answer::Signature { scheme, chain, good_for, .. } => Ok(Shown { scheme, chain, good_for }),
            other => Err(format!("{other:?}")),
        }
    }

    fn hashes(&self, name: &str) -> Vec<[u8; 20]> {
        Authorities::new(self.rings.clone()).hashes(name).expect("anchors")
    }

    async fn verify(&self, chain: &[Vec<u8>], identity: &Identity, by: &str) -> Result<(), String> {
        let (authorities, schemes) = (vec![by.to_owned()], ECDSA.to_vec());
        let trust = Trust { authorities, revocation: Revocation::Off, schemes };
        Authorities::new(self.rings.clone()).verify(chain, identity, &trust).await.map(drop)
    }
}

struct Shown {
    scheme: SignatureScheme,
    chain: Vec<Vec<u8>>,
    good_for: Option<Duration>,
}

fn place(text: &str) -> Place {
    text.parse().expect("a place")
}

fn ours() -> Owner {
    Owner::User(rustix::process::geteuid().as_raw())
}

fn fqdn(text: &str) -> Identity {
    Identity::Fqdn(text.to_owned())
}

#[test]
fn the_certificate_that_fits_is_shown_and_a_new_one_at_once() {
    let site = Site::new(ours());
    site.certify("gw/a", "ca/root", KeyKind::P256, &["dns:a.example"]);
    site.certify("gw/b", "ca/other", KeyKind::Ed25519, &["dns:b.example"]);
    let b = site.sign("gw", &fqdn("b.example"), &[]).expect("a signature");
    assert_eq!(b.scheme, SignatureScheme::Ed25519);
    assert!(b.good_for.is_some_and(|left| left > Duration::from_secs(29 * 86_400)));
    // Of two that are for nobody asked, the one that the peer's authority signed.
    for (authority, scheme) in
        [("ca/root", SignatureScheme::EcdsaSha256), ("ca/other", SignatureScheme::Ed25519)]
    {
        let shown = site.sign("gw", &fqdn("c.example"), &site.hashes(authority)).expect("a signature");
        assert_eq!(shown.scheme, scheme, "{authority}");
        assert_eq!(shown.chain.len(), 1, "whoever believes an authority has it");
    }
    site.certify("gw/next", "ca/root", KeyKind::P256, &["dns:a.example"]);
    let before = site.sign("gw/a", &fqdn("a.example"), &[]).expect("a signature").chain;
    let (ring, labels) =
        (RingName::new("gw").expect("a name"), (place("gw/a").label, place("gw/next").label));
    site.desk(&site.signer(), |desk| desk.switch(&ring, &labels.0, &labels.1).expect("switched"));
    let after = site.sign("gw/a", &fqdn("a.example"), &[]).expect("a signature").chain;
    assert_ne!(before, after);
}

#[test]
fn what_cannot_sign_says_why() {
    let site = Site::new(ours());
    let refused = |key: &str| site.sign(key, &fqdn("a.example"), &[]).err().expect("a refusal");
    assert!(refused("gw").contains("is empty"), "{}", refused("gw"));
    assert!(refused("ca").contains("no certificate of ours"), "{}", refused("ca"));
    assert!(refused("none").contains("none"), "{}", refused("none"));
    site.certify("gw/a", "ca/root", KeyKind::P384, &["dns:a.example"]);
    assert!(refused("gw").contains("no key of gw signs by any of"), "{}", refused("gw"));
}

#[test]
fn a_ring_that_does_not_list_this_process_lends_no_key() {
    let site = Site::new(Owner::Host);
    site.certify("gw/a", "ca/root", KeyKind::P256, &["dns:a.example"]);
    let why = site.sign("gw/a", &fqdn("a.example"), &[]).err().expect("a refusal");
    assert!(why.contains("uid"), "{why}");
}

#[tokio::test]
async fn a_certificate_speaks_for_its_own_names_and_under_its_own_authority() {
    let site = Site::new(ours());
    let names = ["dns:a.example", "email:carol@a.example", "ip:192.0.2.1", "dns:*.wild.example"];
    site.certify("gw/a", "ca/root", KeyKind::P256, &names);
    let chain = site.sign("gw/a", &fqdn("a.example"), &[]).expect("a signature").chain;
    let dn = |text: &str| {
        let der = x509_cert::der::Encode::to_der(&parse_name(text).expect("a name"));
        Identity::Dn(der.expect("DER"))
    };
    let email = |text: &str| Identity::Email(text.to_owned());
    for good in [
        fqdn("A.example"),
        email("carol@a.example"),
        dn("CN=GW,O=ravens"),
        Identity::Address([192, 0, 2, 1].into()),
    ] {
        site.verify(&chain, &good, "ca/root").await.unwrap_or_else(|why| panic!("{good}: {why}"));
        site.verify(&chain, &good, "ca").await.unwrap_or_else(|why| panic!("{good}: {why}"));
    }
    let strangers = [
        fqdn("b.example"),
        fqdn("gw"),
        fqdn("x.wild.example"),
        email("dave@a.example"),
        dn("CN=gw"),
        Identity::Address([192, 0, 2, 2].into()),
        Identity::KeyId(vec![1, 2, 3]),
    ];
    for stranger in strangers {
        let why = site.verify(&chain, &stranger, "ca").await.expect_err("another's name");
        assert!(why.contains("(wrong-name)"), "{stranger}: {why}");
    }
    let why = site.verify(&chain, &fqdn("a.example"), "ca/other").await.expect_err("another authority");
    assert!(why.contains("(broken-chain)") && why.contains("no trust anchor"), "{why}");
    let why = site.verify(&chain, &fqdn("a.example"), "gw").await.expect_err("no authority");
    assert!(why.contains("no trust anchor"), "{why}");
}
