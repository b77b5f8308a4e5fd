//! Recording what passes an interface.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;

use super::command::wait_until;
use super::namespace::Namespace;
use super::pcap::{Kind, Pcap};
use super::process::Process;
use super::{Lab, MARK, MOMENT};

/// A tcpdump filter for all that IPsec gateways with IKE have no business to send: not IKE, not ESP plain or in UDP, not the
/// neighbours' own talk, of which multicast listener reports have a hop-by-hop header before ICMPv6 (RFC 3810 5).
pub const NOT_IPSEC: &str = "not (udp port 500 or udp port 4500) and not esp and not arp and not icmp6 \
                             and not (ip6[6] == 0 and ip6[40] == 58)";

/// Kernel memory for packets that tcpdump did not fetch yet, in KiB.
const BUFFER: &str = "65536";

/// How long the file must not have grown before a capture counts as complete.
const QUIET: Duration = Duration::from_millis(300);

/// A running tcpdump.
#[derive(Debug)]
pub struct Capture {
    tcpdump: Process,
    file: PathBuf,
}

/// A finished capture: complete, the kernel dropped nothing.
#[derive(Debug)]
pub struct Captured {
    /// Where it is, for foreign programs.
    pub file: PathBuf,
    /// What is in it.
    pub packets: Pcap,
}

impl Captured {
    /// An error unless there is nothing but ESP and the neighbours' own talk, and nowhere a part of the lab's payloads.
    pub fn ensure_sealed(&self) -> Result<()> {
        let (other, clear) = (self.packets.count(Kind::Other), self.packets.count_containing(MARK));
        ensure!(other == 0, "{other} packets are not ESP");
        ensure!(clear == 0, "{clear} packets hold cleartext");
        Ok(())
    }
}

impl Capture {
    /// Starts recording whole packets of one interface, both ways, and returns when tcpdump listens. `NAME.pcap` is the file.
    pub fn start(lab: &Lab, namespace: &Namespace, interface: &str, name: &str) -> Result<Self> {
        Self::start_with(lab, namespace, interface, name, &[])
    }

    /// Like [`Capture::start`], only the packets that this namespace receives and that a tcpdump filter such as `icmp` takes.
    ///
    /// What leaves by an AF_XDP ring is seen only here, where it arrives: it does not pass the sender's taps.
    pub fn start_received(
        lab: &Lab,
        at: &Namespace,
        interface: &str,
        name: &str,
        filter: &str,
    ) -> Result<Self> {
        Self::start_with(lab, at, interface, name, &["-Q", "in", filter])
    }

    /// Like [`Capture::start`], only the packets that this namespace's kernel sends and that a tcpdump filter takes.
    pub fn start_sent(
        lab: &Lab,
        from: &Namespace,
        interface: &str,
        name: &str,
        filter: &str,
    ) -> Result<Self> {
        Self::start_with(lab, from, interface, name, &["-Q", "out", filter])
    }

    fn start_with(
        lab: &Lab,
        namespace: &Namespace,
        interface: &str,
        name: &str,
        more: &[&str],
    ) -> Result<Self> {
        let file = lab.file(&format!("{name}.pcap"));
        let mut command = namespace.command("tcpdump");
        // Immediate mode: otherwise packets stay unseen in a kernel block that is not full. Root keeps its rights (-Z): the
        // lab's directory is root's.
        command.args([
            "-i",
            interface,
            "-n",
            "-U",
            "-s",
            "0",
            "-B",
            BUFFER,
            "--immediate-mode",
            "-Z",
            "root",
        ]);
        command.arg("-w").arg(&file).args(more);
        let tcpdump = Process::spawn("tcpdump", &mut command, &lab.file(&format!("{name}.tcpdump.log")))?;
        tcpdump.wait_for_line("listening on", MOMENT)?;
        Ok(Self { tcpdump, file })
    }

    /// Stops when nothing was written for a moment. An error when the kernel dropped packets from the capture: then it proves
    /// nothing.
    pub fn stop(mut self) -> Result<Captured> {
        self.wait_until_quiet()?;
        self.tcpdump.signal(Signal::INT)?;
        self.tcpdump.wait(MOMENT)?;
        let log = self.tcpdump.log();
        let dropped =
            log.lines().find(|line| line.contains("dropped by kernel")).context("tcpdump gave no count")?;
        ensure!(dropped.trim().starts_with("0 "), "the capture is not complete: {dropped}");
        let packets = Pcap::read(&self.file)?;
        Ok(Captured { file: self.file.clone(), packets })
    }

    /// The file being written.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Traffic that never ends, such as a lost transfer's retries, must not hold it up for ever: hence the limit.
    fn wait_until_quiet(&self) -> Result<()> {
        let length = || fs::metadata(&self.file).map_or(0, |metadata| metadata.len());
        let mut last = length();
        wait_until("the capture to be quiet", MOMENT, || {
            std::thread::sleep(QUIET);
            let before = std::mem::replace(&mut last, length());
            before == last
        })
    }
}
