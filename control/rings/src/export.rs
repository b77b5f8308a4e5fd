//! Certificates and, when it is said aloud, keys as files for others.

use zeroize::Zeroizing;

use crate::certificate::Certificate;
use crate::format::{self, Item};
use crate::key::PrivateKey;
use crate::name::Place;
use crate::passphrase::Passphrase;
use crate::store::{Key, Rings};
use crate::{Error, Result};

/// What to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// The certificate, or its chain, as PEM; with the key in front if that is asked for.
    Pem,
    /// The certificate alone, DER.
    Der,
    /// The chain as PKCS#7, PEM.
    Pkcs7,
    /// The chain as PKCS#7, DER.
    Pkcs7Der,
    /// Chain and key as PKCS#12.
    Pkcs12,
    /// The same, PEM.
    Pkcs12Pem,
    /// The key alone as PKCS#8, PEM.
    Pkcs8,
    /// The key alone as PKCS#8, DER.
    Pkcs8Der,
}

/// Whether the key goes along.
#[derive(Debug, Clone)]
pub enum KeyWish {
    /// No.
    Without,
    /// Yes, encrypted by this passphrase.
    Encrypted(Passphrase),
    /// Yes, in clear.
    Plain,
}

/// The file of what is at `place`. Every key that leaves is one event of target `ravelin::audit`, code
/// `RVL-KEY-EXPORTED`.
pub fn export(
    rings: &Rings,
    place: &Place,
    form: Form,
    whole_chain: bool,
    wish: &KeyWish,
) -> Result<Zeroizing<Vec<u8>>> {
    let ring = rings.open(&place.ring)?;
    let entry = ring.entry(&place.label)?;
    let chain = if whole_chain { entry.chain.as_slice() } else { &entry.chain[..1] };
    let at = entry.connected.as_ref().unwrap_or(place);
    let key = match wish {
        KeyWish::Without => None,
        _ if !entry.has_key => {
            return Err(Error::NoKey { ring: place.ring.clone(), label: place.label.clone() });
        }
        _ => {
            rings.open(&at.ring)?.check_passphrase()?;
            Some(take_key(rings, at)?)
        }
    };
    let file = write(place, form, chain, key.as_deref(), wish)?;
    if key.is_some() {
        let encrypted = matches!(wish, KeyWish::Encrypted(_));
        let uid = rustix::process::getuid().as_raw();
        ravelin_events::tell!(target: ravelin_events::AUDIT, KEY_EXPORTED, %place, uid, encrypted, ?form);
    }
    Ok(file)
}

fn take_key(rings: &Rings, at: &Place) -> Result<std::sync::Arc<PrivateKey>> {
    match rings.key(at)? {
        Key::Held(key) => Ok(key),
        Key::Token(_) => Err(Error::Unfit(format!("the key of {at} is on a token and cannot leave it"))),
    }
}

fn write(
    place: &Place,
    form: Form,
    chain: &[Certificate],
    key: Option<&PrivateKey>,
    wish: &KeyWish,
) -> Result<Zeroizing<Vec<u8>>> {
    let passphrase = match wish {
        KeyWish::Encrypted(passphrase) => Some(passphrase),
        _ => None,
    };
    let need_key = || key.ok_or_else(|| Error::Unfit("this form is of keys; ask for the key".to_owned()));
    let refuse_key = || match key {
        None => Ok(()),
        Some(_) => Err(Error::Unfit("this form holds no key; use pem, pkcs8 or pkcs12".to_owned())),
    };
    let octets = match form {
        Form::Pem => {
            let key = key.map(|key| format::write_pkcs8(key, passphrase)).transpose()?;
            let key = key.map(|(label, der)| format::write_block(label, &der)).transpose()?;
            let mut text = Zeroizing::new(key.unwrap_or_default());
            text.push_str(&format::write_pem(chain)?);
            text.as_bytes().to_vec()
        }
        Form::Der => {
            refuse_key()?;
            chain[0].der().to_vec()
        }
        Form::Pkcs7 => {
            refuse_key()?;
            format::write_block("PKCS7", &format::write_pkcs7(chain)?)?.into_bytes()
        }
        Form::Pkcs7Der => {
            refuse_key()?;
            format::write_pkcs7(chain)?
        }
        Form::Pkcs8 => {
            let (label, der) = format::write_pkcs8(need_key()?, passphrase)?;
            format::write_block(label, &der)?.into_bytes()
        }
        Form::Pkcs8Der => format::write_pkcs8(need_key()?, passphrase)?.1.to_vec(),
        Form::Pkcs12 | Form::Pkcs12Pem => {
            let missing = || Error::Unfit("a PKCS#12 file with a key is always encrypted".to_owned());
            let passphrase = passphrase.ok_or_else(missing)?;
            let item = Item { name: place.label.as_str(), chain, key };
            let file = format::write_pkcs12(&[item], passphrase)?;
            match form {
                Form::Pkcs12Pem => format::write_block("PKCS12", &file)?.into_bytes(),
                _ => file,
            }
        }
    };
    Ok(Zeroizing::new(octets))
}
