//! One handshake: bytes and time in, bytes out, and an end that is a hand-over or a failure.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ravelin_contract::tls_session::{Role, Suite};
use ravelin_rings::verify::PeerName;
use rustls::client::UnbufferedClientConnection;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncodeTlsData, InsufficientSizeError, UnbufferedStatus,
};
use rustls::{CommonState, Error, HandshakeKind};
use rustls_pki_types::{CertificateDer, ServerName};

use crate::environment::{Environment, Side};
use crate::failure::{self, Failure, Reason};
use crate::handover::{self, Facts, Handover, Keeper, Kernel, Peer};
use crate::scope::{self, Notes};
use crate::stream::Stream;

/// Both clocks, as they are now.
#[derive(Debug, Clone, Copy)]
pub struct Now {
    /// Of a clock that only goes forwards.
    pub running: Duration,
    /// Seconds since 1970.
    pub unix: u64,
}

/// Whom a client asks for. The name that is sent and the name that is checked are one, unless policy says otherwise.
#[derive(Debug, Clone)]
pub struct Target {
    /// Sent as SNI (RFC 6066 3), where it is a host name.
    asks: ServerName<'static>,
    /// Must be in the server's certificate (RFC 9525).
    expects: Option<PeerName>,
}

impl Target {
    /// The host of this name: sent and checked (rows A47, A48).
    ///
    /// # Errors
    /// It is no host name.
    pub fn host(name: &str) -> Result<Self, String> {
        match ServerName::try_from(name.to_owned()) {
            Ok(asks @ ServerName::DnsName(_)) => {
                Ok(Self { asks, expects: Some(PeerName::Dns(name.to_owned())) })
            }
            _ => Err(format!("{name:?} is no host name")),
        }
    }

    /// The host at this address: nothing is sent, and the certificate must have the address.
    pub fn address(address: IpAddr) -> Self {
        Self { asks: ServerName::from(address), expects: Some(PeerName::Ip(address)) }
    }

    /// Checks another name than the one that is sent.
    #[must_use]
    pub fn expecting(self, name: PeerName) -> Self {
        Self { expects: Some(name), ..self }
    }

    /// Takes any certificate that a trusted authority has issued, for whomever. To be logged by who asks for it.
    #[must_use]
    pub fn unchecked(self) -> Self {
        Self { expects: None, ..self }
    }

    /// Sends no name, and still checks.
    #[must_use]
    pub fn unnamed(self, address: IpAddr) -> Self {
        Self { asks: ServerName::from(address), ..self }
    }
}

/// Where a handshake stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// It needs more octets of the peer.
    Going,
    /// Output is to be sent, then [`Handshake::finish`] gives the hand-over.
    Done,
    /// Output (an alert) is to be sent, then [`Handshake::finish`] gives the reason.
    Failed,
}

/// A handshake that runs.
pub struct Handshake {
    environment: Arc<Environment>,
    connection: Connection,
    stream: Stream,
    output: Vec<u8>,
    notes: Notes,
    begun: Duration,
    state: State,
}

enum Connection {
    Client(Box<UnbufferedClientConnection>),
    Server(Box<UnbufferedServerConnection>),
}

enum State {
    Going,
    Done,
    Failed(Box<Failure>),
}

/// What one turn of rustls came to.
enum Step {
    Again,
    /// It wants more, or has nothing to do.
    Idle,
    Closed,
    Failed(Error),
}

impl std::fmt::Debug for Handshake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Handshake({:?})", self.progress())
    }
}

impl Handshake {
    /// Waits for a client.
    ///
    /// # Errors
    /// The TLS library refused.
    pub fn server(environment: &Arc<Environment>, now: Now) -> Result<Self, Failure> {
        let Side::Server(config) = &environment.side else {
            return Err(Reason::Other("the environment is one of clients".to_owned()).into());
        };
        let connection = UnbufferedServerConnection::new(Arc::clone(config)).map_err(other)?;
        Ok(Self::new(environment, Connection::Server(Box::new(connection)), Notes::default(), now))
    }

    /// Asks a server; the first output is there at once.
    ///
    /// # Errors
    /// The TLS library refused.
    pub fn client(environment: &Arc<Environment>, target: Target, now: Now) -> Result<Self, Failure> {
        let Side::Client(config) = &environment.side else {
            return Err(Reason::Other("the environment is one of servers".to_owned()).into());
        };
        let mut notes = Notes { unix: now.unix, expected: target.expects, ..Notes::default() };
        let named = match &target.asks {
            ServerName::DnsName(name) => Some(name.as_ref().to_owned()),
            _ => None,
        };
        let begin = || UnbufferedClientConnection::new(Arc::clone(config), target.asks);
        let connection = scope::drive(&mut notes, begin).map_err(other)?;
        notes.hello = Some(scope::Hello { name: named, ..scope::Hello::default() });
        let mut this = Self::new(environment, Connection::Client(Box::new(connection)), notes, now);
        this.go_on(now);
        Ok(this)
    }

    fn new(environment: &Arc<Environment>, connection: Connection, notes: Notes, now: Now) -> Self {
        Self {
            environment: Arc::clone(environment),
            connection,
            stream: Stream::default(),
            output: Vec::new(),
            notes,
            begun: now.running,
            state: State::Going,
        }
    }

    /// Eats octets of the peer. After the end they are kept for whoever opens records.
    pub fn receive(&mut self, octets: &[u8], now: Now) -> Progress {
        if self.stream.push(octets).is_err() {
            return self.fail(Reason::TooMuch.into());
        }
        if matches!(self.state, State::Going) {
            self.go_on(now);
        }
        self.progress()
    }

    /// The peer's stream has ended.
    pub fn stream_ended(&mut self) -> Progress {
        if matches!(self.state, State::Going) { self.fail(Reason::Closed.into()) } else { self.progress() }
    }

    /// Looks at the clock.
    pub fn tick(&mut self, now: Now) -> Progress {
        if !matches!(self.state, State::Going) || now.running < self.deadline() {
            return self.progress();
        }
        let timeouts = self.environment.timeouts;
        self.fail(match self.stream.has_begun() {
            true => Reason::Slow(timeouts.whole.as_secs()).into(),
            false => Reason::Silent(timeouts.first.as_secs()).into(),
        })
    }

    /// When [`Handshake::tick`] is due.
    pub fn deadline(&self) -> Duration {
        let timeouts = self.environment.timeouts;
        let limit = if self.stream.has_begun() { timeouts.whole } else { timeouts.first.min(timeouts.whole) };
        self.begun + limit
    }

    /// What is to be sent now.
    pub fn take_output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.output)
    }

    /// Where it stands.
    pub fn progress(&self) -> Progress {
        match self.state {
            State::Going => Progress::Going,
            State::Done => Progress::Done,
            State::Failed(_) => Progress::Failed,
        }
    }

    fn fail(&mut self, failure: Failure) -> Progress {
        self.state = State::Failed(Box::new(failure));
        Progress::Failed
    }

    fn go_on(&mut self, now: Now) {
        self.notes.unix = now.unix;
        loop {
            match self.turn() {
                Step::Again => {}
                // Nothing more is opened here once keys for data are there.
                Step::Idle if !self.common().is_handshaking() => {
                    self.state = self.end();
                    return;
                }
                Step::Idle if self.stream.offer_more() => {}
                Step::Idle => return,
                Step::Closed => {
                    self.fail(Reason::Closed.into());
                    return;
                }
                Step::Failed(error) => return self.explain(&error),
            }
        }
    }

    fn turn(&mut self) -> Step {
        let Self { connection, stream, output, notes, .. } = self;
        let (eaten, step) = scope::drive(notes, || match connection {
            Connection::Client(connection) => step(connection.process_tls_records(stream.offered()), output),
            Connection::Server(connection) => step(connection.process_tls_records(stream.offered()), output),
        });
        stream.eaten(eaten);
        step
    }

    /// Writes down why, and lets rustls say so to the peer.
    fn explain(&mut self, error: &Error) {
        let begin = self.stream.begin().to_vec();
        let ours = &self.environment.ours;
        let mut failure = failure::explain(error, &mut self.notes, ours, &begin);
        let before = self.output.len();
        // As long as there is output, rustls does not look again at what it choked on.
        while self.common().wants_write() && matches!(self.turn(), Step::Again) {}
        failure.alert_sent = match self.output[before..] {
            [] => None,
            [.., 21, 3, _, 0, 2, 1 | 2, description] => Some(description),
            _ => failure::alert_for(error),
        };
        self.fail(failure);
    }

    /// A certificate that came with a resumed session was judged long ago, maybe by other facts: it is judged anew.
    fn end(&mut self) -> State {
        if !self.stream.is_even() {
            return State::Failed(Box::new(
                Reason::Protocol("a message goes beyond the handshake".to_owned()).into(),
            ));
        }
        let resumed = self.common().handshake_kind() == Some(HandshakeKind::Resumed);
        let chain: Vec<CertificateDer<'static>> =
            self.common().peer_certificates().unwrap_or_default().to_vec();
        if let (true, Some(judge), false) = (resumed, &self.environment.judge, chain.is_empty()) {
            let judge = Arc::clone(judge);
            if let Err(error) = scope::drive(&mut self.notes, || judge.judge(&chain, &[])) {
                let ours = &self.environment.ours;
                return State::Failed(Box::new(failure::explain(&error, &mut self.notes, ours, &[])));
            }
        }
        State::Done
    }

    fn common(&self) -> &CommonState {
        match &self.connection {
            Connection::Client(connection) => connection,
            Connection::Server(connection) => connection,
        }
    }

    /// What it came to; after the output was taken.
    ///
    /// # Errors
    /// Why it failed.
    pub fn finish(self) -> Result<Handover, Failure> {
        match self.state {
            State::Done => self.hand_over().map_err(|why| Reason::Other(why).into()),
            State::Going => Err(Reason::Closed.into()),
            State::Failed(failure) => Err(*failure),
        }
    }

    fn hand_over(self) -> Result<Handover, String> {
        let facts = self.facts()?;
        let words = |error: Error| error.to_string();
        let (secrets, kernel) = match self.connection {
            Connection::Client(connection) => {
                let (secrets, kernel) = connection.dangerous_into_kernel_connection().map_err(words)?;
                (secrets, Kernel::Client(Box::new(kernel)))
            }
            Connection::Server(connection) => {
                let (secrets, kernel) = connection.dangerous_into_kernel_connection().map_err(words)?;
                (secrets, Kernel::Server(Box::new(kernel)))
            }
        };
        let session = handover::session(&secrets, facts.suite, facts.role, self.environment.shape)
            .map_err(|error| error.to_string())?;
        let keeper = Keeper::new(kernel, facts.suite);
        Ok(Handover { session, unopened: self.stream.into_rest(), facts, keeper })
    }

    fn facts(&self) -> Result<Facts, String> {
        let common = self.common();
        let code = common.negotiated_cipher_suite().map(|suite| u16::from(suite.suite()));
        let suite = code.and_then(Suite::from_code).ok_or("the suite agreed on is not one of ours")?;
        let role = match self.connection {
            Connection::Client(_) => Role::Client,
            Connection::Server(_) => Role::Server,
        };
        Ok(Facts {
            suite,
            role,
            group: common.negotiated_key_exchange_group().map(|group| format!("{:?}", group.name())),
            resumed: common.handshake_kind() == Some(HandshakeKind::Resumed),
            name: self.notes.hello.as_ref().and_then(|hello| hello.name.clone()),
            alpn: common.alpn_protocol().map(<[u8]>::to_vec),
            shown: self.notes.shown.clone(),
            peer: self.peer(),
        })
    }

    fn peer(&self) -> Peer {
        let chain: Vec<Vec<u8>> =
            self.common().peer_certificates().unwrap_or_default().iter().map(|one| one.to_vec()).collect();
        match &self.notes.judged {
            _ if chain.is_empty() => Peer::Anonymous,
            None => Peer::Unjudged { chain },
            Some(judged) => Peer::Judged {
                chain,
                subject: judged.subject.clone(),
                identity: judged.identity.clone(),
                not_after: judged.not_after,
                wanted: judged.wanted.clone(),
            },
        }
    }
}

fn other(error: Error) -> Failure {
    Reason::Other(error.to_string()).into()
}

/// Octets eaten, and what it came to.
fn step<D>(status: UnbufferedStatus<'_, '_, D>, output: &mut Vec<u8>) -> (usize, Step) {
    let step = match status.state {
        Err(error) => Step::Failed(error),
        Ok(ConnectionState::EncodeTlsData(mut data)) => encode(&mut data, output),
        Ok(ConnectionState::TransmitTlsData(data)) => {
            data.done();
            Step::Again
        }
        Ok(ConnectionState::BlockedHandshake | ConnectionState::WriteTraffic(_)) => Step::Idle,
        Ok(ConnectionState::PeerClosed | ConnectionState::Closed) => Step::Closed,
        // Early data is never accepted, and records are offered one by one: no data comes before the end.
        Ok(_) => Step::Failed(Error::General("data came in the middle of the handshake".to_owned())),
    };
    (status.discard, step)
}

fn encode<D>(data: &mut EncodeTlsData<'_, D>, output: &mut Vec<u8>) -> Step {
    let begin = output.len();
    let mut room = 0;
    loop {
        output.resize(begin + room, 0);
        match data.encode(&mut output[begin..]) {
            Ok(written) => {
                output.truncate(begin + written);
                return Step::Again;
            }
            Err(EncodeError::InsufficientSize(InsufficientSizeError { required_size }))
                if required_size > room =>
            {
                room = required_size;
            }
            Err(error) => return Step::Failed(Error::General(error.to_string())),
        }
    }
}
