//! What an operator sees of TLS.

use serde::{Deserialize, Serialize};

/// What there is now.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Standing {
    /// Connections that TLS is spoken for.
    pub connections: Vec<Connection>,
    /// Rules in force that speak TLS.
    pub rules: Vec<Rule>,
}

/// One connection.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Connection {
    /// Worker, place and serial number.
    pub id: String,
    /// The rule that it was mapped to.
    pub rule: String,
    /// Its group, `-` for none.
    pub group: String,
    /// Whether its policy has been replaced since (row A18).
    pub stale: bool,
    /// Who connected.
    pub client: String,
    /// To whom.
    pub server: String,
    /// Which end we are: `client` or `server`.
    pub role: String,
    /// `handshake` or `secure`.
    pub state: String,
    /// Seconds since it was opened.
    pub age_s: u64,
    /// What was agreed on, once it is secure.
    pub agreed: Option<Agreed>,
}

/// What two ends agreed on.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Agreed {
    /// Protocol version.
    pub version: String,
    /// Cipher suite.
    pub suite: String,
    /// Key exchange; none in a resumed session of TLS 1.2.
    pub key_exchange: Option<String>,
    /// Whether an earlier session was taken up again.
    pub resumed: bool,
    /// Host name that the client asked for.
    pub server_name: Option<String>,
    /// Application protocol.
    pub alpn: Option<String>,
    /// Ring and label of our certificate.
    pub certificate: Option<String>,
    /// The peer: `anonymous`, `not judged`, or the subject of its certificate.
    pub peer: String,
    /// What the peer's certificate is mapped to.
    pub identity: Option<String>,
}

/// One rule in force.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Rule {
    /// Its name.
    pub rule: String,
    /// Its group, `-` for none.
    pub group: String,
    /// Its environment, `-` for none.
    pub environment: String,
    /// Its connection, `-` for none.
    pub connection: String,
    /// Which end we are.
    pub role: String,
    /// Every setting that was written, with the level that it comes from.
    pub settings: Vec<Setting>,
}

/// One setting.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Setting {
    /// Its key.
    pub key: String,
    /// As it was written.
    pub value: String,
    /// Whose it is.
    pub from: String,
}

/// A connection that came to nothing.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Told {
    /// Seconds since 1970.
    pub time: u64,
    /// Why, in a stable word.
    pub result: String,
    /// Return code as on z/OS, where there is one (row A77).
    pub number: Option<u16>,
    /// The rule.
    pub rule: String,
    /// Who connected.
    pub client: String,
    /// To whom.
    pub server: String,
    /// Why, in plain words.
    pub text: String,
}

/// What became of handshakes since the start of the process.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Statistics {
    /// By rule.
    pub rules: Vec<RuleStatistics>,
    /// Failures that are remembered, the oldest first.
    pub failures: Vec<Told>,
}

/// Counts of one rule.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct RuleStatistics {
    /// The rule.
    pub rule: String,
    /// Handshakes that run.
    pub handshaking: u64,
    /// Connections that are secure now.
    pub secure: u64,
    /// Handshakes that are done.
    pub done: u64,
    /// Those of them that took an earlier session up again.
    pub resumed: u64,
    /// Handshakes that came to nothing.
    pub failed: u64,
    /// Octets of applications, of connections that ended, out and in.
    pub octets: [u64; 2],
}
