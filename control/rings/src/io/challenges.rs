//! Answers to http-01 challenges (RFC 8555 8.3): one path, and nothing else of a web server.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;

/// A request's head is never longer.
const LONGEST: usize = 8192;

/// Nor does one take longer.
const TIME_LIMIT: Duration = Duration::from_secs(30);

type Proofs = Arc<Mutex<HashMap<String, String>>>;

/// Listens until it is dropped.
#[derive(Debug)]
pub struct Challenges {
    address: SocketAddr,
    proofs: Proofs,
    task: AbortHandle,
}

impl Challenges {
    /// Listens on `address`; the server asks on port 80, so this is it, or what port 80 is forwarded to.
    pub async fn listen(address: SocketAddr) -> std::io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let proofs = Proofs::default();
        let task = tokio::spawn(serve(listener, Arc::clone(&proofs))).abort_handle();
        Ok(Self { address, proofs, task })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn add(&self, token: &str, proof: &str) {
        lock(&self.proofs).insert(token.to_owned(), proof.to_owned());
    }

    pub(crate) fn clear(&self) {
        lock(&self.proofs).clear();
    }
}

impl Drop for Challenges {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn lock(proofs: &Proofs) -> std::sync::MutexGuard<'_, HashMap<String, String>> {
    proofs.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(listener: TcpListener, proofs: Proofs) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of file descriptors: some come back.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let proofs = Arc::clone(&proofs);
        tokio::spawn(async move {
            // Who asks badly or slowly gets no answer.
            let _ = tokio::time::timeout(TIME_LIMIT, answer(stream, &proofs)).await;
        });
    }
}

async fn answer(mut stream: TcpStream, proofs: &Proofs) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.windows(4).any(|part| part == b"\r\n\r\n") {
        let mut part = [0; 1024];
        let length = stream.read(&mut part).await?;
        if length == 0 || head.len() + length > LONGEST {
            return Ok(());
        }
        head.extend_from_slice(&part[..length]);
    }
    let proof = token(&head).and_then(|token| lock(proofs).get(token).cloned());
    let (status, body) = match proof {
        Some(proof) => ("200 OK", proof),
        None => ("404 Not Found", String::new()),
    };
    let response = format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/octet-stream\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(response.as_bytes()).await?;
    stream.shutdown().await
}

/// The token that a request asks for.
fn token(head: &[u8]) -> Option<&str> {
    let line = std::str::from_utf8(head).ok()?.lines().next()?;
    let path = line.strip_prefix("GET ")?.split(' ').next()?;
    path.strip_prefix("/.well-known/acme-challenge/")
}
