//! What is measured, and what every implementation must offer for it.

pub(crate) use ravelin_crypto_accel::aead::Algorithm;

/// Packets in a batch.
pub(crate) const BATCH: usize = 32;
/// Octets of associated data: SPI and sequence number.
pub(crate) const AAD: usize = 8;

/// Which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    Seal,
    Open,
}

/// One row of the table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Case {
    pub(crate) algorithm: Algorithm,
    pub(crate) operation: Operation,
    /// Octets of each text.
    pub(crate) size: usize,
    /// How many keys the packets are spread over.
    pub(crate) keys: usize,
}

impl Case {
    pub(crate) fn algorithm(&self) -> &'static str {
        match self.algorithm {
            Algorithm::Aes128Gcm => "aes128-gcm",
            Algorithm::Aes256Gcm => "aes256-gcm",
            Algorithm::ChaCha20Poly1305 => "chacha20-poly1305",
        }
    }

    pub(crate) fn operation(&self) -> &'static str {
        match self.operation {
            Operation::Seal => "seal",
            Operation::Open => "open",
        }
    }

    pub(crate) fn label(&self) -> String {
        format!("{} {} size={} keys={}", self.algorithm(), self.operation(), self.size, self.keys)
    }
}

/// A packet. Its own allocation, as a frame has its own place.
pub(crate) struct Packet {
    pub(crate) key: usize,
    pub(crate) nonce: [u8; 12],
    pub(crate) aad: [u8; AAD],
    /// The text, then 16 octets of tag, as they travel.
    pub(crate) octets: Box<[u8]>,
}

impl Packet {
    /// The text.
    #[inline]
    pub(crate) fn text(&mut self) -> &mut [u8] {
        self.parts().0
    }

    /// Text and tag.
    #[inline]
    pub(crate) fn parts(&mut self) -> (&mut [u8], &mut [u8; 16]) {
        self.octets.split_last_chunk_mut().expect("every packet has a tag")
    }

    #[inline]
    pub(crate) fn set_tag(&mut self, tag: &[u8]) {
        self.parts().1.copy_from_slice(tag);
    }
}

/// Keys expanded by one implementation.
pub(crate) trait Keyed {
    fn seal(&mut self, batch: &mut [Packet]);
    /// Panics if a tag is bad.
    fn open(&mut self, batch: &mut [Packet]);
}

/// Expands keys; `None` if the implementation does not have the algorithm.
type Expand = Box<dyn Fn(Algorithm, &[Vec<u8>]) -> Option<Box<dyn Keyed>>>;

/// An implementation.
pub(crate) struct Peer {
    pub(crate) name: String,
    pub(crate) version: String,
    /// Or why it is absent.
    pub(crate) expand: Result<Expand, String>,
}

impl Peer {
    pub(crate) fn present(
        name: &str,
        version: &str,
        expand: impl Fn(Algorithm, &[Vec<u8>]) -> Option<Box<dyn Keyed>> + 'static,
    ) -> Self {
        Self { name: name.into(), version: version.into(), expand: Ok(Box::new(expand)) }
    }

    pub(crate) fn absent(name: &str, why: &str) -> Self {
        Self { name: name.into(), version: String::new(), expand: Err(why.into()) }
    }
}
