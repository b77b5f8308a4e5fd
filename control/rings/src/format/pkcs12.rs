//! PKCS#12 (RFC 7292): written with PBES2, AES-256 and HMAC-SHA-256; legacy RC2 and 3DES are read.

use p12_keystore as p12;
use p12_keystore::error::Error as Failure;

use super::{Ask, Named};
use crate::certificate::Certificate;
use crate::key::PrivateKey;
use crate::passphrase::Passphrase;
use crate::{Error, Result};

/// Rounds of key derivation that we write, below the most that common readers take.
const ROUNDS: u32 = 100_000;

/// One thing to be written.
pub(crate) struct Item<'a> {
    /// Its friendlyName.
    pub(crate) name: &'a str,
    /// The certificate first.
    pub(crate) chain: &'a [Certificate],
    /// Its key.
    pub(crate) key: Option<&'a PrivateKey>,
}

/// Certificates and keys, with their friendlyNames.
type Found = (Vec<Named<Certificate>>, Vec<Named<PrivateKey>>);

/// Certificates and keys of the file `what`.
pub(crate) fn read(what: &str, octets: &[u8], ask: Ask<'_>) -> Result<Found> {
    let named = |e: Error| Error::format(what, e.to_string());
    let passphrase = ask(what)?;
    let archive = p12::Pkcs12Archive::from_pkcs12(octets, passphrase.text())
        .map_err(|failure| explain(what, &failure))?;
    let mut certificates = Vec::new();
    for bag in &archive.certs {
        let item = Certificate::from_der(bag.cert.as_der()).map_err(named)?;
        certificates.push(Named { item, name: bag.friendly_name.clone(), anchor: bag.trusted });
    }
    let mut keys = Vec::new();
    for bag in &archive.keys {
        let item = PrivateKey::from_pkcs8(bag.key.as_der()).map_err(named)?;
        keys.push(Named { item, name: bag.friendly_name.clone(), anchor: false });
    }
    Ok((certificates, keys))
}

fn explain(what: &str, failure: &Failure) -> Error {
    let remedy = "write it anew with `openssl pkcs12 -export -keypbe AES-256-CBC -certpbe AES-256-CBC`";
    match failure {
        Failure::MacError(_) | Failure::UnpadError => Error::WrongPassphrase { what: what.to_owned() },
        Failure::UnsupportedEncryptionScheme | Failure::UnsupportedMacAlgorithm | Failure::Pkcs5Error(_) => {
            Error::format(what, format!("PKCS#12: {failure}; {remedy}"))
        }
        other => Error::format(what, format!("PKCS#12: {other}")),
    }
}

/// A file of these items.
pub(crate) fn write(items: &[Item<'_>], passphrase: &Passphrase) -> Result<Vec<u8>> {
    let failed = |failure: Failure| Error::format("PKCS#12", failure.to_string());
    let mut store = p12::KeyStore::new();
    for item in items {
        let chain = item.chain.iter().map(|c| p12::Certificate::from_der(c.der()).map_err(failed));
        let chain: Vec<p12::Certificate> = chain.collect::<Result<_>>()?;
        let entry = match item.key {
            Some(key) => {
                let id = key.public().id();
                let key = p12::PrivateKey::from_der(key.pkcs8()).map_err(failed)?;
                p12::KeyStoreEntry::PrivateKeyChain(p12::PrivateKeyChain::new(id.as_slice(), key, chain))
            }
            None => {
                let first = chain.into_iter().next();
                let missing = || Error::Unfit(format!("{} has no certificate to write", item.name));
                p12::KeyStoreEntry::Certificate(first.ok_or_else(missing)?)
            }
        };
        store.add_entry(item.name, entry);
    }
    let rounds = passphrase.rounds(ROUNDS);
    let writer = store.writer(passphrase.text()).encryption_iterations(rounds).mac_iterations(rounds);
    writer.write().map_err(failed)
}
