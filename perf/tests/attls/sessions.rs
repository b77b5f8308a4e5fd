//! Sessions that are taken up again: OpenSSL's client says so of us, nginx says so of our client.

use std::process::Command;

use ravelin_perf::lab::{check, run_with_input};

use crate::nginx;
use crate::stand::{LONG, Stand, curl};

/// The server keeps sessions in tickets, or has a cache of them.
const RULES: &str = r#"
[[rule]]
name = "tickets"
server = "lan"
server_port = 8443
role = "server"
certificate = "web/main"

[[rule]]
name = "cache"
server = "lan"
server_port = 8444
role = "server"
certificate = "web/main"
resumption = "cache"

[[rule]]
name = "none"
server = "lan"
server_port = 8445
role = "server"
certificate = "web/main"
resumption = "off"

[[rule]]
name = "partner"
client = "lan"
server_port = 9443
role = "client"
trust = "ca"
server_name = "partner.example"

[[rule]]
name = "old-partner"
client = "lan"
server_port = [9444, 9445]
role = "client"
trust = "ca"
server_name = "partner.example"
versions = "1.2"
"#;

/// OpenSSL's client, which keeps its session in a file or takes it from there; what it says.
fn request(stand: &Stand, port: u16, more: &[&str]) -> String {
    let mut client: Command = stand.sites.b.site.command("openssl");
    client.args(["s_client", "-ign_eof", "-connect", &format!("{}:{port}", stand.sites.a.site_v4)]);
    client.args(["-servername", "web.example", "-verify_hostname", "web.example", "-verify_return_error"]);
    client.arg("-CAfile").arg(stand.paper("root.pem")).args(more).current_dir(stand.lab().directory());
    let output = run_with_input(&mut client, b"GET /small HTTP/1.0\r\n\r\n", LONG).unwrap();
    assert!(output.stdout.contains("a few words"), "{more:?}: {output:?}");
    output.stdout
}

#[test]
fn sessions_are_taken_up_again() {
    let stand = Stand::build("attlsagain", RULES);
    let _web = nginx::start(&stand, &stand.sites.a.site, "web", &nginx::clear(&[8443, 8444, 8445]));
    for (port, rule, again) in [(8443, "tickets", true), (8444, "cache", true), (8445, "none", false)] {
        for version in ["-tls1_3", "-tls1_2"] {
            let file = format!("{rule}{version}");
            let first = request(&stand, port, &[version, "-sess_out", &file]);
            assert!(first.contains("New, TLSv1."), "{first}");
            let second = match stand.lab().file(&file).exists() {
                true => request(&stand, port, &[version, "-sess_in", &file]),
                false => request(&stand, port, &[version]),
            };
            assert_eq!(second.contains("Reused, TLSv1."), again, "{rule} {version}: {second}");
        }
        let resumed = stand.counts(rule)["resumed"].as_u64();
        assert_eq!(resumed, Some(if again { 2 } else { 0 }), "{rule}");
    }
    our_client_takes_sessions_up_again(&stand);
}

fn our_client_takes_sessions_up_again(stand: &Stand) {
    let cache = "ssl_session_cache shared:one:1m;";
    let blocks = nginx::secure(stand, 9443, "ssl_protocols TLSv1.3;")
        + &nginx::secure(stand, 9444, "ssl_protocols TLSv1.2;")
        + &nginx::secure(stand, 9445, &format!("ssl_protocols TLSv1.2; ssl_session_tickets off; {cache}"));
    let _partner = nginx::start(stand, &stand.sites.b.site, "partner", &blocks);
    for port in [9443, 9444, 9445] {
        for _ in 0..3 {
            let url = format!("http://{}:{port}/small", stand.sites.b.site_v4);
            let asked = stand.lab().file("asked");
            check(&mut curl(&stand.sites.a.site, &asked, &url, &[]), LONG).unwrap();
            assert_eq!(std::fs::read_to_string(asked).unwrap(), "a few words\n");
        }
    }
    let reused: Vec<bool> =
        nginx::asked(stand, "partner").iter().map(|line| line.split('|').nth(1) == Some("r")).collect();
    assert_eq!(reused, [false, true, true].repeat(3));
}
