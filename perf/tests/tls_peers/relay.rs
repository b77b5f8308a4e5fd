//! Clear TCP on one side, TLS by our two crates on the other: what the gateway will be, over ordinary sockets.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ravelin_records::alert::Alert;
use ravelin_records::{ContentType, Incoming, Look, Message, Session, record_len};
use ravelin_tls::{Environment, Facts, Failure, Handover, Handshake, Keeper, Progress, Target};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::site::now;

/// Longest that any story may take on a busy machine.
pub(crate) const LONG: Duration = Duration::from_secs(60);
/// Most octets that wait for a side before no more is read for it.
const WAITING: usize = 1 << 18;

/// What a connection came to.
#[derive(Debug)]
pub(crate) struct Story {
    pub(crate) facts: Facts,
    /// Octets of clear data towards the peer, and from it.
    pub(crate) sent: usize,
    pub(crate) received: usize,
    pub(crate) peer_updates: u32,
    pub(crate) our_updates: u32,
    pub(crate) tickets: u32,
    /// Nothing when the peer closed with close_notify; else why it ended.
    pub(crate) cut: Option<ravelin_records::Failure>,
}

/// How a connection is carried.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Manner {
    /// Our keys change each time that so many octets went out; the peer is asked for the same every second time.
    pub(crate) update_every: Option<usize>,
    /// The stream ends after so many octets of clear data, without close_notify.
    pub(crate) cut_after: Option<usize>,
}

/// A relay for one connection, in a thread.
pub(crate) type Carried = JoinHandle<Result<Story, Failure>>;

/// TLS of a foreign client to us, clear to `clear`; so many connections one after the other. Gives the port.
pub(crate) fn serve(
    environment: &Arc<Environment>,
    clear: u16,
    manner: Manner,
    times: usize,
) -> (u16, JoinHandle<Vec<Result<Story, Failure>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let environment = Arc::clone(environment);
    let work = move || {
        let mut stories = Vec::new();
        for _ in 0..times {
            let (tls, _) = listener.accept().expect("a client");
            let handshake = Handshake::server(&environment, now()).expect("a handshake");
            stories.push(carry(handshake, tls, manner, || connect(clear)));
        }
        stories
    };
    (port, std::thread::spawn(work))
}

/// TLS from us to a foreign server at `tls`; the clear end is given back.
pub(crate) fn ask(
    environment: &Arc<Environment>,
    target: Target,
    tls: u16,
    manner: Manner,
) -> (TcpStream, Carried) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let here = TcpStream::connect(listener.local_addr().expect("an address")).expect("a connection");
    here.set_read_timeout(Some(LONG)).expect("a timeout");
    let (clear, _) = listener.accept().expect("ourselves");
    let environment = Arc::clone(environment);
    let work = move || {
        let handshake = Handshake::client(&environment, target, now())?;
        carry(handshake, connect(tls), manner, move || clear)
    };
    (here, std::thread::spawn(work))
}

fn connect(port: u16) -> TcpStream {
    let begun = Instant::now();
    loop {
        match TcpStream::connect(("127.0.0.1", port)) {
            Ok(stream) => return stream,
            Err(error) => assert!(begun.elapsed() < LONG, "port {port}: {error}"),
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn carry(
    mut handshake: Handshake,
    mut tls: TcpStream,
    manner: Manner,
    clear: impl FnOnce() -> TcpStream,
) -> Result<Story, Failure> {
    tls.set_read_timeout(Some(LONG)).expect("a timeout");
    let mut room = [0; 4096];
    loop {
        let output = handshake.take_output();
        // Whoever has gone will be noticed when we read.
        let _ = tls.write_all(&output);
        if handshake.progress() != Progress::Going {
            break;
        }
        match tls.read(&mut room) {
            Ok(0) | Err(_) => handshake.stream_ended(),
            Ok(count) => handshake.receive(&room[..count], now()),
        };
    }
    let refused = handshake.progress() == Progress::Failed;
    if refused {
        // Else what the peer has sent and we have not read would make the kernel reset, and the alert would be lost.
        let _ = tls.shutdown(Shutdown::Write);
        while tls.read(&mut room).is_ok_and(|count| count > 0) {}
    }
    let handover = handshake.finish()?;
    Ok(Data::new(handover, tls, clear(), manner).run())
}

/// The part after the handshake.
struct Data {
    session: Session,
    keeper: Keeper,
    tls: TcpStream,
    clear: TcpStream,
    manner: Manner,
    /// What came from the peer, in the pieces in which it came.
    pieces: Vec<Vec<u8>>,
    /// What came from the clear side and is not sealed yet.
    unsealed: Vec<u8>,
    to_tls: Vec<u8>,
    to_clear: Vec<u8>,
    /// What the two streams have come to.
    tls_ended: bool,
    clear_ended: bool,
    closed_to_tls: bool,
    closed_to_clear: bool,
    since_update: usize,
    story: Story,
}

impl Data {
    fn new(handover: Handover, tls: TcpStream, clear: TcpStream, manner: Manner) -> Self {
        for stream in [&tls, &clear] {
            stream.set_nonblocking(true).expect("a socket");
            stream.set_nodelay(true).expect("a socket");
        }
        let Handover { session, unopened, facts, keeper } = handover;
        let story =
            Story { facts, sent: 0, received: 0, peer_updates: 0, our_updates: 0, tickets: 0, cut: None };
        Self {
            session: Session::new(session).expect("keys that fit"),
            keeper,
            tls,
            clear,
            manner,
            pieces: vec![unopened],
            unsealed: Vec::new(),
            to_tls: Vec::new(),
            to_clear: Vec::new(),
            tls_ended: false,
            clear_ended: false,
            closed_to_tls: false,
            closed_to_clear: false,
            since_update: 0,
            story,
        }
    }

    fn run(mut self) -> Story {
        let begun = Instant::now();
        while !(self.closed_to_tls
            && self.closed_to_clear
            && self.to_tls.is_empty()
            && self.to_clear.is_empty())
        {
            assert!(begun.elapsed() < LONG, "the relay stands still: {:?}", self.story);
            self.read();
            if let Err(failure) = self.open() {
                self.story.cut = Some(failure);
                if let Some(alert) = failure.alert() {
                    self.say(alert);
                }
                break;
            }
            self.seal();
            if self.manner.cut_after.is_some_and(|most| self.story.sent >= most) {
                self.flush();
                if self.to_tls.is_empty() {
                    break;
                }
            }
            self.close();
            self.flush();
            self.wait();
        }
        while !self.to_tls.is_empty() && begun.elapsed() < LONG && self.flush() {
            self.wait();
        }
        self.story
    }

    fn read(&mut self) {
        let mut room = vec![0; 40_000];
        if !self.tls_ended && self.to_clear.len() < WAITING {
            match fill(&mut self.tls, &mut room) {
                Some(0) => self.tls_ended = true,
                Some(count) => self.pieces.push(room[..count].to_vec()),
                None => {}
            }
        }
        if !self.clear_ended && self.to_tls.len() + self.unsealed.len() < WAITING {
            match fill(&mut self.clear, &mut room) {
                Some(0) => self.clear_ended = true,
                Some(count) => self.unsealed.extend_from_slice(&room[..count]),
                None => {}
            }
        }
    }

    fn open(&mut self) -> Result<(), ravelin_records::Failure> {
        loop {
            let views: Vec<&[u8]> = self.pieces.iter().map(Vec::as_slice).collect();
            let Look::Whole(len) = record_len(&views)? else { break };
            let mut output = vec![0; len];
            match self.session.open(&views, &mut output)? {
                Incoming::Data(clear) => {
                    self.story.received += clear;
                    self.to_clear.extend_from_slice(&output[..clear]);
                }
                Incoming::Messages(messages) => messages.into_iter().for_each(|message| self.heed(message)),
                Incoming::Nothing | Incoming::Closed => {}
                Incoming::Again => panic!("the key was given at once"),
            }
            drop_front(&mut self.pieces, len);
        }
        if self.tls_ended { self.session.stream_ended() } else { Ok(()) }
    }

    fn heed(&mut self, message: Message) {
        match message {
            Message::Ticket(ticket) => {
                self.story.tickets += 1;
                self.keeper.ticket(&ticket, now()).expect("a good ticket");
            }
            Message::KeyUpdate { .. } => {
                self.story.peer_updates += 1;
                let change = self.keeper.receive_under().expect("a key");
                self.session.change(&change, &mut []).expect("a key that fits");
                if self.session.owes_update() {
                    self.update(false);
                }
            }
            Message::Renegotiate => self.say(Alert::NO_RENEGOTIATION),
        }
    }

    fn update(&mut self, ask_peer: bool) {
        let change = self.keeper.send_under(ask_peer).expect("a key");
        let mut record = [0; 64];
        let len = self.session.change(&change, &mut record).expect("sealed");
        self.to_tls.extend_from_slice(&record[..len]);
        self.story.our_updates += 1;
    }

    fn seal(&mut self) {
        for content in std::mem::take(&mut self.unsealed).chunks(self.session.most()) {
            if self.manner.update_every.is_some_and(|every| self.since_update >= every) {
                self.since_update = 0;
                self.update(self.story.our_updates.is_multiple_of(2));
            }
            let mut record = vec![0; self.session.record_len(content.len())];
            self.session.seal(ContentType::Data, &[content], content.len(), &mut record).expect("sealed");
            self.to_tls.extend(record);
            self.story.sent += content.len();
            self.since_update += content.len();
        }
    }

    fn say(&mut self, alert: Alert) {
        let mut record = [0; 64];
        if let Ok(len) = self.session.alert(alert, &mut record) {
            self.to_tls.extend_from_slice(&record[..len]);
        }
    }

    /// Ends of one stream become ends of the other.
    fn close(&mut self) {
        if self.clear_ended && !self.closed_to_tls {
            self.say(Alert::CLOSE_NOTIFY);
            self.flush();
            if self.to_tls.is_empty() {
                let _ = self.tls.shutdown(Shutdown::Write);
                self.closed_to_tls = true;
            }
        }
        if self.session.peer_has_closed() && self.to_clear.is_empty() && !self.closed_to_clear {
            let _ = self.clear.shutdown(Shutdown::Write);
            self.closed_to_clear = true;
        }
    }

    /// Whether both sides still take octets.
    fn flush(&mut self) -> bool {
        pour(&mut self.to_tls, &mut self.tls) && pour(&mut self.to_clear, &mut self.clear)
    }

    fn wait(&self) {
        let read = |wanted: bool| if wanted { PollFlags::IN } else { PollFlags::empty() };
        let write = |octets: &[u8]| if octets.is_empty() { PollFlags::empty() } else { PollFlags::OUT };
        let mut ends = [
            PollFd::from_borrowed_fd(self.tls.as_fd(), read(!self.tls_ended) | write(&self.to_tls)),
            PollFd::from_borrowed_fd(self.clear.as_fd(), read(!self.clear_ended) | write(&self.to_clear)),
        ];
        let _ = poll(&mut ends, Some(&Timespec { tv_sec: 0, tv_nsec: 20_000_000 }));
    }
}

fn fill(from: &mut TcpStream, room: &mut [u8]) -> Option<usize> {
    match from.read(room) {
        Ok(count) => Some(count),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
        // A reset is an end, and no good one.
        Err(_) => Some(0),
    }
}

fn pour(octets: &mut Vec<u8>, to: &mut TcpStream) -> bool {
    while !octets.is_empty() {
        match to.write(octets) {
            Ok(count) => drop(octets.drain(..count)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return true,
            Err(_) => {
                octets.clear();
                return false;
            }
        }
    }
    true
}

fn drop_front(pieces: &mut Vec<Vec<u8>>, mut count: usize) {
    while count > 0 {
        let taken = count.min(pieces[0].len());
        pieces[0].drain(..taken);
        count -= taken;
        if pieces[0].is_empty() {
            pieces.remove(0);
        }
    }
}
