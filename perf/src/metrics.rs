//! Prometheus text, read back: what a test wants to know of the metrics.

use anyhow::{Context, Result, bail};

/// Samples of one scrape.
#[derive(Debug, Clone, PartialEq)]
pub struct Metrics {
    samples: Vec<Sample>,
}

/// One line: `name{label="value",...} number`.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Name of the metric.
    pub name: String,
    /// Labels in order of the text.
    pub labels: Vec<(String, String)>,
    /// The value.
    pub value: f64,
}

impl Metrics {
    /// Reads the text format. An error at the first line that is not in it.
    pub fn parse(text: &str) -> Result<Self> {
        let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        let sample = |line| Sample::parse(line).with_context(|| format!("not a sample: {line}"));
        Ok(Self { samples: lines.map(sample).collect::<Result<_>>()? })
    }

    /// The sum of all samples of `name` that have all these labels, or `None` when there is none: a test that asks for a metric
    /// that does not exist must not read a zero.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let matching = self.samples.iter().filter(|sample| sample.name == name && sample.has(labels));
        matching.map(|sample| sample.value).reduce(|sum, value| sum + value)
    }

    /// All samples of `name`.
    pub fn samples(&self, name: &str) -> impl Iterator<Item = &Sample> {
        self.samples.iter().filter(move |sample| sample.name == name)
    }
}

impl Sample {
    /// The value of a label.
    pub fn label(&self, name: &str) -> Option<&str> {
        self.labels.iter().find(|(label, _)| label == name).map(|(_, value)| value.as_str())
    }

    fn has(&self, labels: &[(&str, &str)]) -> bool {
        labels.iter().all(|(name, value)| self.label(name) == Some(value))
    }

    fn parse(line: &str) -> Result<Self> {
        let (name, rest) = line.split_at(line.find(['{', ' ']).context("no value")?);
        let (labels, value) = match rest.strip_prefix('{') {
            Some(rest) => parse_labels(rest)?,
            None => (Vec::new(), rest),
        };
        Ok(Self { name: name.to_owned(), labels, value: value.trim().parse()? })
    }
}

/// The labels, and what follows the closing brace.
fn parse_labels(mut text: &str) -> Result<(Vec<(String, String)>, &str)> {
    let mut labels = Vec::new();
    loop {
        if let Some(rest) = text.strip_prefix('}') {
            return Ok((labels, rest));
        }
        let (name, rest) = text.split_once("=\"").context("a label has no value")?;
        let (value, rest) = parse_value(rest)?;
        labels.push((name.to_owned(), value));
        text = rest.strip_prefix(',').unwrap_or(rest);
    }
}

/// A quoted value with its escapes undone, and what follows the closing quote.
fn parse_value(text: &str) -> Result<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Ok((value, &text[at + 1..])),
            '\\' => match characters.next().context("ends in an escape")?.1 {
                'n' => value.push('\n'),
                other => value.push(other),
            },
            other => value.push(other),
        }
    }
    bail!("a quote is not closed")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
# HELP a_total What it is.
# TYPE a_total counter
a_total{port=\"lan0\",verdict=\"replayed\"} 3
a_total{port=\"wan0\",verdict=\"replayed\"} 4
a_total{port=\"wan0\",verdict=\"denied\"} 1e2

b{text=\"a \\\"b\\\\c\\n,}\"} -1.5
c 7
";

    #[test]
    fn sums_are_over_the_labels_asked_for() {
        let metrics = Metrics::parse(TEXT).unwrap();
        assert_eq!(metrics.sum("a_total", &[("verdict", "replayed")]), Some(7.0));
        assert_eq!(metrics.sum("a_total", &[("verdict", "denied"), ("port", "wan0")]), Some(100.0));
        assert_eq!(metrics.sum("a_total", &[]), Some(107.0));
        assert_eq!(metrics.sum("c", &[]), Some(7.0));
        assert_eq!(metrics.sum("a_total", &[("verdict", "forwarded")]), None);
        assert_eq!(metrics.sum("a", &[]), None);
    }

    #[test]
    fn escapes_are_undone() {
        let metrics = Metrics::parse(TEXT).unwrap();
        assert_eq!(metrics.samples("b").next().unwrap().label("text"), Some("a \"b\\c\n,}"));
    }

    #[test]
    fn what_is_not_a_sample_is_an_error() {
        for line in ["a", "a{", "a{b}", "a{b=\"c} 1", "a{b=\"c\"}", "a x", "a{b=\"c\\"] {
            assert!(Metrics::parse(line).is_err(), "{line}");
        }
    }
}
