//! Client authentication at each of its levels: OpenSSL's client with a certificate that stands for somebody, with one that
//! stands for nobody, with a stranger's, and with none.

use std::fmt::Write;

use ravelin_perf::lab::{Output, Process, run, run_with_input, wait_until};
use serde_json::Value;

use crate::nginx;
use crate::stand::{LONG, SECOND, Stand, curl};

/// Who knocks: nobody known, ann (who is mapped), bob (who is not), eve (whose authority is not ours).
const CLIENTS: [Option<&str>; 4] = [None, Some("ann"), Some("bob"), Some("eve")];

/// Levels by their names, in both spellings where there are two, and how each client fares.
const LEVELS: [(&str, u16, [&str; 4]); 7] = [
    ("none", 9001, ["in"; 4]),
    ("pass_through", 9002, ["in"; 4]),
    ("wanted", 9003, ["in", "in", "in", "untrusted"]),
    ("full", 9004, ["in", "in", "in", "untrusted"]),
    ("required", 9005, ["no-certificate 5001", "in", "in", "untrusted"]),
    ("mapped", 9006, ["no-certificate 5001", "in", "not-mapped 5002", "untrusted"]),
    ("safcheck", 9007, ["no-certificate 5001", "in", "not-mapped 5002", "untrusted"]),
];
/// A level whose clients have a second to say something.
const HASTY: u16 = 9008;

fn rules() -> String {
    let mut text = String::new();
    for (level, port, _) in LEVELS {
        let trust = if level == "none" || level == "pass_through" { "" } else { "trust = \"ca\"\n" };
        let rule = format!(
            "[[rule]]\nname = \"{level}\"\nserver = \"lan\"\nserver_port = {port}\nrole = \"server\"\n"
        );
        write!(text, "{rule}certificate = \"web/main\"\nclient_auth = \"{level}\"\n{trust}").unwrap();
    }
    let hasty =
        format!("[[rule]]\nname = \"hasty\"\nserver = \"lan\"\nserver_port = {HASTY}\nrole = \"server\"\n");
    text + &hasty + "certificate = \"web/main\"\nfirst_timeout = 1\n"
}

/// What OpenSSL's client gets for a request.
fn request(stand: &Stand, port: u16, shows: Option<&str>, version: &str) -> Output {
    let mut client = stand.sites.b.site.command("openssl");
    client.args(["s_client", "-quiet", version, "-connect", &format!("{}:{port}", stand.sites.a.site_v4)]);
    client.args(["-servername", "web.example", "-verify_hostname", "web.example", "-verify_return_error"]);
    client.arg("-CAfile").arg(stand.paper("root.pem"));
    if let Some(name) = shows {
        let papers = stand.paper(&format!("{name}.pem"));
        client.arg("-cert").arg(&papers).arg("-cert_chain").arg(&papers);
        client.arg("-key").arg(stand.paper(&format!("{name}.key")));
    }
    run_with_input(&mut client, b"GET /small HTTP/1.0\r\n\r\n", LONG).unwrap()
}

/// What is told of the failures of a rule, each as result and return code.
fn failures(stand: &Stand, rule: &str) -> Vec<String> {
    let statistics = stand.gateway.ask("attls stats").unwrap();
    let of_rule = statistics["failures"].as_array().unwrap().iter().filter(|told| told["rule"] == rule);
    let words = |told: &Value| match told["number"].as_u64() {
        Some(number) => format!("{} {number}", told["result"].as_str().unwrap()),
        None => told["result"].as_str().unwrap().to_owned(),
    };
    of_rule.map(words).collect()
}

#[test]
fn clients_at_every_level_of_authentication() {
    let stand = Stand::build("attlslevels", &rules());
    stand.rings("ring create strange");
    stand.rings("ca init strange/root --subject CN=Strange --key p256");
    for (authority, name) in [("ca/root", "ann"), ("ca/root", "bob"), ("strange/root", "eve")] {
        stand.paper_of(authority, name, "client", &format!("subjectAltName=email:{name}@example"));
    }
    stand.rings("cert map add ann --identity ann --san email:ann@example");
    // The gateway looks at what stands for whom at most once a second.
    std::thread::sleep(SECOND * 3 / 2);
    let ports: Vec<u16> = LEVELS.iter().map(|(_, port, _)| *port).chain([HASTY]).collect();
    let _web = nginx::start(&stand, &stand.sites.a.site, "web", &nginx::clear(&ports));

    for (level, port, fates) in LEVELS {
        let mut refused = Vec::new();
        for version in ["-tls1_3", "-tls1_2"] {
            for (shows, fate) in CLIENTS.into_iter().zip(fates) {
                let output = request(&stand, port, shows, version);
                let answered = output.stdout.contains("a few words");
                assert_eq!(
                    answered,
                    fate == "in",
                    "{level} {version} {shows:?} should be {fate}: {output:?}"
                );
                // RFC 8446 6.2: who is refused hears why, though it has written by then.
                let named = output.stderr.contains("SSL alert number");
                assert_eq!(named, fate != "in", "{level} {version} {shows:?}: {output:?}");
                refused.extend((!answered).then_some(fate));
            }
        }
        // The client may know before control has written it down.
        let told = || failures(&stand, level) == refused;
        let waited = wait_until("failures to be told", LONG, told);
        assert!(waited.is_ok(), "{level}: {:?} and not {refused:?}", failures(&stand, level));
    }
    an_alert_is_heard_by_others_too(&stand);
    who_it_is_stands_in_the_list(&stand);
    what_is_no_tls_and_who_says_nothing(&stand);
}

/// GnuTLS that shows no certificate, and OpenSSL below Python that sends a forged record and goes on writing.
fn an_alert_is_heard_by_others_too(stand: &Stand) {
    let (b, host) = (&stand.sites.b.site, stand.sites.a.site_v4.to_string());
    let root = stand.paper("root.pem");
    let root = root.to_str().unwrap();
    for (gnutls, openssl) in [("1.3", "TLSv1_3"), ("1.2", "TLSv1_2")] {
        let mut client = b.command("gnutls-cli");
        client.args(["--x509cafile", root, "--verify-hostname", "web.example", "--port", "9005"]);
        client.args(["--priority", &format!("NORMAL:-VERS-ALL:+VERS-TLS{gnutls}"), &host]);
        let output = run_with_input(&mut client, b"GET /small HTTP/1.0\r\n\r\n", LONG).unwrap();
        let said = format!("{}{}", output.stdout, output.stderr);
        assert!(said.contains("Received alert [116]"), "{gnutls}: {output:?}");
        let forge = [&host, "9001", root, "web.example", openssl];
        let said = run(&mut stand.script(b, "tls/forged.py", &forge), LONG).unwrap();
        assert!(said.stdout.to_uppercase().contains("ALERT_BAD_RECORD_MAC"), "{openssl}: {said:?}");
    }
}

fn who_it_is_stands_in_the_list(stand: &Stand) {
    let (key, certificate, root) = (stand.paper("ann.key"), stand.paper("ann.pem"), stand.paper("root.pem"));
    let paths = [&key, &certificate, &root].map(|path| path.to_str().unwrap());
    let resolve = format!("web.example:9007:{}", stand.sites.a.site_v4);
    let more = ["--key", paths[0], "--cert", paths[1], "--cacert", paths[2], "--resolve", &resolve];
    let slow = ["--limit-rate", "1M"];
    let url = "https://web.example:9007/file";
    let mut curl = curl(&stand.sites.b.site, &stand.lab().file("ann"), url, &[&more[..], &slow].concat());
    let _visit = Process::spawn("ann", &mut curl, &stand.lab().file("ann.log")).unwrap();
    let is_there = || {
        let all = stand.gateway.ask("attls connections").unwrap();
        let is_ann = |one: &Value| {
            one["rule"] == "safcheck"
                && one["agreed"]["identity"] == "ann"
                && one["agreed"]["peer"] == "CN=ann"
        };
        all.as_array().unwrap().iter().any(is_ann)
    };
    wait_until("the identity to stand in the list", LONG, is_there).unwrap();
}

fn what_is_no_tls_and_who_says_nothing(stand: &Stand) {
    let url = format!("http://{}:{HASTY}/small", stand.sites.a.site_v4);
    let clear = run(&mut curl(&stand.sites.b.site, &stand.lab().file("got"), &url, &[]), LONG).unwrap();
    assert!(!clear.status.success(), "{clear:?}");
    let connect =
        format!("import socket; s = socket.create_connection(('{}', {HASTY})); ", stand.sites.a.site_v4);
    let mut silent = stand.sites.b.site.command("/usr/bin/python3");
    silent.args(["-c", &(connect + "print(len(s.recv(99)))")]);
    let output = run(&mut silent, LONG).unwrap();
    assert!(output.stderr.contains("ConnectionResetError"), "{output:?}");
    wait_until("both to be told", LONG, || failures(stand, "hasty") == ["not-tls 5003", "silent 5004"])
        .unwrap();
}
