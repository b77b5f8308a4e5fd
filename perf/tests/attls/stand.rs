//! Where the programs stand: site a behind a gateway of ours that speaks TLS for it, site b with programs that speak it
//! themselves. The kernel of the other gateway forwards.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use ravelin_perf::foreign;
use ravelin_perf::gateway::Gateway;
use ravelin_perf::lab::{
    Capture, Captured, FileServer, Lab, MARK, Namespace, Output, Process, TwoSites, marked_file, run, sha256,
    wait_until,
};
use serde_json::Value;

pub(crate) const SECOND: Duration = Duration::from_secs(1);
/// For anything that a heavily loaded machine does slowly.
pub(crate) const LONG: Duration = Duration::from_secs(70);
pub(crate) const OCTETS: u64 = 20_000_000;
/// We are the server at this port, and the client at that.
pub(crate) const SERVED: u16 = 8443;
pub(crate) const ASKED: u16 = 9443;

/// What may pass: connections of site a to anywhere, and to its servers, and management.
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
name = "lan-in"
source = "lan"
protocol = "tcp"
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
pub(crate) const USUAL: &str = r#"
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

pub(crate) struct Stand {
    pub(crate) gateway: Gateway,
    pub(crate) sites: TwoSites,
    /// Of the file that both sites have.
    sum: String,
}

impl Stand {
    /// With these rules for TLS.
    pub(crate) fn build(label: &str, tls: &str) -> Self {
        let sites = TwoSites::build(label).unwrap();
        sites.b.gateway.forward(true).unwrap();
        let mut gateway = Gateway::lay_out(&sites.lab, &sites.a.gateway, "gw-a", "tls", "").unwrap();
        gateway.start().unwrap();
        let sum = marked_file(&sites.lab.file("file"), OCTETS).unwrap();
        fs::write(sites.lab.file("small"), "a few words\n").unwrap();
        let stand = Self { gateway, sites, sum };
        stand.papers();
        fs::write(stand.gateway.file("attls.toml"), tls).unwrap();
        stand.gateway.apply_text(POLICY).unwrap();
        stand
    }

    pub(crate) fn lab(&self) -> &Lab {
        &self.sites.lab
    }

    /// A file of the gateway's directory, where certificates and keys are.
    pub(crate) fn paper(&self, name: &str) -> PathBuf {
        self.gateway.file(name)
    }

    pub(crate) fn papers_directory(&self) -> PathBuf {
        self.gateway.file("ravelin.toml").parent().unwrap().to_owned()
    }

    pub(crate) fn rings(&self, line: &str) -> String {
        self.gateway.ravelin(&format!("{line} --rings rings")).unwrap()
    }

    /// An authority, our certificate, and one of a server at site b.
    fn papers(&self) {
        for line in [
            "ring create ca",
            "ring create web",
            "ca init ca/root --subject CN=Root --key p256",
            "cert export ca/root --out root.pem",
            "cert request web/main --subject CN=web --san dns:web.example --key p256 --out web.csr",
            "ca sign ca/root web.csr --profile server --out web.pem",
            "cert receive web web.pem --trust ca",
        ] {
            self.rings(line);
        }
        self.paper_of("ca/root", "partner", "server", "subjectAltName=DNS:partner.example");
    }

    /// A certificate `NAME.pem` of an authority, and its key `NAME.key`, which OpenSSL made.
    pub(crate) fn paper_of(&self, authority: &str, name: &str, profile: &str, names: &str) {
        self.openssl(&format!("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out {name}.key"));
        self.paper_for(authority, name, profile, names);
    }

    /// The same for a key that is there.
    pub(crate) fn paper_for(&self, authority: &str, name: &str, profile: &str, names: &str) {
        self.openssl(&format!("req -new -key {name}.key -subj /CN={name} -addext {names} -out {name}.csr"));
        self.rings(&format!("ca sign {authority} {name}.csr --profile {profile} --out {name}.pem"));
    }

    /// Runs OpenSSL with words parted by spaces, among the papers.
    pub(crate) fn openssl(&self, words: &str) {
        foreign::openssl(&self.papers_directory(), words).unwrap();
    }

    /// One of our scripts for Python, at a site.
    pub(crate) fn script(&self, at: &Namespace, name: &str, arguments: &[&str]) -> Command {
        let mut script = foreign::script(|python| at.command(python), name).unwrap();
        script.args(arguments).current_dir(self.lab().directory());
        script
    }

    /// Starts a program, and waits until it says that it is ready.
    pub(crate) fn serve(&self, name: &str, command: &mut Command, ready: &str) -> Process {
        let process = Process::spawn(name, command, &self.lab().file(&format!("{name}.log"))).unwrap();
        process.wait_for_line(ready, LONG).unwrap();
        process
    }

    /// The partner's server: OpenSSL's own, which gives out the files of the lab.
    pub(crate) fn partner(&self, more: &[&str]) -> Process {
        let mut command = self.sites.b.site.command("openssl");
        command.args(["s_server", "-accept", &ASKED.to_string(), "-WWW"]);
        command.arg("-cert").arg(self.paper("partner.pem")).arg("-key").arg(self.paper("partner.key"));
        command.args(more).current_dir(self.lab().directory());
        self.serve("partner", &mut command, "ACCEPT")
    }

    /// The web server of site a, which speaks no TLS.
    pub(crate) fn web(&self) -> FileServer {
        FileServer::start(self.lab(), &self.sites.a.site, self.lab().directory(), SERVED).unwrap()
    }

    /// An application at site a fetches from the partner, in clear as it believes.
    pub(crate) fn ask(&self) -> Output {
        self.ask_at(&self.sites.b.site_v4.to_string(), ASKED)
    }

    pub(crate) fn ask_at(&self, host: &str, port: u16) -> Output {
        let url = format!("http://{host}:{port}/file");
        run(&mut curl(&self.sites.a.site, &self.lab().file("asked"), &url, &[]), LONG).unwrap()
    }

    /// A client at site b that fetches from site a by TLS.
    pub(crate) fn visitor(&self, to: IpAddr, path: &str, more: &[&str]) -> Command {
        let root = self.paper("root.pem");
        let to = if to.is_ipv6() { format!("[{to}]") } else { to.to_string() };
        let resolve = format!("web.example:{SERVED}:{to}");
        let options = ["--cacert", root.to_str().unwrap(), "--resolve", &resolve];
        let url = format!("https://web.example:{SERVED}/{path}");
        curl(&self.sites.b.site, &self.lab().file("visited"), &url, &[&options, more].concat())
    }

    pub(crate) fn visit(&self, more: &[&str]) -> Output {
        run(&mut self.visitor(self.sites.a.site_v4, "file", more), LONG).unwrap()
    }

    /// A visit that takes some seconds, and has begun to get its file.
    pub(crate) fn begin_slow_visit(&self) -> Process {
        let _ = fs::remove_file(self.lab().file("visited"));
        let slow = ["--limit-rate", "5M", "--max-time", "20"];
        let mut command = self.visitor(self.sites.a.site_v4, "file", &slow);
        let visit = Process::spawn("visit", &mut command, &self.lab().file("visit.log")).unwrap();
        let has_begun = || fs::metadata(self.lab().file("visited")).is_ok_and(|file| file.len() > 1_000_000);
        wait_until("the visit to get something", 30 * SECOND, has_begun).unwrap();
        visit
    }

    pub(crate) fn capture(&self) -> Capture {
        Capture::start(self.lab(), &self.sites.wan, &self.sites.a.wan_interface(), "wan").unwrap()
    }

    pub(crate) fn assert_whole(&self, name: &str, status: ExitStatus) {
        assert!(status.success(), "{name}: {status:?}\n{}", self.gateway.control_log());
        self.assert_same(name);
    }

    /// A file of the lab is the one that both sites have.
    pub(crate) fn assert_same(&self, name: &str) {
        assert_eq!(sha256(&self.lab().file(name)).unwrap(), self.sum, "{name}");
    }

    pub(crate) fn sum(&self) -> &str {
        &self.sum
    }

    /// Site b gets a gateway of ours, too, which believes our authority, with these rules for TLS. Its programs need to know no TLS
    /// any more.
    pub(crate) fn second_gateway(&self, tls: &str) -> Gateway {
        let at = &self.sites.b.gateway;
        let mut second = Gateway::lay_out(self.lab(), at, "gw-b", "tls", "").unwrap();
        at.forward(false).unwrap();
        second.start().unwrap();
        fs::copy(self.paper("root.pem"), second.file("root.pem")).unwrap();
        fs::write(second.file("attls.toml"), tls).unwrap();
        for line in ["ring create ca", "cert import ca root.pem --label root"] {
            second.ravelin(&format!("{line} --rings rings")).unwrap();
        }
        second.apply_text(&POLICY.replace("10.1.", "10.2.").replace("db8:1:", "db8:2:")).unwrap();
        second
    }

    /// What `attls stats` has of a rule.
    pub(crate) fn counts(&self, rule: &str) -> Value {
        let statistics = self.gateway.ask("attls stats").unwrap();
        let rules = statistics["rules"].as_array().unwrap();
        rules.iter().find(|one| one["rule"] == rule).cloned().unwrap_or_default()
    }

    /// Waits until control knows no connection any more: nothing is left over of any.
    pub(crate) fn wait_for_none(&self) {
        let none = || self.gateway.ask("attls connections").is_ok_and(|found| found == Value::Array(vec![]));
        let waited = wait_until("all connections to be over", LONG, none);
        assert!(waited.is_ok(), "{waited:?}: {}", self.gateway.ravelin("attls connections").unwrap());
    }
}

pub(crate) fn curl(from: &Namespace, to: &Path, url: &str, more: &[&str]) -> Command {
    let mut curl = from.command("curl");
    curl.args(["--silent", "--show-error", "--fail", "--noproxy", "*", "--max-time", "60"]);
    curl.args(more).arg("--output").arg(to).arg(url);
    curl
}

pub(crate) fn assert_sealed(captured: &Captured) {
    assert_eq!(captured.packets.count_containing(MARK), 0, "cleartext on the wan");
    assert!(captured.packets.frames().count() > 1_000, "nothing was captured");
}
