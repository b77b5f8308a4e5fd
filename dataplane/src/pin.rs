//! What a worker's thread and the process as a whole hold on to: a core, their memory, and their secrets.

use std::io;

use rustix::mm::{MlockAllFlags, mlockall};
use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// The cores that this thread may run on, in ascending order. Asked before the first [`to_core`], these are the cores
/// of the process.
pub fn cores() -> io::Result<Vec<usize>> {
    let allowed = sched_getaffinity(None)?;
    Ok((0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core)).collect())
}

/// Keeps the calling thread on one core.
///
/// Errors: there is no such core, or the process may not use it.
pub fn to_core(core: usize) -> io::Result<()> {
    if core >= CpuSet::MAX_CPU {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut only = CpuSet::new();
    only.set(core);
    Ok(sched_setaffinity(None, &only)?)
}

/// Keeps all memory of the process in RAM, what it has and what it will have: keys never reach a swap device, and no
/// worker waits for a page once it was touched.
///
/// Errors: the limit on locked memory is too low and CAP_IPC_LOCK is missing.
pub fn lock_memory() -> io::Result<()> {
    Ok(mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT)?)
}

/// Keeps keys out of core files: the process leaves none, and no other process of the same user may read its memory.
pub fn forbid_core_dumps() -> io::Result<()> {
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    Ok(set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}

#[cfg(test)]
mod tests {
    use rustix::process::{dumpable_behavior, getrlimit};

    use super::*;

    #[test]
    fn a_thread_stays_where_it_is_put() {
        let last = *cores().unwrap().last().unwrap();
        std::thread::spawn(move || {
            to_core(last).unwrap();
            assert_eq!(cores().unwrap(), [last]);
        })
        .join()
        .unwrap();
        assert!(to_core(CpuSet::MAX_CPU).is_err());
    }

    #[test]
    fn no_core_file_is_left() {
        forbid_core_dumps().unwrap();
        assert_eq!(getrlimit(Resource::Core).current, Some(0));
        assert_eq!(dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
    }

    #[test]
    fn memory_stays_in_ram() {
        lock_memory().unwrap();
        let area = vec![1u8; 1 << 20];
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let locked = status.lines().find_map(|line| line.strip_prefix("VmLck:")).unwrap();
        let kilobytes: usize = locked.trim().trim_end_matches(" kB").parse().unwrap();
        assert!(kilobytes >= area.len() / 1024, "{locked}");
    }
}
