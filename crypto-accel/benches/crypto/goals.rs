//! What this crate wants to be: so many times faster than the best of its peers.

use crate::ipsec_mb;
use crate::measure::Figure;
use crate::peer::{Algorithm, Case};

/// Sizes, and how many times the speed of intel-ipsec-mb we want with AES-128 and with AES-256.
const AGAINST_IPSEC_MB: [(usize, f64, f64); 8] = [
    (64, 3.2, 3.2),
    (128, 2.7, 2.7),
    (256, 2.2, 2.2),
    (512, 1.9, 1.8),
    (1024, 1.7, 1.6),
    (1420, 1.6, 1.5),
    (4096, 1.4, 1.35),
    (16384, 1.37, 1.3),
];

/// The goal and what was reached, if the case has a goal and its rival is there.
pub(crate) fn line(case: &Case, figures: &[Figure<'_>]) -> Option<String> {
    let ours = figures.iter().find(|figure| figure.peer.name.starts_with("ravelin"))?;
    let peers = || figures.iter().filter(|figure| !figure.peer.name.starts_with("ravelin"));
    let cheapest = |figures: &mut dyn Iterator<Item = &Figure<'_>>| {
        let best = figures.min_by(|a, b| a.ratio.total_cmp(&b.ratio))?;
        Some((best.peer.name.clone(), best.ratio))
    };
    let of_intel = || peers().filter(|figure| figure.peer.name.starts_with(ipsec_mb::NAME));
    let (rival, ratio, goal) = match case.algorithm {
        Algorithm::ChaCha20Poly1305 => cheapest(&mut peers()).map(|(name, ratio)| (name, ratio, 1.0))?,
        _ if case.keys > 1 => cheapest(&mut peers()).map(|(name, ratio)| (name, ratio, 1.0))?,
        long => {
            let row = AGAINST_IPSEC_MB.iter().find(|row| row.0 == case.size)?;
            let goal = if long == Algorithm::Aes256Gcm { row.2 } else { row.1 };
            cheapest(&mut of_intel()).map(|(name, ratio)| (name, ratio, goal))?
        }
    };
    Some(format!(
        "{:17} {} {:5} B {:4} keys | {:6.0} cycles | {ratio:.2} times as fast as {rival} | goal {goal:.2} | {:.2} of it",
        case.algorithm(),
        case.operation(),
        case.size,
        case.keys,
        ours.cycles,
        ratio / goal
    ))
}

/// All of them.
pub(crate) fn print(lines: &[String]) {
    println!("\nagainst the goals, best rival");
    for line in lines {
        println!("{line}");
    }
}
