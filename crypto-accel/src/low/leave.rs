//! What cryptography leaves behind in registers and in the stack is cleared when it is left.

use super::erase;
#[cfg(all(target_arch = "x86_64", not(miri)))]
use super::x86::wipe;

/// Octets of stack that well-kept libraries use at most below [`apart`]; a test looks.
const DEPTH: usize = 16 << 10;

/// Does the work, then clears all vector registers and the stack that it used. For ways through libraries, which clear
/// neither; what the work captures and gives must hold no secret itself.
#[inline]
pub(crate) fn cleanly<T>(work: impl FnOnce() -> T) -> T {
    let result = apart(work);
    clear();
    result
}

/// The work in a frame of its own, where [`clear`] reaches all of it.
#[inline(never)]
fn apart<T>(work: impl FnOnce() -> T) -> T {
    work()
}

#[inline(never)]
fn clear() {
    let mut below = [0; DEPTH];
    erase(&mut below);
    #[cfg(all(target_arch = "x86_64", not(miri)))] // Miri knows no assembly
    wipe::registers();
}
