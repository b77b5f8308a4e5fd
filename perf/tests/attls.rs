//! TLS for programs that know nothing of it, between namespaces: curl and OpenSSL at both ends, in both roles.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends")]

use std::fs;
use std::net::IpAddr;
use std::path::Path;
use std::process::{Command, ExitStatus};
use std::time::Duration;

use ravelin_perf::gateway::Gateway;
use ravelin_perf::lab::{
    Capture, Captured, FileServer, Lab, MARK, MOMENT, Namespace, Output, Process, TwoSites, check,
    marked_file, run, sha256, wait_until,
};

const SECOND: Duration = Duration::from_secs(1);
const OCTETS: u64 = 20_000_000;
/// We are the server at this port, and the client at that.
const SERVED: u16 = 8443;
const ASKED: u16 = 9443;

/// What may pass: connections of site a to anywhere, and to its web server, and management.
const POLICY: &str = r#"
[addresses]
lan = ["10.1.0.0/24", "2001:db8:1::/64"]
management = "192.0.2.0/28"

[[rule]]
name = "lan-out"
source = "lan"
protocol = "tcp"
connect = "outbound"
routing = "routed"
action = "permit"

[[rule]]
name = "web-in"
source = "lan"
protocol = "tcp"
source_port = 8443
connect = "inbound"
routing = "routed"
action = "permit"

[[rule]]
name = "ssh"
source = "management"
protocol = "tcp"
destination_port = 22
direction = "inbound"
routing = "local"
action = "permit"

[[rule]]
name = "ssh-answers"
destination = "management"
protocol = "tcp"
source_port = 22
direction = "outbound"
connect = "inbound"
routing = "local"
action = "permit"
"#;

/// Whoever connects to site a's web server must speak TLS; what site a sends to the partner goes out as TLS.
const TLS: &str = r#"
[[rule]]
name = "web"
server = "lan"
server_port = 8443
role = "server"
certificate = "web/main"

[[rule]]
name = "partner"
client = "lan"
server_port = 9443
role = "client"
trust = "ca"
server_name = "partner.example"
"#;

/// Connects and says how that ended; what comes after is not its business.
const CONNECT: &str = "
import errno, socket, sys
s = socket.socket()
s.settimeout(5)
try:
    s.connect((sys.argv[1], int(sys.argv[2])))
    print(0)
except TimeoutError:
    print('timed out')
except OSError as error:
    print(errno.errorcode[error.errno])
";

/// How `connect()` ends.
#[derive(Debug, PartialEq, Eq)]
enum Connect {
    Done,
    Refused,
    TimedOut,
}

/// Site a stands behind a gateway of ours that speaks TLS for it; the kernel of the other gateway forwards.
struct Stand {
    gateway: Gateway,
    sites: TwoSites,
    /// Of the file that both sites have.
    sum: String,
}

impl Stand {
    fn build(label: &str) -> Self {
        let sites = TwoSites::build(label).unwrap();
        sites.b.gateway.forward(true).unwrap();
        let mut gateway = Gateway::lay_out(&sites.lab, &sites.a.gateway, "gw-a", "tls", "").unwrap();
        gateway.start().unwrap();
        let sum = marked_file(&sites.lab.file("file"), OCTETS).unwrap();
        let stand = Self { gateway, sites, sum };
        stand.papers();
        fs::write(stand.gateway.file("attls.toml"), TLS).unwrap();
        stand.gateway.apply_text(POLICY).unwrap();
        stand
    }

    fn lab(&self) -> &Lab {
        &self.sites.lab
    }

    /// An authority, our certificate, and one of a server at site b.
    fn papers(&self) {
        let ravelin = |line: &str| self.gateway.ravelin(&format!("{line} --rings rings")).unwrap();
        for line in [
            "ring create ca",
            "ring create web",
            "ca init ca/root --subject CN=Root --key p256",
            "cert export ca/root --out root.pem",
            "cert request web/main --subject CN=web --san dns:web.example --key p256 --out web.csr",
            "ca sign ca/root web.csr --profile server --out web.pem",
            "cert receive web web.pem --trust ca",
        ] {
            ravelin(line);
        }
        let folder = self.gateway.file("ravelin.toml").parent().unwrap().to_owned();
        openssl(&folder, "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out partner.key");
        let names = "-subj /CN=partner -addext subjectAltName=DNS:partner.example";
        openssl(&folder, &format!("req -new -key partner.key {names} -out partner.csr"));
        ravelin("ca sign ca/root partner.csr --profile server --out partner.pem");
    }

    /// The partner's server: OpenSSL's own, which gives out the files of the lab.
    fn partner(&self, more: &[&str]) -> Process {
        let mut command = self.sites.b.site.command("openssl");
        let (certificate, key) = (self.gateway.file("partner.pem"), self.gateway.file("partner.key"));
        command.args(["s_server", "-accept", &ASKED.to_string(), "-WWW", "-cert"]).arg(certificate);
        command.arg("-key").arg(key).args(more).current_dir(self.lab().directory());
        let process = Process::spawn("partner", &mut command, &self.lab().file("partner.log")).unwrap();
        process.wait_for_line("ACCEPT", MOMENT).unwrap();
        process
    }

    /// The web server of site a, which speaks no TLS.
    fn web(&self) -> FileServer {
        FileServer::start(self.lab(), &self.sites.a.site, self.lab().directory(), SERVED).unwrap()
    }

    /// An application at site a fetches from the partner, in clear as it believes.
    fn ask(&self) -> Output {
        self.ask_at(&self.sites.b.site_v4.to_string())
    }

    fn ask_at(&self, host: &str) -> Output {
        let url = format!("http://{host}:{ASKED}/file");
        run(&mut curl(&self.sites.a.site, &self.lab().file("asked"), &url, &[]), 70 * SECOND).unwrap()
    }

    /// What becomes of `connect()` alone, called by an application at site a.
    fn connect(&self) -> Connect {
        let mut python = self.sites.a.site.command("python3");
        python.args(["-c", CONNECT, &self.sites.b.site_v4.to_string(), &ASKED.to_string()]);
        let output = run(&mut python, 70 * SECOND).unwrap();
        match output.stdout.trim() {
            "0" => Connect::Done,
            "ECONNREFUSED" => Connect::Refused,
            "timed out" => Connect::TimedOut,
            _ => panic!("{output:?}"),
        }
    }

    /// A client at site b that fetches from site a by TLS.
    fn visitor(&self, to: IpAddr, path: &str, more: &[&str]) -> Command {
        let root = self.gateway.file("root.pem");
        let to = if to.is_ipv6() { format!("[{to}]") } else { to.to_string() };
        let resolve = format!("web.example:{SERVED}:{to}");
        let options = ["--cacert", root.to_str().unwrap(), "--resolve", &resolve];
        let url = format!("https://web.example:{SERVED}/{path}");
        curl(&self.sites.b.site, &self.lab().file("visited"), &url, &[&options, more].concat())
    }

    fn visit(&self, more: &[&str]) -> Output {
        run(&mut self.visitor(self.sites.a.site_v4, "file", more), 70 * SECOND).unwrap()
    }

    /// A visit that takes some seconds, and has begun to get its file.
    fn begin_slow_visit(&self) -> Process {
        let _ = fs::remove_file(self.lab().file("visited"));
        let mut command =
            self.visitor(self.sites.a.site_v4, "file", &["--limit-rate", "5M", "--max-time", "20"]);
        let visit = Process::spawn("visit", &mut command, &self.lab().file("visit.log")).unwrap();
        let has_begun = || fs::metadata(self.lab().file("visited")).is_ok_and(|file| file.len() > 1_000_000);
        wait_until("the visit to get something", 30 * SECOND, has_begun).unwrap();
        visit
    }

    fn capture(&self) -> Capture {
        Capture::start(self.lab(), &self.sites.wan, &self.sites.a.wan_interface(), "wan").unwrap()
    }

    fn assert_whole(&self, name: &str, status: ExitStatus) {
        assert!(status.success(), "{status:?}");
        assert_eq!(sha256(&self.lab().file(name)).unwrap(), self.sum);
    }
}

fn openssl(folder: &Path, words: &str) {
    let mut command = Command::new("openssl");
    check(command.args(words.split_ascii_whitespace()).current_dir(folder), MOMENT).unwrap();
}

fn curl(from: &Namespace, to: &Path, url: &str, more: &[&str]) -> Command {
    let mut curl = from.command("curl");
    curl.args(["--silent", "--show-error", "--fail", "--noproxy", "*", "--max-time", "60"]);
    curl.args(more).arg("--output").arg(to).arg(url);
    curl
}

fn assert_sealed(captured: Captured) {
    assert_eq!(captured.packets.count_containing(MARK), 0, "cleartext on the wan");
    assert!(captured.packets.frames().count() > 1_000, "nothing was captured");
}

#[test]
fn programs_that_know_no_tls_speak_it() {
    let stand = Stand::build("attls");
    let capture = stand.capture();
    let _clear =
        FileServer::start(stand.lab(), &stand.sites.a.site, stand.lab().directory(), SERVED).unwrap();
    for version in ["--tlsv1.3", "--tls-max=1.2"] {
        let version: Vec<&str> = version.split('=').collect();
        stand.assert_whole("visited", stand.visit(&version).status);
    }
    for version in ["-tls1_3", "-tls1_2"] {
        let _partner = stand.partner(&[version]);
        stand.assert_whole("asked", stand.ask().status);
        stand.assert_whole("asked", stand.ask_at(&format!("[{}]", stand.sites.b.site_v6)).status);
    }
    let mut visitor = stand.visitor(stand.sites.a.site_v6, "file", &[]);
    stand.assert_whole("visited", run(&mut visitor, 70 * SECOND).unwrap().status);
    assert_sealed(capture.stop().unwrap());
}

#[test]
fn a_running_connection_needs_no_control_and_none_is_bared_without_the_packet_process() {
    let mut stand = Stand::build("attlskill");
    let capture = stand.capture();
    let _web = stand.web();

    let mut visit = stand.begin_slow_visit();
    let standing = stand.gateway.ravelin("attls connections").unwrap();
    assert!(standing.contains("web") && standing.contains("TLSv1.3"), "{standing}");
    stand.gateway.kill_control().unwrap();
    stand.assert_whole("visited", visit.wait(60 * SECOND).unwrap());
    stand.gateway.start_control().unwrap();
    let again = || stand.visit(&["--max-time", "5"]).status.success();
    wait_until("visits after control is back", 60 * SECOND, again).unwrap();

    let mut visit = stand.begin_slow_visit();
    stand.gateway.kill_dataplane().unwrap();
    stand.gateway.start_dataplane().unwrap();
    let status = visit.wait(70 * SECOND).unwrap();
    assert!(!status.success(), "a connection whose keys are gone went on");
    let again = || stand.visit(&["--max-time", "5"]).status.success();
    wait_until("visits after the packet process is back", 60 * SECOND, again).unwrap();
    assert_sealed(capture.stop().unwrap());
}

#[test]
fn a_partner_that_is_not_believed_refuses_the_connection_and_the_reason_is_told() {
    let stand = Stand::build("attlsbad");
    let capture = stand.capture();
    let partner = stand.partner(&[]);
    assert_eq!(stand.connect(), Connect::Done, "{}", stand.gateway.control_log());
    drop(partner);
    let folder = stand.gateway.file("ravelin.toml").parent().unwrap().to_owned();
    let own = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout partner.key -out partner.pem";
    let names = "-subj /CN=partner -addext subjectAltName=DNS:partner.example";
    openssl(&folder, &format!("req -x509 {own} {names} -days 30"));
    let partner = stand.partner(&[]);
    assert_eq!(stand.connect(), Connect::Refused, "a certificate that is not believed");
    assert!(!stand.ask().status.success());
    let log = stand.gateway.control_log();
    assert!(log.contains("partner") && log.contains("RVL-TLS"), "{log}");
    wait_until("the alert to reach the partner", MOMENT, || partner.log().contains("SSL alert")).unwrap();
    drop(partner);
    // Nobody listens any more, then nobody answers: that looks as it does without a gateway.
    assert_eq!(stand.connect(), Connect::Refused);
    let silence = "add table ip quiet; add chain ip quiet in { type filter hook input priority 0; }; \
                   add rule ip quiet in tcp dport 9443 drop";
    check(stand.sites.b.site.command("nft").arg(silence), MOMENT).unwrap();
    assert_eq!(stand.connect(), Connect::TimedOut);
    let captured = capture.stop().unwrap();
    assert_eq!(captured.packets.count_containing(b"GET /file"), 0, "the request went out in clear");
}

#[test]
fn many_small_requests_each_on_a_connection_of_its_own() {
    let stand = Stand::build("attlsmany");
    fs::write(stand.lab().file("small"), "a few words\n").unwrap();
    let _web = stand.web();
    let mut visitor = stand.visitor(stand.sites.a.site_v4, "small?[1-300]", &["--no-keepalive", "--http1.0"]);
    let output = run(&mut visitor, 70 * SECOND).unwrap();
    assert!(output.status.success(), "{output:?}\n{}", stand.gateway.control_log());
}
