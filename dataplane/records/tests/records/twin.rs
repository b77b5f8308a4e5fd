//! rustls as the other end: its own records against ours, for every suite, both roles, tickets, key updates, and the end.

use std::sync::Arc;

use ravelin_contract::secret::Secret;
use ravelin_contract::tls_session::{Change, Role, Session, Shape, Suite, Traffic, Version};
use ravelin_records::alert::Alert;
use ravelin_records::{ContentType, Failure, Incoming, Look, Message, Session as Records, record_len};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::PrivateKeyDer;
use rustls::{
    ClientConfig, ClientConnection, Connection, ConnectionTrafficSecrets, RootCertStore, ServerConfig,
    ServerConnection, SupportedCipherSuite,
};
use std::io::{Read, Write};

/// A connection between us and rustls.
struct Twins {
    ours: Records,
    theirs: Connection,
    /// What rustls has sent and we have not opened.
    wire: Vec<u8>,
    /// Messages that came to us.
    messages: Vec<Message>,
    clear: Vec<u8>,
}

fn suite_of(suite: Suite) -> SupportedCipherSuite {
    let all = aws_lc_rs::ALL_CIPHER_SUITES.iter().copied();
    all.into_iter().find(|known| u16::from(known.suite()) == suite.code()).expect("rustls has it")
}

fn configs(suite: Suite) -> (ClientConfig, ServerConfig) {
    let key = match suite.name().contains("_RSA_") {
        true => rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256),
        false => rcgen::KeyPair::generate(),
    }
    .expect("a key");
    let params = rcgen::CertificateParams::new(["twin.example".to_owned()]).expect("parameters");
    let certificate = params.self_signed(&key).expect("a certificate");
    let mut provider = aws_lc_rs::default_provider();
    provider.cipher_suites = vec![suite_of(suite)];
    let provider = Arc::new(provider);
    let version = suite_of(suite).version();
    let mut roots = RootCertStore::empty();
    roots.add(certificate.der().clone()).expect("a root");
    let mut client = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[version])
        .expect("a version")
        .with_root_certificates(roots)
        .with_no_client_auth();
    client.enable_secret_extraction = true;
    let private = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
    let mut server = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .expect("a version")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], private)
        .expect("a certificate");
    server.enable_secret_extraction = true;
    (client, server)
}

fn traffic((next_number, secrets): (u64, ConnectionTrafficSecrets)) -> Traffic {
    let (key, iv) = match &secrets {
        ConnectionTrafficSecrets::Aes128Gcm { key, iv }
        | ConnectionTrafficSecrets::Aes256Gcm { key, iv }
        | ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } => (key.as_ref(), iv.as_ref()),
        _ => panic!("an unknown AEAD"),
    };
    Traffic { key: Secret::new(key.to_vec()), iv: Secret::new(iv.to_vec()), next_number }
}

fn sent(by: &mut Connection) -> Vec<u8> {
    let mut octets = Vec::new();
    while by.wants_write() {
        by.write_tls(&mut octets).expect("a vector");
    }
    octets
}

fn give(to: &mut Connection, mut octets: &[u8]) {
    while !octets.is_empty() {
        to.read_tls(&mut octets).expect("octets");
        to.process_new_packets().expect("records that rustls takes");
    }
}

impl Twins {
    /// A handshake by rustls on both ends; then one of them is ours.
    fn new(suite: Suite, role: Role) -> Self {
        let (client, server) = configs(suite);
        let name = "twin.example".try_into().expect("a name");
        let mut client = Connection::from(ClientConnection::new(Arc::new(client), name).expect("a client"));
        let mut server = Connection::from(ServerConnection::new(Arc::new(server)).expect("a server"));
        let mut wire = Vec::new();
        while client.is_handshaking() || server.is_handshaking() {
            give(&mut server, &sent(&mut client));
            wire = sent(&mut server);
            if client.is_handshaking() {
                give(&mut client, &std::mem::take(&mut wire));
            }
        }
        let (extracted, mut theirs) = match role {
            Role::Client => (client, server),
            Role::Server => (server, client),
        };
        if role == Role::Server {
            // Tickets: for the client that rustls still is.
            give(&mut theirs, &std::mem::take(&mut wire));
        }
        let secrets = extracted.dangerous_extract_secrets().expect("secrets");
        let (sending, receiving) = (traffic(secrets.tx), traffic(secrets.rx));
        let session = Session { suite, role, sending, receiving, shape: Shape::default() };
        let ours = Records::new(session).expect("keys that fit");
        Self { ours, theirs, wire, messages: Vec::new(), clear: Vec::new() }
    }

    /// We say this, in records of so much, and rustls understands.
    fn say(&mut self, data: &[u8], most: usize) {
        for content in data.chunks(most) {
            let mut record = vec![0; self.ours.record_len(content.len())];
            self.ours.seal(ContentType::Data, &[content], content.len(), &mut record).expect("sealed");
            give(&mut self.theirs, &record);
            let mut heard = vec![0; content.len()];
            self.theirs.reader().read_exact(&mut heard).expect("data");
            assert_eq!(heard, content);
        }
    }

    /// rustls says this, and we understand.
    fn hear(&mut self, data: &[u8]) {
        self.theirs.writer().write_all(data).expect("room");
        self.listen().expect("records of rustls");
        assert_eq!(std::mem::take(&mut self.clear), data);
    }

    /// Opens all that rustls has sent; the octets come in segments of 1,000.
    fn listen(&mut self) -> Result<(), Failure> {
        self.wire.extend(sent(&mut self.theirs));
        while let Look::Whole(len) = record_len(&[&self.wire])? {
            let pieces: Vec<&[u8]> = self.wire.chunks(1000).collect();
            let mut output = vec![0; len];
            match self.ours.open(&pieces, &mut output)? {
                Incoming::Data(clear) => self.clear.extend_from_slice(&output[..clear]),
                Incoming::Messages(messages) => self.messages.extend(messages),
                Incoming::Nothing | Incoming::Closed => {}
                Incoming::Again => return Ok(()),
            }
            self.wire.drain(..len);
        }
        Ok(())
    }

    fn alert(&mut self, alert: Alert) {
        let mut record = [0; 64];
        let len = self.ours.alert(alert, &mut record).expect("sealed");
        let mut octets = &record[..len];
        self.theirs.read_tls(&mut octets).expect("octets");
    }
}

fn everything(each: impl Fn(Suite, Role)) {
    for suite in Suite::ALL {
        for role in [Role::Client, Role::Server] {
            each(suite, role);
        }
    }
}

#[test]
fn both_ends_understand_each_other() {
    let data: Vec<u8> = (0..40_000u32).map(|at| (at % 253) as u8).collect();
    everything(|suite, role| {
        let mut twins = Twins::new(suite, role);
        for (len, most) in [(1, 1), (100, 7), (40_000, 16_384), (3000, 1400)] {
            twins.say(&data[..len], most);
            twins.hear(&data[..len]);
        }
    });
}

#[test]
fn tickets_reach_us() {
    for suite in [Suite::Aes128GcmSha256, Suite::Aes256GcmSha384, Suite::ChaCha20Poly1305Sha256] {
        let mut twins = Twins::new(suite, Role::Client);
        twins.hear(b"after the tickets");
        assert_eq!(twins.messages.len(), 2, "{suite:?}");
        assert!(twins.messages.iter().all(|m| matches!(m, Message::Ticket(t) if t.body().len() > 16)));
    }
}

#[test]
fn a_key_update_of_the_peer_is_seen_and_waited_for() {
    for role in [Role::Client, Role::Server] {
        let mut twins = Twins::new(Suite::Aes128GcmSha256, role);
        twins.hear(b"before");
        twins.messages.clear();
        twins.theirs.refresh_traffic_keys().expect("TLS 1.3");
        twins.theirs.writer().write_all(b"after").expect("room");
        twins.listen().expect("records of rustls");
        assert_eq!(twins.messages, [Message::KeyUpdate { answer: true }]);
        assert!(twins.ours.awaits_key() && twins.ours.owes_update() && twins.clear.is_empty());
    }
}

/// rustls does not give its traffic secrets away, so how keys follow each other is shown with what it counts by itself: a
/// change of ours under the keys that rustls' kernel interface names is in the tests of control's crate. Here: it takes the
/// message itself as a KeyUpdate, and nothing under the old key afterwards.
#[test]
fn our_key_update_is_one_for_the_peer() {
    for role in [Role::Client, Role::Server] {
        let mut twins = Twins::new(Suite::Aes256GcmSha384, role);
        twins.say(b"before", 10);
        let next = Traffic { key: Secret::new(vec![1; 32]), iv: Secret::new(vec![2; 12]), next_number: 0 };
        let mut record = [0; 64];
        let change = Change::SendUnder { traffic: next, ask_peer: true };
        let len = twins.ours.change(&change, &mut record).expect("sealed");
        give(&mut twins.theirs, &record[..len]);
        // rustls answers when it has something to say.
        twins.theirs.writer().write_all(b"something").expect("room");
        twins.listen().expect("records of rustls");
        assert_eq!(twins.messages.last(), Some(&Message::KeyUpdate { answer: false }));
        // The key is not the one that rustls has derived.
        let len = twins.ours.seal(ContentType::Data, &[b"x"], 1, &mut record).expect("sealed");
        let mut octets = &record[..len];
        twins.theirs.read_tls(&mut octets).expect("octets");
        assert_eq!(twins.theirs.process_new_packets().expect_err("refused"), rustls::Error::DecryptError);
    }
}

#[test]
fn close_notify_of_both_ends_is_understood() {
    everything(|suite, role| {
        let mut twins = Twins::new(suite, role);
        twins.alert(Alert::CLOSE_NOTIFY);
        assert!(twins.theirs.process_new_packets().expect("an alert").peer_has_closed());
        assert_eq!(twins.theirs.reader().read(&mut [0; 9]).expect("a clean end"), 0);
        twins.theirs.send_close_notify();
        twins.listen().expect("an alert");
        assert_eq!(twins.ours.stream_ended(), Ok(()), "{suite:?} {role:?}");
        let mut cut = Twins::new(suite, role);
        cut.hear(b"some of it");
        assert_eq!(cut.ours.stream_ended(), Err(Failure::Truncated));
    });
}

#[test]
fn fatal_alerts_of_both_ends_are_understood() {
    everything(|suite, role| {
        let mut twins = Twins::new(suite, role);
        twins.alert(Alert::BAD_RECORD_MAC);
        let error = twins.theirs.process_new_packets().expect_err("a fatal alert");
        assert_eq!(error, rustls::Error::AlertReceived(rustls::AlertDescription::BadRecordMac));
        // A record that rustls cannot open makes it say so.
        let mut twins = Twins::new(suite, role);
        let mut record = vec![0; 64];
        let len = twins.ours.seal(ContentType::Data, &[b"x"], 1, &mut record).expect("sealed");
        record[len - 1] ^= 1;
        let mut octets = &record[..len];
        twins.theirs.read_tls(&mut octets).expect("octets");
        twins.theirs.process_new_packets().expect_err("not authentic");
        assert_eq!(twins.listen(), Err(Failure::PeerAlert(Alert::BAD_RECORD_MAC)), "{suite:?} {role:?}");
        assert!(suite.version() == Version::Tls13 || twins.messages.is_empty());
    });
}
