//! Thousands of small requests, on connections of their own and one behind the other on a few, in both roles.

use ravelin_perf::lab::{Namespace, check};

use crate::nginx;
use crate::stand::{ASKED, LONG, SERVED, Stand, USUAL};

/// Connections of `ab` at a time.
const AT_A_TIME: u64 = 10;

/// As many requests as `count` says, all of which are answered. `-k` lets a connection carry many.
fn ab(from: &Namespace, url: &str, count: u32, more: &[&str]) {
    let mut ab = from.command("ab");
    ab.args(["-q", "-s", "60", "-c", &AT_A_TIME.to_string(), "-n", &count.to_string()]).args(more).arg(url);
    let said = check(&mut ab, LONG).unwrap();
    let number = |label: &str| {
        let line = said.lines().find(|line| line.starts_with(label)).unwrap_or_default();
        line.split_whitespace().last().and_then(|word| word.parse().ok()).unwrap_or(u32::MAX)
    };
    assert_eq!((number("Complete requests:"), number("Failed requests:")), (count, 0), "{url}: {said}");
}

#[test]
fn thousands_of_small_requests() {
    let stand = Stand::build("attlsmany", USUAL);
    let (a, b) = (&stand.sites.a, &stand.sites.b);
    let _web = nginx::start(&stand, &a.site, "web", &nginx::clear(&[SERVED]));
    let _partner = nginx::start(&stand, &b.site, "partner", &nginx::secure(&stand, ASKED, ""));
    let (web, partner) =
        (format!("https://{}:{SERVED}/small", a.site_v4), format!("http://{}:{ASKED}/small", b.site_v4));
    for (from, url) in [(&b.site, &web), (&a.site, &partner)] {
        ab(from, url, 700, &[]);
        ab(from, url, 2000, &["-k"]);
    }
    for rule in ["web", "partner"] {
        let counts = stand.counts(rule);
        let count = |what: &str| counts[what].as_u64().unwrap();
        // At its end ab leaves what it has opened beyond what it needed, ten at most, in whatever state that is.
        assert!(count("done") >= 700 && count("failed") <= 2 * AT_A_TIME, "{counts}");
    }
}
