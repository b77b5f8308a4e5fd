//! Clients with user name and password, and addresses for them: log in, come again, and be refused.

use std::time::Duration;

use ravelin_contract::address::AddressRange;
use ravelin_ike::policy::{
    Demand, Eap, EapMethod, Identity, IdentityPattern, Lease, LogIn, Peer, Policy, Proof, Traffic,
};
use ravelin_ike::{Answer, Ask, Code, Command};

use crate::network::Weather;
use crate::policies::{first_child, name, peer, secret, sites};
use crate::world::{A, B, World};

const SECOND: Duration = Duration::from_secs(1);
pub(crate) const PASSWORD: &str = "Tr0ub4dor & 3";

fn pool(length: u8) -> Lease {
    Lease {
        pool: name("road"),
        addresses: vec![AddressRange::prefix([10, 9, 0, 0].into(), length).expect("a prefix")],
        dns: vec!["10.2.0.53".parse().expect("an address")],
        domains: vec!["corp.example".into()],
        subnets: Vec::new(),
    }
}

/// A warrior that logs in as carol, and a gateway that knows her. The gateway proves itself by a shared key.
pub(crate) fn policies(password: &str) -> (Policy, Policy) {
    let (mut east, mut west) = sites(|_| {});
    let warrior = peer(&mut east);
    warrior.proof = Proof::Eap { user: "carol".into(), by: LogIn::Password(secret(password)) };
    warrior.request_address = true;
    first_child(warrior).local = Vec::new();
    let gateway = peer(&mut west);
    gateway.demand = Demand::Eap(Eap { methods: vec![EapMethod::MsChapV2], alone: false });
    gateway.remote_identity = IdentityPattern::Any;
    gateway.lease = Some(pool(29));
    first_child(gateway).remote = Vec::new();
    (east, west)
}

/// The gateway's users.
pub(crate) fn knows_carol(world: &mut World) {
    world.hosts[B].oracle = Some(Box::new(|ask| match ask {
        Ask::Password { user, .. } if user == "carol" => Answer::Password(secret(PASSWORD)),
        Ask::Password { user, .. } => Answer::Refused(format!("there is no user {user}")),
        other => panic!("{other:?}"),
    }));
}

fn world(password: &str, change: impl Fn(&mut Peer, &mut Peer)) -> World {
    let (mut east, mut west) = policies(password);
    change(peer(&mut east), peer(&mut west));
    let mut world = World::new(60, east, west);
    knows_carol(&mut world);
    world
}

fn up(world: &mut World) {
    world.command(A, Command::Up { peer: name("other-site") });
    world.run(SECOND * 3);
}

fn assert_stands(world: &World) {
    for at in [A, B] {
        assert_eq!(world.only(at).children.len(), 1, "{}", world.log());
    }
    world.assert_agreed();
}

#[test]
fn a_user_logs_in_and_its_child_speaks_of_its_address_alone() {
    let mut world = world(PASSWORD, |_, _| {});
    up(&mut world);
    assert_stands(&world);
    let address = world.hosts[A].assigned[0];
    let at_gateway = world.only(B);
    assert_eq!(at_gateway.identity, Identity::User("carol".into()));
    assert_eq!(at_gateway.leased, [address]);
    assert_eq!(world.only(A).assigned, [address]);
    assert_eq!(at_gateway.children[0].remote, [Traffic::single(address)]);
    assert_eq!(world.only(A).children[0].local, [Traffic::single(address)]);
    assert_eq!(world.hosts[B].endpoint.half_open(), 0);
}

#[test]
fn what_rules_say_of_ports_holds_for_each_address() {
    let web = ravelin_contract::address::NumberRange::single(443);
    let mut world = world(PASSWORD, |_, gateway| {
        let pool = crate::policies::net("10.9.0.0/24");
        first_child(gateway).remote = vec![Traffic { protocol: 6, ports: web, ..pool }];
    });
    up(&mut world);
    assert_stands(&world);
    let address = world.hosts[A].assigned[0];
    let only = Traffic { protocol: 6, ports: web, ..Traffic::single(address) };
    assert_eq!(world.only(A).children[0].local, [only]);
}

#[test]
fn whoever_comes_again_gets_the_same_address_and_none_leaks() {
    let mut world = world(PASSWORD, |_, gateway| gateway.lease = Some(pool(31)));
    up(&mut world);
    let address = world.hosts[A].assigned[0];
    for turn in 0..12 {
        let ike = world.ike(A);
        match turn % 4 {
            0 => world.command(A, Command::Rekey { ike }),
            1 => world.command(A, Command::Reauthenticate { ike }),
            2 => world.command(A, Command::Down { ike }),
            _ => world.restart(A),
        }
        world.run(SECOND);
        up(&mut world);
        assert_eq!(world.only(A).children.len(), 1, "{}", world.log());
        assert_eq!(world.hosts[A].assigned[0], address, "turn {turn}\n{}", world.log());
        assert_eq!(world.only(B).leased, [address], "turn {turn}\n{}", world.log());
    }
}

#[test]
fn wrong_passwords_and_unknown_users_are_refused_alike_and_both_sides_are_told() {
    for (user, password, reason) in
        [("carol", "guess", "password"), ("mallory", PASSWORD, "there is no user mallory")]
    {
        let mut world = world(PASSWORD, |warrior, _| {
            warrior.proof = Proof::Eap { user: user.into(), by: LogIn::Password(secret(password)) };
        });
        up(&mut world);
        world.run(SECOND * 60);
        assert!(world.statuses(A).is_empty() && world.statuses(B).is_empty(), "{}", world.log());
        assert!(world.saw(A, Code::AuthenticationFailed) && world.saw(B, Code::AuthenticationFailed));
        let told = world.hosts[B].events.iter().find(|event| event.code == Code::AuthenticationFailed);
        let text = &told.expect("an event").text;
        assert!(text.contains(user) && text.contains(reason), "{text}");
        assert!(world.hosts[A].assigned.is_empty());
        assert_eq!(world.hosts[B].endpoint.half_open(), 0);
        world.assert_agreed();
    }
}

#[test]
fn a_gateway_without_proof_of_its_own_is_not_believed() {
    let mut world =
        world(PASSWORD, |_, gateway| gateway.proof = Proof::SharedKey(secret("not the one that it is")));
    up(&mut world);
    world.run(SECOND * 60);
    assert!(world.statuses(A).is_empty() && world.statuses(B).is_empty(), "{}", world.log());
    assert!(world.saw(A, Code::AuthenticationFailed));
}

#[test]
fn without_an_address_there_is_no_child_and_both_sides_know_why() {
    let taken = |gateway: &mut Peer| gateway.lease = Some(Lease { addresses: Vec::new(), ..pool(29) });
    for (asks, notify) in [(true, "INTERNAL_ADDRESS_FAILURE"), (false, "FAILED_CP_REQUIRED")] {
        let mut world = world(PASSWORD, |warrior, gateway| {
            taken(gateway);
            warrior.request_address = asks;
        });
        world.command(A, Command::Up { peer: name("other-site") });
        world.run(SECOND);
        assert!(world.saw(B, Code::NoAddress), "{}", world.log());
        assert!(world.saw(A, Code::ChildFailed) && world.log().contains(notify), "{}", world.log());
        assert!(world.hosts.iter().all(|host| host.children.is_empty()));
        world.run(SECOND * 60);
        world.assert_agreed();
    }
}

/// Loss, delay, doubles and disorder at every step of a log-in: it ends in agreement or in nothing.
#[test]
fn log_ins_in_foul_weather_end_in_agreement() {
    let mut stood = 0;
    for seed in 0..150 {
        let (east, west) = policies(if seed % 5 == 0 { "wrong" } else { PASSWORD });
        let mut world = World::new(seed, east, west);
        knows_carol(&mut world);
        world.network.weather = Weather::FOUL;
        world.command(A, Command::Up { peer: name("other-site") });
        let span = world.dice.up_to(SECOND * 20);
        world.run(span);
        if seed % 3 == 0 {
            world.restart(if seed % 2 == 0 { A } else { B });
            world.command(A, Command::Up { peer: name("other-site") });
        }
        world.run(SECOND * 60);
        world.network.weather = Weather::FAIR;
        world.run(SECOND * 400);
        world.assert_agreed();
        assert_eq!(world.hosts[B].endpoint.half_open(), 0, "seed {seed}\n{}", world.log());
        let standing = world.statuses(A).len();
        assert!(standing == 0 || seed % 5 != 0, "seed {seed}: a wrong password was believed");
        stood += standing;
    }
    assert!(stood > 60, "only {stood} log-ins came through");
}
