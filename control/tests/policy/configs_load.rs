//! Every file under `configs/` is right as it stands, and the two ends of a tunnel fit together.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use ravelin_config::appliance::Appliance;
use ravelin_config::default_filters::DefaultFilters;
use ravelin_contract::sa::{Carrier, Mode, Sa};
use ravelin_control::policy::Compiled;
use ravelin_control::policy::files::{Files, Paths};
use ravelin_control::policy::management::Site;

fn configs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs")
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let is_crate = |path: &PathBuf| path.join("Cargo.toml").exists();
    entries
        .filter(|path| !is_crate(path))
        .flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] })
        .collect()
}

/// A copy of a gateway's folder with keys of mode 0600, which git does not keep.
fn copied(folder: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for file in files(folder) {
        let to = copy.path().join(file.file_name().unwrap());
        std::fs::copy(&file, &to).unwrap();
        std::fs::set_permissions(&to, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    copy
}

/// The policy of a gateway, from all its files, as both processes read them.
fn gateway(folder: &Path) -> Compiled {
    let copy = copied(folder);
    let (appliance, warnings) =
        Appliance::load(&copy.path().join("ravelin.toml")).unwrap_or_else(|e| panic!("{e}"));
    assert!(warnings.is_empty(), "{warnings}");
    let (_, warnings) = DefaultFilters::load(&appliance.dataplane.default_filters, &appliance.zones())
        .unwrap_or_else(|e| panic!("{e}"));
    assert!(warnings.is_empty(), "{warnings}");
    let (site, warnings) = Site::of(&appliance).unwrap_or_else(|e| panic!("{e}"));
    assert!(warnings.is_empty(), "{warnings}");
    let compiled = Files::read(&Paths::of(&appliance.control)).and_then(|files| files.compile(&site));
    let compiled = compiled.unwrap_or_else(|e| panic!("{e}"));
    assert!(compiled.warnings.is_empty(), "{}", compiled.warnings);
    compiled
}

#[test]
fn keys_that_others_may_read_are_refused() {
    let copy = copied(&configs().join("two-hosts"));
    let keys = copy.path().join("keys.toml");
    std::fs::set_permissions(&keys, std::fs::Permissions::from_mode(0o644)).unwrap();
    let (appliance, _) = Appliance::load(&copy.path().join("ravelin.toml")).unwrap();
    let said = Files::read(&Paths::of(&appliance.control)).unwrap_err().to_string();
    assert!(said.contains("mode 0644") && said.contains("chmod 0600"), "{said}");
}

#[test]
fn every_file_loads() {
    let mut gateways = 0;
    for file in files(&configs()) {
        let folder = file.parent().unwrap();
        match file.file_name().unwrap().to_str().unwrap() {
            "ravelin.toml" => {
                gateway(folder);
                gateways += 1;
            }
            "ipsec.toml" | "attls.toml" | "expect.toml" | "keys.toml" | "default-filters.toml" => {
                assert!(folder.join("ravelin.toml").exists(), "{} is read by no gateway", file.display());
            }
            "README.md" => {}
            other => panic!("no test loads {other} of {}", folder.display()),
        }
    }
    assert_eq!(gateways, 13);
}

#[test]
fn what_one_gateway_seals_the_other_opens() {
    for (scenario, nat) in [("site-to-site", false), ("nat-traversal", true)] {
        let ends = ["gw-a", "gw-b"].map(|end| gateway(&configs().join(scenario).join(end)).snapshot);
        for (from, to) in [(0, 1), (1, 0)] {
            let seal = ends[from].sas.iter().find(|sa| sa.is_outbound()).unwrap();
            let open = ends[to].sas.iter().find(|sa| !sa.is_outbound()).unwrap();
            assert_eq!((seal.spi, &seal.transform), (open.spi, &open.transform));
            assert_eq!((seal.mode, seal.extended_sequence), (open.mode, open.extended_sequence));
            assert_eq!(seal.selectors, open.selectors);
            assert_eq!(matches!(seal.carrier, Carrier::Udp { .. }), nat);
            assert_eq!((seal.local, seal.remote) == (open.remote, open.local), !nat);
        }
    }
}

/// The rule for TLS before one application, as an operator may begin: it loads, and says what its `expect.toml` expects.
#[test]
fn one_application_needs_at_most_eight_lines() {
    let folder = configs().join("one-application");
    let text = std::fs::read_to_string(folder.join("attls.toml")).unwrap();
    assert!(text.lines().count() <= 8);
    let compiled = gateway(&folder);
    assert_eq!((compiled.held, compiled.attls.plans.len()), (3, 1));
}

#[test]
fn two_hosts_need_at_most_fifteen_lines() {
    let folder = configs().join("two-hosts");
    let text = std::fs::read_to_string(folder.join("ipsec.toml")).unwrap();
    assert!(text.lines().count() <= 15);
    let compiled = gateway(&folder);
    assert_eq!(compiled.held, 3);
    let sas: Vec<Sa> = compiled.snapshot.sas;
    assert!(sas.len() == 2 && sas.iter().all(|sa| sa.mode == Mode::Transport));
}
