//! Encrypted PKCS#8 (RFC 5958): PBES2 with PBKDF2-HMAC-SHA-256 and AES-256-CBC to write; more to read.

use pkcs8::pkcs5::EncryptionScheme;
use pkcs8::pkcs5::pbes2::{Kdf, Parameters};
use pkcs8::{EncryptedPrivateKeyInfoRef, der::Encode};
use x509_cert::der::asn1::OctetStringRef;
use zeroize::Zeroizing;

use crate::passphrase::Passphrase;
use crate::{Error, Result};

/// PEM label.
pub(crate) const ENCRYPTED: &str = "ENCRYPTED PRIVATE KEY";

/// Rounds of PBKDF2-HMAC-SHA-256 (OWASP's floor of 2023).
const ROUNDS: u32 = 600_000;
/// Rounds that a foreign file may ask for: some seconds of work, no standstill.
const MOST_ROUNDS: u32 = 10_000_000;
/// Memory that a foreign file may ask scrypt for.
const MOST_SCRYPT: u64 = 256 << 20;

/// Encrypts a PrivateKeyInfo.
pub(crate) fn encrypt(pkcs8: &[u8], passphrase: &Passphrase) -> Result<Vec<u8>> {
    const FAILED: Error = Error::Crypto("the key cannot be encrypted");
    let (mut salt, mut iv) = ([0; 16], [0; 16]);
    aws_lc_rs::rand::fill(&mut salt).map_err(|_| FAILED)?;
    aws_lc_rs::rand::fill(&mut iv).map_err(|_| FAILED)?;
    let scheme = Parameters::generate_pbkdf2_sha256_aes256cbc(passphrase.rounds(ROUNDS), &salt, iv)
        .map_err(|_| FAILED)?;
    let encrypted = scheme.encrypt(passphrase.text(), pkcs8).map_err(|_| FAILED)?;
    let encrypted_data = OctetStringRef::new(&encrypted).map_err(|_| FAILED)?;
    EncryptedPrivateKeyInfoRef { encryption_algorithm: scheme.into(), encrypted_data }
        .to_der()
        .map_err(|_| FAILED)
}

/// Decrypts an EncryptedPrivateKeyInfo of the file or object `what`.
pub(crate) fn decrypt(what: &str, der: &[u8], passphrase: &Passphrase) -> Result<Zeroizing<Vec<u8>>> {
    let info = EncryptedPrivateKeyInfoRef::try_from(der).map_err(|e| {
        let remedy = "re-encrypt it with `openssl pkcs8 -topk8 -v2 aes-256-cbc -in FILE -out NEW`";
        Error::format(what, format!("encrypted in a way that is not read ({e}); {remedy}"))
    })?;
    refuse_excess(what, &info.encryption_algorithm)?;
    let plain = info
        .encryption_algorithm
        .decrypt(passphrase.text(), info.encrypted_data.as_bytes())
        .map_err(|_| Error::WrongPassphrase { what: what.to_owned() })?;
    Ok(Zeroizing::new(plain))
}

/// A file from outside must not decide how long we are busy.
fn refuse_excess(what: &str, scheme: &EncryptionScheme) -> Result<()> {
    let parameters =
        scheme.pbes2().ok_or_else(|| Error::format(what, "encrypted by PBES1; convert it to PBES2"))?;
    let excess = match &parameters.kdf {
        Kdf::Pbkdf2(kdf) => kdf.iteration_count > MOST_ROUNDS,
        Kdf::Scrypt(kdf) => {
            let block = u64::from(kdf.block_size) * 128;
            kdf.cost_parameter.saturating_mul(block) > MOST_SCRYPT
                || u64::from(kdf.parallelization) * block > MOST_SCRYPT
        }
        _ => return Err(Error::format(what, "its key derivation is not known; convert it to PBKDF2")),
    };
    match excess {
        true => Err(Error::format(what, "asks for more work to open than is done for a foreign file")),
        false => Ok(()),
    }
}
