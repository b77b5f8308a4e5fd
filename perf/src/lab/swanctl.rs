//! What `swanctl.conf` of a strongSwan gateway says: one connection, to the gateway of site a of `configs/site-to-site-ike`.

use std::fmt;

/// The secret of the example.
const SECRET: &str = "4m0OZ2cHqlw3cTnXSB9cEXAMPLEEXAMPLEEXAMPLE0Q=";

/// One connection, named `a`, whose children are named `a`, `a1`, `a2` and so on.
#[derive(Debug, Clone)]
pub struct Connection {
    /// Where it is.
    pub local: String,
    /// Where gateway a is.
    pub remote: String,
    /// Who it is.
    pub local_id: String,
    /// Who gateway a is to be.
    pub remote_id: String,
    /// What both know.
    pub secret: String,
    /// Algorithms.
    pub suites: Suites,
    /// Networks of each child: its own and gateway a's, each a list parted by commas.
    pub networks: Vec<(String, String)>,
    /// More lines about the connection.
    pub more: String,
    /// More lines about each child.
    pub child: String,
    /// More secrets.
    pub secrets: String,
}

/// Proposals in strongSwan's words.
#[derive(Debug, Clone)]
pub struct Suites {
    /// Of the IKE SA.
    pub ike: String,
    /// Of its children.
    pub esp: String,
}

impl Default for Connection {
    fn default() -> Self {
        Self {
            local: "198.51.100.1".to_owned(),
            remote: "192.0.2.1".to_owned(),
            local_id: "gw-b.example".to_owned(),
            remote_id: "gw-a.example".to_owned(),
            secret: SECRET.to_owned(),
            suites: Suites {
                ike: "aes256gcm16-prfsha384-x25519".to_owned(),
                esp: "aes256gcm16-x25519".to_owned(),
            },
            networks: vec![("10.2.0.0/24".to_owned(), "10.1.0.0/24".to_owned())],
            more: String::new(),
            child: String::new(),
            secrets: String::new(),
        }
    }
}

impl Connection {
    /// The example's with another secret.
    pub fn with_secret(secret: &str) -> Self {
        Self { secret: secret.to_owned(), ..Self::default() }
    }

    /// The example's with these proposals.
    pub fn with_suites(ike: &str, esp: &str) -> Self {
        Self { suites: Suites { ike: ike.to_owned(), esp: esp.to_owned() }, ..Self::default() }
    }
}

impl fmt::Display for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            local, remote, local_id, remote_id, secret, suites: Suites { ike, esp }, more, child, ..
        } = self;
        writeln!(f, "connections {{ a {{ version = 2\n local_addrs = {local}\n remote_addrs = {remote}")?;
        writeln!(f, " proposals = {ike}\n {more}")?;
        writeln!(
            f,
            " local {{ auth = psk\n id = {local_id} }}\n remote {{ auth = psk\n id = {remote_id} }}"
        )?;
        writeln!(f, " children {{")?;
        for (number, (own, other)) in self.networks.iter().enumerate() {
            let name = if number == 0 { "a".to_owned() } else { format!("a{number}") };
            writeln!(
                f,
                "  {name} {{ local_ts = {own}\n remote_ts = {other}\n esp_proposals = {esp}\n {child} }}"
            )?;
        }
        writeln!(
            f,
            " }} }} }}\nsecrets {{ ike-a {{ id-a = {remote_id}\n id-b = {local_id}\n secret = \"{secret}\" }}"
        )?;
        writeln!(f, " {} }}", self.secrets)
    }
}
