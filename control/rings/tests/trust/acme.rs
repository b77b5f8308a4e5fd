//! ACME against pebble, Let's Encrypt's test server: a first certificate and its renewal, straight into a ring.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use ravelin_rings::access::{Access, Owner};
use ravelin_rings::acme::{AcmeServer, Order, Orders, Wish, is_due, obtain};
use ravelin_rings::certificate::Certificate;
use ravelin_rings::io::Challenges;
use ravelin_rings::issue::parse_alternative_name;
use ravelin_rings::key::KeyKind;
use ravelin_rings::name::{Label, RingName};
use ravelin_rings::passphrase::Source;
use ravelin_rings::ring::{Trust, Usage};
use ravelin_rings::signer::Signer;
use ravelin_rings::store::{NewEntry, NewRing, Rings, StoreKind};
use ravelin_rings::verify::Anchors;
use rustls_pki_types::CertificateDer;

use crate::judges::{Bench, now};
use crate::revocation::free_port;

/// Processes that end with the test.
struct Pebble {
    processes: Vec<Child>,
    bench: Bench,
    port: u16,
    management: u16,
}

impl Drop for Pebble {
    fn drop(&mut self) {
        for process in &mut self.processes {
            // Already gone is as good.
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

fn program(name: &str) -> PathBuf {
    let unpacked = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/tools/pebble/usr/bin").join(name);
    if unpacked.exists() { unpacked } else { name.into() }
}

impl Pebble {
    /// Starts it with a name server for which every name is 127.0.0.1; it asks challenges on `web`.
    fn start(web: u16) -> Self {
        let bench = Bench::new();
        let (port, management, names) = (free_port(), free_port(), free_port());
        bench.ok("openssl", "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout root.key -out root.pem -subj /CN=Web -days 9");
        bench.write(
            "web.cnf",
            "basicConstraints=critical,CA:false\nsubjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth\n",
        );
        bench.ok("openssl", "req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout web.key -out web.csr -subj /CN=pebble");
        bench.ok("openssl", "x509 -req -in web.csr -CA root.pem -CAkey root.key -CAcreateserial -days 9 -extfile web.cnf -out web.pem");
        bench.write(
            "pebble.json",
            format!(
                r#"{{"pebble": {{"listenAddress": "127.0.0.1:{port}", "managementListenAddress": "127.0.0.1:{management}",
                "certificate": "web.pem", "privateKey": "web.key", "httpPort": {web}, "tlsPort": 1,
                "ocspResponderURL": "", "externalAccountBindingRequired": false}}}}"#
            ),
        );
        let mut pebble = Self { processes: Vec::new(), bench, port, management };
        let server = format!("127.0.0.1:{names}");
        let unused = format!("127.0.0.1:{}", free_port());
        let words =
            ["-dns01", &server, "-defaultIPv4", "127.0.0.1", "-defaultIPv6", "", "-management", &unused];
        pebble.spawn(
            "pebble-challtestsrv",
            &[&words[..], &["-http01", "", "-https01", "", "-tlsalpn01", ""]].concat(),
        );
        pebble.spawn("pebble", &["-config", "pebble.json", "-dnsserver", &server, "-strict"]);
        let start = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            assert!(start.elapsed() < Duration::from_secs(60), "pebble does not come up: {}", pebble.log());
            std::thread::sleep(Duration::from_millis(50));
        }
        pebble
    }

    fn spawn(&mut self, name: &str, words: &[&str]) {
        let log = File::create(self.bench.path().join(format!("{name}.log"))).expect("a file");
        let child = Command::new(program(name))
            .args(words)
            .current_dir(self.bench.path())
            .env("PEBBLE_VA_NOSLEEP", "1")
            .stdout(log.try_clone().expect("a file"))
            .stderr(log)
            .stdin(Stdio::null())
            .spawn()
            .unwrap_or_else(|e| panic!("{name} comes by `make ready`: {e}"));
        self.processes.push(child);
    }

    fn log(&self) -> String {
        ["pebble.log", "pebble-challtestsrv.log"]
            .map(|name| String::from_utf8_lossy(&self.bench.read(name)).into_owned())
            .concat()
    }

    fn anchors(&self) -> Anchors {
        Anchors::from_certificates([&CertificateDer::from(self.anchor())]).expect("an anchor")
    }

    /// The root that it made for this run.
    fn anchor(&self) -> Vec<u8> {
        let url = format!("https://127.0.0.1:{}/roots/0", self.management);
        self.bench.ok("curl", &format!("--silent --fail --cacert root.pem --output issued-root.pem {url}"));
        self.bench.read_pem("issued-root.pem")
    }

    fn server(&self) -> AcmeServer {
        AcmeServer {
            directory: format!("https://127.0.0.1:{}/dir", self.port),
            root: Some(self.bench.path().join("root.pem")),
            contact: vec!["mailto:ops@example.com".to_owned()],
            patience: Duration::from_secs(120),
        }
    }
}

/// A ring without anything.
fn ring(rings: &Rings) -> RingName {
    let ring = RingName::new("web").expect("a name");
    let new = NewRing {
        owner: Owner::Host,
        access: Access::default(),
        store: StoreKind::Directory,
        passphrase: Source::stash(),
    };
    rings.create(&ring, new).expect("a ring");
    ring
}

#[tokio::test]
async fn pebble_certifies_and_renews_into_a_ring() {
    let challenges = Challenges::listen(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await.expect("a port");
    let pebble = Pebble::start(challenges.address().port());
    let folder = tempfile::tempdir().expect("a folder");
    let rings = Rings::at(folder.path());
    let ring = ring(&rings);
    let signer = Signer::new(rings.clone());
    let wish = Wish {
        place: "web/main".parse().expect("a place"),
        names: ["dns:a.example.test", "dns:b.example.test"]
            .map(|name| parse_alternative_name(name).expect("a name"))
            .to_vec(),
        kind: KeyKind::P256,
    };
    let (server, anchors) = (pebble.server(), pebble.anchors());
    // A root that did not issue it: nothing is taken, nothing is left.
    let stranger = CertificateDer::from(pebble.bench.read_pem("root.pem"));
    let strangers = Anchors::from_certificates([&stranger]).expect("an anchor");
    let refused = obtain(&rings, &signer, &wish, &server, &challenges, &strangers, now).await;
    let refused = refused.expect_err("a stranger").to_string();
    assert!(refused.contains("not taken"), "{refused}; {}", pebble.log());
    let now_in_it = rings.open(&ring).expect("the ring");
    assert!(now_in_it.entries.is_empty() && now_in_it.pending.is_empty(), "{now_in_it:?}");

    let first = obtain(&rings, &signer, &wish, &server, &challenges, &anchors, now).await;
    let first = first.unwrap_or_else(|error| panic!("{error}; {}", pebble.log()));
    rings.change(&ring, |draft| draft.set_default(Some(&Label::new("main")?))).expect("a default");
    let (from, to) = first.validity();
    assert!(!is_due(&first, from) && is_due(&first, to - (to - from) / 4));
    let second = obtain(&rings, &signer, &wish, &server, &challenges, &anchors, now).await;
    let second = second.unwrap_or_else(|error| panic!("{error}; {}", pebble.log()));
    assert_ne!(first.public_key().expect("a key"), second.public_key().expect("a key"));
    let after = rings.open(&ring).expect("the ring");
    assert_eq!((after.entries.len(), after.pending.len()), (1, 0));
    assert_eq!(after.choose(None).expect("the default").certificate(), &second);
    assert!(after.entries[0].has_key && after.entries[0].chain.len() > 1);
}

#[tokio::test]
async fn a_standing_order_is_due_until_it_is_done() {
    let web = free_port();
    let pebble = Pebble::start(web);
    let (folder, root) = (tempfile::tempdir().expect("a folder"), pebble.anchor());
    let rings = Rings::at(folder.path());
    let (ring, signer) = (ring(&rings), Signer::new(rings.clone()));
    let mut orders = Orders::default();
    orders.put(Order {
        directory: pebble.server().directory,
        names: vec!["dns:a.example.test".to_owned()],
        key: "p384".to_owned(),
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, web)),
        root: pebble.server().root,
        contact: Vec::new(),
        trust: Vec::new(),
        place: "web/main".parse().expect("a place"),
    });
    orders.store(&rings).expect("stored");
    let order = &Orders::load(&rings).expect("loaded").order[0];
    assert_eq!(order, &orders.order[0]);
    assert!(order.is_due(&rings, now()).expect("known"));
    let refused = order.run(&rings, &signer, now).await.expect_err("no anchor").to_string();
    assert!(refused.contains("no trust anchor"), "{refused}");
    let anchor = NewEntry {
        label: Label::new("root").expect("a label"),
        chain: vec![Certificate::from_der(&root).expect("a certificate")],
        usage: Usage::TrustAnchor,
        trust: Trust::Trusted,
        key: None,
    };
    rings.change(&ring, |draft| draft.add(anchor)).expect("added");
    let made =
        order.run(&rings, &signer, now).await.unwrap_or_else(|error| panic!("{error}; {}", pebble.log()));
    assert!(!order.is_due(&rings, now()).expect("known"));
    assert!(order.is_due(&rings, made.validity().1 - 86_400).expect("known"));
}
