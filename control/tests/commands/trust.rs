//! An operator's day with certificates: an authority, requests, renewals, a rollover, a revocation; OpenSSL looks on.

use std::path::Path;
use std::process::{Command, Output};

struct Site {
    folder: tempfile::TempDir,
}

impl Site {
    fn new(rings: &[&str]) -> Self {
        let site = Self { folder: tempfile::tempdir().expect("a folder") };
        for ring in rings {
            site.ok(&["ring", "create", ring]);
        }
        site
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn run(&self, words: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_ravelin"))
            .args(words)
            .env("RAVELIN_RINGS", self.path().join("rings"))
            .env("RAVELIN_CONFIG", self.path().join("none.toml"))
            .current_dir(self.path())
            .output()
            .expect("the command runs")
    }

    fn ok(&self, words: &[&str]) -> String {
        let output = self.run(words);
        assert!(output.status.success(), "{words:?}: {}", text(&output));
        text(&output)
    }

    fn refused(&self, words: &[&str]) -> String {
        let output = self.run(words);
        assert_eq!(output.status.code(), Some(1), "{words:?}: {}", text(&output));
        text(&output)
    }

    fn openssl(&self, words: &str) -> (bool, String) {
        let output = Command::new("openssl")
            .args(words.split_ascii_whitespace())
            .current_dir(self.path())
            .output()
            .expect("openssl is installed");
        (output.status.success(), text(&output))
    }

    fn openssl_ok(&self, words: &str) -> String {
        let (success, said) = self.openssl(words);
        assert!(success, "openssl {words}: {said}");
        said
    }

    /// An authority in ring `ca`, exported to `ca.pem`.
    fn authority(&self) {
        self.ok(&["ca", "init", "ca/root", "--subject", "CN=Root,O=Example", "--key", "p256"]);
        self.ok(&["cert", "export", "ca/root", "--out", "ca.pem"]);
    }
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn a_request_is_signed_received_checked_revoked() {
    let site = Site::new(&["ca", "gw"]);
    site.authority();
    site.ok(&[
        "cert",
        "request",
        "gw/main",
        "--subject",
        "CN=gw.example",
        "--san",
        "dns:gw.example",
        "--out",
        "gw.csr",
    ]);
    site.openssl_ok("req -verify -noout -in gw.csr");
    site.ok(&["ca", "sign", "ca/root", "gw.csr", "--days", "90", "--out", "gw.pem"]);
    let said = site.refused(&["cert", "receive", "gw", "gw.pem"]);
    assert!(said.contains("CN=Root") && said.contains("not a trusted authority"), "{said}");
    let said = site.ok(&["cert", "receive", "gw", "gw.pem", "--trust", "ca"]);
    assert!(said.contains("gw/main is received"), "{said}");
    site.openssl_ok("verify -x509_strict -verify_hostname gw.example -CAfile ca.pem gw.pem");

    let check = ["cert", "check", "gw.pem", "--trust", "ca", "--purpose", "server"];
    assert!(site.ok(&check).contains("CN=gw.example < CN=Root"), "{}", site.ok(&check));
    let said = site.refused(&[&check[..], &["--host", "other.example"]].concat());
    assert!(said.contains("wrong-name") && said.contains("other.example"), "{said}");
    let said = site.refused(&["cert", "check", "gw.pem"]);
    assert!(said.contains("untrusted"), "{said}");
    site.ok(&["cert", "check", "--ring", "gw", "--trust", "ca"]);

    site.ok(&["ca", "crl", "ca/root", "--out", "1.crl"]);
    site.openssl_ok("verify -crl_check -CAfile ca.pem -CRLfile 1.crl gw.pem");
    site.ok(&["ca", "revoke", "ca/root", "--certificate", "gw.pem", "--reason", "keyCompromise"]);
    let said = site.refused(&["ca", "revoke", "ca/root", "--certificate", "gw.pem"]);
    assert!(said.contains("revoked already"), "{said}");
    std::fs::create_dir(site.path().join("crls")).expect("a folder");
    site.ok(&["ca", "crl", "ca/root", "--out", "crls/2.crl"]);
    let (success, said) = site.openssl("verify -crl_check -CAfile ca.pem -CRLfile crls/2.crl gw.pem");
    assert!(!success && said.contains("certificate revoked"), "{said}");
    assert!(site.openssl_ok("crl -noout -crlnumber -in crls/2.crl").contains("0x02"));
    let said = site.refused(&[&check[..], &["--crls", "crls"]].concat());
    assert!(said.contains("revoked") && said.contains("keyCompromise"), "{said}");
    assert!(site.ok(&["ca", "list", "ca/root"]).contains("revoked"));
}

#[test]
fn a_request_goes_to_openssls_authority_and_comes_back() {
    let site = Site::new(&["gw"]);
    site.openssl_ok(
        "req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -subj /CN=OpenSSL -days 30",
    );
    let request =
        ["cert", "request", "gw/main", "--subject", "CN=gw", "--san", "ip:192.0.2.1", "--key", "p521"];
    site.ok(&[&request[..], &["--out", "gw.csr"]].concat());
    site.openssl_ok("x509 -req -in gw.csr -CA ca.pem -CAkey ca.key -CAcreateserial -copy_extensions copy -days 9 -out gw.pem");
    let said = site.refused(&["cert", "receive", "gw", "gw.pem"]);
    assert!(said.contains("was not sent"), "{said}");
    site.ok(&["cert", "import", "gw", "ca.pem", "--label", "openssl"]);
    site.ok(&["cert", "receive", "gw", "gw.pem"]);
    let said = site.ok(&["cert", "check", "--ring", "gw", "--host", "192.0.2.1"]);
    assert!(said.contains("expires-soon"), "{said}");
    let said = site.refused(&["cert", "receive", "gw", "ca.pem"]);
    assert!(said.contains("for a key of ring gw"), "{said}");
    // Its renewal: the same key asks again.
    site.ok(&["cert", "renew", "gw/main", "--out", "again.csr"]);
    site.openssl_ok("x509 -req -in again.csr -CA ca.pem -CAkey ca.key -CAcreateserial -copy_extensions copy -days 20 -out again.pem");
    assert!(site.ok(&["cert", "receive", "gw", "again.pem"]).contains("gw/main is renewed"));
    site.ok(&["cert", "check", "--ring", "gw", "--host", "192.0.2.1"]);
}

#[test]
fn what_signs_itself_is_made_and_renewed() {
    let site = Site::new(&["own"]);
    site.ok(&[
        "cert",
        "self-signed",
        "own/web",
        "--subject",
        "CN=web",
        "--san",
        "dns:web.example",
        "--key",
        "ed25519",
        "--days",
        "10",
    ]);
    site.ok(&["cert", "export", "own/web", "--out", "1.pem"]);
    site.openssl_ok("verify -check_ss_sig -CAfile 1.pem 1.pem");
    assert!(site.ok(&["cert", "renew", "own/web", "--days", "300"]).contains("renewed"));
    site.ok(&["cert", "export", "own/web", "--out", "2.pem"]);
    let key = |file: &str| site.openssl_ok(&format!("x509 -in {file} -noout -pubkey"));
    assert_eq!(key("1.pem"), key("2.pem"));
    assert_ne!(
        site.openssl_ok("x509 -in 1.pem -noout -enddate"),
        site.openssl_ok("x509 -in 2.pem -noout -enddate")
    );
    let said = site.refused(&["cert", "self-signed", "own/web", "--subject", "CN=web"]);
    assert!(said.contains("already"), "{said}");
}

#[test]
fn a_successor_takes_the_place_of_an_authority_and_of_a_server() {
    let site = Site::new(&["ca", "gw", "peer"]);
    site.authority();
    site.ok(&["ring", "connect", "peer", "ca/root", "--usage", "trust-anchor"]);
    // The authority: both are believed before the new one issues.
    site.ok(&["cert", "rekey", "ca/root", "root 2", "--days", "4000"]);
    assert!(site.ok(&["cert", "rollover", "publish", "ca/root", "root 2"]).contains("peer"));
    let said = site.ok(&["cert", "list", "peer"]);
    assert_eq!(said.matches("trust-anchor").count(), 2, "{said}");
    // The server: default and label go over at once.
    site.ok(&["cert", "request", "gw/main", "--subject", "CN=gw", "--out", "gw.csr"]);
    site.ok(&["ca", "sign", "ca/root", "gw.csr", "--out", "gw.pem"]);
    site.ok(&["cert", "receive", "gw", "gw.pem", "--trust", "ca"]);
    site.ok(&["cert", "default", "gw", "main"]);
    site.ok(&["cert", "rekey", "gw/main", "next", "--ca", "ca/root 2"]);
    site.ok(&["cert", "rollover", "switch", "gw/main", "next"]);
    site.ok(&["cert", "rollover", "retire", "gw/main (retired)"]);
    let said = site.ok(&["--json", "cert", "list", "gw"]);
    let entries: serde_json::Value = serde_json::from_str(&said).expect("JSON");
    let find = |label: &str| {
        entries.as_array().and_then(|all| all.iter().find(|e| e["label"] == label)).cloned().expect(label)
    };
    assert_eq!(find("main")["default"], true);
    assert_eq!(find("main (retired)")["trust"], "not-trusted");
    assert_ne!(find("main")["sha256"], find("main (retired)")["sha256"]);
    // The peer believes what either authority issued.
    site.ok(&["cert", "export", "gw/main", "--out", "new.pem"]);
    site.ok(&["cert", "check", "new.pem", "--trust", "peer"]);
    site.ok(&["cert", "check", "gw.pem", "--trust", "peer"]);
    site.ok(&["cert", "rollover", "switch", "ca/root", "root 2"]);
    let said = site.ok(&["cert", "show", "ca/root"]);
    assert!(said.contains("CN=Root"), "{said}");
}

#[test]
fn certificates_stand_for_identities_by_the_most_specific_rule() {
    let site = Site::new(&["own"]);
    site.ok(&[
        "cert",
        "self-signed",
        "own/a",
        "--subject",
        "CN=ann,OU=Ops,O=Example",
        "--san",
        "email:ann@ops.example",
    ]);
    site.ok(&["cert", "export", "own/a", "--out", "a.pem"]);
    assert!(site.refused(&["cert", "map", "test", "a.pem"]).contains("no rule fits"));
    site.ok(&["cert", "map", "add", "all", "--identity", "guest", "--subject", "O=Example"]);
    site.ok(&["cert", "map", "add", "ops", "--identity", "operator", "--subject", "OU=Ops,O=example"]);
    site.ok(&[
        "cert",
        "map",
        "add",
        "mail",
        "--identity",
        "mailer",
        "--subject",
        "O=Example",
        "--san",
        "email:*@ops.example",
    ]);
    site.ok(&["cert", "map", "add", "other", "--identity", "nobody", "--subject", "OU=Sales,O=Example"]);
    let said = site.refused(&["cert", "map", "add", "twin", "--identity", "x", "--subject", "O=Example"]);
    assert!(said.contains("rule all maps the same"), "{said}");
    let who = || site.ok(&["cert", "map", "test", "a.pem"]);
    assert!(who().contains("stands for mailer, by rule mail"), "{}", who());
    site.ok(&["cert", "map", "alter", "mail", "--rename", "post", "--identity", "postmaster"]);
    assert!(who().contains("stands for postmaster, by rule post"), "{}", who());
    assert!(site.refused(&["cert", "map", "alter", "mail", "--identity", "x"]).contains("no rule mail"));
    assert!(site.refused(&["cert", "map", "alter", "post", "--rename", "all"]).contains("rule all already"));
    site.ok(&["cert", "map", "delete", "post"]);
    assert!(who().contains("stands for operator"), "{}", who());
    assert!(site.ok(&["cert", "map", "list"]).contains("Sales"));
}
