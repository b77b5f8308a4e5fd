//! syslog as RFC 5424 has it, over a Unix socket or UDP (RFC 5426).

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::Duration;

use ravelin_config::appliance::log::Collector;

use crate::record::Record;
use crate::sink::Sink;

/// How long a collector that takes nothing is waited for.
const PATIENCE: Duration = Duration::from_secs(1);
/// The name of our structured data; the number is the one for documentation (RFC 5612) until there is one of our own.
const ELEMENT: &str = "ravelin@32473";

/// The sink.
#[derive(Debug)]
pub(crate) struct Syslog {
    to: Collector,
    facility: u8,
    host: String,
    process: &'static str,
    socket: Option<Socket>,
}

#[derive(Debug)]
enum Socket {
    Unix(UnixDatagram),
    Udp(UdpSocket),
}

impl Syslog {
    pub(crate) fn new(to: &Collector, facility: u8, process: &'static str) -> Self {
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        Self { to: to.clone(), facility, host: word(&host, 255), process, socket: None }
    }

    /// The header, the structured data, and the line for people (RFC 5424 6).
    fn message(&self, record: &Record) -> String {
        let priority = u16::from(self.facility) * 8 + u16::from(record.severity.number());
        let id = word(record.code.as_deref().unwrap_or_default(), 32);
        let (time, host, process, pid) = (&record.time, &self.host, self.process, std::process::id());
        let line = record.line();
        // Text that is more than ASCII is announced (RFC 5424 6.4).
        let mark = if line.is_ascii() { "" } else { "\u{feff}" };
        format!("<{priority}>1 {time} {host} {process} {pid} {id} {} {mark}{line}", structured(record))
    }
}

impl Sink for Syslog {
    fn put(&mut self, record: &Record) -> io::Result<()> {
        let message = self.message(record);
        let socket = match self.socket.take() {
            Some(socket) => socket,
            None => open(&self.to)?,
        };
        // A socket that failed may belong to a collector that has gone: the next try opens another.
        match &socket {
            Socket::Unix(socket) => socket.send(message.as_bytes())?,
            Socket::Udp(socket) => socket.send(message.as_bytes())?,
        };
        self.socket = Some(socket);
        Ok(())
    }
}

fn open(to: &Collector) -> io::Result<Socket> {
    match to {
        Collector::Unix(path) => unix(path).map(Socket::Unix),
        Collector::Udp(address) => udp(*address).map(Socket::Udp),
    }
}

fn unix(path: &Path) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.connect(path)?;
    socket.set_write_timeout(Some(PATIENCE))?;
    Ok(socket)
}

fn udp(to: SocketAddr) -> io::Result<UdpSocket> {
    let any: SocketAddr = match to {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any)?;
    socket.connect(to)?;
    Ok(socket)
}

fn structured(record: &Record) -> String {
    let mut text = format!("[{ELEMENT} target=\"{}\"", escaped(record.target));
    for (name, value) in &record.fields {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        text += &format!(" {}=\"{}\"", word(name, 32), escaped(&value));
    }
    text + "]"
}

/// RFC 5424 6.3.3.
fn escaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for c in value.chars() {
        if matches!(c, '"' | '\\' | ']') {
            text.push('\\');
        }
        text.push(c);
    }
    text
}

/// As headers and names of parameters may be: printable ASCII without what ends them; `-` is nothing.
fn word(text: &str, most: usize) -> String {
    let fits = |c: &char| c.is_ascii_graphic() && !matches!(c, '=' | ']' | '"');
    let word: String = text.chars().filter(fits).take(most).collect();
    if word.is_empty() { "-".to_owned() } else { word }
}
