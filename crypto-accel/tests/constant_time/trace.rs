//! The kernels step by step: whatever the secrets, the same instructions run with the same general registers.
//!
//! Addresses are made from general registers, and branches go by flags that are among them; so equal traces mean equal
//! branches and equal addresses. This reaches the 512-bit kernels, which valgrind does not.

use std::io;

use ravelin_crypto_accel::BackEnd;
use ravelin_crypto_accel::aead::{Algorithm, Key};

use crate::common::ALGORITHMS;
use crate::work::{Batch, careless, noise};

/// General registers before an instruction, flags and instruction pointer among them.
type Step = [u64; 18];

/// Most steps of a trace; more would be a process that ran away.
const MOST: usize = 3_000_000;

/// Runs the work in a child process, one instruction at a time between two breakpoints.
fn trace(work: impl FnOnce()) -> Vec<Step> {
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
        let step = registers(child);
        if at_breakpoint(step[0]) {
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

fn registers(child: libc::pid_t) -> Step {
    let mut now = std::mem::MaybeUninit::<libc::user_regs_struct>::zeroed();
    // SAFETY: the child is stopped and ours, the structure is what the call fills.
    let result = unsafe { libc::ptrace(libc::PTRACE_GETREGS, child, 0, now.as_mut_ptr()) };
    assert_eq!(result, 0, "{}", io::Error::last_os_error());
    // SAFETY: the call filled it, and zeros were valid before.
    let now = unsafe { now.assume_init() };
    [
        now.rip, now.eflags, now.rsp, now.rbp, now.rax, now.rbx, now.rcx, now.rdx, now.rsi, now.rdi, now.r8,
        now.r9, now.r10, now.r11, now.r12, now.r13, now.r14, now.r15,
    ]
}

/// Where two traces part: the number of the step, and what the registers were. What a register held before the work, and
/// still holds, does not count: it is the test's.
fn parting(one: &[Step], other: &[Step], registers: usize) -> Option<String> {
    if one.len() < 20 {
        return Some(format!("only {} steps", one.len()));
    }
    let differ = |(a, b): (&Step, &Step)| {
        (0..registers).any(|i| a[i] != b[i] && (a[i], b[i]) != (one[0][i], other[0][i]))
    };
    let at = one.iter().zip(other).position(differ);
    let at = at.or((one.len() != other.len()).then_some(one.len().min(other.len())))?;
    Some(format!("step {at} of {} and {}: {:x?} {:x?}", one.len(), other.len(), one.get(at), other.get(at)))
}

/// All general registers.
const ALL: usize = 18;
/// Only the instruction pointer.
const WAY: usize = 1;

/// Traces of sealing and opening `N` texts under two keys, at the same places.
fn check<const N: usize>(back_end: BackEnd, algorithm: Algorithm, length: usize, compared: usize) {
    let mut batch = Batch::<N>::new(length, 12);
    let mut traces = [1, 2].map(|seed| {
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
    let [(sealed, opened), (sealed_again, opened_again)] = &mut traces;
    let case = format!("{} {algorithm:?} {N} of {length}", back_end.name());
    assert_eq!(parting(sealed, sealed_again, compared), None, "sealing on {case}");
    assert_eq!(parting(opened, opened_again, compared), None, "opening on {case}");
}

#[test]
#[cfg_attr(debug_assertions, ignore = "says nothing of the code that ships, and takes long")]
fn wide_kernels_hold_no_secret_in_general_registers() {
    for back_end in BackEnd::available().filter(|back_end| back_end.name() == "vaes512") {
        for algorithm in [Algorithm::Aes128Gcm, Algorithm::Aes256Gcm] {
            for length in [0, 1, 100, 600, 1420] {
                check::<1>(back_end, algorithm, length, ALL);
            }
            check::<5>(back_end, algorithm, 77, ALL);
        }
    }
}

#[test]
#[cfg_attr(debug_assertions, ignore = "says nothing of the code that ships, and takes long")]
fn every_back_end_takes_the_same_way_whatever_the_secrets() {
    for back_end in BackEnd::available() {
        for algorithm in ALGORITHMS {
            check::<1>(back_end, algorithm, 600, WAY);
            check::<5>(back_end, algorithm, 77, WAY);
        }
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
                assert_eq!(parting(&traces[0], other, WAY), None, "{case}");
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
    assert!(parting(&one, &other, WAY).is_some(), "a branch by a secret was not seen");
    assert_eq!(parting(&one, &one, ALL), None);
}
