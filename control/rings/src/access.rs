//! Who may use the keys of a ring, and how it is known who asks (rows A8, E19, E38).

use std::collections::BTreeSet;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags};
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Whose a ring is (row E38). An owning user may always use its keys; `ca` and `host` only say what the ring is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Owner {
    /// A user or service account.
    User(u32),
    /// The certification authority of this site.
    Ca,
    /// This host as such.
    Host,
}

/// Who beside the owner may use the keys of a ring.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Access {
    /// User ids.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub users: BTreeSet<u32>,
    /// Group ids, main or supplementary.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub groups: BTreeSet<u32>,
    /// Units of the service manager, such as `web.service`.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub units: BTreeSet<String>,
}

/// Who asks for a key: captured once, when a connection is mapped, and handed along with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    kind: Kind,
    uid: u32,
    gids: BTreeSet<u32>,
    unit: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Somebody to be looked up on the list.
    Application,
    /// The operator's command, which has opened the ring by its own rights on the files.
    Operator,
}

/// By which line of the list somebody was let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grant {
    /// The owning user.
    Owner,
    /// A user on the list.
    User,
    /// A group on the list.
    Group,
    /// A unit on the list.
    Unit,
    /// The operator's command.
    Operator,
}

impl Grant {
    /// Its name in logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::User => "user",
            Self::Group => "group",
            Self::Unit => "unit",
            Self::Operator => "operator",
        }
    }
}

impl Access {
    /// The first line that lets `caller` use a ring of `owner`. Root has no line of its own.
    pub fn grant(&self, owner: Owner, caller: &Caller) -> Option<Grant> {
        let unit_listed = caller.unit.as_ref().is_some_and(|unit| self.units.contains(unit));
        match caller.kind {
            Kind::Operator => Some(Grant::Operator),
            Kind::Application if owner == Owner::User(caller.uid) => Some(Grant::Owner),
            Kind::Application if self.users.contains(&caller.uid) => Some(Grant::User),
            Kind::Application if !self.groups.is_disjoint(&caller.gids) => Some(Grant::Group),
            Kind::Application if unit_listed => Some(Grant::Unit),
            Kind::Application => None,
        }
    }
}

impl Caller {
    /// An application known by other means, such as the owner of a mapped connection.
    pub fn application(uid: u32, gids: impl IntoIterator<Item = u32>, unit: Option<String>) -> Self {
        Self { kind: Kind::Application, uid, gids: gids.into_iter().collect(), unit }
    }

    /// This process as an application: what the control process gives for its own use (IKE).
    pub fn this_process() -> Self {
        let mut gids: BTreeSet<u32> = rustix::process::getgroups()
            .map(|groups| groups.into_iter().map(rustix::process::Gid::as_raw).collect())
            .unwrap_or_default();
        gids.insert(rustix::process::getegid().as_raw());
        let unit = unit_of(Path::new("/proc/self/cgroup"));
        Self { kind: Kind::Application, uid: rustix::process::geteuid().as_raw(), gids, unit }
    }

    /// The operator's command on its own behalf: making requests and certificates of keys that it has just opened
    /// by its rights on the files. Never for a connection.
    pub fn operator() -> Self {
        Self { kind: Kind::Operator, ..Self::this_process() }
    }

    /// The process at the other end of `stream`: user and group as the kernel noted them when it connected,
    /// supplementary groups and unit as they are now. What cannot be read is left out, so it lets nobody in.
    pub fn of_peer(stream: &UnixStream) -> Result<Self> {
        let failed = |source: rustix::io::Errno| Error::Io {
            path: "socket".into(),
            doing: "ask who is at the other end",
            source: source.into(),
        };
        let peer = rustix::net::sockopt::socket_peercred(stream.as_fd()).map_err(failed)?;
        let (uid, gid) = (peer.uid.as_raw(), peer.gid.as_raw());
        let (groups, unit) = process_facts(peer.pid, uid).unwrap_or_default();
        Ok(Self::application(uid, groups.into_iter().chain([gid]), unit))
    }

    /// Whether it is the operator's command on its own behalf.
    pub(crate) fn is_operator(&self) -> bool {
        self.kind == Kind::Operator
    }

    /// User id.
    pub fn uid(&self) -> u32 {
        self.uid
    }

    /// Unit, where it runs in one.
    pub fn unit(&self) -> Option<&str> {
        self.unit.as_deref()
    }
}

impl std::fmt::Display for Caller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "uid {} (groups ", self.uid)?;
        for (before, gid) in self.gids.iter().enumerate() {
            write!(f, "{}{gid}", if before == 0 { "" } else { "," })?;
        }
        write!(f, ", unit {})", self.unit.as_deref().unwrap_or("none"))
    }
}

/// Groups and unit of a process. Nothing if it ends meanwhile (its number could be another's then), or has another
/// user than the one that connected.
fn process_facts(pid: Pid, uid: u32) -> Option<(Vec<u32>, Option<String>)> {
    let handle = rustix::process::pidfd_open(pid, PidfdFlags::empty()).ok()?;
    let home = Path::new("/proc").join(pid.as_raw_pid().to_string());
    let status = std::fs::read_to_string(home.join("status")).ok()?;
    let numbers = |field: &str| -> Option<Vec<u32>> {
        let line = status.lines().find_map(|line| line.strip_prefix(field))?;
        line.split_ascii_whitespace().map(|number| number.parse().ok()).collect()
    };
    // Real, effective, saved, file system.
    let same_user = numbers("Uid:")?.get(1) == Some(&uid);
    let unit = unit_of(&home.join("cgroup"));
    // A pidfd becomes readable when its process ends.
    let mut ended = [PollFd::new(&handle, PollFlags::IN)];
    let alive = poll(&mut ended, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).is_ok_and(|ready| ready == 0);
    (same_user && alive).then(|| numbers("Groups:").map(|groups| (groups, unit)))?
}

/// The unit that a control group path belongs to: its uppermost part with the ending of a unit that runs processes.
/// Below it a service may make groups of any name, and a user manager (`user@1000.service`) units of any name.
fn unit_of(file: &Path) -> Option<String> {
    let text = std::fs::read_to_string(file).ok()?;
    let path = text.lines().find_map(|line| line.strip_prefix("0::"))?;
    let is_unit = |part: &&str| part.ends_with(".service") || part.ends_with(".scope");
    path.split('/').find(is_unit).map(str::to_owned)
}
