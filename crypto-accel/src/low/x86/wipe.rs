//! Vector registers and stack are cleared when a batch is left, so that no round key, hash key or clear text stays there.
#![expect(unsafe_code, reason = "only assembly can say which register")]

use std::arch::asm;

/// Zeros in all vector registers that the processor has, whatever the back end: copying octets is the C library's, which
/// uses the widest.
#[inline]
pub(in crate::low) fn registers() {
    if is_x86_feature_detected!("avx512f") {
        wide();
    } else if is_x86_feature_detected!("avx") {
        half();
    } else {
        narrow();
    }
}

/// The same, and zeros in so many octets of stack below the caller, where the compiler may have spilled registers. A test
/// looks whether they are enough.
#[inline]
pub(super) fn registers_and_stack<const DEPTH: usize>() {
    const { assert!(DEPTH.is_multiple_of(64)) };
    /// Overwrites with this instruction and register, in steps of this many octets. No register holds a secret by then.
    macro_rules! overwrite {
        ($store:literal, $register:literal, $step:literal) => {
            // SAFETY: only stack is written that this piece of assembly makes room for and gives back.
            unsafe {
                asm!(
                    "sub rsp, {depth}",
                    "mov {at}, -{depth}",
                    "2:",
                    concat!($store, " [rsp + {at} + {depth}], ", $register),
                    concat!("add {at}, ", $step),
                    "jnz 2b",
                    "add rsp, {depth}",
                    depth = const DEPTH,
                    at = out(reg) _,
                )
            }
        };
    }
    registers();
    if is_x86_feature_detected!("avx512f") {
        overwrite!("vmovdqu64", "zmm0", "64");
    } else if is_x86_feature_detected!("avx") {
        overwrite!("vmovdqu", "ymm0", "32");
    } else {
        overwrite!("movups", "xmm0", "16");
    }
}

/// `vzeroall` reaches the first 16 only.
#[inline(always)]
fn wide() {
    // SAFETY: every register written is named as such; the processor has AVX-512, which the caller asked.
    unsafe {
        asm!(
            "vzeroall",
            "vpxorq zmm16, zmm16, zmm16",
            "vpxorq zmm17, zmm17, zmm17",
            "vpxorq zmm18, zmm18, zmm18",
            "vpxorq zmm19, zmm19, zmm19",
            "vpxorq zmm20, zmm20, zmm20",
            "vpxorq zmm21, zmm21, zmm21",
            "vpxorq zmm22, zmm22, zmm22",
            "vpxorq zmm23, zmm23, zmm23",
            "vpxorq zmm24, zmm24, zmm24",
            "vpxorq zmm25, zmm25, zmm25",
            "vpxorq zmm26, zmm26, zmm26",
            "vpxorq zmm27, zmm27, zmm27",
            "vpxorq zmm28, zmm28, zmm28",
            "vpxorq zmm29, zmm29, zmm29",
            "vpxorq zmm30, zmm30, zmm30",
            "vpxorq zmm31, zmm31, zmm31",
            out("zmm0") _, out("zmm1") _, out("zmm2") _, out("zmm3") _, out("zmm4") _, out("zmm5") _,
            out("zmm6") _, out("zmm7") _, out("zmm8") _, out("zmm9") _, out("zmm10") _, out("zmm11") _,
            out("zmm12") _, out("zmm13") _, out("zmm14") _, out("zmm15") _, out("zmm16") _, out("zmm17") _,
            out("zmm18") _, out("zmm19") _, out("zmm20") _, out("zmm21") _, out("zmm22") _, out("zmm23") _,
            out("zmm24") _, out("zmm25") _, out("zmm26") _, out("zmm27") _, out("zmm28") _, out("zmm29") _,
            out("zmm30") _, out("zmm31") _,
            options(nomem, nostack, preserves_flags)
        );
    }
}

#[inline(always)]
fn half() {
    // SAFETY: every register written is named as such; the processor has AVX, which the caller asked.
    unsafe {
        asm!(
            "vzeroall",
            out("ymm0") _, out("ymm1") _, out("ymm2") _, out("ymm3") _, out("ymm4") _, out("ymm5") _,
            out("ymm6") _, out("ymm7") _, out("ymm8") _, out("ymm9") _, out("ymm10") _, out("ymm11") _,
            out("ymm12") _, out("ymm13") _, out("ymm14") _, out("ymm15") _,
            options(nomem, nostack, preserves_flags)
        );
    }
}

#[inline(always)]
fn narrow() {
    // SAFETY: every register written is named as such.
    unsafe {
        asm!(
            "pxor xmm0, xmm0", "pxor xmm1, xmm1", "pxor xmm2, xmm2", "pxor xmm3, xmm3",
            "pxor xmm4, xmm4", "pxor xmm5, xmm5", "pxor xmm6, xmm6", "pxor xmm7, xmm7",
            "pxor xmm8, xmm8", "pxor xmm9, xmm9", "pxor xmm10, xmm10", "pxor xmm11, xmm11",
            "pxor xmm12, xmm12", "pxor xmm13, xmm13", "pxor xmm14, xmm14", "pxor xmm15, xmm15",
            out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _, out("xmm4") _, out("xmm5") _,
            out("xmm6") _, out("xmm7") _, out("xmm8") _, out("xmm9") _, out("xmm10") _, out("xmm11") _,
            out("xmm12") _, out("xmm13") _, out("xmm14") _, out("xmm15") _,
            options(nomem, nostack, preserves_flags)
        );
    }
}
