//! Certificates in IKE with a foreign peer: every kind of key both ways, chains, names, and what must be refused.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends")]

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use ravelin_perf::gateway::Gateway;
use ravelin_perf::lab::{Capture, NOT_IPSEC, Ping, StrongSwan, TwoSites, wait_until};

const PATIENCE: Duration = Duration::from_secs(60);
/// What strongSwan says of the refusals that it hears of.
const HEARD: &str = "N(AUTH_FAILED)";

/// A peer of the one strongSwan, known by its name; the tunnel leads to a host of its own.
struct Case {
    name: &'static str,
    /// Of our key, as `ravelin` names it.
    ours: &'static str,
    /// Of strongSwan's key, as `openssl genpkey` wants it.
    theirs: &'static str,
    /// Who signs strongSwan's certificate.
    issuer: Issuer,
    /// Names of its certificate.
    san: &'static str,
    /// Who strongSwan says to be.
    id: &'static str,
    /// Of our policy.
    remote_id: &'static str,
    local_id: &'static str,
    more: &'static str,
    /// What strongSwan signs by.
    auth: &'static str,
    /// What our log says when it is refused.
    refused: Option<&'static str>,
}

#[derive(Clone, Copy, PartialEq)]
enum Issuer {
    /// Of ring `ca`, by `ravelin ca`.
    Root,
    /// Below it.
    Middle,
    /// OpenSSL's own, with dates that are over.
    Expired,
    /// One that nobody here knows.
    Unknown,
    /// Of ring `ca`, and taken back.
    Revoked,
}

const GOOD: Case = Case {
    name: "",
    ours: "p256",
    theirs: "-algorithm EC -pkeyopt ec_paramgen_curve:P-256",
    issuer: Issuer::Root,
    san: "",
    id: "",
    remote_id: "",
    local_id: "",
    more: "trust = \"ca/root\"\nrevocation = \"soft\"\n",
    auth: "pubkey",
    refused: None,
};

const CASES: &[Case] = &[
    Case {
        name: "p256",
        san: "DNS:p256.swan.example",
        id: "p256.swan.example",
        remote_id: "p256.swan.example",
        local_id: "p256.gw-a.example",
        // Every certificate of the path must be known to be good: the CRL says so.
        more: "trust = \"ca/root\"\nrevocation = \"hard\"\n",
        ..GOOD
    },
    Case {
        name: "p384",
        ours: "p384",
        theirs: "-algorithm EC -pkeyopt ec_paramgen_curve:P-384",
        issuer: Issuer::Middle,
        san: "DNS:unused.example",
        id: "O=Swans, CN=p384",
        remote_id: "*,o=swans",
        local_id: "CN=p384,O=Ravens",
        // What the peer sends leads from the middle to this.
        more: "trust = \"ca/root\"\n",
        ..GOOD
    },
    Case {
        name: "ed25519",
        ours: "ed25519",
        theirs: "-algorithm ED25519",
        san: "email:carol@swan.example",
        id: "carol@swan.example",
        remote_id: "*@swan.example",
        local_id: "ed25519@gw-a.example",
        ..GOOD
    },
    Case {
        name: "rsa",
        ours: "rsa-2048",
        theirs: "-algorithm RSA -pkeyopt rsa_keygen_bits:2048",
        san: "DNS:rsa.swan.example",
        id: "rsa.swan.example",
        remote_id: "*.swan.example",
        local_id: "rsa.gw-a.example",
        auth: "rsa/pss-sha256",
        ..GOOD
    },
    Case {
        name: "pkcs1",
        theirs: "-algorithm RSA -pkeyopt rsa_keygen_bits:2048",
        san: "IP:198.51.100.1",
        id: "198.51.100.1",
        remote_id: "198.51.100.0/24",
        local_id: "pkcs1.gw-a.example",
        more: "trust = \"ca/root\"\nsignatures = [\"ecdsa-sha2-256\", \"rsa-pkcs1-sha2-256\"]\n",
        auth: "rsa-sha256",
        ..GOOD
    },
    Case {
        name: "mixed",
        san: "DNS:mixed.example",
        id: "mixed.example",
        remote_id: "mixed.example",
        local_id: "mixed.gw-a.example",
        more: "shared_key = \"gw-b\"\n",
        auth: "psk",
        ..GOOD
    },
    Case {
        name: "expired",
        issuer: Issuer::Expired,
        san: "DNS:expired.example",
        id: "expired.example",
        remote_id: "expired.example",
        local_id: "expired.gw-a.example",
        more: "trust = \"old\"\n",
        refused: Some("the certificate is not believed (expired)"),
        ..GOOD
    },
    Case {
        name: "unknown",
        issuer: Issuer::Unknown,
        san: "DNS:unknown.example",
        id: "unknown.example",
        remote_id: "unknown.example",
        local_id: "unknown.gw-a.example",
        refused: Some("its issuer CN=Unknown was not sent, and is no trust anchor"),
        ..GOOD
    },
    Case {
        name: "revoked",
        issuer: Issuer::Revoked,
        san: "DNS:revoked.example",
        id: "revoked.example",
        remote_id: "revoked.example",
        local_id: "revoked.gw-a.example",
        refused: Some("the certificate is not believed (revoked)"),
        ..GOOD
    },
    Case {
        name: "weak",
        theirs: "-algorithm RSA -pkeyopt rsa_keygen_bits:2048",
        san: "DNS:weak.example",
        id: "weak.example",
        remote_id: "weak.example",
        local_id: "weak.gw-a.example",
        auth: "rsa-sha256",
        refused: Some("RSA_PKCS1_SHA2_256, which the policy does not allow"),
        ..GOOD
    },
    Case {
        name: "stranger",
        san: "DNS:stranger.example",
        id: "stranger.example",
        remote_id: "*.friends.example",
        local_id: "stranger.gw-a.example",
        refused: Some("stranger.example"),
        ..GOOD
    },
];

/// What a case's tunnel leads to: a network of four, as strongSwan wants an address of its own in each.
fn network(at: usize) -> String {
    format!("10.2.0.{}/30", 20 + 4 * at)
}

/// Of the gateway in it.
fn gate(at: usize) -> String {
    format!("10.2.0.{}", 21 + 4 * at)
}

/// Of the host at site b in it.
fn host(at: usize) -> String {
    format!("10.2.0.{}", 22 + 4 * at)
}

fn openssl(folder: &Path, words: &str) {
    let output =
        Command::new("openssl").args(words.split_ascii_whitespace()).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "openssl {words}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Our side's rings, and strongSwan's certificates and keys.
struct Office<'a> {
    a: &'a Gateway,
    swan: PathBuf,
}

impl Office<'_> {
    fn ravelin(&self, line: &str) {
        self.a.ravelin(&format!("{line} --rings rings")).unwrap();
    }

    fn folder(&self) -> PathBuf {
        self.a.file("ravelin.toml").parent().unwrap().to_owned()
    }

    fn authorities(&self) {
        for ring in ["ca", "gw", "old"] {
            self.ravelin(&format!("ring create {ring}"));
        }
        self.ravelin("ca init ca/root --subject CN=Root --key p256");
        self.ravelin("ca init ca/middle --subject CN=Middle --key p384 --parent ca/root");
        // Only the root is to be believed by itself.
        for label in ["root", "middle"] {
            self.ravelin(&format!("cert export ca/{label} --out {label}.pem"));
            fs::copy(self.a.file(&format!("{label}.pem")), self.swan.join(format!("x509ca/{label}.pem")))
                .unwrap();
        }
        for (name, subject) in [("old", "/CN=Old"), ("lost", "/CN=Unknown")] {
            let key = format!("-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout {name}.key");
            openssl(&self.folder(), &format!("req -x509 {key} -out {name}.pem -subj {subject} -days 30"));
            fs::copy(self.a.file(&format!("{name}.pem")), self.swan.join(format!("x509ca/{name}.pem")))
                .unwrap();
        }
        self.ravelin("cert import old old.pem --label old");
    }

    fn ours(&self, case: &Case) {
        let (name, key) = (case.name, case.ours);
        let san = match case.local_id {
            id if id.contains('=') => "dns:unused.gw-a.example".to_owned(),
            id if id.contains('@') => format!("email:{id}"),
            id => format!("dns:{id}"),
        };
        let subject = format!("--subject CN={name},O=Ravens");
        self.ravelin(&format!("cert request gw/{name} {subject} --san {san} --key {key} --out {name}.csr"));
        self.ravelin(&format!("ca sign ca/root {name}.csr --profile ike --out {name}.pem"));
        self.ravelin(&format!("cert receive gw {name}.pem --trust ca"));
    }

    fn theirs(&self, case: &Case) {
        let name = case.name;
        let (key, csr, out) =
            (format!("swan-{name}.key"), format!("swan-{name}.csr"), format!("swan-{name}.pem"));
        openssl(&self.folder(), &format!("genpkey {} -out {key}", case.theirs));
        let request =
            format!("req -new -key {key} -subj /O=Swans/CN={name} -addext subjectAltName={}", case.san);
        openssl(&self.folder(), &format!("{request} -out {csr}"));
        let copied = "-CAcreateserial -copy_extensions copy";
        match case.issuer {
            Issuer::Middle => self.ravelin(&format!("ca sign ca/middle {csr} --profile ike --out {out}")),
            Issuer::Root | Issuer::Revoked => {
                self.ravelin(&format!("ca sign ca/root {csr} --profile ike --out {out}"));
            }
            Issuer::Unknown => openssl(
                &self.folder(),
                &format!("x509 -req -in {csr} -CA lost.pem -CAkey lost.key {copied} -days 9 -out {out}"),
            ),
            Issuer::Expired => openssl(
                &self.folder(),
                &format!("x509 -req -in {csr} -CA old.pem -CAkey old.key {copied} -days -1 -out {out}"),
            ),
        }
        if case.issuer == Issuer::Revoked {
            self.ravelin(&format!("ca revoke ca/root --certificate {out} --reason keyCompromise"));
        }
        // strongSwan wants one certificate in a file.
        openssl(&self.folder(), &format!("x509 -in {out} -out one.pem"));
        fs::copy(self.a.file("one.pem"), self.swan.join(format!("x509/{name}.pem"))).unwrap();
        fs::copy(self.a.file(&key), self.swan.join(format!("private/{name}.pem"))).unwrap();
    }

    fn revocation_list(&self) {
        fs::create_dir(self.a.file("rings/.crls")).unwrap();
        self.ravelin("ca crl ca/root --out rings/.crls/root.crl");
    }
}

/// Our policy: a peer, a tunnel and a rule for each.
fn policy() -> String {
    let mut text = String::from(
        "[[rule]]\nname = \"ike\"\nprotocol = \"udp\"\ndestination_port = [500, 4500]\nrouting = \"local\"\nzone = \"wan\"\naction = \"permit\"\n\
         [[rule]]\nname = \"answers\"\nprotocol = \"udp\"\nsource_port = [500, 4500]\nrouting = \"local\"\nzone = \"wan\"\naction = \"permit\"\n",
    );
    for (at, Case { name, remote_id, local_id, more, .. }) in CASES.iter().enumerate() {
        let network = network(at);
        write!(
            text,
            "[[rule]]\nname = \"{name}\"\nsource = \"10.1.0.0/24\"\ndestination = \"{network}\"\naction = \"ipsec\"\ntunnel = \"{name}\"\n\
             [[tunnel]]\nname = \"{name}\"\npeer = \"{name}\"\nstart = \"on-command\"\n\
             [[peer]]\nname = \"{name}\"\nlocal = \"192.0.2.1\"\nremote = \"198.51.100.1\"\nlocal_id = \"{local_id}\"\n\
             remote_id = \"{remote_id}\"\ncertificate = \"gw/{name}\"\n{more}"
        )
        .unwrap();
    }
    text
}

const SECRET: &str = "4m0OZ2cHqlw3cTnXSB9cEXAMPLEEXAMPLEEXAMPLE0Q=";

fn swan_configuration() -> String {
    let mut text = String::from("connections {\n");
    for (at, Case { name, id, local_id, auth, .. }) in CASES.iter().enumerate() {
        let network = network(at);
        let remote = match local_id.contains('=') {
            true => format!("O=Ravens, CN={name}"),
            false => (*local_id).to_owned(),
        };
        let certificate = if *auth == "psk" { String::new() } else { format!("certs = {name}.pem") };
        write!(
            text,
            " {name} {{\n  version = 2\n  local_addrs = 198.51.100.1\n  remote_addrs = 192.0.2.1\n\
             \x20 proposals = aes256gcm16-prfsha384-x25519\n  send_cert = always\n\
             \x20 local {{ auth = {auth}\n    {certificate}\n    id = \"{id}\" }}\n\
             \x20 remote {{ auth = pubkey\n    id = \"{remote}\" }}\n\
             \x20 children {{ {name} {{ local_ts = {network}\n      remote_ts = 10.1.0.0/24\n\
             \x20     esp_proposals = aes256gcm16-x25519 }} }} }}\n"
        )
        .unwrap();
    }
    text + &format!("}}\nsecrets {{ ike-mixed {{ id = mixed.example\n    secret = \"{SECRET}\" }} }}\n")
}

struct Stand {
    a: Gateway,
    b: StrongSwan,
    sites: TwoSites,
}

fn start(label: &str) -> Stand {
    let sites = TwoSites::build(label).unwrap();
    for at in 0..CASES.len() {
        sites.b.site.run(&format!("ip address add {}/24 dev lan", host(at))).unwrap();
        sites.b.gateway.run(&format!("ip address add {}/32 dev lan0", gate(at))).unwrap();
    }
    let mut a = Gateway::lay_out(
        &sites.lab,
        &sites.a.gateway,
        "gw-a",
        "site-to-site-ike/gw-a",
        "rings = \"rings\"\n",
    )
    .unwrap();
    let swan = sites.lab.make_directory(&format!("{}-swan", sites.b.gateway.name())).unwrap();
    for folder in ["x509", "x509ca", "private"] {
        fs::create_dir(swan.join(folder)).unwrap();
    }
    let office = Office { a: &a, swan };
    office.authorities();
    for case in CASES {
        office.ours(case);
        office.theirs(case);
    }
    office.revocation_list();
    let b = StrongSwan::start(&sites.lab, &sites.b.gateway, &swan_configuration(), "").unwrap();
    a.start().unwrap();
    fs::write(a.file("peers.toml"), policy()).unwrap();
    a.ravelin("policy apply peers.toml").unwrap();
    Stand { a, b, sites }
}

impl Stand {
    fn log(&self) -> String {
        fs::read_to_string(self.a.file("ravelin-control.log")).unwrap_or_default()
    }

    fn standing(&self) -> Vec<serde_json::Value> {
        self.a.ask("ike list").unwrap().as_array().unwrap().clone()
    }

    fn wait(&self, what: &str, condition: impl Fn() -> bool) {
        wait_until(what, PATIENCE, condition)
            .unwrap_or_else(|error| panic!("{error}\n{}\n{}", self.log(), self.b.log()));
    }

    fn ensure_traffic(&self, at: usize, role: &str) {
        let name = CASES[at].name;
        self.wait(&format!("{name} to stand"), || self.standing().len() == 1);
        let ike = &self.standing()[0];
        let proof = if CASES[at].auth == "psk" { "shared key" } else { "certificate" };
        assert_eq!((&ike["peer"], &ike["role"], &ike["proof"]), (&name.into(), &role.into(), &proof.into()));
        assert_eq!(ike["own_proof"], "certificate");
        let interval = Duration::from_millis(5);
        let (site, to) = (&self.sites.a.site, host(at).parse().unwrap());
        // The route of strongSwan's tunnel may come a moment after its answer.
        self.wait("a first answer", || site.run(&format!("ping -n -q -c 1 -W 1 {to}")).is_ok());
        let report = Ping::start(&self.sites.lab, site, to, 20, interval).unwrap().report().unwrap();
        assert!(report.is_perfect(), "{name}: {report:?}");
    }

    fn both_ways(&self, at: usize) {
        let name = CASES[at].name;
        self.a.ravelin(&format!("ike up {name}")).unwrap();
        self.ensure_traffic(at, "initiator");
        self.a.ravelin(&format!("ike down {name}")).unwrap();
        self.wait("our end", || self.standing().is_empty());
        self.b
            .swanctl(&["--initiate", "--child", name])
            .unwrap_or_else(|error| panic!("{error}\n{}\n{}", self.log(), self.b.log()));
        self.ensure_traffic(at, "responder");
        self.b.swanctl(&["--terminate", "--ike", name]).unwrap();
        self.wait("its end", || self.standing().is_empty());
    }

    fn is_refused(&self, case: &Case, why: &str) {
        let told = || {
            let log = self.log();
            let failed =
                |line: &&str| line.contains("ike.authentication_failed") || line.contains("ike.no_peer");
            log.lines().filter(failed).filter(|line| line.contains(why)).count()
        };
        let heard =
            || self.b.log().lines().filter(|line| line.contains(HEARD) && line.contains("parsed")).count();
        let before = (told(), heard());
        assert!(self.b.swanctl(&["--initiate", "--child", case.name, "--timeout", "30"]).is_err());
        self.wait(&format!("{} to be refused", case.name), || told() > before.0 && heard() > before.1);
        // Whom we want to reach otherwise refuses us itself, so it does not come to its proof.
        if case.name != "stranger" {
            let before = (told(), heard());
            self.a.ravelin(&format!("ike up {}", case.name)).unwrap();
            self.wait(&format!("{} to be refused by whoever begins", case.name), || {
                told() > before.0 && heard() > before.1
            });
        }
        assert!(self.standing().is_empty());
    }
}

#[test]
fn certificates_prove_both_sides_to_strongswan_and_bad_ones_are_refused() {
    let stand = start("certified");
    let captures = ["to-a", "to-b"].map(|interface| {
        Capture::start_received(&stand.sites.lab, &stand.sites.wan, interface, interface, NOT_IPSEC).unwrap()
    });
    for (at, case) in CASES.iter().enumerate() {
        match case.refused {
            None => stand.both_ways(at),
            Some(why) => stand.is_refused(case, why),
        }
    }
    for capture in captures {
        let seen = capture.stop().unwrap();
        assert_eq!(seen.packets.frames().count(), 0, "{}", seen.file.display());
    }
    assert!(stand.log().contains("RVL-KEY-USED"), "{}", stand.log());
}
