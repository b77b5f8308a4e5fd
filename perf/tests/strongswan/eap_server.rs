//! We log in by EAP at strongSwan: with a password and with a certificate, and not with a wrong one.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends")]

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use ravelin_perf::gateway::Gateway;
use ravelin_perf::lab::{StrongSwan, TwoSites, Watch, wait_until};

const PATIENCE: Duration = Duration::from_secs(60);
const PASSWORD: &str = "staple gun, horse";

/// strongSwan proves itself by its certificate, and clients to it by EAP; who asks for which, their identity says.
fn swan() -> String {
    let connection = |name: &str, id: &str| {
        format!(
            "{name} {{\n  version = 2\n  local_addrs = 198.51.100.1\n  remote_addrs = 192.0.2.1\n\
             \x20 proposals = aes256gcm16-prfsha384-x25519\n  send_cert = always\n\
             \x20 local {{ auth = pubkey\n    certs = swan.pem\n    id = gw-b.example }}\n\
             \x20 remote {{ auth = {name}\n    eap_id = %any\n    id = {id} }}\n\
             \x20 children {{ {name} {{ local_ts = 10.2.0.0/24\n      remote_ts = 10.1.0.0/24\n\
             \x20     esp_proposals = aes256gcm16-x25519 }} }} }}\n"
        )
    };
    format!(
        "connections {{ {} {} }}\nsecrets {{ eap-carol {{ id = carol\n  secret = \"{PASSWORD}\" }} }}\n",
        connection("eap-mschapv2", "carol"),
        connection("eap-tls", "gw-a.example")
    )
}

fn openssl(folder: &Path, words: &str) {
    let output =
        Command::new("openssl").args(words.split_ascii_whitespace()).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "openssl {words}: {}", String::from_utf8_lossy(&output.stderr));
}

/// An authority with the certificates of both sides.
fn certify(a: &Gateway, swan: &Path) {
    let ravelin = |line: &str| drop(a.ravelin(&format!("{line} --rings rings")).unwrap());
    let folder = a.file("ravelin.toml").parent().unwrap().to_owned();
    ravelin("ring create ca");
    ravelin("ring create gw");
    ravelin("ca init ca/root --subject CN=Root --key p256");
    ravelin("cert request gw/main --subject CN=gw-a --san dns:gw-a.example --key p256 --out gw.csr");
    ravelin("ca sign ca/root gw.csr --profile ike --out gw.pem");
    ravelin("cert receive gw gw.pem --trust ca");
    ravelin("cert export ca/root --out root.pem");
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout swan.key";
    openssl(
        &folder,
        &format!("req -new {key} -subj /CN=swan -addext subjectAltName=DNS:gw-b.example -out swan.csr"),
    );
    ravelin("ca sign ca/root swan.csr --profile ike --out swan.pem");
    // strongSwan wants one certificate in a file.
    openssl(&folder, "x509 -in swan.pem -out one.pem");
    for (from, to) in
        [("root.pem", "x509ca/root.pem"), ("one.pem", "x509/swan.pem"), ("swan.key", "private/swan.pem")]
    {
        fs::copy(a.file(from), swan.join(to)).unwrap();
    }
}

struct Stand {
    a: Gateway,
    b: StrongSwan,
    sites: TwoSites,
}

impl Stand {
    fn start() -> Self {
        let sites = TwoSites::build("swanlogin").unwrap();
        let own = "rings = \"rings\"\n";
        let mut a =
            Gateway::lay_out(&sites.lab, &sites.a.gateway, "gw-a", "site-to-site-ike/gw-a", own).unwrap();
        let folder = sites.lab.make_directory(&format!("{}-swan", sites.b.gateway.name())).unwrap();
        for inner in ["x509", "x509ca", "private"] {
            fs::create_dir(folder.join(inner)).unwrap();
        }
        certify(&a, &folder);
        a.add_keys(&format!("\n[own.users]\ncarol = \"{PASSWORD}\"\n[guess.users]\ncarol = \"a guess\"\n"))
            .unwrap();
        let b = StrongSwan::start(&sites.lab, &sites.b.gateway, &swan(), "").unwrap();
        a.start().unwrap();
        Self { a, b, sites }
    }

    /// The example's policy, but that we log in as this.
    fn log_in(&self, as_whom: &str, by: &str) {
        let own = format!("log_in = \"{as_whom}\"\n{by}\ntrust = \"ca\"");
        let text = fs::read_to_string(
            ravelin_perf::foreign::workspace().join("configs/site-to-site-ike/gw-a/ipsec.toml"),
        );
        let text = text
            .unwrap()
            .replace("shared_key = \"gw-b\"", &own)
            .replace("local_id = \"gw-a.example\"", &format!("local_id = \"{as_whom}\""));
        assert!(text.contains(&own) && text.contains(&format!("local_id = \"{as_whom}\"")), "{text}");
        self.a.apply_text(&text).unwrap();
        self.a.ravelin("ike up gw-b").unwrap();
    }

    fn told(&self) -> String {
        format!("--- control\n{}\n--- strongSwan\n{}", self.a.control_log(), self.b.log())
    }

    /// Waits for traffic by an IKE SA that we logged in for.
    fn stands(&self, heard: &str) {
        self.sites.wait_for_traffic(PATIENCE).unwrap_or_else(|error| panic!("{error}\n{}", self.told()));
        let ike = &self.a.ike_sas().unwrap()[0];
        assert_eq!((&ike["own_proof"], &ike["proof"]), (&"EAP".into(), &"certificate".into()), "{ike}");
        assert!(self.b.log().contains(heard), "{heard}\n{}", self.told());
        self.a.ravelin("ike down gw-b").unwrap();
        let ended = || self.a.ike_sas().unwrap().is_empty();
        wait_until("our end", PATIENCE, ended).unwrap_or_else(|error| panic!("{error}\n{}", self.told()));
    }
}

#[test]
fn we_log_in_with_a_password_and_with_a_certificate_and_not_with_a_guess() {
    let stand = Stand::start();
    let watch = Watch::start(&stand.sites).unwrap();
    stand.log_in("carol", "users = \"own\"");
    stand.stands("EAP method EAP_MSCHAPV2 succeeded");
    stand.log_in("gw-a.example", "certificate = \"gw/main\"");
    stand.stands("EAP method EAP_TLS succeeded");

    let begin = stand.a.control_log().len();
    stand.log_in("carol", "users = \"guess\"");
    let refused = || stand.a.control_log()[begin..].contains("the peer refuses what we log in with by EAP");
    wait_until("a refusal", PATIENCE, refused).unwrap_or_else(|error| panic!("{error}\n{}", stand.told()));
    assert!(!stand.sites.is_open());
    watch.ensure_nothing_else().unwrap();
}
