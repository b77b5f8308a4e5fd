//! Eight certificates with a fault each, made for the purpose: OpenSSL refuses each, and so do we, each for its own reason.

use std::collections::BTreeSet;

use ravelin_rings::revocation::Mode;

use crate::judges::{Bench, EC, now};
use crate::refusals::Case;

const DAY: u64 = 86_400;

/// The authority, the certificates, and a CRL that takes back the one of serial number 18.
fn world() -> Bench {
    let bench = Bench::new();
    let ca = "basicConstraints=critical,CA:true";
    let server =
        "basicConstraints=critical,CA:false;extendedKeyUsage=serverAuth;subjectAltName=DNS:gw.example";
    bench.issue("root", EC, "", ca, "-days 300");
    bench.issue("good", EC, "root", server, "");
    bench.issue("client", EC, "root", &server.replace("serverAuth", "clientAuth"), "");
    bench.issue("middle", EC, "root", ca, "");
    bench.issue("below", EC, "middle", server, "");
    bench.issue("small", "rsa:1024", "root", server, "");
    let limits =
        "basicConstraints=critical,CA:true;nameConstraints=critical,@names;[names];permitted.DNS=other";
    bench.issue("limited", EC, "root", limits, "");
    bench.issue("stray", EC, "limited", server, "");
    bench.issue("revoked", EC, "root", server, "-set_serial 18");
    bench.write("index.txt", "R\t401231235959Z\t260101000000Z,keyCompromise\t12\tunknown\t/CN=revoked\n");
    bench.write("number", "01\n");
    let section = "[a]\ndatabase=index.txt\ncrlnumber=number\ndefault_md=sha256\ncrl_extensions=e\n";
    bench.write("ca.cnf", format!("[ca]\ndefault_ca=a\n{section}[e]\nauthorityKeyIdentifier=keyid\n"));
    bench
        .ok("openssl", "ca -config ca.cnf -gencrl -keyfile root.key -cert root.pem -crldays 3 -out root.crl");
    bench
}

/// The chain, when and for whom it is judged, what OpenSSL is asked, what it says, and what we say.
type Fault = (&'static [&'static str], u64, &'static str, &'static str, &'static str, &'static str);

#[test]
fn each_of_eight_faults_is_refused_for_its_own_reason_and_by_openssl_too() {
    let bench = world();
    let (now, crl) = (now(), bench.read_pem("root.crl"));
    let root = bench.read_pem("root.pem");
    let faults: [Fault; 8] = [
        (&["good"], now + 31 * DAY, "gw.example", "", "certificate has expired", "expired"),
        (&["good"], now - DAY, "gw.example", "", "certificate is not yet valid", "not-yet-valid"),
        (&["good"], now, "other.example", "", "hostname mismatch", "wrong-name"),
        (&["client"], now, "gw.example", "", "certificate purpose", "wrong-usage"),
        (&["below"], now, "gw.example", "", "unable to get local issuer certificate", "broken-chain"),
        (&["revoked"], now, "gw.example", "-crl_check -CRLfile root.crl", "certificate revoked", "revoked"),
        (&["small"], now, "gw.example", "-auth_level 2", "key too weak", "small-key"),
        (&["stray", "limited"], now, "gw.example", "", "permitted subtree violation", "name-constraint"),
    ];
    let mut reasons = BTreeSet::new();
    for (chain, at, host, more, theirs, code) in faults {
        let untrusted: String = chain[1..].iter().map(|name| format!("-untrusted {name}.pem ")).collect();
        let asked = format!("-purpose sslserver -verify_hostname {host} -attime {at} {untrusted}{more}");
        let said = bench.fails("openssl", &format!("verify {asked} -CAfile root.pem {}.pem", chain[0]));
        assert!(said.contains(theirs), "{code}: {said}");
        let ders: Vec<Vec<u8>> = chain.iter().map(|name| bench.read_pem(&format!("{name}.pem"))).collect();
        let mut case = Case::of(ders.iter().map(Vec::as_slice).collect(), &root);
        (case.name, case.now, case.crls) = (Some(host), at, vec![crl.as_slice()]);
        if code == "revoked" {
            case.mode = Mode::Hard;
        }
        case.refused(code);
        reasons.insert(code);
    }
    assert_eq!(reasons.len(), 8, "each has its own");
    // Without a fault both believe it.
    for (chain, extra) in [(&["good"][..], ""), (&["below", "middle"], "-untrusted middle.pem")] {
        let asked = format!("-purpose sslserver -verify_hostname gw.example {extra}");
        bench.ok("openssl", &format!("verify {asked} -CAfile root.pem {}.pem", chain[0]));
        let ders: Vec<Vec<u8>> = chain.iter().map(|name| bench.read_pem(&format!("{name}.pem"))).collect();
        let mut case = Case::of(ders.iter().map(Vec::as_slice).collect(), &root);
        (case.name, case.crls) = (Some("gw.example"), vec![crl.as_slice()]);
        case.accepted();
    }
}
