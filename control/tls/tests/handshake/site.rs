//! Key rings of a site: two authorities, servers, clients, what is out of time; and the settings that name them.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ravelin_rings::access::{Access, Caller, Owner};
use ravelin_rings::issue::{Authority, Desk, IssuingKey, Plan, Profile, parse_alternative_name};
use ravelin_rings::key::KeyKind;
use ravelin_rings::map::{Rule, Rules};
use ravelin_rings::name::{Place, RingName};
use ravelin_rings::passphrase::Source;
use ravelin_rings::revocation::{Cache, RevocationPolicy};
use ravelin_rings::signer::Signer;
use ravelin_rings::store::{NewRing, Rings, StoreKind};
use ravelin_rings::verify::{RSA_FLOOR, parse_name};
use ravelin_tls::settings::{ClientAuth, Identity, Pick, Role, Settings, Trust};
use ravelin_tls::{Doors, Environment, Now};

/// The rings lie in a folder that goes with it.
pub(crate) struct Site {
    pub(crate) doors: Doors,
    /// Where the rings lie.
    _folder: tempfile::TempDir,
}

impl Site {
    /// `ca/root` issued `web/main` (P-256, host.example and *.wild.example), `web/rsa`, `web/late` (out of time) and
    /// `clients/ann` (mapped to the identity ann), `clients/bob` (not mapped); `other/root` issued `strange/main`.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let rings = Rings::at(folder.path());
        let doors = Doors {
            signer: Arc::new(Signer::new(rings.clone())),
            rings,
            caller: Caller::this_process(),
            revocation: Arc::new(Cache::default()),
        };
        let site = Self { doors, _folder: folder };
        let me = Owner::User(rustix::process::geteuid().as_raw());
        for ring in ["ca", "other", "web", "late", "clients", "strange"] {
            site.ring(ring, me);
        }
        site.authority("ca/root");
        site.authority("other/root");
        let names = ["dns:host.example", "dns:*.wild.example", "ip:127.0.0.1"];
        site.certify("web/main", "ca/root", KeyKind::P256, &names, Profile::Server, (0, 30));
        site.certify("web/rsa", "ca/root", KeyKind::Rsa(2048), &names, Profile::Server, (0, 30));
        site.certify("late/main", "ca/root", KeyKind::P256, &names, Profile::Server, (20, 10));
        site.certify("strange/main", "other/root", KeyKind::P256, &names, Profile::Server, (0, 30));
        for name in ["ann", "bob"] {
            let place = format!("clients/{name}");
            let email = format!("email:{name}@example");
            site.certify(&place, "ca/root", KeyKind::P256, &[&email], Profile::Client, (0, 30));
        }
        site.certify(
            "strange/eve",
            "other/root",
            KeyKind::P256,
            &["email:ann@example"],
            Profile::Client,
            (0, 30),
        );
        let rule = Rule {
            name: "ann".to_owned(),
            identity: "ann".to_owned(),
            issuer: None,
            subject: None,
            san: Some("email:ann@example".to_owned().try_into().expect("a pattern")),
        };
        Rules::change(&site.doors.rings, |rules| rules.add(rule)).expect("a rule");
        site
    }

    /// Makes a ring of this owner.
    pub(crate) fn ring(&self, name: &str, owner: Owner) {
        let new = NewRing {
            owner,
            access: Access::default(),
            store: StoreKind::Directory,
            passphrase: Source::stash(),
        };
        self.doors.rings.create(&RingName::new(name).expect("a name"), new).expect("a ring");
    }

    fn authority(&self, at: &str) {
        let plan = plan(&format!("CN={at}"), &[], Profile::Ca(None), (30, 300));
        let desk = Desk::new(&self.doors.rings, &self.doors.signer, now().unix);
        desk.self_sign(&place(at), KeyKind::P256, &plan).expect("an authority");
    }

    /// A certificate at `at`, good from so many days ago for so many days.
    pub(crate) fn certify(
        &self,
        at: &str,
        by: &str,
        kind: KeyKind,
        names: &[&str],
        profile: Profile,
        days: (u64, u32),
    ) {
        let Doors { rings, signer, .. } = &self.doors;
        let authority = Authority::open(rings, signer, &place(by)).expect("an authority");
        let plan = plan(&format!("CN={at}"), names, profile, days);
        let certify =
            |key: &ravelin_rings::issue::HeldKey<'_>| authority.sign(&plan, IssuingKey::public(key));
        let desk = Desk::new(rings, signer, now().unix);
        desk.with_new_key(&place(at), kind, certify, profile).expect("a certificate");
    }

    /// Ready for handshakes.
    pub(crate) fn environment(&self, settings: &Settings) -> Arc<Environment> {
        Arc::new(Environment::new(settings, &self.doors).expect("an environment"))
    }
}

fn plan(subject: &str, names: &[&str], profile: Profile, (ago, days): (u64, u32)) -> Plan {
    let names = names.iter().map(|name| parse_alternative_name(name).expect("a name")).collect();
    let begin = now().unix - 60 - ago * 86_400;
    Plan::new(parse_name(subject).expect("a name"), names, profile, begin, days)
}

pub(crate) fn place(text: &str) -> Place {
    text.parse().expect("a place")
}

/// The time of this machine.
pub(crate) fn now() -> Now {
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    Now { running: Duration::from_secs(unix), unix }
}

/// `web` or `web/main`.
pub(crate) fn pick(text: &str) -> Pick {
    match text.split_once('/') {
        Some(_) => Pick { ring: place(text).ring, label: Some(place(text).label) },
        None => Pick { ring: RingName::new(text).expect("a name"), label: None },
    }
}

pub(crate) fn trust(ring: &str) -> Trust {
    Trust { anchors: vec![pick(ring)], revocation: RevocationPolicy::off(), rsa_floor: RSA_FLOOR }
}

/// A server that shows this, and asks that of clients.
pub(crate) fn server(shows: &str, client_auth: ClientAuth) -> Settings {
    let identities = vec![Identity { pick: pick(shows), hosts: Vec::new() }];
    Settings::modern(Role::Server { identities, strict_names: false, client_auth })
}

/// A client that believes this ring, and shows that.
pub(crate) fn client(believes: &str, shows: &[&str]) -> Settings {
    let identities = shows.iter().map(|one| pick(one)).collect();
    Settings::modern(Role::Client { trust: trust(believes), identities })
}
