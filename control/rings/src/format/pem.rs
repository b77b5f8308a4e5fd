//! PEM (RFC 7468): blocks of base64 between lines that say what they hold.

use base64ct::{Base64, Encoding};
use x509_cert::der::pem::{self, LineEnding};
use zeroize::Zeroizing;

use crate::certificate::Certificate;
use crate::{Error, Result};

/// Label of a certificate.
pub(crate) const CERTIFICATE: &str = "CERTIFICATE";

/// A block as it was found.
pub(crate) struct Block {
    /// What it says it is.
    pub(crate) label: String,
    /// What it holds.
    pub(crate) der: Zeroizing<Vec<u8>>,
}

/// One block.
pub(crate) fn encode(label: &str, der: &[u8]) -> Result<String> {
    pem::encode_string(label, LineEnding::LF, der).map_err(|_| Error::Crypto("PEM cannot be written"))
}

/// The octets of the one block of `text`, which must have this label.
pub(crate) fn decode_one(what: &str, label: &str, text: &str) -> Result<Vec<u8>> {
    let (found, der) = pem::decode_vec(text.as_bytes()).map_err(|e| Error::format(what, e.to_string()))?;
    match found == label {
        true => Ok(der),
        false => Err(Error::format(what, format!("holds a {found}, not a {label}"))),
    }
}

/// All blocks of `text`, in order. What stands between blocks is comment.
pub(crate) fn blocks(what: &str, text: &[u8]) -> Result<Vec<Block>> {
    let text = String::from_utf8_lossy(text);
    let mut rest = text.as_ref();
    let mut found = Vec::new();
    while let Some(start) = rest.find("-----BEGIN ") {
        let from = &rest[start..];
        let label = from["-----BEGIN ".len()..].split("-----").next().unwrap_or_default();
        let end = format!("-----END {label}-----");
        let length = from.find(&end).map(|at| at + end.len()).ok_or_else(|| {
            Error::format(what, format!("the block BEGIN {label} has no END line; the file is cut short"))
        })?;
        found.push(block(what, label, &from[..length])?);
        rest = &from[length..];
    }
    Ok(found)
}

/// One block, lines of any length and kind of ending.
fn block(what: &str, label: &str, text: &str) -> Result<Block> {
    let first = text.find('\n').unwrap_or(text.len());
    let last = text.rfind("-----END").unwrap_or(text.len());
    let body = text.get(first..last).unwrap_or_default();
    if body.contains("Proc-Type:") {
        return Err(Error::format(
            what,
            format!(
                "{label} is encrypted in the old way of OpenSSL, which protects it badly; convert it with \
                 `openssl pkcs8 -topk8 -v2 aes-256-cbc -in FILE -out NEW`"
            ),
        ));
    }
    let digits: Zeroizing<String> = Zeroizing::new(body.split_ascii_whitespace().collect());
    let der = Base64::decode_vec(&digits)
        .map_err(|_| Error::format(what, format!("the block BEGIN {label} is no base64")))?;
    Ok(Block { label: label.to_owned(), der: Zeroizing::new(der) })
}

/// All certificates of `text`.
pub(crate) fn certificates(what: &str, text: &[u8]) -> Result<Vec<Certificate>> {
    let named = |error: Error| Error::format(what, error.to_string());
    let certificates = blocks(what, text)?.into_iter().filter(|block| block.label == CERTIFICATE);
    certificates.map(|block| Certificate::from_der(&block.der).map_err(named)).collect()
}

/// A chain as text.
pub(crate) fn chain(chain: &[Certificate]) -> Result<String> {
    chain.iter().map(|certificate| encode(CERTIFICATE, certificate.der())).collect()
}

/// The octets of base64 without BEGIN and END lines, as some tools write DER.
pub(crate) fn bare_base64(octets: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let digits: Zeroizing<String> =
        Zeroizing::new(std::str::from_utf8(octets).ok()?.split_ascii_whitespace().collect());
    Base64::decode_vec(&digits).ok().filter(|inner| !inner.is_empty()).map(Zeroizing::new)
}
