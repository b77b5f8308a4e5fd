//! No branch and no address depends on a secret: seen by valgrind, in the assembly, step by step, and by the clock.
//!
//! Secrets are keys, static IVs and clear texts. Lengths are not, and neither is whether a tag was right: a good text is
//! used, a bad one wiped. Where two tags differ is one.
#![cfg(all(target_arch = "x86_64", target_os = "linux"))]
#![cfg_attr(
    target_arch = "x86_64",
    expect(unsafe_code, reason = "speaks to valgrind, and traces a process of its own")
)]

#[path = "../common/mod.rs"]
mod common;

mod assembly;
mod timing;
mod trace;
mod valgrind;
mod work;
