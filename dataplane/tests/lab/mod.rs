//! Three namespaces: hosts `a` and `b`, each with an interface `eth0` to the gateway `gw`, whose ends are `to-a` and `to-b`.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::net::{AddressFamily, SocketType, netdevice, socket};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// The namespaces, removed on drop by who made them.
pub(crate) struct Lab {
    name: String,
    made_here: bool,
}

impl Lab {
    /// Makes the namespaces; `name` tells this test's from those of others.
    pub(crate) fn new(name: &str) -> Self {
        assert!(rustix::process::geteuid().is_root(), "this test makes network namespaces and needs root");
        let lab = Self { name: format!("rv-port-{name}-{}", std::process::id()), made_here: true };
        run(&format!("ip netns add {}", lab.space("gw")));
        for (host, net) in [("a", 1), ("b", 2)] {
            lab.add_host(host, net);
        }
        lab
    }

    /// The namespaces that another process made.
    pub(crate) fn join(name: String) -> Self {
        Self { name, made_here: false }
    }

    fn add_host(&self, host: &str, net: u32) {
        let (gateway, space) = (self.space("gw"), self.space(host));
        run(&format!("ip netns add {space}"));
        run(&format!("ip -n {gateway} link add to-{host} type veth peer name eth0 netns {space}"));
        // Hosts speak IPv4 only, so that nothing but a test's frames comes from them.
        run(&format!("ip netns exec {space} sysctl -qw net.ipv6.conf.all.disable_ipv6=1"));
        run(&format!("ip netns exec {gateway} sysctl -qw net.ipv6.conf.to-{host}.accept_dad=0"));
        let end = format!("to-{host}");
        for (space, interface, last) in [(&gateway, end.as_str(), 1), (&space, "eth0", 2)] {
            run(&format!("ip netns exec {space} ethtool -K {interface} tx off tso off gso off txvlan off"));
            run(&format!("ip -n {space} address add 10.9.{net}.{last}/24 dev {interface}"));
            run(&format!("ip -n {space} link set {interface} up"));
        }
        run(&format!("ip -n {gateway} address add fd09:{net}::1/64 dev to-{host} nodad"));
        run(&format!("ip -n {space} route add default via 10.9.{net}.1"));
    }

    /// Deletes host a with its link and makes another.
    pub(crate) fn replace_a(&self) {
        let host = "a";
        run(&format!("ip -n {} link del to-{host}", self.space("gw")));
        run(&format!("ip netns del {}", self.space(host)));
        self.add_host(host, 1);
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    fn space(&self, host: &str) -> String {
        format!("{}-{host}", self.name)
    }

    /// Where programs and maps of this lab are pinned.
    pub(crate) fn pins(&self) -> PathBuf {
        Path::new("/sys/fs/bpf").join(&self.name)
    }

    /// Made by a process of this lab when it is ready.
    pub(crate) fn ready_file(&self) -> PathBuf {
        std::env::temp_dir().join(format!("{}-ready", self.name))
    }

    /// Puts the calling thread into a namespace.
    pub(crate) fn enter(&self, host: &str) {
        let space = File::open(format!("/run/netns/{}", self.space(host))).unwrap();
        move_into_link_name_space(space.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
    }

    /// Runs `work` in a namespace, on a thread of its own.
    pub(crate) fn within<T: Send>(&self, host: &str, work: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                self.enter(host);
                work()
            });
            thread.join().unwrap()
        })
    }

    /// Lets the gateway's kernel forward, as it never does in service.
    pub(crate) fn forwards_in_kernel(&self) {
        run(&format!("ip netns exec {} sysctl -qw net.ipv4.ip_forward=1", self.space("gw")));
    }

    /// Makes the driver of `to-a` refuse XDP: veth does when frames may be longer than a page holds.
    pub(crate) fn refuse_native(&self) {
        run(&format!("ip -n {} link set eth0 mtu 9000", self.space("a")));
    }

    /// Whether one of three pings is answered.
    pub(crate) fn reaches(&self, host: &str, address: &str) -> bool {
        let ping = format!("ip netns exec {} ping -c 3 -i 0.05 -W 1 -q {address}", self.space(host));
        command(&ping).stdout(Stdio::null()).status().unwrap().success()
    }

    /// Sends 400 pings in a second or so.
    pub(crate) fn flood(&self, host: &str, address: &str) -> Flood {
        let ping = format!("ip netns exec {} ping -c 400 -i 0.002 -W 1 -q {address}", self.space(host));
        Flood { child: command(&ping).stdout(Stdio::piped()).spawn().unwrap() }
    }

    /// Frames that an interface has received.
    pub(crate) fn received_by(&self, host: &str, interface: &str) -> u64 {
        let show = format!("ip -n {} -s -o link show {interface}", self.space(host));
        let out = String::from_utf8(command(&show).output().unwrap().stdout).unwrap();
        let counts = out.split("RX:").nth(1).unwrap().split('\\').nth(1).unwrap();
        counts.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if !self.made_here {
            return;
        }
        let _ = std::fs::remove_file(self.ready_file());
        let _ = std::fs::remove_dir_all(self.pins());
        for host in ["a", "b", "gw"] {
            let _ = command(&format!("ip netns del {}", self.space(host))).status();
        }
    }
}

/// Pings on their way.
pub(crate) struct Flood {
    pub(crate) child: Child,
}

impl Flood {
    /// What ping says in the end.
    pub(crate) fn report(self) -> String {
        String::from_utf8(self.child.wait_with_output().unwrap().stdout).unwrap()
    }
}

/// Index of an interface of the calling thread's namespace.
pub(crate) fn index_of(interface: &str) -> u32 {
    netdevice::name_to_index(socket(AddressFamily::INET, SocketType::DGRAM, None).unwrap(), interface)
        .unwrap()
}

/// Whether an interface of the calling thread's namespace has an XDP program.
pub(crate) fn has_program(interface: &str) -> bool {
    let out = command(&format!("ip -o link show {interface}")).output().unwrap();
    String::from_utf8(out.stdout).unwrap().contains("prog/xdp")
}

fn run(line: &str) {
    assert!(command(line).stdout(Stdio::null()).status().unwrap().success(), "{line}");
}

fn command(line: &str) -> Command {
    let mut words = line.split_whitespace();
    let mut command = Command::new(words.next().unwrap());
    command.args(words);
    command
}
