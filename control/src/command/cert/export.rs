//! `ravelin cert export`: to a file or standard output.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use ravelin_rings::export::{Form, KeyWish, export};
use ravelin_rings::name::Place;
use ravelin_rings::store::Rings;
use serde_json::json;

use super::{Failure, Session};
use crate::command::keyring::{done, foreign_passphrase};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The certificate, as RING/LABEL.
    place: Place,
    /// Form of the file: pem, der, pkcs7, pkcs7-der, pkcs12, pkcs12-pem, pkcs8, pkcs8-der.
    #[arg(long, default_value = "pem", value_parser = form)]
    format: Form,
    /// The file, which must not exist yet; standard output when left out.
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,
    /// The issuers too, as far as known.
    #[arg(long)]
    chain: bool,
    /// The private key too. This is written to the audit log.
    #[arg(long)]
    with_key: bool,
    /// The key in clear.
    #[arg(long, requires = "with_key", conflicts_with = "passphrase_file")]
    plain: bool,
    /// The passphrase of the new file is the first line of this one; asked for when left out.
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

fn form(text: &str) -> Result<Form, String> {
    Ok(match text {
        "pem" => Form::Pem,
        "der" => Form::Der,
        "pkcs7" => Form::Pkcs7,
        "pkcs7-der" => Form::Pkcs7Der,
        "pkcs12" => Form::Pkcs12,
        "pkcs12-pem" => Form::Pkcs12Pem,
        "pkcs8" => Form::Pkcs8,
        "pkcs8-der" => Form::Pkcs8Der,
        other => {
            return Err(format!(
                "{other} is no form; use pem, der, pkcs7, pkcs7-der, pkcs12, pkcs12-pem, pkcs8 or pkcs8-der"
            ));
        }
    })
}

pub(crate) fn run(session: &Session, rings: &Rings, arguments: &Arguments) -> Result<(), Failure> {
    if session.json && arguments.out.is_none() {
        return Err(Failure::Refused(
            "--json and the exported file cannot share standard output; give --out".to_owned(),
        ));
    }
    let what = format!("the exported {}", arguments.place);
    let passphrase = || foreign_passphrase(arguments.passphrase_file.as_ref(), &what, true);
    let wish = match (arguments.with_key, arguments.plain) {
        (false, _) => KeyWish::Without,
        (true, true) => KeyWish::Plain,
        (true, false) => KeyWish::Encrypted(passphrase()?),
    };
    let file = export(rings, &arguments.place, arguments.format, arguments.chain, &wish)?;
    let Some(path) = &arguments.out else {
        return Ok(std::io::stdout().lock().write_all(&file)?);
    };
    let refused = |error: std::io::Error| Failure::Refused(format!("{}: {error}", path.display()));
    let mode = if arguments.with_key { 0o600 } else { 0o644 };
    let mut out =
        std::fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(path).map_err(refused)?;
    out.write_all(&file).and_then(|()| out.sync_all()).map_err(refused)?;
    let value = json!({ "file": path, "octets": file.len(), "key": arguments.with_key });
    done(session, &value, &format!("{} is written to {}", arguments.place, path.display()))
}
