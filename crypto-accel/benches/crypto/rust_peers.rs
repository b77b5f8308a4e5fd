//! aws-lc-rs and ring, which share an interface: in place, and the tag behind the text when opening.

use crate::lock::version;
use crate::peer::{Algorithm, Keyed, Packet, Peer};

pub(crate) fn peers() -> [Peer; 2] {
    [aws::peer(), briansmith::peer()]
}

macro_rules! library {
    ($module:ident, $library:ident, $name:literal) => {
        mod $module {
            use $library::aead::{
                AES_128_GCM, AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey,
            };

            use super::{Algorithm, Keyed, Packet, Peer, version};

            struct Keys(Vec<LessSafeKey>);

            pub(super) fn peer() -> Peer {
                Peer::present($name, &version($name), |algorithm, keys| {
                    let which = match algorithm {
                        Algorithm::Aes128Gcm => &AES_128_GCM,
                        Algorithm::Aes256Gcm => &AES_256_GCM,
                        Algorithm::ChaCha20Poly1305 => &CHACHA20_POLY1305,
                    };
                    let key = |octets: &Vec<u8>| {
                        LessSafeKey::new(UnboundKey::new(which, octets).expect("keys have the right length"))
                    };
                    Some(Box::new(Keys(keys.iter().map(key).collect())))
                })
            }

            impl Keyed for Keys {
                fn seal(&mut self, batch: &mut [Packet]) {
                    for packet in batch {
                        let nonce = Nonce::assume_unique_for_key(packet.nonce);
                        let aad = Aad::from(packet.aad);
                        let tag = self.0[packet.key].seal_in_place_separate_tag(nonce, aad, packet.text());
                        packet.set_tag(tag.expect("it is short").as_ref());
                    }
                }

                fn open(&mut self, batch: &mut [Packet]) {
                    for packet in batch {
                        let nonce = Nonce::assume_unique_for_key(packet.nonce);
                        let aad = Aad::from(packet.aad);
                        let opened = self.0[packet.key].open_in_place(nonce, aad, &mut packet.octets);
                        opened.expect("it is authentic");
                    }
                }
            }
        }
    };
}

library!(aws, aws_lc_rs, "aws-lc-rs");
library!(briansmith, ring, "ring");
