//! Connections that one end resets, at every moment of their life: the other end never takes that for an end in order, and
//! nothing is left over of them. (Half closes: `programs`.)

use ravelin_perf::lab::{Namespace, check};

use crate::nginx;
use crate::stand::{ASKED, LONG, SERVED, Stand};

/// Ports of servers that reset.
const BROKEN: u16 = 8500;
const BROKEN_PARTNER: u16 = 9500;

const RULES: &str = r#"
[[rule]]
name = "web"
server = "lan"
server_port = [8443, 8500]
role = "server"
certificate = "web/main"

[[rule]]
name = "partner"
client = "lan"
server_port = [9443, 9500]
role = "client"
trust = "ca"
server_name = "partner.example"
"#;

fn resets(stand: &Stand, at: &Namespace, arguments: &[&str]) -> String {
    check(&mut stand.script(at, "tls/resets.py", arguments), LONG).unwrap()
}

#[test]
fn resets_at_any_moment() {
    let stand = Stand::build("attlsreset", RULES);
    let (a, b) = (&stand.sites.a, &stand.sites.b);
    let papers = ["root.pem", "partner.pem", "partner.key"].map(|name| stand.paper(name));
    let [root, certificate, key] = papers.each_ref().map(|path| path.to_str().unwrap());
    let _web = nginx::start(&stand, &a.site, "web", &nginx::clear(&[SERVED]));
    let _partner = nginx::start(&stand, &b.site, "partner", &nginx::secure(&stand, ASKED, ""));
    let mut broken = stand.script(&a.site, "tls/resets.py", &["serve", &BROKEN.to_string()]);
    let _broken = stand.serve("broken", &mut broken, "listening");
    let serve = ["serve", &BROKEN_PARTNER.to_string(), certificate, key];
    let _broken_partner =
        stand.serve("brokenb", &mut stand.script(&b.site, "tls/resets.py", &serve), "listening");
    let (to_a, to_b) = (a.site_v4.to_string(), b.site_v4.to_string());

    for _ in 0..3 {
        let broke = resets(&stand, &b.site, &["break", &to_a, &SERVED.to_string(), root, "web.example"]);
        assert_eq!(broke.lines().count(), 8, "{broke}");
        let broke = resets(&stand, &a.site, &["break", &to_b, &ASKED.to_string()]);
        assert_eq!(broke.lines().count(), 4, "{broke}");
    }
    let looked = [
        (resets(&stand, &b.site, &["look", &to_a, &BROKEN.to_string(), "9", root, "web.example"]), 9),
        (resets(&stand, &a.site, &["look", &to_b, &BROKEN_PARTNER.to_string(), "16"]), 16),
    ];
    for (said, times) in looked {
        assert_eq!(said.lines().filter(|line| line.starts_with("cut")).count(), times, "{said}");
    }
    stand.wait_for_none();
    stand.assert_whole("visited", stand.visit(&[]).status);
    stand.assert_whole("asked", stand.ask().status);
}
