//! No text makes an importer panic, and each line of a policy that is taken over is in its report.

use proptest::prelude::*;
use ravelin_config::source::Source;
use ravelin_import::{nftables, pagent, stunnel, swanctl};

const SAMPLES: [&str; 6] = [
    include_str!("two-hosts/in/ipsec.policy"),
    include_str!("ikev2-nat/in/ipsec.policy"),
    include_str!("rshd/in/rshd.policy"),
    include_str!("tn3270/in/attls.policy"),
    include_str!("zowe/in/zowe.policy"),
    include_str!("mistakes/in/attls.policy"),
];

const OTHERS: [&str; 4] = [
    include_str!("stunnel/in/stunnel.conf"),
    include_str!("swanctl/in/swanctl.conf"),
    include_str!("nftables/in/gateway.nft"),
    include_str!("nftables-states/in/states.nft"),
];

/// A sample with a few of its lines removed, doubled, exchanged or replaced.
fn of(samples: &[&'static str]) -> impl Strategy<Value = String> + use<> {
    let line = prop_oneof![
        Just("{".to_owned()),
        Just("}".to_owned()),
        Just("TTLSRule X".to_owned()),
        Just("TTLSCipherParmsRef".to_owned()),
        Just("IpFilterRuleRef IKE".to_owned()),
        Just("IpService".to_owned()),
        Just("chain input {".to_owned()),
        Just("ct state { established".to_owned()),
        Just("local { auth = psk }".to_owned()),
        Just("LocalPortRange 9-1".to_owned()),
        Just("#".to_owned()),
        "\\PC{0,30}",
    ];
    let edits = proptest::collection::vec((any::<prop::sample::Index>(), line, 0u8..3), 0..8);
    (prop::sample::select(samples.to_vec()), edits).prop_map(|(text, edits)| {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        for (at, line, how) in edits {
            let at = at.index(lines.len().max(1)).min(lines.len().saturating_sub(1));
            match how {
                _ if lines.is_empty() => lines.push(line),
                0 => drop(lines.remove(at)),
                1 => lines.insert(at, line),
                _ => lines[at] = line,
            }
        }
        lines.join("\n")
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]
    #[test]
    fn any_policy_is_taken_over_or_refused(text in of(&SAMPLES), any_job in any::<bool>()) {
        let options = pagent::Options { any_job, ..Default::default() };
        match pagent::import(&[Source::from_text("p", text.as_str())], &options) {
            Ok(imported) => {
                let lines = text.lines().map(|line| line.trim()).filter(|line| !line.is_empty());
                let meant = lines.filter(|line| !line.starts_with(['#', '{', '}'])).count();
                prop_assert_eq!(imported.report.items().len(), meant);
                prop_assert!(!imported.report.summary().is_empty());
            }
            Err(findings) => prop_assert!(findings.has_errors() && !findings.render(false).is_empty()),
        }
    }

    #[test]
    fn any_damaged_filters_and_connections_are_taken_over_or_refused(text in of(&OTHERS)) {
        let _ = swanctl::import(&Source::from_text("s", text.as_str()));
        let _ = stunnel::import(&Source::from_text("t", text.as_str()));
        let _ = nftables::import(&Source::from_text("n", text), nftables::Options { stateless: true });
    }

    #[test]
    fn any_text_is_taken_over_or_refused(text in "(\\PC|[\n{}# ]){0,200}") {
        let _ = pagent::import(&[Source::from_text("p", text.as_str())], &pagent::Options::default());
        let _ = swanctl::import(&Source::from_text("s", text.as_str()));
        let _ = stunnel::import(&Source::from_text("t", text.as_str()));
        let _ = nftables::import(&Source::from_text("n", text), nftables::Options::default());
    }
}
