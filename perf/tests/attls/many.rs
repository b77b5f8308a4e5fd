//! Thousands of small requests, on connections of their own and one behind the other on a few, in both roles.

use ravelin_perf::lab::{Namespace, check};

use crate::nginx;
use crate::stand::{ASKED, LONG, SERVED, Stand, USUAL};

/// As many requests as `count` says, ten at a time, all of which are answered. `-k` lets a connection carry many.
fn ab(from: &Namespace, url: &str, count: u32, more: &[&str]) {
    let mut ab = from.command("ab");
    ab.args(["-q", "-c", "10", "-s", "60", "-n", &count.to_string()]).args(more).arg(url);
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
        assert_eq!(
            (counts["done"].as_u64() >= Some(700), counts["failed"].as_u64()),
            (true, Some(0)),
            "{counts}"
        );
    }
}
