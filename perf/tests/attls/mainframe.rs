//! A mainframe's terminals: Hercules speaks TN3270 in clear behind port 992, s3270 has TLS or, behind a gateway of its own, has
//! none.

use std::fs;

use ravelin_perf::lab::{Process, run_with_input, wait_until};

use crate::stand::{LONG, Stand};

/// At the mainframe.
const SERVER: &str = r#"
[[rule]]
name = "tn3270"
server = "lan"
server_port = 992
role = "server"
certificate = "web/main"
"#;
/// At the terminals.
const CLIENT: &str = r#"
[[rule]]
name = "terminals"
client = "lan"
server_port = 992
role = "client"
trust = "ca"
server_name = "web.example"
"#;
/// A mainframe without an operating system: its consoles show a logo.
const MACHINE: &str =
    "CPUSERIAL 000001\nCPUMODEL 2064\nMAINSIZE 16\nNUMCPU 1\nCNSLPORT 992\nARCHMODE ESA/390\n0700.4 3270\n";

fn hercules(stand: &Stand) -> Process {
    let machine = stand.lab().file("machine.cnf");
    fs::write(&machine, MACHINE).unwrap();
    let mut command = stand.sites.a.site.command("hercules");
    command.arg("-d").arg("-f").arg(&machine).env("HERCULES_RC", "/dev/null");
    stand.serve("hercules", &mut command, "Waiting for console connection")
}

/// What the screen of a terminal at site b shows, a second after it has agreed on TN3270, or has not.
fn screen(stand: &Stand, host: &str, more: &[&str]) -> String {
    let mut terminal = stand.sites.b.site.command("s3270");
    terminal.args(["-model", "3279-2-E"]).args(more);
    let words = format!("Connect({host})\nWait(1,Seconds)\nAscii()\nQuit()\n");
    let output = run_with_input(&mut terminal, words.as_bytes(), LONG).unwrap();
    output.stdout + &output.stderr
}

/// Whether it shows Hercules' logo; a slow machine may need another try.
fn await_logo(stand: &Stand, host: &str, more: &[&str]) {
    let mut said = String::new();
    let shows = || {
        said = screen(stand, host, more);
        said.contains("Hercules Version") && said.contains("My PC thinks it's a MAINFRAME")
    };
    let waited = wait_until("the mainframe's logo", LONG, shows);
    assert!(waited.is_ok(), "{said}");
}

#[test]
fn terminals_reach_a_mainframe() {
    let stand = Stand::build("attlstn", SERVER);
    let capture = stand.capture();
    let _hercules = hercules(&stand);
    let host = stand.sites.a.site_v4.to_string();
    let root = stand.paper("root.pem");
    let root = root.to_str().unwrap();

    let name = ["-cafile", root, "-accepthostname", "web.example"];
    await_logo(&stand, &format!("L:{host}:992"), &name);
    // A terminal that goes by another authority does not show anything.
    let said = screen(&stand, &format!("L:{host}:992"), &["-accepthostname", "web.example"]);
    assert!(!said.contains("MAINFRAME") && said.contains("verification failed"), "{said}");

    // The same terminal without TLS, behind a gateway of its own.
    let _terminals = stand.second_gateway(CLIENT);
    await_logo(&stand, &format!("{host}:992"), &[]);
    let captured = capture.stop().unwrap();
    // As it stands on a screen, in EBCDIC.
    let hercules: &[u8] = &[0xc8, 0x85, 0x99, 0x83, 0xa4, 0x93, 0x85, 0xa2];
    assert_eq!(captured.packets.count_containing(hercules), 0, "the screen went in clear");
}
