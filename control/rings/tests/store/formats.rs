//! Formats: OpenSSL, GnuTLS and Python's cryptography make files that we read, and read the files that we make.

use std::collections::BTreeSet;
use std::path::Path;

use ravelin_rings::certificate::{Certificate, hex};
use ravelin_rings::error::Error;
use ravelin_rings::export::{Form, KeyWish, export};
use ravelin_rings::format::{self, Contents};
use ravelin_rings::issue::{Desk, Plan, Profile, parse_alternative_name, read_request};
use ravelin_rings::passphrase::Passphrase;
use ravelin_rings::ring::{Trust, Usage};
use ravelin_rings::signer::Signer;
use ravelin_rings::store::{NewEntry, Rings, StoreKind};
use ravelin_rings::verify::parse_name;

use crate::tools::{label, name, new_ring, place, python, run, run_words, sha256, with_ring};

/// All kinds of keys.
const KINDS: [&str; 7] = ["rsa-2048", "rsa-3072", "rsa-4096", "p256", "p384", "p521", "ed25519"];

const PASS: &str = "secret";

fn read(path: &Path) -> Contents {
    let octets = std::fs::read(path).expect("a file");
    let mut ask = |_: &str| Ok(Passphrase::new(PASS));
    format::read(&path.display().to_string(), &octets, &mut ask).unwrap_or_else(|error| panic!("{error}"))
}

/// SHA-256 of each public key and certificate, as the judges tell it.
fn told(contents: &Contents) -> BTreeSet<String> {
    let keys = contents.keys.iter().map(|key| format!("key {}", sha256(key.item.public().spki())));
    let certificates =
        contents.certificates.iter().map(|named| format!("cert {}", hex(&named.item.fingerprint())));
    keys.chain(certificates).collect()
}

/// Makes a key by OpenSSL. Long RSA keys take it long: they come from us, and the foreign program writes them in its ways.
fn openssl_key(at: &Path, kind: &str, file: &str) {
    let what = match kind {
        "rsa-3072" | "rsa-4096" => return long_key(at, kind, file),
        "p256" | "p384" | "p521" => format!("EC -pkeyopt ec_paramgen_curve:P-{}", &kind[1..]),
        "ed25519" => "ED25519".to_owned(),
        rsa => format!("RSA -pkeyopt rsa_keygen_bits:{}", &rsa[4..]),
    };
    run(at, "openssl", &format!("genpkey -algorithm {what} -out {file}"));
}

fn long_key(at: &Path, kind: &str, file: &str) {
    let (_folder, rings) = with_ring(new_ring());
    let signer = Signer::new(rings.clone());
    let plan =
        Plan::new(parse_name("CN=long").expect("a name"), Vec::new(), Profile::Server, 1_800_000_000, 30);
    let desk = Desk::new(&rings, &signer, 1_800_000_000);
    desk.self_sign(&place("web/long"), kind.parse().expect("a kind"), &plan).expect("a key");
    let key = export(&rings, &place("web/long"), Form::Pkcs8, false, &KeyWish::Plain).expect("exported");
    std::fs::write(at.join(file), &*key).expect("written");
}

/// Holds the requests in files of `at` to `key`.
fn hold_requests(at: &Path, files: &[&str], key: &str) {
    for file in files {
        let contents = read(&at.join(file));
        assert_eq!(contents.requests.len(), 1, "{file}");
        let request = read_request(&contents.requests[0]).unwrap_or_else(|e| panic!("{file}: {e}"));
        assert_eq!(format!("key {}", sha256(request.key.spki())), key, "{file}");
        assert_eq!(request.names, [parse_alternative_name("dns:site.example").expect("a name")], "{file}");
    }
}

/// Reads every file of `folder` and holds it to `key` and `certificate`; how many files there were.
fn hold_all(folder: &Path, prefix: &str, key: &str, certificate: &str) -> usize {
    let mut count = 0;
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let file = entry.file_name().into_string().expect("text");
        let Some(rest) = file.strip_prefix(prefix) else { continue };
        let expected: BTreeSet<String> = match rest.split(['-', '.']).next() {
            Some("key") => [key.to_owned()].into(),
            Some("both") => [key.to_owned(), certificate.to_owned()].into(),
            _ => [certificate.to_owned()].into(),
        };
        assert_eq!(told(&read(&entry.path())), expected, "{file}");
        count += 1;
    }
    count
}

#[test]
fn everything_that_openssl_makes_is_read() {
    for kind in KINDS {
        let folder = tempfile::tempdir().expect("a folder");
        let at = folder.path();
        let openssl = |arguments: &str| run(at, "openssl", arguments);
        openssl_key(at, kind, "o-key.pem");
        openssl("req -new -x509 -key o-key.pem -subj /CN=openssl -days 30 -out o-cert.pem");
        openssl("pkey -in o-key.pem -pubout -outform DER -out spki");
        openssl("pkey -in o-key.pem -outform DER -out o-key.der");
        openssl("x509 -in o-cert.pem -outform DER -out o-cert.der");
        openssl("crl2pkcs7 -nocrl -certfile o-cert.pem -out o-cert.p7b");
        openssl("crl2pkcs7 -nocrl -certfile o-cert.pem -outform DER -out o-cert.p7c");
        openssl("x509 -in o-cert.pem -trustout -out o-cert-trusted.pem");
        openssl("pkcs8 -topk8 -in o-key.pem -passout pass:secret -out o-key-encrypted.pem");
        openssl("pkcs8 -topk8 -in o-key.pem -passout pass:secret -outform DER -out o-key-encrypted.der");
        openssl(
            "pkcs8 -topk8 -in o-key.pem -passout pass:secret -v2 des3 -v2prf hmacWithSHA1 -out o-key-3des.pem",
        );
        openssl("pkcs8 -topk8 -in o-key.pem -passout pass:secret -scrypt -out o-key-scrypt.pem");
        let both = "pkcs12 -export -inkey o-key.pem -in o-cert.pem -name site -passout pass:secret";
        openssl(&format!("{both} -out o-both.p12"));
        openssl(&format!("{both} -legacy -out o-both-legacy.p12"));
        openssl(&format!("{both} -keypbe NONE -certpbe NONE -out o-both-open.p12"));
        let mut expected = 14;
        if kind != "ed25519" {
            openssl("pkey -in o-key.pem -traditional -out o-key-traditional.pem");
            openssl("pkey -in o-key.pem -traditional -outform DER -out o-key-traditional.der");
            expected += 2;
        }
        let key = format!("key {}", sha256(&std::fs::read(at.join("spki")).expect("a key")));
        let certificate =
            format!("cert {}", sha256(&std::fs::read(at.join("o-cert.der")).expect("a certificate")));
        assert_eq!(hold_all(at, "o-", &key, &certificate), expected, "{kind}");
        let request = "req -new -key o-key.pem -subj /CN=site -addext subjectAltName=DNS:site.example";
        openssl(&format!("{request} -out request.pem"));
        openssl(&format!("{request} -outform DER -out request.der"));
        hold_requests(at, &["request.pem", "request.der"], &key);
    }
}

#[test]
fn everything_that_gnutls_makes_is_read() {
    for kind in KINDS {
        let folder = tempfile::tempdir().expect("a folder");
        let at = folder.path();
        let certtool = |arguments: &str| run(at, "certtool", arguments);
        let sort = match kind {
            "p256" => "--key-type ecdsa --curve secp256r1".to_owned(),
            "p384" => "--key-type ecdsa --curve secp384r1".to_owned(),
            "p521" => "--key-type ecdsa --curve secp521r1".to_owned(),
            "ed25519" => "--key-type eddsa --curve ed25519".to_owned(),
            rsa => format!("--key-type rsa --bits {}", &rsa[4..]),
        };
        if matches!(kind, "rsa-3072" | "rsa-4096") {
            long_key(at, kind, "long.pem");
            certtool("--key-info --no-text --infile long.pem --outfile g-key.pem");
        } else {
            certtool(&format!("--generate-privkey --no-text {sort} --outfile g-key.pem"));
        }
        certtool("--to-p8 --load-privkey g-key.pem --password= --outfile g-key-plain.pem");
        certtool("--to-p8 --load-privkey g-key.pem --password= --outder --outfile g-key-plain.der");
        let plan = "cn = gnutls\nexpiration_days = 30\ndns_name = site.example\n";
        std::fs::write(at.join("plan"), plan).expect("a plan");
        certtool(
            "--generate-self-signed --load-privkey g-key.pem --template plan --no-text --outfile g-cert.pem",
        );
        certtool("--certificate-info --infile g-cert.pem --outder --outfile g-cert.der");
        certtool("--to-p8 --load-privkey g-key.pem --password secret --outfile g-key-encrypted.pem");
        certtool("--to-p8 --load-privkey g-key.pem --password secret --outder --outfile g-key-encrypted.der");
        let both = "--to-p12 --load-privkey g-key.pem --load-certificate g-cert.pem --p12-name site --password secret";
        certtool(&format!("{both} --outfile g-both.pem"));
        certtool(&format!("{both} --outder --outfile g-both.p12"));
        certtool(&format!("{both} --pkcs-cipher 3des-pkcs12 --outder --outfile g-both-legacy.p12"));
        let bag = "--p7-sign --load-privkey g-key.pem --load-certificate g-cert.pem --p7-include-cert --infile plan";
        certtool(&format!("{bag} --outfile g-cert.p7b"));
        certtool(&format!("{bag} --outder --outfile g-cert.p7c"));
        let request = "--generate-request --load-privkey g-key.pem --template plan --no-text";
        certtool(&format!("{request} --outfile request.pem"));
        certtool(&format!("{request} --outder --outfile request.der"));
        certtool("--pubkey-info --load-privkey g-key.pem --outder --outfile spki");
        let key = format!("key {}", sha256(&std::fs::read(at.join("spki")).expect("a key")));
        let certificate =
            format!("cert {}", sha256(&std::fs::read(at.join("g-cert.der")).expect("a certificate")));
        assert_eq!(hold_all(at, "g-", &key, &certificate), 12, "{kind}");
        hold_requests(at, &["request.pem", "request.der"], &key);
    }
}

#[test]
fn everything_that_python_makes_is_read() {
    for kind in KINDS {
        let folder = tempfile::tempdir().expect("a folder");
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/store/cryptography_judge.py");
        if matches!(kind, "rsa-3072" | "rsa-4096") {
            long_key(folder.path(), kind, "long.pem");
        }
        let said = run_words(folder.path(), python(), &[script, "make", kind]);
        let mut lines = said.lines();
        let (key, certificate) = (lines.next().expect("a key"), lines.next().expect("a certificate"));
        let expected = if kind == "ed25519" { 10 } else { 12 };
        assert_eq!(hold_all(folder.path(), "py-", key, certificate), expected, "{kind}");
        hold_requests(folder.path(), &["request.pem", "request.der"], key);
    }
}

/// A ring with an identity of this kind and its issuer, made by OpenSSL.
fn ring_of(at: &Path, kind: &str, store: StoreKind) -> (tempfile::TempDir, Rings, Vec<Certificate>) {
    let openssl = |arguments: &str| run(at, "openssl", arguments);
    openssl_key(at, kind, "key");
    openssl(
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -subj /CN=authority -out ca.pem",
    );
    openssl("req -new -key key -subj /CN=site -out csr");
    openssl("x509 -req -in csr -CA ca.pem -CAkey ca.key -days 30 -out cert");
    let mut contents = read(&at.join("key"));
    contents.certificates.extend(read(&at.join("ca.pem")).certificates);
    contents.certificates.extend(read(&at.join("cert")).certificates);
    let identity = contents.sort().identities.pop().expect("an identity");
    assert_eq!(identity.chain.len(), 2, "the issuer is found");
    let chain = identity.chain.clone();
    let new = ravelin_rings::store::NewRing { store, ..new_ring() };
    let (folder, rings) = with_ring(new);
    rings
        .change(&name("web"), |ring| {
            let (usage, trust) = (Usage::Identity, Trust::Trusted);
            ring.add(NewEntry {
                label: label("site"),
                chain: identity.chain,
                usage,
                trust,
                key: Some(identity.key),
            })
        })
        .expect("added");
    (folder, rings, chain)
}

#[test]
fn openssl_gnutls_and_python_read_everything_we_export() {
    for kind in KINDS {
        let bench = tempfile::tempdir().expect("a folder");
        let at = bench.path();
        let (_folder, rings, chain) = ring_of(at, kind, StoreKind::Directory);
        let secret = || KeyWish::Encrypted(Passphrase::new(PASS));
        let write = |file: &str, form: Form, wish: &KeyWish| {
            let octets = export(&rings, &place("web/site"), form, true, wish).expect("exported");
            std::fs::write(at.join(file), &*octets).expect("written");
        };
        write("x.pem", Form::Pem, &KeyWish::Without);
        write("x.der", Form::Der, &KeyWish::Without);
        write("x.p7b", Form::Pkcs7, &KeyWish::Without);
        write("x.p7c", Form::Pkcs7Der, &KeyWish::Without);
        write("x.p12", Form::Pkcs12, &secret());
        write("x.p12.pem", Form::Pkcs12Pem, &secret());
        write("x.key", Form::Pkcs8, &KeyWish::Plain);
        write("x.key.der", Form::Pkcs8Der, &KeyWish::Plain);
        write("x.enc", Form::Pkcs8, &secret());
        write("x.enc.der", Form::Pkcs8Der, &secret());
        write("x.all", Form::Pem, &secret());
        let public = sha256(chain[0].public_key().expect("a key").spki());
        let fingerprints: Vec<String> =
            chain.iter().map(|c| format!("cert {}", hex(&c.fingerprint()))).collect();
        let both: BTreeSet<String> = fingerprints.iter().cloned().collect();
        let key: BTreeSet<String> = [format!("key {public}")].into();
        let one: BTreeSet<String> = [fingerprints[0].clone()].into();
        let all = || &both | &key;

        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/store/cryptography_judge.py");
        let judge = |file: &str, form: &str| -> BTreeSet<String> {
            run_words(at, python(), &[script, "read", file, form]).lines().map(str::to_owned).collect()
        };
        let cases = [
            ("x.pem", "pem", both.clone()),
            ("x.der", "der", one),
            ("x.p7b", "pkcs7", both.clone()),
            ("x.p7c", "pkcs7-der", both.clone()),
            ("x.p12", "pkcs12", all()),
            ("x.key", "key", key.clone()),
            ("x.key.der", "key-der", key.clone()),
            ("x.enc", "key-encrypted", key.clone()),
            ("x.enc.der", "key-encrypted-der", key.clone()),
            ("x.all", "key-encrypted", key.clone()),
        ];
        for (file, form, expected) in cases {
            assert_eq!(judge(file, form), expected, "{kind} {file} by Python");
            assert_eq!(
                told(&read(&at.join(file))),
                if file == "x.all" { all() } else { expected },
                "{kind} {file}"
            );
        }

        let openssl = |arguments: &str| run(at, "openssl", arguments);
        let digest = |file: &str| sha256(&std::fs::read(at.join(file)).expect("a file"));
        for source in ["x.key", "x.key.der", "x.enc", "x.enc.der", "x.all"] {
            openssl(&format!("pkey -in {source} -passin pass:secret -pubout -outform DER -out o.spki"));
            assert_eq!(digest("o.spki"), public, "{kind} {source} by OpenSSL");
        }
        assert_eq!(told(&read(&at.join("x.p12.pem"))), all(), "{kind} PKCS#12 as PEM");
        openssl("x509 -inform DER -in x.der -outform DER -out o.der");
        assert_eq!(digest("o.der"), digest("x.der"), "{kind} DER by OpenSSL");
        let printed =
            openssl("pkcs7 -in x.p7b -print_certs") + &openssl("pkcs7 -inform DER -in x.p7c -print_certs");
        assert_eq!(printed.matches("BEGIN CERTIFICATE").count(), 4, "{kind} PKCS#7 by OpenSSL");
        let printed = openssl("pkcs12 -in x.p12 -passin pass:secret -nodes");
        assert_eq!(printed.matches("BEGIN CERTIFICATE").count(), 2, "{kind} PKCS#12 by OpenSSL");
        assert_eq!(printed.matches("BEGIN PRIVATE KEY").count(), 1, "{kind} PKCS#12 by OpenSSL");
        openssl("verify -CAfile ca.pem x.pem");

        let certtool = |arguments: &str| run(at, "certtool", arguments);
        for (source, form) in
            [("x.enc", ""), ("x.enc.der", "--inder"), ("x.key", ""), ("x.key.der", "--inder")]
        {
            let password = if source.starts_with("x.enc") { "--password secret" } else { "" };
            certtool(&format!(
                "--pubkey-info --load-privkey {source} {password} {form} --outder --outfile g.spki"
            ));
            assert_eq!(digest("g.spki"), public, "{kind} {source} by GnuTLS");
        }
        for (source, form) in [("x.p12", "--inder"), ("x.p12.pem", "")] {
            let printed = certtool(&format!("--p12-info {form} --infile {source} --password secret"));
            assert_eq!(printed.matches("BEGIN CERTIFICATE").count(), 2, "{kind} {source} by GnuTLS");
            assert!(printed.contains("PRIVATE KEY"), "{kind} {source} by GnuTLS");
        }
        for (source, form) in [("x.p7b", ""), ("x.p7c", "--inder")] {
            let printed = certtool(&format!("--p7-info {form} --infile {source}"));
            assert_eq!(
                printed.matches("BEGIN CERTIFICATE").count(),
                2,
                "{kind} {source} by GnuTLS: {printed}"
            );
        }
        let printed = certtool("--certificate-info --infile x.pem")
            + &certtool("--certificate-info --inder --infile x.der");
        assert_eq!(printed.matches("BEGIN CERTIFICATE").count(), 3, "{kind} certificates by GnuTLS");
    }
}

#[test]
fn a_pkcs12_ring_keeps_identity_anchor_and_pending_key_over_reopening() {
    let bench = tempfile::tempdir().expect("a folder");
    let (_folder, rings, chain) = ring_of(bench.path(), "p256", StoreKind::Pkcs12 { file: None });
    rings
        .change(&name("web"), |ring| {
            let (usage, trust) = (Usage::TrustAnchor, Trust::NotTrusted);
            let anchor = vec![chain[1].clone()];
            ring.add(NewEntry { label: label("authority"), chain: anchor, usage, trust, key: None })?;
            ring.set_default(Some(&label("site")))?;
            ring.generate(&label("next"), ravelin_rings::key::KeyKind::P256)
        })
        .expect("changed");
    let ring = Rings::at(rings.root()).open(&name("web")).expect("the ring");
    let site = ring.choose(None).expect("the default");
    assert_eq!((site.label.as_str(), site.chain.len(), site.has_key), ("site", 2, true));
    let anchor = ring.entry(&label("authority")).expect("the anchor");
    assert_eq!((anchor.usage, anchor.trust, anchor.has_key), (Usage::TrustAnchor, Trust::NotTrusted, false));
    assert_eq!(ring.pending.len(), 1);
    assert_eq!(ring.trust_anchors().count(), 0, "what is not trusted is no anchor");
    // The file is one that others read.
    let file = std::fs::read_dir(rings.root().join("web")).expect("a folder").flatten();
    let file = file.map(|entry| entry.path()).find(|path| path.extension().is_some_and(|e| e == "p12"));
    let stash = std::fs::read_to_string(rings.root().join("web/stash-0")).expect("the stash");
    let file = file.expect("a PKCS#12 file");
    let file = file.to_str().expect("text");
    let printed = run_words(
        bench.path(),
        "openssl",
        &["pkcs12", "-in", file, "-passin", &format!("pass:{stash}"), "-nodes"],
    );
    assert_eq!(printed.matches("BEGIN PRIVATE KEY").count(), 2);
}

#[test]
fn what_cannot_be_read_is_named_with_the_remedy() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path();
    run(at, "openssl", "genrsa -traditional -aes128 -passout pass:secret -out old.pem 2048");
    run(at, "openssl", "genpkey -algorithm ED25519 -out key.pem");
    run(at, "openssl", "pkcs8 -topk8 -in key.pem -passout pass:other -out wrong.pem");
    run(at, "openssl", "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:1024 -out small.pem");
    run(at, "openssl", "genpkey -algorithm X25519 -out x25519.pem");
    let ssh = "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n";
    std::fs::write(at.join("ssh"), ssh).expect("written");
    std::fs::write(at.join("cut.pem"), "-----BEGIN CERTIFICATE-----\nMIIB").expect("written");
    std::fs::write(at.join("none.pem"), "no certificate\n").expect("written");
    let cases = [
        ("old.pem", "openssl pkcs8 -topk8"),
        ("wrong.pem", "passphrase does not open it"),
        ("small.pem", "2048 to 4096 bits"),
        ("x25519.pem", "not supported"),
        ("ssh", "ssh-keygen -p -m PKCS8"),
        ("cut.pem", "cut short"),
        ("none.pem", "asn1parse"),
    ];
    for (file, remedy) in cases {
        let octets = std::fs::read(at.join(file)).expect("a file");
        let mut ask = |_: &str| Ok(Passphrase::new(PASS));
        let error = format::read(file, &octets, &mut ask).expect_err(file);
        assert!(error.to_string().starts_with(file), "{error}");
        assert!(error.to_string().contains(remedy), "{file}: {error}");
        assert_eq!(matches!(error, Error::WrongPassphrase { .. }), file == "wrong.pem");
    }
}

#[test]
fn the_systems_trust_bundle_is_a_ring_that_cannot_be_written() {
    let bench = tempfile::tempdir().expect("a folder");
    let at = bench.path();
    for which in ["one", "two"] {
        run(
            at,
            "openssl",
            &format!(
                "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout k -subj /O=Org/CN=Root -out {which}.pem"
            ),
        );
    }
    let both =
        ["one.pem", "two.pem"].map(|file| std::fs::read_to_string(at.join(file)).expect("PEM")).concat();
    std::fs::write(at.join("bundle"), both).expect("written");
    let store = StoreKind::System { bundle: at.join("bundle") };
    let (_folder, rings) = with_ring(ravelin_rings::store::NewRing { store, ..new_ring() });
    let ring = rings.open(&name("web")).expect("the ring");
    assert_eq!(ring.trust_anchors().count(), 2);
    let error = rings.change(&name("web"), |ring| ring.remove(&label("Root"))).expect_err("read-only");
    assert!(matches!(error, Error::ReadOnly(_)), "{error}");
    rings.change(&name("web"), |ring| ring.set_trust(&label("Root 2"), Trust::NotTrusted)).expect("noted");
    assert_eq!(rings.open(&name("web")).expect("the ring").trust_anchors().count(), 1);
}
