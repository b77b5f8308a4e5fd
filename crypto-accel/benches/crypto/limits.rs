//! How many instructions of each kind this processor does in a cycle: no kernel can be faster than their sum.
#![expect(unsafe_code, reason = "instructions as such")]

use std::arch::asm;

use crate::measure::{core_cycles_per_tick, median, ticks};

/// Loops timed at once.
const ROUNDS: u64 = 200;

/// Instructions of `lines` per cycle, when nothing waits for anything but its own register.
macro_rules! per_cycle {
    ($name:expr, $($line:expr),+) => {{
        let count = [$(stringify!($line)),+].len() as f64;
        let mut samples: Vec<f64> = (0..1001)
            .map(|_| {
                let scale = core_cycles_per_tick();
                let start = ticks();
                // SAFETY: the registers written are named, nothing but the room is read, and the caller looked for
                // the instructions.
                unsafe {
                    asm!(
                        "2:", $($line),+, "dec {left}", "jnz 2b",
                        left = inout(reg) ROUNDS => _,
                        out("zmm0") _, out("zmm1") _, out("zmm2") _, out("zmm3") _, out("zmm4") _, out("zmm5") _,
                        out("zmm6") _, out("zmm7") _, out("zmm8") _, out("zmm9") _, out("zmm10") _, out("zmm11") _,
                        options(nomem, nostack)
                    );
                }
                ROUNDS as f64 * count / ((ticks() - start) as f64 * scale)
            })
            .collect();
        print!(" {} {:.2} |", $name, median(&mut samples));
    }};
}

/// Twelve times one instruction on registers of their own; operands follow the first two.
macro_rules! twelve {
    ($op:literal, $kind:literal, $rest:expr) => {
        per_cycle!(
            $kind,
            concat!($op, " ", $kind, "0, ", $kind, "0", $rest),
            concat!($op, " ", $kind, "1, ", $kind, "1", $rest),
            concat!($op, " ", $kind, "2, ", $kind, "2", $rest),
            concat!($op, " ", $kind, "3, ", $kind, "3", $rest),
            concat!($op, " ", $kind, "4, ", $kind, "4", $rest),
            concat!($op, " ", $kind, "5, ", $kind, "5", $rest),
            concat!($op, " ", $kind, "6, ", $kind, "6", $rest),
            concat!($op, " ", $kind, "7, ", $kind, "7", $rest),
            concat!($op, " ", $kind, "8, ", $kind, "8", $rest),
            concat!($op, " ", $kind, "9, ", $kind, "9", $rest),
            concat!($op, " ", $kind, "10, ", $kind, "10", $rest),
            concat!($op, " ", $kind, "11, ", $kind, "11", $rest)
        )
    };
}

/// One instruction at all three widths.
macro_rules! widths {
    ($op:literal, $more:literal) => {{
        print!("{:12} |", $op);
        twelve!($op, "xmm", concat!(", xmm11", $more));
        twelve!($op, "ymm", concat!(", ymm11", $more));
        twelve!($op, "zmm", concat!(", zmm11", $more));
        println!();
    }};
}

/// Prints the table, if the processor has the instructions.
pub(crate) fn print() {
    if !is_x86_feature_detected!("vaes") || !is_x86_feature_detected!("avx512ifma") {
        println!("limits: not measured, this processor has no VAES or no AVX-512 IFMA\n");
        return;
    }
    println!("instructions per cycle on this processor");
    widths!("vaesenc", "");
    widths!("vpclmulqdq", ", 0x11");
    widths!("vpshufb", "");
    widths!("vpxorq", "");
    widths!("vpaddd", "");
    widths!("vpmadd52luq", "");
    print!("{:12} |", "vprold");
    twelve!("vprold", "zmm", ", 7");
    print!(" 2 vaesenc : 1 vpclmulqdq");
    per_cycle!(
        "",
        "vaesenc zmm0, zmm0, zmm11",
        "vpclmulqdq zmm1, zmm1, zmm11, 0",
        "vaesenc zmm2, zmm2, zmm11",
        "vaesenc zmm3, zmm3, zmm11",
        "vpclmulqdq zmm4, zmm4, zmm11, 0",
        "vaesenc zmm5, zmm5, zmm11",
        "vaesenc zmm6, zmm6, zmm11",
        "vpclmulqdq zmm7, zmm7, zmm11, 0",
        "vaesenc zmm8, zmm8, zmm11"
    );
    print!(" add : xor : rotate");
    per_cycle!(
        "",
        "vpaddd zmm0, zmm0, zmm11",
        "vpxord zmm1, zmm1, zmm11",
        "vprold zmm2, zmm2, 7",
        "vpaddd zmm3, zmm3, zmm11",
        "vpxord zmm4, zmm4, zmm11",
        "vprold zmm5, zmm5, 7",
        "vpaddd zmm6, zmm6, zmm11",
        "vpxord zmm7, zmm7, zmm11",
        "vprold zmm8, zmm8, 7"
    );
    println!("\n");
}
