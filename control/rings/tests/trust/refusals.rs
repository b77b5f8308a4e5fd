//! Every reason to refuse a certificate, each met by certificates made for it.

use ravelin_rings::certificate::Certificate;
use ravelin_rings::issue::{Constraints, Profile, parse_subtree};
use ravelin_rings::key::KeyKind;
use ravelin_rings::revocation::{Cache, Crl, Mode, RevocationPolicy};
use ravelin_rings::verify::{Anchors, PeerName, Presented, Purpose, Refusal, Requirements, Verified, verify};
use rustls_pki_types::{CertificateDer, UnixTime};

use crate::judges::{Bench, EC, Pair, below, now, plan, root};

const DAY: u64 = 86_400;

/// One question to the verifier.
pub(crate) struct Case<'a> {
    pub(crate) chain: Vec<&'a [u8]>,
    anchors: Vec<&'a [u8]>,
    purpose: Purpose,
    pub(crate) name: Option<&'a str>,
    pub(crate) now: u64,
    pub(crate) mode: Mode,
    /// DER of CRLs that are known.
    pub(crate) crls: Vec<&'a [u8]>,
}

impl<'a> Case<'a> {
    fn new(chain: &[&'a Pair], anchor: &'a Pair) -> Self {
        Self::of(chain.iter().map(|pair| pair.certificate.der()).collect(), anchor.certificate.der())
    }

    pub(crate) fn of(chain: Vec<&'a [u8]>, anchor: &'a [u8]) -> Self {
        let (purpose, mode) = (Purpose::TlsServer, Mode::Off);
        Self { chain, anchors: vec![anchor], purpose, name: None, now: now(), mode, crls: Vec::new() }
    }

    fn judge(&self) -> Result<Verified, Refusal> {
        let chain: Vec<_> = self.chain.iter().map(|der| CertificateDer::from(*der)).collect();
        let anchors: Vec<_> = self.anchors.iter().map(|der| CertificateDer::from(*der)).collect();
        let anchors = Anchors::from_certificates(&anchors).expect("anchors");
        let name = self.name.map(|name| PeerName::parse(name).expect("a name"));
        let requirements = Requirements::new(self.purpose, name, RevocationPolicy::new(self.mode));
        let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(self.now));
        let cache = Cache::default();
        self.crls.iter().for_each(|der| cache.add_crl(Crl::read(der).expect("a CRL")));
        verify(Presented { chain: &chain, stapled: None }, &anchors, &requirements, now, &cache)
    }

    pub(crate) fn accepted(&self) -> Verified {
        self.judge().unwrap_or_else(|refusal| panic!("refused: {refusal}"))
    }

    pub(crate) fn refused(&self, code: &str) -> String {
        let refusal = self.judge().expect_err(code);
        assert_eq!(refusal.code(), code, "{refusal}");
        refusal.to_string()
    }
}

/// Root, authority below it, and a server below that.
fn three() -> (Pair, Pair, Pair) {
    let ca = root(KeyKind::P256, "CN=Root");
    let middle = below(&ca, KeyKind::P256, &plan("CN=Middle", &[], Profile::Ca(Some(0)), 100));
    let names = ["dns:gw.example", "dns:*.branch.example", "ip:192.0.2.1", "email:Ops@GW.example"];
    let leaf =
        below(&middle, KeyKind::P256, &plan("CN=gw.example,O=Ravelin  Test", &names, Profile::Server, 30));
    (ca, middle, leaf)
}

#[test]
fn a_whole_chain_is_believed_whatever_its_order() {
    let (ca, middle, leaf) = three();
    let other = root(KeyKind::P256, "CN=Stray");
    let verified = Case::new(&[&leaf, &other, &ca, &middle], &ca).accepted();
    let path: Vec<_> = verified.path().map(|der| der.to_vec()).collect();
    let expected: Vec<_> = [&leaf, &middle, &ca].iter().map(|pair| pair.certificate.der().to_vec()).collect();
    assert_eq!(path, expected);
    assert_eq!(verified.not_after(), leaf.certificate.validity().1);
}

#[test]
fn time_outside_of_any_certificate_of_the_path_is_refused() {
    let (ca, middle, leaf) = three();
    let mut case = Case::new(&[&leaf, &middle], &ca);
    case.now = now() + 31 * DAY;
    assert!(case.refused("expired").contains("gw.example"));
    case.now = now() - DAY;
    assert!(case.refused("not-yet-valid").contains("gw.example"));
    // The authority alone is late; such a leaf comes from careless CAs.
    let old = below(&ca, KeyKind::P256, &plan("CN=Old", &[], Profile::Ca(None), 10));
    let young = below(&old, KeyKind::P256, &plan("CN=young", &[], Profile::Server, 9));
    let mut case = Case::new(&[&young, &old], &ca);
    case.now = now() + 9 * DAY + DAY / 2;
    assert!(case.refused("expired").contains("young"));
    // The anchor itself.
    let short = Bench::new();
    short.ok("openssl", "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem -subj /CN=Short -days 1");
    short.ok(
        "openssl",
        "req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout l.key -out l.csr -subj /CN=long",
    );
    short.write("v3.cnf", "basicConstraints=critical,CA:false\n");
    short.ok(
        "openssl",
        "x509 -req -in l.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -extfile v3.cnf -out l.pem",
    );
    let (leaf, anchor) = (short.read_pem("l.pem"), short.read_pem("ca.pem"));
    let mut case = Case::of(vec![&leaf], &anchor);
    case.now = now() + 60;
    case.accepted();
    case.now = now() + 2 * DAY;
    assert!(case.refused("expired").contains("CN=Short"));
}

#[test]
fn names_decide_by_kind() {
    let (ca, middle, leaf) = three();
    let good = [
        "gw.example",
        "GW.EXAMPLE",
        "a.branch.example",
        "192.0.2.1",
        "Ops@gw.EXAMPLE",
        "CN=gw.example,O=Ravelin  Test",
        "CN=GW.example,O=ravelin test",
    ];
    let bad = [
        "other.example",
        "a.b.branch.example",
        "branch.example",
        "192.0.2.2",
        "2001:db8::1",
        "ops@gw.example",
        "Ops@other.example",
        "CN=gw.example",
        "O=Ravelin Test,CN=gw.example",
        "CN=gw.example,O=Ravelin Test,C=DE",
    ];
    for name in good {
        let mut case = Case::new(&[&leaf, &middle], &ca);
        case.name = Some(name);
        case.accepted();
    }
    for name in bad {
        let mut case = Case::new(&[&leaf, &middle], &ca);
        case.name = Some(name);
        let said = case.refused("wrong-name");
        assert!(said.contains(name) && said.contains("*.branch.example"), "{said}");
    }
    // IKE takes no wildcards.
    let names = ["dns:*.branch.example", "dns:gw.example"];
    let peer = below(&ca, KeyKind::P256, &plan("CN=peer", &names, Profile::Ike, 30));
    let mut case = Case::new(&[&peer], &ca);
    case.purpose = Purpose::Ike;
    case.name = Some("gw.example");
    case.accepted();
    case.name = Some("a.branch.example");
    case.refused("wrong-name");
}

#[test]
fn usages_decide() {
    let ca = root(KeyKind::P256, "CN=Root");
    let made = |profile| below(&ca, KeyKind::P256, &plan("CN=x", &[], profile, 30));
    let (server, client, ike) = (made(Profile::Server), made(Profile::Client), made(Profile::Ike));
    let cases = [
        (&server, Purpose::TlsServer, true),
        (&server, Purpose::TlsClient, false),
        (&server, Purpose::Ike, false),
        (&client, Purpose::TlsServer, false),
        (&client, Purpose::TlsClient, true),
        (&client, Purpose::Ike, false),
        (&ike, Purpose::TlsServer, false),
        (&ike, Purpose::TlsClient, false),
        (&ike, Purpose::Ike, true),
        (&server, Purpose::Inspection, true),
    ];
    for (pair, purpose, good) in cases {
        let mut case = Case::new(&[pair], &ca);
        case.purpose = purpose;
        match good {
            true => drop(case.accepted()),
            false => assert!(case.refused("wrong-usage").contains(&purpose.to_string()), "{purpose}"),
        }
    }
    let authority = below(&ca, KeyKind::P256, &plan("CN=Authority", &[], Profile::Ca(None), 30));
    assert!(Case::new(&[&authority], &ca).refused("wrong-usage").contains("authority's certificate"));
}

#[test]
fn certificates_that_only_careless_authorities_make_are_refused() {
    let bench = Bench::new();
    let make = |name: &str, key: &str, issuer: &str, extensions: &str, more: &str| {
        bench.issue(name, key, issuer, extensions, more)
    };
    let ca_ext = "basicConstraints=critical,CA:true";
    let end = "basicConstraints=critical,CA:false";
    let ca = make("root", EC, "", ca_ext, "");

    let leaf = make("leaf", EC, "root", end, "");
    Case::of(vec![&leaf], &ca).accepted();
    let below_leaf = make("below", EC, "leaf", end, "");
    assert!(Case::of(vec![&below_leaf, &leaf], &ca).refused("wrong-usage").contains("CN=leaf"));

    let mute = make("mute", EC, "root", "basicConstraints=critical,CA:true;keyUsage=critical,cRLSign", "");
    let below_mute = make("below-mute", EC, "mute", end, "");
    assert!(Case::of(vec![&below_mute, &mute], &ca).refused("wrong-usage").contains("keyCertSign"));

    let agree = make("agree", EC, "root", "keyUsage=critical,keyAgreement", "");
    assert!(Case::of(vec![&agree], &ca).refused("wrong-usage").contains("digitalSignature"));

    let short = make("short", EC, "root", "basicConstraints=critical,CA:true,pathlen:0", "");
    let third = make("third", EC, "short", ca_ext, "");
    let deep = make("deep", EC, "third", end, "");
    assert!(Case::of(vec![&deep, &third, &short], &ca).refused("broken-chain").contains("path length"));

    let small = make("small", "rsa:1024", "root", end, "");
    assert!(Case::of(vec![&small], &ca).refused("small-key").contains("1024"));
    let small_ca = make("small-ca", "rsa:1024", "root", ca_ext, "");
    let below_small = make("below-small", EC, "small-ca", end, "");
    let said = Case::of(vec![&below_small, &small_ca], &ca).refused("small-key");
    assert!(said.contains("CN=small-ca") && said.contains("1024"), "{said}");
    let curve = make("curve", "ec -pkeyopt ec_paramgen_curve:secp224r1", "root", end, "");
    Case::of(vec![&curve], &ca).refused("small-key");

    let sha1 = make("sha1", EC, "root", end, "-sha1");
    assert!(Case::of(vec![&sha1], &ca).refused("weak-signature").contains("ecdsa-with-SHA1"));
    let rsa_root = make("rsa-root", "rsa:2048", "", ca_ext, "");
    let sha1_ca = make("sha1-ca", EC, "rsa-root", ca_ext, "-sha1");
    let below_sha1 = make("below-sha1", EC, "sha1-ca", end, "");
    let said = Case::of(vec![&below_sha1, &sha1_ca], &rsa_root).refused("weak-signature");
    assert!(said.contains("CN=sha1-ca") && said.contains("sha1WithRSAEncryption"), "{said}");

    let strange = make("strange", EC, "root", "1.2.3.4=critical,ASN1:NULL", "");
    Case::of(vec![&strange], &ca).refused("malformed");
}

#[test]
fn chains_break_where_a_link_is_missing_or_does_not_fit() {
    let (ca, middle, leaf) = three();
    let said = Case::new(&[&leaf], &ca).refused("broken-chain");
    assert!(said.contains("its issuer CN=Middle was not sent"), "{said}");
    let twin = below(&ca, KeyKind::P256, &plan("CN=Middle", &[], Profile::Ca(Some(0)), 100));
    let said = Case::new(&[&leaf, &twin], &ca).refused("broken-chain");
    assert!(said.contains("the signature does not match"), "{said}");
    // With both at hand the right one is found.
    Case::new(&[&leaf, &twin, &middle], &ca).accepted();
    let mut forged = leaf.certificate.der().to_vec();
    let last = forged.len() - 1;
    forged[last] ^= 1;
    Case::of(vec![&forged, middle.certificate.der()], ca.certificate.der()).refused("broken-chain");
}

#[test]
fn strangers_are_not_trusted() {
    let (ca, middle, leaf) = three();
    let stranger = root(KeyKind::P256, "CN=Stranger");
    let said = Case::new(&[&leaf, &middle, &ca], &stranger).refused("untrusted");
    assert!(said.contains("CN=Root is not a trusted authority"), "{said}");
    let alone = Bench::new();
    alone.ok("openssl", "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout k -out c.pem -subj /CN=alone -days 9 -addext basicConstraints=critical,CA:false");
    let pinned = alone.read_pem("c.pem");
    Case::of(vec![&pinned], stranger.certificate.der()).refused("untrusted");
    let mut case = Case::of(vec![&pinned], &pinned);
    case.accepted();
    case.mode = Mode::Hard;
    case.accepted();
    case.anchors.clear();
    case.refused("untrusted");
}

#[test]
fn authorities_stay_within_their_names() {
    let ca = root(KeyKind::P256, "CN=Root");
    let mut limited = plan("CN=Limited", &[], Profile::Ca(None), 100);
    limited.constraints = Constraints {
        permitted: ["dns:example", "ip:192.0.2.0/24"]
            .iter()
            .map(|tree| parse_subtree(tree).expect("one"))
            .collect(),
        excluded: vec![parse_subtree("dns:secret.example").expect("one")],
    };
    let limited = below(&ca, KeyKind::P256, &limited);
    for (name, good) in [
        ("dns:a.example", true),
        ("dns:example", true),
        ("ip:192.0.2.9", true),
        ("dns:a.other", false),
        ("dns:notexample", false),
        ("dns:a.secret.example", false),
        ("ip:192.0.3.9", false),
    ] {
        let leaf = below(&limited, KeyKind::P256, &plan("CN=leaf", &[name], Profile::Server, 30));
        let case = Case::new(&[&leaf, &limited], &ca);
        match good {
            true => drop(case.accepted()),
            false => drop(case.refused("name-constraint")),
        }
    }
}

#[test]
fn revocation_that_must_be_known_and_is_not_is_a_reason_of_its_own() {
    let (ca, middle, leaf) = three();
    let mut case = Case::new(&[&leaf, &middle], &ca);
    case.mode = Mode::Soft;
    case.accepted();
    case.mode = Mode::Hard;
    case.refused("revocation-unknown");
}

#[test]
fn octets_that_are_no_certificates_are_refused() {
    let (ca, middle, leaf) = three();
    let whole = leaf.certificate.der();
    let mut longer = whole.to_vec();
    longer.push(0);
    for bad in [&[][..], &whole[..whole.len() - 1], &longer, b"no certificate at all"] {
        Case::of(vec![bad, middle.certificate.der()], ca.certificate.der()).refused("malformed");
    }
    Case::of(vec![], ca.certificate.der()).refused("malformed");
    let many = vec![whole; 17];
    Case::of(many, ca.certificate.der()).refused("malformed");
    assert!(Certificate::from_der(whole).is_ok());
}
