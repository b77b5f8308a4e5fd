//! Certificates from an ACME server: the first by the operator's command, the next by the control process on its own,
//! while whoever signs with the key never hears of it.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ravelin_rings::access::Caller;
use ravelin_rings::acme::{Order, Orders};
use ravelin_rings::certificate::Certificate;
use ravelin_rings::issue::{Desk, Plan, Profile, parse_alternative_name};
use ravelin_rings::key::KeyKind;
use ravelin_rings::name::{Label, RingName};
use ravelin_rings::scheme::Scheme;
use ravelin_rings::signer::Signer;
use ravelin_rings::store::Rings;
use ravelin_rings::verify::parse_name;

#[path = "../../rings/tests/trust/pebble.rs"]
mod pebble;

use pebble::{Pebble, free_port};

const DAY: u64 = 86_400;

struct Control(Child);

impl Drop for Control {
    fn drop(&mut self) {
        // Already gone is as good.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs()
}

fn ravelin(at: &Path, words: &[&str]) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ravelin"));
    command
        .args(["--config", "/nonexistent/ravelin.toml"])
        .args(words)
        .env("RAVELIN_RINGS", at.join("rings"));
    let output = command.current_dir(at).output().expect("the command");
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn start_control(at: &Path) -> Control {
    std::fs::write(at.join("ipsec.toml"), "[[rule]]\naction = \"permit\"\n").expect("written");
    let text = format!(
        "management = \"elsewhere\"\n[[port]]\ninterface = \"lan0\"\nside = \"protected\"\n\
         [dataplane]\nsocket = \"{0}/dataplane.sock\"\nstate = \"{0}/state\"\n\
         [control]\nsocket = \"{0}/control.sock\"\nmetrics = \"off\"\nrings = \"{0}/rings\"\n",
        at.display()
    );
    std::fs::write(at.join("ravelin.toml"), text).expect("written");
    let log = std::fs::File::create(at.join("log")).expect("a log");
    let mut control = Command::new(env!("CARGO_BIN_EXE_ravelin-control"));
    control.arg("--config").arg(at.join("ravelin.toml")).stdin(Stdio::null());
    control.stdout(log.try_clone().expect("a log")).stderr(log);
    Control(control.spawn().expect("the control process"))
}

#[test]
fn control_renews_by_itself_and_whoever_signs_goes_on() {
    let web = free_port();
    let pebble = Pebble::start(web);
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path();
    let root = pebble.issued_root().display().to_string();
    ravelin(at, &["ring", "create", "web"]);
    ravelin(at, &["cert", "import", "web", &root, "--label", "root"]);
    // The operator asks once.
    let (listen, web_root) = (format!("127.0.0.1:{web}"), pebble.web_root().display().to_string());
    let words =
        ["cert", "acme", "web/first", "--directory", &pebble.directory(), "--san", "dns:first.example.test"];
    ravelin(at, &[&words[..], &["--root", &web_root, "--listen", &listen]].concat());

    // Another certificate has seconds left until a third of its life is left.
    let rings = Rings::at(at.join("rings"));
    let (ring, signer) = (RingName::new("web").expect("a name"), Signer::new(rings.clone()));
    let place: ravelin_rings::name::Place = "web/main".parse().expect("a place");
    let names = vec![parse_alternative_name("dns:main.example.test").expect("a name")];
    let began = now() - 20 * DAY + 3;
    let plan = Plan::new(parse_name("CN=main").expect("a name"), names, Profile::Server, began, 30);
    Desk::new(&rings, &signer, now()).self_sign(&place, KeyKind::P256, &plan).expect("a certificate");
    rings.change(&ring, |draft| draft.set_default(Some(&Label::new("main")?))).expect("a default");
    let order = Order {
        directory: pebble.directory(),
        names: vec!["dns:main.example.test".to_owned()],
        key: "p256".to_owned(),
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, web)),
        root: Some(pebble.web_root()),
        contact: Vec::new(),
        trust: Vec::new(),
        place: place.clone(),
    };
    Orders::change(&rings, |orders| {
        orders.put(order);
        Ok(())
    })
    .expect("an order");
    let shown = || -> Certificate {
        let ring = rings.open(&ring).expect("the ring");
        ring.choose(None).expect("the default").certificate().clone()
    };
    let old = shown();
    let control = start_control(at);
    let log = || std::fs::read_to_string(at.join("log")).unwrap_or_default();
    let renewed = AtomicBool::new(false);
    let signatures = std::thread::scope(|scope| {
        let user = scope.spawn(|| {
            let mut count = 0;
            while !renewed.load(Ordering::Relaxed) {
                let signed = signer.sign(&Caller::operator(), &ring, None, Scheme::EcdsaP256Sha256, b"text");
                signed.expect("a signature, before, while and after");
                count += 1;
                std::thread::sleep(Duration::from_millis(2));
            }
            count
        });
        let start = Instant::now();
        while !log().contains("RVL-CERT-RENEWED")
            && start.elapsed() < Duration::from_secs(240)
            && !user.is_finished()
        {
            std::thread::sleep(Duration::from_millis(50));
        }
        renewed.store(true, Ordering::Relaxed);
        user.join().expect("who signs")
    });
    drop(control);
    let new = shown();
    assert_ne!(old.der(), new.der(), "not renewed: {}{}", log(), pebble.log());
    assert!(log().contains("RVL-CERT-RENEWED") && signatures > 0, "{}", log());
    assert_ne!(old.public_key().expect("a key"), new.public_key().expect("a key"), "a new key");
    assert!(new.issuer().contains("Pebble"), "{}", new.issuer());
    let after = rings.open(&ring).expect("the ring");
    let mut labels: Vec<_> = after.entries.iter().map(|entry| entry.label.as_str()).collect();
    labels.sort_unstable();
    assert_eq!((labels, after.pending.len()), (vec!["first", "main", "root"], 0));
    // The other order was not due, and was left alone.
    assert_eq!(log().matches("RVL-CERT-RENEWED").count(), 1, "{}", log());
}
