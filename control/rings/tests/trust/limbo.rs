//! The cases of x509-limbo (github.com/C2SP/x509-limbo, Apache-2.0), which come in one file, `limbo.json`: every verdict
//! that differs from the file's is named below with the reason.
//!
//! `make limbo FILE=limbo.json`

use std::collections::{BTreeMap, BTreeSet};

use der::DateTime;
use ravelin_rings::revocation::{Cache, Crl, Mode, RevocationPolicy, Source};
use ravelin_rings::verify::{Anchors, PeerName, Presented, Purpose, Requirements, verify};
use rustls_pki_types::{CertificateDer, UnixTime};
use serde::Deserialize;

use crate::judges::now;

#[derive(Deserialize)]
struct Suite {
    testcases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    id: String,
    validation_kind: String,
    trusted_certs: Vec<String>,
    untrusted_intermediates: Vec<String>,
    peer_certificate: String,
    validation_time: Option<String>,
    expected_result: String,
    expected_peer_name: Option<Peer>,
    expected_peer_names: Vec<Peer>,
    max_chain_depth: Option<u32>,
    crls: Vec<String>,
}

#[derive(Deserialize)]
struct Peer {
    kind: String,
    value: String,
}

fn der(pem: &str) -> Vec<u8> {
    der::pem::decode_vec(pem.as_bytes()).expect("PEM").1
}

impl Peer {
    fn name(&self) -> PeerName {
        match self.kind.as_str() {
            "IP" => PeerName::Ip(self.value.parse().expect("an address")),
            "RFC822" => PeerName::Email(self.value.clone()),
            _ => PeerName::Dns(self.value.clone()),
        }
    }
}

impl Case {
    fn moment(&self) -> UnixTime {
        let seconds = self.validation_time.as_ref().map_or_else(now, |text| {
            let whole = text.split(['.', '+']).next().expect("a time");
            format!("{whole}Z").parse::<DateTime>().expect("a time").unix_duration().as_secs()
        });
        UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds))
    }

    /// The code of the refusal, if it is refused.
    fn judge(&self) -> Result<(), String> {
        let anchors: Vec<Vec<u8>> = self.trusted_certs.iter().map(|pem| der(pem)).collect();
        let anchors: Vec<_> = anchors.iter().map(|der| CertificateDer::from(der.as_slice())).collect();
        let anchors = Anchors::from_certificates(&anchors).map_err(|refusal| refusal.to_string())?;
        let chain = [&self.peer_certificate].into_iter().chain(&self.untrusted_intermediates);
        let chain: Vec<_> = chain.map(|pem| CertificateDer::from(der(pem))).collect();
        let purpose = if self.validation_kind == "CLIENT" { Purpose::TlsClient } else { Purpose::TlsServer };
        let cache = Cache::default();
        for pem in &self.crls {
            cache.add_crl(Crl::read(pem.as_bytes())?);
        }
        let mode = if self.crls.is_empty() { Mode::Off } else { Mode::Hard };
        let revocation =
            RevocationPolicy { order: vec![Source::Crl], whole_chain: false, ..RevocationPolicy::new(mode) };
        let mut names: Vec<_> = self.expected_peer_name.iter().map(|peer| Some(peer.name())).collect();
        names.extend(self.expected_peer_names.iter().map(|peer| Some(peer.name())));
        if names.is_empty() {
            names.push(None);
        }
        for name in names {
            let requirements = Requirements::new(purpose, name, revocation.clone());
            let presented = Presented { chain: &chain, stapled: None };
            verify(presented, &anchors, &requirements, self.moment(), &cache)
                .map_err(|refusal| format!("{}: {refusal}", refusal.code()))?;
        }
        Ok(())
    }
}

/// Cases that are judged otherwise here, and why. Where we accept, no certificate says more than it may.
const DIFFERENCES: &[(&str, &[&str])] = &[
    (
        "An authority's certificate is no peer's here, whatever else it allows.",
        &["pathlen::validation-ignores-pathlen-in-leaf", "rfc5280::ca-as-leaf"],
    ),
    (
        "rustls-webpki counts authorities that issued themselves a certificate (RFC 5280 6.1.4 l) like any other; it refuses more.",
        &["pathlen::self-issued-certs-pathlen", "rfc5280::nc::permitted-self-issued"],
    ),
    (
        "Constraints on directory names and mailboxes are not weighed: they refuse.",
        &[
            "rfc5280::nc::nc-permits-email-exact",
            "rfc5280::nc::nc-permits-email-domain",
            "rfc5280::nc::nc-permits-email-literal-asterisk-exact-match",
            "rfc5280::nc::nc-permits-email-literal-double-asterisk",
            "rfc5280::nc::nc-permits-email-literal-mid-asterisk",
            "rfc5280::nc::permitted-dn-match",
        ],
    ),
    (
        "A demand on how an extension is marked or that it be there, which changes nothing of what it says; what it says counts.",
        &[
            "crl::crlnumber-missing",
            "crl::crlnumber-critical",
            "rfc5280::aki::critical-aki",
            "rfc5280::aki::leaf-missing-aki",
            "rfc5280::aki::intermediate-missing-aki",
            "rfc5280::aki::cross-signed-root-missing-aki",
            "rfc5280::nc::permitted-dns-match-noncritical",
            "rfc5280::nc::not-allowed-in-ee-noncritical",
            "rfc5280::nc::not-allowed-in-ee-critical",
            "rfc5280::pc::ica-noncritical-pc",
            "rfc5280::san::noncritical-with-empty-subject",
            "rfc5280::ski::critical-ski",
            "rfc5280::ski::root-missing-ski",
            "rfc5280::ski::intermediate-missing-ski",
            "rfc5280::leaf-ku-keycertsign",
            "webpki::eku::ee-critical-eku",
            "webpki::san::san-critical-with-nonempty-subject",
        ],
    ),
    (
        "A demand on how a name, a number or a constraint is written; comparing them is not misled by it.",
        &[
            "rfc5280::nc::invalid-dnsname-leading-period",
            "rfc5280::san::underscore-dns",
            "rfc5280::serial::zero",
            "rfc5280::ca-empty-subject",
            "webpki::nc::intermediate-permitted-excluded-subtrees-both-null",
            "webpki::nc::intermediate-permitted-excluded-subtrees-both-empty-sequences",
        ],
    ),
    (
        "An operator has chosen the trust anchor: its dates, key, key usage and name constraints count, the rest of it does not (RFC 5280 6.1.1 d).",
        &[
            "rfc5280::unknown-critical-extension-root",
            "rfc5280::root-missing-basic-constraints",
            "rfc5280::root-non-critical-basic-constraints",
            "webpki::aki::root-with-aki-missing-keyidentifier",
            "webpki::aki::root-with-aki-authoritycertissuer",
            "webpki::aki::root-with-aki-authoritycertserialnumber",
            "webpki::aki::root-with-aki-all-fields",
            "webpki::aki::root-with-aki-ski-mismatch",
            "webpki::eku::root-has-eku",
        ],
    ),
    (
        "The common name is never looked at for hosts (RFC 9525 2), so what stands there misleads nobody.",
        &[
            "webpki::cn::ipv4-hex-mismatch",
            "webpki::cn::ipv4-leading-zeros-mismatch",
            "webpki::cn::ipv6-uppercase-mismatch",
            "webpki::cn::ipv6-uncompressed-mismatch",
            "webpki::cn::ipv6-non-rfc5952-mismatch",
            "webpki::cn::punycode-not-in-san",
            "webpki::cn::utf8-vs-punycode-mismatch",
            "webpki::cn::not-in-san",
            "webpki::cn::case-mismatch",
        ],
    ),
    (
        "A certificate without extended key usage serves any use (RFC 5280 4.2.1.12), and one that names any beside ours serves ours.",
        &["webpki::eku::ee-anyeku", "webpki::eku::ee-without-eku"],
    ),
    (
        "Rules of browsers for public authorities: no list of public suffixes is kept here, and keys of odd length are no weaker.",
        &[
            "webpki::san::public-suffix-multi-label-wildcard-san",
            "webpki::san::public-suffix-private-namespace-wildcard-san",
            "webpki::forbidden-rsa-not-divisible-by-8-in-root",
            "webpki::forbidden-rsa-key-not-divisible-by-8-in-leaf",
        ],
    ),
    (
        "Where to ask is read when somebody is asked, and then what cannot be read is no address.",
        &["webpki::malformed-aia"],
    ),
];

#[test]
#[ignore = "needs limbo.json; `make limbo FILE=..` says where it is"]
fn limbo_agrees_but_for_what_is_explained() {
    let file = std::env::var("RAVELIN_LIMBO").expect("RAVELIN_LIMBO names limbo.json");
    let text = std::fs::read_to_string(&file).unwrap_or_else(|e| panic!("{file}: {e}"));
    let suite: Suite = serde_json::from_str(&text).expect("limbo.json");
    let explained: BTreeSet<&str> = DIFFERENCES.iter().flat_map(|(_, cases)| *cases).copied().collect();
    let (mut same, mut skipped, mut differ) = (0, 0, BTreeSet::new());
    let mut codes: BTreeMap<String, usize> = BTreeMap::new();
    for case in &suite.testcases {
        // How deep a chain may be is not set by policy here.
        if case.max_chain_depth.is_some() {
            skipped += 1;
            continue;
        }
        let outcome = case.judge();
        if outcome.is_ok() == (case.expected_result == "SUCCESS") {
            same += 1;
            let code = outcome.err().unwrap_or_else(|| "accepted".to_owned());
            *codes.entry(code.split(':').next().expect("a code").to_owned()).or_default() += 1;
            continue;
        }
        if !explained.contains(case.id.as_str()) {
            println!("{}: expected {}, {outcome:?}", case.id, case.expected_result);
        }
        differ.insert(case.id.as_str());
    }
    println!("{same} as expected, {} explained, {skipped} skipped: {codes:?}", explained.len());
    assert_eq!(differ, explained, "left: what differs; right: what is explained");
}
