//! `keys.toml`: manual keys in hexadecimal and shared keys of IKE, apart from the policy so that it may be shown to anybody.
//!
//! No finding about this file shows any of its text.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use ravelin_config::diagnostic::Collector;
use ravelin_config::document::{self, Table};
use ravelin_config::similar::did_you_mean;
use ravelin_config::source::{Place, Source};
use ravelin_config::value::Value;
use ravelin_contract::limits;
use ravelin_contract::name::Name;
use ravelin_contract::sa::{Integrity, Transform};
use ravelin_contract::secret::Secret;
use ravelin_events::catalogue::{CHECK_KEY, CHECK_KEY_WEAK, CHECK_UNUSED, FILE_MISPLACED, FILE_WRONG_KIND};
use zeroize::Zeroizing;

use crate::policy::algorithm::{Algorithm, Cipher};

/// All entries of the file.
#[derive(Debug, Default)]
pub struct Keys {
    /// `None` for an entry that could not be read, which was told already.
    entries: HashMap<Name, Option<Held>>,
    taken: RefCell<HashMap<Name, Place>>,
    /// Whether there is a file at all.
    exists: bool,
}

/// One entry.
#[derive(Debug)]
enum Held {
    /// The keys of one tunnel.
    Manual(Box<Entry>),
    /// What IKE peers know each other by, as any number of peers may.
    Shared(Secret, Place),
    /// Who may log in by EAP, as any number of peers may ask.
    Users(Users, Place),
}

/// Users with their passwords.
pub type Users = Arc<BTreeMap<String, Secret>>;

/// The keys of one tunnel.
#[derive(Debug)]
pub struct Entry {
    place: Place,
    /// What we seal with.
    pub outbound: Material,
    /// What the peer seals with.
    pub inbound: Material,
}

/// Keys of one direction. Whether the algorithm asks for each is not known yet.
#[derive(Debug)]
pub struct Material {
    place: Place,
    key: Option<(Secret, Place)>,
    salt: Option<([u8; 4], Place)>,
    integrity: Option<(Secret, Place)>,
}

const ENTRY_KEYS: &[&str] = &["outbound", "inbound", "shared", "users"];
/// Fewest octets of a shared key.
const SHARED_MIN: usize = 16;
/// Longest name of a user, and longest password (RFC 2759 4).
pub(super) const USER: usize = 256;
const PASSWORD: usize = 256;
const MATERIAL_KEYS: &[&str] = &["key", "salt", "integrity"];

/// Reads the file. A key that stands twice anywhere in it is an error: two SAs would use the same numbers under it.
pub fn read(source: &Source, notes: &Collector) -> Option<Keys> {
    let mut entries = HashMap::new();
    document::read_named(source, notes, |place, value| {
        let name = name_of(&place, &value);
        let entry = read_entry(place, &value);
        if let Some(name) = name {
            entries.insert(name, entry);
        }
    })?;
    check_reuse(&entries, notes);
    Some(Keys { entries, taken: RefCell::default(), exists: true })
}

impl Keys {
    /// The entry `name`, for the one tunnel that may name it at `place`.
    pub fn take(&self, name: &Name, place: &Place, notes: &Collector) -> Option<&Entry> {
        let taken_before = self.taken.borrow().contains_key(name);
        let Held::Manual(entry) = self.find(name, place, notes)? else {
            notes.error(
                place.clone(),
                FILE_WRONG_KIND.of(format!("`{name}` holds no keys of a manual tunnel")),
                "name an entry with two directions",
            );
            return None;
        };
        if taken_before {
            let message = CHECK_KEY_WEAK
                .of(format!("another tunnel uses the keys `{name}`, so numbers would repeat under them"));
            notes.error(place.clone(), message, "give each tunnel keys of its own");
            return None;
        }
        Some(entry)
    }

    /// The shared key `name`, for a peer that names it at `place`.
    pub fn shared(&self, name: &Name, place: &Place, notes: &Collector) -> Option<&Secret> {
        match self.find(name, place, notes)? {
            Held::Shared(secret, _) => Some(secret),
            Held::Manual(_) | Held::Users(..) => {
                let message = FILE_WRONG_KIND.of(format!("`{name}` holds no shared key"));
                notes.error(place.clone(), message, "name an entry with `shared`");
                None
            }
        }
    }

    /// The users `name`, for a peer that names them at `place`.
    pub fn users(&self, name: &Name, place: &Place, notes: &Collector) -> Option<&Users> {
        match self.find(name, place, notes)? {
            Held::Users(users, _) => Some(users),
            Held::Manual(_) | Held::Shared(..) => {
                let message = FILE_WRONG_KIND.of(format!("`{name}` holds no users"));
                notes.error(place.clone(), message, "name an entry with users = { NAME = \"PASSWORD\" }");
                None
            }
        }
    }

    fn find(&self, name: &Name, place: &Place, notes: &Collector) -> Option<&Held> {
        if !self.exists {
            notes.error(
                place.clone(),
                CHECK_KEY.of("there is no file of keys"),
                "write keys.toml with mode 0600",
            );
            return None;
        }
        let Some(entry) = self.entries.get(name) else {
            let remedy =
                did_you_mean(name.as_str(), self.entries.keys().map(Name::as_str), "add it to keys.toml");
            notes.error(
                place.clone(),
                CHECK_KEY.of(format!("the file of keys has no entry `{name}`")),
                remedy,
            );
            return None;
        };
        self.taken.borrow_mut().entry(name.clone()).or_insert_with(|| place.clone());
        entry.as_ref()
    }

    /// Warns of entries that no tunnel took.
    pub fn warn_unused(&self, notes: &Collector) {
        let taken = self.taken.borrow();
        for (name, entry) in self.entries.iter().filter(|(name, _)| !taken.contains_key(name)) {
            let Some(entry) = entry else { continue };
            notes.warning(
                entry.place().clone(),
                CHECK_UNUSED.of(format!("nothing uses the keys `{name}`")),
                "remove the entry",
            );
        }
    }
}

impl Held {
    fn place(&self) -> &Place {
        match self {
            Self::Manual(entry) => &entry.place,
            Self::Shared(_, place) | Self::Users(_, place) => place,
        }
    }
}

impl Material {
    /// These keys for `algorithm`; `None` when one is missing, superfluous or of another length.
    pub fn transform(&self, algorithm: &Algorithm, notes: &Collector) -> Option<Transform> {
        let key = self.pick("key", &self.key, algorithm.key, algorithm, notes);
        let hash_length = algorithm.hash().map_or(0, |hash| hash.key_len());
        let integrity = self.pick("integrity", &self.integrity, hash_length, algorithm, notes);
        let salt = self.pick_salt(algorithm, notes);
        let (key, integrity, salt) = (key?, integrity?, salt?);
        Some(match algorithm.cipher {
            Cipher::AesGcm16 => Transform::AesGcm16 { key, salt },
            Cipher::ChaCha20Poly1305 => Transform::ChaCha20Poly1305 { key, salt },
            Cipher::AesGmac => Transform::AesGmac { key, salt },
            Cipher::AesCbc(hash) => Transform::AesCbc { key, integrity: Integrity { hash, key: integrity } },
            Cipher::Null(hash) => Transform::Null { integrity: Integrity { hash, key: integrity } },
        })
    }

    /// The key under `field` when it has `length` octets; an empty one when `length` is 0 and none is written.
    fn pick(
        &self,
        field: &str,
        have: &Option<(Secret, Place)>,
        length: usize,
        algorithm: &Algorithm,
        notes: &Collector,
    ) -> Option<Secret> {
        match have {
            None if length == 0 => Some(Secret::new(Vec::new())),
            None => {
                self.missing(field, length, algorithm, notes);
                None
            }
            Some((secret, _)) if secret.len() == length => Some(secret.clone()),
            Some((_, place)) if length == 0 => {
                let message = FILE_MISPLACED.of(format!("{} takes no `{field}`", algorithm.name));
                notes.error(place.clone(), message, "remove it, or choose another algorithm");
                None
            }
            Some((secret, place)) => {
                let (name, has) = (algorithm.name, secret.len());
                let message =
                    CHECK_KEY.of(format!("`{field}` has {has} octets, and {name} asks for {length}"));
                notes.error(place.clone(), message, generate(length));
                None
            }
        }
    }

    fn pick_salt(&self, algorithm: &Algorithm, notes: &Collector) -> Option<[u8; 4]> {
        match (&self.salt, algorithm.has_salt()) {
            (Some((salt, _)), true) => Some(*salt),
            (None, false) => Some([0; 4]),
            (None, true) => {
                self.missing("salt", 4, algorithm, notes);
                None
            }
            (Some((_, place)), false) => {
                let message = FILE_MISPLACED.of(format!("{} takes no `salt`", algorithm.name));
                notes.error(place.clone(), message, "remove it, or choose another algorithm");
                None
            }
        }
    }

    fn missing(&self, field: &str, length: usize, algorithm: &Algorithm, notes: &Collector) {
        let message =
            CHECK_KEY.of(format!("no `{field}`, and {} asks for one of {length} octets", algorithm.name));
        notes.error(self.place.clone(), message, generate(length));
    }

    fn secrets(&self) -> impl Iterator<Item = &(Secret, Place)> {
        self.key.iter().chain(&self.integrity)
    }
}

fn generate(length: usize) -> String {
    format!("make {length} random octets with: openssl rand -hex {length}")
}

fn name_of(place: &Place, value: &Value<'_>) -> Option<Name> {
    let name = Name::new(value.key()).ok();
    if name.is_none() {
        value.context().notes.error(
            place.clone(),
            "an entry's name is not a name",
            "use letters, digits and . _ -",
        );
    }
    name
}

fn read_entry(place: Place, value: &Value<'_>) -> Option<Held> {
    let table = value.table("an entry of keys", ENTRY_KEYS)?;
    if let Some(shared) = table.get("shared") {
        if let Some(stray) = ["outbound", "inbound"].iter().find_map(|key| table.get(key)) {
            stray.error(
                FILE_MISPLACED.of("a shared key of IKE has no directions"),
                "remove the line, or make two entries",
            );
        }
        return read_shared(&shared).map(|secret| Held::Shared(secret, place));
    }
    if let Some(users) = table.get("users") {
        if let Some(stray) = ["outbound", "inbound"].iter().find_map(|key| table.get(key)) {
            stray
                .error(FILE_MISPLACED.of("users have no directions"), "remove the line, or make two entries");
        }
        return read_users(&users).map(|users| Held::Users(users, place));
    }
    let example = |side| format!("{side} = {{ key = \"...\", salt = \"...\" }}");
    let side = |key| {
        let value = table.need(key, &example(key))?;
        value.table("keys of one direction", MATERIAL_KEYS).and_then(|table| read_material(&table))
    };
    let (outbound, inbound) = (side("outbound"), side("inbound"));
    Some(Held::Manual(Box::new(Entry { place, outbound: outbound?, inbound: inbound? })))
}

/// The octets of the text itself, as other IKE programs take it. A short one can be guessed by whoever records an
/// exchange as a false responder (RFC 7296 2.15).
fn read_shared(value: &Value<'_>) -> Option<Secret> {
    let text = value.text()?;
    if text.len() < SHARED_MIN {
        let message = CHECK_KEY_WEAK
            .of(format!("`{}` has fewer than {SHARED_MIN} octets, so it can be guessed", value.key()));
        value.error(message, "make one with: openssl rand -base64 32");
        return None;
    }
    Some(Secret::new(text.as_bytes().to_vec()))
}

/// Names with passwords. Neither is shown in what is told about them.
fn read_users(value: &Value<'_>) -> Option<Users> {
    let read = value.named().into_iter().map(|(place, entry)| {
        let notes = value.context().notes;
        let (name, password) = (entry.key(), entry.text()?);
        let odd =
            |text: &str, longest| text.is_empty() || text.len() > longest || text.contains(char::is_control);
        if odd(name, USER) || name.contains('\\') {
            let message = "a user's name is empty, too long, or has a backslash or a control character";
            notes.error(place, message, "write the name alone, without a domain before it");
            return None;
        }
        if odd(password, PASSWORD) {
            let message = "a user's password is empty, too long, or has a control character";
            notes.error(place, message, format!("write 1 to {PASSWORD} octets of text"));
            return None;
        }
        Some((name.to_owned(), Secret::new(password.as_bytes().to_vec())))
    });
    let read: Vec<_> = read.collect();
    if read.is_empty() {
        value.error("`users` is empty", "add a line such as carol = \"PASSWORD\"");
        return None;
    }
    read.into_iter().collect::<Option<BTreeMap<_, _>>>().map(Arc::new)
}

fn read_material(table: &Table<'_>) -> Option<Material> {
    let key = table.optional("key", read_secret);
    let salt = table.optional("salt", read_salt);
    let integrity = table.optional("integrity", read_secret);
    Some(Material { place: table.place(), key: key?, salt: salt?, integrity: integrity? })
}

fn read_secret(value: &Value<'_>) -> Option<(Secret, Place)> {
    let octets = read_hex(value)?;
    check_random(&octets, value);
    Some((Secret::new(octets.to_vec()), value.place()))
}

fn read_salt(value: &Value<'_>) -> Option<([u8; 4], Place)> {
    let octets = read_hex(value)?;
    let salt = octets.as_slice().try_into().ok();
    if salt.is_none() {
        value.error(CHECK_KEY.of(format!("`salt` has {} octets, not 4", octets.len())), generate(4));
    }
    Some((salt?, value.place()))
}

/// Octets in hexadecimal; spaces, colons and underscores between them are passed over.
fn read_hex(value: &Value<'_>) -> Option<Zeroizing<Vec<u8>>> {
    let text = value.text()?;
    let mut octets = Zeroizing::new(Vec::with_capacity(limits::KEY + 1));
    let mut high = None;
    for c in text.chars().filter(|c| !matches!(c, ' ' | ':' | '_')) {
        let Some(digit) = c.to_digit(16) else {
            let message = format!("`{}` is not hexadecimal", value.key());
            value.error(message, "write two of the digits 0 to 9 and a to f for each octet");
            return None;
        };
        match high.take() {
            None => high = Some(digit as u8),
            Some(_) if octets.len() == limits::KEY => {
                value.error(
                    format!("`{}` is longer than any key", value.key()),
                    "see which length is asked for",
                );
                return None;
            }
            Some(high) => octets.push(high << 4 | digit as u8),
        }
    }
    if high.is_some() {
        let message = format!("`{}` has an odd number of digits", value.key());
        value.error(message, "write two digits for each octet");
        return None;
    }
    Some(octets)
}

/// A key of one repeated octet is a placeholder that somebody forgot.
fn check_random(octets: &[u8], value: &Value<'_>) {
    if octets.windows(2).all(|pair| pair[0] == pair[1]) {
        value.error(
            CHECK_KEY_WEAK.of(format!("`{}` is not random", value.key())),
            generate(octets.len().max(16)),
        );
    }
}

fn check_reuse(entries: &HashMap<Name, Option<Held>>, notes: &Collector) {
    let manual = entries.values().flatten().filter_map(|held| match held {
        Held::Manual(entry) => Some(entry),
        Held::Shared(..) | Held::Users(..) => None,
    });
    let sides = manual.flat_map(|entry| [&entry.outbound, &entry.inbound]);
    let mut all: Vec<_> = sides.flat_map(Material::secrets).collect();
    all.sort_by_key(|(_, place)| place.span.as_ref().map(|span| span.start));
    let mut seen = HashSet::new();
    for (secret, place) in all {
        if !seen.insert(secret.expose()) {
            let message = CHECK_KEY_WEAK
                .of("the same key stands above, so two SAs would use the same numbers under it");
            notes.error(place.clone(), message, "give each direction of each tunnel a key of its own");
        }
    }
}
