//! What other daemons do badly and this one must not, as far as two endpoints show it; docs/ike.md has the whole list.

use std::sync::Arc;
use std::time::Duration;

use ravelin_ike::policy::{IdentityPattern, Policy};
use ravelin_ike::{Code, Command};

use crate::policies::{first_child, fqdn, name, net, peer, sites};
use crate::world::{A, B, World};

const SECOND: Duration = Duration::from_secs(1);

/// A second connection between the same gateways: other identities, other networks.
fn add_second(policy: &mut Policy, me: (&str, &str), you: (&str, &str)) {
    let mut second = (*policy.peers[0]).clone();
    second.name = name("second");
    second.local_identity = fqdn(me.0);
    second.remote_identity = IdentityPattern::Exactly(fqdn(you.0));
    let child = first_child(&mut second);
    child.name = name("second-net");
    (child.local, child.remote) = (vec![net(me.1)], vec![net(you.1)]);
    policy.peers.push(Arc::new(second));
}

fn connections() -> (Policy, Policy) {
    let (mut east, mut west) = sites(|_| {});
    let (me, you) = (("second.east.example", "10.3.0.0/16"), ("second.west.example", "10.4.0.0/16"));
    add_second(&mut east, me, you);
    add_second(&mut west, you, me);
    (east, west)
}

/// Users complain that a reload touches connections that it does not change.
#[test]
fn a_new_policy_touches_no_other_connection() {
    for at in [A, B] {
        let (east, west) = connections();
        let mut changed = if at == A { east.clone() } else { west.clone() };
        let mut world = World::new(94, east, west);
        for peer in ["other-site", "second"] {
            world.command(A, Command::Up { peer: name(peer) });
            world.run(SECOND);
        }
        let of = |world: &World, peer: &str| {
            let statuses = world.statuses(at).into_iter();
            statuses.filter(|status| status.peer == name(peer)).map(|status| status.ike).collect::<Vec<_>>()
        };
        let (one, two) = (of(&world, "other-site"), of(&world, "second"));
        assert_eq!((one.len(), two.len()), (1, 1), "{}", world.log());
        let told = world.hosts[1 - at].events.len();

        // The same again changes nothing.
        world.command(at, Command::SetPolicy(Arc::new(changed.clone())));
        world.run(SECOND);
        assert_eq!((of(&world, "other-site"), of(&world, "second")), (one.clone(), two));
        assert_eq!(world.hosts[1 - at].events.len(), told, "the peer hears nothing of it");

        Arc::make_mut(&mut changed.peers[1]).liveness = Some(SECOND * 7);
        world.command(at, Command::SetPolicy(Arc::new(changed.clone())));
        world.run(SECOND * 3);
        assert_eq!(of(&world, "other-site"), one, "the other connection goes on");
        assert!(of(&world, "second").is_empty(), "what was changed begins anew when it is wanted");
        world.assert_agreed();

        // It may also be the only one that is left.
        changed.peers.remove(1);
        world.command(at, Command::SetPolicy(Arc::new(changed)));
        world.run(SECOND * 3);
        assert_eq!(of(&world, "other-site"), one);
        world.assert_agreed();
    }
}

/// A status that names what is not there any more helps nobody: what is listed stands, on both sides and in the packet process, at
/// each step of a life.
#[test]
fn what_is_listed_stands() {
    let (mut east, west) = sites(|peer| peer.liveness = Some(SECOND * 5));
    first_child(peer(&mut east));
    let mut world = World::new(95, east, west);
    let calm = |world: &mut World, children: usize| {
        world.run(SECOND * 2);
        world.assert_agreed();
        for at in [A, B] {
            let statuses = world.statuses(at);
            let listed = statuses.iter().flat_map(|status| &status.children);
            let lives: Vec<_> = listed.map(|child| child.life).collect();
            assert_eq!(lives, vec!["standing"; children], "{}", world.log());
        }
    };
    calm(&mut world, 0);
    world.command(A, Command::Up { peer: name("other-site") });
    calm(&mut world, 1);
    let inbound = world.only(B).children[0].inbound;
    world.command(B, Command::RekeyChild { inbound });
    calm(&mut world, 1);
    let ike = world.ike(B);
    world.command(B, Command::Rekey { ike });
    calm(&mut world, 1);
    let ike = world.ike(A);
    world.command(A, Command::Reauthenticate { ike });
    calm(&mut world, 1);
    let inbound = world.only(A).children[0].inbound;
    world.command(A, Command::DownChild { inbound });
    calm(&mut world, 0);
    world.command(B, Command::Up { peer: name("other-site") });
    calm(&mut world, 1);
    // A peer that does not answer is no longer listed once that is known, and its keys are gone.
    world.network.cut = true;
    world.run(SECOND * 200);
    assert!(world.saw(A, Code::PeerSilent) && world.saw(B, Code::PeerSilent), "{}", world.log());
    calm(&mut world, 0);
}

/// With new proofs the peer's old child goes first and the new one waits for a packet: nothing sent between the two. Found by
/// pings of a millisecond between two gateways.
#[test]
fn new_proofs_leave_no_moment_in_which_nothing_sends() {
    let (east, west) = sites(|_| {});
    let mut world = World::new(96, east, west);
    world.command(A, Command::Up { peer: name("other-site") });
    world.run(SECOND);
    world.pace = SECOND * 3600;
    world.hosts.iter_mut().for_each(|host| host.never_mute = true);
    let old = world.ike(A);
    world.command(A, Command::Reauthenticate { ike: old });
    world.run(SECOND * 3);
    assert_ne!(world.ike(A), old, "{}", world.log());
    world.assert_agreed();
}
