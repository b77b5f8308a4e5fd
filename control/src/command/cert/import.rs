//! `ravelin cert import` and `inspect`: files from elsewhere.

use std::io::Write;
use std::path::{Path, PathBuf};

use ravelin_rings::certificate::Certificate;
use ravelin_rings::format::{self, Contents, Sorted};
use ravelin_rings::name::{Label, RingName};
use ravelin_rings::ring::{Trust, Usage};
use ravelin_rings::store::{Draft, NewEntry, Rings};
use serde_json::json;
use zeroize::Zeroizing;

use super::{Failure, Session, default_usage, describe};
use crate::command::keyring::foreign_passphrase;
use crate::command::table::{print, print_json};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The ring.
    ring: RingName,
    /// Files that belong together, such as certificate, key and chain: PEM, DER, PKCS#7, PKCS#8, PKCS#12.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Label of what has a key, or of the one certificate; made from name or subject when left out.
    #[arg(long)]
    label: Option<Label>,
    /// What the certificates are for; identity with a key, trust-anchor without, when left out.
    #[arg(long, value_parser = crate::command::ring::usage)]
    usage: Option<Usage>,
    /// Keep them without using them.
    #[arg(long)]
    not_trusted: bool,
    /// Make it the default.
    #[arg(long)]
    default: bool,
    /// The passphrase of the files is the first line of this one; asked for when left out.
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Inspect {
    /// The file.
    file: PathBuf,
    /// Its passphrase is the first line of this file; asked for when left out.
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

/// Longest file that is read: far more than any bundle of certificates.
const LONGEST: u64 = 16 << 20;

pub(crate) fn read(path: &Path, passphrase: Option<&PathBuf>) -> Result<Contents, Failure> {
    let refused = |problem: String| Failure::Refused(format!("{}: {problem}", path.display()));
    let length = std::fs::metadata(path).map_err(|error| refused(error.to_string()))?.len();
    if length > LONGEST {
        return Err(refused(format!("longer than {LONGEST} octets; no file of certificates is")));
    }
    let octets = std::fs::read(path).map(Zeroizing::new).map_err(|error| refused(error.to_string()))?;
    let mut ask = |what: &str| foreign_passphrase(passphrase, what, false);
    Ok(format::read(&path.display().to_string(), &octets, &mut ask)?)
}

pub(crate) fn run(session: &Session, rings: &Rings, arguments: &Arguments) -> Result<(), Failure> {
    let mut all = Contents::default();
    for path in &arguments.files {
        let found = read(path, arguments.passphrase_file.as_ref())?;
        all.certificates.extend(found.certificates);
        all.keys.extend(found.keys);
    }
    let sorted = all.sort();
    let things = sorted.identities.len() + sorted.lone_keys.len() + sorted.lone_certificates.len();
    if things == 0 {
        return Err(Failure::Refused(
            "nothing to import: requests are signed by `ravelin ca sign`, revocation lists are read in place"
                .to_owned(),
        ));
    }
    if arguments.label.is_some() && sorted.identities.len() + sorted.lone_keys.len() > 1 {
        return Err(Failure::Refused("the files hold several keys; import them without --label".to_owned()));
    }
    let labels = rings.change(&arguments.ring, |draft| take(draft, sorted, arguments))?;
    let values: Vec<_> = labels.iter().map(|(label, what)| json!({ "label": label, "what": what })).collect();
    let rows = labels.iter().map(|(label, what)| [format!("{}/{label}", arguments.ring), (*what).to_owned()]);
    print(session, &values, ["IMPORTED", "WHAT"], rows)
}

type Taken = Vec<(Label, &'static str)>;

fn take(draft: &mut Draft<'_>, sorted: Sorted, arguments: &Arguments) -> ravelin_rings::Result<Taken> {
    let mut taken = Taken::new();
    let trust = if arguments.not_trusted { Trust::NotTrusted } else { Trust::Trusted };
    for identity in sorted.identities {
        let label = label(draft, arguments.label.as_ref(), identity.name, Some(&identity.chain[0]))?;
        let usage = arguments.usage.unwrap_or(default_usage(true));
        let (chain, key) = (identity.chain, Some(identity.key));
        draft.add(NewEntry { label: label.clone(), chain, usage, trust, key })?;
        taken.push((label, "certificate with key"));
    }
    for key in sorted.lone_keys {
        let label = label(draft, arguments.label.as_ref(), key.name, None)?;
        draft.add_key(&label, key.item)?;
        taken.push((label, "key, waits for its certificate"));
    }
    // The given label is for what has a key; without a key, for the first certificate.
    let mut wanted = arguments.label.as_ref().filter(|_| taken.is_empty());
    for certificate in sorted.lone_certificates {
        if draft.ring().find(&certificate.item).is_some() {
            continue;
        }
        let label = label(draft, wanted.take(), certificate.name, Some(&certificate.item))?;
        let usage = arguments.usage.unwrap_or(default_usage(false));
        let chain = vec![certificate.item];
        draft.add(NewEntry { label: label.clone(), chain, usage, trust, key: None })?;
        taken.push((label, "certificate"));
    }
    if let (true, Some((first, _))) = (arguments.default, taken.first()) {
        draft.set_default(Some(first))?;
    }
    Ok(taken)
}

/// The label as wanted; else a free one from the file's name for it, or from the subject.
fn label(
    draft: &Draft<'_>,
    wanted: Option<&Label>,
    name: Option<String>,
    certificate: Option<&Certificate>,
) -> ravelin_rings::Result<Label> {
    if let Some(wanted) = wanted {
        return Ok(wanted.clone());
    }
    let subject = certificate.map(|certificate| certificate.subject());
    let text = name.filter(|name| !name.trim().is_empty()).or(subject).unwrap_or_default();
    let part = text.split(',').find_map(|part| part.strip_prefix("CN=")).unwrap_or(&text);
    let clean: String =
        part.chars().map(|c| if c.is_control() || c == '/' { '-' } else { c }).take(100).collect();
    let clean = clean.trim();
    draft.free_label(&Label::new(if clean.is_empty() { "imported" } else { clean })?)
}

pub(crate) fn inspect(session: &Session, arguments: &Inspect) -> Result<(), Failure> {
    let contents = read(&arguments.file, arguments.passphrase_file.as_ref())?;
    let keys: Vec<String> = contents.keys.iter().map(|key| key.item.public().kind().to_string()).collect();
    if session.json {
        let certificates: Vec<_> =
            contents.certificates.iter().map(|named| describe::certificate_value(&named.item)).collect();
        return Ok(print_json(&json!({
            "forms": contents.forms,
            "certificates": certificates,
            "keys": keys,
            "requests": contents.requests.len(),
            "revocation_lists": contents.crls.len(),
        }))?);
    }
    let mut out = std::io::stdout();
    writeln!(
        out,
        "{}: {}; {} certificates, {} keys, {} requests, {} revocation lists",
        arguments.file.display(),
        contents.forms.join(", "),
        contents.certificates.len(),
        keys.len(),
        contents.requests.len(),
        contents.crls.len()
    )?;
    keys.iter().try_for_each(|kind| writeln!(out, "\nprivate key: {kind}"))?;
    for named in &contents.certificates {
        writeln!(out)?;
        print(session, &(), ["FIELD", "VALUE"], describe::certificate_rows(&named.item))?;
    }
    Ok(())
}
