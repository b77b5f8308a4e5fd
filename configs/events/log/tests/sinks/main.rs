//! Sinks as their collectors see them: rsyslog, journald, and collectors that hang, go and come back.

mod collectors;

use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::sync::Once;
use std::time::{Duration, Instant};

use ravelin_config::appliance::log::{Collector, Log, Sink};
use ravelin_events::{AUDIT, tell};
use tracing_subscriber::layer::SubscriberExt;

use collectors::{Journald, Rsyslog};

/// Nothing here takes so long on any machine.
const LONG: Duration = Duration::from_secs(60);

/// What a peer may call itself.
const HOSTILE: &str = "CN=x\n<0>1 - - - - - [a b=\"c\"] forged\r\u{1b}[2J\u{202e}\u{7f}\0 \"]\\ é";
/// The same with nothing left that ends a line or moves a cursor.
const HARMLESS: &str = "CN=x\\n<0>1 - - - - - [a b=\"c\"] forged\\r\\u{1b}[2J\\u{202e}\\u{7f}\\u{0} \"]\\ é";

fn syslog(to: &Path) -> Log {
    Log { sinks: vec![Sink::Syslog], syslog: Collector::Unix(to.to_owned()), rate: 0, ..Log::default() }
}

/// Does `work` with these sinks, and waits for them at the end as the programs do.
fn with(log: &Log, work: impl FnOnce()) {
    let (outlets, flushed) = ravelin_log::open(log, "ravelin-test").expect("sinks");
    let subscriber = tracing_subscriber::registry().with(outlets);
    tracing::subscriber::with_default(subscriber, work);
    drop(flushed);
}

/// The number of `name="n"` in a message.
fn number(text: &str, name: &str) -> u64 {
    let rest = text.split_once(&format!(" {name}=\"")).map(|(_, rest)| rest);
    rest.and_then(|rest| rest.split('"').next()?.parse().ok()).unwrap_or_else(|| panic!("{name} in {text}"))
}

/// Messages that came, and how many were said to be lost, until both are `all`.
fn account(collector: &UnixDatagram, all: u64) -> (u64, u64) {
    let (mut came, mut lost, begin) = (0, 0, Instant::now());
    let mut buffer = vec![0; 65536];
    collector.set_read_timeout(Some(Duration::from_secs(1))).expect("a limit");
    while came + lost < all {
        assert!(begin.elapsed() < LONG, "{came} came and {lost} were said to be lost, of {all}");
        let Ok(length) = collector.recv(&mut buffer) else { continue };
        let text = String::from_utf8_lossy(&buffer[..length]);
        match text.contains(" RVL-LOG-LOST ") {
            true => lost += number(&text, "lost"),
            false => came += 1,
        }
    }
    (came, lost)
}

#[test]
fn a_collector_that_hangs_stops_nobody_and_every_event_is_accounted_for() {
    const ALL: u64 = 20_000;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("log");
    let collector = UnixDatagram::bind(&path).expect("a collector");
    let (outlets, flushed) = ravelin_log::open(&syslog(&path), "ravelin-test").expect("sinks");
    // Nobody reads yet: this would not come to its end if anybody waited.
    tracing::subscriber::with_default(tracing_subscriber::registry().with(outlets), || {
        (0..ALL).for_each(|note| tell!(CONFIG_NOTE, note));
    });
    let (came, lost) = account(&collector, ALL);
    assert_eq!(came + lost, ALL);
    assert!(came > 0 && lost > 0, "{came} came, {lost} lost");
    drop(flushed);
}

#[test]
fn a_collector_that_comes_later_or_again_gets_the_count_of_what_it_missed() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("log");
    let (outlets, _flushed) = ravelin_log::open(&syslog(&path), "ravelin-test").expect("sinks");
    let emit = |count: u64| (0..count).for_each(|note| tell!(CONFIG_NOTE, note));
    let mut emitted = 0;
    tracing::subscriber::with_default(tracing_subscriber::registry().with(outlets), || {
        for turn in 1..=2 {
            // Gone.
            emit(10);
            std::thread::sleep(Duration::from_millis(300));
            let collector = UnixDatagram::bind(&path).expect("a collector");
            emitted = 10;
            let (came, lost) = account(&collector, emitted);
            assert_eq!((came, lost), (0, 10), "turn {turn}");
            // There.
            emit(5);
            assert_eq!(account(&collector, 5), (5, 0), "turn {turn}");
            drop(collector);
            std::fs::remove_file(&path).expect("removed");
        }
    });
}

#[test]
fn the_other_sinks_hear_of_one_that_is_gone() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("log");
    let collector = UnixDatagram::bind(&path).expect("a collector");
    let log = Log {
        sinks: vec![Sink::Journald, Sink::Syslog],
        journal: folder.path().join("nobody"),
        ..syslog(&path)
    };
    // The only test that begins to log for the whole program, as the programs do.
    static BEGUN: Once = Once::new();
    BEGUN.call_once(|| {
        let flushed = ravelin_log::start(&log, "ravelin-test").expect("the log");
        tell!(CONTROL_READY, socket = "here");
        collector.set_read_timeout(Some(LONG)).expect("a limit");
        let mut buffer = vec![0; 65536];
        let mut heard = String::new();
        while !heard.contains("sink=\"journald\"") {
            let length = collector.recv(&mut buffer).expect("word of the sink");
            heard += &String::from_utf8_lossy(&buffer[..length]);
        }
        assert!(heard.contains(" RVL-CONTROL-READY ") && heard.contains(" RVL-LOG-LOST "), "{heard}");
        drop(flushed);
    });
}

#[test]
fn of_a_flood_the_rest_is_counted_and_the_audit_is_whole() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("log");
    let collector = UnixDatagram::bind(&path).expect("a collector");
    collector.set_read_timeout(Some(LONG)).expect("a limit");
    let reading = std::thread::spawn(move || {
        let (mut told, mut suppressed, mut audited) = (0, 0, 0);
        let mut buffer = vec![0; 65536];
        while told + suppressed < 500 || audited < 200 {
            let length = collector.recv(&mut buffer).expect("a message");
            let text = String::from_utf8_lossy(&buffer[..length]);
            match text.split(' ').nth(5) {
                Some("RVL-LOG-SUPPRESSED") => {
                    assert!(text.contains(" of=\"RVL-CONFIG-NOTE\""), "{text}");
                    suppressed += number(&text, "suppressed");
                }
                Some("RVL-KEY-USED") => audited += 1,
                Some("RVL-CONFIG-NOTE") => told += 1,
                other => panic!("{other:?} in {text}"),
            }
        }
        (told, suppressed, audited)
    });
    with(&Log { rate: 5, ..syslog(&path) }, || {
        for note in 0..500 {
            tell!(CONFIG_NOTE, note);
            if note < 200 {
                tell!(target: AUDIT, KEY_USED, ring = "web", caller = "uid 0");
            }
        }
    });
    let (told, suppressed, audited) = reading.join().expect("read");
    assert_eq!((told + suppressed, audited), (500, 200));
    assert!(told >= 5 && suppressed > 0, "{told} told, {suppressed} suppressed");
}

#[test]
fn rsyslog_reads_every_field_and_no_name_can_forge_a_line() {
    let rsyslog = Rsyslog::start();
    for to in [Collector::Unix(rsyslog.socket()), Collector::Udp(rsyslog.address())] {
        let log = Log { syslog: to.clone(), facility: 16, ..syslog(&rsyslog.socket()) };
        with(&log, || tell!(IKE_IDENTITY, certificate = "gw/main", identity = HOSTILE));
        let lines = rsyslog.lines(1);
        assert_eq!(lines.len(), 1, "{to:?}: {lines:#?}");
        let line = &lines[0];
        assert_eq!(line["msgid"], "RVL-IKE-IDENTITY", "{line:#}");
        assert_eq!((&line["app"], &line["severity"]), (&"ravelin-test".into(), &"warning".into()));
        assert_eq!((&line["facility"], &line["version"]), (&"local0".into(), &"1".into()));
        let fields = &line["rfc5424-sd"]["ravelin@32473"];
        assert_eq!((&fields["certificate"], &fields["identity"]), (&"gw/main".into(), &HARMLESS.into()));
        let said = line["msg"].as_str().expect("text");
        assert!(said.contains("our certificate is not for the identity that we give"), "{said}");
        rsyslog.forget();
    }
}

#[test]
fn journald_has_every_field_and_no_name_can_forge_one() {
    let journald = Journald::start("rvlsinks");
    let log = Log { sinks: vec![Sink::Journald], journal: journald.socket(), rate: 0, ..Log::default() };
    with(&log, || tell!(IKE_IDENTITY, certificate = "gw/main", identity = HOSTILE));
    let entry = journald.one("RAVELIN_CODE=RVL-IKE-IDENTITY", LONG);
    assert_eq!((&entry["PRIORITY"], &entry["SYSLOG_IDENTIFIER"]), (&"4".into(), &"ravelin-test".into()));
    assert_eq!(entry["RAVELIN_CERTIFICATE"], "gw/main");
    assert_eq!(entry["RAVELIN_IDENTITY"], HARMLESS);
    assert_eq!(entry["_TRANSPORT"], "journal");
    let said = entry["MESSAGE"].as_str().expect("text");
    assert!(said.starts_with("our certificate is not for the identity") && said.contains("forged"), "{said}");
}
