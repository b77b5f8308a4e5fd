//! One turn of a handshake: what has come from the peer goes in, what is to be sent comes out.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ravelin_contract::tls::ConnectionId;
use ravelin_contract::tls_session::Role;
use ravelin_tls::{Failure, Handover, Handshake, Now, Progress, Reason};

use super::environments::{Environments, Service};

/// What comes from the packet process for a handshake.
#[derive(Debug)]
pub(super) enum Input {
    /// Octets of the peer.
    Octets(Vec<u8>),
    /// Its stream has ended.
    Ended,
}

/// A turn to be taken.
pub(super) struct Turn {
    pub(super) connection: ConnectionId,
    pub(super) service: Arc<Service>,
    pub(super) environments: Arc<Environments>,
    /// Who is connected to.
    pub(super) server: SocketAddr,
    /// None in the first turn.
    pub(super) handshake: Option<Box<Handshake>>,
    pub(super) inputs: Vec<Input>,
}

/// What a turn came to.
pub(super) struct Turned {
    pub(super) connection: ConnectionId,
    /// The turn's place in the pool.
    pub(super) service: Arc<Service>,
    /// To be sent before anything else.
    pub(super) output: Vec<u8>,
    /// So many octets of the peer are used up.
    pub(super) taken: u32,
    pub(super) outcome: Outcome,
}

/// How a handshake stands.
pub(super) enum Outcome {
    /// It waits for the peer.
    Going(Box<Handshake>),
    Done(Box<Handover>),
    Failed(Box<Failure>),
}

impl Turn {
    /// Takes it. May wait, for files or a token.
    pub(super) fn take(self) -> Turned {
        let Self { connection, service, environments, server, handshake, inputs } = self;
        let begun = match handshake {
            Some(handshake) => Ok(handshake),
            None => begin(&service, &environments, server),
        };
        let (output, taken, outcome) = match begun {
            Ok(handshake) => go_on(handshake, inputs),
            Err(failure) => (Vec::new(), 0, Outcome::Failed(failure)),
        };
        Turned { connection, service, output, taken, outcome }
    }
}

fn begin(
    service: &Service,
    environments: &Environments,
    server: SocketAddr,
) -> Result<Box<Handshake>, Box<Failure>> {
    let other = |why: String| Box::new(Failure::from(Reason::Other(why)));
    let environment = environments.environment(&service.slot).map_err(|error| other(error.to_string()))?;
    let begun = match service.plan.role() {
        Role::Server => Handshake::server(&environment, now()),
        Role::Client => {
            let target = service.plan.asks.target(server.ip()).map_err(other)?;
            Handshake::client(&environment, target, now())
        }
    };
    Ok(Box::new(begun.map_err(Box::new)?))
}

fn go_on(mut handshake: Box<Handshake>, inputs: Vec<Input>) -> (Vec<u8>, u32, Outcome) {
    // While a handshake goes on it keeps all that it was given: what comes back was given since.
    let (mut used, mut since) = (0, 0);
    for input in inputs {
        match input {
            Input::Octets(octets) => {
                since += octets.len();
                if handshake.receive(&octets, now()) == Progress::Going {
                    used += std::mem::take(&mut since);
                }
            }
            Input::Ended => {
                handshake.stream_ended();
            }
        }
    }
    handshake.tick(now());
    let output = handshake.take_output();
    let (taken, outcome) = match handshake.progress() {
        Progress::Going => (used, Outcome::Going(handshake)),
        Progress::Done | Progress::Failed => match handshake.finish() {
            Ok(handover) => {
                let kept = handover.unopened.len();
                (used + since.saturating_sub(kept), Outcome::Done(Box::new(handover)))
            }
            Err(failure) => (used + since, Outcome::Failed(Box::new(failure))),
        },
    };
    (output, taken.try_into().unwrap_or(u32::MAX), outcome)
}

/// Both clocks.
pub(super) fn now() -> Now {
    Now { running: running(), unix: unix() }
}

/// Since this was asked first.
pub(super) fn running() -> Duration {
    static BEGIN: OnceLock<Instant> = OnceLock::new();
    BEGIN.get_or_init(Instant::now).elapsed()
}

/// Seconds since 1970.
pub(super) fn unix() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
