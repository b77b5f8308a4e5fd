//! What we issue is read and believed by OpenSSL, GnuTLS and Python's cryptography, and we believe what OpenSSL's CA signs.

use crate::judges::{Bench, KINDS, below, now, pem, plan, root};
use ravelin_rings::certificate::Certificate;
use ravelin_rings::issue::{
    Constraints, CrlPlan, Profile, Revocation, issue_crl, make_request, parse_alternative_name,
    parse_subtree, read_request,
};
use ravelin_rings::key::{KeyKind, PrivateKey};
use ravelin_rings::verify::parse_name;
use x509_cert::ext::pkix::CrlReason;

const NAMES: &[&str] = &[
    "dns:gw.example",
    "ip:192.0.2.1",
    "ip:2001:db8::1",
    "email:ops@gw.example",
    "uri:https://gw.example/x",
    "dn:CN=a,O=b",
];

#[test]
fn certificates_of_every_kind_of_key_verify_in_openssl_and_gnutls() {
    for kind in KINDS {
        let bench = Bench::new();
        let ca = root(KeyKind::P256, "CN=Test Root,O=Ravelin");
        let middle = below(&ca, kind, &plan(&format!("CN=Middle {kind}"), &[], Profile::Ca(Some(0)), 400));
        let leaf = below(&middle, kind, &plan("CN=gw.example", NAMES, Profile::Server, 90));
        bench.certificate("ca.pem", &ca.certificate);
        bench.certificate("middle.pem", &middle.certificate);
        bench.certificate("leaf.pem", &leaf.certificate);
        let chain = [&leaf, &middle, &ca].map(|pair| pem("CERTIFICATE", pair.certificate.der())).concat();
        bench.write("chain.pem", chain);
        bench.ok("openssl", "verify -x509_strict -purpose sslserver -verify_hostname gw.example -CAfile ca.pem -untrusted middle.pem leaf.pem");
        bench.ok(
            "openssl",
            "verify -x509_strict -verify_ip 2001:db8::1 -CAfile ca.pem -untrusted middle.pem leaf.pem",
        );
        bench.ok(
            "openssl",
            "verify -verify_email ops@gw.example -CAfile ca.pem -untrusted middle.pem leaf.pem",
        );
        let said = bench.ok(
            "certtool",
            "--verify --load-ca-certificate ca.pem --verify-hostname gw.example --infile chain.pem",
        );
        assert!(said.contains("Verified. The certificate is trusted."), "{said}");
        let said = bench.ok("openssl", "x509 -in leaf.pem -noout -text");
        for part in [
            "DNS:gw.example",
            "IP Address:192.0.2.1",
            "email:ops@gw.example",
            "URI:https://gw.example/x",
            "DirName:",
        ] {
            assert!(said.contains(part), "{part} in {said}");
        }
    }
}

#[test]
fn python_reads_all_that_was_asked_for() {
    let bench = Bench::new();
    let ca = root(KeyKind::P384, "CN=Test Root,O=Ravelin,C=DE");
    let mut wanted = plan("CN=Constrained", &[], Profile::Ca(Some(2)), 400);
    wanted.constraints = Constraints {
        permitted: vec![
            parse_subtree("dns:example").expect("a subtree"),
            parse_subtree("ip:192.0.2.0/24").expect("one"),
        ],
        excluded: vec![parse_subtree("dns:secret.example").expect("a subtree")],
    };
    wanted.crl_urls = vec!["http://crl.example/ca.crl".to_owned()];
    wanted.ocsp_urls = vec!["http://ocsp.example".to_owned()];
    let middle = below(&ca, KeyKind::P521, &wanted);
    let ike = below(&ca, KeyKind::Ed25519, &plan("CN=peer", NAMES, Profile::Ike, 30));
    bench.certificate("ca.pem", &ca.certificate);
    bench.certificate("middle.pem", &middle.certificate);
    bench.certificate("ike.pem", &ike.certificate);
    let said = bench.python(
        r#"
from cryptography import x509
from cryptography.x509.oid import ExtensionOID as E, ExtendedKeyUsageOID as U
load = lambda name: x509.load_pem_x509_certificate(open(name, "rb").read())
ca, middle, ike = load("ca.pem"), load("middle.pem"), load("ike.pem")
middle.verify_directly_issued_by(ca); ike.verify_directly_issued_by(ca); ca.verify_directly_issued_by(ca)
get = lambda cert, oid: cert.extensions.get_extension_for_oid(oid)
basic = get(middle, E.BASIC_CONSTRAINTS)
assert basic.critical and basic.value.ca and basic.value.path_length == 2
limits = get(middle, E.NAME_CONSTRAINTS)
assert limits.critical, limits
assert sorted(str(n.value) for n in limits.value.permitted_subtrees) == ["192.0.2.0/24", "example"]
assert [n.value for n in limits.value.excluded_subtrees] == ["secret.example"]
assert get(middle, E.CRL_DISTRIBUTION_POINTS).value[0].full_name[0].value == "http://crl.example/ca.crl"
assert get(middle, E.AUTHORITY_INFORMATION_ACCESS).value[0].access_location.value == "http://ocsp.example"
usage = get(middle, E.KEY_USAGE)
assert usage.critical and usage.value.key_cert_sign and usage.value.crl_sign and not usage.value.digital_signature
assert get(ike, E.EXTENDED_KEY_USAGE).value[0].dotted_string == "1.3.6.1.5.5.7.3.17"
names = get(ike, E.SUBJECT_ALTERNATIVE_NAME).value
assert len(names) == 6, names
assert get(ike, E.AUTHORITY_KEY_IDENTIFIER).value.key_identifier == get(ca, E.SUBJECT_KEY_IDENTIFIER).value.digest
for cert in (ca, middle, ike):
    assert 128 <= cert.serial_number.bit_length() <= 159, cert.serial_number
print("read", ca.subject.rfc4514_string())
"#,
    );
    assert!(said.contains("read CN=Test Root,O=Ravelin,C=DE"), "{said}");
}

#[test]
fn openssl_verifies_with_our_crl_and_refuses_what_it_takes_back() {
    for kind in KINDS {
        let bench = Bench::new();
        let ca = root(kind, "CN=Test Root");
        let good = below(&ca, KeyKind::P256, &plan("CN=good", &[], Profile::Client, 30));
        let bad = below(&ca, KeyKind::P256, &plan("CN=bad", &[], Profile::Client, 30));
        let revoked = Revocation {
            serial: bad.certificate.parts().serial_number().as_bytes().to_vec(),
            at: now() - 60,
            reason: CrlReason::KeyCompromise,
        };
        let wanted = CrlPlan {
            number: 7,
            this_update: now() - 60,
            next_update: now() + 86_400,
            revoked: vec![revoked],
        };
        let crl = issue_crl(&wanted, &ca.certificate, &ca.key).expect("a CRL");
        bench.write("ca.crl", pem("X509 CRL", &crl));
        bench.certificate("ca.pem", &ca.certificate);
        bench.certificate("good.pem", &good.certificate);
        bench.certificate("bad.pem", &bad.certificate);
        bench.ok("openssl", "verify -x509_strict -crl_check -CAfile ca.pem -CRLfile ca.crl good.pem");
        bench.ok("openssl", "verify -CAfile ca.pem bad.pem");
        let said = bench.fails("openssl", "verify -crl_check -CAfile ca.pem -CRLfile ca.crl bad.pem");
        assert!(said.contains("certificate revoked"), "{said}");
        let said = bench.ok("openssl", "crl -in ca.crl -noout -text");
        assert!(said.contains("Key Compromise") && said.contains("X509v3 CRL Number"), "{said}");
        let said = bench.ok("certtool", "--crl-info --infile ca.crl");
        assert!(said.contains("CRL Number (not critical): 07"), "{said}");
    }
}

#[test]
fn a_crl_without_entries_is_one_too() {
    let bench = Bench::new();
    let ca = root(KeyKind::P256, "CN=Test Root");
    let leaf = below(&ca, KeyKind::P256, &plan("CN=good", &[], Profile::Client, 30));
    let wanted =
        CrlPlan { number: 1, this_update: now() - 60, next_update: now() + 3600, revoked: Vec::new() };
    let crl = issue_crl(&wanted, &ca.certificate, &ca.key).expect("a CRL");
    bench.write("ca.crl", pem("X509 CRL", &crl));
    bench.certificate("ca.pem", &ca.certificate);
    bench.certificate("leaf.pem", &leaf.certificate);
    bench.ok("openssl", "verify -x509_strict -crl_check -CAfile ca.pem -CRLfile ca.crl leaf.pem");
}

#[test]
fn openssl_signs_our_requests_for_every_kind_of_key() {
    let bench = Bench::new();
    bench.ok("openssl", "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem -subj /CN=OpenSSL -days 30");
    for kind in KINDS {
        let key = PrivateKey::generate(kind).expect("a key");
        let names: Vec<_> = NAMES.iter().map(|name| parse_alternative_name(name).expect("a name")).collect();
        let request =
            make_request(&parse_name("CN=gw.example").expect("a name"), &names, Some("tell me"), &key)
                .expect("a request");
        bench.write("request.pem", pem("CERTIFICATE REQUEST", &request));
        let said = bench.ok("openssl", "req -verify -noout -text -in request.pem");
        assert!(said.contains("challengePassword") && said.contains("tell me"), "{said}");
        bench.ok("certtool", "--crq-info --infile request.pem");
        bench.write("public.der", key.public().spki());
        bench.python(
            r#"
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
request = x509.load_pem_x509_csr(open("request.pem", "rb").read())
assert request.is_signature_valid
assert len(request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value) == 6
spki = request.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
assert spki == open("public.der", "rb").read()
"#,
        );
        bench.ok("openssl", "x509 -req -in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial -copy_extensions copy -days 20 -out leaf.pem");
        let received = Certificate::from_der(&bench.read_pem("leaf.pem")).expect("a certificate");
        assert_eq!(received.public_key().expect("a key"), *key.public(), "{kind}");
        assert_eq!(read_request(&request).expect("our own").names, names, "{kind}");
    }
}

#[test]
fn requests_of_openssl_gnutls_and_python_are_read() {
    let bench = Bench::new();
    bench.ok("openssl", "req -new -newkey rsa:2048 -nodes -keyout a.key -out openssl.pem -subj /CN=a.example -addext subjectAltName=DNS:a.example,IP:192.0.2.7");
    bench.ok("certtool", "--generate-privkey --key-type ecdsa --curve secp384r1 --outfile b.key");
    bench.write("template", "cn = \"b.example\"\ndns_name = \"b.example\"\n");
    bench.ok("certtool", "--generate-request --load-privkey b.key --template template --outfile gnutls.pem");
    bench.python(
        r#"
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding
key = Ed25519PrivateKey.generate()
name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "c.example")])
request = x509.CertificateSigningRequestBuilder().subject_name(name).add_extension(
    x509.SubjectAlternativeName([x509.DNSName("c.example")]), False).sign(key, None)
open("python.pem", "wb").write(request.public_bytes(Encoding.PEM))
"#,
    );
    for (file, subject, names) in [
        ("openssl.pem", "CN=a.example", 2),
        ("gnutls.pem", "CN=b.example", 1),
        ("python.pem", "CN=c.example", 1),
    ] {
        let request = read_request(&bench.read_pem(file)).expect(file);
        assert_eq!((request.subject.to_string().as_str(), request.names.len()), (subject, names), "{file}");
    }
}

#[test]
fn requests_that_lie_or_are_weak_are_refused() {
    let bench = Bench::new();
    bench.ok("openssl", "req -new -newkey rsa:1024 -nodes -keyout a.key -out weak.pem -subj /CN=a.example");
    let refused = read_request(&bench.read_pem("weak.pem")).expect_err("1024 bits").to_string();
    assert!(refused.contains("1024 bits"), "{refused}");
    let key = PrivateKey::generate(KeyKind::P256).expect("a key");
    let mut request =
        make_request(&parse_name("CN=gw.example").expect("a name"), &[], None, &key).expect("a request");
    let at = request.windows(10).position(|window| window == b"gw.example").expect("the name");
    request[at] = b'b';
    let refused = read_request(&request).expect_err("another name").to_string();
    assert!(refused.contains("not signed by its own key"), "{refused}");
}

#[test]
fn authorities_refuse_what_would_not_verify() {
    let ca = root(KeyKind::P256, "CN=Test Root");
    let last = below(&ca, KeyKind::P256, &plan("CN=Last", &[], Profile::Ca(Some(0)), 100));
    let leaf = below(&last, KeyKind::P256, &plan("CN=leaf", &[], Profile::Client, 30));
    let key = PrivateKey::generate(KeyKind::P256).expect("a key");
    let refused = |issuer: &crate::judges::Pair, wanted| {
        ravelin_rings::issue::issue(&wanted, key.public(), &issuer.certificate, &issuer.key)
            .expect_err("refused")
            .to_string()
    };
    assert!(refused(&last, plan("CN=more", &[], Profile::Ca(None), 10)).contains("path length"));
    assert!(refused(&leaf, plan("CN=more", &[], Profile::Client, 10)).contains("is no authority"));
    assert!(refused(&last, plan("CN=more", &[], Profile::Client, 101)).contains("ends before"));
}

/// Two commands one after the other ask for as many days, and the second tick of the clock between them is nobody's mistake.
#[test]
fn a_certificate_for_as_many_days_as_its_authority_ends_with_it() {
    let ca = root(KeyKind::P256, "CN=Test Root");
    let mut wanted = plan("CN=Middle", &[], Profile::Ca(None), 3650);
    wanted.not_after = ca.certificate.validity().1 + 5;
    let middle = below(&ca, KeyKind::P256, &wanted);
    assert_eq!(middle.certificate.validity().1, ca.certificate.validity().1);
}
