//! What a certificate is wanted for, and whether its key usages allow that.

use webpki::{Error, ExtendedKeyUsageValidator, KeyPurposeIdIter};
use x509_cert::ext::pkix::KeyUsages;

use super::link::Link;
use super::refusal::Refusal;

/// What the peer's certificate is wanted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// The server of a TLS connection.
    TlsServer,
    /// The client of a TLS connection.
    TlsClient,
    /// A peer of IKE (RFC 4945 5.1.3.12).
    Ike,
    /// Whatever it says itself: only to look at a certificate, never to let a peer in.
    Inspection,
}

const SERVER_AUTH: &[usize] = &[1, 3, 6, 1, 5, 5, 7, 3, 1];
const CLIENT_AUTH: &[usize] = &[1, 3, 6, 1, 5, 5, 7, 3, 2];
const IPSEC_IKE: &[usize] = &[1, 3, 6, 1, 5, 5, 7, 3, 17];
const IKE_INTERMEDIATE: &[usize] = &[1, 3, 6, 1, 5, 5, 8, 2, 2];
const ANY: &[usize] = &[2, 5, 29, 37, 0];

impl Purpose {
    /// Any of these in an extended key usage lets the certificate serve.
    fn identifiers(self) -> &'static [&'static [usize]] {
        match self {
            Self::TlsServer => &[SERVER_AUTH],
            Self::TlsClient => &[CLIENT_AUTH],
            Self::Ike => &[IPSEC_IKE, IKE_INTERMEDIATE, ANY],
            Self::Inspection => &[],
        }
    }

    /// Whether `*.example.com` in a certificate matches hosts.
    pub(crate) fn takes_wildcards(self) -> bool {
        !matches!(self, Self::Ike)
    }
}

impl std::fmt::Display for Purpose {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::TlsServer => "TLS server",
            Self::TlsClient => "TLS client",
            Self::Ike => "IKE",
            Self::Inspection => "inspection",
        })
    }
}

impl ExtendedKeyUsageValidator for Purpose {
    /// Without the extension any use is allowed (RFC 5280 4.2.1.12).
    fn validate(&self, present: KeyPurposeIdIter<'_, '_>) -> Result<(), Error> {
        let mut limited = false;
        for id in present {
            limited = true;
            let id = id?.to_decoded_oid();
            if self.identifiers().contains(&id.as_slice()) {
                return Ok(());
            }
        }
        match limited && *self != Self::Inspection {
            true => Err(Error::EmptyEkuExtension),
            false => Ok(()),
        }
    }
}

/// Refuses a leaf whose key may not sign handshakes (RFC 8446 4.4.2.2, RFC 4945 5.1.3.2).
pub(crate) fn check_leaf(leaf: &Link, purpose: Purpose) -> Result<(), Refusal> {
    let Some(usage) = leaf.key_usage() else { return Ok(()) };
    let signs = usage.0.contains(KeyUsages::DigitalSignature)
        || (purpose == Purpose::Ike && usage.0.contains(KeyUsages::NonRepudiation));
    match signs || purpose == Purpose::Inspection {
        true => Ok(()),
        false => Err(Refusal::WrongUsage {
            subject: leaf.words(),
            problem: "its key usage lacks digitalSignature".to_owned(),
        }),
    }
}

/// Refuses an authority whose key may not sign certificates (RFC 5280 4.2.1.3).
pub(crate) fn check_authority(authority: &Link) -> Result<(), Refusal> {
    match authority.key_usage() {
        Some(usage) if !usage.0.contains(KeyUsages::KeyCertSign) => Err(Refusal::WrongUsage {
            subject: authority.words(),
            problem: "it issued a certificate, and its key usage lacks keyCertSign".to_owned(),
        }),
        _ => Ok(()),
    }
}
