//! A whole conversation as the server: the client's name, then one of the methods that policy allows.

use std::time::Duration;

use super::identity::AskIdentity;
use super::mschapv2::{MsChapV2, NtHash};
use super::tls::EapTls;
use super::{Accepted, Refusal, Refused, Step, Who};
use crate::crypto::{Random, Secret};
use crate::input::Answer;
use crate::policy::{EapMethod, Trust};
use crate::wire::{Eap, EapType};

/// Packets that are taken of one client: enough for the longest flights of EAP-TLS in small pieces.
const ROUNDS: u8 = 200;

/// A conversation in which the client's next packet is awaited.
#[derive(Debug)]
pub struct Server {
    about: About,
    stage: Stage,
}

/// What holds whatever the stage.
#[derive(Debug)]
struct About {
    /// The name that we give ourselves, for people.
    name: String,
    /// Methods that have not been refused, the preferred first.
    methods: Vec<EapMethod>,
    /// What the client calls itself. Proves nothing.
    user: String,
    /// Packets taken.
    rounds: u8,
    /// Why what comes will not be believed, in the words of the world outside.
    doubt: Option<String>,
}

#[derive(Debug)]
enum Stage {
    Identity(AskIdentity),
    MsChapV2(MsChapV2),
    Tls(EapTls),
}

/// What comes of a client's packet, or of an answer from outside.
#[derive(Debug)]
pub enum Turn {
    /// Send this, and wait for the client.
    Send(Box<Server>, Eap<'static>),
    /// Find this out first.
    Need(Box<Waiting>, Need),
    /// The client is who it says.
    Accepted {
        /// Success.
        packet: Eap<'static>,
        /// Who logged in.
        user: String,
        /// The master session key that AUTH is made with.
        msk: Secret,
        /// How long what proves it lasts.
        good_for: Option<Duration>,
    },
    /// It is not.
    Refused {
        /// Failure.
        packet: Eap<'static>,
        /// What it calls itself.
        user: String,
        /// Why, for our log alone.
        why: String,
    },
}

/// What only the world outside knows.
#[derive(Debug, PartialEq, Eq)]
pub enum Need {
    /// The password of this user.
    Password(String),
    /// What EAP-TLS shows to clients.
    Tls,
    /// Whether these certificates are good now and speak for this name.
    Judgement {
        /// In DER, the client's own first.
        chain: Vec<Vec<u8>>,
        /// What the client calls itself.
        name: String,
        /// What policy says of certificates of clients.
        trust: Trust,
    },
}

/// A conversation that waits for an answer from outside.
#[derive(Debug)]
pub struct Waiting {
    about: About,
    what: Awaited,
}

#[derive(Debug)]
enum Awaited {
    Password(MsChapV2, Eap<'static>),
    Tls { identifier: u8 },
    Judgement(Accepted),
}

impl Server {
    /// Asks the client for its name. `name` is what we call ourselves.
    pub fn start(name: String, methods: Vec<EapMethod>, random: &mut dyn Random) -> (Self, Eap<'static>) {
        let mut first = [0];
        random.fill(&mut first);
        let (ask, packet) = AskIdentity::start(first[0]);
        let about = About { name, methods, user: String::new(), rounds: 0, doubt: None };
        (Self { about, stage: Stage::Identity(ask) }, packet)
    }

    /// Takes the client's packet.
    pub fn receive(self, packet: Eap<'static>, random: &mut dyn Random) -> Turn {
        let Self { mut about, stage } = self;
        about.rounds += 1;
        if about.rounds > ROUNDS {
            return about.refuse(Refused::new(packet.identifier(), Refusal::TooLong));
        }
        match stage {
            Stage::Identity(ask) => about.identify(ask, &packet, random),
            Stage::MsChapV2(method) => about.ask_password(method, packet, random),
            Stage::Tls(method) => about.tls(method, &packet, random),
        }
    }
}

impl Server {
    /// The client ends the log-in: what it calls itself, and why, as far as we know.
    pub fn given_up(self) -> (String, String) {
        let Self { about: About { user, doubt, .. }, stage } = self;
        let failed = matches!(&stage, Stage::MsChapV2(method) if method.has_failed());
        let why = if failed { Refusal::Credentials.to_string() } else { "the client gave up".to_owned() };
        (user, doubt.unwrap_or(why))
    }
}

impl Waiting {
    /// Goes on with the answer.
    pub fn answer(self, answer: Answer, random: &mut dyn Random) -> Turn {
        let Self { mut about, what } = self;
        if let Answer::Refused(why) = &answer {
            about.doubt = Some(why.clone());
        }
        match (what, answer) {
            (Awaited::Password(method, packet), answer) => {
                let hash = match &answer {
                    Answer::Password(password) => str::from_utf8(password.expose()).ok(),
                    _ => None,
                };
                about.chap(method, &packet, hash.map(NtHash::of_password), random)
            }
            (Awaited::Tls { identifier }, Answer::Tls(config)) => match EapTls::start(identifier, config) {
                Ok((method, packet)) => about.send(Stage::Tls(method), packet),
                Err(_) => about.refuse(Refused::new(identifier, Refusal::Unexpected)),
            },
            (Awaited::Tls { identifier }, _) => about.refuse(Refused::new(identifier, Refusal::Credentials)),
            (Awaited::Judgement(accepted), Answer::Trusted { good_for, .. }) => {
                Turn::Accepted { packet: accepted.packet, user: about.user, msk: accepted.msk, good_for }
            }
            (Awaited::Judgement(accepted), _) => {
                about.refuse(Refused::new(accepted.packet.identifier(), Refusal::Credentials))
            }
        }
    }
}

impl About {
    fn send(self, stage: Stage, packet: Eap<'static>) -> Turn {
        Turn::Send(Box::new(Server { about: self, stage }), packet)
    }

    fn refuse(self, refused: Refused) -> Turn {
        let why = self.doubt.unwrap_or_else(|| refused.reason.to_string());
        Turn::Refused { packet: refused.packet, user: self.user, why }
    }

    fn identify(mut self, ask: AskIdentity, packet: &Eap<'_>, random: &mut dyn Random) -> Turn {
        let (user, identifier) = match ask.receive(packet) {
            Ok(found) => found,
            Err(refused) => return self.refuse(refused),
        };
        match String::from_utf8(user) {
            Ok(user) => self.user = user,
            Err(_) => return self.refuse(Refused::new(packet.identifier(), Refusal::Malformed)),
        }
        self.begin(identifier, random)
    }

    /// Begins the method that is the preferred one now.
    fn begin(self, identifier: u8, random: &mut dyn Random) -> Turn {
        match self.methods.first() {
            Some(EapMethod::MsChapV2) => {
                let (method, packet) = MsChapV2::start(identifier, &self.name, random);
                self.send(Stage::MsChapV2(method), packet)
            }
            Some(EapMethod::Tls(_)) => {
                let waiting = Waiting { about: self, what: Awaited::Tls { identifier } };
                Turn::Need(Box::new(waiting), Need::Tls)
            }
            None => self.refuse(Refused::new(identifier, Refusal::Unexpected)),
        }
    }

    /// The client takes another method (RFC 3748 5.3.1): the first of ours that it names.
    fn other(mut self, refused: Refused, packet: &Eap<'_>, random: &mut dyn Random) -> Turn {
        let Eap::Response { kind: EapType::Nak, data, .. } = packet else { return self.refuse(refused) };
        self.methods.remove(0);
        self.methods.retain(|method| data.contains(&method.kind().into()));
        if self.methods.is_empty() {
            return self.refuse(refused);
        }
        self.begin(packet.identifier().wrapping_add(1), random)
    }

    fn ask_password(self, method: MsChapV2, packet: Eap<'static>, random: &mut dyn Random) -> Turn {
        let name = MsChapV2::name(&packet).and_then(|name| str::from_utf8(name).ok()).map(str::to_owned);
        match name {
            Some(name) => {
                let what = Awaited::Password(method, packet);
                Turn::Need(Box::new(Waiting { about: self, what }), Need::Password(name))
            }
            None => self.chap(method, &packet, None, random),
        }
    }

    fn chap(self, method: MsChapV2, packet: &Eap<'_>, hash: Option<NtHash>, random: &mut dyn Random) -> Turn {
        match method.receive(packet, |_| hash) {
            Step::Continue(method, packet) => self.send(Stage::MsChapV2(method), packet),
            Step::Accepted(Accepted { packet, who: Who::Name(name), msk }) => match String::from_utf8(name) {
                Ok(user) => Turn::Accepted { packet, user, msk, good_for: None },
                Err(_) => self.refuse(Refused::new(packet.identifier(), Refusal::Malformed)),
            },
            Step::Accepted(other) => {
                self.refuse(Refused::new(other.packet.identifier(), Refusal::Unexpected))
            }
            Step::Refused(refused) => self.other(refused, packet, random),
        }
    }

    fn tls(self, method: EapTls, packet: &Eap<'_>, random: &mut dyn Random) -> Turn {
        match (method.receive(packet), self.methods.first()) {
            (Step::Continue(method, packet), _) => self.send(Stage::Tls(method), packet),
            (Step::Accepted(mut accepted), Some(EapMethod::Tls(trust))) => {
                let trust = trust.clone();
                let chain = match &mut accepted.who {
                    Who::Certificates(chain) => std::mem::take(chain),
                    Who::Name(_) => Vec::new(),
                };
                let need = Need::Judgement { chain, name: self.user.clone(), trust };
                let what = Awaited::Judgement(accepted);
                Turn::Need(Box::new(Waiting { about: self, what }), need)
            }
            (Step::Accepted(other), _) => {
                self.refuse(Refused::new(other.packet.identifier(), Refusal::Unexpected))
            }
            (Step::Refused(refused), _) => self.other(refused, packet, random),
        }
    }
}
