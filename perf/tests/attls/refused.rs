//! A partner that is not believed: `connect()` of the application fails, the reason is told, and nothing was sent.

use ravelin_perf::lab::{MOMENT, check, run, wait_until};

use crate::stand::{ASKED, LONG, Stand, USUAL};

/// Connects and says how that ended; what comes after is not its business.
const CONNECT: &str = "
import errno, socket, sys
s = socket.socket()
s.settimeout(5)
try:
    s.connect((sys.argv[1], int(sys.argv[2])))
    print(0)
except TimeoutError:
    print('timed out')
except OSError as error:
    print(errno.errorcode[error.errno])
";

/// How `connect()` ends.
#[derive(Debug, PartialEq, Eq)]
enum Connect {
    Done,
    Refused,
    TimedOut,
}

/// What becomes of `connect()` alone, called by an application at site a.
fn connect(stand: &Stand) -> Connect {
    let mut python = stand.sites.a.site.command("python3");
    python.args(["-c", CONNECT, &stand.sites.b.site_v4.to_string(), &ASKED.to_string()]);
    let output = run(&mut python, LONG).unwrap();
    match output.stdout.trim() {
        "0" => Connect::Done,
        "ECONNREFUSED" => Connect::Refused,
        "timed out" => Connect::TimedOut,
        _ => panic!("{output:?}"),
    }
}

#[test]
fn a_partner_that_is_not_believed_refuses_the_connection_and_the_reason_is_told() {
    let stand = Stand::build("attlsbad", USUAL);
    let capture = stand.capture();
    let partner = stand.partner(&[]);
    assert_eq!(connect(&stand), Connect::Done, "{}", stand.gateway.control_log());
    drop(partner);
    let own = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout partner.key -out partner.pem";
    let names = "-subj /CN=partner -addext subjectAltName=DNS:partner.example";
    stand.openssl(&format!("req -x509 {own} {names} -days 30"));
    let partner = stand.partner(&[]);
    assert_eq!(connect(&stand), Connect::Refused, "a certificate that is not believed");
    assert!(!stand.ask().status.success());
    let log = stand.gateway.control_log();
    assert!(log.contains("partner") && log.contains("RVL-TLS"), "{log}");
    wait_until("the alert to reach the partner", MOMENT, || partner.log().contains("SSL alert")).unwrap();
    drop(partner);
    // Nobody listens any more, then nobody answers: that looks as it does without a gateway.
    assert_eq!(connect(&stand), Connect::Refused);
    let silence = "add table ip quiet; add chain ip quiet in { type filter hook input priority 0; }; \
                   add rule ip quiet in tcp dport 9443 drop";
    check(stand.sites.b.site.command("nft").arg(silence), MOMENT).unwrap();
    assert_eq!(connect(&stand), Connect::TimedOut);
    let captured = capture.stop().unwrap();
    assert_eq!(captured.packets.count_containing(b"GET /file"), 0, "the request went out in clear");
}
