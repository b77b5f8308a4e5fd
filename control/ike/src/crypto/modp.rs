//! MODP groups (RFC 3526) in constant time, by `crypto-bigint`.

use std::sync::OnceLock;

use crypto_bigint::modular::{FixedMontyForm, FixedMontyParams};
use crypto_bigint::{CtAssign, CtEq, Encoding, Limb, Odd, Uint, Word};
use zeroize::{Zeroize, Zeroizing};

use super::{CryptoError, Random, Secret, primes};

/// One of the three groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Modp {
    Bits2048,
    Bits3072,
    Bits4096,
}

/// Our exponent. Its length follows the greater estimate of RFC 3526 section 8: 320, 448 and 512 bits, the highest bit set.
pub(super) struct Exponent {
    group: Modp,
    octets: Zeroizing<Vec<u8>>,
}

/// A group's modulus, prepared once in a process.
struct Modulus<const LIMBS: usize> {
    prime: Uint<LIMBS>,
    params: FixedMontyParams<LIMBS>,
    /// For our shares, see [`Modulus::power_of_two`]: entry `n` is the product of `2 ^ 2 ^ (64 * row)` over the bits `row` of `n`, in
    /// Montgomery form.
    comb: OnceLock<Box<[Uint<LIMBS>]>>,
}

impl<const LIMBS: usize> Modulus<LIMBS> {
    /// `hex` may be shorter than the limbs.
    fn new(hex: &str) -> Self {
        let odd = Odd::<Uint<LIMBS>>::from_be_hex(&format!("{hex:0>width$}", width = LIMBS * 16));
        Self { prime: odd.get(), params: FixedMontyParams::new_vartime(odd), comb: OnceLock::new() }
    }

    /// `2 ^ exponent`, in a time that depends on lengths only. A comb with a row for each limb (C. H. Lim and P. J. Lee, CRYPTO '94):
    /// two products for each bit of a limb, where [`Self::power`] takes more for each bit of the exponent.
    fn power_of_two<const E: usize>(&self, exponent: &Uint<E>) -> Uint<LIMBS> {
        let comb = self.comb.get_or_init(|| self.make_comb(E));
        let mut result = FixedMontyForm::one(&self.params);
        let mut factor = Uint::ZERO;
        for bit in (0..Limb::BITS).rev() {
            let rows = exponent.as_limbs().iter().zip(0..);
            let mut wanted = rows.fold(0, |index: Word, (limb, row)| index | (limb.0 >> bit & 1) << row);
            for (index, entry) in (0..).zip(comb) {
                factor.ct_assign(entry, Word::ct_eq(&index, &wanted));
            }
            result = result.square().mul(&FixedMontyForm::from_montgomery(factor, &self.params));
            wanted.zeroize();
        }
        factor.zeroize();
        let power = result.retrieve();
        result.zeroize();
        power
    }

    fn make_comb(&self, rows: usize) -> Box<[Uint<LIMBS>]> {
        let mut comb = vec![FixedMontyForm::one(&self.params)];
        let mut tooth = FixedMontyForm::new(&Uint::from(2u8), &self.params);
        for _ in 0..rows {
            let with_tooth: Vec<_> = comb.iter().map(|entry| entry.mul(&tooth)).collect();
            comb.extend(with_tooth);
            tooth = (0..Limb::BITS).fold(tooth, |power, _| power.square());
        }
        comb.iter().map(FixedMontyForm::to_montgomery).collect()
    }

    /// `base ^ exponent`, in a time that depends on lengths only.
    fn power<const E: usize>(&self, base: &Uint<LIMBS>, exponent: &Uint<E>) -> Uint<LIMBS> {
        FixedMontyForm::new(base, &self.params).pow(exponent).retrieve()
    }

    /// RFC 6989 2.1: `1 < share < p - 1`. The share is public, so its check may take its time.
    fn admits(&self, share: &Uint<LIMBS>) -> bool {
        *share > Uint::ONE && *share < self.prime.wrapping_sub(&Uint::ONE)
    }
}

static MODULUS_2048: OnceLock<Modulus<32>> = OnceLock::new();
/// With as many limbs as the next group: the library multiplies powers of two by Karatsuba, and 48 limbs took 1.8 times as long as 64.
static MODULUS_3072: OnceLock<Modulus<64>> = OnceLock::new();
static MODULUS_4096: OnceLock<Modulus<64>> = OnceLock::new();

impl Modp {
    /// Octets of the modulus, of a share and of the secret.
    pub(super) fn octets(self) -> usize {
        match self {
            Self::Bits2048 => 256,
            Self::Bits3072 => 384,
            Self::Bits4096 => 512,
        }
    }

    fn exponent_octets(self) -> usize {
        match self {
            Self::Bits2048 => 40,
            Self::Bits3072 => 56,
            Self::Bits4096 => 64,
        }
    }

    /// `base ^ exponent`; refuses a base that is no sound share. Without a base it is 2.
    fn power(self, base: Option<&[u8]>, exponent: &[u8]) -> Result<Secret, CryptoError> {
        let length = self.octets();
        match self {
            Self::Bits2048 => {
                let modulus = MODULUS_2048.get_or_init(|| Modulus::new(primes::MODP_2048));
                power::<32, 5>(modulus, length, base, exponent)
            }
            Self::Bits3072 => {
                let modulus = MODULUS_3072.get_or_init(|| Modulus::new(primes::MODP_3072));
                power::<64, 7>(modulus, length, base, exponent)
            }
            Self::Bits4096 => {
                let modulus = MODULUS_4096.get_or_init(|| Modulus::new(primes::MODP_4096));
                power::<64, 8>(modulus, length, base, exponent)
            }
        }
    }
}

/// A share is as long as its group's modulus, which the limbs may exceed.
fn power<const LIMBS: usize, const E: usize>(
    modulus: &Modulus<LIMBS>,
    length: usize,
    base: Option<&[u8]>,
    exponent: &[u8],
) -> Result<Secret, CryptoError>
where
    Uint<LIMBS>: Encoding,
{
    let base = base.map(|base| Uint::<LIMBS>::from_be_slice_truncated(base, length as u32 * 8));
    if base.is_some_and(|base| !modulus.admits(&base)) {
        return Err(CryptoError::Share);
    }
    let mut exponent = Uint::<E>::from_be_slice(exponent);
    let mut result = match base {
        Some(base) => modulus.power(&base, &exponent),
        None => modulus.power_of_two(&exponent),
    };
    exponent.zeroize();
    let octets = Zeroizing::new(result.to_be_bytes().as_ref().to_vec());
    let secret = Secret::new(octets[octets.len() - length..].to_vec());
    result.zeroize();
    Ok(secret)
}

impl Exponent {
    /// A new one.
    pub(super) fn generate(group: Modp, random: &mut dyn Random) -> Self {
        let mut octets = Zeroizing::new(vec![0; group.exponent_octets()]);
        random.fill(&mut octets);
        octets[0] |= 0x80;
        Self { group, octets }
    }

    /// Our share: 2 to this exponent.
    pub(super) fn share(&self) -> Result<Vec<u8>, CryptoError> {
        Ok(self.group.power(None, &self.octets)?.expose().to_vec())
    }

    /// The secret with the peer's share, as long as the modulus (RFC 7296 2.14).
    pub(super) fn agree(&self, share: &[u8]) -> Result<Secret, CryptoError> {
        self.group.power(Some(share), &self.octets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::SystemRandom;

    #[test]
    fn shares_are_powers_of_two() {
        for group in [Modp::Bits2048, Modp::Bits3072, Modp::Bits4096] {
            let mut two = vec![0; group.octets()];
            two[group.octets() - 1] = 2;
            for _ in 0..20 {
                let exponent = Exponent::generate(group, &mut SystemRandom);
                let power = exponent.agree(&two).expect("a sound share");
                assert_eq!(exponent.share().expect("a share"), power.expose(), "{group:?}");
            }
        }
    }
}
