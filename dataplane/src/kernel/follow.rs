//! The thread that follows the kernel.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::mirror::{Mirror, Needs};
use super::neighbour;
use super::netlink::{Asker, Extent, Heard, Listener};
use crate::forward::neighbour::Asks;
use crate::table::forwarding::view::View;

/// How often the thread looks for questions of the workers, who cannot wake it.
const TICK: Duration = Duration::from_millis(5);
/// Changes mostly come in company; the rest of a group is waited for this long.
const SETTLE: Duration = Duration::from_millis(2);
/// Time between two publications. With large tables each costs much, so the pause is four times as long as the last one
/// took, within these bounds.
const PAUSE: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(500));
/// When routes are read once more after a link or address changed: the kernel tells of the change before it is done
/// with removing routes.
const SECOND_LOOK: Duration = Duration::from_millis(300);
/// How long after a failure of netlink itself the sockets are opened anew.
const RETRY: Duration = Duration::from_secs(1);

/// What a publication is given: the picture, and the interface index of each port, 0 where it is not there.
pub type Publish = Box<dyn FnMut(&View, &[u32]) + Send>;

/// Keeps the thread; dropping it ends the thread.
#[derive(Debug)]
pub struct Follower {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic in it was reported by the panic hook.
            let _ = thread.join();
        }
    }
}

/// Starts to follow the kernel, in the network namespace of the calling thread.
///
/// `ports` are the interface names of the ports in order. `publish` is called once before this returns, with the first
/// picture, and from then on by the thread whenever something has changed. `asks` brings the neighbours that workers
/// need.
///
/// Errors: netlink is not available, or the thread cannot be started.
pub fn follow(ports: Vec<String>, asks: Asks, publish: Publish) -> io::Result<Follower> {
    let mut follow = Follow::start(ports, asks, publish)?;
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = stop.clone();
    let run = move || {
        while !stopped.load(Ordering::Relaxed) {
            follow.turn_or_restart();
        }
    };
    let thread = thread::Builder::new().name("kernel".to_owned()).spawn(run)?;
    Ok(Follower { stop, thread: Some(thread) })
}

/// All that the thread holds.
struct Follow {
    ports: Vec<String>,
    asks: Asks,
    publish: Publish,
    listener: Listener,
    asker: Asker,
    mirror: Mirror,
    /// Interface index of each port as last published.
    indexes: Vec<u32>,
    /// Messages were lost, so everything must be read again.
    lost: bool,
    /// The picture last handed on.
    published: View,
    /// When the first change since then was heard.
    changed: Option<Instant>,
    /// Before this moment nothing is published.
    pause: Instant,
    /// When routes are looked at again.
    second_look: Option<Instant>,
}

impl Follow {
    fn start(ports: Vec<String>, asks: Asks, publish: Publish) -> io::Result<Self> {
        let mut follow = Self {
            indexes: vec![0; ports.len()],
            ports,
            asks,
            publish,
            listener: Listener::open()?,
            asker: Asker::open()?,
            mirror: Mirror::default(),
            lost: true,
            published: View::default(),
            changed: None,
            pause: Instant::now(),
            second_look: None,
        };
        follow.read_again()?;
        let view = follow.mirror.view();
        follow.hand_on(view);
        Ok(follow)
    }

    fn turn_or_restart(&mut self) {
        if let Err(error) = self.turn() {
            ravelin_events::tell!(NETLINK_FAILED, %error);
            thread::sleep(RETRY);
            if let (Ok(listener), Ok(asker)) = (Listener::open(), Asker::open()) {
                (self.listener, self.asker) = (listener, asker);
            }
            self.lost = true;
        }
    }

    /// Waits a little, hears, asks, and publishes when it is time.
    fn turn(&mut self) -> io::Result<()> {
        self.listener.wait(TICK)?;
        self.hear()?;
        neighbour::answer(&self.asks, &self.indexes, &self.mirror, &mut self.asker)?;
        let now = Instant::now();
        if self.second_look.is_some_and(|at| at <= now) {
            self.second_look = None;
            self.mirror.doubt_routes();
        }
        if self.is_due(now) {
            self.read_again()?;
            self.publish_if_changed();
        }
        Ok(())
    }

    fn hear(&mut self) -> io::Result<()> {
        let Self { listener, mirror, lost, .. } = self;
        listener.drain(|heard| match heard {
            Heard::Change(message, flags) => mirror.hear(&message, flags),
            Heard::NextHopObject => mirror.doubt_routes(),
            Heard::Lost => *lost = true,
        })
    }

    /// Whether there is something to do about what was heard, and its time has come.
    fn is_due(&mut self, now: Instant) -> bool {
        let Needs { publication, routes, .. } = self.mirror.needs;
        if !(publication || routes || self.lost) {
            return false;
        }
        let since = *self.changed.get_or_insert(now);
        now >= self.pause && now >= since + SETTLE
    }

    /// Reads again what is in doubt.
    fn read_again(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.mirror.needs.second_look) {
            self.second_look = Some(Instant::now() + SECOND_LOOK);
        }
        if self.lost {
            let list = self.asker.dump(Extent::Everything)?;
            self.mirror.forget();
            list.iter().for_each(|message| self.mirror.read(message));
            self.lost = false;
            // What was just read is not in doubt, although links and addresses are new.
            self.mirror.needs = Needs::default();
        } else if self.mirror.needs.routes {
            let list = self.asker.dump(Extent::Routes)?;
            self.mirror.forget_routes();
            list.iter().for_each(|message| self.mirror.read(message));
        }
        Ok(())
    }

    fn publish_if_changed(&mut self) {
        self.mirror.needs = Needs::default();
        self.changed = None;
        let view = self.mirror.view();
        if view != self.published {
            self.hand_on(view);
        }
    }

    fn hand_on(&mut self, view: View) {
        let begun = Instant::now();
        let index = |name: &String| self.mirror.link_named(name).unwrap_or(0);
        self.indexes = self.ports.iter().map(index).collect();
        self.published = view;
        (self.publish)(&self.published, &self.indexes);
        self.pause = Instant::now() + (begun.elapsed() * 4).clamp(PAUSE.0, PAUSE.1);
    }
}
