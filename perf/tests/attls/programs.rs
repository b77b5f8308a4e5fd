//! Programs of others in clear on one side and with TLS on the other: GnuTLS, Python, redis, nginx, a recent OpenSSL with
//! X25519MLKEM768.

use std::os::unix::fs::symlink;
use std::process::Command;

use ravelin_perf::foreign;
use ravelin_perf::lab::{Namespace, Process, check, run, run_with_input, sha256};

use crate::nginx;
use crate::stand::{LONG, OCTETS, Stand, assert_sealed, curl};

/// Ports of site a's servers, and of those at site b that site a asks.
const RULES: &str = r#"
[[rule]]
name = "servers"
server = "lan"
server_port = [8443, 6379, 7000]
role = "server"
certificate = "web/main"

[[rule]]
name = "partners"
client = "lan"
server_port = "9443-9449"
role = "client"
trust = "ca"
server_name = "partner.example"
"#;

const WEB: u16 = 8443;
const REDIS: u16 = 6379;
const GATHERER: u16 = 7000;

const NGINX: u16 = 9443;
const NGINX_OLD: u16 = 9444;
const GNUTLS: u16 = 9445;
const PYTHON: u16 = 9446;
const PARTNER_REDIS: u16 = 9447;
const RECENT: u16 = 9448;

/// What a gatherer says of the lab's file.
fn whole(stand: &Stand) -> String {
    format!("{OCTETS} {}\n", stand.sum())
}

fn text(path: &std::path::Path) -> &str {
    path.to_str().unwrap()
}

/// A redis server of Debian's redis-tools, where one program has all names.
fn redis(stand: &Stand, at: &Namespace, name: &str, more: &[&str]) -> Process {
    let server = stand.lab().file("redis-server");
    if !server.exists() {
        symlink(foreign::tool("redis-tools", "redis-check-rdb").unwrap(), &server).unwrap();
    }
    let mut command = at.command(&server);
    command.args(["--save", "", "--protected-mode", "no", "--dir"]).arg(stand.lab().directory()).args(more);
    stand.serve(name, &mut command, "Ready to accept connections")
}

fn redis_cli(at: &Namespace, host: &str, port: u16, more: &[&str]) -> Command {
    let mut command = at.command("redis-cli");
    command.args(["-h", host, "-p", &port.to_string()]).args(more);
    command
}

#[test]
fn clients_that_speak_tls_reach_servers_that_do_not() {
    let stand = Stand::build("attlsin", RULES);
    let capture = stand.capture();
    let (a, b, host) = (&stand.sites.a.site, &stand.sites.b.site, stand.sites.a.site_v4.to_string());
    let root = stand.paper("root.pem");
    let root = text(&root);
    let _web = nginx::start(&stand, a, "web", &nginx::clear(&[WEB]));
    let _redis = redis(&stand, a, "redis", &["--port", &REDIS.to_string()]);
    let mut gather = stand.script(a, "tls/ends.py", &["gather", &GATHERER.to_string()]);
    let _gatherer = stand.serve("gatherer", &mut gather, "listening");

    // GnuTLS ends its stream when its input ends, and hears the answer then.
    for version in ["1.3", "1.2"] {
        let mut client = b.command("gnutls-cli");
        client.args(["--logfile=/dev/null", "--x509cafile", root, "--sni-hostname", "web.example"]);
        client.args(["--verify-hostname", "web.example", "--port", &GATHERER.to_string()]);
        client.args(["--priority", &format!("NORMAL:-VERS-ALL:+VERS-TLS{version}"), &host]);
        let file = std::fs::read(stand.lab().file("file")).unwrap();
        let output = run_with_input(&mut client, &file, LONG).unwrap();
        assert_eq!(output.stdout, whole(&stand), "{version}: {output:?}");
    }
    for version in ["TLSv1_3", "TLSv1_2"] {
        let tell = ["tell", &host, &GATHERER.to_string(), "file", root, "web.example", version];
        let said = check(&mut stand.script(b, "tls/ends.py", &tell), LONG).unwrap();
        assert_eq!(said, whole(&stand), "{version}");
    }
    let secure = ["--tls", "--sni", "web.example", "--cacert", root];
    let redis =
        |words: &[&str]| check(&mut redis_cli(b, &host, REDIS, &[&secure, words].concat()), LONG).unwrap();
    assert_eq!(redis(&["set", "name", "value"]), "OK\n");
    assert_eq!(redis(&["get", "name"]), "value\n");
    let mut many = b.command("redis-benchmark");
    many.args(["-h", &host, "-p", &REDIS.to_string(), "-n", "2000", "-c", "10", "-q", "-t", "incr"])
        .args(secure);
    let said = check(&mut many, LONG).unwrap();
    assert!(said.contains("requests per second"), "{said}");
    assert_eq!(redis(&["get", "counter:__rand_int__"]), "2000\n");

    // An upload, and a client that agrees on X25519MLKEM768.
    let file = stand.lab().file("file");
    let mut upload = stand.visitor(stand.sites.a.site_v4, "in/file", &["--upload-file", text(&file)]);
    assert!(run(&mut upload, LONG).unwrap().status.success());
    assert_eq!(sha256(&stand.lab().file("in/file")).unwrap(), stand.sum());
    let ask = ["ask", &host, &WEB.to_string(), root, "web.example", "/file"];
    let said = check(&mut stand.script(b, "tls/hybrid.py", &ask), LONG).unwrap();
    assert_eq!(said, format!("TLSv1.3 X25519MLKEM768 {OCTETS}\n"));
    assert_sealed(&capture.stop().unwrap());
}

#[test]
fn clients_that_do_not_speak_tls_reach_servers_that_do() {
    let stand = Stand::build("attlsout", RULES);
    let capture = stand.capture();
    let (a, b, host) = (&stand.sites.a.site, &stand.sites.b.site, stand.sites.b.site_v4.to_string());
    let (certificate, key) = (stand.paper("partner.pem"), stand.paper("partner.key"));
    let (certificate, key) = (text(&certificate), text(&key));
    let blocks = nginx::secure(&stand, NGINX, "ssl_protocols TLSv1.3;")
        + &nginx::secure(&stand, NGINX_OLD, "ssl_protocols TLSv1.2;");
    let _web = nginx::start(&stand, b, "web", &blocks);
    let mut gnutls = b.command("gnutls-serv");
    gnutls.args(["--http", "--disable-client-cert", "--port", &GNUTLS.to_string()]);
    gnutls.args(["--x509certfile", certificate, "--x509keyfile", key]);
    let _gnutls = stand.serve("gnutls", &mut gnutls, "listening on");
    let mut gather = stand.script(b, "tls/ends.py", &["gather", &PYTHON.to_string(), certificate, key]);
    let _gatherer = stand.serve("gatherer", &mut gather, "listening");
    let port = PARTNER_REDIS.to_string();
    let papers = ["--tls-cert-file", certificate, "--tls-key-file", key, "--tls-ca-cert-file", certificate];
    let tls = ["--port", "0", "--tls-port", &port, "--tls-auth-clients", "no"];
    let _redis = redis(&stand, b, "redis", &[&tls[..], &papers].concat());
    let mut recent = stand.script(b, "tls/hybrid.py", &["serve", &RECENT.to_string(), certificate, key]);
    let _recent = stand.serve("recent", &mut recent, "listening");

    for port in [NGINX, NGINX_OLD] {
        stand.assert_whole("asked", stand.ask_at(&host, port).status);
        let url = format!("http://{host}:{port}/in/{port}");
        let file = stand.lab().file("file");
        let mut upload = curl(a, &stand.lab().file("said"), &url, &["--upload-file", text(&file)]);
        assert!(run(&mut upload, LONG).unwrap().status.success(), "{port}");
        assert_eq!(sha256(&stand.lab().file(&format!("in/{port}"))).unwrap(), stand.sum(), "{port}");
    }
    let asked = nginx::asked(&stand, "web");
    assert!(asked[0].starts_with("TLSv1.3|.|partner.example|"), "{asked:?}");
    assert!(asked[2].starts_with("TLSv1.2|.|partner.example|"), "{asked:?}");

    let page = |port: u16| {
        let mut curl = a.command("curl");
        curl.args(["--silent", "--show-error", "--noproxy", "*", "--max-time", "60"]);
        check(curl.arg(format!("http://{host}:{port}/page")), LONG).unwrap()
    };
    let said = page(GNUTLS);
    assert!(said.contains("TLS1.3"), "{said}");
    assert_eq!(page(RECENT), "X25519MLKEM768\n");

    let tell = ["tell", &host, &PYTHON.to_string(), "file"];
    assert_eq!(check(&mut stand.script(a, "tls/ends.py", &tell), LONG).unwrap(), whole(&stand));
    let redis = |words: &[&str]| check(&mut redis_cli(a, &host, PARTNER_REDIS, words), LONG).unwrap();
    assert_eq!(redis(&["set", "name", "value"]), "OK\n");
    assert_eq!(redis(&["get", "name"]), "value\n");
    assert_sealed(&capture.stop().unwrap());
}
