//! Handshakes between two ends of ours, in memory, with keys from real rings.

mod agreed;
mod bounds;
mod levels;
mod refused;
mod site;

use std::rc::Rc;
use std::sync::Arc;

use ravelin_tls::settings::Settings;
use ravelin_tls::{Environment, Failure, Handover, Handshake, Progress, Target};
use site::{Site, now};

thread_local! {
    static SITE: Rc<Site> = Rc::new(Site::new());
}

/// The site of this test; its folder goes when the test's thread ends.
fn here() -> Rc<Site> {
    SITE.with(Rc::clone)
}

/// What both ends make of it, client first. Octets go in pieces of so many.
fn meet_in_pieces(
    client: &Arc<Environment>,
    target: Target,
    server: &Arc<Environment>,
    piece: usize,
) -> [Result<Handover, Failure>; 2] {
    let mut client = Handshake::client(client, target, now()).expect("a client");
    let mut server = Handshake::server(server, now()).expect("a server");
    loop {
        let (up, down) = (client.take_output(), server.take_output());
        if up.is_empty() && down.is_empty() {
            break;
        }
        for octets in up.chunks(piece) {
            server.receive(octets, now());
        }
        for octets in down.chunks(piece) {
            client.receive(octets, now());
        }
    }
    for end in [&mut client, &mut server] {
        if end.progress() == Progress::Going {
            end.stream_ended();
        }
    }
    [client.finish(), server.finish()]
}

fn meet(client: &Arc<Environment>, server: &Arc<Environment>) -> [Result<Handover, Failure>; 2] {
    meet_in_pieces(client, host("host.example"), server, 1400)
}

/// Both ends agree.
fn agree(client: &Settings, server: &Settings) -> [Handover; 2] {
    let ends = meet(&here().environment(client), &here().environment(server));
    ends.map(|end| end.unwrap_or_else(|failure| panic!("{failure}")))
}

fn host(name: &str) -> Target {
    Target::host(name).expect("a host name")
}
