//! What every target does with what it is given.

use ravelin_rings::format::{self, Contents};
use ravelin_rings::passphrase::Passphrase;

/// Reads a file; what can be read is sorted, described, and its certificates are written and read again.
pub(crate) fn read(data: &[u8]) -> Option<Contents> {
    let contents = format::read("fuzzed", data, &mut |_| Ok(Passphrase::new("secret"))).ok()?;
    let certificates: Vec<_> = contents.certificates.iter().map(|named| named.item.clone()).collect();
    for certificate in &certificates {
        let _ = (certificate.subject(), certificate.issuer(), certificate.serial());
        let _ = (certificate.validity(), certificate.public_key());
    }
    if !certificates.is_empty() {
        let count = |octets: &[u8]| {
            let mut none = |_: &str| Ok(Passphrase::new(""));
            format::read("written", octets, &mut none).expect("what we write is read").certificates.len()
        };
        let pkcs7 = format::write_pkcs7(&certificates).expect("written");
        assert_eq!(count(&pkcs7), certificates.len());
        let pem = format::write_pem(&certificates).expect("written");
        assert_eq!(count(pem.as_bytes()), certificates.len());
    }
    Some(contents)
}

/// The same, and what it holds put together.
pub(crate) fn sort(data: &[u8]) {
    if let Some(contents) = read(data) {
        let _ = contents.sort();
    }
}
