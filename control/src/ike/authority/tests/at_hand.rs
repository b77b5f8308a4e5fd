//! What the driver answers itself, out of memory: never by what was true a moment ago.

use std::time::Instant;

use ravelin_ike::crypto::PublicKey;

use super::*;

/// Longer than a ring that has just changed is read anew each time.
const LONG: Duration = Duration::from_secs(60);

/// Asks for signatures the long way until they are at hand, as they are once a ring has rested.
fn ready(identities: &Identities, key: &str, name: &str) -> Vec<Vec<u8>> {
    let begun = Instant::now();
    loop {
        identities.sign(key, &fqdn(name), b"octets", ECDSA, &[]).expect("a signature");
        if let Some(answer) = identities.sign_at_hand(key, &fqdn(name), b"octets", ECDSA, &[]) {
            return checked(answer.expect("a signature"));
        }
        assert!(begun.elapsed() < LONG, "{key} is never at hand");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The chain of an answer whose signature is by the key of its first certificate.
fn checked(answer: Answer) -> Vec<Vec<u8>> {
    let Answer::Signature { scheme, signature, chain, .. } = answer else { panic!("{answer:?}") };
    let leaf = ravelin_rings::certificate::Certificate::from_der(&chain[0]).expect("a certificate");
    let key = PublicKey::from_spki(&leaf.spki().expect("a key")).expect("a key");
    assert!(key.verify(scheme, b"octets", &signature));
    chain
}

#[test]
fn what_is_signed_out_of_memory_is_of_the_ring_as_it_is_now() {
    let site = Site::new(ours());
    site.certify("gw/a", "ca/root", KeyKind::P256, &["dns:a.example"]);
    site.certify("gw/slow", "ca/root", KeyKind::P384, &["dns:slow.example"]);
    let identities = Identities::new(site.rings.clone());
    let at_hand =
        |key: &str, name: &str| identities.sign_at_hand(key, &fqdn(name), b"octets", ECDSA, &[]).is_some();
    assert!(!at_hand("gw/a", "a.example"), "nobody has seen yet that key and certificate are one");
    let old = ready(&identities, "gw/a", "a.example");
    assert!(!at_hand("gw/none", "a.example") && !at_hand("gw/slow", "slow.example"));

    // Another certificate under the label.
    site.certify("gw/next", "ca/root", KeyKind::P256, &["dns:a.example"]);
    assert!(!at_hand("gw/a", "a.example"), "the ring has changed");
    let ring = RingName::new("gw").expect("a name");
    let labels = (place("gw/a").label, place("gw/next").label);
    site.desk(&site.signer(), |desk| desk.switch(&ring, &labels.0, &labels.1).expect("switched"));
    assert!(!at_hand("gw/a", "a.example"));
    assert_ne!(ready(&identities, "gw/a", "a.example"), old);

    // Whoever is taken off the list is refused at once, by either way.
    let give_away = |draft: &mut ravelin_rings::store::Draft<'_>| {
        draft.set_owner(Owner::Host);
        Ok(())
    };
    site.rings.change(&ring, give_away).expect("changed");
    assert!(!at_hand("gw/a", "a.example"));
    let refused = identities.sign("gw/a", &fqdn("a.example"), b"octets", ECDSA, &[]);
    assert!(refused.err().is_some_and(|why| why.contains("uid")));
    assert!(!at_hand("gw/a", "a.example"));
}

#[test]
fn nothing_is_signed_out_of_memory_by_what_has_ended() {
    // On a machine that is held up it may end before it was ever at hand.
    let seen = [6, 24, 96].into_iter().any(|seconds| ends_while_at_hand(Duration::from_secs(seconds)));
    assert!(seen, "it was never at hand");
}

/// Uses a certificate until it ends so soon from now. Whether it was at hand before.
fn ends_while_at_hand(lasting: Duration) -> bool {
    let site = Site::new(ours());
    // One that was made almost a day ago, for a day.
    let ends = super::super::super::trust::now() + lasting;
    let names = vec![parse_alternative_name("dns:a.example").expect("a name")];
    let subject = parse_name("CN=gw").expect("a name");
    let plan = Plan::new(subject, names, Profile::Ike, ends.as_secs() - 86_400, 1);
    let signer = site.signer();
    let root = Authority::open(&site.rings, &signer, &place("ca/root")).expect("an authority");
    site.desk(&signer, |desk| {
        let certify = |key: &ravelin_rings::issue::HeldKey<'_>| root.sign(&plan, IssuingKey::public(key));
        desk.with_new_key(&place("gw/a"), KeyKind::P256, certify, Profile::Ike).expect("a certificate");
    });
    let identities = Identities::new(site.rings.clone());
    let at_hand = || identities.sign_at_hand("gw/a", &fqdn("a.example"), b"octets", ECDSA, &[]).is_some();
    let (begun, mut seen) = (Instant::now(), false);
    while identities.sign("gw/a", &fqdn("a.example"), b"octets", ECDSA, &[]).is_ok() {
        assert!(begun.elapsed() < lasting + LONG, "it does not end");
        seen |= at_hand();
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(!at_hand());
    seen
}

/// Asks an authority as the driver does. Who answered: the driver's own thread, or another.
struct Bench {
    authority: super::super::Authority,
    doorway: super::super::super::Doorway,
    _runtime: tokio::runtime::Runtime,
}

impl Bench {
    fn new(rings: &Rings) -> Self {
        let (door, doorway) = super::super::super::door().expect("a door");
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
        let pool = super::super::super::pool::Pool::new(door.clone()).expect("threads");
        let authority = super::super::Authority::new(rings, pool.threads(), runtime.handle().clone(), door);
        Self { authority, doorway, _runtime: runtime }
    }

    /// The judgement, and whether it was there when the question had been asked.
    fn judge(&self, chain: &[Vec<u8>], revocation: Revocation) -> (Answer, bool) {
        let (authorities, schemes) = (vec!["ca/root".to_owned()], ECDSA.to_vec());
        let trust = Trust { authorities, revocation, schemes };
        let at_hand = self.authority.authorities.is_at_hand(chain, &trust);
        let ask = Ask::Verify { chain: chain.to_vec(), identity: fqdn("a.example"), trust };
        assert!(self.authority.ask(IkeId(1), 1, ask).is_none());
        let answered = |knock| match knock {
            Knock::Answered { answer, .. } => Some(answer),
            _ => None,
        };
        if at_hand {
            let answer = self.doorway.0.try_iter().find_map(answered);
            return (answer.expect("it is answered here and now"), true);
        }
        let begun = Instant::now();
        while begun.elapsed() < LONG {
            if let Some(answer) = self.doorway.0.recv_timeout(LONG).ok().and_then(answered) {
                return (answer, false);
            }
        }
        panic!("no answer");
    }

    fn until_at_hand(&self, chain: &[Vec<u8>]) -> Answer {
        let begun = Instant::now();
        loop {
            let (answer, at_hand) = self.judge(chain, Revocation::Soft);
            if at_hand {
                return answer;
            }
            assert!(begun.elapsed() < LONG, "it is never at hand");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

#[test]
fn a_chain_that_the_driver_judges_is_judged_by_the_rings_and_lists_of_now() {
    let site = Site::new(ours());
    site.certify("gw/a", "ca/root", KeyKind::P256, &["dns:a.example"]);
    let chain = site.sign("gw/a", &fqdn("a.example"), &[]).expect("a signature").chain;
    let bench = Bench::new(&site.rings);
    let trusted = |answer: &Answer| matches!(answer, Answer::Trusted { .. });
    assert!(trusted(&bench.until_at_hand(&chain)));
    // Long chains are for the threads.
    assert!(!bench.judge(&[&chain[..], &chain[..], &chain[..]].concat(), Revocation::Soft).1);

    // A list is put in that takes the certificate back.
    let signer = site.signer();
    let root = Authority::open(&site.rings, &signer, &place("ca/root")).expect("an authority");
    let now = super::super::super::trust::now().as_secs();
    let leaf = ravelin_rings::certificate::Certificate::from_der(&chain[0]).expect("a certificate");
    root.revoke(&leaf.serial(), "keyCompromise", now - 5).expect("revoked");
    let lists = site.rings.root().join(super::super::super::LISTS);
    std::fs::create_dir_all(&lists).expect("a folder");
    std::fs::write(lists.join("root.crl"), root.crl(1, now - 5).expect("a list")).expect("written");
    assert_eq!(bench.authority.authorities.read_lists(), Vec::<String>::new());
    match bench.until_at_hand(&chain) {
        Answer::Refused(why) => assert!(why.contains("(revoked)"), "{why}"),
        other => panic!("{other:?}"),
    }
    let (answer, at_hand) = bench.judge(&chain, Revocation::Off);
    assert!(at_hand && trusted(&answer), "{answer:?}");

    // The authority is not believed any more.
    let (ca, label) = (RingName::new("ca").expect("a name"), place("ca/root").label);
    let distrust = |draft: &mut ravelin_rings::store::Draft<'_>| {
        draft.set_trust(&label, ravelin_rings::ring::Trust::NotTrusted)
    };
    site.rings.change(&ca, distrust).expect("changed");
    let (answer, at_hand) = bench.judge(&chain, Revocation::Off);
    assert!(!at_hand && matches!(answer, Answer::Refused(_)), "{answer:?}");
}
