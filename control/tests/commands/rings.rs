//! `ravelin ring` and `ravelin cert` as an operator meets them: words, files, exit statuses, JSON, the audit log.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    /// A folder with a certificate and key of OpenSSL's, and a ring `web`.
    fn new() -> Self {
        let bench = Self { folder: tempfile::tempdir().expect("a folder") };
        let made = Command::new("openssl")
            .args(
                "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key.pem -out cert.pem"
                    .split(' '),
            )
            .args([
                "-subj",
                "/O=Test/CN=site.example",
                "-addext",
                "subjectAltName=DNS:site.example,IP:192.0.2.1",
            ])
            .current_dir(bench.path())
            .output()
            .expect("openssl");
        assert!(made.status.success());
        std::fs::write(bench.path().join("pass"), "secret\n").expect("written");
        let closed = Command::new("chmod").args(["600", "pass"]).current_dir(bench.path()).status();
        assert!(closed.expect("chmod").success());
        bench.ok("ring create web");
        bench
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn run(&self, words: &str) -> Output {
        // Without a terminal nobody can be asked.
        Command::new("setsid")
            .args(["--wait", env!("CARGO_BIN_EXE_ravelin"), "--config", "/nonexistent/ravelin.toml"])
            .args(words.split_whitespace())
            .current_dir(self.path())
            .env("RAVELIN_RINGS", self.path().join("rings"))
            .stdin(std::process::Stdio::null())
            .output()
            .expect("the command")
    }

    fn ok(&self, words: &str) -> String {
        let output = self.run(words);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{words}: {said}");
        String::from_utf8(output.stdout).expect("text")
    }

    fn json(&self, words: &str) -> Value {
        serde_json::from_str(&self.ok(&format!("--json {words}"))).expect("one JSON value")
    }

    /// What is said when the command refuses.
    fn refused(&self, words: &str) -> String {
        let output = self.run(words);
        assert_eq!(output.status.code(), Some(1), "{words}: {}", String::from_utf8_lossy(&output.stdout));
        String::from_utf8(output.stderr).expect("text")
    }

    fn audit(&self) -> String {
        std::fs::read_to_string(self.path().join("rings/.audit.log")).unwrap_or_default()
    }
}

#[test]
fn a_certificate_comes_in_is_shown_renamed_distrusted_and_deleted() {
    let bench = Bench::new();
    bench.ok("cert import web cert.pem key.pem --label site --default");
    let listed = bench.json("cert list");
    assert_eq!(listed[0]["label"], "site");
    assert_eq!((&listed[0]["key"], &listed[0]["default"]), (&Value::Bool(true), &Value::Bool(true)));
    assert_eq!(listed[0]["names"], serde_json::json!(["dns:site.example", "ip:192.0.2.1"]));
    assert!(bench.ok("cert show web/site").contains("site.example"));
    assert!(bench.ok("cert list").contains("web/site *"));
    bench.ok("cert rename web/site renamed");
    assert_eq!(bench.json("ring show web")["default"], "renamed");
    bench.ok("cert trust web/renamed not-trusted");
    assert_eq!(bench.json("cert show web/renamed")["trust"], "not-trusted");
    assert!(bench.refused("cert delete web/renamed").contains("--with-key"));
    bench.ok("cert delete web/renamed --with-key");
    assert_eq!(bench.json("cert list"), serde_json::json!([]));
    assert!(bench.refused("cert show web/renamed").contains("no certificate renamed"));
}

#[test]
fn a_key_leaves_only_when_told_so_and_is_written_down() {
    let bench = Bench::new();
    bench.ok("cert import web cert.pem key.pem --label site");
    assert!(!bench.ok("cert export web/site").contains("PRIVATE"), "not by itself");
    assert_eq!(bench.audit(), "");
    bench.ok("cert export web/site --format pkcs12 --with-key --passphrase-file pass --out site.p12");
    let event: Value = serde_json::from_str(bench.audit().trim()).expect("one event");
    assert_eq!((&event["code"], &event["place"]), (&"RVL-KEY-EXPORTED".into(), &"web/site".into()));
    let again = bench.refused("cert export web/site --out site.p12");
    assert!(again.contains("exists"), "a file is not overwritten: {again}");
    bench.ok("ring create copy --store pkcs12");
    bench.ok("cert import copy site.p12 --passphrase-file pass");
    assert_eq!(bench.json("cert show copy/site")["key"], true);
    let everything =
        ["cert list", "ring show web", "cert show web/site", "cert inspect key.pem", "--json ring list"];
    for words in everything {
        let said = bench.ok(words);
        assert!(!said.contains("BEGIN") && !said.contains("MIG"), "{words} shows a key: {said}");
    }
}

#[test]
fn rings_are_made_connected_opened_to_others_relocked_and_deleted() {
    let bench = Bench::new();
    bench.ok("cert import web cert.pem key.pem --label site");
    bench.ok("ring create shared --owner host --allow-user 2001 --allow-group 3001 --allow-unit app.service");
    bench.ok("ring connect shared web/site --label theirs --default");
    let shared = bench.json("ring show shared");
    assert_eq!(shared["certificates"][0]["connected"], "web/site");
    assert_eq!((&shared["users"], &shared["owner"]), (&serde_json::json!([2001]), &"host".into()));
    assert!(bench.refused("cert rename web/site other").contains("connected in ring shared"));
    assert!(bench.refused("ring delete web --with-keys").contains("connected in ring shared"));
    bench.ok("ring access shared --remove-user 2001 --add-unit other.service");
    assert_eq!(bench.json("ring show shared")["units"], serde_json::json!(["app.service", "other.service"]));
    bench.ok("ring disconnect shared theirs");
    bench.ok("ring passwd web --passphrase-file pass");
    bench.ok("cert export web/site --format pkcs8 --with-key --plain --out key.out");
    assert!(bench.refused("ring delete web").contains("--with-keys"));
    bench.ok("ring delete web --with-keys");
    assert_eq!(bench.json("ring list").as_array().map(Vec::len), Some(1));
    assert!(bench.refused("ring show web").contains("no ring web"));
}

#[test]
fn wrong_words_and_missing_passphrases_have_their_status_and_remedy() {
    let bench = Bench::new();
    assert_eq!(bench.run("cert show nonsense").status.code(), Some(2));
    assert_eq!(bench.run("ring create .hidden").status.code(), Some(2));
    assert!(bench.refused("ring create web").contains("exists already"));
    bench.ok("ring create asks --prompt");
    let refused = bench.refused("cert import asks cert.pem key.pem");
    assert!(refused.contains("passphrase"), "{refused}");
    std::fs::write(bench.path().join("loose"), "secret\n").expect("written");
    bench.ok("ring create loose --passphrase-file loose");
    let refused = bench.refused("cert import loose cert.pem key.pem");
    assert!(refused.contains("chmod 600"), "{refused}");
    let output = bench.run("--json ring show nothing");
    assert_eq!(output.status.code(), Some(1));
    let value: Value = serde_json::from_slice(&output.stdout).expect("one JSON value");
    assert!(value["error"].as_str().expect("text").contains("no ring nothing"));
}

/// Runs the command at a terminal of its own, answers what it asks, and gives what was on the screen.
const TERMINAL: &str = r#"
import os, pty, signal, sys, termios, time
signal.alarm(300)
answers = sys.argv[1].split(",")
pid, screen = pty.fork()
if pid == 0:
    os.execv(sys.argv[2], sys.argv[2:])
seen = b""
while True:
    try:
        part = os.read(screen, 4096)
    except OSError:
        break
    if not part:
        break
    seen += part
    while answers and seen.count(b": ") > len(sys.argv[1].split(",")) - len(answers):
        # Nobody types faster than the echo is turned off.
        while termios.tcgetattr(screen)[3] & termios.ECHO:
            time.sleep(0.005)
        os.write(screen, answers.pop(0).encode() + b"\n")
sys.stdout.write(seen.decode())
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"#;

impl Bench {
    fn at_terminal(&self, answers: &str, words: &str) -> (bool, String) {
        let output = Command::new("/usr/bin/python3")
            .args([
                "-c",
                TERMINAL,
                answers,
                env!("CARGO_BIN_EXE_ravelin"),
                "--config",
                "/nonexistent/ravelin.toml",
            ])
            .args(words.split_whitespace())
            .current_dir(self.path())
            .env("RAVELIN_RINGS", self.path().join("rings"))
            .output()
            .expect("a terminal");
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Runs the command as a unit with credentials does.
    fn with_credentials(&self, words: &str) -> Output {
        Command::new(env!("CARGO_BIN_EXE_ravelin"))
            .args(["--config", "/nonexistent/ravelin.toml"])
            .args(words.split_whitespace())
            .current_dir(self.path())
            .env("RAVELIN_RINGS", self.path().join("rings"))
            .env("CREDENTIALS_DIRECTORY", self.path().join("credentials"))
            .output()
            .expect("the command")
    }
}

#[test]
fn a_passphrase_is_asked_for_at_the_terminal_twice_when_it_is_new() {
    let bench = Bench::new();
    bench.ok("ring create asks --prompt");
    let import = "cert import asks cert.pem key.pem --label site";
    let (done, said) = bench.at_terminal("one,two", import);
    assert!(!done && said.contains("not the same"), "{said}");
    let (done, said) = bench.at_terminal("secret,secret", import);
    assert!(done && said.contains("again: ") && !said.contains("secret"), "{said}");
    let export = "cert export asks/site --format pkcs8 --with-key --plain --out key.out";
    let (done, said) = bench.at_terminal("wrong", export);
    assert!(!done && said.contains("does not open it"), "{said}");
    let (done, said) = bench.at_terminal("secret", export);
    assert!(done && !said.contains("again"), "{said}");
    let written = std::fs::read_to_string(bench.path().join("key.out")).expect("the key");
    assert!(written.contains("BEGIN PRIVATE KEY"), "{written}");
    // A second key under another passphrase would make a ring that no passphrase opens.
    let (done, said) = bench.at_terminal("other", "cert request asks/next --subject CN=next --out next.csr");
    assert!(!done && said.contains("does not open it"), "{said}");
    let (done, said) = bench.at_terminal("secret", "cert request asks/next --subject CN=next --out next.csr");
    assert!(done, "{said}");
}

#[test]
fn a_passphrase_comes_from_a_file_and_changes() {
    let bench = Bench::new();
    bench.ok("ring create locked --passphrase-file pass");
    bench.ok("cert import locked cert.pem key.pem --label site");
    let key = std::fs::read_dir(bench.path().join("rings/locked")).expect("the ring").flatten();
    let key =
        key.map(|e| e.path()).find(|p| p.file_name().is_some_and(|n| n.to_string_lossy().starts_with('k')));
    let opens = |pass: &str| {
        Command::new("openssl")
            .args(["pkey", "-noout", "-passin", &format!("pass:{pass}"), "-in"])
            .arg(key.as_ref().expect("a key file"))
            .output()
            .expect("openssl")
            .status
            .success()
    };
    assert!(opens("secret") && !opens("other"), "the file is encrypted, by this passphrase");
    std::fs::write(bench.path().join("pass"), "another\n").expect("written");
    let export = "cert export locked/site --format pkcs8 --with-key --plain --out key.out";
    assert!(bench.refused(export).contains("does not open it"));
    std::fs::write(bench.path().join("pass"), "secret\n").expect("written");
    bench.ok("ring passwd locked --stash");
    std::fs::remove_file(bench.path().join("pass")).expect("removed");
    bench.ok(export);
}

#[test]
fn a_passphrase_has_an_end_when_told_so() {
    let bench = Bench::new();
    bench.ok("ring passwd web --stash --passphrase-days 30");
    bench.ok("cert import web cert.pem key.pem --label site");
    let export = "cert export web/site --format pkcs8 --with-key --plain";
    bench.ok(export);
    assert!(bench.json("ring show web")["passphrase_until"].as_u64().is_some());
    bench.ok("ring create short --passphrase-days 0");
    bench.ok("cert import short cert.pem key.pem --label site");
    let start = std::time::Instant::now();
    let export = "cert export short/site --format pkcs8 --with-key --plain --out key.out";
    while bench.run(export).status.success() {
        assert!(start.elapsed() < std::time::Duration::from_secs(60), "it does not end");
        std::fs::remove_file(bench.path().join("key.out")).expect("removed");
    }
    for words in [export, "cert renew short/site"] {
        let refused = bench.refused(words);
        assert!(refused.contains("has ended") && refused.contains("ravelin ring passwd short"), "{refused}");
    }
    bench.ok("ring passwd short --stash");
    bench.ok(export);
    assert_eq!(bench.json("ring show short")["passphrase_until"], Value::Null);
}

#[test]
fn a_passphrase_comes_as_a_credential_of_the_service_manager() {
    let bench = Bench::new();
    std::fs::create_dir(bench.path().join("credentials")).expect("a folder");
    std::fs::rename(bench.path().join("pass"), bench.path().join("credentials/ring-web")).expect("moved");
    bench.ok("ring create unit --credential ring-web");
    let import = "cert import unit cert.pem key.pem --label site";
    let refused = bench.refused(import);
    assert!(refused.contains("LoadCredential=ring-web:PATH"), "{refused}");
    let done = bench.with_credentials(import);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let export = "cert export unit/site --format pkcs8 --with-key --plain --out key.out";
    std::fs::write(bench.path().join("credentials/ring-web"), "other\n").expect("written");
    let refused = bench.with_credentials(export);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && said.contains("does not open it"), "{said}");
    std::fs::write(bench.path().join("credentials/ring-web"), "secret\n").expect("written");
    assert!(bench.with_credentials(export).status.success());
    bench.ok("ring create escape --credential ../pass");
    let refused = bench.with_credentials("cert import escape cert.pem key.pem");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("no name of a credential"));
}
