//! Network namespaces with cables between them.

use std::net::IpAddr;
use std::process::Command;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use ravelin_dataplane::forward::neighbour::{Ask, Asks, asks};
use ravelin_dataplane::kernel::{Follower, follow};
use ravelin_dataplane::packet::PortIndex;
use ravelin_dataplane::table::forwarding::Forwarding;
use ravelin_dataplane::table::forwarding::view::View;

pub(crate) const A: PortIndex = PortIndex(0);
pub(crate) const B: PortIndex = PortIndex(1);

type Job = Box<dyn FnOnce() + Send>;

/// A thread in a new network namespace.
pub(crate) struct Namespace {
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
    id: i32,
}

impl Namespace {
    /// A new one. Needs CAP_SYS_ADMIN.
    pub(crate) fn new() -> Self {
        let (jobs, work): (Sender<Job>, Receiver<Job>) = channel();
        let (ready, started) = channel();
        let thread = thread::spawn(move || {
            // SAFETY: only the network namespace is left; descriptors stay shared.
            let entered = unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNET) };
            ready.send(entered.map(|()| rustix::thread::gettid().as_raw_nonzero().get())).unwrap();
            work.iter().for_each(|job| job());
        });
        match started.recv().unwrap() {
            Ok(id) => Self { jobs: Some(jobs), thread: Some(thread), id },
            Err(error) => panic!("no network namespace: {error}; run the tests as root"),
        }
    }

    /// Does `job` inside and waits for it.
    pub(crate) fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> T {
        let (done, result) = channel();
        let send = move || done.send(job()).unwrap();
        self.jobs.as_ref().unwrap().send(Box::new(send)).unwrap();
        result.recv().expect("the job failed")
    }

    /// Runs ip(8) commands, one per line.
    pub(crate) fn ip(&self, batch: &str) {
        let batch = batch.replace("PEER", &self.id.to_string());
        self.run(move || {
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), &batch).unwrap();
            let output = Command::new("ip").arg("-batch").arg(file.path()).output().unwrap();
            assert!(output.status.success(), "{batch}: {}", String::from_utf8_lossy(&output.stderr));
        });
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        drop(self.jobs.take());
        let _ = self.thread.take().unwrap().join();
    }
}

/// A gateway with two ports, `va` and `vb`, each a cable to one of two peers.
pub(crate) struct Lab {
    pub(crate) gateway: Namespace,
    pub(crate) peers: [Namespace; 2],
    /// What was published last, and how often something was.
    pub(crate) table: Arc<Mutex<(View, Forwarding, u32)>>,
    asks: Asks,
    follower: Option<Follower>,
}

impl Lab {
    pub(crate) fn new() -> Self {
        let (gateway, peers) = (Namespace::new(), [Namespace::new(), Namespace::new()]);
        for namespace in [&gateway, &peers[0], &peers[1]] {
            // Link-local addresses are usable at once, without the second that duplicate detection takes.
            namespace.run(|| std::fs::write("/proc/sys/net/ipv6/conf/default/accept_dad", "0").unwrap());
        }
        for (name, net, peer) in [("a", 1, &peers[0]), ("b", 2, &peers[1])] {
            gateway.ip(&format!(
                "link add v{name} type veth peer name p{name} netns {}\n\
                 addr add 10.{net}.0.1/24 dev v{name}\n\
                 addr add 2001:db8:{net}::1/64 dev v{name} nodad\n\
                 link set v{name} up",
                peer.id
            ));
            peer.ip(&format!(
                "link set p{name} address 02:00:00:00:00:0{net}\n\
                 addr add 10.{net}.0.2/24 dev p{name}\n\
                 addr add 2001:db8:{net}::2/64 dev p{name} nodad\n\
                 link set p{name} up"
            ));
        }
        let table = Arc::new(Mutex::new((View::default(), Forwarding::default(), 0)));
        let mut lab = Self { gateway, peers, table, asks: asks(), follower: None };
        lab.follower = Some(lab.follow());
        lab
    }

    fn follow(&self) -> Follower {
        let (table, asks) = (self.table.clone(), self.asks.clone());
        let publish = move |view: &View, ports: &[u32]| {
            let mut held = table.lock().unwrap();
            *held = (view.clone(), held.1.rebuild(view, ports), held.2 + 1);
        };
        let ports = vec!["va".to_owned(), "vb".to_owned()];
        self.gateway.run(move || follow(ports, asks, Box::new(publish)).unwrap())
    }

    /// Waits for at most a second until the table is as wanted.
    pub(crate) fn until(&self, what: &str, wanted: impl Fn(&Forwarding) -> bool) {
        let begun = Instant::now();
        while !wanted(&self.table.lock().unwrap().1) {
            assert!(begun.elapsed() < Duration::from_secs(1), "not within a second: {what}");
            thread::sleep(Duration::from_millis(2));
        }
    }

    pub(crate) fn ask(&self, port: PortIndex, next_hop: &str) {
        self.asks.push(Ask { port, next_hop: ip(next_hop) }).unwrap();
    }
}

pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}
