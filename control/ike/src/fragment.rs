//! Messages put together again from fragments (RFC 7383 2.6), within limits.

use zeroize::Zeroizing;

use crate::sealed::Plain;
use crate::wire::{FragmentNumber, PayloadType, limits};

/// Fragments of one message. Only fragments whose checksum was right come here, so what is kept was sent by the peer.
#[derive(Debug)]
pub struct Reassembly {
    /// One place for each fragment; as many as the greatest total that was seen.
    parts: Vec<Option<Plain>>,
    missing: usize,
    octets: usize,
}

/// What became of a fragment.
#[derive(Debug, PartialEq, Eq)]
pub enum Progress {
    /// Others are missing.
    Waiting,
    /// The message.
    Whole(Plain),
}

/// Why a fragment was not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FragmentRefused {
    /// It is here.
    #[error("the fragment is here already")]
    Duplicate,
    /// Others of the same message say that there are more: it belongs to an earlier try.
    #[error("the fragment is of an earlier try with fewer fragments")]
    Outdated,
    /// All together would be longer than a message.
    #[error("the fragments together are longer than a message")]
    TooLong,
}

impl Reassembly {
    /// Nothing yet.
    pub fn new() -> Self {
        Self { parts: Vec::new(), missing: 0, octets: 0 }
    }

    /// Whether a fragment would be kept. To be asked before it is decrypted, so that repetitions cost nothing.
    pub fn wants(&self, number: FragmentNumber) -> Result<(), FragmentRefused> {
        let total = usize::from(number.total());
        if total < self.parts.len() {
            return Err(FragmentRefused::Outdated);
        }
        let place = self.parts.get(usize::from(number.number()) - 1);
        if total == self.parts.len() && place.is_some_and(Option::is_some) {
            return Err(FragmentRefused::Duplicate);
        }
        Ok(())
    }

    /// Keeps a fragment. A greater total than before means that the peer has begun again with smaller ones: what is here goes.
    pub fn add(&mut self, number: FragmentNumber, plain: Plain) -> Result<Progress, FragmentRefused> {
        self.wants(number)?;
        let total = usize::from(number.total());
        if total > self.parts.len() {
            *self = Self { parts: vec![None; total], missing: total, octets: 0 };
        }
        if self.octets + plain.octets().len() > limits::MESSAGE {
            return Err(FragmentRefused::TooLong);
        }
        self.octets += plain.octets().len();
        self.missing -= 1;
        self.parts[usize::from(number.number()) - 1] = Some(plain);
        Ok(if self.missing == 0 { Progress::Whole(self.join()) } else { Progress::Waiting })
    }

    /// Octets held on the heap.
    pub(crate) fn heap(&self) -> usize {
        self.parts.capacity() * size_of::<Option<Plain>>() + self.octets
    }

    /// All parts in order; nothing is kept.
    fn join(&mut self) -> Plain {
        let Self { parts, octets: length, .. } = std::mem::take(self);
        let first = parts.first().and_then(Option::as_ref).map_or(PayloadType::None, Plain::first);
        let mut octets = Zeroizing::new(Vec::with_capacity(length));
        parts.iter().flatten().for_each(|part| octets.extend_from_slice(part.octets()));
        Plain::new(first, octets)
    }
}

impl Default for Reassembly {
    fn default() -> Self {
        Self::new()
    }
}
