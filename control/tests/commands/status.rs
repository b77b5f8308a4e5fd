//! `ravelin` as an operator or a script meets it: exit status, one JSON value, places and remedies.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

const GOOD: &str =
    "[[rule]]\nname = \"a\"\nsource = \"10.1.0.0/16\"\ndestination = \"10.2.0.0/16\"\naction = \"permit\"\n";

struct Place(tempfile::TempDir);

impl Place {
    fn new(policy: &str) -> Self {
        let place = tempfile::tempdir().unwrap();
        let path = place.path();
        fs::write(path.join("ipsec.toml"), policy).unwrap();
        let appliance = format!(
            "[[port]]\ninterface = \"lan0\"\nside = \"protected\"\n[[port]]\ninterface = \"wan0\"\nside = \"unprotected\"\n\
             [dataplane]\nsocket = \"{0}/dataplane.sock\"\nstate = \"{0}/state\"\n\
             [control]\nsocket = \"{0}/control.sock\"\nmetrics = \"off\"\n",
            path.display()
        );
        fs::write(path.join("ravelin.toml"), appliance).unwrap();
        Self(place)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ravelin"));
        command.args(words).env("RAVELIN_CONFIG", self.path().join("ravelin.toml"));
        command.env_remove("RAVELIN_SOCKET").stdin(Stdio::null());
        command
    }

    fn run(&self, words: &[&str]) -> Output {
        self.command(words).output().unwrap()
    }

    fn status(&self, words: &[&str]) -> Option<i32> {
        self.run(words).status.code()
    }
}

/// The control process, without a packet process.
struct Control(std::process::Child);

impl Control {
    fn start(place: &Place) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ravelin-control"));
        command.arg("--config").arg(place.path().join("ravelin.toml")).stderr(Stdio::null());
        let control = Self(command.spawn().unwrap());
        let begun = Instant::now();
        while std::os::unix::net::UnixStream::connect(place.path().join("control.sock")).is_err() {
            assert!(begun.elapsed() < Duration::from_secs(20), "it does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        control
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

const VERBS: [&[&str]; 10] = [
    &["status"],
    &["stats"],
    &["sa", "list"],
    &["sa", "show", "a"],
    &["filter", "list"],
    &["filter", "default"],
    &["filter", "reload"],
    &["interface", "list"],
    &["test", "10.1.0.1", "10.2.0.1", "tcp", "1", "2", "out"],
    &["policy", "apply"],
];

#[test]
fn exit_status_tells_what_happened() {
    let (good, bad) = (Place::new(GOOD), Place::new("[[rule]]\nname = 7\n"));
    assert_eq!(good.status(&["policy", "check"]), Some(0));
    assert_eq!(good.status(&["--help"]), Some(0));
    assert_eq!(bad.status(&["policy", "check"]), Some(1));
    assert_eq!(good.status(&["policy", "check", "/nowhere.toml"]), Some(1));
    assert_eq!(good.status(&["sa", "lisst"]), Some(2));
    for verb in VERBS {
        assert_eq!(good.status(verb), Some(3), "{verb:?} without ravelin-control");
    }
}

const ASKED: &str = "[[rule]]
name = \"web\"
destination = \"10.1.0.0/24\"
protocol = \"tcp\"
destination_port = 443
direction = \"inbound\"
zone = \"wan0\"
action = \"permit\"

[[rule]]
name = \"rest\"
protocol = [\"tcp\", \"icmp\"]
action = \"deny\"
discard = \"icmp\"
";

#[test]
fn a_candidate_says_what_becomes_of_a_packet() {
    let place = Place::new(ASKED);
    let candidate = place.path().join("ipsec.toml");
    let candidate = candidate.to_str().unwrap();
    let ask = |words: &[&str]| place.run(&[&["test"], words, &["--candidate", candidate, "--json"]].concat());
    let cases = |words: &[&str]| -> serde_json::Value {
        let output = ask(words);
        assert_eq!(output.status.code(), Some(0), "{words:?}: {}", String::from_utf8_lossy(&output.stdout));
        serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()["cases"].clone()
    };
    let zone = ["--zone", "wan0"];
    let web = cases(&[&["192.0.2.1", "10.1.0.9", "tcp", "40000", "443", "in"][..], &zone].concat());
    assert_eq!((&web[0]["verdict"], web.as_array().unwrap().len()), (&"permit".into(), 1));
    assert_eq!((&web[0]["rule"]["name"], &web[0]["rule"]["line"]), (&"web".into(), &1.into()));
    assert_eq!((&web[0]["behind"][0]["name"], &web[0]["behind"][0]["line"]), (&"rest".into(), &10.into()));
    assert_eq!(web[0]["tls"]["verdict"], "none");
    // What was left open and matters is told.
    let open = cases(&["192.0.2.1", "10.1.0.9", "tcp", "any", "any", "in"]);
    let when = serde_json::json!([["destination port", "443"], ["zone", "wan0"]]);
    assert_eq!((&open[0]["when"], &open[0]["verdict"]), (&when, &"permit".into()));
    assert!(open.as_array().unwrap()[1..].iter().all(|case| case["verdict"] == "deny"), "{open}");
    // Type and code, and a protocol without ports.
    let ping = cases(&["192.0.2.1", "10.1.0.9", "icmp", "echo-request", "any", "in"]);
    assert_eq!((&ping[0]["verdict"], &ping[0]["in_clear"]), (&"deny".into(), &"denied".into()));
    let gre = cases(&["192.0.2.1", "10.1.0.9", "gre", "out"]);
    assert_eq!(
        (&gre[0]["rule"], &gre[0]["in_clear"]),
        (&serde_json::Value::Null, &"implicitly_denied".into())
    );
    let told = |words: &[&str]| (ask(words).status.code(), String::from_utf8(ask(words).stdout).unwrap());
    for (words, said) in [
        (&["192.0.2.1", "10.1.0.9", "tpc", "1", "2", "in"][..], "did you mean"),
        (&["192.0.2.1", "::1", "tcp", "1", "2", "in"], "mix IPv4 and IPv6"),
        (&["192.0.2.1", "10.1.0.9", "tcp", "1", "in"], "both ports"),
        (&["192.0.2.1", "10.1.0.9", "gre", "1", "2", "in"], "has no ports"),
        (&["192.0.2.1", "10.1.0.9", "tcp", "1", "99999", "in"], "is not a port"),
        (&["192.0.2.1", "10.1.0.9", "tcp", "1", "2", "sideways"], "write in or out"),
    ] {
        let (status, text) = told(words);
        assert!(status == Some(2) && text.contains(said), "{words:?}: {status:?} {text}");
    }
    let (status, text) = told(&["192.0.2.1", "10.1.0.9", "tcp", "1", "2", "in", "--zone", "moon"]);
    assert!(status == Some(1) && text.contains("write one of"), "{status:?} {text}");
}

#[test]
fn what_is_expected_and_does_not_hold_refuses_the_policy() {
    let place = Place::new(ASKED);
    let expect = |verdict: &str| {
        let text = format!(
            "[[expect]]\nsource = \"192.0.2.1\"\ndestination = \"10.1.0.9\"\nprotocol = \"tcp\"\n\
             destination_port = 443\ndirection = \"inbound\"\nzone = \"wan0\"\nverdict = {verdict:?}\n"
        );
        fs::write(place.path().join("expect.toml"), text).unwrap();
    };
    expect("permit");
    let checked = place.run(&["policy", "check"]);
    assert_eq!(checked.status.code(), Some(0), "{}", String::from_utf8_lossy(&checked.stderr));
    assert_eq!(String::from_utf8(checked.stdout).unwrap(), "no error; expectations that hold: 1\n");
    let _control = Control::start(&place);
    assert_eq!(place.status(&["policy", "diff"]), Some(0));
    expect("deny");
    for words in [&["policy", "check"][..], &["policy", "diff"], &["policy", "apply"]] {
        let output = place.run(words);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{words:?}: {said}");
        for part in ["expect.toml:8", "expected deny", "permit by rule `web`", "ipsec.toml:1"] {
            assert!(said.contains(part), "{words:?}: {part} in {said}");
        }
    }
}

#[test]
fn why_names_the_tunnel_its_keys_and_their_lines() {
    let place = Place::new("");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/site-to-site-ike/gw-a");
    for file in fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path()) {
        use std::os::unix::fs::PermissionsExt;
        let copy = place.path().join(file.file_name().unwrap());
        fs::copy(&file, &copy).unwrap();
        fs::set_permissions(&copy, fs::Permissions::from_mode(0o600)).unwrap();
    }
    let candidate = place.path().to_str().unwrap();
    let words = ["why", "10.1.0.7", "10.2.0.9", "tcp", "any", "22", "out", "--candidate", candidate];
    let text = String::from_utf8(place.run(&words).stdout).unwrap();
    for part in [
        "ipsec by site-b",
        "ipsec.toml:7",
        "IKEv2 agrees on them with peer `gw-b`",
        "gw-a.example, by shared key, entry `gw-b` of keys.toml",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let output = place.run(&[&words[..], &["--json"]].concat());
    let reason: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(reason["tunnels"][0]["peer"]["name"], "gw-b");
    assert_eq!(reason["answer"]["cases"][0]["tunnel"], "site-b");
}

#[test]
fn an_unreachable_packet_process_is_no_refusal() {
    let place = Place::new(GOOD);
    let _control = Control::start(&place);
    for verb in VERBS {
        let output = place.run(verb);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{verb:?}: {said}");
        assert!(said.contains("ravelin-dataplane"), "{verb:?}: {said}");
    }
    assert_eq!(place.status(&["policy", "diff"]), Some(0), "needs no packet process");
    fs::write(place.path().join("ipsec.toml"), "[[rule]]\nname = 7\n").unwrap();
    assert_eq!(place.status(&["policy", "diff"]), Some(1));
}

#[test]
fn with_json_there_is_one_value_also_on_errors() {
    let (good, bad) = (Place::new(GOOD), Place::new("[[rule]]\nname = 7\n"));
    let _control = Control::start(&good);
    let one_value = |place: &Place, words: &[&str]| -> serde_json::Value {
        let output = place.run(&[words, &["--json"]].concat());
        let text = String::from_utf8(output.stdout).unwrap();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{words:?}: {error} in {text:?}"))
    };
    for verb in VERBS {
        assert!(one_value(&good, verb)["error"].is_string(), "{verb:?}");
    }
    assert_eq!(one_value(&good, &["policy", "check"])["ok"], true);
    assert!(one_value(&good, &["policy", "diff"]).is_array());
    let found = one_value(&bad, &["policy", "check"]);
    assert_eq!(found["ok"], false);
    assert!(found["findings"][0]["line"].is_u64() && found["findings"][0]["remedy"].is_string(), "{found}");
}

#[test]
fn a_mistake_is_told_with_its_place_and_remedy() {
    let place = Place::new(&GOOD.replace("action", "aktion"));
    let said = String::from_utf8(place.run(&["policy", "check"]).stderr).unwrap();
    assert!(said.contains("ipsec.toml:5:1"), "{said}");
    assert!(said.contains("help") && said.contains("action"), "{said}");
}

#[test]
fn a_reader_that_leaves_is_no_fault() {
    let place = Place::new(GOOD);
    for words in [&["policy", "check"][..], &["policy", "check", "--json"]] {
        let mut child = place.command(words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert!(child.wait().unwrap().code().is_some_and(|code| code == 0), "{words:?}: {said}");
        assert!(!said.contains("panicked"), "{said}");
    }
}

#[test]
fn help_names_every_verb_and_the_exit_status() {
    let place = Place::new(GOOD);
    let text = String::from_utf8(place.run(&["--help"]).stdout).unwrap();
    for word in
        ["policy", "sa", "filter", "interface", "stats", "status", "--json", "--socket", "Exit status"]
    {
        assert!(text.contains(word), "{word} in {text}");
    }
}
