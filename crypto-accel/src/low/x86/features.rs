//! What this processor can do, as values that prove it.
//!
//! Each type below is made only where [`detect`] saw every instruction set that its back end enables, so whoever
//! holds one may enter that back end.

use crate::low::switch::Switch;

/// AES-NI, PCLMULQDQ, SSSE3 and SSE4.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Aesni(());

/// [`Aesni`], and AVX2 with VAES and VPCLMULQDQ on registers of 256 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Vaes256(Aesni);

/// [`Vaes256`], and AVX-512 (F, BW, VL) with BMI2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Vaes512(Vaes256);

/// [`Vaes512`], and AVX-512 IFMA, which multiplies 52 bits by 52 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ifma512(());

impl Vaes256 {
    /// What it includes.
    pub(super) fn aesni(self) -> Aesni {
        self.0
    }
}

impl Vaes512 {
    /// What it includes.
    pub(super) fn vaes256(self) -> Vaes256 {
        self.0
    }

    /// With more, if the processor has it.
    pub(super) fn ifma(self) -> Option<Ifma512> {
        is_x86_feature_detected!("avx512ifma").then_some(Ifma512(()))
    }
}

/// Proofs for everything that the processor has and the environment does not forbid.
#[derive(Clone, Copy, Default)]
pub(crate) struct Features {
    pub(super) aesni: Option<Aesni>,
    pub(super) vaes256: Option<Vaes256>,
    pub(super) vaes512: Option<Vaes512>,
}

/// Asks processor and environment.
pub(super) fn detect() -> Features {
    detect_except(&Switch::of_environment())
}

/// Asks the processor, leaving out what the switch turns off.
fn detect_except(switch: &Switch) -> Features {
    let aesni = has_aesni().then_some(Aesni(()));
    let vaes256 = aesni.filter(|_| has_vaes256()).map(Vaes256);
    let vaes512 = vaes256.filter(|_| has_vaes512()).map(Vaes512);
    Features {
        aesni: aesni.filter(|_| !switch.turns_off("aesni")),
        vaes256: vaes256.filter(|_| !switch.turns_off("vaes256")),
        vaes512: vaes512.filter(|_| !switch.turns_off("vaes512")),
    }
}

fn has_aesni() -> bool {
    is_x86_feature_detected!("aes")
        && is_x86_feature_detected!("pclmulqdq")
        && is_x86_feature_detected!("ssse3")
        && is_x86_feature_detected!("sse4.1")
}

fn has_vaes256() -> bool {
    is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("vaes")
        && is_x86_feature_detected!("vpclmulqdq")
}

fn has_vaes512() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("bmi2")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_switch_turns_back_ends_off() {
        let all = detect_except(&Switch::new(""));
        let some = detect_except(&Switch::new("vaes512, AESNI"));
        assert!(some.vaes512.is_none() && some.aesni.is_none());
        assert_eq!(some.vaes256.is_some(), all.vaes256.is_some());
    }

    #[test]
    fn wider_implies_narrower() {
        let all = detect_except(&Switch::new(""));
        assert!(all.vaes512.is_none() || all.vaes256.is_some());
        assert!(all.vaes256.is_none() || all.aesni.is_some());
    }
}
