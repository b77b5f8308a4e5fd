//! This crate, once per back end.

use ravelin_crypto_accel::aead::{self, Algorithm, Key, OpenJob, SealJob};
use ravelin_crypto_accel::nonce::{Nonce, NumberRange, ReceivedNonce};
use ravelin_crypto_accel::{BackEnd, Text};

use crate::lock::version;
use crate::peer::{BATCH, Keyed, Packet, Peer};

/// The best back end first. The portable one stands for RustCrypto. ChaCha20-Poly1305 is the same in all of them.
pub(crate) fn peers() -> Vec<Peer> {
    BackEnd::available().map(peer).collect()
}

fn peer(back_end: BackEnd) -> Peer {
    let name = match back_end.name() {
        "portable" => "RustCrypto".to_owned(),
        other => format!("ravelin-{other}"),
    };
    let version = match back_end.name() {
        "portable" => format!("aes-gcm {}", version("aes-gcm")),
        _ => env!("CARGO_PKG_VERSION").to_owned(),
    };
    Peer::present(&name, &version, move |algorithm, keys| {
        let only_once = algorithm == Algorithm::ChaCha20Poly1305 && back_end != BackEnd::best();
        if only_once {
            return None;
        }
        let expand =
            |octets: &Vec<u8>| Key::on(back_end, algorithm, octets).expect("keys have the right length");
        Some(Box::new(Ours(keys.iter().map(expand).collect())))
    })
}

struct Ours(Vec<Key>);

impl Keyed for Ours {
    fn seal(&mut self, batch: &mut [Packet]) {
        let mut packets = batch.iter_mut();
        let mut jobs: [SealJob<'_>; BATCH] = std::array::from_fn(|_| {
            let packet = packets.next().expect("batches are full");
            let number = NumberRange::from_reserved(0, 1).take().expect("one is left");
            let nonce = Nonce::tls13(&packet.nonce, number);
            let (text, tag) = packet.octets.split_last_chunk_mut().expect("every packet has a tag");
            let text = Text::in_place(text).expect("it is short");
            SealJob::new(&self.0[packet.key], nonce, &packet.aad, text, tag)
        });
        aead::seal(&mut jobs);
    }

    fn open(&mut self, batch: &mut [Packet]) {
        let mut packets = batch.iter_mut();
        let mut jobs: [OpenJob<'_>; BATCH] = std::array::from_fn(|_| {
            let packet = packets.next().expect("batches are full");
            let nonce = ReceivedNonce::tls13(&packet.nonce, 0);
            let (text, tag) = packet.octets.split_last_chunk_mut().expect("every packet has a tag");
            let text = Text::in_place(text).expect("it is short");
            OpenJob::new(&self.0[packet.key], nonce, &packet.aad, text, tag)
        });
        aead::open(&mut jobs);
        assert!(jobs.iter().all(|job| job.outcome().is_ok()));
    }
}
