//! The kernels step by step: whatever the secrets, the same instructions run. This reaches the 512-bit kernels, which
//! valgrind does not.

use std::io;

use ravelin_crypto_accel::BackEnd;
use ravelin_crypto_accel::aead::{Algorithm, Key};

use crate::common::ALGORITHMS;
use crate::work::{Batch, careless, noise};

/// Most steps of a trace; more would be a process that ran away.
const MOST: usize = 3_000_000;

/// Runs the work in a child process, one instruction at a time between two breakpoints; gives their addresses.
fn trace(work: impl FnOnce()) -> Vec<u64> {
    // SAFETY: the child calls only the work, whose memory was made before, and leaves without unwinding.
    let child = unsafe { libc::fork() };
    assert!(child >= 0, "{}", io::Error::last_os_error());
    if child == 0 {
        // SAFETY: asks to be traced; touches no memory.
        unsafe { libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0) };
        breakpoint();
        work();
        breakpoint();
        // SAFETY: leaves at once.
        unsafe { libc::_exit(0) };
    }
    wait_for_stop(child);
    let mut steps = Vec::new();
    while steps.len() < MOST {
        // SAFETY: the child is stopped and ours; it advances by one instruction.
        let result = unsafe { libc::ptrace(libc::PTRACE_SINGLESTEP, child, 0, 0) };
        assert_eq!(result, 0, "{}", io::Error::last_os_error());
        wait_for_stop(child);
        let step = instruction_pointer(child);
        if at_breakpoint(step) {
            break;
        }
        steps.push(step);
    }
    // SAFETY: the child is ours.
    unsafe { libc::kill(child, libc::SIGKILL) };
    // SAFETY: as above; a null pointer asks for no status.
    unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) };
    assert!(steps.len() < MOST, "the work never came to its end");
    steps
}

#[inline(never)]
fn breakpoint() {
    // SAFETY: stops a process that is traced.
    unsafe { std::arch::asm!("int3") };
}

/// Whether the next instruction is a breakpoint. The child has our own code at the same addresses.
fn at_breakpoint(place: u64) -> bool {
    // SAFETY: the child is about to execute there, so it is code, and ours is the same.
    unsafe { *(place as *const u8) == 0xcc }
}

fn wait_for_stop(child: libc::pid_t) {
    let mut status = 0;
    // SAFETY: the status is ours to be written.
    let result = unsafe { libc::waitpid(child, &mut status, 0) };
    assert_eq!(result, child, "{}", io::Error::last_os_error());
    assert!(libc::WIFSTOPPED(status) && libc::WSTOPSIG(status) == libc::SIGTRAP, "status {status:#x}");
}

fn instruction_pointer(child: libc::pid_t) -> u64 {
    let place = std::mem::offset_of!(libc::user_regs_struct, rip);
    // SAFETY: the child is stopped and ours; what is read of it comes as the result.
    unsafe { libc::ptrace(libc::PTRACE_PEEKUSER, child, place, 0) as u64 }
}

/// Where two traces part.
fn parting(one: &[u64], other: &[u64]) -> Option<String> {
    if one.len() < 20 {
        return Some(format!("only {} steps", one.len()));
    }
    let at = one.iter().zip(other).position(|(a, b)| a != b);
    let at = at.or((one.len() != other.len()).then_some(one.len().min(other.len())))?;
    Some(format!("step {at} of {} and {}: {:x?} {:x?}", one.len(), other.len(), one.get(at), other.get(at)))
}

/// Our own code. That of libraries takes many more steps, and valgrind sees it.
fn kernels() -> impl Iterator<Item = (BackEnd, Algorithm)> {
    let all = BackEnd::available().flat_map(|back_end| ALGORITHMS.map(|algorithm| (back_end, algorithm)));
    all.filter(|(back_end, algorithm)| match algorithm {
        Algorithm::ChaCha20Poly1305 => back_end.name() == "vaes512",
        _ => back_end.name() != "portable",
    })
}

/// Traces of sealing and opening `N` texts under two keys, at the same places.
fn check<const N: usize>(back_end: BackEnd, algorithm: Algorithm, length: usize) {
    let mut batch = Batch::<N>::new(length, 12);
    let traces = [1, 2].map(|seed| {
        let key =
            Key::on(back_end, algorithm, &noise(algorithm.key_len(), seed)).expect("the length is right");
        batch.fill(seed);
        let static_iv = noise(12, seed);
        batch.static_iv.copy_from_slice(&static_iv);
        let sealed = trace(|| batch.seal(&key));
        batch.seal(&key);
        let opened = trace(|| assert_eq!(batch.open(&key), [Ok(()); N]));
        (sealed, opened)
    });
    let [(sealed, opened), (sealed_again, opened_again)] = &traces;
    let case = format!("{} {algorithm:?} {N} of {length}", back_end.name());
    assert_eq!(parting(sealed, sealed_again), None, "sealing on {case}");
    assert_eq!(parting(opened, opened_again), None, "opening on {case}");
}

#[test]
#[cfg_attr(debug_assertions, ignore = "says nothing of the code that ships, and takes long")]
fn every_kernel_takes_the_same_way_whatever_the_secrets() {
    for (back_end, algorithm) in kernels() {
        check::<1>(back_end, algorithm, 300);
        check::<5>(back_end, algorithm, 77);
        check::<2>(back_end, algorithm, 1420);
    }
}

/// A comparison that stopped at the first octet that differs would take another way.
#[test]
#[cfg_attr(debug_assertions, ignore = "says nothing of the code that ships, and takes long")]
fn every_wrong_tag_takes_the_same_way() {
    for back_end in BackEnd::available() {
        for algorithm in ALGORITHMS {
            let key =
                Key::on(back_end, algorithm, &noise(algorithm.key_len(), 1)).expect("the length is right");
            let mut batch = Batch::<1>::new(100, 12);
            batch.seal(&key);
            let right = batch.tags[0];
            let traces = [0, 7, 15].map(|place| {
                batch.tags[0] = right;
                batch.tags[0][place] ^= 0x40;
                trace(|| assert!(batch.open(&key)[0].is_err()))
            });
            for other in &traces[1..] {
                let case = format!("{} {algorithm:?}", back_end.name());
                assert_eq!(parting(&traces[0], other), None, "{case}");
            }
        }
    }
}

#[test]
#[cfg_attr(debug_assertions, ignore = "says nothing of the code that ships, and takes long")]
fn careless_work_parts() {
    let table = std::array::from_fn(|i| i as u8);
    let mut secret = [0; 64];
    let [one, other] = [1, 2].map(|seed| {
        secret.copy_from_slice(&noise(64, seed));
        trace(|| {
            careless(&secret, &table);
        })
    });
    assert!(parting(&one, &other).is_some(), "a branch by a secret was not seen");
    assert_eq!(parting(&one, &one), None);
}
