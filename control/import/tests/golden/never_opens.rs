//! Policies that could be taken over for more than they say.

use ravelin_config::source::Source;
use ravelin_import::{nftables, pagent, stunnel, swanctl};

/// The file that comes of it.
fn of_filters(text: &str) -> Option<String> {
    let imported = nftables::import(&Source::from_text("n", text), nftables::Options::default()).ok()?;
    Some(imported.files[0].text.clone())
}

/// As [`of_filters`].
fn of_policy(text: &str) -> String {
    let imported = pagent::import(&[Source::from_text("p", text)], &pagent::Options::default()).unwrap();
    imported.files[0].text.clone()
}

/// As [`of_filters`], with whether anything was refused.
fn of_connections(text: &str) -> (String, bool) {
    let imported = swanctl::import(&Source::from_text("s", text)).unwrap();
    (imported.files[0].text.clone(), imported.report.has_refusals())
}

/// Rules of a file, each with its keys.
fn rules(text: &str) -> Vec<&str> {
    text.split("[[rule]]\n").skip(1).collect()
}

fn chain(policy: &str, rules: &str) -> String {
    format!(
        "table inet f {{\nchain input {{\ntype filter hook input priority 0; policy {policy};\n{rules}\n}}\n}}"
    )
}

#[test]
fn words_that_open_blocks_in_tables_begin_rules_in_chains() {
    for begin in ["counter", "limit rate 5/minute", "quota 5 mbytes"] {
        let text = of_filters(&chain("drop", &format!("{begin} tcp dport {{ 22, 80 }} accept"))).unwrap();
        for rule in rules(&text) {
            assert!(rule.contains("destination_port = [22, 80]"), "{text}");
        }
    }
    assert_eq!(of_filters(&chain("drop", "tcp dport vmap { 22 : jump { drop } } accept")), None);
    assert_eq!(of_filters(&chain("drop", "tcp dport 22 accept comment \"a\n tcp dport 23 accept\"")), None);
}

#[test]
fn a_line_goes_on_behind_a_backslash() {
    for text in ["tcp dport 22 \\\naccept", "tcp dport 22\\\n accept", "tcp \\\n dport 22 accept"] {
        let text = of_filters(&chain("drop", text)).unwrap();
        assert_eq!(rules(&text).len(), 1, "{text}");
        assert!(text.contains("destination_port = 22") && text.contains("permit"), "{text}");
    }
}

#[test]
fn no_part_of_a_chain_stands_elsewhere() {
    let whole = chain("accept", "tcp dport 22 drop");
    let part = "chain input { tcp dport 23 drop }";
    assert!(of_filters(&whole).is_some());
    assert_eq!(of_filters(&format!("{whole}\ntable inet f {{ {part} }}")), None);
    assert_eq!(of_filters(&format!("table inet f {{ {part} }}\n{whole}")), None);
    assert!(of_filters(&format!("{whole}\ntable inet g {{ {part} }}")).is_some());
    let of_ip = whole.replace("inet", "ip");
    assert_eq!(of_filters(&format!("{of_ip}\ntable f {{ {part} }}")), None);
    for line in ["include \"more.nft\"", "flags dormant", "tcp dport 23 drop"] {
        assert_eq!(of_filters(&whole.replacen("chain", &format!("{line}\nchain"), 1)), None, "{line}");
    }
}

#[test]
fn what_drops_and_is_read_in_part_denies_all() {
    for text in [
        "tcp dport 1000 - 2000 drop",
        "ip saddr 10.0.0.0 / 8 drop",
        "tcp dport 23 jump telnet",
        "tcp dport vmap { 22 : accept, 23 : drop } accept",
    ] {
        let text = of_filters(&chain("accept", text)).unwrap();
        let first = rules(&text)[0];
        let conditions = ["source", "destination", "protocol", "port"];
        assert!(first.contains("\"deny\"") && !conditions.iter().any(|key| first.contains(key)), "{text}");
    }
}

/// A policy whose one rule protects, with what stands in its key exchange policy, and beside all.
fn protecting(exchange: &str, beside: &str) -> String {
    format!(
        "IpFilterPolicy
{{
  IpFilterRule net
  {{
    IpSourceAddr All4
    IpDestAddr 10.1.0.0/16
    IpService
    {{
      Protocol All
      Direction BiDirectional
      Routing Local
    }}
    IpGenericFilterAction
    {{
      IpFilterAction IPSec
    }}
    IpDynVpnAction vpn
    {{
      IpDataOffer
      {{
        HowToEncap Tunnel
        HowToEncrypt AES_GCM_16 KeyLength 256
        HowToAuth ESP NULL
      }}
    }}
    IpLocalStartAction start
    {{
      LocalSecurityEndpoint
      {{
        Location 192.0.2.1
      }}
      RemoteSecurityEndpoint
      {{
        Location 198.51.100.1
      }}
    }}
  }}
}}
KeyExchangePolicy
{{
{exchange}
}}
{beside}
"
    )
}

/// A rule for an end that the rule of [`protecting`] is with.
fn exchange_with(name: &str, remote: &str, proof: &str, last: &str) -> String {
    format!(
        "KeyExchangeRule {name}
{{
  LocalSecurityEndpoint
  {{
    Location 192.0.2.1
    Identity IpAddr 192.0.2.1
  }}
  RemoteSecurityEndpoint
  {{
    {remote}
  }}
  KeyExchangeAction
  {{
    HowToInitiate IKEv2
    HowToAuthMe {proof}
    KeyExchangeOffer
    {{
      HowToEncrypt AES_CBC KeyLength 256
      HowToVerifyMsgs HMAC_SHA2_256_128
      PseudoRandomFunction HMAC_SHA2_256
      HowToAuthPeers {proof}
      DHGroup Group19
    }}
  }}
  {last}
}}"
    )
}

#[test]
fn key_exchange_is_looked_up_in_the_order_of_the_file() {
    let one = exchange_with("one", "Location 198.51.100.1\nIdentity Fqdn b.example", "RsaSignature", "");
    let any = exchange_with("any", "Location All", "PresharedKey", "SharedKey Ascii everybody-can-read");
    let group = format!("KeyExchangeGroup partners\n{{\n{one}\n}}");
    let partners = "KeyExchangeGroupRef partners\nKeyExchangeRuleRef any";
    let text = of_policy(&protecting(partners, &format!("{group}\n{any}")));
    assert!(text.contains("remote_id = \"b.example\"") && !text.contains("shared_key"), "{text}");
    // What is not found, or where an end cannot be read, may have been the one.
    for (first, group) in [
        ("KeyExchangeGroupRef missing\nKeyExchangeRuleRef any", String::new()),
        ("KeyExchangeRuleRef missing\nKeyExchangeRuleRef any", String::new()),
        (partners, group.replace("Location 198.51.100.1", "LocationRef missing")),
    ] {
        let text = of_policy(&protecting(first, &format!("{group}\n{any}")));
        assert!(text.contains("\"deny\"") && !text.contains("[[tunnel]]"), "{text}");
    }
}

#[test]
fn names_of_clients_are_not_passed_over() {
    let service =
        "[s]\naccept = 443\nconnect = 192.0.2.1:443\ncert = a.pem\nverifyChain = yes\nCAfile = ca.pem\n";
    let of = |text: &str| {
        let imported = stunnel::import(&Source::from_text("s", text)).unwrap();
        (imported.files[0].text.contains("\"refuse\""), imported.report.has_refusals())
    };
    assert_eq!(of(service), (false, false));
    for option in ["checkHost = admin.example", "checkIP = 192.0.2.9", "checkEmail = a@b.example"] {
        assert_eq!(of(&format!("{option}\n{service}")), (true, true), "{option}");
        assert_eq!(of(&format!("{service}{option}\n")), (true, true), "{option}");
    }
}

#[test]
fn a_tunnel_for_the_host_itself_leads_nobody_behind_it() {
    let one =
        exchange_with("one", "Location 198.51.100.1", "PresharedKey", "SharedKey Ascii everybody-can-read");
    let policy = protecting(&one, "");
    let text = of_policy(&policy);
    assert!(rules(&text)[0].contains("routing = \"local\"\naction = \"ipsec\""), "{text}");
    let text = of_policy(&policy.replace("Routing Local", "Routing Routed"));
    assert!(rules(&text)[0].contains("routing = \"routed\"\naction = \"ipsec\""), "{text}");
    let text = of_policy(&policy.replace("Routing Local", "Routing Either"));
    assert!(!rules(&text)[0].contains("routing"), "{text}");
    // What is refused is for all that it may have been for.
    let text = of_policy(&policy.replace("Routing Local", "Routing Local\nSecurityClass 7"));
    assert!(!rules(&text)[0].contains("routing") && text.contains("\"deny\""), "{text}");
}

/// A connection to the peer, with one child.
fn connection(name: &str, peer: &str, child: &str) -> String {
    format!(
        "{name} {{\nlocal_addrs = 192.0.2.1\nremote_addrs = {peer}\nlocal {{ auth = psk }}\nremote {{ auth = psk }}\n\
         children {{\nnet {{\nlocal_ts = 10.0.0.0/8\n{child}\n}}\n}}\n}}\n"
    )
}

/// Two connections with what their children say.
fn two(a: &str, b: &str) -> String {
    let (a, b) = (connection("a", "198.51.100.1", a), connection("b", "198.51.100.2", b));
    format!("connections {{\n{a}{b}}}\n")
}

#[test]
fn the_narrower_child_stands_first() {
    for turned in [false, true] {
        let (a, b) = ("remote_ts = 172.16.0.0/12", "remote_ts = 172.17.0.0/16");
        let (text, refused) = of_connections(&if turned { two(b, a) } else { two(a, b) });
        let rules: Vec<&str> = rules(&text).into_iter().filter(|rule| rule.contains("ipsec")).collect();
        assert!(!refused && rules.len() == 2 && rules[0].contains("172.17.0.0/16"), "{text}");
    }
    for (a, b) in [
        ("remote_ts = 172.16.0.0/12", "remote_ts = 172.16.0.0/12"),
        ("remote_ts = 172.16.0.0-172.16.0.9", "remote_ts = 172.16.0.5-172.16.0.12"),
        ("remote_ts = 172.16.0.0/12,172.17.1.0/24", "remote_ts = 172.17.0.0/16"),
        ("remote_ts = 172.16.0.0/12,172.31.5.0/24", "remote_ts = 172.31.0.0/16,172.17.1.0/24"),
    ] {
        let (text, refused) = of_connections(&two(a, b));
        assert!(refused && !text.contains("ipsec\"") && text.matches("\"deny\"").count() == 2, "{text}");
    }
    // What is not known may be for anything, and what strongSwan prefers is for all that it says: both are denied before all.
    for other in [
        "remote_ts = 172.17.0.0/16[tcp/80]",
        "remote_ts = 172.16.0.0/12\npriority = 9",
        "remote_ts = 172.16.0.0/12\nmode = drop",
    ] {
        let (text, refused) = of_connections(&two("remote_ts = 172.16.0.0/16", other));
        let denied = text.find("\"deny\"").unwrap();
        assert!(refused && denied < text.find("\"ipsec\"").unwrap(), "{text}");
    }
}

#[test]
fn children_narrower_in_a_circle_are_denied() {
    let child =
        |name: &str, traffic: &str| connection(name, "198.51.100.1", &format!("remote_ts = {traffic}"));
    let a = child("a", "172.16.0.0/16,172.18.1.0/24");
    let b = child("b", "172.16.1.0/24,172.17.0.0/16");
    let c = child("c", "172.17.1.0/24,172.18.0.0/16");
    let (text, refused) = of_connections(&format!("connections {{\n{a}{b}{c}}}\n"));
    assert!(refused && text.matches("\"deny\"").count() == 3, "{text}");
}

#[test]
fn ike_is_permitted_at_our_own_ports_alone() {
    let (text, _) = of_connections(&two("remote_ts = 172.16.0.0/16", "remote_ts = 172.17.0.0/16"));
    let permits: Vec<&str> = rules(&text).into_iter().filter(|rule| rule.contains("permit")).collect();
    assert!(permits.len() == 1 && permits[0].contains("source_port = [500, 4500]"), "{text}");
    assert!(!permits[0].contains("destination"), "{text}");
}

#[test]
fn what_is_asked_of_certificates_is_not_softened() {
    let of = |proof: &str| {
        let child = "remote_ts = 172.16.0.0/16";
        let whole = format!("connections {{\n{}}}\n", connection("a", "198.51.100.1", child));
        of_connections(&whole.replace("remote { auth = psk }", &format!("remote {{\n{proof}\n}}")))
    };
    for (word, ours) in [("strict", "hard"), ("ifuri", "hard"), ("relaxed", "soft")] {
        let (text, refused) = of(&format!("auth = pubkey\nrevocation = {word}"));
        assert!(!refused && text.contains(&format!("revocation = \"{ours}\"")), "{text}");
    }
    for proof in
        ["auth = pubkey-sha512", "auth = pubkey-rsa-4096", "auth = pubkey\nrevocation = no", "auth = psk-x"]
    {
        let (text, refused) = of(proof);
        assert!(refused && text.contains("\"deny\"") && !text.contains("[[tunnel]]"), "{text}");
    }
}

/// z/OS fails there where a responder does not answer.
#[test]
fn a_level_that_wants_answers_is_hard() {
    let common = Source::from_text("c", include_str!("cics-mq/in/common.policy"));
    for level in [
        "RevocationSecurityLevel Medium",
        "RevocationSecurityLevel High",
        "TTLSGskLdapParms\n{\nCRLSecurityLevel High\n}\n",
    ] {
        let text = include_str!("cics-mq/in/stack.policy").replace("RevocationSecurityLevel High", level);
        let stack = Source::from_text("s", text);
        let imported = pagent::import(&[common.clone(), stack], &pagent::Options::default()).unwrap();
        assert!(imported.files[0].text.contains("revocation = \"hard\""), "{level}");
    }
}
