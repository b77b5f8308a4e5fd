//! CERT and CERTREQ payloads (RFC 7296 3.6, 3.7).

use std::borrow::Cow;

use super::code::code_points;
use super::cursor::{Body, Reader, at_most};
use super::error::WriteError;
use super::limits;

code_points! {
    /// Form of a certificate or of what stands for it.
    CertificateEncoding: u8 {
        Pkcs7 = 1 "PKCS7",
        Pgp = 2 "PGP",
        DnsSignedKey = 3 "DNS_SIGNED_KEY",
        X509Signature = 4 "X509_SIGNATURE",
        Kerberos = 6 "KERBEROS",
        RevocationList = 7 "CRL",
        AuthorityRevocationList = 8 "ARL",
        Spki = 9 "SPKI",
        X509Attribute = 10 "X509_ATTRIBUTE",
        HashAndUrl = 12 "HASH_AND_URL_X509",
        HashAndUrlBundle = 13 "HASH_AND_URL_BUNDLE",
        OcspContent = 14 "OCSP_CONTENT",
        RawPublicKey = 15 "RAW_PUBLIC_KEY",
    }
}

/// A certificate, or something else that speaks for a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate<'a> {
    /// Its form.
    pub encoding: CertificateEncoding,
    /// Its octets.
    pub data: Cow<'a, [u8]>,
}

/// A SHA-1 hash of a certificate and where to fetch it (RFC 7296 3.6). Recognised; nothing here fetches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HashAndUrl<'a> {
    /// Hash of the certificate.
    pub hash: [u8; 20],
    /// Where it is said to be.
    pub url: &'a str,
}

impl<'a> Certificate<'a> {
    /// A certificate in DER.
    pub fn x509(der: impl Into<Cow<'a, [u8]>>) -> Self {
        Self { encoding: CertificateEncoding::X509Signature, data: der.into() }
    }

    /// Hash and location, when it is of that form and its location is printable ASCII.
    pub fn hash_and_url(&self) -> Option<HashAndUrl<'_>> {
        if self.encoding != CertificateEncoding::HashAndUrl {
            return None;
        }
        let (hash, url) = self.data.split_first_chunk::<20>()?;
        let url =
            std::str::from_utf8(url).ok().filter(|url| url.bytes().all(|octet| octet.is_ascii_graphic()))?;
        Some(HashAndUrl { hash: *hash, url })
    }

    pub(super) fn parse(octets: &'a [u8]) -> Body<Self> {
        let mut reader = Reader::new(octets);
        let encoding = reader.u8().ok_or("ends within the encoding")?.into();
        let data = reader.rest();
        at_most(data.len(), limits::CERTIFICATE, "the certificate is too long")?;
        if data.is_empty() {
            Err("the certificate is empty")
        } else {
            Ok(Self { encoding, data: data.into() })
        }
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) -> Result<(), WriteError> {
        if self.data.is_empty() || self.data.len() > limits::CERTIFICATE {
            return Err(WriteError("a certificate is empty or too long"));
        }
        out.push(self.encoding.into());
        out.extend_from_slice(&self.data);
        Ok(())
    }
}

/// Which authorities a side would believe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateRequest<'a> {
    /// The form asked for.
    pub encoding: CertificateEncoding,
    /// For X.509: SHA-1 hashes of the authorities' public keys, 20 octets each. Empty means any.
    pub authorities: Cow<'a, [u8]>,
}

impl<'a> CertificateRequest<'a> {
    /// A request for X.509 from one of these authorities.
    pub fn x509(authorities: &[[u8; 20]]) -> Self {
        Self { encoding: CertificateEncoding::X509Signature, authorities: authorities.concat().into() }
    }

    /// The hashes of the authorities' keys.
    pub fn hashes(&self) -> impl Iterator<Item = [u8; 20]> + '_ {
        self.authorities.as_chunks::<20>().0.iter().copied()
    }

    fn check(encoding: CertificateEncoding, authorities: &[u8]) -> Body<()> {
        at_most(authorities.len(), limits::AUTHORITIES, "too many authorities")?;
        let hashed = matches!(encoding, CertificateEncoding::X509Signature | CertificateEncoding::HashAndUrl);
        if hashed && !authorities.len().is_multiple_of(20) {
            return Err("the authorities are no list of 20-octet hashes");
        }
        Ok(())
    }

    pub(super) fn parse(octets: &'a [u8]) -> Body<Self> {
        let mut reader = Reader::new(octets);
        let encoding = reader.u8().ok_or("ends within the encoding")?.into();
        let authorities = reader.rest();
        Self::check(encoding, authorities)?;
        Ok(Self { encoding, authorities: authorities.into() })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) -> Result<(), WriteError> {
        Self::check(self.encoding, &self.authorities).map_err(WriteError)?;
        out.push(self.encoding.into());
        out.extend_from_slice(&self.authorities);
        Ok(())
    }
}
