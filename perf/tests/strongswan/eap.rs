//! Remote access with a foreign client: strongSwan logs in by EAP, gets an address of our pool, and its traffic flows.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends")]

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use ravelin_perf::gateway::Gateway;
use ravelin_perf::lab::{Capture, End, Link, NOT_IPSEC, Namespace, Ping, StrongSwan, TwoSites, wait_until};

const PATIENCE: Duration = Duration::from_secs(60);
/// Of the example in `configs/remote-access`.
const CAROL: &str = "EXAMPLE correct horse battery";
const DAVE: &str = "EXAMPLE staple gun";

/// A connection of a client at this address: a user that asks for an address, and how the gateway has to prove itself.
fn connection(at: &str, name: &str, user: &str, method: &str, gateway: &str) -> String {
    format!(
        "{name} {{\n  version = 2\n  local_addrs = {at}\n  remote_addrs = 192.0.2.1\n  vips = 0.0.0.0\n\
         \x20 proposals = aes256gcm16-prfsha384-x25519\n\
         \x20 local {{ auth = {method}\n    id = {user}\n    eap_id = {user} }}\n\
         \x20 remote {{ auth = {gateway}\n    id = gw-a.example }}\n\
         \x20 children {{ {name} {{ remote_ts = 10.1.0.0/24\n      esp_proposals = aes256gcm16-x25519 }} }} }}\n"
    )
}

fn secrets(carol: &str, dave: &str) -> String {
    format!(
        "secrets {{ eap-carol {{ id = carol\n    secret = \"{carol}\" }}\n\
         \x20 eap-dave {{ id = dave@corp.example\n    secret = \"{dave}\" }}\n\
         \x20 eap-nobody {{ id = nobody\n    secret = \"{dave}\" }} }}\n"
    )
}

fn openssl(folder: &Path, words: &str) {
    let output =
        Command::new("openssl").args(words.split_ascii_whitespace()).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "openssl {words}: {}", String::from_utf8_lossy(&output.stderr));
}

/// The folder of a strongSwan, with its places for certificates and keys.
fn swan_folder(sites: &TwoSites, client: &Namespace) -> PathBuf {
    let swan = sites.lab.make_directory(&format!("{}-swan", client.name())).unwrap();
    for folder in ["x509", "x509ca", "private"] {
        fs::create_dir(swan.join(folder)).unwrap();
    }
    swan
}

/// An authority, and the gateway's certificate by it.
fn certify_gateway(gateway: &Gateway) {
    for line in [
        "ring create ca",
        "ring create gw",
        "ca init ca/root --subject CN=Root --key p256",
        "cert request gw/main --subject CN=gw-a --san dns:gw-a.example --key p256 --out gw.csr",
        "ca sign ca/root gw.csr --profile ike --out gw.pem",
        "cert receive gw gw.pem --trust ca",
        "cert export ca/root --out root.pem",
    ] {
        gateway.ravelin(&format!("{line} --rings rings")).unwrap();
    }
}

/// Certificates of two users: erin's by our authority, mallory's by a stranger.
fn certify_users(gateway: &Gateway, swan: &Path) {
    let folder = gateway.file("ravelin.toml").parent().unwrap().to_owned();
    let ec = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    openssl(
        &folder,
        &format!("req -x509 {ec} -keyout stranger.key -out stranger.pem -subj /CN=Stranger -days 30"),
    );
    for user in ["erin", "mallory"] {
        let names = format!("-subj /CN={user} -addext subjectAltName=DNS:{user}.example");
        openssl(&folder, &format!("req -new {ec} -keyout {user}.key {names} -out {user}.csr"));
    }
    gateway.ravelin("ca sign ca/root erin.csr --profile ike --out erin.pem --rings rings").unwrap();
    let by = "-CA stranger.pem -CAkey stranger.key -CAcreateserial -copy_extensions copy -days 9";
    openssl(&folder, &format!("x509 -req -in mallory.csr {by} -out mallory.pem"));
    for user in ["erin", "mallory"] {
        // strongSwan wants one certificate in a file.
        openssl(&folder, &format!("x509 -in {user}.pem -out one.pem"));
        fs::copy(gateway.file("one.pem"), swan.join(format!("x509/{user}.pem"))).unwrap();
        fs::copy(gateway.file(&format!("{user}.key")), swan.join(format!("private/{user}.pem"))).unwrap();
    }
}

/// A client that roams, with strongSwan on it.
struct Client {
    swan: StrongSwan,
    at: Namespace,
}

/// The gateway with two clients in different places: one where site b's gateway is, for users with passwords, one for users with
/// certificates.
struct Stand {
    gateway: Gateway,
    words: Client,
    cards: Client,
    sites: TwoSites,
}

/// A third place on the wan.
fn hotel(sites: &TwoSites) -> Namespace {
    let hotel = sites.lab.namespace("hotel").unwrap();
    let own = End::new(&hotel, "wan0").address("203.0.113.1/24");
    Link::between(own, End::new(&sites.wan, "to-c").address("203.0.113.2/24")).create().unwrap();
    hotel.run("ip route add default via 203.0.113.2").unwrap();
    hotel
}

impl Stand {
    fn start() -> Self {
        let sites = TwoSites::build("swaneap").unwrap();
        let own = "rings = \"rings\"\n";
        let mut gateway =
            Gateway::lay_out(&sites.lab, &sites.a.gateway, "gw-a", "remote-access", own).unwrap();
        certify_gateway(&gateway);
        let (office, hotel) = (sites.b.gateway.clone(), hotel(&sites));
        let folders = [&office, &hotel].map(|client| swan_folder(&sites, client));
        for folder in &folders {
            fs::copy(gateway.file("root.pem"), folder.join("x509ca/root.pem")).unwrap();
        }
        certify_users(&gateway, &folders[1]);
        let by_word = |(name, user)| connection("198.51.100.1", name, user, "eap-mschapv2", "pubkey");
        let words = [("carol", "carol"), ("dave", "dave@corp.example"), ("nobody", "nobody")].map(by_word);
        let by_card = |(name, user, gateway)| connection("203.0.113.1", name, user, "eap-tls", gateway);
        let erin = "erin.example";
        let cards =
            [("erin", erin, "pubkey"), ("mallory", "mallory.example", "pubkey"), ("alone", erin, "eap-tls")]
                .map(by_card);
        let start = |at: &Namespace, connections: String| {
            let configuration = format!("connections {{ {connections} }}\n{}", secrets(CAROL, DAVE));
            let swan = StrongSwan::start(&sites.lab, at, &configuration, "install_virtual_ip = yes").unwrap();
            Client { swan, at: at.clone() }
        };
        let (words, cards) = (start(&office, words.concat()), start(&hotel, cards.concat()));
        gateway.start().unwrap();
        gateway.apply_policy().unwrap();
        Self { gateway, words, cards, sites }
    }

    /// What both sides logged last, for whoever searches a fault.
    fn told(&self) -> String {
        let tail = |log: &str| {
            let lines = log.lines().collect::<Vec<_>>();
            lines[lines.len().saturating_sub(80)..].join("\n")
        };
        let [control, words, cards] =
            [self.gateway.control_log(), self.words.swan.log(), self.cards.swan.log()].map(|log| tail(&log));
        format!("--- control\n{control}\n--- words\n{words}\n--- cards\n{cards}")
    }

    fn wait(&self, what: &str, condition: impl Fn() -> bool) {
        wait_until(what, PATIENCE, condition).unwrap_or_else(|error| panic!("{error}\n{}", self.told()));
    }

    /// The IKE SA of a user, while it stands.
    fn ike(&self, user: &str) -> Option<serde_json::Value> {
        self.gateway.ike_sas().unwrap().into_iter().find(|ike| ike["identity"] == user)
    }

    /// The address that a user has.
    fn address(&self, user: &str) -> Option<IpAddr> {
        self.ike(user)?["leased"][0].as_str().map(|address| address.parse().unwrap())
    }

    /// Logs a user in, and gives its address.
    fn log_in(&self, client: &Client, connection: &str, user: &str) -> IpAddr {
        let said = client.swan.swanctl(&["--initiate", "--child", connection, "--timeout", "25"]);
        said.unwrap_or_else(|error| panic!("{error}\n{}", self.told()));
        let ike = self.ike(user).unwrap_or_else(|| panic!("{user} is not there\n{}", self.told()));
        let address: IpAddr = ike["leased"][0].as_str().unwrap().parse().unwrap();
        let children = ike["children"].as_array().unwrap();
        assert_eq!(
            (&ike["proof"], &ike["own_proof"], children.len()),
            (&"EAP".into(), &"certificate".into(), 1)
        );
        // Its tunnel speaks of its address alone.
        assert_eq!(children[0]["remote"], serde_json::json!([address.to_string()]), "{ike}");
        let given = format!("installing new virtual IP {address}");
        assert!(client.swan.log().contains(&given), "{given}\n{}", self.told());
        address
    }

    fn log_out(&self, client: &Client, connection: &str, user: &str) {
        client.swan.swanctl(&["--terminate", "--ike", connection, "--timeout", "25"]).unwrap();
        self.wait(&format!("{user} to be gone"), || self.ike(user).is_none());
    }

    /// A log-in that has to fail: what the client says that it heard, and the event with these words on our side.
    fn is_refused(&self, client: &Client, connection: &str, heard: &str, event: (&str, &[&str])) {
        let (log, words) = (self.gateway.control_log().len(), client.swan.log().len());
        assert!(client.swan.swanctl(&["--initiate", "--child", connection, "--timeout", "25"]).is_err());
        self.wait(heard, || client.swan.log()[words..].contains(heard));
        let (code, texts) = event;
        let told = |line: &str| line.contains(code) && texts.iter().all(|text| line.contains(text));
        self.wait(&format!("{code} {texts:?}"), || self.gateway.control_log()[log..].lines().any(told));
    }

    /// Waits until the client reaches the site from this address, and the site the client.
    fn assert_both_ways(&self, client: &Client, address: IpAddr) {
        let out = format!("ping -n -q -c 1 -W 1 -I {address} {}", self.sites.a.site_v4);
        let back = format!("ping -n -q -c 1 -W 1 {address}");
        self.wait(&format!("{address} to reach the site"), || client.at.run(&out).is_ok());
        self.wait(&format!("the site to reach {address}"), || self.sites.a.site.run(&back).is_ok());
    }

    /// The site pings an address, every 5 ms.
    fn start_pings(&self, to: IpAddr, count: u32) -> Ping {
        Ping::start(&self.sites.lab, &self.sites.a.site, to, count, Duration::from_millis(5)).unwrap()
    }
}

/// Two users in two places, one with a password and one with a certificate, and neither notices the other.
fn log_in_beside_each_other(stand: &Stand) -> (IpAddr, IpAddr) {
    let erin = stand.log_in(&stand.cards, "erin", "erin.example");
    stand.assert_both_ways(&stand.cards, erin);
    let pings = stand.start_pings(erin, 1000);
    let carol = stand.log_in(&stand.words, "carol", "carol");
    stand.assert_both_ways(&stand.words, carol);
    assert_ne!(carol, erin);
    for client in [&stand.words, &stand.cards] {
        assert!(client.swan.log().contains("CPRP(ADDR DNS"), "{}", stand.told());
    }

    // Whoever comes again gets the same address, and new keys do not change it.
    stand.log_out(&stand.words, "carol", "carol");
    // What the site sends to her meanwhile goes nowhere, above all not in clear.
    assert!(stand.sites.a.site.run(&format!("ping -n -q -c 2 -i 0.2 -W 1 {carol}")).is_err());
    assert_eq!(stand.log_in(&stand.words, "carol", "carol"), carol);
    stand.words.swan.swanctl(&["--rekey", "--ike", "carol"]).unwrap();
    stand.words.swan.swanctl(&["--rekey", "--child", "carol"]).unwrap();
    stand.assert_both_ways(&stand.words, carol);
    assert_eq!(stand.address("carol"), Some(carol));
    let report = pings.report().unwrap();
    assert!(report.is_perfect(), "{report:?}\n{}", stand.told());
    (carol, erin)
}

fn are_refused(stand: &Stand) {
    let failed = "ike.authentication_failed";
    // Of a password strongSwan hears by EAP itself, and ends the IKE SA without waiting for more.
    let heard = "EAP-MS-CHAPv2 failed with error ERROR_AUTHENTICATION_FAILURE";
    let stranger = ["mallory.example", "its issuer CN=Stranger was not sent, and is no trust anchor"];
    stand.is_refused(&stand.cards, "mallory", "EAP/FAIL N(AUTH_FAILED)", (failed, &stranger));
    stand.is_refused(&stand.words, "nobody", heard, (failed, &["user nobody", "policy knows no user"]));
    // Beside its certificates, which are read again with it.
    let wrong = stand.sites.lab.file(&format!("{}-swan/wrong.conf", stand.words.at.name()));
    fs::write(&wrong, secrets(CAROL, "a guess")).unwrap();
    let load = |file: &Path| {
        let file = file.to_str().unwrap();
        stand.words.swan.swanctl(&["--load-creds", "--clear", "--noprompt", "--file", file]).unwrap();
    };
    load(&wrong);
    stand.is_refused(&stand.words, "dave", heard, (failed, &["dave@corp.example", "password"]));
    fs::write(&wrong, secrets(CAROL, DAVE)).unwrap();
    load(&wrong);
}

/// Marks what control has written of an IKE SA as free; each record begins at a multiple of 256 octets, its IKE SA at 16.
fn forget(stand: &Stand, ike: &str) {
    let file = stand.gateway.file("state").join("control/ike/records");
    let mut octets = fs::read(&file).unwrap();
    let number = u64::from_str_radix(ike, 16).unwrap().to_be_bytes();
    let heads = (0..octets.len()).step_by(256);
    let own: Vec<usize> = heads.filter(|at| octets.get(at + 16..at + 24) == Some(&number[..])).collect();
    assert!(!own.is_empty(), "{ike} has no record");
    own.into_iter().for_each(|at| octets[at] = 0);
    fs::write(&file, octets).unwrap();
}

/// Control starts anew without erin's record: what she has goes on, whoever else comes, until she comes again herself.
fn outlive_control(stand: &mut Stand, (carol, erin): (IpAddr, IpAddr)) -> IpAddr {
    let forgotten = stand.ike("erin.example").unwrap()["id"].as_str().unwrap().to_owned();
    let (at_carol, at_erin) = (stand.start_pings(carol, 1500), stand.start_pings(erin, 1500));
    stand.gateway.kill_control().unwrap();
    forget(stand, &forgotten);
    stand.gateway.start_control().unwrap();
    stand.wait("carol to stand again", || stand.address("carol") == Some(carol));
    let dave = stand.log_in(&stand.words, "dave", "dave@corp.example");
    assert!(stand.ike("erin.example").is_none() && dave != erin && dave != carol, "{dave}");
    stand.assert_both_ways(&stand.words, dave);
    for (who, pings) in [("carol", at_carol), ("erin", at_erin)] {
        let report = pings.report().unwrap();
        assert!(report.is_perfect(), "{who}: {report:?}\n{}", stand.told());
    }
    // Nobody at the gateway answers for her old IKE SA, which is an error to strongSwan, but the end of it.
    let _ = stand.cards.swan.swanctl(&["--terminate", "--ike", "erin", "--force", "--timeout", "1"]);
    stand.wait("her end of it to go", || !stand.cards.swan.sas().unwrap().contains("erin"));
    let erin = stand.log_in(&stand.cards, "erin", "erin.example");
    stand.assert_both_ways(&stand.cards, erin);
    let inbound = || stand.gateway.metrics().unwrap().sum("ravelin_inbound_sas", &[]).unwrap();
    stand.wait("erin's old SA to go", || inbound() == 3.0);
    stand.log_out(&stand.words, "dave", "dave@corp.example");
    erin
}

/// A pool of two: the third user gets none until one of the two gives its own back.
fn share_two_addresses(stand: &Stand, erin: IpAddr) {
    let policy = stand.gateway.policy_text().unwrap();
    let small = policy.replace(
        "addresses = [\"10.9.0.0/24\", \"2001:db8:9::/112\"]\ndns",
        "addresses = \"10.9.0.71-10.9.0.72\"\ndns",
    );
    assert_ne!(policy, small);
    stand.gateway.apply_text(&small).unwrap();
    stand.wait("everybody to be gone", || stand.gateway.ike_sas().unwrap().is_empty());
    for (client, name) in [(&stand.words, "carol"), (&stand.cards, "erin")] {
        // Who was told that the tunnel ended, has none to end.
        let _ = client.swan.swanctl(&["--terminate", "--ike", name, "--timeout", "25"]);
    }
    let carol = stand.log_in(&stand.words, "carol", "carol");
    assert_ne!(stand.log_in(&stand.cards, "erin", "erin.example"), erin);
    let words = ["pool road has no address left for dave@corp.example"];
    stand.is_refused(&stand.words, "dave", "N(INT_ADDR_FAIL)", ("ike.no_address", &words));
    stand.log_out(&stand.words, "dave", "dave@corp.example");
    stand.log_out(&stand.words, "carol", "carol");
    assert_eq!(stand.log_in(&stand.words, "dave", "dave@corp.example"), carol);
    stand.assert_both_ways(&stand.words, carol);
}

/// Nothing but EAP-TLS proves either side (RFC 5998), and only where policy lets clients do with that.
fn do_with_eap_alone(stand: &Stand) {
    stand.log_out(&stand.cards, "erin", "erin.example");
    let gave_up = ("ike.authentication_failed", &["the client gave up"][..]);
    stand.is_refused(&stand.cards, "alone", "constraint requires EAP_TLS", gave_up);
    let policy = stand.gateway.policy_text().unwrap();
    let alone = policy.replace("\neap = ", "\neap_only = true\neap = ");
    assert_ne!(policy, alone);
    stand.gateway.apply_text(&alone).unwrap();
    let erin = stand.log_in(&stand.cards, "alone", "erin.example");
    let proved = "authentication of 'gw-a.example' with EAP successful";
    assert!(stand.cards.swan.log().contains(proved), "{}", stand.told());
    stand.assert_both_ways(&stand.cards, erin);
}

/// Row B18: a rule for the company's mail addresses. Who is in it reaches the site, also from before the rule and after a restart
/// of control; who is not, and what only claims such an address, does not.
fn only_the_company_reaches_the_site(stand: &mut Stand, before: &str) {
    let company = before.replacen(
        "\ntunnel = \"clients\"\n",
        "\ntunnel = \"clients\"\nremote_identity = \"*@corp.example\"\n",
        1,
    );
    assert_ne!(company, before);
    stand.gateway.apply_text(before).unwrap();
    for (client, connection) in [(&stand.words, "dave"), (&stand.cards, "alone")] {
        let _ = client.swan.swanctl(&["--terminate", "--ike", connection, "--timeout", "25"]);
    }
    let user = "dave@corp.example";
    let (carol, dave) =
        (stand.log_in(&stand.words, "carol", "carol"), stand.log_in(&stand.words, "dave", user));
    for client in [carol, dave] {
        stand.assert_both_ways(&stand.words, client);
    }
    stand.gateway.apply_text(&company).unwrap();
    stand.assert_both_ways(&stand.words, dave);
    let is_shut = |stand: &Stand, client: IpAddr, verdict: &str, by: &Namespace| {
        let ended = || stand.gateway.ended(verdict).unwrap();
        let (before, out) =
            (ended(), format!("ping -n -q -c 2 -i 0.2 -W 1 -I {client} {}", stand.sites.a.site_v4));
        assert!(by.run(&out).is_err(), "{client} reaches the site\n{}", stand.told());
        stand.wait(verdict, || ended() >= before + 2);
    };
    let is_unreached = |stand: &Stand, client: IpAddr, verdict: &str| {
        let before = stand.gateway.ended(verdict).unwrap();
        assert!(stand.sites.a.site.run(&format!("ping -n -q -c 2 -i 0.2 -W 1 {client}")).is_err());
        stand.wait(verdict, || stand.gateway.ended(verdict).unwrap() >= before + 2);
    };
    is_shut(stand, carol, "wrong_identity", &stand.words.at);
    is_unreached(stand, carol, "wrong_identity");
    // His address without his SA, from a third place.
    let hotel = &stand.cards.at;
    hotel.run(&format!("ip address add {dave}/32 dev lo")).unwrap();
    is_shut(stand, dave, "cleartext_refused", hotel);
    stand.assert_both_ways(&stand.words, dave);

    stand.gateway.kill_control().unwrap();
    stand.gateway.start_control().unwrap();
    stand.wait("dave to stand again", || stand.address(user) == Some(dave));
    stand.assert_both_ways(&stand.words, dave);
    is_shut(stand, carol, "wrong_identity", &stand.words.at);

    stand.log_out(&stand.words, "dave", user);
    is_unreached(stand, dave, "no_sa");
    is_shut(stand, dave, "cleartext_refused", &stand.cards.at);
    assert_eq!(stand.log_in(&stand.words, "dave", user), dave);
    stand.assert_both_ways(&stand.words, dave);
}

#[test]
fn users_log_in_get_addresses_and_reach_the_site_and_strangers_do_not() {
    let mut stand = Stand::start();
    let captures = ["to-a", "to-b", "to-c"].map(|interface| {
        let wan = &stand.sites.wan;
        Capture::start_received(&stand.sites.lab, wan, interface, interface, NOT_IPSEC).unwrap()
    });
    let policy = stand.gateway.policy_text().unwrap();
    let both = log_in_beside_each_other(&stand);
    are_refused(&stand);
    let erin = outlive_control(&mut stand, both);
    share_two_addresses(&stand, erin);
    do_with_eap_alone(&stand);
    for capture in captures {
        let seen = capture.stop().unwrap();
        assert_eq!(seen.packets.frames().count(), 0, "{}", seen.file.display());
    }
    only_the_company_reaches_the_site(&mut stand, &policy);
}
