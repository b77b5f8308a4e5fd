//! `ravelin import`: policies of other programs as files of ours, with a report.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use ravelin_config::diagnostic::Findings;
use ravelin_config::source::Source;
use ravelin_import::{Imported, nftables, pagent, stunnel, swanctl};

use super::table::print_json;
use super::{Failure, Session};

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Files of the z/OS Policy Agent: AT-TLS, IP filters, VPN and key exchange.
    ///
    /// A main file may be given, or policy files. Files that they name are looked for by the last part of their path, beside the
    /// file that names them.
    Pagent(PagentArguments),
    /// swanctl.conf of strongSwan: connections and their children.
    Swanctl(FileArguments),
    /// Services of stunnel.
    Stunnel(FileArguments),
    /// Filters of nftables: chains of input, output and forward, as `nft list ruleset` writes them.
    Nftables(NftablesArguments),
}

#[derive(Debug, clap::Args)]
pub(crate) struct FileArguments {
    /// The file.
    file: PathBuf,
    #[command(flatten)]
    out: OutArguments,
}

#[derive(Debug, clap::Args)]
pub(crate) struct NftablesArguments {
    /// The file.
    file: PathBuf,
    /// Packets that belong to no connection need not be dropped: each packet is judged alone. Without it rules that ask for states
    /// of connections refuse.
    #[arg(long)]
    stateless: bool,
    #[command(flatten)]
    out: OutArguments,
}

#[derive(Debug, clap::Args)]
pub(crate) struct PagentArguments {
    /// Files, in the order in which the agent reads them.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Where a path of z/OS lies here; may stand several times.
    #[arg(long, value_name = "PATH=FILE", value_parser = mapping)]
    map: Vec<(String, PathBuf)>,
    /// The TcpImage to take, where a main file has several.
    #[arg(long)]
    image: Option<String>,
    /// Nobody but the jobs and users that rules name uses the addresses and ports of the rules. Without it such rules refuse.
    #[arg(long)]
    any_job: bool,
    #[command(flatten)]
    out: OutArguments,
}

#[derive(Debug, clap::Args)]
struct OutArguments {
    /// Folder for the files and the report; without it they are only shown.
    #[arg(long)]
    out: Option<PathBuf>,
}

pub(crate) fn run(session: &Session, verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::Pagent(arguments) => {
            let PagentArguments { files, map, image, any_job, out } = arguments;
            let options = pagent::Options { map, image, any_job };
            let imported = read(&files).and_then(|files| pagent::import(&files, &options));
            conclude(session, imported, out.out.as_deref())
        }
        Verb::Swanctl(arguments) => one(session, &arguments, swanctl::import),
        Verb::Stunnel(arguments) => one(session, &arguments, stunnel::import),
        Verb::Nftables(NftablesArguments { file, stateless, out }) => {
            let options = nftables::Options { stateless };
            let file = Source::read(&file).map_err(Findings::from);
            conclude(session, file.and_then(|file| nftables::import(&file, options)), out.out.as_deref())
        }
    }
}

/// An importer that takes one file and nothing else.
fn one(
    session: &Session,
    arguments: &FileArguments,
    import: fn(&Source) -> Result<Imported, Findings>,
) -> Result<(), Failure> {
    let imported = Source::read(&arguments.file).map_err(Findings::from).and_then(|file| import(&file));
    conclude(session, imported, arguments.out.out.as_deref())
}

fn mapping(text: &str) -> Result<(String, PathBuf), String> {
    let (path, file) = text.rsplit_once('=').ok_or("write PATH=FILE")?;
    Ok((path.to_owned(), file.into()))
}

/// Every file that cannot be read is told.
fn read(files: &[PathBuf]) -> Result<Vec<Source>, Findings> {
    let notes = ravelin_config::diagnostic::Collector::default();
    let read = |path: &PathBuf| Source::read(path).map_err(|found| notes.add(found)).ok();
    let sources: Vec<_> = files.iter().filter_map(read).collect();
    notes.conclude(Some(sources)).map(|(sources, _)| sources)
}

/// Shows or writes what came of it. The status says whether anything could not be taken over.
fn conclude(
    session: &Session,
    imported: Result<Imported, Findings>,
    out: Option<&Path>,
) -> Result<(), Failure> {
    let imported = match imported {
        Ok(imported) => imported,
        Err(findings) if session.json => {
            print_json(&serde_json::json!({ "ok": false, "findings": findings, "files": [], "report": [] }))?;
            return Err(Failure::Said);
        }
        Err(findings) => {
            show(&findings)?;
            return Err(Failure::Refused("nothing was taken over".to_owned()));
        }
    };
    if let Some(folder) = out {
        write(&imported, folder)?;
    }
    let (sound, report) = (!imported.report.has_refusals(), &imported.report);
    if session.json {
        let (files, items) = (&imported.files, report.items());
        print_json(&serde_json::json!({ "ok": sound, "findings": [], "files": files, "report": items }))?;
        return if sound { Ok(()) } else { Err(Failure::Said) };
    }
    let mut told = std::io::stdout();
    match out {
        Some(folder) => {
            show(&report.findings())?;
            let names: Vec<_> = imported.files.iter().map(|file| file.name).collect();
            let written = [names.as_slice(), &[REPORT]].concat().join(", ");
            writeln!(told, "{}\nwritten to {}: {written}", report.summary(), folder.display())?;
        }
        None => {
            for file in &imported.files {
                writeln!(told, "# {}\n{}", file.name, file.text)?;
            }
            write!(std::io::stderr(), "{report}")?;
        }
    }
    match sound {
        true => Ok(()),
        false => {
            Err(Failure::Refused("a part of the policy could not be taken over: see the report".to_owned()))
        }
    }
}

const REPORT: &str = "import-report.txt";

fn show(findings: &Findings) -> Result<(), Failure> {
    let mut told = std::io::stderr();
    Ok(write!(told, "{}", findings.render(std::io::IsTerminal::is_terminal(&told)))?)
}

/// Nothing that stands there already is written over.
fn write(imported: &Imported, folder: &Path) -> Result<(), Failure> {
    let refuse =
        |path: &Path, error: std::io::Error| Failure::Refused(format!("{}: {error}", path.display()));
    std::fs::create_dir_all(folder).map_err(|error| refuse(folder, error))?;
    let report = imported.report.to_string();
    let files = imported.files.iter().map(|file| (file.name, &file.text));
    let all: Vec<_> =
        files.chain([(REPORT, &report)]).map(|(name, text)| (folder.join(name), text)).collect();
    if let Some((path, _)) = all.iter().find(|(path, _)| path.exists()) {
        let message = format!("{} stands there already; name another folder", path.display());
        return Err(Failure::Refused(message));
    }
    for (path, text) in all {
        let file = OpenOptions::new().write(true).create_new(true).open(&path);
        file.and_then(|mut file| file.write_all(text.as_bytes())).map_err(|error| refuse(&path, error))?;
    }
    Ok(())
}
