//! Keeps the compiler from reading key material early.
#![expect(unsafe_code, reason = "an empty piece of assembly hides where a reference comes from")]

/// The same reference, but the compiler cannot know it: what is read through it is read here, not earlier into a
/// register that must then be spilled to the stack.
#[inline(always)]
#[expect(clippy::pointers_in_nomem_asm_block, reason = "the assembly is empty and reads nothing through it")]
pub(super) fn here<T>(reference: &T) -> &T {
    let mut address: *const T = reference;
    // SAFETY: the empty assembly touches nothing.
    unsafe { std::arch::asm!("/* {} */", inout(reg) address, options(nomem, preserves_flags, nostack)) };
    // SAFETY: it is the reference's own address still.
    unsafe { &*address }
}
