//! journald by its native protocol: one datagram with a line for each field.

use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::record::Record;
use crate::sink::Sink;

/// How long a journald that takes nothing is waited for.
const PATIENCE: Duration = Duration::from_secs(1);

/// The sink.
#[derive(Debug)]
pub(crate) struct Journald {
    path: PathBuf,
    process: &'static str,
    socket: Option<UnixDatagram>,
}

impl Journald {
    pub(crate) fn new(path: &Path, process: &'static str) -> Self {
        Self { path: path.to_owned(), process, socket: None }
    }
}

impl Sink for Journald {
    fn put(&mut self, record: &Record) -> io::Result<()> {
        if self.socket.is_none() {
            let socket = UnixDatagram::unbound()?;
            socket.set_write_timeout(Some(PATIENCE))?;
            self.socket = Some(socket);
        }
        let Some(socket) = &self.socket else { return Err(io::ErrorKind::NotConnected.into()) };
        socket.send_to(datagram(record, self.process).as_bytes(), &self.path).map(drop)
    }
}

/// No value has a line end in it, so each is a line.
fn datagram(record: &Record, process: &str) -> String {
    let mut text = format!(
        "MESSAGE={}\nPRIORITY={}\nSYSLOG_IDENTIFIER={process}\nRAVELIN_TARGET={}\n",
        record.line(),
        record.severity.number(),
        record.target
    );
    text.extend(record.code.iter().map(|code| format!("RAVELIN_CODE={code}\n")));
    for (name, value) in &record.fields {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        text += &format!("RAVELIN_{}={value}\n", upper(name));
    }
    text
}

/// As journald has names: capitals, digits and underscores.
fn upper(name: &str) -> String {
    name.chars()
        .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' })
        .take(56)
        .collect()
}
