//! `ravelin ring`: make, list, show and delete rings, say who may use them, and show certificates of one in another.

use std::path::PathBuf;

use clap::Subcommand;
use ravelin_rings::access::Access;
use ravelin_rings::name::{Label, Place, RingName};
use ravelin_rings::ring::{Ring, Usage};
use ravelin_rings::store::{BUNDLE, NewRing, Rings, StoreKind};
use serde_json::json;

use super::cert::describe::date;
use super::keyring::{self, AtRings, Lock, Term, audited, done, name_of, owner_text};
use super::table::print;
use super::{Failure, Session};

/// What the command is told.
pub(crate) type Arguments = AtRings<Verb>;

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Make a ring.
    Create(Create),
    /// All rings.
    List,
    /// One ring: whose it is, who may use it, what is in it.
    Show {
        /// The ring.
        ring: RingName,
    },
    /// Delete a ring with its certificates and keys.
    Delete {
        /// The ring.
        ring: RingName,
        /// Also when it holds private keys, which are lost then.
        #[arg(long)]
        with_keys: bool,
    },
    /// Show a certificate of another ring in this one; its key stays where it is.
    Connect(Connect),
    /// Take a connected certificate out of a ring again.
    Disconnect {
        /// The ring.
        ring: RingName,
        /// Its label there.
        label: Label,
    },
    /// Say who may use the keys of a ring; without options, show it.
    Access(AccessChange),
    /// Lock the keys of a ring by another passphrase; on a token, change its PIN.
    Passwd {
        /// The ring.
        ring: RingName,
        #[command(flatten)]
        lock: Lock,
        #[command(flatten)]
        term: Term,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct Create {
    /// Name of the ring.
    ring: RingName,
    /// Whose it is: a user, `ca` or `host`; the caller when left out.
    #[arg(long)]
    owner: Option<String>,
    /// A user that may use its keys; may be given again, as the next two.
    #[arg(long, value_name = "USER")]
    allow_user: Vec<String>,
    /// A group that may use its keys.
    #[arg(long, value_name = "GROUP")]
    allow_group: Vec<String>,
    /// A unit that may use its keys, such as web.service.
    #[arg(long, value_name = "UNIT")]
    allow_unit: Vec<String>,
    /// Where certificates and keys lie.
    #[arg(long, value_enum, default_value = "directory")]
    store: Store,
    /// Module of the token, a shared library.
    #[arg(long, value_name = "FILE", required_if_eq("store", "token"))]
    module: Option<PathBuf>,
    /// Label of the token; its PIN comes by --passphrase-file, --credential or --prompt.
    #[arg(long, value_name = "LABEL", required_if_eq("store", "token"))]
    token: Option<String>,
    /// Seconds that the token may take for a call; 30 when left out.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=600))]
    patience: Option<u32>,
    /// Trust bundle of the system, PEM.
    #[arg(long, value_name = "FILE", default_value = BUNDLE)]
    bundle: PathBuf,
    #[command(flatten)]
    lock: Lock,
    #[command(flatten)]
    term: Term,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Store {
    /// PEM files, keys encrypted.
    Directory,
    /// One PKCS#12 file.
    Pkcs12,
    /// A PKCS#11 token.
    Token,
    /// The trust bundle of the system, read-only.
    System,
}

impl Create {
    fn store(&self) -> StoreKind {
        match self.store {
            Store::Directory => StoreKind::Directory,
            Store::Pkcs12 => StoreKind::Pkcs12 { file: None },
            Store::Token => StoreKind::Token {
                module: self.module.clone().unwrap_or_default(),
                token: self.token.clone().unwrap_or_default(),
                patience: self.patience,
            },
            Store::System => StoreKind::System { bundle: self.bundle.clone() },
        }
    }
}

#[derive(Debug, clap::Args)]
pub(crate) struct Connect {
    /// The ring that is to show it.
    ring: RingName,
    /// The certificate, as RING/LABEL.
    from: Place,
    /// Its label here; the same when left out.
    #[arg(long, value_name = "LABEL")]
    label: Option<Label>,
    /// What it is for here; as there when left out.
    #[arg(long, value_parser = usage)]
    usage: Option<Usage>,
    /// Make it the default.
    #[arg(long)]
    default: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct AccessChange {
    /// The ring.
    ring: RingName,
    /// Let a user in; may be given again, as all below.
    #[arg(long, value_name = "USER")]
    add_user: Vec<String>,
    /// Let a group in.
    #[arg(long, value_name = "GROUP")]
    add_group: Vec<String>,
    /// Let a unit in.
    #[arg(long, value_name = "UNIT")]
    add_unit: Vec<String>,
    /// Take a user off the list.
    #[arg(long, value_name = "USER")]
    remove_user: Vec<String>,
    /// Take a group off the list.
    #[arg(long, value_name = "GROUP")]
    remove_group: Vec<String>,
    /// Take a unit off the list.
    #[arg(long, value_name = "UNIT")]
    remove_unit: Vec<String>,
    /// Give the ring to a user, `ca` or `host`.
    #[arg(long)]
    owner: Option<String>,
}

/// A usage by its name.
pub(crate) fn usage(text: &str) -> Result<Usage, String> {
    match text {
        "identity" => Ok(Usage::Identity),
        "trust-anchor" => Ok(Usage::TrustAnchor),
        other => Err(format!("{other} is no usage; use identity or trust-anchor")),
    }
}

pub(crate) fn run(session: &Session, arguments: Arguments) -> Result<(), Failure> {
    let rings = arguments.place.rings(session)?;
    audited(&rings, || match arguments.verb {
        Verb::Create(create) => make(session, &rings, create),
        Verb::List => list(session, &rings),
        Verb::Show { ring } => show(session, &rings.open(&ring)?),
        Verb::Delete { ring, with_keys } => delete(session, &rings, &ring, with_keys),
        Verb::Connect(connect) => join(session, &rings, &connect),
        Verb::Disconnect { ring, label } => disconnect(session, &rings, &ring, &label),
        Verb::Access(change) => access(session, &rings, &change),
        Verb::Passwd { ring, lock, term } => {
            let source = lock.source()?;
            rings.set_passphrase(&ring, &source)?;
            term.apply(&rings, &ring)?;
            done(session, &json!({ "ring": ring }), &format!("ring {ring} has a new passphrase"))
        }
    })
}

fn make(session: &Session, rings: &Rings, create: Create) -> Result<(), Failure> {
    let store = create.store();
    let owner = match &create.owner {
        Some(text) => keyring::owner(text)?,
        None => keyring::owner(&rustix::process::getuid().as_raw().to_string())?,
    };
    let access = Access {
        users: create.allow_user.iter().map(|text| keyring::user(text)).collect::<Result<_, _>>()?,
        groups: create.allow_group.iter().map(|text| keyring::group(text)).collect::<Result<_, _>>()?,
        units: create.allow_unit.into_iter().collect(),
    };
    let new = NewRing { owner, access, store, passphrase: create.lock.source()? };
    rings.create(&create.ring, new)?;
    create.term.apply(rings, &create.ring)?;
    let ring = rings.open(&create.ring)?;
    done(session, &value(&ring), &format!("ring {} is made", ring.name))
}

fn list(session: &Session, rings: &Rings) -> Result<(), Failure> {
    let found: Vec<_> = rings.list()?.into_iter().map(|name| (rings.open(&name), name)).collect();
    let values: Vec<_> = found
        .iter()
        .map(|(ring, name)| match ring {
            Ok(ring) => value(ring),
            Err(error) => json!({ "ring": name, "error": error.to_string() }),
        })
        .collect();
    let rows = found.iter().filter_map(|(ring, _)| ring.as_ref().ok()).map(|ring| {
        let keys = ring.entries.iter().filter(|entry| entry.has_key).count();
        [
            ring.name.to_string(),
            ring.store.to_owned(),
            owner_text(ring.owner),
            ring.entries.len().to_string(),
            keys.to_string(),
            ring.pending.len().to_string(),
            ring.default.as_ref().map_or("-", Label::as_str).to_owned(),
        ]
    });
    print(session, &values, ["RING", "STORE", "OWNER", "CERTIFICATES", "KEYS", "PENDING", "DEFAULT"], rows)?;
    let unread: Vec<String> =
        found.iter().filter_map(|(ring, name)| Some(format!("{name}: {}", ring.as_ref().err()?))).collect();
    match (unread.is_empty(), session.json) {
        (true, _) => Ok(()),
        (false, true) => Err(Failure::Said),
        (false, false) => {
            Err(Failure::Refused(format!("some rings cannot be read\n  {}", unread.join("\n  "))))
        }
    }
}

fn show(session: &Session, ring: &Ring) -> Result<(), Failure> {
    let joined = |parts: Vec<String>| if parts.is_empty() { "-".to_owned() } else { parts.join(", ") };
    let names = |numbers: &std::collections::BTreeSet<u32>, file: &str| {
        joined(numbers.iter().map(|number| name_of(*number, file)).collect())
    };
    let mut rows = vec![
        ["ring".to_owned(), ring.name.to_string()],
        ["store".to_owned(), ring.store.to_owned()],
        ["generation".to_owned(), ring.generation.to_string()],
        ["passphrase until".to_owned(), ring.passphrase_until.map_or("-".to_owned(), date)],
        ["owner".to_owned(), owner_text(ring.owner)],
        ["users".to_owned(), names(&ring.access.users, "/etc/passwd")],
        ["groups".to_owned(), names(&ring.access.groups, "/etc/group")],
        ["units".to_owned(), joined(ring.access.units.iter().cloned().collect())],
        ["default".to_owned(), ring.default.as_ref().map_or("-", Label::as_str).to_owned()],
    ];
    rows.extend(ring.entries.iter().map(|entry| {
        let from = entry.connected.as_ref().map_or(String::new(), |place| format!(", from {place}"));
        let key = if entry.has_key { "with key" } else { "without key" };
        let usage = super::cert::usage_text(entry.usage);
        let trust = super::cert::trust_text(entry.trust);
        [format!("certificate {}", entry.label), format!("{usage}, {trust}, {key}{from}")]
    }));
    rows.extend(ring.pending.iter().map(|pending| {
        [format!("pending {}", pending.label), format!("{} key without certificate", pending.public.kind())]
    }));
    print(session, &value(ring), ["FIELD", "VALUE"], rows)
}

fn delete(session: &Session, rings: &Rings, name: &RingName, with_keys: bool) -> Result<(), Failure> {
    let ring = rings.open(name)?;
    let own_key = |entry: &ravelin_rings::ring::Entry| entry.has_key && entry.connected.is_none();
    if !with_keys && (ring.entries.iter().any(own_key) || !ring.pending.is_empty()) {
        return Err(Failure::Refused(format!(
            "ring {name} holds private keys; export what is still needed, then say --with-keys"
        )));
    }
    rings.delete(name)?;
    done(session, &json!({ "ring": name }), &format!("ring {name} is deleted"))
}

fn join(session: &Session, rings: &Rings, connect: &Connect) -> Result<(), Failure> {
    let label = connect.label.as_ref().unwrap_or(&connect.from.label);
    let usage = match connect.usage {
        Some(usage) => usage,
        None => rings.open(&connect.from.ring)?.entry(&connect.from.label)?.usage,
    };
    rings.change(&connect.ring, |draft| {
        draft.connect(label, &connect.from, usage)?;
        if connect.default { draft.set_default(Some(label)) } else { Ok(()) }
    })?;
    let value = json!({ "ring": connect.ring, "label": label, "from": connect.from.to_string() });
    done(session, &value, &format!("{} is connected to ring {} as {label}", connect.from, connect.ring))
}

fn disconnect(session: &Session, rings: &Rings, ring: &RingName, label: &Label) -> Result<(), Failure> {
    rings.change(ring, |draft| draft.disconnect(label))?;
    done(session, &json!({ "ring": ring, "label": label }), &format!("{ring}/{label} is disconnected"))
}

fn access(session: &Session, rings: &Rings, change: &AccessChange) -> Result<(), Failure> {
    let numbers = |texts: &[String], read: fn(&str) -> Result<u32, Failure>| -> Result<Vec<u32>, Failure> {
        texts.iter().map(|text| read(text)).collect()
    };
    let added = (numbers(&change.add_user, keyring::user)?, numbers(&change.add_group, keyring::group)?);
    let removed =
        (numbers(&change.remove_user, keyring::user)?, numbers(&change.remove_group, keyring::group)?);
    let owner = change.owner.as_deref().map(keyring::owner).transpose()?;
    let units = !change.add_unit.is_empty() || !change.remove_unit.is_empty();
    let any = [&added, &removed].iter().any(|(users, groups)| !users.is_empty() || !groups.is_empty());
    if any || units || owner.is_some() {
        rings.change(&change.ring, |draft| {
            let access = draft.access_mut();
            access.users.extend(&added.0);
            access.groups.extend(&added.1);
            access.units.extend(change.add_unit.iter().cloned());
            access.users.retain(|user| !removed.0.contains(user));
            access.groups.retain(|group| !removed.1.contains(group));
            access.units.retain(|unit| !change.remove_unit.contains(unit));
            owner.into_iter().for_each(|owner| draft.set_owner(owner));
            Ok(())
        })?;
    }
    show(session, &rings.open(&change.ring)?)
}

/// A ring as JSON.
fn value(ring: &Ring) -> serde_json::Value {
    json!({
        "ring": ring.name,
        "store": ring.store,
        "generation": ring.generation,
        "passphrase_until": ring.passphrase_until,
        "owner": ring.owner,
        "users": ring.access.users,
        "groups": ring.access.groups,
        "units": ring.access.units,
        "default": ring.default,
        "certificates": ring.entries.iter().map(super::cert::value).collect::<Vec<_>>(),
        "pending": ring.pending.iter().map(|pending| {
            json!({ "label": pending.label, "key": pending.public.kind().to_string(), "request": pending.request.is_some() })
        }).collect::<Vec<_>>(),
    })
}
