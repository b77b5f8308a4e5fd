//! Ports on real interfaces, in network namespaces. Needs root; without it these tests fail rather than pass unseen.
#![expect(clippy::unwrap_used, reason = "a step that fails, fails the test")]

use std::net::IpAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use arrayvec::ArrayVec;
use ravelin_contract::address::AddressRange;
use ravelin_contract::report::Losses;
use ravelin_dataplane::frame::{Frame, Pool};
use ravelin_dataplane::packet::BURST;
use ravelin_dataplane::port::Port;
use ravelin_dataplane::port::xdp::class::Class;
use ravelin_dataplane::port::xdp::offload;
use ravelin_dataplane::port::xdp::queue::{QueueOptions, XdpPort};
use ravelin_dataplane::port::xdp::steering::{Mode, ModeChoice, Steering};
use ravelin_dataplane::port::xdp::umem::Umem;
use ravelin_dataplane::port::xdp::worker::{WorkerOptions, WorkerPorts};
use rustix::time::{ClockId, clock_gettime};

use lab::Lab;

mod frames;
mod lab;

const OPTIONS: WorkerOptions =
    WorkerOptions { frames: 4096, frame_size: 2048, ring_size: 512, zero_copy: true };

#[test]
fn each_kind_of_frame_goes_where_it_belongs() {
    let lab = Lab::new("class");
    let mut sender = lab.within("a", || Sender::on("eth0"));
    lab.enter("gw");
    let mut steering = Steering::load("to-a", &lab.pins()).unwrap();
    configure(&mut steering);
    assert_eq!(steering.attach(ModeChoice::Native).unwrap(), Mode::Native);
    let mut interfaces = [steering];
    let mut ports = WorkerPorts::open(0, &mut interfaces, OPTIONS).unwrap();
    assert_eq!(ports.ports[0].driver(), "af_xdp copy", "veth has no zero-copy");

    for (name, frame, class) in frames::all() {
        let before = interfaces[0].counters().unwrap();
        sender.send(&frame);
        wait_for(name, || interfaces[0].counters().unwrap() != before);
        let after = interfaces[0].counters().unwrap();
        let changed: Vec<_> =
            after.iter().zip(before).filter(|(now, then)| **now != *then).map(|(now, _)| now.0).collect();
        assert_eq!(changed, [class], "{name}");
        expect_on_ring(&mut ports, name, class.name().starts_with("ring").then_some(&frame));
    }
    assert_eq!(ports.ports[0].losses().unwrap(), Losses::default());
}

#[test]
fn rules_change_by_differences_and_are_found_again() {
    let lab = Lab::new("rules");
    let mut sender = lab.within("a", || Sender::on("eth0"));
    lab.enter("gw");
    let mut steering = Steering::load("to-a", &lab.pins()).unwrap();
    configure(&mut steering);
    steering.attach(ModeChoice::NativeOrGeneric).unwrap();
    ends_as(&steering, &mut sender, Class::DropNoSocket);
    steering.set_protected([]).unwrap();
    ends_as(&steering, &mut sender, Class::PassLocal);
    steering.set_local([]).unwrap();
    ends_as(&steering, &mut sender, Class::DropNoSocket);
    configure(&mut steering);
    drop(steering);

    let mut next = Steering::load("to-a", &lab.pins()).unwrap();
    next.attach(ModeChoice::Native).unwrap();
    ends_as(&next, &mut sender, Class::DropNoSocket);
    assert_eq!(next.counters().unwrap()[Class::DropNoSocket as usize].1, 3, "counters go on");
    next.set_protected([]).unwrap();
    ends_as(&next, &mut sender, Class::PassLocal);

    drop(next);
    assert!(lab::has_program("to-a"));
    Steering::remove("to-a", &lab.pins()).unwrap();
    wait_for("the program to go", || !lab::has_program("to-a"));
}

#[test]
fn a_link_of_a_deleted_interface_is_no_obstacle() {
    let lab = Lab::new("anew");
    lab.enter("gw");
    let mut steering = Steering::load("to-a", &lab.pins()).unwrap();
    steering.attach(ModeChoice::Native).unwrap();
    lab.replace_a();
    let mut sender = lab.within("a", || Sender::on("eth0"));
    let mut again = Steering::load("to-a", &lab.pins()).unwrap();
    assert_eq!(again.attach(ModeChoice::Native).unwrap(), Mode::Native);
    configure(&mut again);
    ends_as(&again, &mut sender, Class::DropNoSocket);
}

#[test]
fn generic_mode_steers_as_well() {
    let lab = Lab::new("generic");
    let mut sender = lab.within("a", || Sender::on("eth0"));
    lab.enter("gw");
    lab.refuse_native();
    let mut refused = Steering::load("to-a", &lab.pins()).unwrap();
    assert!(refused.attach(ModeChoice::Native).is_err() && refused.mode().is_none());
    let mut interfaces = [Steering::load("to-a", &lab.pins()).unwrap()];
    assert_eq!(interfaces[0].attach(ModeChoice::NativeOrGeneric).unwrap(), Mode::Generic);
    configure(&mut interfaces[0]);
    let mut ports = WorkerPorts::open(0, &mut interfaces, OPTIONS).unwrap();
    let clear = frames::from_protected_site();
    sender.send(&clear);
    expect_on_ring(&mut ports, "clear", Some(&clear));

    drop(ports);
    let mut next = Steering::load("to-a", &lab.pins()).unwrap();
    assert_eq!(next.attach(ModeChoice::NativeOrGeneric).unwrap(), Mode::Generic, "as it was");
    ends_as(&next, &mut sender, Class::DropNoSocket);
}

/// veth delivers what was sent on a queue to the queue of the same number.
#[test]
fn each_worker_has_its_queue() {
    let lab = Lab::new("queues");
    let mut sender = lab.within("a", || {
        offload::set_queues("eth0", 2).unwrap();
        [0, 1].map(|queue| Sender::on_queue("eth0", queue))
    });
    lab.enter("gw");
    assert_eq!(offload::queues("to-a").unwrap(), 1);
    offload::set_queues("to-a", 2).unwrap();
    assert_eq!(offload::queues("to-a").unwrap(), 2);
    assert!(offload::set_queues("to-a", 5_000).is_err());
    let mut interfaces = [Steering::load("to-a", &lab.pins()).unwrap()];
    interfaces[0].attach(ModeChoice::Native).unwrap();
    let mut workers = [0, 1].map(|queue| WorkerPorts::open(queue, &mut interfaces, OPTIONS).unwrap());
    let frame = frames::forwarded();
    for queue in [1, 0, 1] {
        sender[queue].send(&frame);
        expect_on_ring(&mut workers[queue], "its frame", Some(&frame));
        expect_on_ring(&mut workers[1 - queue], "no frame", None);
    }
}

#[test]
fn one_kick_sends_a_whole_batch() {
    let lab = Lab::new("kick");
    let mut sender = lab.within("a", || Sender::on("eth0"));
    let frame = frames::forwarded();
    assert!((0..200).all(|_| sender.queue(&frame)));
    sender.port.flush(&mut sender.pool);
    assert_eq!((sender.port.kicks().0, sender.port.rings()[2].0), (1, 0));
    wait_for("all frames to come back", || {
        sender.port.flush(&mut sender.pool);
        sender.pool.free() == 1024 - 16
    });
    assert_eq!(sender.port.kicks().0, 1);
}

#[test]
fn an_interface_that_is_taken_or_missing_is_named() {
    let lab = Lab::new("taken");
    lab.enter("gw");
    let missing = Steering::load("to-c", &lab.pins()).unwrap_err();
    assert!(missing.to_string().starts_with("interface to-c"), "{missing}");
    let elsewhere = Steering::load("to-a", std::path::Path::new("/tmp")).unwrap_err();
    assert!(elsewhere.to_string().contains("BPF file system"), "{elsewhere}");

    Steering::load("to-a", &lab.pins()).unwrap().attach(ModeChoice::Native).unwrap();
    let mut second = Steering::load("to-a", &lab.pins().join("second")).unwrap();
    assert!(second.attach(ModeChoice::NativeOrGeneric).is_err(), "two programs on one interface");
}

#[test]
fn a_dead_process_leaves_protected_traffic_dropped_and_its_own_host_reachable() {
    let lab = Lab::new("killed");
    lab.forwards_in_kernel();
    assert!(lab.reaches("a", "10.9.2.2"), "without us the kernel forwards: a leak would be seen");

    let owner = Owner::start(&lab);
    assert!(!lab.reaches("a", "10.9.2.2") && lab.reaches("a", "10.9.1.1"));
    owner.kill();
    assert!(!lab.reaches("a", "10.9.2.2"), "nothing is forwarded");
    assert!(lab.reaches("a", "10.9.1.1"), "the host itself answers");

    // Replacing the program again and again under traffic opens no gap either.
    let mut flood = lab.flood("a", "10.9.2.2");
    lab.enter("gw");
    let mut replaced = 0;
    while flood.child.try_wait().unwrap().is_none() {
        Steering::load("to-a", &lab.pins()).unwrap().attach(ModeChoice::Native).unwrap();
        replaced += 1;
        std::thread::sleep(Duration::from_millis(5));
    }
    let report = flood.report();
    assert!(report.contains("400 packets transmitted, 0 received") && replaced > 5, "{replaced}: {report}");
}

#[test]
fn a_restart_takes_the_queue_of_a_killed_process() {
    let lab = Lab::new("again");
    Owner::start(&lab).kill();
    let mut sender = lab.within("a", || Sender::on("eth0"));
    lab.enter("gw");
    let mut interfaces = [Steering::load("to-a", &lab.pins()).unwrap()];
    interfaces[0].attach(ModeChoice::Native).unwrap();
    let mut ports = WorkerPorts::open(0, &mut interfaces, OPTIONS).unwrap();
    let frame = frames::forwarded();
    sender.send(&frame);
    expect_on_ring(&mut ports, "forwarded", Some(&frame));
}

/// Two ports of one worker over one memory: from port to port without copying. Sender and gateway take turns on one
/// thread, so that a busy machine changes no figure; time is the CPU time of the gateway's turns.
#[test]
fn frames_are_forwarded_between_two_interfaces() {
    const TURNS: u64 = 5_000;
    let lab = Lab::new("rate");
    let mut sender = lab.within("a", || Sender::on("eth0"));
    lab.enter("gw");
    let mut interfaces = ["to-a", "to-b"].map(|name| Steering::load(name, &lab.pins()).unwrap());
    for steering in &mut interfaces {
        steering.attach(ModeChoice::Native).unwrap();
    }
    let mut ports = WorkerPorts::open(0, &mut interfaces, OPTIONS).unwrap();
    let idle = ports.pool.free();
    ports.ports[1].flush(&mut ports.pool);
    assert_eq!(ports.ports[1].kicks().0, 0, "nothing to send, nothing to say");

    let before = lab.received_by("b", "eth0");
    let frame = frames::forwarded();
    let mut flow = Flow::default();
    for _ in 0..TURNS {
        let sent = (0..BURST).take_while(|_| sender.queue(&frame)).count();
        sender.port.flush(&mut sender.pool);
        flow.forward(&mut ports, sent);
    }
    let all = TURNS * BURST as u64;
    let rate = all as f64 / flow.busy.as_secs_f64();
    println!("{rate:.0} frames per CPU second in {} flushes of {BURST}", flow.flushes);
    assert!(rate > 50_000.0, "{rate:.0} frames per CPU second");
    assert_eq!(flow.forwarded, all, "nothing was lost");

    let (kicks, _) = ports.ports[1].kicks();
    assert!((1..=flow.flushes).contains(&kicks), "{kicks} kicks in {} flushes", flow.flushes);
    wait_for("sent frames to come back", || {
        ports.ports[1].flush(&mut ports.pool);
        receive(&mut ports);
        ports.pool.free() == idle
    });
    let arrived = lab.received_by("b", "eth0") - before;
    assert!(arrived >= all, "{arrived} of {all} arrived");
    assert!(ports.ports.iter().all(|port| port.losses().unwrap() == Losses::default()));
}

/// What a gateway did.
#[derive(Default)]
struct Flow {
    forwarded: u64,
    flushes: u64,
    /// CPU time.
    busy: Duration,
}

impl Flow {
    /// Forwards from port 0 to port 1 until `count` frames have come, or none comes for half a second.
    fn forward(&mut self, ports: &mut WorkerPorts, count: usize) {
        let began = Instant::now();
        let mut left = count;
        while left > 0 && began.elapsed() < Duration::from_millis(500) {
            let start = cpu_time();
            let burst = receive(ports);
            if burst.is_empty() {
                std::thread::yield_now();
                continue;
            }
            left -= burst.len();
            for frame in burst {
                match ports.ports[1].transmit(frame) {
                    Ok(()) => self.forwarded += 1,
                    Err(frame) => ports.pool.give(frame),
                }
            }
            ports.ports[1].flush(&mut ports.pool);
            self.flushes += 1;
            self.busy += cpu_time() - start;
        }
    }
}

/// CPU time of this thread.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// A sender without any program of its own: the kernel of its namespace goes on as usual.
struct Sender {
    port: XdpPort,
    pool: Pool,
}

impl Sender {
    fn on(interface: &str) -> Self {
        Self::on_queue(interface, 0)
    }

    fn on_queue(interface: &str, queue: u32) -> Self {
        let (umem, frames) = Umem::new(1024, 2048).unwrap();
        let mut pool = Pool::new(frames);
        let options = QueueOptions { ring_size: 512, most_filled: 16, zero_copy: false };
        let port = XdpPort::open(lab::index_of(interface), queue, umem, &mut pool, options).unwrap();
        Self { port, pool }
    }

    /// Queues a copy of `octets`; `false` when there is no room.
    fn queue(&mut self, octets: &[u8]) -> bool {
        let Some(mut frame) = self.pool.take() else { return false };
        frame.place(7, octets.len()).unwrap(); // an odd place: any must do
        frame.bytes_mut().copy_from_slice(octets);
        self.port.transmit(frame).map_err(|frame| self.pool.give(frame)).is_ok()
    }

    fn send(&mut self, octets: &[u8]) {
        assert!(self.queue(octets));
        self.port.flush(&mut self.pool);
    }
}

/// What the gateway of these tests is told.
fn configure(steering: &mut Steering) {
    let address = |text: &str| text.parse::<IpAddr>().unwrap();
    steering.set_local(["10.9.1.1", "10.9.2.1", "fd09:1::1"].map(address)).unwrap();
    let range = |(text, length)| AddressRange::prefix(address(text), length).unwrap();
    steering.set_protected([("10.7.0.0", 16), ("fd07::", 16)].map(range)).unwrap();
    steering.set_natt_ports([4501]).unwrap();
    steering.set_peers(["10.9.1.2", "fd09:1::2"].map(address)).unwrap();
}

/// Sends a frame in clear from a protected site to the gateway and waits until it was counted under `class`.
fn ends_as(steering: &Steering, sender: &mut Sender, class: Class) {
    let count = || steering.counters().unwrap()[class as usize].1;
    let before = count();
    sender.send(&frames::from_protected_site());
    wait_for(class.name(), || count() == before + 1);
}

fn receive(ports: &mut WorkerPorts) -> ArrayVec<Frame, BURST> {
    let mut burst = ArrayVec::new();
    ports.ports[0].receive(&mut ports.pool, &mut burst);
    burst
}

/// Checks that the ring gives exactly this frame, or nothing.
fn expect_on_ring(ports: &mut WorkerPorts, name: &str, wanted: Option<&Vec<u8>>) {
    let Some(wanted) = wanted else {
        assert!(receive(ports).is_empty(), "{name} is on the ring");
        return;
    };
    let mut burst = ArrayVec::new();
    wait_for(name, || {
        burst = receive(ports);
        !burst.is_empty()
    });
    assert_eq!((burst.len(), burst[0].bytes()), (1, &wanted[..]), "{name}");
    assert!(burst[0].headroom() >= ravelin_dataplane::port::HEADROOM);
    burst.into_iter().for_each(|frame| ports.pool.give(frame));
}

/// Waits until `done` is true; fails after three seconds.
fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < Duration::from_secs(3), "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Another process that steers and receives; this test binary once more.
struct Owner(Child);

impl Owner {
    fn start(lab: &Lab) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "owner", "--ignored", "--nocapture"])
            .env("RV_PORT_LAB", lab.name())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let ready = lab.ready_file();
        wait_for("the other process", || ready.exists() || child.try_wait().unwrap().is_some());
        assert!(ready.exists(), "the other process ended");
        Self(child)
    }

    /// SIGKILL: it cannot tidy up.
    fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// Not a test: what [`Owner`] runs, for twenty seconds at most.
#[test]
#[ignore = "run by other tests"]
fn owner() {
    let lab = Lab::join(std::env::var("RV_PORT_LAB").expect("run by other tests"));
    lab.enter("gw");
    let mut interfaces = [Steering::load("to-a", &lab.pins()).unwrap()];
    configure(&mut interfaces[0]);
    interfaces[0].attach(ModeChoice::Native).unwrap();
    let mut ports = WorkerPorts::open(0, &mut interfaces, OPTIONS).unwrap();
    std::fs::write(lab.ready_file(), "").unwrap();
    for _ in 0..2_000 {
        let burst = receive(&mut ports);
        burst.into_iter().for_each(|frame| ports.pool.give(frame));
        std::thread::sleep(Duration::from_millis(10));
    }
}
