//! Foreign programs as processes: what they say is collected, and they end with the test.

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::relay::LONG;

pub(crate) struct Foreign {
    child: Child,
    said: Arc<Mutex<Vec<u8>>>,
}

impl Drop for Foreign {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Foreign {
    pub(crate) fn start(program: &str, arguments: &[&str]) -> Self {
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{program}: {error}"));
        let said = Arc::default();
        collect(child.stdout.take().expect("piped"), &said);
        collect(child.stderr.take().expect("piped"), &said);
        Self { child, said }
    }

    pub(crate) fn write(&mut self, octets: &[u8]) {
        self.child.stdin.as_mut().expect("piped").write_all(octets).expect("it listens");
    }

    /// Waits until it has read all that was written.
    pub(crate) fn await_read(&self) {
        let (begun, input) = (Instant::now(), self.child.stdin.as_ref().expect("piped"));
        while rustix::io::ioctl_fionread(input).expect("a pipe") > 0 {
            assert!(begun.elapsed() < LONG, "it does not read; it said: {}", self.words());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Its input ends.
    pub(crate) fn end_input(&mut self) {
        self.child.stdin = None;
    }

    pub(crate) fn said(&self) -> Vec<u8> {
        self.said.lock().expect("no panic").clone()
    }

    pub(crate) fn words(&self) -> String {
        String::from_utf8_lossy(&self.said()).into_owned()
    }

    /// Waits until it has said something that fits.
    pub(crate) fn await_words(&self, what: &str, fits: impl Fn(&[u8]) -> bool) {
        let begun = Instant::now();
        while !fits(&self.said()) {
            let words = self.words();
            let tail = &words[words.len().saturating_sub(3000)..];
            assert!(begun.elapsed() < LONG, "waited for {what}; it said: {tail}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits for its end; all that it said.
    pub(crate) fn end(mut self) -> (bool, String) {
        let begun = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                break status;
            }
            assert!(begun.elapsed() < LONG, "it does not end; it said: {}", self.words());
            std::thread::sleep(Duration::from_millis(10));
        };
        // The collectors end with the pipes.
        while Arc::strong_count(&self.said) > 1 && begun.elapsed() < LONG {
            std::thread::sleep(Duration::from_millis(5));
        }
        (status.success(), self.words())
    }
}

fn collect(mut from: impl Read + Send + 'static, to: &Arc<Mutex<Vec<u8>>>) {
    let to = Arc::clone(to);
    std::thread::spawn(move || {
        let mut room = [0; 65536];
        while let Ok(count @ 1..) = from.read(&mut room) {
            to.lock().expect("no panic").extend_from_slice(&room[..count]);
        }
    });
}

/// Whether `part` is near the end of `whole`.
pub(crate) fn ends_near(whole: &[u8], part: &[u8]) -> bool {
    contains(&whole[whole.len().saturating_sub(4000)..], part)
}

/// A port that nobody listens on.
pub(crate) fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port()
}

/// Whether `part` is somewhere in `whole`.
pub(crate) fn contains(whole: &[u8], part: &[u8]) -> bool {
    whole.windows(part.len()).any(|window| window == part)
}
