//! What the actions of a rule say, as settings of ours.

use super::cipher;
use super::effective::Effective;
use super::rule::Side;
use super::{Actions, Setting};
use crate::pagent::book::Book;
use crate::pagent::tree::Node;
use crate::write::Value;

/// Smallest RSA key that we believe.
const RSA_FLOOR: u64 = 2048;
/// Longest time for a handshake, in seconds.
const LONGEST: u64 = 600;

/// What becomes of connections.
pub(super) enum Read {
    /// They pass in clear.
    Off,
    /// TLS is spoken, so.
    On(Vec<Setting>),
}

/// Who we are in the handshake.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Client,
    Server,
    ServerWithClientAuth,
}

/// Reads the actions. What they say that we cannot is told.
pub(super) fn read<'n>(actions: &Actions<'n>, side: Side, rule: &'n Node, book: &Book<'n>) -> Read {
    let mut held = actions.effective(book);
    let enabled = held.last("TTLSEnabled", book);
    match enabled.map(|node| (node, switch(node, book))) {
        None => {
            let remedy = "add TTLSEnabled On or Off";
            book.refused(actions.group, "it does not say whether TLS is spoken", remedy);
        }
        Some((_, Some(false))) => {
            held.rest().for_each(|node| book.ignored(node, "no TLS is spoken for the rule"));
            return Read::Off;
        }
        Some(_) => {}
    }
    if actions.environment.is_none() && !names_environment(rule) {
        let remedy = "add a TTLSEnvironmentActionRef; z/OS asks for it where TLS is on";
        book.refused(rule, "it names no TTLSEnvironmentAction", remedy);
    }
    let mut reader = Reader { rule, held, book, settings: Vec::new() };
    let complete = reader.all(side).is_some();
    let Reader { held, mut settings, .. } = reader;
    held.rest().for_each(|node| match complete {
        true => without_meaning(node, book),
        false => book.ignored(node, "the rule is refused"),
    });
    settings.sort_by_key(|(key, _)| ORDER.iter().position(|known| known == key));
    Read::On(settings)
}

/// Whether the rule names an environment, which then was not found.
fn names_environment(rule: &Node) -> bool {
    rule.block.iter().flatten().any(|node| node.is("TTLSEnvironmentActionRef"))
}

/// Order in which settings are written.
const ORDER: [&str; 18] = [
    "role",
    "certificate",
    "trust",
    "client_auth",
    "revocation",
    "rsa_floor",
    "preset",
    "versions",
    "suites",
    "key_exchange",
    "signatures",
    "server_name",
    "check_name",
    "strict_names",
    "resumption",
    "tickets",
    "sessions",
    "handshake_timeout",
];

struct Reader<'b, 'n> {
    rule: &'n Node,
    held: Effective<'n>,
    book: &'b Book<'n>,
    settings: Vec<Setting>,
}

impl<'n> Reader<'_, 'n> {
    fn all(&mut self, side: Side) -> Option<()> {
        let role = self.role(side)?;
        self.application();
        let ring = self.ring(role)?;
        self.certificate(role, &ring);
        self.client_auth(role, &ring);
        self.names(role);
        self.profile();
        cipher::read(&mut self.held, self.rule, self.book, &mut self.settings);
        self.revocation();
        self.floors();
        self.sessions();
        self.timeout();
        Some(())
    }

    fn set(&mut self, key: &'static str, value: Value) {
        self.settings.push((key, value));
    }

    fn last(&mut self, key: &str) -> Option<&'n Node> {
        self.held.last(key, self.book)
    }

    /// Our TLS leg is the one that leads to the remote end: it is a client's where connections go out.
    fn role(&mut self, side: Side) -> Option<Role> {
        let Some(node) = self.last("HandshakeRole") else {
            self.book.refused(
                self.rule,
                "no action says the HandshakeRole",
                "add it to the TTLSEnvironmentAction",
            );
            return None;
        };
        let role = match node.first().to_ascii_lowercase().as_str() {
            "client" => Role::Client,
            "server" => Role::Server,
            "serverwithclientauth" => Role::ServerWithClientAuth,
            _ => {
                self.book.bad_value(node, "Client, Server or ServerWithClientAuth");
                return None;
            }
        };
        let fits = (role == Role::Client) == (side == Side::Outbound);
        if !fits {
            let (said, remedy) = match side {
                Side::Inbound => ("a TLS client for connections that come in", "write Direction Outbound"),
                Side::Outbound => (
                    "a TLS server for connections that go out, as FTP's of active mode",
                    "write Direction Inbound, and use passive mode",
                ),
            };
            self.book.refused(
                node,
                format!("{said}: a gateway speaks TLS as the end that it stands for"),
                remedy,
            );
            return None;
        }
        self.book.exact(node, "");
        self.set("role", Value::text(if role == Role::Client { "client" } else { "server" }));
        Some(role)
    }

    /// Whether the application itself says when TLS begins.
    fn application(&mut self) {
        let clear = "connections would begin in clear until the application asks for TLS, and it cannot ask a gateway";
        let remedy = "use a port where TLS begins at once, and write ApplicationControlled Off";
        self.must_be_off("ApplicationControlled", clear, remedy);
        let secondary =
            "a gateway does not see which other connections belong to this one, so they would pass in clear";
        self.must_be_off("SecondaryMap", secondary, "write a rule for their ports, and SecondaryMap Off");
    }

    fn must_be_off(&mut self, key: &str, said: &str, remedy: &str) {
        let Some(node) = self.last(key) else { return };
        match switch(node, self.book) {
            Some(true) => self.book.refused(node, said, remedy),
            Some(false) => self.book.exact(node, ""),
            None => {}
        }
    }

    fn ring(&mut self, role: Role) -> Option<String> {
        for key in ["KeyringPw", "KeyringStashFile"] {
            if let Some(node) = self.last(key) {
                // Its value is a secret, or leads to one.
                self.book.notes.ignored(&node.place, &node.keyword, "rings of ours have keys of their own");
            }
        }
        let Some(node) = self.last("Keyring") else {
            self.book.refused(self.rule, "no action names a Keyring", "add TTLSKeyringParms with a Keyring");
            return None;
        };
        let Some(ring) = crate::pagent::ring_name(node.first()) else {
            self.book.bad_value(node, "RING, USER/RING, *TOKEN*/NAME or the path of a key database");
            return None;
        };
        let own = match role {
            Role::Client => "; its default certificate is shown to servers only if CertificateLabel names it",
            _ => "",
        };
        let said = format!("the ring `{ring}`, which has to be made here{own}");
        let remedy =
            format!("ravelin ring create {ring}, and ravelin cert import {ring} FILE for each certificate");
        self.book.approximated(node, said, &remedy);
        Some(ring)
    }

    fn certificate(&mut self, role: Role, ring: &str) {
        let mut labels = self.held.every("ServerCertificateLabel");
        let plain = self.last("CertificateLabel");
        if role == Role::Client {
            labels.drain(..).for_each(|node| self.book.ignored(node, "we are the client"));
        }
        if labels.is_empty() {
            labels.extend(plain);
        } else if let Some(plain) = plain {
            self.book.ignored(plain, "ServerCertificateLabel says which certificate is shown");
        }
        let picked: Vec<String> = labels.iter().filter_map(|node| label(node, ring, self.book)).collect();
        match (picked.is_empty(), role) {
            (false, _) => self.set("certificate", Value::texts(picked)),
            (true, Role::Client) => {}
            (true, _) => self.set("certificate", Value::text(ring)),
        }
    }

    fn client_auth(&mut self, role: Role, ring: &str) {
        let node = self.last("ClientAuthType");
        if role != Role::ServerWithClientAuth {
            if let Some(node) = node {
                self.book.ignored(node, "clients are asked for no certificate in this HandshakeRole");
            }
            if role == Role::Client {
                self.set("trust", Value::text(ring));
            }
            return;
        }
        let level = match node.map(|node| node.first().to_ascii_lowercase()).as_deref() {
            None | Some("required") => "required",
            Some("passthru") => "pass_through",
            Some("full") => "full",
            Some("safcheck") => "safcheck",
            Some(_) => {
                let allowed = "PassThru, Full, Required or SAFCheck";
                node.into_iter().for_each(|node| self.book.bad_value(node, allowed));
                return;
            }
        };
        if let Some(node) = node {
            match level {
                "safcheck" => {
                    let said =
                        "client_auth = \"safcheck\": who a certificate stands for is said here, not by SAF";
                    self.book.approximated(node, said, "write the rules of `ravelin cert map`");
                }
                level => self.book.exact(node, format!("client_auth = \"{level}\"")),
            }
        }
        self.set("client_auth", Value::text(level));
        if level != "pass_through" {
            self.set("trust", Value::text(ring));
        }
    }

    /// Whom a client asks for, and whose certificate the server must have.
    fn names(&mut self, role: Role) {
        for key in
            ["ClientHandshakeSNI", "ClientHandshakeSNIMatch", "ServerHandshakeSNI", "ServerHandshakeSNIMatch"]
        {
            let Some(node) = self.last(key) else { continue };
            let ours = key.starts_with("Client") == (role == Role::Client);
            match (ours, node.first().to_ascii_lowercase().as_str()) {
                (false, _) => self.book.ignored(node, "it is for the other HandshakeRole"),
                (true, "off") => self.book.exact(node, ""),
                (true, "optional") => self.book.exact(node, "as the list of names says"),
                (true, "required") if key == "ServerHandshakeSNIMatch" => {
                    self.book.exact(node, "strict_names = true");
                    self.set("strict_names", Value::Flag(true));
                }
                (true, "required") if role == Role::Client => {
                    self.book.approximated(
                        node,
                        "a server that does not answer the name is not refused for it",
                        "",
                    );
                }
                (true, "required") => {
                    let remedy =
                        "list the names by ServerHandshakeSNIList, with ServerHandshakeSNIMatch Required";
                    self.book.refused(node, "clients that ask for no host are served", remedy);
                }
                _ => self.book.bad_value(node, "Required, Optional or Off"),
            }
        }
        let (ours, other) = match role {
            Role::Client => ("ClientHandshakeSNIList", "ServerHandshakeSNIList"),
            _ => ("ServerHandshakeSNIList", "ClientHandshakeSNIList"),
        };
        for node in self.held.every(other) {
            self.book.ignored(node, "it is for the other HandshakeRole");
        }
        let names = self.held.every(ours);
        if role == Role::Client {
            self.asked(&names);
            self.checked();
        } else {
            self.offered(&names);
        }
    }

    fn asked(&mut self, names: &[&'n Node]) {
        for (at, node) in names.iter().enumerate() {
            if at > 0 {
                let said = "a client of ours asks for one host, the first";
                self.book.approximated(node, said, "write a rule for each server");
            } else if is_host(node.first()) {
                self.book.exact(node, "server_name");
                self.set("server_name", Value::text(node.first()));
            } else {
                self.book.bad_value(node, "a host name");
            }
        }
    }

    /// z/OS looks at the name only where a reference identity is written (row A48).
    fn checked(&mut self) {
        let mut hosts = self.held.every("HostReferenceIdDNS");
        hosts.extend(self.held.every("HostReferenceIdCN"));
        if let Some(node) = self.last("HostRefWildcardValidation") {
            self.book.approximated(node, "wildcards in certificates are judged by RFC 6125", "");
        }
        let Some((first, others)) = hosts.split_first() else {
            let said =
                "as on z/OS, the name in the server's certificate is not looked at: check_name = false";
            self.book.approximated(
                self.rule,
                said,
                "name the server by HostReferenceIdDNS, or by server_name here",
            );
            self.set("check_name", Value::Flag(false));
            return;
        };
        if !is_host(first.first()) {
            self.book.bad_value(first, "a host name");
            return;
        }
        self.book.exact(first, "check_name");
        self.set("check_name", Value::text(first.first()));
        for node in others {
            let said = "a server of ours has one name, the first: one that has only this is refused";
            self.book.approximated(node, said, "write a rule for each server");
        }
    }

    /// The certificates of a server by the hosts that clients ask for.
    fn offered(&mut self, names: &[&'n Node]) {
        let Some(first) = names.first() else { return };
        let ring =
            self.settings.iter().find(|(key, _)| *key == "certificate").map(|(_, value)| value.clone());
        let Some(Value::Text(pick)) = ring else {
            self.book.refused(
                first,
                "names beside several certificates, or none",
                "name one ServerCertificateLabel",
            );
            return;
        };
        let mut hosts = Vec::new();
        for node in names {
            let host = node.first();
            if node.words.len() > 1 {
                let said = "a certificate of its own for a host";
                self.book.refused(node, said, "write it here: certificate = { name = .., hosts = [..] }");
            } else if is_host(host.strip_prefix("*.").unwrap_or(host)) {
                self.book.exact(node, "hosts of the certificate");
                hosts.push(host.to_owned());
            } else {
                self.book.bad_value(node, "a host name");
            }
        }
        let table = Value::Table(vec![("name", Value::text(pick)), ("hosts", Value::list(hosts))]);
        self.settings.retain(|(key, _)| *key != "certificate");
        self.set("certificate", table);
    }

    fn profile(&mut self) {
        let Some(node) = self.last("FIPS140") else { return };
        match node.first().to_ascii_lowercase().as_str() {
            "off" => self.book.exact(node, ""),
            "on" | "level1" | "level2" | "level3" => {
                let said = "preset = \"fips\": approved algorithms alone; that the library is a validated module is not said";
                self.book.approximated(node, said, "");
                self.set("preset", Value::text("fips"));
            }
            _ => self.book.bad_value(node, "Off, On, Level1, Level2 or Level3"),
        }
    }

    /// Without a word z/OS asks nobody whether a certificate is revoked; we do where it costs nothing.
    fn revocation(&mut self) {
        let asks =
            self.held.has(&["OcspUrl", "OcspAiaEnable", "HttpCdpEnable", "GSK_LDAP_SERVER", "LdapServer"]);
        let mut hard = false;
        for key in ["RevocationSecurityLevel", "CRLSecurityLevel", "GSK_CRL_SECURITY_LEVEL"] {
            let Some(node) = self.last(key) else { continue };
            match node.first().to_ascii_lowercase().as_str() {
                "high" if asks => {
                    self.book.exact(node, "revocation = \"hard\"");
                    hard = true;
                }
                // It wants an answer of each source that a certificate names.
                "medium" if asks => {
                    let said =
                        "revocation = \"hard\": certificates that name no list or responder are refused, too";
                    self.book.approximated(node, said, "");
                    hard = true;
                }
                "low" | "medium" | "high" => {
                    let said = "revocation = \"soft\": what is known to be revoked is refused";
                    self.book.approximated(node, said, "");
                }
                _ => self.book.bad_value(node, "Low, Medium or High"),
            }
        }
        if hard {
            self.set("revocation", Value::text("hard"));
        }
        for key in ["OcspUrl", "OcspAiaEnable", "HttpCdpEnable", "GSK_LDAP_SERVER", "LdapServer"] {
            for node in self.held.every(key) {
                let said = "lists and responders are those that certificates name, and what `.crls` of the rings holds";
                self.book.approximated(node, said, "");
            }
        }
    }

    fn floors(&mut self) {
        if let Some(node) = self.last("PeerMinRsaKeySize") {
            match node.first().parse::<u64>() {
                Ok(size @ RSA_FLOOR..=16384) => {
                    self.book.exact(node, "rsa_floor");
                    self.set("rsa_floor", Value::Number(size));
                }
                Ok(0..RSA_FLOOR) => {
                    self.book.approximated(node, format!("RSA keys below {RSA_FLOOR} bits are refused"), "")
                }
                _ => self.book.bad_value(node, "a number of bits"),
            }
        }
    }

    fn sessions(&mut self) {
        if let Some(node) = self.last("GSK_V3_SIDCACHE_SIZE") {
            match node.first().parse::<u64>() {
                Ok(0) => {
                    self.book.exact(node, "resumption = \"off\"");
                    self.set("resumption", Value::text("off"));
                }
                Ok(size @ 1..=1_048_576) => {
                    self.book.exact(node, "sessions");
                    self.set("sessions", Value::Number(size));
                }
                _ => self.book.bad_value(node, "a number up to 1048576"),
            }
        }
        if let Some(node) = self.last("GSK_SESSION_TICKET_SERVER_COUNT") {
            match node.first().parse::<u64>() {
                Ok(count @ 1..=8) => {
                    self.book.exact(node, "tickets");
                    self.set("tickets", Value::Number(count));
                }
                Ok(_) => self.book.approximated(node, "2 tickets are sent; at most 8 can be", ""),
                Err(_) => self.book.bad_value(node, "a number"),
            }
        }
    }

    fn timeout(&mut self) {
        let Some(node) = self.last("HandshakeTimeout") else { return };
        match node.first().parse::<u64>() {
            Ok(seconds @ 1..=LONGEST) => {
                let said = "handshake_timeout, which is for the whole handshake, not for each message";
                self.book.approximated(node, said, "");
                self.set("handshake_timeout", Value::Number(seconds));
            }
            Ok(_) => self.book.approximated(
                node,
                "handshakes have 30 seconds",
                "write handshake_timeout, up to 600",
            ),
            Err(_) => self.book.bad_value(node, "a number of seconds"),
        }
    }
}

/// What changes nothing of who may read or say what.
fn without_meaning(node: &Node, book: &Book<'_>) {
    let said = match node.keyword.to_ascii_lowercase().as_str() {
        "trace" | "ctracecleartext" | "syslogfacility" => "logs are those of the gateway",
        "groupuserinstance" | "environmentuserinstance" | "connectionuserinstance" | "envfile" => {
            "it speaks of processes of z/OS"
        }
        "renegotiation" | "renegotiationindicator" | "renegotiationcertcheck" => {
            "nothing is ever renegotiated"
        }
        "sslv2" | "v2ciphersuites" | "gsk_v2_session_timeout" | "gsk_v2_sidcache_size" => {
            "SSL 2 is not spoken"
        }
        "3deskeycheck" | "clientedhgroupsize" | "serveredhgroupsize" | "peermindhkeysize"
        | "peermindsakeysize" => "such keys are not used",
        "truncatedhmac" => "suites without AEAD are not spoken",
        "middleboxcompatmode" => "the messages that it speaks of are always sent",
        "certvalidationmode" | "peermincertversion" => "certificates are judged by RFC 5280",
        "gsk_sysplex_sidcache" => "there is no sysplex",
        _ => "it has no part in who may read or say what",
    };
    book.ignored(node, said);
}

/// `RING/LABEL`.
fn label(node: &Node, ring: &str, book: &Book<'_>) -> Option<String> {
    let text = node.rest.trim_matches(['"', '\'']);
    if text.is_empty() || text.chars().count() > 128 || text.contains(char::is_control) {
        book.bad_value(node, "the label of a certificate");
        return None;
    }
    let ours = text.replace('/', "-");
    if ours == text {
        book.exact(node, "certificate");
    } else {
        book.approximated(node, format!("the label is `{ours}` here"), "");
    }
    Some(format!("{ring}/{ours}"))
}

/// `On` or `Off`.
pub(in crate::pagent) fn switch(node: &Node, book: &Book<'_>) -> Option<bool> {
    match node.first().to_ascii_lowercase().as_str() {
        "on" | "yes" => {
            book.exact(node, "");
            Some(true)
        }
        "off" | "no" => {
            book.exact(node, "");
            Some(false)
        }
        _ => {
            book.bad_value(node, "On or Off");
            None
        }
    }
}

/// A name of letters, digits and hyphens between dots, and no address.
fn is_host(text: &str) -> bool {
    let part = |part: &str| {
        !part.is_empty()
            && part.len() <= 63
            && !part.starts_with('-')
            && !part.ends_with('-')
            && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
    };
    let address = text.parse::<std::net::IpAddr>().is_ok();
    text.len() <= 253 && !address && text.split('.').all(part)
}
