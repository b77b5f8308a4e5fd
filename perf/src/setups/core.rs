//! The protocol core as responder in this process: what a set-up costs without sockets, threads and a packet process.

use std::time::Duration;

use anyhow::{Result, ensure};
use ravelin_ike::crypto::SystemRandom;
use ravelin_ike::{Action, Answer, Endpoint, Input, Path, Time};

use super::usage::of_this_thread;
use crate::initiators::{Crowd, Datagram, Kind, Papers, Target, responder};

/// Longer than anything lingers.
const AFTERWARDS: Duration = Duration::from_secs(31);

/// The responder.
pub(super) struct Core {
    target: Target,
    endpoint: Endpoint,
    papers: Option<Papers>,
    now: Time,
}

impl Core {
    /// Nobody has come.
    pub(super) fn new(target: Target, name: &str) -> Result<Self> {
        let now = Time::from_micros(1_000_000);
        let endpoint = Endpoint::new(now, responder(&target)?, &mut SystemRandom);
        let papers = match (target.kind, &target.papers) {
            (Kind::Certificate, Some(folder)) => Some(Papers::read(folder, name, true)?),
            _ => None,
        };
        Ok(Self { target, endpoint, papers, now })
    }

    /// So many set-ups, each with its end: what they took of the processor for the responder, until nothing lingers.
    pub(super) fn round(&mut self, count: u32, window: usize) -> Result<Duration> {
        let mut crowd = Crowd::new(self.target.clone(), true)?;
        let mut took = Duration::ZERO;
        loop {
            while crowd.begun() < count && crowd.under_way() < window {
                crowd.begin(self.now)?;
            }
            let requests = crowd.sent();
            if requests.is_empty() {
                break;
            }
            let mut responses = Vec::new();
            let begun = of_this_thread();
            for Datagram { local, remote, bytes } in requests {
                let path = Path { local: remote, remote: local };
                self.handle(Input::Datagram { path, bytes }, &mut responses);
            }
            took += of_this_thread() - begun;
            for Datagram { local, remote, bytes } in responses {
                crowd.receive(self.now, Path { local: remote, remote: local }, bytes);
            }
        }
        ensure!(crowd.ended() == count, "{} of {count} stood and ended", crowd.ended());
        self.now = self.now + AFTERWARDS;
        let begun = of_this_thread();
        self.handle(Input::Timer, &mut Vec::new());
        took += of_this_thread() - begun;
        ensure!(self.endpoint.is_empty(), "{} IKE SAs are left", self.endpoint.len());
        Ok(took)
    }

    fn handle(&mut self, input: Input, sent: &mut Vec<Datagram>) {
        for action in self.endpoint.handle(self.now, input, &mut SystemRandom) {
            match action {
                Action::Send { local, remote, bytes } => sent.push(Datagram { local, remote, bytes }),
                Action::Ask { question, ike, ask } => {
                    let none = || Answer::Refused("there are no certificates here".to_owned());
                    let answer = self.papers.as_ref().map_or_else(none, |papers| papers.answer(&ask));
                    self.handle(Input::Answer { ike, question, answer }, sent);
                }
                _ => {}
            }
        }
    }
}
