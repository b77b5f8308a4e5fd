//! A web server of plain rustls with its own defaults, but for the extended master secret: what scanners find in us is compared with
//! what they find here. Without a certificate it serves in clear, behind us.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use clap::Parser;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, Stream};

/// How long it waits for a peer that says nothing.
const PATIENCE: Duration = Duration::from_secs(10);
/// What everybody gets.
const ANSWER: &[u8] = b"HTTP/1.0 200 OK\r\nContent-Length: 12\r\n\r\na few words\n";

#[derive(Debug, Parser)]
struct Arguments {
    /// Where it listens.
    port: u16,
    /// Its certificate and those of issuers, PEM.
    #[arg(requires = "key")]
    certificate: Option<PathBuf>,
    /// Its key, PEM.
    key: Option<PathBuf>,
}

fn main() -> Result<()> {
    let Arguments { port, certificate, key } = Arguments::parse();
    let config = match certificate.zip(key) {
        Some((certificate, key)) => Some(Arc::new(configure(&certificate, &key)?)),
        None => None,
    };
    let listener = TcpListener::bind(("0.0.0.0", port))?;
    println!("listening at {port}");
    for socket in listener.incoming() {
        let (socket, config) = (socket?, config.clone());
        // Scanners end connections in every way there is; none of that is a fault of the server.
        std::thread::spawn(move || match config {
            Some(config) => serve_tls(socket, config),
            None => serve(socket),
        });
    }
    Ok(())
}

fn configure(certificate: &Path, key: &Path) -> Result<ServerConfig> {
    let chain = CertificateDer::pem_file_iter(certificate)?.collect::<Result<Vec<_>, _>>()?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, PrivateKeyDer::from_pem_file(key)?)?;
    // Like us, so that scanners see the same suites in both.
    config.require_ems = true;
    config.ticketer = aws_lc_rs::Ticketer::new()?;
    Ok(config)
}

fn serve_tls(mut socket: TcpStream, config: Arc<ServerConfig>) -> Result<()> {
    socket.set_read_timeout(Some(PATIENCE))?;
    let mut connection = ServerConnection::new(config)?;
    serve(Stream::new(&mut connection, &mut socket))?;
    connection.send_close_notify();
    connection.complete_io(&mut socket)?;
    Ok(())
}

/// Answers one request, at once and whole.
fn serve(mut stream: impl Read + Write) -> Result<()> {
    let mut heard = Vec::new();
    let mut room = [0; 4096];
    while !heard.ends_with(b"\r\n\r\n") {
        let count = stream.read(&mut room)?;
        if count == 0 {
            break;
        }
        heard.extend_from_slice(&room[..count]);
    }
    stream.write_all(ANSWER)?;
    Ok(())
}
