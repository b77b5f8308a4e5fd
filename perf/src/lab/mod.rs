//! A lab: network namespaces, the links between them, the programs in them, and one directory for their files.
//!
//! Whatever way the process ends that made a lab, the lab ends with it: a janitor (`janitor.sh`) waits for the end of that process
//! and removes namespaces, programs, mounts and files.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result, ensure};

mod capture;
mod command;
mod http;
mod janitor;
mod link;
mod namespace;
mod nat;
pub mod pcap;
mod ping;
mod process;
mod strongswan;
mod swanctl;
mod two_sites;
mod watch;

pub use capture::{Capture, Captured, NOT_IPSEC};
pub use command::{MOMENT, Output, check, run, run_with_input, wait_until};
pub use http::{Download, Fetch, FileServer, MARK, marked_file, sha256};
pub use link::{End, Link};
pub use namespace::Namespace;
pub use nat::{Behind, Nat};
pub use ping::{Ping, PingReport};
pub use process::Process;
pub use strongswan::StrongSwan;
pub use swanctl::{Connection, Suites};
pub use two_sites::{Shape, Side, TwoSites};
pub use watch::Watch;

use janitor::Janitor;

/// Where labs keep their files. On disk and not in /run, for captures are large; short, for socket paths are limited to 108 octets.
const ROOT: &str = "/var/lib/ravelin-lab";

/// One lab. Dropping it removes all that it made.
#[derive(Debug)]
pub struct Lab {
    /// `rv-LABEL-PID-NUMBER`; the names of all its namespaces begin with it.
    id: String,
    directory: PathBuf,
    janitor: Janitor,
}

impl Lab {
    /// A new, empty lab. The label is one short word, to recognise its namespaces by. Needs root.
    ///
    /// Also removes labs whose process is gone, in case a janitor was killed.
    pub fn new(label: &str) -> Result<Self> {
        ensure!(rustix::process::geteuid().is_root(), "a lab needs root: it makes network namespaces");
        ensure!(is_word(label), "the label of a lab is a short word in lower case, not {label:?}");
        janitor::sweep(Path::new(ROOT))?;
        let id = next_id(label);
        let directory = Path::new(ROOT).join(&id);
        fs::create_dir_all(&directory).with_context(|| format!("making {}", directory.display()))?;
        let janitor = Janitor::hire(&id, &directory)?;
        Ok(Self { id, directory, janitor })
    }

    /// Adds a namespace with its loopback up and nothing else. The name is a short word such as `gw-a`.
    pub fn namespace(&self, name: &str) -> Result<Namespace> {
        Namespace::create(&format!("{}-{name}", self.id))
    }

    /// The lab's directory, removed with it.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// A path in the lab's directory.
    pub fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Makes a directory in the lab's directory.
    pub fn make_directory(&self, name: &str) -> Result<PathBuf> {
        let path = self.file(name);
        fs::create_dir_all(&path).with_context(|| format!("making {}", path.display()))?;
        Ok(path)
    }

    /// Mounts a BPF file system in the lab's directory, for pinned programs and maps. The machine need not have one.
    pub fn bpf_file_system(&self, name: &str) -> Result<PathBuf> {
        let path = self.make_directory(name)?;
        check(command::words("mount -t bpf bpf").arg(&path), MOMENT)?;
        Ok(path)
    }

    /// Lets the lab live on after this process. [`Lab::remove_kept`] ends it.
    pub fn keep(self) -> Result<PathBuf> {
        fs::write(self.file(janitor::KEPT), "")?;
        self.janitor.dismiss()?;
        Ok(self.directory)
    }

    /// Removes the labs that [`Lab::keep`] left, and says how many.
    pub fn remove_kept(label: &str) -> Result<usize> {
        janitor::remove_kept(Path::new(ROOT), &format!("rv-{label}-"))
    }
}

fn next_id(label: &str) -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    format!("rv-{label}-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed))
}

fn is_word(label: &str) -> bool {
    (1..=12).contains(&label.len()) && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
}
