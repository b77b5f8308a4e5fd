//! Collectors that others wrote: rsyslog and journald, started for a test and removed at its end.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// How long a collector may take to start or to write.
const PATIENCE: Duration = Duration::from_secs(60);

fn wait(what: &str, mut is_so: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < PATIENCE, "no {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn is_udp_bound(port: u16) -> bool {
    let table = std::fs::read_to_string("/proc/net/udp").expect("the kernel's list of sockets");
    table.lines().any(|line| line.contains(&format!(" 0100007F:{port:04X} ")))
}

/// rsyslog with a Unix socket and a UDP port, which writes what it understood as lines of JSON.
pub(crate) struct Rsyslog {
    folder: tempfile::TempDir,
    port: u16,
    child: Child,
}

impl Rsyslog {
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let free = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = free.local_addr().expect("an address").port();
        drop(free);
        let at = folder.path().display();
        let rules = format!(
            r#"global(workDirectory="{at}")
module(load="imuxsock" SysSock.Use="off")
module(load="imudp")
module(load="mmpstrucdata")
input(type="imuxsock" Socket="{at}/log" UseSpecialParser="off" ParseHostname="on" CreatePath="off")
input(type="imudp" address="127.0.0.1" port="{port}")
template(name="understood" type="string" string="%$!all-json%\n")
action(type="mmpstrucdata")
set $!msgid = $msgid;
set $!app = $app-name;
set $!severity = $syslogseverity-text;
set $!facility = $syslogfacility-text;
set $!version = $protocol-version;
set $!msg = $msg;
action(type="omfile" file="{at}/out" template="understood")
"#
        );
        let file = folder.path().join("conf");
        std::fs::write(&file, rules).expect("written");
        let mut command = Command::new("/usr/sbin/rsyslogd");
        command.args(["-n", "-f"]).arg(&file).arg("-i").arg(folder.path().join("pid"));
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("rsyslogd");
        let this = Self { folder, port, child };
        wait("socket of rsyslog", || this.socket().exists() && is_udp_bound(port));
        this
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    pub(crate) fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// What it wrote, at least so many lines.
    pub(crate) fn lines(&self, least: usize) -> Vec<Value> {
        let read = || std::fs::read_to_string(self.folder.path().join("out")).unwrap_or_default();
        wait("line of rsyslog", || read().lines().count() >= least);
        read().lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    /// What it wrote so far counts no more.
    pub(crate) fn forget(&self) {
        let out = std::fs::OpenOptions::new().write(true).open(self.folder.path().join("out"));
        out.and_then(|file| file.set_len(0)).expect("emptied");
    }
}

impl Drop for Rsyslog {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A journald of its own name space.
pub(crate) struct Journald {
    name: &'static str,
    child: Child,
    /// Whether the machine keeps journals at all.
    kept: bool,
}

impl Journald {
    pub(crate) fn start(name: &'static str) -> Self {
        let kept = PathBuf::from("/var/log/journal").exists();
        let mut command = Command::new("/lib/systemd/systemd-journald");
        command.arg(name).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let this = Self { name, child: command.spawn().expect("systemd-journald"), kept };
        wait("socket of journald", || this.socket().exists());
        this
    }

    fn run(&self) -> PathBuf {
        PathBuf::from(format!("/run/systemd/journal.{}", self.name))
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.run().join("socket")
    }

    /// The one entry with this field.
    pub(crate) fn one(&self, matching: &str, limit: Duration) -> Value {
        let begin = Instant::now();
        loop {
            let mut command = Command::new("journalctl");
            command.arg(format!("--namespace={}", self.name)).args(["--output=json", "--all", matching]);
            let text = String::from_utf8(command.output().expect("journalctl").stdout).expect("text");
            let entries: Vec<Value> =
                text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
            match entries.as_slice() {
                [] => assert!(begin.elapsed() < limit, "journald has nothing of {matching}"),
                [entry] => return entry.clone(),
                more => panic!("{more:#?}"),
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Journald {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(self.run());
        let machine = std::fs::read_to_string("/etc/machine-id").unwrap_or_default();
        for base in ["/run/log/journal", "/var/log/journal"] {
            let journal = PathBuf::from(base).join(format!("{}.{}", machine.trim(), self.name));
            let _ = std::fs::remove_dir_all(journal);
        }
        if !self.kept {
            // Only if it is empty.
            let _ = std::fs::remove_dir("/var/log/journal");
        }
    }
}
