//! A network namespace, and running things in it.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use super::command::{MOMENT, check, words};

/// Kernel settings that every namespace gets, so that only what a test sends is on the links and nothing waits for a timer.
const QUIET: &[(&str, &str)] = &[
    ("net/ipv4/ip_forward", "0"),
    ("net/ipv4/conf/all/rp_filter", "0"),
    ("net/ipv4/conf/default/rp_filter", "0"),
    ("net/ipv4/conf/all/send_redirects", "0"),
    ("net/ipv4/conf/default/send_redirects", "0"),
    ("net/ipv6/conf/all/forwarding", "0"),
    ("net/ipv6/conf/default/accept_dad", "0"),
    ("net/ipv6/conf/default/dad_transmits", "0"),
    ("net/ipv6/conf/default/accept_ra", "0"),
    ("net/ipv6/conf/default/router_solicitations", "0"),
];

/// A network namespace of a lab. A handle only: the lab removes the namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Namespace {
    name: String,
}

impl Namespace {
    pub(super) fn create(name: &str) -> Result<Self> {
        check(words("ip netns add").arg(name), MOMENT)?;
        let namespace = Self { name: name.to_owned() };
        namespace.run("ip link set lo up")?;
        namespace.set(QUIET)?;
        Ok(namespace)
    }

    /// The name that `ip netns` knows it by.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file that stands for it.
    pub fn path(&self) -> PathBuf {
        Path::new("/run/netns").join(&self.name)
    }

    /// A command that will run here. By `nsenter` and not `ip netns exec`, which hides the BPF file system.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.path().display())).arg("--").arg(program);
        command
    }

    /// Runs a command given as words parted by spaces, which has to succeed within [`MOMENT`]; returns what it printed.
    pub fn run(&self, line: &str) -> Result<String> {
        let mut line = line.split_whitespace();
        check(self.command(line.next().unwrap_or_default()).args(line), MOMENT)
    }

    /// Sets kernel settings: paths below `/proc/sys` and values.
    pub fn set(&self, settings: &[(&str, &str)]) -> Result<()> {
        let mut script = String::from("set -e\n");
        for (key, value) in settings {
            writeln!(script, "echo {value} > /proc/sys/{key}")?;
        }
        check(self.command("sh").args(["-c", &script]), MOMENT)?;
        Ok(())
    }

    /// Switches the kernel's own forwarding on or off, for both families.
    pub fn forward(&self, on: bool) -> Result<()> {
        let value = if on { "1" } else { "0" };
        self.set(&[("net/ipv4/ip_forward", value), ("net/ipv6/conf/all/forwarding", value)])
    }
}
