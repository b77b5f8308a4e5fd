//! Every MUST of RFC 9293 (its appendix B) and where it is shown; those that speak of what we have not say so. Then what RFC 2018,
//! 5961, 7323 and 8985 require, section by section.

use std::collections::{BTreeMap, BTreeSet};

use super::recovery::{PLAIN, RECEIVER, SENDER};
use super::rfc9293::{FULL, KEEPALIVES, TABLE};
use super::{rfc5961, rfc7323};

/// Where a requirement is shown.
enum Shown {
    /// By the script of its name.
    Script,
    /// By this test or these.
    Test(&'static str),
    /// It is about something that there is not here, or that we depart from.
    Not(&'static str),
}
use Shown::{Not, Script, Test};

const NO_INTERFACE: &str =
    "it is about an application's calls, and there is none: the ends have their own TCP";
const OPENS_NOTHING: &str = "it is about who opens, and SYNs of the ends are carried across";
const URGENT: &str = "urgent data pass inline: who reads them is behind the other leg (script `urgent`)";
const IP: &str = "it is about IP, which the worker does before and after";

#[rustfmt::skip]
const MUSTS: &[(u8, Shown)] = &[
    (1, Script), (2, Script), (3, Script), (4, Script), (5, Script), (6, Script), (7, Script),
    (8, Test("scripts of `lifecycle`: the numbers are those of the ends; `cookie`'s own tests: by clock and SipHash")),
    (9, Test("`cookie`: a secret that nobody sees")),
    (10, Script),
    (11, Not(OPENS_NOTHING)),
    (12, Test("scripts 5961-3.2-2 and `lifecycle`: a reset on one leg is one on the other")),
    (13, Script), (14, Script), (15, Script), (16, Script), (17, Script), (18, Script), (19, Script), (20, Script),
    (21, Not(NO_INTERFACE)),
    (22, Test("script `silent` of `flood`")),
    (23, Not("who opens asks for as long as it wants; SYNs of our own, behind a cookie or for an answer that was withheld, for a minute")),
    (24, Not(NO_INTERFACE)),
    (25, Not("a gateway cannot know what its ends want, and must get rid of dead ones: they are asked every two hours")),
    (26, Script), (27, Script),
    (28, Test("`spliced`: a_connection_outlives_hours_of_nothing_until_an_end_is_gone")),
    (29, Script),
    (30, Not(URGENT)), (31, Not(URGENT)), (32, Not(URGENT)), (33, Not(URGENT)),
    (34, Script), (35, Script), (36, Script), (37, Script), (38, Script), (39, Script), (40, Script),
    (41, Not(NO_INTERFACE)), (42, Not(NO_INTERFACE)), (43, Not(NO_INTERFACE)), (44, Not(NO_INTERFACE)),
    (45, Not(NO_INTERFACE)), (46, Not(NO_INTERFACE)), (47, Not(NO_INTERFACE)), (48, Not(NO_INTERFACE)),
    (49, Not(IP)), (50, Not(IP)), (51, Not(NO_INTERFACE)), (52, Not(NO_INTERFACE)), (53, Not(IP)),
    (54, Test("scripts 1191 and 5927-7.2; other errors pass to the ends")),
    (55, Not("source quench is no error that is looked at")),
    (56, Test("nothing of ICMP ends a connection; script 5927-7.4")),
    (57, Script), (58, Script), (59, Script), (60, Script), (61, Script),
    (62, Not(URGENT)),
    (63, Script),
    (64, Test("`wire::options`: reads_what_a_syn_of_linux_carries")),
    (65, Test("`wire::build`: only an opening has an MSS")),
    (66, Script),
    (67, Test("`spliced`: ends_are_told_of_a_smaller_segment_than_the_link_takes")),
    (68, Test("`wire::options`: ends_at_what_contradicts_itself")),
    (69, Test("`wire::build`: headers end with whole words of options, so there is nothing to pad")),
];

/// Numbers in the names of scripts.
fn scripted() -> BTreeSet<u8> {
    let names = [TABLE, FULL, KEEPALIVES].into_iter().flatten().flat_map(|(name, ..)| name.split(", "));
    names.filter_map(|name| name.strip_prefix("MUST-")?.parse().ok()).collect()
}

#[test]
fn every_must_of_rfc_9293_has_its_place() {
    let places: BTreeMap<_, _> = MUSTS.iter().map(|(number, shown)| (*number, shown)).collect();
    assert_eq!(places.keys().copied().collect::<Vec<_>>(), (1..=69).collect::<Vec<u8>>());
    assert_eq!(MUSTS.len(), 69, "one place each");
    let listed = places.iter().filter(|(_, shown)| matches!(shown, Script)).map(|(number, _)| *number);
    assert_eq!(listed.collect::<BTreeSet<_>>(), scripted(), "scripts by their names");
    for (number, shown) in places {
        let (kind, where_to) = match shown {
            Script => ("script", "MUST"),
            Test(place) => ("test", *place),
            Not(reason) => ("not ours", *reason),
        };
        println!("MUST-{number}: {kind}: {where_to}");
    }
}

/// RFC and section, what it requires, and the scripts that show it, or other tests.
const SECTIONS: &[(&str, &str, &[&str], &str)] = &[
    ("2018 2", "SACK only where it was permitted", &["2018-2"], "every host of the simulation asserts it"),
    ("2018 3", "the first block is of what just came, the next of what came before", &["2018-3"], ""),
    ("2018 4", "a block each time that something is out of order", &["2018-3", "5681-4.2"], ""),
    ("2018 5", "what was reported is not sent again; what was lost is", &["2018-5", "8985-6.2"], ""),
    (
        "2018 8",
        "a timeout forgets reports that were taken back; nothing is freed before it is acknowledged",
        &["2018-8"],
        "",
    ),
    ("2883 4", "what came twice is told, once and first", &["2883-4.1", "2883-4.2"], ""),
    (
        "5681 3",
        "slow start, fast retransmission, one segment after a timeout",
        &["5681-3.2", "6582-3.2", "6298-5"],
        "`cubic`",
    ),
    (
        "5961 3.2",
        "a reset must be exact, else it is challenged or dropped",
        &["5961-3.2-1", "5961-3.2-2", "5961-3.2-3"],
        "",
    ),
    ("5961 4.2", "a SYN is challenged", &["5961-4.2"], ""),
    ("5961 5.2", "acknowledgments in range only", &["5961-5.2-old", "5961-5.2-new"], ""),
    ("5961 7", "challenges are few", &["5961-7"], ""),
    (
        "7323 2.2",
        "scale by both or not at all, never in a SYN's window",
        &["7323-2.2"],
        "every host of the simulation asserts it",
    ),
    ("7323 2.3", "no shift above 14", &["7323-2.3"], ""),
    ("7323 3.2", "stamps in every segment but resets, once agreed", &["7323-3.2-all", "7323-3.2-rst"], ""),
    ("7323 4.3", "which stamp is echoed", &["7323-4.3", "7323-4.3-old"], ""),
    ("7323 5.3", "older stamps are dropped and acknowledged", &["7323-5.3-R1"], ""),
    ("7323 5.5", "a stamp grows old", &["7323-5.5-hours", "7323-5.5"], ""),
    ("8985 6.2", "losses by time, with patience for reordering", &["8985-6.2", "8985-6.2-timer"], "`rack`"),
    ("8985 7.3", "the tail is probed", &["8985-7.3"], ""),
    ("8985 7.4", "what the answer to a probe says", &[], "`probes`"),
    ("9937 6.2", "sending in proportion to what arrives", &["9937-6.2"], "`recovery`"),
];

#[test]
fn every_section_has_its_scripts() {
    let tables = [TABLE, FULL, rfc5961::TABLE, rfc7323::TABLE, RECEIVER, SENDER, PLAIN];
    let names: BTreeSet<_> = tables.into_iter().flatten().map(|(name, ..)| *name).collect();
    for (section, what, scripts, elsewhere) in SECTIONS {
        let absent: Vec<_> = scripts.iter().filter(|script| !names.contains(*script)).collect();
        assert!(absent.is_empty(), "RFC {section}, {what}: no script {absent:?}");
        assert!(!scripts.is_empty() || !elsewhere.is_empty(), "RFC {section} is shown nowhere");
    }
    // None of these scripts is there for nothing.
    let numbered = names
        .iter()
        .filter(|name| ["2018-", "5961-", "7323-", "8985-"].iter().any(|rfc| name.starts_with(rfc)));
    let told: BTreeSet<_> = SECTIONS.iter().flat_map(|(_, _, scripts, _)| *scripts).copied().collect();
    let untold: Vec<_> = numbered.filter(|name| !told.contains(**name)).collect();
    assert!(untold.is_empty(), "{untold:?}");
}
