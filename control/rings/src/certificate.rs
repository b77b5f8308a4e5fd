//! One certificate: its octets, and the parts that a ring looks at.

use std::sync::Arc;

use x509_cert::Certificate as Parsed;
use x509_cert::der::{Decode, Encode};

use crate::key::PublicKey;
use crate::{Error, Result};

/// A certificate that can be read, as DER. Whether to believe it is another matter. Clones share what was read.
#[derive(Debug, Clone)]
pub struct Certificate(Arc<Read>);

/// The octets, and what they say.
#[derive(Debug)]
struct Read {
    der: Vec<u8>,
    parsed: Parsed,
}

impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        self.0.der == other.0.der
    }
}

impl Eq for Certificate {}

impl Certificate {
    /// Reads DER; nothing may follow it.
    pub fn from_der(der: &[u8]) -> Result<Self> {
        let parsed = Parsed::from_der(der).map_err(|e| Error::format("certificate", e.to_string()))?;
        Ok(Self(Arc::new(Read { der: der.to_vec(), parsed })))
    }

    /// The octets.
    pub fn der(&self) -> &[u8] {
        &self.0.der
    }

    /// Its parts (RFC 5280 4.1).
    pub fn parts(&self) -> &x509_cert::certificate::TbsCertificate {
        self.0.parsed.tbs_certificate()
    }

    /// Subject as RFC 4514 text.
    pub fn subject(&self) -> String {
        self.parts().subject().to_string()
    }

    /// Issuer as RFC 4514 text.
    pub fn issuer(&self) -> String {
        self.parts().issuer().to_string()
    }

    /// Serial number in hexadecimal digits.
    pub fn serial(&self) -> String {
        hex(self.parts().serial_number().as_bytes())
    }

    /// Whether subject and issuer are one.
    pub fn is_self_issued(&self) -> bool {
        self.parts().subject() == self.parts().issuer()
    }

    /// First and last second of its validity, since 1970.
    pub fn validity(&self) -> (u64, u64) {
        let validity = self.parts().validity();
        let seconds = |time: x509_cert::time::Time| time.to_unix_duration().as_secs();
        (seconds(validity.not_before), seconds(validity.not_after))
    }

    /// DER of the SubjectPublicKeyInfo, of whatever kind.
    pub fn spki(&self) -> Result<Vec<u8>> {
        let failed = |e: der::Error| Error::format("certificate", e.to_string());
        self.parts().subject_public_key_info().to_der().map_err(failed)
    }

    /// The public key, if of a kind that a ring may hold.
    pub fn public_key(&self) -> Result<PublicKey> {
        PublicKey::from_spki(&self.spki()?)
    }

    /// SHA-256 of the DER.
    pub fn fingerprint(&self) -> [u8; 32] {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &self.0.der);
        digest.as_ref().try_into().unwrap_or_default()
    }
}

/// Lower-case hexadecimal digits.
pub fn hex(octets: &[u8]) -> String {
    use std::fmt::Write;
    octets.iter().fold(String::new(), |mut text, octet| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{octet:02x}");
        text
    })
}
