//! Which version of a crate this program was built with.

/// Of the crates of one name, the newest: those of this workspace come last in `Cargo.lock`.
pub(crate) fn version(name: &str) -> String {
    let lock = include_str!("../../../Cargo.lock");
    let wanted = format!("name = \"{name}\"");
    let mut lines = lock.lines();
    let mut found = String::from("?");
    while lines.any(|line| line == wanted) {
        let version = lines.next().and_then(|line| line.split('"').nth(1));
        found = version.unwrap_or("?").to_owned();
    }
    found
}
