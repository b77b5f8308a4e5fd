//! The keys of negotiated ESP SAs for tests that read the wire: only in builds with debug assertions, only when asked for,
//! never in a build that ships.

use ravelin_ike::ChildSa;

/// The environment variable that names the file. It must not exist yet.
const VARIABLE: &str = "RAVELIN_ESP_KEY_LOG";

pub(super) use door::KeyLog;

#[cfg(not(debug_assertions))]
mod door {
    use super::{ChildSa, VARIABLE};

    /// Closed in this build.
    pub(in crate::ike) struct KeyLog;

    impl KeyLog {
        /// Says that there is no such thing here, if somebody asks for it.
        pub(in crate::ike) fn open() -> Self {
            if std::env::var_os(VARIABLE).is_some() {
                ravelin_events::tell!(KEY_LOG_REFUSED, variable = VARIABLE);
            }
            Self
        }

        /// Nothing.
        pub(in crate::ike) fn write(&mut self, _: &ChildSa) {}
    }
}

#[cfg(debug_assertions)]
mod door {
    use std::fs::{File, OpenOptions};
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;

    use ravelin_contract::sa::{Hash, Integrity, Spi, Transform};
    use ravelin_contract::secret::Secret;
    use ravelin_events::tell;
    use serde_json::{Value, json};

    use super::{ChildSa, VARIABLE};

    /// The open file, where somebody asked.
    pub(in crate::ike) struct KeyLog(Option<File>);

    impl KeyLog {
        /// Opens it where the environment asks, and says so loudly.
        pub(in crate::ike) fn open() -> Self {
            let Some(path) = std::env::var_os(VARIABLE) else { return Self(None) };
            match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
                Ok(file) => {
                    tell!(KEY_LOG, ?path, variable = VARIABLE);
                    Self(Some(file))
                }
                Err(error) => {
                    tell!(KEY_LOG_REFUSED, ?path, variable = VARIABLE, %error);
                    Self(None)
                }
            }
        }

        /// One line of JSON for each direction, with scapy's names of algorithms.
        pub(in crate::ike) fn write(&mut self, sa: &ChildSa) {
            let Some(file) = &mut self.0 else { return };
            for (spi, transform) in
                [(sa.inbound, &sa.inbound_transform), (sa.outbound, &sa.outbound_transform)]
            {
                if let Err(error) = writeln!(file, "{}", line(sa, spi, transform)) {
                    tell!(KEY_LOG_REFUSED, %error);
                }
            }
        }
    }

    fn line(sa: &ChildSa, spi: Spi, transform: &Transform) -> Value {
        let salted = |name, key: &Secret, salt: &[u8]| (name, hex(&[key.expose(), salt].concat()), None);
        let hashed = |integrity: &Integrity| {
            let name = match integrity.hash {
                Hash::Sha256 => "SHA2-256-128",
                Hash::Sha384 => "SHA2-384-192",
                Hash::Sha512 => "SHA2-512-256",
            };
            Some((name, hex(integrity.key.expose())))
        };
        let (cipher, key, integrity) = match transform {
            Transform::AesGcm16 { key, salt } => salted("AES-GCM", key, salt),
            Transform::ChaCha20Poly1305 { key, salt } => salted("CHACHA20-POLY1305", key, salt),
            Transform::AesGmac { key, salt } => salted("AES-NULL-GMAC", key, salt),
            Transform::AesCbc { key, integrity } => ("AES-CBC", hex(key.expose()), hashed(integrity)),
            Transform::Null { integrity } => ("NULL", String::new(), hashed(integrity)),
        };
        json!({
            "spi": spi.get(),
            "mode": format!("{:?}", sa.mode).to_lowercase(),
            "extended": sa.extended_sequence,
            "udp": sa.udp,
            "cipher": cipher,
            "key": key,
            "integrity": integrity.as_ref().map(|(name, _)| name),
            "integrity_key": integrity.as_ref().map(|(_, key)| key),
        })
    }

    fn hex(octets: &[u8]) -> String {
        octets.iter().map(|octet| format!("{octet:02x}")).collect()
    }
}
