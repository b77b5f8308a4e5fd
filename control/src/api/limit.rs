//! Doors that nobody can block: a bound on the connections at a time, and on the life of each.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Sleep;

/// What a door allows. Every connection carries one request, so its life is that of the request.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Most connections at a time; one more is closed at once.
    pub connections: usize,
    /// From accept to the last octet of the answer.
    pub lifetime: Duration,
}

/// Connections that a door did not serve to their end.
#[derive(Debug, Default)]
pub struct TurnedAway {
    full: AtomicU64,
    slow: AtomicU64,
}

impl TurnedAway {
    /// Closed because there were too many.
    pub fn full(&self) -> u64 {
        self.full.load(Ordering::Relaxed)
    }

    /// Ended because they took too long.
    pub fn slow(&self) -> u64 {
        self.slow.load(Ordering::Relaxed)
    }
}

/// A listener that keeps to [`Limits`].
#[derive(Debug)]
pub struct Limited<L> {
    inner: L,
    room: Arc<Semaphore>,
    lifetime: Duration,
    turned_away: Arc<TurnedAway>,
}

impl<L: Listener> Limited<L> {
    /// Counts in `turned_away`.
    pub fn new(inner: L, limits: Limits, turned_away: Arc<TurnedAway>) -> Self {
        let room = Arc::new(Semaphore::new(limits.connections));
        Self { inner, room, lifetime: limits.lifetime, turned_away }
    }
}

impl<L: Listener> Listener for Limited<L> {
    type Io = Visit<L::Io>;
    type Addr = L::Addr;

    async fn accept(&mut self) -> (Visit<L::Io>, L::Addr) {
        loop {
            let (io, address) = self.inner.accept().await;
            match Arc::clone(&self.room).try_acquire_owned() {
                Ok(place) => {
                    let over = Box::pin(tokio::time::sleep(self.lifetime));
                    let turned_away = Arc::clone(&self.turned_away);
                    return (Visit { io, over, is_over: false, turned_away, _place: place }, address);
                }
                Err(_) => drop(self.turned_away.full.fetch_add(1, Ordering::Relaxed)),
            }
        }
    }

    fn local_addr(&self) -> io::Result<L::Addr> {
        self.inner.local_addr()
    }
}

/// A connection with an end.
#[derive(Debug)]
pub struct Visit<Io> {
    io: Io,
    over: Pin<Box<Sleep>>,
    is_over: bool,
    turned_away: Arc<TurnedAway>,
    _place: OwnedSemaphorePermit,
}

impl<Io: Unpin> Visit<Io> {
    /// The connection itself.
    pub fn io(&self) -> &Io {
        &self.io
    }

    /// What `go` says, unless the time is up; then nothing goes any more.
    fn within<T>(
        &mut self,
        context: &mut Context<'_>,
        go: impl FnOnce(Pin<&mut Io>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if !self.is_over && self.over.as_mut().poll(context).is_ready() {
            self.is_over = true;
            self.turned_away.slow.fetch_add(1, Ordering::Relaxed);
        }
        if self.is_over {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        go(Pin::new(&mut self.io), context)
    }
}

impl<Io: AsyncRead + Unpin> AsyncRead for Visit<Io> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.within(context, |io, context| io.poll_read(context, into))
    }
}

impl<Io: AsyncWrite + Unpin> AsyncWrite for Visit<Io> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.within(context, |io, context| io.poll_write(context, octets))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.within(context, |io, context| io.poll_flush(context))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use axum::Router;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    /// A door with room for one; its address and counts.
    async fn door(lifetime: Duration) -> (std::net::SocketAddr, Arc<TurnedAway>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, counts) = (listener.local_addr().unwrap(), Arc::new(TurnedAway::default()));
        let limited = Limited::new(listener, Limits { connections: 1, lifetime }, Arc::clone(&counts));
        let router = Router::new().route("/", get(|| async { "hello" }));
        tokio::spawn(axum::serve(limited, router).into_future());
        (address, counts)
    }

    /// All that comes until the other side closes, however it does.
    async fn rest(stream: &mut TcpStream) -> String {
        let mut text = Vec::new();
        let _ = stream.read_to_end(&mut text).await;
        String::from_utf8(text).unwrap()
    }

    #[tokio::test]
    async fn one_too_many_is_closed_at_once_and_counted() {
        let (address, counts) = door(Duration::from_secs(600)).await;
        let first = TcpStream::connect(address).await.unwrap();
        let mut second = TcpStream::connect(address).await.unwrap();
        assert_eq!(rest(&mut second).await, "");
        assert_eq!((counts.full(), counts.slow()), (1, 0));
        drop(first);
        // The place is free again as soon as the server has seen that.
        let begun = Instant::now();
        loop {
            let mut third = TcpStream::connect(address).await.unwrap();
            let asked = third.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
            if asked.is_ok() && rest(&mut third).await.ends_with("hello") {
                break;
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "nobody is served");
        }
    }

    #[tokio::test]
    async fn who_sends_a_little_now_and_then_is_ended_all_the_same() {
        let (address, counts) = door(Duration::from_millis(300)).await;
        let mut slow = TcpStream::connect(address).await.unwrap();
        let begun = Instant::now();
        while slow.write_all(b"G").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
            assert!(begun.elapsed() < Duration::from_secs(60), "it goes on for ever");
        }
        assert_eq!((counts.full(), counts.slow()), (0, 1));
    }
}
