//! The door to keys, asked by real processes under other users, groups and units, known by what the kernel says of
//! the socket that they come by.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use ravelin_rings::access::{Access, Caller};
use ravelin_rings::format;
use ravelin_rings::name::RingName;
use ravelin_rings::passphrase::Passphrase;
use ravelin_rings::ring::{Trust, Usage};
use ravelin_rings::scheme::Scheme;
use ravelin_rings::signer::Signer;
use ravelin_rings::store::{NewEntry, NewRing, Rings};

use crate::tools::{label, name, new_ring, place, run, with_ring};

/// Who a client is to be: the words of setpriv(1), and a control group.
struct Who<'a> {
    words: &'a str,
    unit: Option<&'a str>,
}

/// What the log is written to.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, octets: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("a lock").extend_from_slice(octets);
        Ok(octets.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// Does `work`; what it logged.
    fn of<T>(work: impl FnOnce() -> T) -> (T, String) {
        let log = Self::default();
        let writer = log.clone();
        let subscriber =
            tracing_subscriber::fmt().json().flatten_event(true).with_writer(move || writer.clone()).finish();
        let value = tracing::subscriber::with_default(subscriber, work);
        let text = String::from_utf8(log.0.lock().expect("a lock").clone()).expect("text");
        (value, text)
    }
}

/// A control group, removed at the end.
struct Group(PathBuf);

impl Group {
    fn new(units: &[&str]) -> Self {
        let mounts = std::fs::read_to_string("/proc/mounts").expect("mounts");
        let mount = mounts.lines().find_map(|line| {
            let mut words = line.split(' ');
            let (_, at, kind) = (words.next()?, words.next()?, words.next()?);
            (kind == "cgroup2").then(|| PathBuf::from(at))
        });
        let folder = mount.expect("a control group file system").join(format!(
            "{}-{}",
            units[0].replace('.', "-"),
            std::process::id()
        ));
        std::fs::create_dir(&folder).expect("a control group");
        for unit in units {
            std::fs::create_dir_all(folder.join(unit)).expect("a control group");
        }
        Self(folder)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        for entry in std::fs::read_dir(&self.0).into_iter().flatten().flatten() {
            // One unit may lie in another.
            std::fs::read_dir(entry.path()).into_iter().flatten().flatten().for_each(|inner| {
                let _ = std::fs::remove_dir(inner.path());
            });
            let _ = std::fs::remove_dir(entry.path());
        }
        let _ = std::fs::remove_dir(&self.0);
    }
}

const CLIENT: &str = "import socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
s.recv(1)";

fn client(socket: &Path, who: &Who<'_>, group: &Group) -> Child {
    let join = match who.unit {
        Some(unit) => format!("echo $$ > {}; ", group.0.join(unit).join("cgroup.procs").display()),
        None => String::new(),
    };
    let line = format!("{join}exec setpriv {} /usr/bin/python3 -c \"$0\" \"$1\"", who.words);
    let mut command = Command::new("sh");
    command.arg("-ec").arg(line).arg(CLIENT).arg(socket).stdin(Stdio::null());
    command.spawn().expect("a client")
}

/// A ring `web` with the default identity `site`.
fn ring_with_identity(new: NewRing) -> (tempfile::TempDir, Rings) {
    let bench = tempfile::tempdir().expect("a folder");
    run(
        bench.path(),
        "openssl",
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key -subj /CN=site -out cert",
    );
    let both =
        ["key", "cert"].map(|file| std::fs::read_to_string(bench.path().join(file)).expect("PEM")).concat();
    let contents = format::read("both", both.as_bytes(), &mut |_| Ok(Passphrase::new(""))).expect("read");
    let identity = contents.sort().identities.pop().expect("an identity");
    let (folder, rings) = with_ring(new);
    rings
        .change(&name("web"), |ring| {
            let (usage, trust) = (Usage::Identity, Trust::Trusted);
            let (chain, key) = (identity.chain, Some(identity.key));
            ring.add(NewEntry { label: label("site"), chain, usage, trust, key })?;
            ring.set_default(Some(&label("site")))
        })
        .expect("an identity");
    (folder, rings)
}

fn ask(signer: &Signer, caller: &Caller, ring: &RingName) -> bool {
    signer.sign(caller, ring, None, Scheme::EcdsaP256Sha256, b"text").is_ok()
}

#[test]
fn only_who_is_on_the_list_gets_a_signature_and_every_decision_is_written_down() {
    let access = Access {
        users: [2001].into(),
        groups: [3001].into(),
        units: ["ravelin-web.service".to_owned()].into(),
    };
    let (folder, rings) = ring_with_identity(NewRing { access, ..new_ring() });
    let signer = Signer::new(rings);
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).expect("chmod");
    let socket = folder.path().join("door");
    let listener = UnixListener::bind(&socket).expect("a socket");
    std::fs::set_permissions(&socket, std::fs::Permissions::from_mode(0o777)).expect("chmod");
    let nested = "ravelin-other.service/ravelin-web.service";
    let group = Group::new(&["ravelin-web.service", "ravelin-other.service", nested]);
    // Who, and by which line of the list he is let in.
    let cases = [
        ("--reuid 1000 --regid 1000 --clear-groups", None, Some("owner")),
        ("--reuid 2001 --regid 2001 --clear-groups", None, Some("user")),
        ("--reuid 4001 --regid 3001 --clear-groups", None, Some("group")),
        ("--reuid 4001 --regid 4001 --groups 5001,3001", None, Some("group")),
        ("--reuid 4001 --regid 4001 --clear-groups", Some("ravelin-web.service"), Some("unit")),
        // Refused: by user, also one with the number of a group on the list; by group; by unit.
        ("--reuid 4001 --regid 4001 --clear-groups", None, None),
        ("--reuid 3001 --regid 2001 --clear-groups", None, None),
        ("--reuid 4001 --regid 4001 --groups 5001,5002", None, None),
        ("--reuid 4001 --regid 4001 --clear-groups", Some("ravelin-other.service"), None),
        ("--reuid 4001 --regid 4001 --clear-groups", Some(nested), None),
        ("--reuid 0 --regid 0 --clear-groups", None, None),
    ];
    for (words, unit, expected) in cases {
        let mut child = client(&socket, &Who { words, unit }, &group);
        let (mut stream, _) = listener.accept().expect("a client");
        let caller = Caller::of_peer(&stream).expect("who it is");
        let (signed, log) = Log::of(|| ask(&signer, &caller, &name("web")));
        stream.write_all(b"!").expect("an answer");
        assert!(child.wait().expect("an end").success());
        assert_eq!(signed, expected.is_some(), "{words} {unit:?}: {log}");
        let event: serde_json::Value = serde_json::from_str(log.trim()).expect("one event");
        assert_eq!(event["target"], "ravelin::audit");
        match expected {
            Some(grant) => {
                assert_eq!(event["code"], "RVL-KEY-USED", "{words}");
                assert_eq!(event["grant"], grant, "{words}");
            }
            None => {
                assert_eq!(event["code"], "RVL-KEY-REFUSED", "{words}");
                assert!(event["reason"].as_str().expect("text").contains("may not use the keys of ring web"));
            }
        }
        let uid = words.split(' ').nth(1).expect("a user");
        assert!(event["caller"].as_str().expect("text").contains(&format!("uid {uid} ")), "{log}");
    }
}

#[test]
fn a_process_that_has_ended_is_known_by_user_and_group_alone() {
    let (folder, rings) = ring_with_identity(NewRing {
        access: Access { units: ["ravelin-gone.service".to_owned()].into(), ..Access::default() },
        ..new_ring()
    });
    let listener = UnixListener::bind(folder.path().join("door")).expect("a socket");
    let group = Group::new(&["ravelin-gone.service"]);
    let who = Who { words: "--reuid 0", unit: Some("ravelin-gone.service") };
    let mut child = client(&folder.path().join("door"), &who, &group);
    let (mut stream, _) = listener.accept().expect("a client");
    stream.write_all(b"!").expect("an answer");
    child.wait().expect("an end");
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).expect("the end");
    let caller = Caller::of_peer(&stream).expect("who it was");
    assert_eq!((caller.uid(), caller.unit()), (0, None));
    assert!(!ask(&Signer::new(rings), &caller, &name("web")));
}

#[test]
fn who_is_taken_off_the_list_is_refused_at_once() {
    let (_folder, rings) = ring_with_identity(new_ring());
    let signer = Signer::new(rings.clone());
    let caller = Caller::application(2001, [2001], None);
    assert!(!ask(&signer, &caller, &name("web")));
    let set = |on: bool| {
        let change = |ring: &mut ravelin_rings::store::Draft<'_>| {
            let users = &mut ring.access_mut().users;
            Ok(if on { users.insert(2001) } else { users.remove(&2001) })
        };
        rings.change(&name("web"), change).expect("changed");
    };
    set(true);
    assert!(ask(&signer, &caller, &name("web")));
    set(false);
    assert!(!ask(&signer, &caller, &name("web")));
}

#[test]
fn a_connected_certificate_does_not_widen_who_may_use_its_key() {
    let (_folder, rings) = ring_with_identity(new_ring());
    let own = Access { users: [2001].into(), ..Access::default() };
    rings.create(&name("shared"), NewRing { access: own, ..new_ring() }).expect("a ring");
    rings
        .change(&name("shared"), |ring| {
            ring.connect(&label("site"), &place("web/site"), Usage::Identity)?;
            ring.set_default(Some(&label("site")))
        })
        .expect("connected");
    let signer = Signer::new(rings.clone());
    assert!(ask(&signer, &Caller::application(1000, [], None), &name("shared")), "the owner of both");
    let caller = Caller::application(2001, [], None);
    assert!(!ask(&signer, &caller, &name("shared")), "on the list of one ring only");
    rings
        .change(&name("web"), |ring| {
            ring.access_mut().users.insert(2001);
            Ok(())
        })
        .expect("changed");
    assert!(ask(&signer, &caller, &name("shared")), "on both lists");
    let error = rings.change(&name("web"), |ring| ring.remove(&label("site"))).expect_err("in use");
    assert!(error.to_string().contains("connected in ring shared"), "{error}");
}

#[test]
fn what_is_not_trusted_or_no_identity_signs_nothing_for_applications() {
    let (_folder, rings) = ring_with_identity(new_ring());
    let signer = Signer::new(rings.clone());
    let owner = Caller::application(1000, [], None);
    assert!(ask(&signer, &owner, &name("web")));
    rings.change(&name("web"), |ring| ring.set_trust(&label("site"), Trust::NotTrusted)).expect("changed");
    assert!(!ask(&signer, &owner, &name("web")));
    rings
        .change(&name("web"), |ring| {
            ring.set_trust(&label("site"), Trust::Trusted)?;
            ring.set_usage(&label("site"), Usage::TrustAnchor)
        })
        .expect("changed");
    assert!(!ask(&signer, &owner, &name("web")));
}
