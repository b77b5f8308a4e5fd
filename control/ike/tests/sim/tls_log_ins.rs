//! Clients with certificates: EAP-TLS with real TLS inside, from the first IKE_AUTH to the judgement of both certificates.

use std::sync::Arc;
use std::time::Duration;

use ravelin_ike::eap::tls::{self, Possession};
use ravelin_ike::policy::{Demand, EapMethod, Identity, LogIn, Proof, Revocation, Trust};
use ravelin_ike::{Answer, Ask, Code, Command};
use rcgen::{CertificateParams, KeyPair};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::sign::{CertifiedKey, SingleCertAndKey};

use crate::network::Weather;
use crate::policies::{fqdn, name, peer};
use crate::road_warriors::{PASSWORD, policies};
use crate::world::{A, B, World};

const SECOND: Duration = Duration::from_secs(1);
const ERIN: &str = "erin.example";

fn shown(name: &str) -> Arc<SingleCertAndKey> {
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(vec![name.to_owned()]).expect("parameters");
    let certificate = params.self_signed(&key).expect("a certificate").der().clone();
    let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
    let provider = aws_lc_rs::default_provider();
    Arc::new(CertifiedKey::from_der(vec![certificate], key, &provider).expect("a pair").into())
}

fn trust() -> Trust {
    Trust { authorities: vec!["ca".into()], revocation: Revocation::Soft, schemes: Vec::new() }
}

/// What a side thinks of the other's certificate, which has to be asked for this name.
fn judge(good: bool, identity: &Identity, expected: Identity) -> Answer {
    assert_eq!(*identity, expected);
    match good {
        true => Answer::Trusted { public_key: Vec::new(), good_for: Some(SECOND * 3600) },
        false => Answer::Refused("the certificate was revoked".into()),
    }
}

/// Erin and a gateway that would rather have passwords. Who believes the other's certificate?
fn world(seed: u64, at_erin: bool, at_gateway: bool) -> World {
    let (mut east, mut west) = policies(PASSWORD);
    let by = LogIn::Certificate { key: "erin".into(), trust: trust() };
    peer(&mut east).proof = Proof::Eap { user: ERIN.into(), by };
    let Demand::Eap(eap) = &mut peer(&mut west).demand else { panic!("clients log in by EAP") };
    eap.methods.push(EapMethod::Tls(trust()));
    let mut world = World::new(seed, east, west);
    let (erin, gateway) = (shown(ERIN), shown("west.example"));
    world.hosts[A].oracle = Some(Box::new(move |ask| match ask {
        Ask::TlsLogIn { key, .. } if key == "erin" => {
            Answer::TlsLogIn(tls::client_config(Arc::clone(&erin) as _).expect("settings"))
        }
        Ask::Verify { identity, .. } => judge(at_erin, identity, fqdn("west.example")),
        other => panic!("{other:?}"),
    }));
    world.hosts[B].oracle = Some(Box::new(move |ask| match ask {
        Ask::Tls { .. } => {
            let settings = tls::config(Arc::clone(&gateway) as _, Arc::new(Possession::default()));
            Answer::Tls(settings.expect("settings"))
        }
        Ask::Verify { identity, .. } => judge(at_gateway, identity, fqdn(ERIN)),
        other => panic!("{other:?}"),
    }));
    world
}

fn up(world: &mut World) {
    world.command(A, Command::Up { peer: name("other-site") });
}

#[test]
fn a_certificate_logs_in_where_passwords_are_preferred() {
    let mut world = world(90, true, true);
    up(&mut world);
    world.run(SECOND * 5);
    let address = world.hosts[A].assigned[0];
    let at_gateway = world.only(B);
    assert_eq!(
        (&at_gateway.identity, &at_gateway.leased[..]),
        (&Identity::User(ERIN.into()), &[address][..])
    );
    assert_eq!((at_gateway.children.len(), world.only(A).children.len()), (1, 1), "{}", world.log());
    world.assert_agreed();
    // What proves it ends, and is proved again before.
    let first = world.ike(A);
    world.run(SECOND * 3500);
    assert_ne!(world.ike(A), first, "{}", world.log());
    assert_eq!(world.only(B).leased, [address]);
}

#[test]
fn whoever_is_not_believed_by_the_other_gets_nowhere() {
    for (at_erin, at_gateway) in [(true, false), (false, true)] {
        let mut world = world(91, at_erin, at_gateway);
        up(&mut world);
        world.run(SECOND * 60);
        assert!(world.statuses(A).is_empty() && world.statuses(B).is_empty(), "{}", world.log());
        let who = if at_erin { B } else { A };
        let told = world.hosts[who].events.iter().find(|event| event.code == Code::AuthenticationFailed);
        assert!(told.expect("an event").text.contains("revoked"), "{}", world.log());
        assert_eq!(world.hosts[B].endpoint.half_open(), 0);
        assert!(world.hosts.iter().all(|host| host.children.is_empty()));
        world.assert_agreed();
    }
}

/// Dozens of messages for one log-in, of which each may be lost, late, doubled or out of order.
#[test]
fn log_ins_in_foul_weather_end_in_agreement() {
    let mut stood = 0;
    for seed in 0..40 {
        let believed = seed % 5 != 0;
        let mut world = world(seed, true, believed);
        world.network.weather = Weather::FOUL;
        up(&mut world);
        world.run(SECOND * 90);
        world.network.weather = Weather::FAIR;
        world.run(SECOND * 400);
        world.assert_agreed();
        assert_eq!(world.hosts[B].endpoint.half_open(), 0, "seed {seed}\n{}", world.log());
        let standing = world.statuses(A).len();
        assert!(standing == 0 || believed, "seed {seed}: a certificate that was revoked was believed");
        stood += standing;
    }
    assert!(stood > 10, "only {stood} log-ins came through");
}
