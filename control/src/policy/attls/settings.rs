//! The layers of a rule into what `ravelin-tls` takes: the innermost that says something decides (row A32).

use std::time::Duration;

use ravelin_config::diagnostic::Collector;
use ravelin_contract::limits;
use ravelin_contract::tls::{Answer, Secure, TlsAction, Truncation};
use ravelin_contract::tls_session::{Shape, Suite, Version};
use ravelin_events::catalogue::{CHECK_ANYONE, CHECK_NEVER, FILE_MISPLACED, FILE_MISSING};
use ravelin_rings::revocation::{Mode, RevocationPolicy};
use ravelin_rings::scheme::Scheme;
use ravelin_rings::verify::RSA_FLOOR;
use ravelin_tls::settings::{ClientAuth, Group, Identity, Pick, Resumption, Role, Settings, Timeouts, Trust};

use super::layer::{Certificates, Demand, Enabled, End, Layer, Resume, Said};
use super::model::Rule;
use super::preset::{MODERN, Preset};
use super::{Asks, Effective, Expects, Plan};
use crate::policy::credential::{self, Named, Need};

/// How much longer the packet process waits than control.
const SLACK: Duration = Duration::from_secs(5);

/// The layers of one rule, the innermost first, each with its name.
pub(super) struct Stack<'a> {
    pub(super) rule: &'a Rule,
    pub(super) layers: Vec<(String, &'a Layer)>,
    pub(super) notes: &'a Collector,
}

/// What is offered, in order of preference.
struct Lists {
    versions: Vec<Version>,
    suites: Vec<Suite>,
    groups: Vec<Group>,
    schemes: Vec<Scheme>,
}

impl Stack<'_> {
    /// What becomes of connections, and how TLS is spoken where it is.
    pub(super) fn decide(&self) -> Option<(TlsAction, Option<Plan>)> {
        match self.or(|layer| &layer.enabled, Enabled::On)? {
            Enabled::Off => Some((TlsAction::Pass, None)),
            Enabled::Refuse => Some((TlsAction::Refuse, None)),
            Enabled::On => {
                let plan = self.plan();
                let truncation = self.or(|layer| &layer.truncation, Truncation::Reset);
                let answer = self.answer();
                let (plan, truncation) = (plan?, truncation?);
                let patience = plan.settings.timeouts.whole + SLACK;
                let patience_ms = patience.as_millis().try_into().unwrap_or(u32::MAX);
                let (role, answer) = (plan.role(), answer?);
                Some((TlsAction::Secure(Secure { role, patience_ms, truncation, answer }), Some(plan)))
            }
        }
    }

    fn get<T: Clone>(&self, of: impl Fn(&Layer) -> &Said<T>) -> Said<T> {
        let said = self.layers.iter().map(|(_, layer)| of(layer));
        said.into_iter().find(|said| !matches!(said, Some(None))).cloned().unwrap_or(Some(None))
    }

    fn or<T: Clone>(&self, of: impl Fn(&Layer) -> &Said<T>, default: T) -> Option<T> {
        self.get(of).map(|said| said.map_or(default, |(value, _)| value))
    }

    fn error(&self, message: &str, remedy: &str) {
        let message = FILE_MISSING.of(format!("rule `{}` {message}", self.rule.name));
        self.notes.error(self.rule.place.clone(), message, remedy);
    }

    fn plan(&self) -> Option<Plan> {
        let role = match self.get(|layer| &layer.role)? {
            Some((End::Client, _)) => self.client(),
            Some((End::Server, _)) => self.server(),
            None => {
                let remedy = "add role = \"client\" or \"server\", to it or to one of its actions";
                self.error("does not say which end we are", remedy);
                None
            }
        };
        let lists = self.lists();
        let (resumption, timeouts, shape) = (self.resumption(), self.timeouts(), self.shape());
        let alpn = self.or(|layer| &layer.alpn, Vec::new());
        let (asks, proxy_protocol) = (self.asks(), self.or(|layer| &layer.proxy_protocol, false));
        let rings = self.rings();
        let Lists { versions, suites, groups, schemes } = lists?;
        Some(Plan {
            rule: self.rule.name.clone(),
            actions: self.rule.named.clone().map(|named| named.map(|(name, _)| name)),
            settings: Settings {
                role: role?,
                versions,
                suites,
                groups,
                schemes,
                alpn: alpn?,
                resumption: resumption?,
                timeouts: timeouts?,
                shape: shape?,
            },
            asks: asks?,
            proxy_protocol: proxy_protocol?,
            effective: self.effective(),
            place: self.rule.place.clone(),
            rings: rings?,
        })
    }

    fn client(&self) -> Option<Role> {
        let identities = self.or(|layer| &layer.certificate, Vec::new());
        if let Some(Some((true, place))) = self.get(|layer| &layer.proxy_protocol) {
            let message = FILE_MISPLACED.of(
                "`proxy_protocol` where we are the client: no server of an application is there to read it",
            );
            self.notes.error(place, message, "write proxy_protocol = \"off\", or leave the line out");
        }
        let trust = self.trust()?;
        if trust.is_none() {
            self.error("believes no server", "add a line such as: trust = [\"roots\"]");
        }
        let identities = identities?.into_iter().map(|(own, _, _)| tls(own)).collect();
        Some(Role::Client { trust: trust?, identities })
    }

    fn server(&self) -> Option<Role> {
        let certificates: Said<Certificates> = self.get(|layer| &layer.certificate);
        if matches!(certificates, Some(None)) {
            self.error("has nothing to show to clients", "add a line such as: certificate = \"web\"");
        }
        let strict_names = self.or(|layer| &layer.strict_names, false);
        let client_auth = self.client_auth();
        let (certificates, _) = certificates??;
        let identity = |(own, hosts, _)| Identity { pick: tls(own), hosts };
        Some(Role::Server {
            identities: certificates.into_iter().map(identity).collect(),
            strict_names: strict_names?,
            client_auth: client_auth?,
        })
    }

    fn client_auth(&self) -> Option<ClientAuth> {
        let (demand, trust) = (self.or(|layer| &layer.client_auth, Demand::None)?, self.trust()?);
        let level = match demand {
            Demand::None => return Some(ClientAuth::None),
            Demand::PassThrough => return Some(ClientAuth::PassThru),
            Demand::Wanted => ClientAuth::Wanted,
            Demand::Required => ClientAuth::Required,
            Demand::Mapped => ClientAuth::Mapped,
        };
        if trust.is_none() {
            self.error("judges clients, and believes nobody", "add a line such as: trust = [\"clients\"]");
        }
        trust.map(level)
    }

    /// `Some(None)` where nobody is named.
    fn trust(&self) -> Option<Option<Trust>> {
        let anchors = self.get(|layer| &layer.trust);
        let mode = self.or(|layer| &layer.revocation, Mode::Soft);
        let rsa_floor = self.or(|layer| &layer.rsa_floor, RSA_FLOOR);
        let (anchors, revocation, rsa_floor) = (anchors?, RevocationPolicy::new(mode?), rsa_floor?);
        Some(anchors.map(|(anchors, _)| {
            let anchors = anchors.into_iter().map(|(anchor, _)| tls(anchor)).collect();
            Trust { anchors, revocation, rsa_floor }
        }))
    }

    /// Suites that are written without versions say the versions, too.
    fn lists(&self) -> Option<Lists> {
        let preset: &Preset = self.or(|layer| &layer.preset, &MODERN)?;
        let (versions, suites) = (self.get(|layer| &layer.versions), self.get(|layer| &layer.suites));
        let groups = self.or(|layer| &layer.key_exchange, preset.groups.to_vec());
        let schemes = self.or(|layer| &layer.signatures, preset.schemes.to_vec());
        let (versions, suites) = (versions?, suites?);
        let of = |version: Version, suites: &[Suite]| suites.iter().any(|suite| suite.version() == version);
        if let (Some((versions, _)), Some((suites, place))) = (&versions, &suites)
            && let Some(bare) = versions.iter().find(|version| !of(**version, suites))
        {
            let message = FILE_MISSING.of(format!("no cipher suite here is of {}", bare.name()));
            self.notes.error(place.clone(), message, "add one, or leave the version out of `versions`");
        }
        let suites = suites.map_or_else(|| preset.suites.to_vec(), |(suites, _)| suites);
        let fitting = || preset.versions.iter().copied().filter(|version| of(*version, &suites)).collect();
        let versions = versions.map_or_else(fitting, |(versions, _)| versions);
        Some(Lists { versions, suites, groups: groups?, schemes: schemes? })
    }

    fn resumption(&self) -> Option<Resumption> {
        let count = self.or(|layer| &layer.tickets, 2);
        let sessions = self.or(|layer| &layer.sessions, 512);
        let way = self.or(|layer| &layer.resumption, Resume::Tickets)?;
        let (count, sessions) = (count?, sessions?);
        Some(match way {
            Resume::Off => Resumption::Off,
            Resume::Cache => Resumption::Cache { sessions },
            Resume::Tickets => Resumption::Tickets { count, sessions },
        })
    }

    fn timeouts(&self) -> Option<Timeouts> {
        let first = self.or(|layer| &layer.first_timeout, Duration::from_secs(10));
        let whole = self.or(|layer| &layer.handshake_timeout, Duration::from_secs(30));
        Some(Timeouts { first: first?, whole: whole? })
    }

    /// A client in clear may wait for the handshake with its server (row A5); in front of a server, who connects is the
    /// other end of the handshake.
    fn answer(&self) -> Option<Answer> {
        let client = matches!(self.get(|layer| &layer.role)?, Some((End::Client, _)));
        match self.get(|layer| &layer.answer)? {
            Some((Answer::AfterHandshake, place)) if !client => {
                let message = CHECK_NEVER.of("`answer` cannot wait for a handshake with the one who is to be answered: we are the server");
                self.notes.error(place, message, "write answer = \"at-once\", or leave the line out");
                None
            }
            Some((answer, _)) => Some(answer),
            None if client => Some(Answer::AfterHandshake),
            None => Some(Answer::AtOnce),
        }
    }

    fn shape(&self) -> Option<Shape> {
        let send_most = self.or(|layer| &layer.record_size, limits::TLS_CONTENT);
        let pad_to = self.or(|layer| &layer.pad_to, 1);
        Some(Shape { send_most: send_most?, receive_most: limits::TLS_CONTENT, pad_to: pad_to? })
    }

    fn asks(&self) -> Option<Asks> {
        let host = self.get(|layer| &layer.server_name);
        let sends = self.or(|layer| &layer.send_name, true);
        let checks = self.get(|layer| &layer.check_name)?;
        if let Some((Expects::Anyone, place)) = &checks {
            let message = CHECK_ANYONE.of("the name in the server's certificate is not checked: whoever is believed is taken for anyone");
            let remedy = "remove the line, or write the name that it must have";
            self.notes.warning(place.clone(), message, remedy);
        }
        let expects = checks.map_or(Expects::Asked, |(expects, _)| expects);
        Some(Asks { host: host?.map(|(host, _)| host), sends: sends?, expects })
    }

    fn rings(&self) -> Option<Vec<Named>> {
        let own = self.or(|layer| &layer.certificate, Vec::new())?;
        let trust = self.or(|layer| &layer.trust, Vec::new())?;
        let own = own.into_iter().map(|(pick, _, place)| Named { pick, need: Need::Identity, place });
        let trust = trust.into_iter().map(|(pick, place)| Named { pick, need: Need::Anchor, place });
        Some(own.chain(trust).collect())
    }

    fn effective(&self) -> Vec<Effective> {
        let mut found: Vec<Effective> = Vec::new();
        for (from, layer) in &self.layers {
            for (key, value) in &layer.written {
                if found.iter().all(|one| one.key != *key) {
                    found.push(Effective { key, value: value.clone(), from: from.clone() });
                }
            }
        }
        found
    }
}

fn tls(pick: credential::Pick) -> Pick {
    Pick { ring: pick.ring, label: pick.label }
}
