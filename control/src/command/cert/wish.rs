//! What a certificate is to say, as options that several commands share, and where the result goes.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use ravelin_rings::issue::{Plan, Profile, parse_alternative_name, parse_subtree};
use ravelin_rings::verify::parse_name;
use serde_json::{Value, json};
use x509_cert::ext::pkix::constraints::name::GeneralSubtree;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::name::Name;

use crate::command::keyring::done;
use crate::command::table::print_json;
use crate::command::{Failure, Session};

/// Whose a certificate is.
#[derive(Debug, clap::Args)]
pub(crate) struct Names {
    /// The subject, such as "CN=gw.example,O=Example,C=DE".
    #[arg(long, value_name = "NAME", value_parser = parse_name)]
    pub(crate) subject: Option<Name>,
    /// Another name: dns:HOST, ip:ADDRESS, email:MAILBOX, uri:URI or dn:NAME; may be given again.
    #[arg(long, value_name = "KIND:NAME", value_parser = parse_alternative_name)]
    pub(crate) san: Vec<GeneralName>,
}

/// How long it is good, and where its revocation can be looked up.
#[derive(Debug, clap::Args)]
pub(crate) struct Terms {
    /// For how many days it is good.
    #[arg(long, default_value_t = 397)]
    pub(crate) days: u32,
    /// Where its issuer's CRL is to be had; may be given again.
    #[arg(long, value_name = "URL")]
    pub(crate) crl_url: Vec<String>,
    /// Where its issuer's OCSP responder is; may be given again.
    #[arg(long, value_name = "URL")]
    pub(crate) ocsp_url: Vec<String>,
}

/// What an authority may issue for.
#[derive(Debug, clap::Args)]
pub(crate) struct Limits {
    /// How many authorities may stand below it; any number when left out.
    #[arg(long, value_name = "NUMBER")]
    pub(crate) path_length: Option<u8>,
    /// Names that it may issue for, such as dns:example or ip:192.0.2.0/24; may be given again.
    #[arg(long, value_name = "KIND:TREE", value_parser = parse_subtree)]
    pub(crate) permit: Vec<GeneralSubtree>,
    /// Names that it may not issue for; may be given again.
    #[arg(long, value_name = "KIND:TREE", value_parser = parse_subtree)]
    pub(crate) exclude: Vec<GeneralSubtree>,
}

/// A profile by its name. Authorities are made by `ravelin ca init`.
pub(crate) fn profile(text: &str) -> Result<Profile, String> {
    match text {
        "server" => Ok(Profile::Server),
        "client" => Ok(Profile::Client),
        "ike" => Ok(Profile::Ike),
        "ocsp" => Ok(Profile::Ocsp),
        "ca" => Ok(Profile::Ca(None)),
        other => Err(format!("{other} is no profile; use server, client, ike, ocsp or ca")),
    }
}

impl Terms {
    /// The plan of a certificate from now on.
    pub(crate) fn plan(&self, names: &Names, profile: Profile) -> Result<Plan, Failure> {
        let subject = names.subject.clone().unwrap_or_default();
        if subject.is_empty() && names.san.is_empty() {
            return Err(Failure::Refused("say whose it is: --subject, --san or both".to_owned()));
        }
        let mut plan = Plan::new(subject, names.san.clone(), profile, now(), self.days);
        plan.crl_urls.clone_from(&self.crl_url);
        plan.ocsp_urls.clone_from(&self.ocsp_url);
        Ok(plan)
    }
}

impl Limits {
    /// Adds them to a plan.
    pub(crate) fn apply(&self, plan: &mut Plan) {
        plan.profile = Profile::Ca(self.path_length);
        plan.constraints.permitted.clone_from(&self.permit);
        plan.constraints.excluded.clone_from(&self.exclude);
    }
}

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Writes a result to a new file, or to standard output: the text alone, or within the JSON value as `pem`.
pub(crate) fn deliver(
    session: &Session,
    out: Option<&PathBuf>,
    text: &str,
    mut value: Value,
    what: &str,
) -> Result<(), Failure> {
    let Some(path) = out else {
        if session.json {
            value["pem"] = json!(text);
            return Ok(print_json(&value)?);
        }
        return Ok(std::io::stdout().lock().write_all(text.as_bytes())?);
    };
    let refused = |error: std::io::Error| Failure::Refused(format!("{}: {error}", path.display()));
    let mut file =
        std::fs::OpenOptions::new().write(true).create_new(true).mode(0o644).open(path).map_err(refused)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(refused)?;
    value["file"] = json!(path);
    done(session, &value, &format!("{what} is written to {}", path.display()))
}
