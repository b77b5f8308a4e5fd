//! Programs that cost much to bring: PostgreSQL, Go, Java, a browser. `make tls-programs` brings and runs them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use ravelin_perf::foreign::{self, workspace};
use ravelin_perf::lab::{Namespace, check, run};

use crate::nginx;
use crate::stand::{LONG, OCTETS, Stand, assert_sealed};

/// Site a's servers, and those at site b that it asks.
const RULES: &str = r#"
[[rule]]
name = "servers"
server = "lan"
server_port = [8443, 5432, 7000]
role = "server"
certificate = "web/main"

[[rule]]
name = "partners"
client = "lan"
server_port = [9443, 9444]
role = "client"
trust = "ca"
server_name = "partner.example"
"#;
/// At the clients of the data base.
const CLIENT: &str = r#"
[[rule]]
name = "data"
client = "lan"
server_port = 5432
role = "client"
trust = "ca"
server_name = "web.example"
"#;

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The scripts in other languages.
fn sources(name: &str) -> PathBuf {
    workspace().join("perf/scripts/tls").join(name)
}

/// Go's teller and gatherer, compiled.
fn go_program(stand: &Stand) -> PathBuf {
    let root = workspace().join("target/tools/go/go");
    let program = stand.lab().file("ends");
    let mut go = Command::new(root.join("bin/go"));
    go.env("GOROOT", &root)
        .env("GOTOOLCHAIN", "local")
        .env("GOCACHE", workspace().join("target/tools/go-cache"));
    check(go.arg("build").arg("-o").arg(&program).arg(sources("ends.go")), 8 * LONG).unwrap();
    program
}

/// Ends that half-close, in Go and Java, with TLS outside and Python's in clear inside.
#[test]
#[ignore = "make tls-programs: needs Go and a JDK"]
fn go_and_java_at_the_far_end() {
    let stand = Stand::build("attlslong", RULES);
    let capture = stand.capture();
    let (a, b) = (&stand.sites.a, &stand.sites.b);
    let go = go_program(&stand);
    let java = |at: &Namespace, arguments: &[&str]| {
        let mut java = at.command("java");
        java.arg(sources("TlsEnds.java")).args(arguments).current_dir(stand.lab().directory());
        java
    };
    let whole = format!("{OCTETS} {}\n", stand.sum());
    let mut gather = stand.script(&a.site, "tls/ends.py", &["gather", "7000"]);
    let _gatherer = stand.serve("gatherer", &mut gather, "listening");
    let (to_a, to_b, file) = (a.site_v4.to_string(), b.site_v4.to_string(), stand.lab().file("file"));
    let root = stand.paper("root.pem");
    let tell = ["tell", &to_a, "7000", text(&file), text(&root), "web.example"];
    for (version, group) in [("1.3", "X25519MLKEM768"), ("1.2", "X25519")] {
        let mut go = b.site.command(&go);
        let said = check(go.args(tell).arg(version), LONG).unwrap();
        assert_eq!(said, format!("{whole}{group}\n"));
        let said = check(java(&b.site, &tell).arg(format!("TLSv{version}")), LONG).unwrap();
        assert_eq!(said, whole, "{version}");
    }

    let papers = ["partner.pem", "partner.key", "partner.p12"].map(|name| stand.paper(name));
    let [certificate, key, store] = papers.each_ref().map(|path| text(path));
    let mut go = b.site.command(&go);
    let go = stand.serve("go", go.args(["gather", "9443", certificate, key]), "listening");
    stand.openssl("pkcs12 -export -in partner.pem -inkey partner.key -passout pass:secret -out partner.p12");
    let _java = stand.serve("java", &mut java(&b.site, &["gather", "9444", store, "secret"]), "listening");
    for port in ["9443", "9444"] {
        let tell = ["tell", &to_b, port, "file"];
        assert_eq!(check(&mut stand.script(&a.site, "tls/ends.py", &tell), LONG).unwrap(), whole, "{port}");
    }
    go.wait_for_line("answered by X25519MLKEM768", LONG).unwrap();
    assert_sealed(&capture.stop().unwrap());
}

/// Debian's PostgreSQL knows TLS only behind a question in clear; so both ends are in clear, each behind a gateway.
#[test]
#[ignore = "make tls-programs: needs PostgreSQL"]
fn psql_in_clear_at_both_ends_and_tls_between() {
    let stand = Stand::build("attlspsql", RULES);
    let _second = stand.second_gateway(CLIENT);
    let (a, b) = (&stand.sites.a, &stand.sites.b);
    let data = stand.lab().make_directory("data").unwrap();
    check(Command::new("chown").arg("nobody").arg(&data), LONG).unwrap();
    // It does not serve as root.
    let as_nobody = |program: &str| {
        let mut command = a.site.command("setpriv");
        command.args(["--reuid=nobody", "--regid=nogroup", "--clear-groups"]);
        command.arg(Path::new("/usr/lib/postgresql/15/bin").join(program)).current_dir("/");
        command
    };
    check(as_nobody("initdb").args(["--no-sync", "-A", "trust", "-U", "us", "-D"]).arg(&data), 2 * LONG)
        .unwrap();
    let rules = "host all all 10.2.0.0/24 trust\n";
    fs::write(data.join("pg_hba.conf"), rules).unwrap();
    let mut server = as_nobody("postgres");
    server.arg("-D").arg(&data).args(["-k", "", "-h", &a.site_v4.to_string(), "-c", "fsync=off"]);
    let _server = stand.serve("postgres", &mut server, "ready to accept connections");
    let capture = stand.capture();

    let at = |program: &str| {
        let mut command = b.site.command(program);
        command.args(["-h", &a.site_v4.to_string(), "-U", "us"]).env("PGSSLMODE", "disable");
        command
    };
    let said =
        |question: &str| check(at("psql").args(["-d", "postgres", "-At", "-c", question]), LONG).unwrap();
    assert_eq!(said("select 6 * 7"), "42\n");
    // Large both ways, with its sum made at both ends.
    said("create table lines (line text)");
    let copy = format!("\\copy lines from '{}'", stand.lab().file("file").display());
    check(at("psql").args(["-d", "postgres", "-c", &copy]), 3 * LONG).unwrap();
    let back = stand.lab().file("back");
    let copy = format!("\\copy lines to '{}'", back.display());
    check(at("psql").args(["-d", "postgres", "-c", &copy]), 3 * LONG).unwrap();
    stand.assert_same("back");
    // Thousands of small transactions on four connections.
    check(at("pgbench").args(["-i", "-q", "-s", "1", "postgres"]), 3 * LONG).unwrap();
    let bench = check(at("pgbench").args(["-c", "4", "-t", "500", "postgres"]), 4 * LONG).unwrap();
    assert!(bench.contains("transactions actually processed: 2000/2000"), "{bench}");
    assert_sealed(&capture.stop().unwrap());
}

/// Chromium, which knows our authority by the fingerprint of our key alone, and agrees on X25519MLKEM768 by itself.
#[test]
#[ignore = "make tls-programs: needs Chromium"]
fn a_browser_shows_a_page_of_a_server_in_clear() {
    let stand = Stand::build("attlsbrowse", RULES);
    fs::write(
        stand.lab().file("page.html"),
        "<p id=x></p><script>x.innerText = 6 * 7 + ' ' + location.protocol</script>",
    )
    .unwrap();
    let _web = nginx::start(&stand, &stand.sites.a.site, "web", &nginx::clear(&[8443]));
    let pin = "openssl x509 -in web.pem -pubkey -noout | openssl pkey -pubin -outform der | openssl dgst -sha256 -binary | openssl base64";
    let pin =
        check(Command::new("sh").args(["-c", pin]).current_dir(stand.papers_directory()), LONG).unwrap();
    let browse = |pin: &str| {
        let mut browser =
            stand.sites.b.site.command(foreign::tool("chromium", "chromium-headless-shell").unwrap());
        let profile = stand.lab().file("profile");
        browser.args(["--no-sandbox", "--disable-gpu", "--dump-dom", "--virtual-time-budget=5000"]);
        browser.arg(format!("--user-data-dir={}", profile.display()));
        browser.arg(format!("--host-resolver-rules=MAP web.example {}", stand.sites.a.site_v4));
        browser.arg(format!("--ignore-certificate-errors-spki-list={pin}"));
        run(browser.arg("https://web.example:8443/page.html"), LONG).unwrap().stdout
    };
    let page = browse(pin.trim());
    assert!(page.contains("42 https:"), "{page}");
    let page = browse("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
    assert!(!page.contains("42 https:"), "it believes anybody: {page}");
}
