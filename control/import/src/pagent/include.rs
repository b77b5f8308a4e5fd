//! Files that files name: main file, `TcpImage`, and the policies of each kind (row C6).

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use ravelin_config::diagnostic::Collector;
use ravelin_config::source::Source;

use super::Options;
use super::tree::{self, Node};

/// Statements that name a file, those first whose policies are read first.
pub(super) const KEYWORDS: [&str; 5] =
    ["CommonTTLSConfig", "CommonIPSecConfig", "TcpImage", "TTLSConfig", "IPSecConfig"];

/// The statements of all files, common ones first. What cannot be read is told as an error.
pub(super) fn gather(files: &[Source], options: &Options, errors: &Collector) -> Vec<Node> {
    let mut reader = Reader { options, errors, seen: HashSet::new(), nodes: Vec::new() };
    files.iter().for_each(|file| reader.file(file));
    reader.nodes
}

struct Reader<'a> {
    options: &'a Options,
    errors: &'a Collector,
    seen: HashSet<String>,
    nodes: Vec<Node>,
}

impl Reader<'_> {
    /// A file and those that it names, each once.
    fn file(&mut self, source: &Source) {
        if !self.seen.insert(source.name().to_owned()) {
            return;
        }
        // Where keys stand, no line is shown.
        let hidden =
            tree::holds_secrets(source.text()).then(|| Source::from_secret(source.name(), source.text()));
        let source = hidden.as_ref().unwrap_or(source);
        let Some(nodes) = tree::parse(source, self.errors) else { return };
        self.check_images(&nodes);
        for keyword in KEYWORDS {
            for node in nodes.iter().filter(|node| node.is(keyword)) {
                if !self.is_meant(node) {
                    continue;
                }
                if let Some(file) = path(node).and_then(|path| self.open(node, path, source)) {
                    self.file(&file);
                }
            }
        }
        self.nodes.extend(nodes);
    }

    /// Policies of several stacks are several policies.
    fn check_images(&self, nodes: &[Node]) {
        let images: Vec<&Node> = nodes.iter().filter(|node| node.is("TcpImage")).collect();
        let meant = images.iter().filter(|node| self.is_meant(node)).count();
        match (images.as_slice(), &self.options.image) {
            ([_, second, ..], None) => {
                let message = "there are several TcpImage statements, each with a policy of its own";
                self.errors.error(second.place.clone(), message, "say which by --image NAME");
            }
            ([first, ..], Some(name)) if meant == 0 => {
                let message = format!("there is no TcpImage `{name}`");
                self.errors.error(first.place.clone(), message, "write one of those in the file");
            }
            _ => {}
        }
    }

    fn is_meant(&self, node: &Node) -> bool {
        let other = |name: &String| !node.first().eq_ignore_ascii_case(name);
        !(node.is("TcpImage") && self.options.image.as_ref().is_some_and(other))
    }

    fn open(&self, node: &Node, path: &str, from: &Source) -> Option<Source> {
        let mapped = self.options.map.iter().find(|(named, _)| named == path);
        let found = match mapped {
            Some((_, file)) => Some(file.clone()),
            None => beside(path, from).into_iter().find(|file| file.is_file()),
        };
        let Some(found) = found else {
            let message = format!("{path} is not beside {}", from.name());
            self.errors.error(node.place.clone(), message, format!("add --map \"{path}=FILE\""));
            return None;
        };
        match Source::read(&found) {
            Ok(source) => Some(source),
            Err(error) => {
                self.errors.add(error);
                None
            }
        }
    }
}

/// The path that a statement names, if it does.
fn path(node: &Node) -> Option<&str> {
    let word = if node.is("TcpImage") { node.words.get(1) } else { node.words.first() };
    let text = word.map(String::as_str)?;
    let keywords = ["FLUSH", "NOFLUSH", "PURGE", "NOPURGE"];
    let interval = text.chars().all(|c| c.is_ascii_digit());
    (!interval && !keywords.iter().any(|keyword| text.eq_ignore_ascii_case(keyword))).then_some(text)
}

/// Where a file of z/OS may lie here: the last part of a path, the member of a data set, or its name.
fn beside(path: &str, from: &Source) -> Vec<PathBuf> {
    let folder = Path::new(from.name()).parent().unwrap_or(Path::new(""));
    let data_set = path.trim_start_matches('/').trim_matches('\'');
    let member = data_set.split_once('(').map(|(_, member)| member.trim_end_matches([')', '\'']));
    let last = path.rsplit('/').next().unwrap_or(path).trim_matches('\'');
    let names = [member, Some(last)].into_iter().flatten().filter(|name| !name.is_empty());
    names.flat_map(|name| [folder.join(name), folder.join(name.to_lowercase())]).collect()
}
