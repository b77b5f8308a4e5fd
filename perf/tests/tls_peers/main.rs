//! TLS of ours against foreign programs on loopback: OpenSSL, GnuTLS, curl and Python, in both roles.

#[path = "../../../control/tls/tests/handshake/site.rs"]
mod site;

mod clients;
mod foreign;
mod refusals;
mod relay;
mod servers;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener};
use std::path::PathBuf;
use std::rc::Rc;

use ravelin_rings::export::{Form, KeyWish, export};
use site::Site;

thread_local! {
    static SITE: Rc<Site> = Rc::new(Site::new());
}

/// The site of this test; its folder goes when the test's thread ends.
fn here() -> Rc<Site> {
    SITE.with(Rc::clone)
}

/// A file with the chain at a place, and its key where that is asked for, for a foreign program.
fn file(at: &str, key: bool) -> PathBuf {
    let wish = if key { KeyWish::Plain } else { KeyWish::Without };
    let site = here();
    let rings = &site.doors.rings;
    let pem = export(rings, &site::place(at), Form::Pem, true, &wish).expect("a file");
    let path = rings.root().join(format!(".{}-{key}.pem", at.replace('/', "-")));
    std::fs::write(&path, &*pem).expect("written");
    path
}

/// A clear server that says back what it hears, until the end.
fn echo() -> u16 {
    clear_server(|stream| {
        let mut reader = stream.try_clone().expect("a socket");
        let _ = std::io::copy(&mut reader, stream);
    })
}

/// A clear HTTP server that answers each connection with so many octets.
fn web(body: usize) -> u16 {
    clear_server(move |stream| {
        let mut request = Vec::new();
        let mut octet = [0];
        while !request.ends_with(b"\r\n\r\n") && stream.read(&mut octet).is_ok_and(|count| count > 0) {
            request.push(octet[0]);
        }
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {body}\r\nConnection: close\r\n\r\n");
        let _ = stream.write_all(head.as_bytes());
        let _ = stream.write_all(&pattern(body));
    })
}

fn clear_server(each: impl Fn(&mut std::net::TcpStream) + Send + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            each(&mut stream);
            let _ = stream.shutdown(Shutdown::Write);
        }
    });
    port
}

/// Octets in which every mistake shows: lines without the letters that OpenSSL's programs take for commands.
fn pattern(len: usize) -> Vec<u8> {
    let letter = |at: usize| b"adefghijlmnotuvwxyz"[(at / 64 + at) % 19];
    (0..len).map(|at| if at % 64 == 63 { b'\n' } else { letter(at) }).collect()
}
