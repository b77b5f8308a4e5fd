//! Certificates for EAP-TLS: both sides show the same one, and what is known outside believes it.

use std::sync::{Arc, LazyLock};

use ravelin_ike::Answer;
use ravelin_ike::eap::tls::{self, Possession};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, ServerConfig};

/// Of an Ed25519 key that signed itself, for mallory.example.
const CERTIFICATE: &[u8] = include_bytes!("mallory.der");
const KEY: &[u8] = include_bytes!("mallory.key.der");

static SHOWN: LazyLock<Arc<SingleCertAndKey>> = LazyLock::new(|| {
    let chain = vec![CertificateDer::from_slice(CERTIFICATE)];
    let key = PrivatePkcs8KeyDer::from(KEY).into();
    let pair = CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider());
    Arc::new(pair.expect("a pair").into())
});

static SERVER: LazyLock<Arc<ServerConfig>> = LazyLock::new(|| {
    tls::config(Arc::clone(&SHOWN) as _, Arc::new(Possession::default())).expect("settings")
});

static CLIENT: LazyLock<Arc<ClientConfig>> =
    LazyLock::new(|| tls::client_config(Arc::clone(&SHOWN) as _).expect("settings"));

/// What a server shows.
pub(crate) fn server() -> Arc<ServerConfig> {
    Arc::clone(&SERVER)
}

/// What a client shows.
pub(crate) fn client() -> Arc<ClientConfig> {
    Arc::clone(&CLIENT)
}

/// The certificate is believed. That no signature of IKE is by its key shows later.
pub(crate) fn believed() -> Answer {
    // SubjectPublicKeyInfo of an Ed25519 key (RFC 8410 4).
    let prefix = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
    Answer::Trusted { public_key: [&prefix[..], &[9; 32]].concat(), good_for: None }
}
