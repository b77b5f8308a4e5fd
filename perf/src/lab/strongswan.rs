//! strongSwan in a namespace, as a foreign IKE peer: its own files, its own /run, ESP in user space (kernel-libipsec).
//!
//! Limits of kernel-libipsec 5.9: ESP in UDP only, tunnel mode, no extended sequence numbers.

use std::fmt::Display;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use super::{Lab, Namespace, Process, check};

/// The daemon, where Debian has it.
const CHARON: &str = "/usr/lib/ipsec/charon";
/// How long `swanctl` may take, that waits for what it asks for.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long it may take to start.
const START: Duration = Duration::from_secs(30);
/// Plugins in the order in which they are asked: ESP in user space before that of a kernel which has none.
const PLUGINS: &str = "random nonce openssl kdf pem pkcs1 pkcs8 x509 pubkey constraints revocation kernel-libipsec \
                       kernel-netlink socket-default vici eap-identity eap-mschapv2 eap-tls";

/// One daemon. Dropping it ends it.
#[derive(Debug)]
pub struct StrongSwan {
    namespace: Namespace,
    directory: PathBuf,
    process: Process,
}

impl StrongSwan {
    /// Starts it in a namespace with this connection, as `swanctl.conf` has it. The namespace's kernel forwards from now on, as a gateway's does.
    ///
    /// `more` is added to the settings of the daemon, and holds against what stands there.
    pub fn start(lab: &Lab, namespace: &Namespace, connection: &impl Display, more: &str) -> Result<Self> {
        namespace.forward(true)?;
        let directory = Self::directory(lab, namespace)?;
        let settings = directory.join("strongswan.conf");
        fs::write(&settings, daemon_settings(&directory, more))?;
        // The path of its pid file is compiled in, so each daemon gets a /run of its own.
        let mut command = namespace.command("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-c"]);
        command.arg(format!("mount -t tmpfs tmpfs /run && exec {CHARON}"));
        command.env("STRONGSWAN_CONF", &settings);
        let process = Process::spawn("charon", &mut command, &directory.join("charon.log"))?;
        process.wait_for_socket(&directory.join("vici"), START)?;
        let swan = Self { namespace: namespace.clone(), directory, process };
        swan.load(connection)?;
        Ok(swan)
    }

    /// Has this connection from now on, in place of another. What stands goes on as it was agreed.
    pub fn load(&self, connection: &impl Display) -> Result<()> {
        let file = self.directory.join("swanctl.conf");
        fs::write(&file, connection.to_string())?;
        let file = file.to_str().context("the directory's name is not text")?;
        self.swanctl(&["--load-all", "--clear", "--noprompt", "--file", file]).map(drop)
    }

    /// Its process id, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.process.pid()
    }

    /// Where a daemon in this namespace of the lab looks for certificates and keys.
    pub fn directory(lab: &Lab, namespace: &Namespace) -> Result<PathBuf> {
        lab.make_directory(&format!("{}-swan", namespace.name()))
    }

    /// What the installed daemon calls itself.
    pub fn version() -> Result<String> {
        Ok(check(Command::new(CHARON).arg("--version"), PATIENCE)?.trim().to_owned())
    }

    /// Runs `swanctl`, which has to succeed, and returns what it printed.
    pub fn swanctl(&self, arguments: &[&str]) -> Result<String> {
        let (verb, rest) = arguments.split_first().context("swanctl needs a verb")?;
        let mut command = self.namespace.command("swanctl");
        command.env("STRONGSWAN_CONF", self.directory.join("strongswan.conf"));
        // Certificates and keys lie in its folders x509, x509ca and private.
        command.env("SWANCTL_DIR", &self.directory);
        command.arg(verb).arg("--uri").arg(format!("unix://{}", self.directory.join("vici").display()));
        check(command.args(rest), PATIENCE)
    }

    /// Brings up its child `a`; what it printed says why not.
    pub fn initiate(&self) -> Result<String> {
        self.swanctl(&["--initiate", "--child", "a", "--timeout", "20"])
    }

    /// Ends its connection and waits until the peer has confirmed.
    pub fn terminate(&self) -> Result<String> {
        self.swanctl(&["--terminate", "--ike", "a", "--timeout", "20"])
    }

    /// The SAs that stand, as it shows them.
    pub fn sas(&self) -> Result<String> {
        self.swanctl(&["--list-sas"])
    }

    /// What it logged.
    pub fn log(&self) -> String {
        self.process.log()
    }
}

fn daemon_settings(directory: &Path, more: &str) -> String {
    let vici = directory.join("vici");
    format!(
        "charon {{\n  load = {PLUGINS}\n  install_virtual_ip = no\n  retransmit_tries = 3\n\
         \x20 plugins {{ vici {{ socket = unix://{} }}\n    openssl {{ load_legacy = yes }} }}\n\
         \x20 filelog {{ stderr {{ default = 1\n    ike = 2\n    cfg = 2\n    knl = 2\n    flush_line = yes }} }}\n  {more}\n}}\n",
        vici.display()
    )
}
