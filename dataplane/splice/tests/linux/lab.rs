//! Three network namespaces: client, the splice's, server. They live as long as a process in each, which is bounded.

use std::fs::File;
use std::os::fd::AsFd;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// A namespace, gone with its process at the latest after so many seconds.
pub(crate) struct Namespace {
    keeper: Child,
}

const SECONDS: &str = "1800";

impl Namespace {
    fn new() -> Self {
        let keeper = Command::new("unshare").args(["--net", "sleep", SECONDS]).stdin(Stdio::null()).spawn();
        let namespace = Self { keeper: keeper.expect("unshare runs") };
        // `unshare` has a namespace of its own only after a moment.
        let own = std::fs::read_link("/proc/self/ns/net").expect("a namespace");
        let end = Instant::now() + Duration::from_secs(20);
        while std::fs::read_link(namespace.path()).is_ok_and(|theirs| theirs == own) {
            assert!(Instant::now() < end, "no namespace was made");
            std::thread::sleep(Duration::from_millis(5));
        }
        namespace.run("ip link set lo up");
        namespace
    }

    fn path(&self) -> String {
        format!("/proc/{}/ns/net", self.keeper.id())
    }

    fn run(&self, line: &str) {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.path())).args(line.split_whitespace());
        let output = command.output().expect("nsenter runs");
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// Puts the calling thread into it, for good.
    pub(crate) fn enter(&self) {
        let file = File::open(self.path()).expect("the namespace stands");
        move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).expect("as root");
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
    }
}

/// Client and server have addresses 10.1.0.2 and 10.2.0.2; between them stands what does not forward.
pub(crate) struct Lab {
    pub(crate) client: Namespace,
    pub(crate) middle: Namespace,
    pub(crate) server: Namespace,
}

impl Lab {
    pub(crate) fn new() -> Self {
        let lab = Self { client: Namespace::new(), middle: Namespace::new(), server: Namespace::new() };
        for (number, end) in [(1, &lab.client), (2, &lab.server)] {
            let pid = end.keeper.id();
            lab.middle.run(&format!("ip link add m{number} type veth peer name e{number} netns {pid}"));
            for (namespace, name, host) in [(&lab.middle, 'm', 1), (end, 'e', 2)] {
                namespace.run(&format!("ip address add 10.{number}.0.{host}/24 dev {name}{number}"));
                // What leaves must be whole packets with whole checksums, as on a wire.
                namespace.run(&format!("ethtool -K {name}{number} tx off rx off tso off gso off gro off"));
                namespace.run(&format!("ip link set {name}{number} up txqueuelen 5000"));
            }
            end.run(&format!("ip route add default via 10.{number}.0.1"));
            end.run("sysctl -qw net.ipv4.tcp_no_metrics_save=1");
        }
        lab.middle.run("sysctl -qw net.ipv4.ip_forward=0");
        lab
    }
}
