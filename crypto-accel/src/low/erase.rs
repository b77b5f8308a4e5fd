//! Zeros that the compiler cannot leave out.
#![expect(unsafe_code, reason = "an empty piece of assembly stands for a reader")]

/// Overwrites octets with zeros, also if nobody reads them any more.
#[inline]
pub(crate) fn erase(octets: &mut [u8]) {
    octets.fill(0);
    #[cfg(miri)]
    std::hint::black_box(octets);
    #[cfg(not(miri))]
    // SAFETY: the assembly is empty; as far as the compiler knows it reads what the pointer shows.
    unsafe {
        std::arch::asm!("/* {} */", in(reg) octets.as_ptr(), options(readonly, preserves_flags, nostack));
    };
}
