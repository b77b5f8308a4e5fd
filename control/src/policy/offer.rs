//! Algorithms of IKEv2 by the words of the policy files (rows B30, B32; RFC 8247, RFC 8221). Weak ones have no word.

use ravelin_config::document::Table;
use ravelin_ike::crypto::{ChildCipher, Cipher, Group, Integrity, KeySize, Prf};
use ravelin_ike::policy::{EspOffer, IkeOffer};

const CIPHERS: &[(&str, Cipher)] = &[
    ("aes256-gcm16", Cipher::AesGcm16(KeySize::Bits256)),
    ("aes128-gcm16", Cipher::AesGcm16(KeySize::Bits128)),
    ("chacha20-poly1305", Cipher::ChaCha20Poly1305),
    ("aes256-cbc", Cipher::AesCbc(KeySize::Bits256)),
    ("aes128-cbc", Cipher::AesCbc(KeySize::Bits128)),
];
const INTEGRITY: &[(&str, Integrity)] = &[
    ("hmac-sha2-256", Integrity::HmacSha256),
    ("hmac-sha2-384", Integrity::HmacSha384),
    ("hmac-sha2-512", Integrity::HmacSha512),
];
const PRFS: &[(&str, Prf)] = &[
    ("hmac-sha2-256", Prf::HmacSha256),
    ("hmac-sha2-384", Prf::HmacSha384),
    ("hmac-sha2-512", Prf::HmacSha512),
];
const GROUPS: &[(&str, Group)] = &[
    ("curve25519", Group::Curve25519),
    ("ecp256", Group::Ecp256),
    ("ecp384", Group::Ecp384),
    ("ecp521", Group::Ecp521),
    ("modp3072", Group::Modp3072),
    ("modp4096", Group::Modp4096),
    ("modp2048", Group::Modp2048),
];
const ADDITIONAL: &[(&str, Option<Group>)] =
    &[("ml-kem-768", Some(Group::MlKem768)), ("ml-kem-1024", Some(Group::MlKem1024)), ("none", None)];
/// Suites of a child: cipher, and integrity where the cipher has none of its own. Names as manual tunnels have them.
const SUITES: &[(&str, (ChildCipher, Option<Integrity>))] = &[
    ("aes256-gcm16", (ChildCipher::AesGcm16(KeySize::Bits256), None)),
    ("aes128-gcm16", (ChildCipher::AesGcm16(KeySize::Bits128), None)),
    ("chacha20-poly1305", (ChildCipher::ChaCha20Poly1305, None)),
    ("aes256-gmac", (ChildCipher::AesGmac(KeySize::Bits256), None)),
    ("aes128-gmac", (ChildCipher::AesGmac(KeySize::Bits128), None)),
    ("aes256-cbc-hmac-sha2-256", (ChildCipher::AesCbc(KeySize::Bits256), Some(Integrity::HmacSha256))),
    ("aes256-cbc-hmac-sha2-384", (ChildCipher::AesCbc(KeySize::Bits256), Some(Integrity::HmacSha384))),
    ("aes256-cbc-hmac-sha2-512", (ChildCipher::AesCbc(KeySize::Bits256), Some(Integrity::HmacSha512))),
    ("aes128-cbc-hmac-sha2-256", (ChildCipher::AesCbc(KeySize::Bits128), Some(Integrity::HmacSha256))),
    ("aes128-cbc-hmac-sha2-384", (ChildCipher::AesCbc(KeySize::Bits128), Some(Integrity::HmacSha384))),
    ("aes128-cbc-hmac-sha2-512", (ChildCipher::AesCbc(KeySize::Bits128), Some(Integrity::HmacSha512))),
    ("null-hmac-sha2-256", (ChildCipher::Null, Some(Integrity::HmacSha256))),
    ("null-hmac-sha2-384", (ChildCipher::Null, Some(Integrity::HmacSha384))),
    ("null-hmac-sha2-512", (ChildCipher::Null, Some(Integrity::HmacSha512))),
];

/// The words of a list, or `default`; `None` when one of them is wrong.
fn words<T: Copy>(
    table: &Table<'_>,
    key: &'static str,
    known: &[(&'static str, T)],
    default: &[T],
) -> Option<Vec<T>> {
    let Some(value) = table.get(key) else { return Some(default.to_vec()) };
    let read: Vec<_> = value.one_or_more().iter().map(|word| word.choice(known)).collect();
    read.into_iter().collect::<Option<Vec<_>>>().filter(|list| !list.is_empty())
}

/// Algorithms of the IKE SA.
pub fn ike(table: &Table<'_>) -> Option<IkeOffer> {
    let gcm = |size| Cipher::AesGcm16(size);
    let ciphers = words(
        table,
        "ciphers",
        CIPHERS,
        &[gcm(KeySize::Bits256), gcm(KeySize::Bits128), Cipher::ChaCha20Poly1305],
    );
    let integrity = words(table, "integrity", INTEGRITY, &[]);
    let prfs = words(table, "prfs", PRFS, &[Prf::HmacSha384, Prf::HmacSha256, Prf::HmacSha512]);
    let groups =
        words(table, "groups", GROUPS, &[Group::Curve25519, Group::Ecp256, Group::Ecp384, Group::Modp3072]);
    let additional = additional(table)?;
    let offer = IkeOffer::new(&ciphers?, &integrity?, &prfs?, &groups?, &additional);
    offer
        .map_err(|error| table.error(error.to_string(), "mend `ciphers`, `integrity`, `prfs` or `groups`"))
        .ok()
}

/// Key exchanges on top of the first: the choices of one, or none.
fn additional(table: &Table<'_>) -> Option<Vec<Vec<Option<Group>>>> {
    let choices = words(table, "additional_groups", ADDITIONAL, &[])?;
    Some(Some(choices).filter(|list| !list.is_empty()).into_iter().collect())
}

/// Algorithms of a tunnel's children.
pub fn esp(table: &Table<'_>) -> Option<EspOffer> {
    let suites = words(table, "algorithms", SUITES, &[SUITES[0].1, SUITES[1].1, SUITES[2].1]);
    let with_none: Vec<_> =
        GROUPS.iter().map(|(word, group)| (*word, Some(*group))).chain([("none", None)]).collect();
    let default = [Some(Group::Curve25519), Some(Group::Ecp256), Some(Group::Ecp384), Some(Group::Modp3072)];
    let groups = words(table, "pfs", &with_none, &default);
    let extended = table.optional("extended_sequence", |value| value.flag());
    let suites = suites?;
    let ciphers = once_each(suites.iter().map(|(cipher, _)| *cipher));
    let integrity = once_each(suites.iter().filter_map(|(_, integrity)| *integrity));
    // Nothing written: what the peer can.
    let extended = extended?.map_or(vec![true, false], |only| vec![only]);
    let offer = EspOffer::new(&ciphers, &integrity, &groups?, &extended)
        .map_err(|error| table.error(error.to_string(), "list suites of one kind in `algorithms`"));
    let offer = offer.ok()?.with_additional(&additional(table)?);
    offer
        .map_err(|error| {
            table.error(error.to_string(), "take \"none\" out of `pfs`, or leave `additional_groups` out")
        })
        .ok()
}

fn once_each<T: PartialEq>(items: impl Iterator<Item = T>) -> Vec<T> {
    items.fold(Vec::new(), |mut list, item| {
        if !list.contains(&item) {
            list.push(item);
        }
        list
    })
}
