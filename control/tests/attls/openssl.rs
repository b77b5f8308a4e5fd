//! OpenSSL's client as peer, over TCP.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use ravelin_contract::tls::{ConnectionId, Order};
use ravelin_contract::tls_session::{Role, Session, Version};

use crate::Bench;

/// Carries octets between a peer and control until keys are handed over.
fn relay(bench: &Bench, connection: ConnectionId, peer: &TcpStream) -> Session {
    let (mut reader, world) = (peer.try_clone().unwrap(), bench.world.clone());
    std::thread::spawn(move || {
        let mut octets = [0; 4096];
        while let Ok(count @ 1..) = reader.read(&mut octets) {
            world.octets(connection, &octets[..count]);
        }
    });
    loop {
        match bench.world.next_order(connection) {
            Order::Octets { octets, .. } => (&*peer).write_all(&octets).unwrap(),
            Order::Run { session, .. } => return *session,
            Order::End { .. } => panic!("{:?}", bench.door.ledger().failures()),
            _ => {}
        }
    }
}

/// What a client says until it has told all that it agreed to.
fn said(client: &mut Child) -> String {
    let mut said = String::new();
    for line in BufReader::new(client.stderr.take().unwrap()).lines().map_while(Result::ok) {
        said += &format!("{line}\n");
        if line.starts_with("Ciphersuite") {
            break;
        }
    }
    said
}

#[test]
fn as_a_server_in_both_versions() {
    let bench = Bench::new(
        "[[rule]]\nname = \"in\"\nserver_port = 992\nrole = \"server\"\ncertificate = \"web/main\"\n",
    );
    for (flag, version) in [("-tls1_3", Version::Tls13), ("-tls1_2", Version::Tls12)] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut client = Command::new("openssl")
            .args(["s_client", "-brief", flag, "-servername", "host.example", "-connect"])
            .arg(format!("127.0.0.1:{port}"))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (peer, _) = listener.accept().unwrap();
        let connection = bench.open("in", Role::Server);
        let session = relay(&bench, connection, &peer);
        assert_eq!(session.suite.version(), version);
        let said = said(&mut client);
        client.kill().unwrap();
        client.wait().unwrap();
        assert!(said.contains("CONNECTION ESTABLISHED") && said.contains(version.name()), "{said}");
        assert!(said.contains(session.suite.name()) || version == Version::Tls12, "{said}");
    }
}
