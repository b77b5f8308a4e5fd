//! Two ends of one connection, and a peer that seals whatever it likes.

use ravelin_contract::secret::Secret;
use ravelin_contract::tls_session::*;
use ravelin_crypto_accel::Text;
use ravelin_crypto_accel::aead::{self, Algorithm, Key};
use ravelin_crypto_accel::nonce::{Nonce, NumberRange};
use ravelin_records::{Failure, Incoming, Look, Session as Records, record_len};

/// Keys of one direction that differ by `seed`.
pub(crate) fn traffic(suite: Suite, seed: u8, next_number: u64) -> Traffic {
    let octets =
        |len: usize, add: u8| (0..len).map(move |at| seed.wrapping_mul(31).wrapping_add(add + at as u8));
    Traffic {
        key: Secret::new(octets(suite.aead().key_len(), 0).collect()),
        iv: Secret::new(octets(12, 99).collect()),
        next_number,
    }
}

/// What is handed over to the client (`sending` by seed 1) or the server.
pub(crate) fn handed(suite: Suite, role: Role, shape: Shape) -> Session {
    let (sending, receiving) = match role {
        Role::Client => (1, 2),
        Role::Server => (2, 1),
    };
    let (sending, receiving) = (traffic(suite, sending, 3), traffic(suite, receiving, 3));
    Session { suite, role, sending, receiving, shape }
}

/// Client and server.
pub(crate) fn pair(suite: Suite, shape: Shape) -> (Records, Records) {
    let end = |role| Records::new(handed(suite, role, shape)).expect("keys that fit");
    (end(Role::Client), end(Role::Server))
}

/// One end, whose peer is [`Forger`].
pub(crate) fn end(suite: Suite, role: Role) -> Records {
    Records::new(handed(suite, role, Shape::default())).expect("keys that fit")
}

/// Opens one record.
pub(crate) fn open(session: &mut Records, record: &[u8]) -> Result<(Incoming, Vec<u8>), Failure> {
    let mut output = vec![0; record.len()];
    let incoming = session.open(&[record], &mut output)?;
    if let Incoming::Data(len) = incoming {
        output.truncate(len);
    }
    Ok((incoming, output))
}

/// Seals one record of data.
pub(crate) fn seal(session: &mut Records, data: &[u8]) -> Vec<u8> {
    let mut record = vec![0; session.record_len(data.len())];
    let kind = ravelin_records::ContentType::Data;
    let len = session.seal(kind, &[data], data.len(), &mut record).expect("sealed");
    assert_eq!(len, record.len());
    assert_eq!(record_len(&[&record]), Ok(Look::Whole(len)));
    record
}

/// A peer that knows the keys and keeps no rule.
pub(crate) struct Forger {
    key: Key,
    iv: [u8; 12],
    numbers: NumberRange,
    suite: Suite,
}

impl Forger {
    /// The peer of `role`.
    pub(crate) fn of(suite: Suite, role: Role) -> Self {
        Self::under(suite, &handed(suite, role, Shape::default()).receiving)
    }

    /// One that seals under these keys.
    pub(crate) fn under(suite: Suite, traffic: &Traffic) -> Self {
        let algorithm = match suite.aead() {
            Aead::Aes128Gcm => Algorithm::Aes128Gcm,
            Aead::Aes256Gcm => Algorithm::Aes256Gcm,
            Aead::ChaCha20Poly1305 => Algorithm::ChaCha20Poly1305,
        };
        Self {
            key: Key::new(algorithm, traffic.key.expose()).expect("a key"),
            iv: traffic.iv.expose().try_into().expect("12 octets"),
            numbers: NumberRange::from_reserved(traffic.next_number, u64::MAX),
            suite,
        }
    }

    /// TLS 1.3: any inner text.
    pub(crate) fn inner(&mut self, text: &[u8]) -> Vec<u8> {
        let len = (text.len() + 16) as u16;
        let header = [23, 3, 3, (len >> 8) as u8, len as u8];
        let number = self.numbers.take().expect("numbers are left");
        self.seal(&header, &header, &[], Nonce::tls13(&self.iv, number), text)
    }

    /// TLS 1.2: any type and content.
    pub(crate) fn outer(&mut self, kind: u8, content: &[u8]) -> Vec<u8> {
        let number = self.numbers.take().expect("numbers are left");
        let mut aad = number.get().to_be_bytes().to_vec();
        aad.extend([kind, 3, 3, (content.len() >> 8) as u8, content.len() as u8]);
        let (nonce, explicit) = match self.suite.aead() {
            Aead::ChaCha20Poly1305 => (Nonce::tls13(&self.iv, number), vec![]),
            _ => {
                let [a, b, c, d, ..] = self.iv;
                let (nonce, explicit) = Nonce::tls12([a, b, c, d], number);
                (nonce, explicit.to_vec())
            }
        };
        let len = (explicit.len() + content.len() + 16) as u16;
        self.seal(&[kind, 3, 3, (len >> 8) as u8, len as u8], &aad, &explicit, nonce, content)
    }

    /// Content of a type, as the version has it.
    pub(crate) fn content(&mut self, kind: u8, content: &[u8]) -> Vec<u8> {
        match self.suite.version() {
            Version::Tls13 => self.inner(&[content, &[kind]].concat()),
            Version::Tls12 => self.outer(kind, content),
        }
    }

    fn seal(&self, header: &[u8], aad: &[u8], explicit: &[u8], nonce: Nonce, text: &[u8]) -> Vec<u8> {
        let (mut sealed, mut tag) = (text.to_vec(), [0; 16]);
        aead::seal_one(&self.key, nonce, aad, Text::in_place(&mut sealed).expect("short"), &mut tag);
        [header, explicit, &sealed, &tag].concat()
    }
}
