//! Services of stunnel as rules of `attls.toml`.
//!
//! stunnel accepts at one address and connects to another; a gateway speaks TLS on the way to the application itself. So a service
//! becomes a rule for the address that it connects to: clients call that, and the report says so where it changes their port.

mod settings;
mod text;

use ravelin_config::diagnostic::{Collector, Findings};
use ravelin_config::source::Source;

use crate::report::{Imported, Notes, Output};
use crate::write::{Page, Value};
use text::{Entry, Service};

/// Takes the services of a file over.
///
/// # Errors
/// Everything that is wrong with the file.
pub fn import(source: &Source) -> Result<Imported, Findings> {
    let errors = Collector::default();
    let file = text::parse(source, &errors);
    let Some(file) = file.filter(|_| !errors.has_errors()) else { return Err(errors.finish()) };
    let notes = Notes::default();
    let mut page = Page::default();
    page.comment("Made by `ravelin import stunnel`. Read its report before you put it in force.");
    // What is not known and holds for all may be what protects each of them.
    let unknown: Vec<&Entry> = file.global.iter().filter(|option| !settings::is_known(option)).collect();
    unknown.iter().for_each(|option| settings::left_over(option, &notes));
    for service in &file.services {
        page.gap();
        write(service, &file.global, unknown.is_empty(), &mut page, &notes);
    }
    for option in file.global.iter().filter(|option| !notes.knows(&option.place)) {
        notes.ignored(&option.place, &option.shown(), "nothing uses it");
    }
    let files = vec![Output { name: "attls.toml", text: page.into_text() }];
    Ok(Imported { files, report: notes.finish() })
}

fn write(service: &Service, global: &[Entry], sound: bool, page: &mut Page, notes: &Notes) {
    let before = notes.refusals();
    notes.exact(&service.place, &service.name, "");
    let said = Said { service, global, notes };
    let client = said.flag("client").unwrap_or(false);
    let connect = said.connect();
    said.accept(client, connect.as_ref().map(|(_, port)| *port));
    let settings = settings::read(&said, client);
    // What is not known may be what protects.
    service
        .options
        .iter()
        .filter(|option| !notes.knows(&option.place))
        .for_each(|option| settings::left_over(option, notes));
    let refused = !sound || notes.refusals() != before || settings.is_none();
    page.comment(&format!("service {}, {}", service.name, crate::name::at(&service.place)));
    if refused {
        page.comment("A part of it cannot be said here, so that all connections that it may be for are refused: see the report.");
    }
    page.head("[[rule]]");
    page.key("name", &Value::text(crate::name::ours(&service.name)));
    match &connect {
        Some((address, port)) => {
            page.key("server", &Value::text(address.clone()));
            page.key("server_port", &Value::Number(u64::from(*port)));
        }
        None => page.key("server_port", &said.port_alone()),
    }
    if refused {
        page.key("enabled", &Value::text("refuse"));
    } else {
        page.keys(&settings.unwrap_or_default());
    }
}

/// What a service says, and what holds for all.
struct Said<'a> {
    service: &'a Service,
    global: &'a [Entry],
    notes: &'a Notes,
}

impl<'a> Said<'a> {
    /// The option, the service's own before that of all.
    fn get(&self, key: &str) -> Option<&'a Entry> {
        let own = self.service.options.iter().rfind(|option| option.key.eq_ignore_ascii_case(key));
        own.or_else(|| self.global.iter().rfind(|option| option.key.eq_ignore_ascii_case(key)))
    }

    fn exact(&self, option: &Entry, said: &str) {
        self.notes.exact(&option.place, &option.shown(), said);
    }

    fn approximated(&self, option: &Entry, said: &str, remedy: &str) {
        self.notes.approximated(&option.place, &option.shown(), said, remedy);
    }

    fn refused(&self, option: &Entry, said: &str, remedy: &str) {
        self.notes.refused(&option.place, &option.shown(), said, remedy);
    }

    fn flag(&self, key: &str) -> Option<bool> {
        let option = self.get(key)?;
        let on = match option.value.to_ascii_lowercase().as_str() {
            "yes" => true,
            "no" => false,
            _ => {
                self.refused(option, "it is neither yes nor no", "write yes or no");
                return None;
            }
        };
        self.exact(option, "");
        Some(on)
    }

    /// Where the service connects to: one address and port.
    fn connect(&self) -> Option<(String, u16)> {
        let Some(option) = self.get("connect") else {
            let remedy = "write connect = ADDRESS:PORT";
            self.notes.refused(&self.service.place, &self.service.name, "it connects to nothing", remedy);
            return None;
        };
        let several =
            self.service.options.iter().filter(|option| option.key.eq_ignore_ascii_case("connect")).count()
                > 1;
        let place = ends(&option.value)
            .and_then(|(host, port)| Some((host?.parse::<std::net::IpAddr>().ok()?.to_string(), port)));
        match place.filter(|_| !several) {
            Some(place) => {
                self.exact(option, "server and server_port");
                Some(place)
            }
            None => {
                self.refused(option, "it is not one address and port", "write connect = ADDRESS:PORT, once");
                None
            }
        }
    }

    /// The port of what could not be read, or every port.
    fn port_alone(&self) -> Value {
        let option = self.service.options.iter().filter(|option| option.key.eq_ignore_ascii_case("connect"));
        let ports: Option<Vec<u16>> =
            option.map(|option| ends(&option.value).map(|(_, port)| port)).collect();
        match ports {
            Some(ports) if !ports.is_empty() => {
                Value::one_or_more(ports.into_iter().map(|port| Value::Number(u64::from(port))).collect())
            }
            _ => Value::text("0-65535"),
        }
    }

    fn accept(&self, client: bool, connects: Option<u16>) {
        let Some(option) = self.get("accept") else { return };
        let port = ends(&option.value).map(|(_, port)| port);
        match (client, port) {
            (true, _) => {
                let said = "programs call the server itself, in clear: the gateway speaks TLS on the way";
                self.approximated(option, said, "give them the address of `connect`");
            }
            (false, Some(port)) if Some(port) == connects => {
                self.exact(option, "clients call the application itself")
            }
            (false, _) => {
                let said = "clients call the application itself, at the port of `connect`";
                self.approximated(option, said, "tell them, or have the application listen at this port");
            }
        }
    }
}

/// `host:port`, `[address]:port`, or a port.
fn ends(text: &str) -> Option<(Option<&str>, u16)> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) => (Some(host.trim_start_matches('[').trim_end_matches(']')), port),
        None => (None, text),
    };
    Some((host.filter(|host| !host.is_empty()), port.trim().parse().ok().filter(|port| *port > 0)?))
}
