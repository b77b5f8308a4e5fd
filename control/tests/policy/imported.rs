//! What the importers make is asked of the real checker: each file of their golden folders loads without an error, and says of
//! packets what the `expect.toml` beside it expects.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use std::path::Path;

use ravelin_config::source::Source;
use ravelin_contract::name::Name;
use ravelin_control::policy::files::Files;
use ravelin_control::policy::management::Site;

/// A policy that `attls.toml` lies beside where there is no other.
const BESIDE: &str = "[[rule]]\nname = \"all\"\naction = \"permit\"\n";

fn source(path: &Path) -> Option<Source> {
    path.exists().then(|| Source::read(path).unwrap())
}

fn files(folder: &Path) -> Files {
    let policy =
        source(&folder.join("out/ipsec.toml")).unwrap_or_else(|| Source::from_text("ipsec.toml", BESIDE));
    // The example keys of a test are no secret: git keeps no modes.
    let keys = std::fs::read_to_string(folder.join("keys.toml")).ok();
    Files {
        policy: vec![policy],
        keys: keys.map(|text| Source::from_secret("keys.toml", text)),
        attls: source(&folder.join("out/attls.toml")),
        expect: source(&folder.join("expect.toml")),
    }
}

#[test]
fn what_is_imported_is_right_and_says_what_is_expected() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("import/tests/golden");
    let zones = ["lan", "wan"].map(|zone| Name::new(zone).unwrap());
    let (mut loaded, mut expected) = (0, 0);
    for entry in std::fs::read_dir(golden).unwrap() {
        let folder = entry.unwrap().path();
        let made = ["out/ipsec.toml", "out/attls.toml"].map(|name| folder.join(name).exists());
        if made == [false, false] {
            continue;
        }
        let compiled = files(&folder).compile(&Site::with(&zones));
        let compiled = compiled.unwrap_or_else(|findings| panic!("{}:\n{findings}", folder.display()));
        expected += compiled.held;
        loaded += 1;
    }
    assert!(
        loaded >= 15 && expected >= 65,
        "{loaded} policies, {expected} expectations: looked in the wrong place"
    );
}
