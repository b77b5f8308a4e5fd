//! What makes load on whoever ends TLS: clients that speak it in front, and the server in clear behind.
//!
//! A client says in eight octets how many it wants, gets as many, and closes.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};

/// Nothing takes longer.
const PATIENCE: Duration = Duration::from_secs(60);
/// Of threads that only wait; rustls needs more.
const SMALL: usize = 128 * 1024;

/// Whom clients come to, and how they know it.
#[derive(Debug, Clone, clap::Args)]
pub struct Target {
    /// Where TLS is ended.
    #[arg(long)]
    pub to: SocketAddr,
    /// The name in its certificate.
    #[arg(long)]
    pub name: String,
    /// The certificate of its authority, PEM.
    #[arg(long)]
    pub root: PathBuf,
}

/// A connection with its secure session.
type Session = StreamOwned<ClientConnection, TcpStream>;

/// Clients of a target. Each handshake is a whole one by TLS 1.3, X25519 and AES-128-GCM, so that everybody has the same to do.
#[derive(Clone)]
pub struct Clients {
    to: SocketAddr,
    name: ServerName<'static>,
    config: Arc<ClientConfig>,
}

impl Clients {
    /// For this target.
    pub fn new(target: &Target) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(root(&target.root)?)?;
        let mut provider = aws_lc_rs::default_provider();
        provider.kx_groups = vec![aws_lc_rs::kx_group::X25519];
        provider.cipher_suites = vec![aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256];
        let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.resumption = Resumption::disabled();
        let name = ServerName::try_from(target.name.clone())?;
        Ok(Self { to: target.to, name, config: Arc::new(config) })
    }

    /// One that has asked for so many octets and got the first.
    fn begin(&self, octets: u64) -> Result<Session> {
        let socket = TcpStream::connect_timeout(&self.to, PATIENCE)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        let tls = ClientConnection::new(Arc::clone(&self.config), self.name.clone())?;
        let mut session = StreamOwned::new(tls, socket);
        session.write_all(&octets.to_be_bytes())?;
        session.read_exact(&mut [0])?;
        Ok(session)
    }

    /// So many connections, `window` at a time, each with a handshake and one octet. Gives how long all took.
    pub fn connect(&self, count: u32, window: u32) -> Result<Duration> {
        let (left, begun) = (AtomicU32::new(count), Instant::now());
        let take = |left: u32| left.checked_sub(1);
        let line = || -> Result<()> {
            while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok() {
                end(self.begin(1)?)?;
            }
            Ok(())
        };
        thread::scope(|scope| {
            let lines: Vec<_> = (0..window).map(|_| scope.spawn(line)).collect();
            lines.into_iter().try_for_each(|line| line.join().map_err(|_| anyhow!("a client panicked"))?)
        })?;
        Ok(begun.elapsed())
    }

    /// So many octets on one connection. Gives how long it took.
    pub fn fetch(&self, octets: u64) -> Result<Duration> {
        let begun = Instant::now();
        let mut session = self.begin(octets)?;
        let (mut got, mut buffer) = (1, vec![0; 1 << 16]);
        while got < octets {
            let some = session.read(&mut buffer)?;
            ensure!(some > 0, "the end came after {got} of {octets} octets");
            got += some as u64;
        }
        end(session)?;
        Ok(begun.elapsed())
    }

    /// So many connections that stand, and have nothing to say any more.
    pub fn stand(&self, count: u32) -> Result<Vec<impl Sized + use<>>> {
        (0..count).map(|number| self.begin(1).with_context(|| format!("connection {number}"))).collect()
    }
}

fn root(path: &Path) -> Result<CertificateDer<'static>> {
    CertificateDer::from_pem_file(path).map_err(|error| anyhow!("{}: {error}", path.display()))
}

/// Says goodbye, and hears that the other side has.
fn end(mut session: Session) -> Result<()> {
    session.conn.send_close_notify();
    session.flush()?;
    session.sock.shutdown(std::net::Shutdown::Write)?;
    // A reset after our goodbye is no fault of a handshake.
    let _ = session.sock.read(&mut [0; 64]);
    Ok(())
}

/// The server in clear, for ever.
pub fn serve(at: SocketAddr) -> Result<()> {
    let listener = TcpListener::bind(at)?;
    println!("serving at {at}");
    for connection in listener.incoming() {
        let connection = connection?;
        thread::Builder::new().stack_size(SMALL).spawn(move || drop(answer(connection)))?;
    }
    Ok(())
}

fn answer(mut connection: TcpStream) -> std::io::Result<()> {
    connection.set_nodelay(true)?;
    let mut asked = [0; 8];
    connection.read_exact(&mut asked)?;
    let (mut left, block) = (u64::from_be_bytes(asked), [0x5a; 1 << 14]);
    while left > 0 {
        let some = usize::try_from(left).map_or(block.len(), |left| left.min(block.len()));
        connection.write_all(&block[..some])?;
        left -= some as u64;
    }
    // Until the client closes.
    connection.read(&mut [0]).map(drop)
}
