//! Foreign formats of certificates and keys, both ways: PEM, DER, PKCS#7, PKCS#8, PKCS#12, PKCS#1 and SEC1.
//!
//! [`read`] finds out by itself what a file is. What it cannot read it names, with the remedy.

mod der;
pub(crate) mod pem;
mod pkcs12;
mod pkcs7;
pub(crate) mod pkcs8;

use zeroize::Zeroizing;

pub use pkcs7::write as write_pkcs7;
pub(crate) use pkcs12::{Item, read as read_pkcs12, write as write_pkcs12};

use crate::certificate::Certificate;
use crate::key::PrivateKey;
use crate::passphrase::Passphrase;
use crate::{Error, Result};

/// What was in a file.
#[derive(Debug, Default)]
pub struct Contents {
    /// Forms that were met, such as `PKCS#12`.
    pub forms: Vec<&'static str>,
    /// Certificates, in order of the file.
    pub certificates: Vec<Named<Certificate>>,
    /// Private keys.
    pub keys: Vec<Named<PrivateKey>>,
    /// PKCS#10 requests, DER.
    pub requests: Vec<Vec<u8>>,
    /// Certificate revocation lists, DER.
    pub crls: Vec<Vec<u8>>,
}

/// Something with the name that the file gave it (PKCS#12 friendlyName).
#[derive(Debug)]
pub struct Named<T> {
    /// What it is.
    pub item: T,
    /// Its name, where the format has one.
    pub name: Option<String>,
    /// Whether the file marks it as a trust anchor.
    pub anchor: bool,
}

/// A key with the certificates that belong to it.
#[derive(Debug)]
pub struct Identity {
    /// The private key.
    pub key: PrivateKey,
    /// Its certificate first, then issuers as far as the file has them.
    pub chain: Vec<Certificate>,
    /// Its name in the file.
    pub name: Option<String>,
}

/// What is in a file, put together.
#[derive(Debug, Default)]
pub struct Sorted {
    /// Keys with certificates.
    pub identities: Vec<Identity>,
    /// Keys without.
    pub lone_keys: Vec<Named<PrivateKey>>,
    /// Certificates without key that issued nothing above.
    pub lone_certificates: Vec<Named<Certificate>>,
}

/// Gives the passphrase of what is being read, when it turns out to be encrypted.
pub type Ask<'a> = &'a mut dyn FnMut(&str) -> Result<Passphrase>;

/// Reads the octets of the file `what`.
pub fn read(what: &str, octets: &[u8], ask: Ask<'_>) -> Result<Contents> {
    let mut contents = Contents::default();
    if octets.windows(11).any(|part| part == b"-----BEGIN ") {
        for block in pem::blocks(what, octets)? {
            contents.take_block(what, &block, ask)?;
        }
    } else if let Some(inner) = pem::bare_base64(octets) {
        contents.take_der(what, &inner, ask)?;
    } else {
        contents.take_der(what, octets, ask)?;
    }
    match contents.is_empty() {
        true => Err(Error::format(what, "holds no certificate, key, request or revocation list")),
        false => Ok(contents),
    }
}

impl Contents {
    fn is_empty(&self) -> bool {
        self.certificates.is_empty()
            && self.keys.is_empty()
            && self.requests.is_empty()
            && self.crls.is_empty()
    }

    fn take_block(&mut self, what: &str, block: &pem::Block, ask: Ask<'_>) -> Result<()> {
        match block.label.as_str() {
            "EC PARAMETERS" | "DH PARAMETERS" | "PUBLIC KEY" => Ok(()),
            "OPENSSH PRIVATE KEY" => Err(Error::format(
                what,
                "is a key of OpenSSH; convert a copy with `ssh-keygen -p -m PKCS8 -f COPY`",
            )),
            "DSA PRIVATE KEY" => {
                Err(Error::format(what, "DSA keys are not supported; make an ECDSA or RSA key"))
            }
            // OpenSSL's own form: a certificate with remarks behind it.
            "TRUSTED CERTIFICATE" => self.take_der(what, der::first(what, &block.der)?, ask),
            _ => self.take_der(what, &block.der, ask),
        }
    }

    fn take_der(&mut self, what: &str, octets: &[u8], ask: Ask<'_>) -> Result<()> {
        use der::Shape;
        let form = match der::shape(what, octets)? {
            Shape::Certificate => {
                let item = Certificate::from_der(octets).map_err(|e| Error::format(what, e.to_string()))?;
                self.certificates.push(Named { item, name: None, anchor: false });
                "X.509"
            }
            Shape::Request => {
                self.requests.push(octets.to_vec());
                "PKCS#10"
            }
            Shape::Crl => {
                self.crls.push(octets.to_vec());
                "X.509 CRL"
            }
            Shape::Pkcs7 => {
                let (certificates, crls) = pkcs7::read(what, octets)?;
                self.certificates.extend(certificates.into_iter().map(|item| Named {
                    item,
                    name: None,
                    anchor: false,
                }));
                self.crls.extend(crls);
                "PKCS#7"
            }
            Shape::Pkcs12 => {
                let (certificates, keys) = pkcs12::read(what, octets, ask)?;
                self.certificates.extend(certificates);
                self.keys.extend(keys);
                "PKCS#12"
            }
            Shape::EncryptedPkcs8 => {
                let plain = pkcs8::decrypt(what, octets, &ask(what)?)?;
                self.take_key(what, PrivateKey::from_pkcs8(&plain))?;
                "PKCS#8, encrypted"
            }
            Shape::Pkcs8 => {
                self.take_key(what, PrivateKey::from_pkcs8(octets))?;
                "PKCS#8"
            }
            Shape::Pkcs1 => {
                self.take_key(what, PrivateKey::from_pkcs1(octets))?;
                "PKCS#1"
            }
            Shape::Sec1 => {
                self.take_key(what, PrivateKey::from_sec1(octets))?;
                "SEC1"
            }
        };
        if !self.forms.contains(&form) {
            self.forms.push(form);
        }
        Ok(())
    }

    fn take_key(&mut self, what: &str, key: Result<PrivateKey>) -> Result<()> {
        let item = key.map_err(|e| Error::format(what, e.to_string()))?;
        self.keys.push(Named { item, name: None, anchor: false });
        Ok(())
    }

    /// Puts keys, certificates and their issuers together.
    pub fn sort(mut self) -> Sorted {
        let mut sorted = Sorted::default();
        for key in self.keys {
            let own = |named: &Named<Certificate>| {
                named.item.public_key().is_ok_and(|public| public == *key.item.public())
            };
            let Some(at) = self.certificates.iter().position(own) else {
                sorted.lone_keys.push(key);
                continue;
            };
            let first = self.certificates.remove(at);
            let name = key.name.or(first.name);
            sorted.identities.push(Identity { key: key.item, chain: vec![first.item], name });
        }
        for identity in &mut sorted.identities {
            let rest: Vec<&Certificate> = self.certificates.iter().map(|named| &named.item).collect();
            let chain = chain_of(identity.chain[0].clone(), &rest);
            identity.chain = chain;
        }
        let in_chain = |named: &Named<Certificate>| {
            sorted.identities.iter().any(|identity| identity.chain.contains(&named.item))
        };
        let lone: Vec<_> =
            self.certificates.into_iter().filter(|named| named.anchor || !in_chain(named)).collect();
        sorted.lone_certificates = lone;
        sorted
    }
}

/// `first` and its issuers from `others`, by name, as far as they go.
pub fn chain_of(first: Certificate, others: &[&Certificate]) -> Vec<Certificate> {
    let mut chain = vec![first];
    while let Some(last) = chain.last() {
        let issued = |other: &&&Certificate| {
            other.parts().subject() == last.parts().issuer() && !chain.contains(other)
        };
        let Some(issuer) = others.iter().find(issued).filter(|_| !last.is_self_issued()) else { break };
        let issuer = (**issuer).clone();
        chain.push(issuer);
    }
    chain
}

/// A chain as PEM text.
pub fn write_pem(chain: &[Certificate]) -> Result<String> {
    pem::chain(chain)
}

/// One block of PEM text around any octets, such as `CERTIFICATE REQUEST`.
pub fn write_block(label: &str, der: &[u8]) -> Result<String> {
    pem::encode(label, der)
}

/// A key as PKCS#8, encrypted if there is a passphrase.
pub(crate) fn write_pkcs8(
    key: &PrivateKey,
    passphrase: Option<&Passphrase>,
) -> Result<(&'static str, Zeroizing<Vec<u8>>)> {
    Ok(match passphrase {
        Some(passphrase) => (pkcs8::ENCRYPTED, Zeroizing::new(pkcs8::encrypt(key.pkcs8(), passphrase)?)),
        None => ("PRIVATE KEY", Zeroizing::new(key.pkcs8().to_vec())),
    })
}
