//! "Did you mean": the nearest of some words.

/// The word that was meant: one that goes on where `wrong` ends, else the nearest one if it is near enough.
pub fn nearest<'a>(wrong: &str, words: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wrong = wrong.to_lowercase();
    let length = wrong.chars().count();
    let limit = (length / 4).max(1);
    let rank = |word: &str| match word.to_lowercase() {
        word if length > 1 && word.starts_with(&wrong) => 0,
        word => distance(&wrong, &word),
    };
    let ranked = words.into_iter().map(|word| (rank(word), word));
    ranked.filter(|(rank, _)| *rank <= limit).min_by_key(|(rank, _)| *rank).map(|(_, word)| word)
}

/// A remedy: `did you mean "word"?`, or `otherwise`.
pub fn did_you_mean<'a>(wrong: &str, words: impl IntoIterator<Item = &'a str>, otherwise: &str) -> String {
    match nearest(wrong, words) {
        Some(word) => format!("did you mean {word:?}?"),
        None => otherwise.to_owned(),
    }
}

/// Least number of insertions, removals, replacements and swaps of neighbours that make `a` of `b`.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(64).collect(), b.chars().take(64).collect());
    let mut before = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let same = usize::from(a[i - 1] != b[j - 1]);
            let mut least = (above[j] + 1).min(row[j - 1] + 1).min(above[j - 1] + same);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                let swapped: &Vec<usize> = &before;
                least = least.min(swapped[j - 2] + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_word_that_was_meant() {
        let words = ["source", "destination", "protocol"];
        assert_eq!(nearest("suorce", words), Some("source"));
        assert_eq!(nearest("Destinaton", words), Some("destination"));
        assert_eq!(nearest("proto", words), Some("protocol"));
        assert_eq!(nearest("tunnel", words), None);
    }

    #[test]
    fn counts_single_edits() {
        for (a, b, expected) in [("", "abc", 3), ("abc", "abc", 0), ("abc", "acb", 1), ("abc", "xbcd", 2)] {
            assert_eq!(distance(a, b), expected, "{a} {b}");
            assert_eq!(distance(b, a), expected, "{b} {a}");
        }
    }
}
