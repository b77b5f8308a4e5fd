//! Revocation against real servers on loopback: OpenSSL's OCSP responder, and CRLs from Python's web server.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use ravelin_rings::io::Http;
use ravelin_rings::revocation::{
    Cache, Fetch, FetchError, Mode, RevocationPolicy, Source, ocsp_request, verify_online,
};
use ravelin_rings::verify::{Anchors, Presented, Purpose, Refusal, Requirements, Verified, verify};
use rustls_pki_types::{CertificateDer, UnixTime};

use crate::judges::{Bench, now};
use crate::pebble::free_port;

/// A process that ends with the test.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        // Already gone is as good.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// An authority of OpenSSL with two certificates, of which `bad` is revoked, and its servers on loopback.
struct World {
    bench: Bench,
    web: u16,
    ocsp: u16,
}

fn wait_until(what: &str, ready: impl Fn() -> bool) {
    let start = Instant::now();
    while !ready() {
        assert!(start.elapsed() < Duration::from_secs(60), "{what} does not come up");
        std::thread::sleep(Duration::from_millis(20));
    }
}

const EC: &str = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";

impl World {
    fn new() -> Self {
        let world = Self { bench: Bench::new(), web: free_port(), ocsp: free_port() };
        let bench = &world.bench;
        bench.ok(
            "openssl",
            &format!("req -x509 {EC} -keyout ca.key -out ca.pem -subj /CN=Authority -days 30"),
        );
        bench.write(
            "end.cnf",
            format!(
                "basicConstraints=critical,CA:false\ncrlDistributionPoints=URI:http://127.0.0.1:{}/ca.crl\n\
                 authorityInfoAccess=OCSP;URI:http://127.0.0.1:{}\n",
                world.web, world.ocsp
            ),
        );
        bench.write("responder.cnf", "basicConstraints=critical,CA:false\nextendedKeyUsage=OCSPSigning\n");
        bench.write("plain.cnf", "basicConstraints=critical,CA:false\n");
        for (name, serial, extensions) in [
            ("good", 17, "end"),
            ("bad", 18, "end"),
            ("responder", 19, "responder"),
            ("impostor", 20, "plain"),
        ] {
            bench
                .ok("openssl", &format!("req -new {EC} -keyout {name}.key -out {name}.csr -subj /CN={name}"));
            bench.ok("openssl", &format!("x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -set_serial {serial} -days 20 -extfile {extensions}.cnf -out {name}.pem"));
        }
        // Index of OpenSSL's CA: status, expiry, revocation, serial number, file, subject.
        bench.write(
            "index.txt",
            "V\t401231235959Z\t\t11\tunknown\t/CN=good\n\
             R\t401231235959Z\t260101000000Z,keyCompromise\t12\tunknown\t/CN=bad\n",
        );
        bench.write("index.txt.attr", "unique_subject = no\n");
        bench.write("crlnumber", "07\n");
        bench.write(
            "ca.cnf",
            "[ca]\ndefault_ca=a\n[a]\ndatabase=index.txt\ncrlnumber=crlnumber\ndefault_md=sha256\ncrl_extensions=e\n[e]\nauthorityKeyIdentifier=keyid\n",
        );
        std::fs::create_dir(bench.path().join("www")).expect("a folder");
        world.publish();
        world
    }

    /// Has the authority write its CRL.
    fn publish(&self) {
        let bench = &self.bench;
        bench.ok("openssl", "ca -config ca.cnf -gencrl -keyfile ca.key -cert ca.pem -crldays 3 -out crl.pem");
        bench.ok("openssl", "crl -in crl.pem -outform DER -out www/ca.crl");
    }

    fn web(&self) -> Server {
        let child = Command::new("/usr/bin/python3")
            .args(["-m", "http.server", "--bind", "127.0.0.1", "--directory", "www", &self.web.to_string()])
            .current_dir(self.bench.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("python3");
        let server = Server(child);
        wait_until("the web server", || TcpStream::connect((Ipv4Addr::LOCALHOST, self.web)).is_ok());
        server
    }

    /// OpenSSL's responder, signing with the key of `signer`. A connection that asks nothing would block it for good,
    /// so its own words tell when it listens.
    fn responder(&self, signer: &str) -> Server {
        let log = File::create(self.bench.path().join("responder.log")).expect("a file");
        let child = Command::new("openssl")
            .args([
                "ocsp",
                "-index",
                "index.txt",
                "-CA",
                "ca.pem",
                "-port",
                &self.ocsp.to_string(),
                "-nmin",
                "5",
            ])
            .args(["-rsigner", &format!("{signer}.pem"), "-rkey", &format!("{signer}.key")])
            .current_dir(self.bench.path())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("openssl");
        let server = Server(child);
        wait_until("the responder", || {
            String::from_utf8_lossy(&self.bench.read("responder.log")).contains("waiting for OCSP client")
        });
        server
    }

    async fn judge(&self, name: &str, policy: &RevocationPolicy, cache: &Cache) -> Result<Verified, Refusal> {
        let leaf = self.bench.read_pem(&format!("{name}.pem"));
        let chain = [CertificateDer::from(leaf)];
        let requirements = Requirements::new(Purpose::TlsServer, None, policy.clone());
        let presented = Presented { chain: &chain, stapled: None };
        verify_online(presented, &self.anchors(), &requirements, at(0), cache, &http()).await
    }

    fn anchors(&self) -> Anchors {
        let ca = CertificateDer::from(self.bench.read_pem("ca.pem"));
        Anchors::from_certificates([&ca]).expect("an anchor")
    }
}

fn at(later: u64) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(now() + later))
}

fn http() -> Http {
    Http { time_limit: Duration::from_secs(60), ..Http::default() }
}

fn hard(order: &[Source]) -> RevocationPolicy {
    RevocationPolicy { order: order.to_vec(), ..RevocationPolicy::new(Mode::Hard) }
}

fn code(outcome: Result<Verified, Refusal>) -> &'static str {
    outcome.map_or_else(|refusal| refusal.code(), |_| "good")
}

#[tokio::test]
async fn openssls_responder_is_asked_and_believed() {
    let world = World::new();
    for signer in ["ca", "responder"] {
        let _server = world.responder(signer);
        for nonce_required in [false, true] {
            let policy = RevocationPolicy { nonce_required, ..hard(&[Source::Ocsp]) };
            let cache = Cache::default();
            let good = world.judge("good", &policy, &cache).await;
            assert!(good.is_ok(), "{signer}, nonce {nonce_required}: {good:?}");
            let refusal = world.judge("bad", &policy, &cache).await.expect_err("revoked");
            let said = refusal.to_string();
            assert!(refusal.code() == "revoked" && said.contains("keyCompromise"), "{said}");
        }
    }
}

#[tokio::test]
async fn a_responder_that_was_not_appointed_is_not_believed() {
    let world = World::new();
    let _server = world.responder("impostor");
    let cache = Cache::default();
    assert_eq!(code(world.judge("good", &hard(&[Source::Ocsp]), &cache).await), "revocation-unknown");
    let soft = RevocationPolicy::new(Mode::Soft);
    assert_eq!(code(world.judge("bad", &soft, &cache).await), "good");
}

#[tokio::test]
async fn a_responder_that_was_taken_back_is_not_believed() {
    let world = World::new();
    let _server = world.responder("responder");
    let judge = async |cache: &Cache| world.judge("good", &hard(&[Source::Ocsp]), cache).await;
    assert!(judge(&Cache::default()).await.is_ok());
    let index = String::from_utf8(world.bench.read("index.txt")).expect("text");
    let taken_back = "R\t401231235959Z\t260101000000Z,keyCompromise\t13\tunknown\t/CN=responder\n";
    world.bench.write("index.txt", index + taken_back);
    world.publish();
    let cache = Cache::default();
    cache.read_directory(&world.bench.path().join("www")).expect("a folder");
    assert_eq!(code(judge(&cache).await), "revocation-unknown");
}

#[tokio::test]
async fn answers_hold_until_their_time_and_no_longer() {
    let world = World::new();
    let cache = Cache::default();
    let policy = hard(&[Source::Ocsp]);
    {
        let _server = world.responder("ca");
        assert_eq!(code(world.judge("good", &policy, &cache).await), "good");
    }
    // The responder is gone; its answer is for five minutes.
    assert_eq!(code(world.judge("good", &policy, &cache).await), "good");
    let chain = [CertificateDer::from(world.bench.read_pem("good.pem"))];
    let presented = Presented { chain: &chain, stapled: None };
    let requirements = Requirements::new(Purpose::TlsServer, None, policy);
    let later = verify(presented, &world.anchors(), &requirements, at(900), &cache);
    assert_eq!(code(later), "revocation-unknown");
}

#[tokio::test]
async fn crls_come_from_distribution_points_and_folders() {
    let world = World::new();
    let policy = hard(&[Source::Crl]);
    let cache = Cache::default();
    {
        let _server = world.web();
        assert_eq!(code(world.judge("good", &policy, &cache).await), "good");
    }
    assert_eq!(code(world.judge("bad", &policy, &cache).await), "revoked");
    let folder = Cache::default();
    assert_eq!(code(world.judge("good", &policy, &folder).await), "revocation-unknown");
    world.bench.write("www/broken.crl", "no CRL");
    let problems = folder.read_directory(&world.bench.path().join("www")).expect("a folder");
    assert!(problems.len() == 1 && problems[0].contains("broken.crl"), "{problems:?}");
    assert_eq!(code(world.judge("good", &policy, &folder).await), "good");
    assert_eq!(code(world.judge("bad", &policy, &folder).await), "revoked");
    // Four days later a newer one is due; what was revoked stays so.
    let judge = |name: &str| {
        let chain = [CertificateDer::from(world.bench.read_pem(&format!("{name}.pem")))];
        let requirements = Requirements::new(Purpose::TlsServer, None, policy.clone());
        code(verify(
            Presented { chain: &chain, stapled: None },
            &world.anchors(),
            &requirements,
            at(345_600),
            &folder,
        ))
    };
    assert_eq!((judge("good"), judge("bad")), ("revocation-unknown", "revoked"));
}

#[tokio::test]
async fn a_crl_of_another_key_is_not_believed() {
    let world = World::new();
    let bench = &world.bench;
    bench.ok(
        "openssl",
        &format!("req -x509 {EC} -keyout forger.key -out forger.pem -subj /CN=Authority -days 30"),
    );
    bench.write("index.txt", "V\t401231235959Z\t\t11\tunknown\t/CN=good\n");
    bench.ok(
        "openssl",
        "ca -config ca.cnf -gencrl -keyfile forger.key -cert forger.pem -crldays 3 -out crl.pem",
    );
    bench.ok("openssl", "crl -in crl.pem -outform DER -out www/ca.crl");
    let _server = world.web();
    let cache = Cache::default();
    assert_eq!(code(world.judge("bad", &hard(&[Source::Crl]), &cache).await), "revocation-unknown");
    cache.read_directory(&bench.path().join("www")).expect("a folder");
    assert_eq!(code(world.judge("bad", &hard(&[Source::Crl]), &cache).await), "revocation-unknown");
}

#[tokio::test]
async fn stapled_responses_count_when_they_are_for_this_certificate() {
    let world = World::new();
    let _server = world.responder("responder");
    let (good, ca) = (world.bench.read_pem("good.pem"), world.bench.read_pem("ca.pem"));
    let bad = world.bench.read_pem("bad.pem");
    let url = format!("http://127.0.0.1:{}/", world.ocsp);
    let staple = |der: &[u8]| ocsp_request(der, &ca, None).expect("a request");
    let for_good = http().fetch(&url, Some(staple(&good))).await.expect("a response");
    let for_bad = http().fetch(&url, Some(staple(&bad))).await.expect("a response");
    let judge = |leaf: &[u8], stapled: &[u8]| {
        let chain = [CertificateDer::from(leaf.to_vec())];
        let requirements = Requirements::new(Purpose::TlsServer, None, hard(&[Source::Staple]));
        let presented = Presented { chain: &chain, stapled: Some(stapled) };
        code(verify(presented, &world.anchors(), &requirements, at(0), &Cache::default()))
    };
    assert_eq!(judge(&good, &for_good), "good");
    assert_eq!(judge(&bad, &for_bad), "revoked");
    assert_eq!(judge(&bad, &for_good), "revocation-unknown");
    let mut forged = for_good.clone();
    let middle = forged.len() / 2;
    forged[middle] ^= 1;
    assert_eq!(judge(&good, &forged), "revocation-unknown");
    assert_eq!(judge(&good, b"nothing"), "revocation-unknown");
}

#[tokio::test]
async fn the_network_is_asked_within_limits() {
    let world = World::new();
    let _server = world.web();
    world.bench.write("www/large", vec![0; 4096]);
    std::fs::create_dir(world.bench.path().join("www/folder")).expect("a folder");
    let url = |path: &str| format!("http://127.0.0.1:{}/{path}", world.web);
    let problem = |outcome: Result<Vec<u8>, FetchError>| outcome.expect_err("refused").problem;
    assert_eq!(http().fetch(&url("large"), None).await.expect("an answer").len(), 4096);
    let small = Http { size_limit: 4095, ..http() };
    assert!(problem(small.fetch(&url("large"), None).await).contains("length limit"));
    // Python redirects folders to a name with a slash behind.
    assert!(problem(http().fetch(&url("folder"), None).await).contains("301"));
    assert!(problem(http().fetch("ftp://127.0.0.1/x", None).await).contains("only http"));
    assert!(problem(http().fetch("file:///etc/passwd", None).await).contains("no address"));
    let elsewhere = Http { hosts: Some(vec![".example".to_owned()]), ..http() };
    assert!(problem(elsewhere.fetch(&url("large"), None).await).contains("not among the hosts"));
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let address = format!("http://{}/", silent.local_addr().expect("bound"));
    let hasty = Http { time_limit: Duration::from_millis(200), ..http() };
    assert!(problem(hasty.fetch(&address, None).await).contains("no answer within"));
}
