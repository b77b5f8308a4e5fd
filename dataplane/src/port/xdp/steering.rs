//! The XDP program of one interface: loaded, told what to steer, attached, and left behind.
//!
//! The attachment is a pinned link. When this process ends, however it ends, the program stays and drops what it would
//! have given to a worker, so nothing protected passes in clear. The next process finds the pinned maps with their
//! content and replaces the program in the link by one atomic step; between the two processes the rules stay in force.

use std::collections::HashSet;
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::path::Path;

use aya::maps::{MapData, MapError, PerCpuArray, XskMap};
use aya::pin::PinError;
use aya::programs::links::{FdLink, LinkError, PinnedLink};
use aya::programs::xdp::{XdpLink, XdpMode};
use aya::programs::{ProgramError, Xdp};
use aya::{Ebpf, EbpfError, EbpfLoader};
use ravelin_contract::address::AddressRange;
use ravelin_contract::report::{InterfaceStatus, Losses};
use rustix::net::{AddressFamily, SocketType, netdevice, socket};

use super::class::Class;
use super::meter::Meter;
use super::mirror::{ANY, Exact, Mirror, Prefixes, take};
use super::offload;
use super::pins::Pins;
use super::prefixes::prefixes;

/// The compiled `bpf/steer.bpf.c`.
static PROGRAM: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/steer.bpf.o"));

/// How a program is attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// In the driver.
    Native,
    /// In the kernel's generic receive path, at the cost of a socket buffer per frame.
    Generic,
}

/// Which modes are good enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModeChoice {
    /// Native, or failure.
    Native,
    /// Native where the driver can, else generic.
    NativeOrGeneric,
    /// Generic alone.
    Generic,
}

/// Why an interface cannot be steered.
#[derive(Debug, thiserror::Error)]
pub enum SteeringError {
    /// There is no such interface, or it cannot be asked.
    #[error("interface {0}: {1}")]
    Interface(String, #[source] io::Error),
    /// Pinning needs a BPF file system.
    #[error("cannot keep the steering program: {0}")]
    Pins(#[source] io::Error),
    /// The kernel refused program or maps.
    #[error("cannot load the steering program: {0}")]
    Load(#[from] EbpfError),
    /// A map of the program is missing or of another kind: program and loader do not belong together.
    #[error("map {0} of the steering program is not as expected")]
    Layout(&'static str),
    /// A map did not take an entry: it is full, or the kernel has no memory.
    #[error("steering map {0}: {1}")]
    Map(&'static str, #[source] MapError),
    /// The kernel refused to load or attach the program.
    #[error("cannot attach the steering program: {0}")]
    Attach(#[from] ProgramError),
    /// The link cannot be used or pinned.
    #[error("cannot keep the attachment of the steering program: {0}")]
    Link(#[from] LinkError),
    /// The link cannot be pinned.
    #[error("cannot pin the attachment of the steering program: {0}")]
    Pin(#[from] PinError),
}

/// The program of one interface. Dropping it leaves the program attached; [`Steering::remove`] takes it off.
pub struct Steering {
    interface: String,
    ifindex: u32,
    pins: Pins,
    program: Ebpf,
    mode: Option<Mode>,
    sockets: XskMap<MapData>,
    local4: Exact<[u8; 4]>,
    local6: Exact<[u8; 16]>,
    protected4: Prefixes<[u8; 4]>,
    protected6: Prefixes<[u8; 16]>,
    natt_ports: Exact<[u8; 2]>,
    peers4: Exact<[u8; 4]>,
    peers6: Exact<[u8; 16]>,
    decisions: PerCpuArray<MapData, u64>,
}

impl Steering {
    /// Loads the program for an interface, with the pinned maps of an earlier process where there are any, and turns
    /// off the offloads that would hide octets. The program sees no frame before [`Self::attach`]: set the rules
    /// between the two, or nothing passes to the kernel until they are set.
    ///
    /// `pin_dir` lies on a BPF file system, such as `/sys/fs/bpf/ravelin/INSTANCE`; where that is not mounted at
    /// `/sys/fs/bpf`, it is mounted.
    pub fn load(interface: &str, pin_dir: &Path) -> Result<Self, SteeringError> {
        let of_interface = |error| SteeringError::Interface(interface.to_owned(), error);
        let ifindex = index_of(interface).map_err(of_interface)?;
        offload::disable(interface).map_err(of_interface)?;
        let pins = Pins::prepare(pin_dir, interface).map_err(SteeringError::Pins)?;
        let mut program = EbpfLoader::new().default_map_pin_directory(pins.maps()).load(PROGRAM)?;
        let maps = &mut program;
        Ok(Self {
            interface: interface.to_owned(),
            ifindex,
            pins,
            mode: None,
            sockets: take(maps, "xsks")?,
            local4: Mirror::take(maps, "local4")?,
            local6: Mirror::take(maps, "local6")?,
            protected4: Mirror::take(maps, "protected4")?,
            protected6: Mirror::take(maps, "protected6")?,
            natt_ports: Mirror::take(maps, "natt_ports")?,
            peers4: Mirror::take(maps, "peers4")?,
            peers6: Mirror::take(maps, "peers6")?,
            decisions: take(maps, "decisions")?,
            program,
        })
    }

    /// Puts the program on the interface, in the place of an earlier process's where there is one (in whatever mode
    /// that was attached), and pins it.
    pub fn attach(&mut self, choice: ModeChoice) -> Result<Mode, SteeringError> {
        self.xdp()?.load()?;
        let mode = match self.replace()? {
            Some(mode) => mode,
            None => self.attach_anew(choice)?,
        };
        self.pins.remove_old_maps();
        self.mode = Some(mode);
        Ok(mode)
    }

    /// How it is attached; `None` before it is.
    pub fn mode(&self) -> Option<Mode> {
        self.mode
    }

    /// For the report; losses and zero-copy by the `meters` of its queues.
    pub fn status(&self, meters: &[Meter]) -> Result<InterfaceStatus, SteeringError> {
        let of_interface = |error| SteeringError::Interface(self.interface.clone(), error);
        let (mut losses, mut zero_copy) = (Losses::default(), !meters.is_empty());
        for meter in meters {
            losses += meter.losses().map_err(of_interface)?;
            zero_copy &= meter.is_zero_copy().map_err(of_interface)?;
        }
        let mode = match self.mode {
            Some(Mode::Native) => "native",
            Some(Mode::Generic) => "generic",
            None => "",
        };
        let steered = self.counters()?.map(|(class, count)| (class.name().to_owned(), count));
        Ok(InterfaceStatus {
            name: self.interface.clone(),
            mode: mode.to_owned(),
            steered: steered.to_vec(),
            zero_copy,
            losses,
        })
    }

    /// Name of the interface.
    pub fn interface(&self) -> &str {
        &self.interface
    }

    /// Index of the interface.
    pub fn ifindex(&self) -> u32 {
        self.ifindex
    }

    /// Says which addresses are this host's: those of all its interfaces, with the broadcast addresses of their
    /// networks.
    pub fn set_local(&mut self, addresses: impl IntoIterator<Item = IpAddr>) -> Result<(), SteeringError> {
        let (v4, v6) = split(addresses);
        self.local4.set(v4)?;
        self.local6.set(v6)
    }

    /// Says which sources the policy protects, so that what they send to this host in clear is judged by a worker.
    pub fn set_protected(
        &mut self,
        ranges: impl IntoIterator<Item = AddressRange>,
    ) -> Result<(), SteeringError> {
        let (mut v4, mut v6) = (HashSet::new(), HashSet::new());
        for (address, length) in ranges.into_iter().flat_map(prefixes) {
            match address {
                IpAddr::V4(address) => v4.insert((length.into(), address.octets())),
                IpAddr::V6(address) => v6.insert((length.into(), address.octets())),
            };
        }
        self.protected4.set(v4)?;
        self.protected6.set(v6)
    }

    /// Says on which UDP ports ESP comes in UDP, besides 4500 (RFC 3948).
    pub fn set_natt_ports(&mut self, ports: impl IntoIterator<Item = u16>) -> Result<(), SteeringError> {
        self.natt_ports.set(ports.into_iter().map(u16::to_be_bytes).collect())
    }

    /// Says which outer addresses send under our SAs, so that fragments of theirs reach a worker.
    pub fn set_peers(&mut self, addresses: impl IntoIterator<Item = IpAddr>) -> Result<(), SteeringError> {
        let (v4, v6) = split(addresses);
        self.peers4.set(v4)?;
        self.peers6.set(v6)
    }

    /// Says which of these have come and gone since.
    pub fn change_peers(
        &mut self,
        come: impl IntoIterator<Item = IpAddr>,
        gone: impl IntoIterator<Item = IpAddr>,
    ) -> Result<(), SteeringError> {
        let ((come4, come6), (gone4, gone6)) = (split(come), split(gone));
        self.peers4.change(come4, gone4)?;
        self.peers6.change(come6, gone6)
    }

    /// Gives the frames of a receive queue to an AF_XDP socket that is bound to it. When the socket is closed, the
    /// queue's frames are dropped again.
    pub fn set_socket(&mut self, queue: u32, socket: BorrowedFd<'_>) -> Result<(), SteeringError> {
        self.sockets.set(queue, socket.as_raw_fd(), ANY).map_err(|error| SteeringError::Map("xsks", error))
    }

    /// Frames per class since the maps were made, over all CPUs; restarts do not reset them.
    pub fn counters(&self) -> Result<[(Class, u64); Class::ALL.len()], SteeringError> {
        let mut counted = Class::ALL.map(|class| (class, 0));
        for (class, count) in &mut counted {
            let per_cpu = self.decisions.get(&(*class as u32), 0);
            *count = per_cpu.map_err(|error| SteeringError::Map("decisions", error))?.iter().sum();
        }
        Ok(counted)
    }

    /// Detaches the program of an interface, whichever process attached it, and forgets its maps. From then on the
    /// kernel sees everything.
    pub fn remove(interface: &str, pin_dir: &Path) -> io::Result<()> {
        Pins::remove(pin_dir, interface)
    }

    fn xdp(&mut self) -> Result<&mut Xdp, SteeringError> {
        let program = self.program.program_mut("steer").ok_or(SteeringError::Layout("steer"))?;
        Ok(program.try_into()?)
    }

    /// Puts the program into the pinned link, if there is a living one.
    fn replace(&mut self) -> Result<Option<Mode>, SteeringError> {
        for mode in [Mode::Native, Mode::Generic] {
            let pin = self.pins.link(mode);
            if !pin.exists() {
                continue;
            }
            let link: FdLink = PinnedLink::from_pin(&pin)?.into();
            let link = XdpLink::try_from(link)?;
            let program = self.xdp()?;
            match program.attach_to_link(link) {
                Ok(id) => drop(program.take_link(id)?),
                // The interface of that name was deleted since, and its link with it.
                Err(error) if os_error(&error) == Some(libc::ENOLINK) => {
                    std::fs::remove_file(&pin).map_err(SteeringError::Pins)?;
                    continue;
                }
                Err(error) => return Err(error.into()),
            }
            return Ok(Some(mode));
        }
        Ok(None)
    }

    fn attach_anew(&mut self, choice: ModeChoice) -> Result<Mode, SteeringError> {
        if choice == ModeChoice::Generic {
            return self.attach_as(Mode::Generic).map(|()| Mode::Generic);
        }
        match (self.attach_as(Mode::Native), choice) {
            (Ok(()), _) => Ok(Mode::Native),
            (Err(_), ModeChoice::NativeOrGeneric) => self.attach_as(Mode::Generic).map(|()| Mode::Generic),
            (Err(error), _) => Err(error),
        }
    }

    fn attach_as(&mut self, mode: Mode) -> Result<(), SteeringError> {
        let (pin, ifindex) = (self.pins.link(mode), self.ifindex);
        let program = self.xdp()?;
        let wanted = match mode {
            Mode::Native => XdpMode::Driver,
            Mode::Generic => XdpMode::Skb,
        };
        let id = program.attach_to_if_index(ifindex, wanted)?;
        // An attachment by netlink has no link and would end with this process: that is a failure, not a lesser mode.
        let link = FdLink::try_from(program.take_link(id)?)?;
        link.pin(pin)?;
        Ok(())
    }
}

impl std::fmt::Debug for Steering {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Steering")
            .field("interface", &self.interface)
            .field("mode", &self.mode)
            .finish_non_exhaustive()
    }
}

fn split(addresses: impl IntoIterator<Item = IpAddr>) -> (HashSet<[u8; 4]>, HashSet<[u8; 16]>) {
    let (mut v4, mut v6) = (HashSet::new(), HashSet::new());
    for address in addresses {
        match address {
            IpAddr::V4(address) => v4.insert(address.octets()),
            IpAddr::V6(address) => v6.insert(address.octets()),
        };
    }
    (v4, v6)
}

fn index_of(interface: &str) -> io::Result<u32> {
    let socket = socket(AddressFamily::INET, SocketType::DGRAM, None)?;
    Ok(netdevice::name_to_index(socket, interface)?)
}

fn os_error(error: &ProgramError) -> Option<i32> {
    match error {
        ProgramError::SyscallError(error) => error.io_error.raw_os_error(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;

    /// Machines without clang take the checked-in object; it must come from the checked-in source.
    #[test]
    fn the_checked_in_object_is_current() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("bpf");
        let sums = std::fs::read_to_string(folder.join("steer.bpf.sha256")).unwrap();
        for name in ["steer.bpf.c", "steer.bpf.o"] {
            let digest = Sha256::digest(std::fs::read(folder.join(name)).unwrap());
            let hex: String = digest.iter().map(|octet| format!("{octet:02x}")).collect();
            assert!(sums.contains(&format!("{hex}  {name}")), "{name} changed: see bpf/README.md");
        }
    }
}
