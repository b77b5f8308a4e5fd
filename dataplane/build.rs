//! Compiles the XDP program, or takes the checked-in object where there is no clang.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs, io};

use sha2::{Digest, Sha256};

const SOURCE: &str = "steer.bpf.c";
const OBJECT: &str = "steer.bpf.o";
/// SHA-256 of source and object, as `sha256sum` writes them.
const SUMS: &str = "steer.bpf.sha256";

fn main() {
    let folder = PathBuf::from(variable("CARGO_MANIFEST_DIR")).join("bpf");
    let object = PathBuf::from(variable("OUT_DIR")).join(OBJECT);
    for name in [SOURCE, OBJECT, SUMS] {
        println!("cargo::rerun-if-changed={}", folder.join(name).display());
    }
    println!("cargo::rerun-if-env-changed=RAVELIN_NO_CLANG");
    if let Err(reason) = compile(&folder, &object) {
        println!("cargo::warning=clang did not run ({reason}); taking the checked-in {OBJECT}");
        take_checked_in(&folder, &object);
    }
}

/// Runs clang. An error means that there is none; a program that does not compile ends the build.
fn compile(folder: &Path, object: &Path) -> io::Result<()> {
    if env::var_os("RAVELIN_NO_CLANG").is_some() {
        return Err(io::Error::other("RAVELIN_NO_CLANG is set"));
    }
    // The prefix map takes this machine's paths out of the object: equal sources make equal objects.
    let prefix = format!("-fdebug-prefix-map={}=.", folder.display());
    let status = Command::new("clang")
        .current_dir(folder)
        .args(["-O2", "-g", "-target", "bpf", "-mcpu=v3", "-Wall", "-Wextra", "-Werror"])
        .arg(prefix)
        .args(kernel_headers())
        .args(["-c", SOURCE, "-o"])
        .arg(object)
        .status()?;
    assert!(status.success(), "clang refused bpf/{SOURCE}");
    Ok(())
}

/// Where Debian keeps the `asm` headers of this machine; other systems have them in the default place.
fn kernel_headers() -> Option<String> {
    let folder = format!("/usr/include/{}-linux-gnu", env::consts::ARCH);
    Path::new(&folder).is_dir().then(|| format!("-I{folder}"))
}

fn take_checked_in(folder: &Path, object: &Path) {
    let sums = read(&folder.join(SUMS));
    let sums = String::from_utf8_lossy(&sums);
    for name in [SOURCE, OBJECT] {
        let line = format!("{}  {name}", sha256(&read(&folder.join(name))));
        assert!(
            sums.lines().any(|known| known == line),
            "bpf/{name} is not what bpf/{SUMS} says; install clang"
        );
    }
    fs::write(object, read(&folder.join(OBJECT))).expect("OUT_DIR can be written");
}

fn sha256(octets: &[u8]) -> String {
    Sha256::digest(octets).iter().map(|octet| format!("{octet:02x}")).collect()
}

fn read(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("cargo sets {name}"))
}
