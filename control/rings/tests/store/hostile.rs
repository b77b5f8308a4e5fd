//! Files of every foreign format with changed octets: an error or a value, never a panic.
//!
//! `make fuzz` looks further with libFuzzer. `RAVELIN_HOSTILE` sets how many files are tried of each seed.

use std::path::Path;

use ravelin_rings::format;
use ravelin_rings::passphrase::Passphrase;

use crate::tools::run;

/// SplitMix64: numbers that depend on the seed alone, so that a find comes again.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % bound.max(1) as u64) as usize
    }
}

/// Files of OpenSSL's, by name: each foreign format, with few rounds where a passphrase locks it.
fn seeds(at: &Path) -> Vec<(String, Vec<u8>)> {
    let openssl = |arguments: &str| run(at, "openssl", arguments);
    openssl("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out key.pem");
    openssl("genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out rsa.pem");
    openssl(
        "req -new -x509 -key key.pem -subj /O=Seed/CN=seed -addext subjectAltName=DNS:a,IP:10.0.0.1 -out cert.pem",
    );
    openssl("req -new -key key.pem -subj /CN=seed -outform DER -out request");
    openssl("x509 -in cert.pem -outform DER -out certificate");
    openssl("crl2pkcs7 -nocrl -certfile cert.pem -outform DER -out pkcs7");
    openssl("pkey -in key.pem -outform DER -out pkcs8");
    openssl("pkcs8 -topk8 -in key.pem -passout pass:secret -iter 1 -outform DER -out pkcs8-encrypted");
    openssl("pkey -in rsa.pem -traditional -outform DER -out pkcs1");
    openssl("pkey -in key.pem -traditional -outform DER -out sec1");
    let both = "pkcs12 -export -inkey key.pem -in cert.pem -passout pass:secret -iter 1";
    openssl(&format!("{both} -nomac -out pkcs12"));
    openssl(&format!("{both} -nomac -legacy -out pkcs12-legacy"));
    openssl(&format!("{both} -nomac -keypbe NONE -certpbe NONE -out pkcs12-open"));
    let files = "cert.pem key.pem request certificate pkcs7 pkcs8 pkcs8-encrypted pkcs1 sec1 pkcs12 pkcs12-legacy pkcs12-open";
    files.split(' ').map(|name| (name.to_owned(), std::fs::read(at.join(name)).expect("a seed"))).collect()
}

fn damage(dice: &mut Dice, octets: &mut Vec<u8>) {
    for _ in 0..=dice.below(4) {
        let at = dice.below(octets.len());
        match dice.below(6) {
            0 => octets.truncate(at),
            1 => octets.insert(at, dice.below(256) as u8),
            2 => drop(octets.drain(at..(at + dice.below(8)).min(octets.len()))),
            // Lengths and tags that parsers stumble over.
            3 => octets
                .iter_mut()
                .skip(at)
                .take(1)
                .for_each(|o| *o = [0, 0x7f, 0x80, 0x84, 0xff, 0x30][dice.below(6)]),
            _ => octets.iter_mut().skip(at).take(1).for_each(|o| *o ^= 1 << dice.below(8)),
        }
    }
}

#[test]
fn damaged_files_are_errors_or_values() {
    let folder = tempfile::tempdir().expect("a folder");
    let tries: usize =
        std::env::var("RAVELIN_HOSTILE").ok().map_or(500, |text| text.parse().expect("a number"));
    let mut dice = Dice(1);
    let (mut read, mut refused) = (0, 0);
    for (name, seed) in seeds(folder.path()) {
        for _ in 0..tries {
            let mut octets = seed.clone();
            damage(&mut dice, &mut octets);
            match format::read(&name, &octets, &mut |_| Ok(Passphrase::new("secret"))) {
                Ok(contents) => {
                    let certificates: Vec<_> =
                        contents.certificates.iter().map(|named| named.item.clone()).collect();
                    let again = format::write_pkcs7(&certificates).expect("written");
                    if !certificates.is_empty() {
                        let mut none = |_: &str| Ok(Passphrase::new(""));
                        let found = format::read("again", &again, &mut none).expect("what we write is read");
                        assert_eq!(found.certificates.len(), certificates.len());
                    }
                    drop(contents.sort());
                    read += 1;
                }
                Err(error) => {
                    assert!(error.to_string().starts_with(&name), "the file is named: {error}");
                    refused += 1;
                }
            }
        }
    }
    assert!(read > 0 && refused > read / 10, "{read} read, {refused} refused: the damage is not telling");
    println!("{read} damaged files were read, {refused} refused");
}
