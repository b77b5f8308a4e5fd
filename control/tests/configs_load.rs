//! Every file under `configs/` is right as it stands, and the two ends of a tunnel fit together.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use ravelin_config::appliance::Appliance;
use ravelin_config::default_filters::DefaultFilters;
use ravelin_config::source::Source;
use ravelin_contract::sa::{Carrier, Mode, Sa};
use ravelin_control::policy::{self, Compiled};

fn configs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs")
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let not_ours = |path: &PathBuf| path.ends_with("configs/format");
    entries
        .filter(|path| !not_ours(path))
        .flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] })
        .collect()
}

/// The folder of one gateway, its policy compiled as the control process would. Git does not keep mode 0600, so the
/// keys are read from a copy that has it.
fn gateway(folder: &Path) -> Compiled {
    let (appliance, warnings) =
        Appliance::load(&folder.join("ravelin.toml")).unwrap_or_else(|e| panic!("{e}"));
    assert!(warnings.is_empty(), "{warnings}");
    let zones = appliance.zones();
    let (_, warnings) =
        DefaultFilters::load(&appliance.dataplane.default_filters, &zones).unwrap_or_else(|e| panic!("{e}"));
    assert!(warnings.is_empty(), "{warnings}");
    let files: Vec<_> = appliance.control.policy.iter().map(|path| Source::read(path).unwrap()).collect();
    let directory = tempfile::tempdir().unwrap();
    let copy = directory.path().join("keys.toml");
    let keys = appliance.control.keys.exists().then(|| {
        std::fs::copy(&appliance.control.keys, &copy).unwrap();
        std::fs::set_permissions(&copy, std::fs::Permissions::from_mode(0o600)).unwrap();
        Source::read_secret(&copy).unwrap()
    });
    let compiled = policy::load(&files, keys.as_ref(), &zones).unwrap_or_else(|e| panic!("{e}"));
    assert!(compiled.warnings.is_empty(), "{}", compiled.warnings);
    compiled
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
            "ipsec.toml" | "keys.toml" | "default-filters.toml" => {
                assert!(folder.join("ravelin.toml").exists(), "{} is read by no gateway", file.display());
            }
            "README.md" => {}
            other => panic!("no test loads {other} of {}", folder.display()),
        }
    }
    assert_eq!(gateways, 6);
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

#[test]
fn two_hosts_need_at_most_fifteen_lines() {
    let folder = configs().join("two-hosts");
    let text = std::fs::read_to_string(folder.join("ipsec.toml")).unwrap();
    assert!(text.lines().count() <= 15);
    let sas: Vec<Sa> = gateway(&folder).snapshot.sas;
    assert!(sas.len() == 2 && sas.iter().all(|sa| sa.mode == Mode::Transport));
}
