//! A table for people and a file for scripts.

use crate::measure::Figure;
use crate::peer::{Case, Peer};

/// Says which implementations take part and which do not, and why.
pub(crate) fn name_absent(peers: &[Peer]) {
    for peer in peers {
        match &peer.expand {
            Ok(_) => println!("{:22} {}", peer.name, peer.version),
            Err(why) => println!("{:22} absent: {why}", peer.name),
        }
    }
    println!();
}

/// Says what the lines show.
pub(crate) fn head() {
    println!("cycles per packet, and in brackets how many times the cycles of the first");
}

/// One line of the table.
pub(crate) fn print(case: &Case, figures: &[Figure<'_>]) {
    print!("{:17} {} {:5} B {:4} keys |", case.algorithm(), case.operation(), case.size, case.keys);
    for figure in figures {
        print!(" {} {:.0} ({:.2}) |", figure.peer.name, figure.cycles, figure.ratio);
    }
    println!();
}

/// The same as JSON objects.
pub(crate) fn rows(case: &Case, figures: &[Figure<'_>]) -> Vec<String> {
    let row = |figure: &Figure<'_>| {
        format!(
            r#"{{"impl":"{}","version":"{}","alg":"{}","op":"{}","size":{},"keys":{},"cycles_median":{:.1},"ratio_median":{:.3}}}"#,
            figure.peer.name,
            figure.peer.version,
            case.algorithm(),
            case.operation(),
            case.size,
            case.keys,
            figure.cycles,
            figure.ratio
        )
    };
    figures.iter().map(row).collect()
}

/// Writes all rows; the path is relative to the workspace.
pub(crate) fn write(path: &str, rows: &[String]) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    let folder = path.parent().expect("the path has a folder");
    std::fs::create_dir_all(folder).expect("the target folder can be written");
    std::fs::write(&path, format!("[\n{}\n]\n", rows.join(",\n"))).expect("the target folder can be written");
    println!("\nwrote {}", path.display());
}
