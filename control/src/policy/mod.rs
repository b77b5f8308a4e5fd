//! Policy as values: from the operator's files to what the packet process decides by.
//!
//! [`files`] reads; [`parse`] takes `ipsec.toml` as it stands into the [`model`]; [`keys`] takes the file of manual keys; [`compile`]
//! finds names, writes defaults out and makes the snapshot; [`attls`] does both for `attls.toml`; [`whom`] says which rules are for some peers alone; [`lint`] warns of what is allowed but hardly meant, `ike_permit` of IKE that no rule lets through,
//! [`management`] of what locks the operator out, [`health`] of key rings that do not serve;
//! [`fingerprint`] and [`diff`] compare two snapshots, [`explain`] says what one makes of a packet, [`expect`] whether that
//! is what the operator expects, [`origin`] where its rules stand. All but `files` and `health` are pure: text in,
//! values or findings out.

use ravelin_config::diagnostic::{Collector, Findings};
use ravelin_config::source::Source;
use ravelin_contract::snapshot::Snapshot;
use ravelin_events::catalogue::{CHECK_LIMIT, CHECK_NO_RULE};

use management::Site;

pub mod algorithm;
pub mod attls;
pub mod compile;
pub mod credential;
pub mod describe;
pub mod diff;
pub mod expect;
pub mod explain;
pub mod files;
pub mod fingerprint;
pub mod health;
mod identity;
mod ike_permit;
pub mod ike_settings;
pub mod keys;
pub mod lint;
pub mod log_in;
pub mod management;
pub mod model;
pub mod negotiated;
pub mod offer;
pub mod origin;
pub mod parse;
pub mod peers;
pub mod road;
pub mod whom;

/// A policy that can be installed.
#[derive(Debug, Clone)]
pub struct Compiled {
    /// What to install; consistent, and with its fingerprint.
    pub snapshot: Snapshot,
    /// What IKE negotiates by.
    pub ike: peers::Ike,
    /// How TLS is spoken.
    pub attls: attls::Attls,
    /// Where rules and tunnels stand.
    pub origins: origin::Origins,
    /// Expectations that hold.
    pub held: usize,
    /// Findings, none of them an error.
    pub warnings: Findings,
}

/// Compiles policy files, in order, with the file of keys if there is one, for a gateway.
/// Every mistake of every file is told at once; with one error nothing is compiled.
pub fn load(files: &[Source], keys: Option<&Source>, site: &Site) -> Result<Compiled, Findings> {
    load_with_tls(files, keys, None, site)
}

/// As [`load`], with the file of rules for TLS if there is one.
pub fn load_with_tls(
    files: &[Source],
    keys: Option<&Source>,
    attls: Option<&Source>,
    site: &Site,
) -> Result<Compiled, Findings> {
    let notes = Collector::default();
    let built = build(files, keys, attls, site, &notes);
    let (compile::Built { snapshot, ike, attls, origins }, warnings) = notes.conclude(built)?;
    Ok(Compiled { snapshot, ike, attls, origins, held: 0, warnings })
}

fn build(
    files: &[Source],
    keys: Option<&Source>,
    attls: Option<&Source>,
    site: &Site,
    notes: &Collector,
) -> Option<compile::Built> {
    let mut model = model::Model::default();
    let mut names = parse::Unique::default();
    let mut whole = true;
    for file in files {
        whole &= parse::add(file, &mut model, &mut names, notes).is_some();
    }
    if let Some(file) = attls {
        match attls::add(file, &mut model.objects, notes) {
            Some(read) => model.attls = read,
            None => whole = false,
        }
    }
    let keys = match keys {
        Some(source) => keys::read(source, notes),
        None => Some(keys::Keys::default()),
    };
    // What was not read would only be reported missing.
    if !whole {
        return None;
    }
    if let Some(file) = files.first().filter(|_| model.rules.is_empty() && !notes.has_errors()) {
        let remedy = "add a [[rule]]; to deny everything, use default filters";
        notes.error(file.whole(), CHECK_NO_RULE.of("the policy has no rule"), remedy);
    }
    let built = compile::compile(&model, &keys?, &site.zones, notes)?;
    let snapshot = &built.snapshot;
    if let (Some(managed), Some(file)) = (&site.managed, files.first()) {
        management::check(&snapshot.rules, file.whole(), managed, notes);
    }
    if let (Err(problem), Some(file)) = (snapshot.check(), files.first()) {
        notes.error(file.whole(), CHECK_LIMIT.of(problem.to_string()), "change the policy so that it fits");
    }
    Some(built)
}
