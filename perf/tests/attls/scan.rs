//! What scanners find in us is compared with what they find in plain rustls, at the same place with the same certificate: we have
//! no fault that it does not have.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use ravelin_perf::foreign::{self, program};
use ravelin_perf::lab::{Process, check, run};
use serde_json::Value;

use crate::stand::{LONG, SECOND, Stand};

const RULES: &str = r#"
[[rule]]
name = "web"
server = "lan"
server_port = 8443
role = "server"
certificate = "web/plain"
"#;
/// Us, and plain rustls, which the gateway lets pass.
const OURS: u16 = 8443;
const PLAIN: u16 = 8600;

const P256: &str = "-algorithm EC -pkeyopt ec_paramgen_curve:P-256";
/// What tlsfuzzer's conversations go by.
const RSA: &str = "-algorithm RSA -pkeyopt rsa_keygen_bits:2048";

struct Scanned {
    stand: Stand,
    _servers: [Process; 2],
}

impl Scanned {
    /// With a key of this kind, as OpenSSL makes it.
    fn build(label: &str, key: &str) -> Self {
        let stand = Stand::build(label, "");
        stand.openssl(&format!("genpkey {key} -out plain.key"));
        stand.paper_for("ca/root", "plain", "server", "subjectAltName=DNS:web.example");
        stand.rings("cert import web plain.pem plain.key --label plain");
        fs::write(stand.paper("attls.toml"), RULES).unwrap();
        stand.gateway.apply_policy().unwrap();
        // Ours does not send the authority's certificate, so plain rustls shall not.
        stand.openssl("x509 -in plain.pem -out leaf.pem");
        let servers = [(OURS, ["", ""]), (PLAIN, ["leaf.pem", "plain.key"])].map(|(port, papers)| {
            let mut server = stand.sites.a.site.command(program("ravelin-plain-tls").unwrap());
            let papers = papers.into_iter().filter(|name| !name.is_empty());
            server.arg(port.to_string()).args(papers).current_dir(stand.papers_directory());
            stand.serve(&format!("server{port}"), &mut server, "listening")
        });
        Self { stand, _servers: servers }
    }

    fn host(&self) -> String {
        self.stand.sites.a.site_v4.to_string()
    }

    fn command(&self, name: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = self.stand.sites.b.site.command(name);
        command.current_dir(self.stand.lab().directory());
        command
    }

    /// What sslscan says that a server takes: versions, suites, groups, and what it is open to. It makes messages of TLS 1.2 itself,
    /// without the extended master secret that both want here, so it sees TLS 1.3 alone.
    fn sslscan(&self, port: u16) -> BTreeSet<String> {
        let mut scan = self.command("sslscan");
        scan.args(["--no-colour", "--sni-name=web.example", &format!("{}:{port}", self.host())]);
        let said = check(&mut scan, LONG).unwrap();
        assert!(said.contains("TLSv1.3   enabled") && said.contains("TLS_AES_256_GCM_SHA384"), "{said}");
        let says_no = ["disabled", "does not support", "not supported", "not vulnerable"];
        let is_place =
            |line: &str| line.starts_with("Testing SSL server") || line.starts_with("Connected to");
        let counts = |line: &&str| !is_place(line) && !says_no.iter().any(|word| line.contains(word));
        // Whose order counts is no fault.
        said.lines().filter(counts).map(|line| line.replace("Preferred", "Accepted ")).collect()
    }

    /// What testssl.sh finds fault with, and how badly.
    fn testssl(&self, port: u16) -> BTreeSet<String> {
        let file = self.stand.lab().file(&format!("testssl-{port}.json"));
        let mut scan = self.command("testssl");
        scan.args(["--quiet", "--color", "0", "--warnings", "batch", "--nodns", "none"]);
        scan.arg(format!("--ip={}", self.host())).arg("--openssl=/usr/bin/openssl");
        scan.arg("--jsonfile").arg(&file).arg(format!("web.example:{port}"));
        let output = run(&mut scan, Duration::from_secs(900)).unwrap();
        let text = fs::read_to_string(&file).unwrap_or_default();
        let findings: Value =
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {output:?}"));
        let findings = findings.as_array().unwrap();
        assert!(findings.len() > 80, "testssl.sh did not come to its end: {output:?}");
        let faults = ["LOW", "MEDIUM", "HIGH", "CRITICAL", "WARN"];
        let is_fault = |one: &&Value| faults.iter().any(|severity| one["severity"] == *severity);
        let words = |one: &Value| format!("{} {} {}", one["id"], one["severity"], one["finding"]);
        findings.iter().filter(is_fault).map(words).collect()
    }
}

fn assert_no_more(tool: &str, ours: &BTreeSet<String>, plain: &BTreeSet<String>) {
    let more: Vec<_> = ours.difference(plain).collect();
    println!("{tool}: {} findings, plain rustls has {}", ours.len(), plain.len());
    assert!(more.is_empty(), "{tool} says of us, but not of plain rustls: {more:#?}\nplain: {plain:#?}");
}

#[test]
fn sslscan_finds_what_it_finds_in_rustls() {
    let scanned = Scanned::build("attlsscan", P256);
    assert_no_more("sslscan", &scanned.sslscan(OURS), &scanned.sslscan(PLAIN));
}

#[test]
#[ignore = "make tls-scan: takes minutes"]
fn testssl_finds_what_it_finds_in_rustls() {
    let scanned = Scanned::build("attlstestssl", P256);
    assert_no_more("testssl.sh", &scanned.testssl(OURS), &scanned.testssl(PLAIN));
}

/// Scripts that measure time, or want a key of a client, or talk to a client.
const LEFT_OUT: &[&str] = &[
    "test-bleichenbacher-timing",
    "test-lucky13",
    "test-minerva",
    "test-tls13-minerva",
    "test-client-",
    "test-bad-server",
    "test-conversation",
    "test-certificate-",
    "-certificate-verify",
    "-client-cert",
    "client-certificates",
    "test-tls13-post-handshake-auth",
    "test-tls13-psk",
    "test-tls13-finished-plaintext",
    "test-sslv2-",
];

/// tlsfuzzer, of which `RAVELIN_TLSFUZZER` is a copy.
struct Fuzzer<'a> {
    scanned: &'a Scanned,
    folder: PathBuf,
}

impl Fuzzer<'_> {
    fn scripts(&self) -> Vec<PathBuf> {
        let entries =
            fs::read_dir(self.folder.join("scripts")).expect("RAVELIN_TLSFUZZER is a copy of tlsfuzzer");
        let is_meant = |path: &PathBuf| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with("test-") && !LEFT_OUT.iter().any(|part| name.contains(part))
        };
        let mut found: Vec<_> = entries.flatten().map(|entry| entry.path()).filter(is_meant).collect();
        found.sort();
        found
    }

    /// Where a script's text is: newer copies have it apart, and links to one beginning for all.
    fn source(&self, script: &Path) -> PathBuf {
        let name = script.file_name().unwrap_or_default().to_string_lossy().replace('-', "_");
        let apart = self.folder.join("tlsfuzzer/_apps").join(name);
        if apart.exists() { apart } else { script.to_owned() }
    }

    /// How many conversations of a script go as it expects, and which do not, of all or of those named; none when it takes too long.
    fn talk(&self, script: &Path, port: u16, only: &[String]) -> Option<(u32, BTreeSet<String>)> {
        let python = foreign::interpreter().unwrap();
        let mut command = self.scanned.command(python);
        command.env("PYTHONPATH", &self.folder).arg(script);
        command.args(["-h", &self.scanned.host(), "-p", &port.to_string()]);
        // By default it speaks of RSA key exchange, and without the extended master secret.
        let text = fs::read_to_string(self.source(script)).unwrap();
        let knows = |option: &str| text.contains(&format!("opt == '{option}'"));
        command.args(["-d", "-M"].into_iter().filter(|option| knows(option))).args(only);
        let output = run(&mut command, 90 * SECOND).ok()?;
        let failed = output.stdout.split("\nFAILED:\n").nth(1).unwrap_or_default();
        let name = |line: &str| Some(line.strip_prefix('\t')?.trim_matches(['\'', '"']).to_owned());
        let names = failed.lines().map_while(name).collect::<BTreeSet<_>>();
        // One that ends with an error and without a count was not run at all.
        let passed = output.stdout.lines().rev().find_map(|line| line.strip_prefix("PASS: "))?;
        Some((passed.trim().parse().ok()?, names))
    }

    /// How many conversations go right with us; and which go wrong with us, twice, and right with plain rustls.
    fn faults(&self, script: &Path) -> Result<(u32, Vec<String>), &'static str> {
        let (passed, ours) = self.talk(script, OURS, &[]).ok_or("not run")?;
        let named: Vec<String> = ours.into_iter().collect();
        if named.is_empty() {
            return Ok((passed, named));
        }
        let (_, plain) = self.talk(script, PLAIN, &named).ok_or("not run with plain rustls")?;
        let alone: Vec<String> = named.into_iter().filter(|name| !plain.contains(name)).collect();
        if alone.is_empty() {
            return Ok((passed, alone));
        }
        let (_, again) = self.talk(script, OURS, &alone).ok_or("not run again")?;
        Ok((passed, alone.into_iter().filter(|name| again.contains(name)).collect()))
    }
}

#[test]
#[ignore = "make tls-scan: takes minutes, and a copy of tlsfuzzer"]
fn tlsfuzzer_finds_what_it_finds_in_rustls() {
    let named = std::env::var_os("RAVELIN_TLSFUZZER").filter(|folder| !folder.is_empty());
    let Some(folder) = named.map(PathBuf::from) else {
        println!("tlsfuzzer is left out: make tls-scan TLSFUZZER=folder");
        return;
    };
    let scanned = Scanned::build("attlsfuzz", RSA);
    let fuzzer = Fuzzer { scanned: &scanned, folder };
    let (mut faults, mut ran, mut right, mut not) = (Vec::new(), 0, 0, Vec::new());
    for script in fuzzer.scripts() {
        let name = script.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let outcome = fuzzer.faults(&script);
        println!("{name}: {outcome:?}");
        match outcome {
            Ok((passed, found)) => {
                ran += 1;
                right += passed;
                faults.extend(found.into_iter().map(|one| format!("{name}: {one}")));
            }
            Err(why) => not.push(format!("{name}: {why}")),
        }
    }
    println!(
        "tlsfuzzer: {ran} scripts, {right} conversations as expected; {} did not run: {not:#?}",
        not.len()
    );
    assert!(ran > 60 && right > 1000, "too few ran");
    assert!(faults.is_empty(), "wrong with us, right with plain rustls: {faults:#?}");
}
