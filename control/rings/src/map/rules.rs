//! The rules and their file.

use serde::{Deserialize, Serialize};

use super::pattern::{NamePattern, Pattern};
use crate::certificate::Certificate;
use crate::replace::replace;
use crate::store::Rings;
use crate::{Error, Result};

/// One rule: certificates that fit all that it names stand for its identity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Its name, unique.
    pub name: String,
    /// Whom such certificates stand for: a user of this host, or any name that policy speaks of.
    pub identity: String,
    /// Who must have issued them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<NamePattern>,
    /// Whose they must be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<NamePattern>,
    /// What alternative name they must have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub san: Option<Pattern>,
}

/// All rules.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    /// In the order in which they were added.
    #[serde(default)]
    pub rule: Vec<Rule>,
}

/// What the rules say of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Match<'a> {
    /// The most specific rule that fits.
    pub rule: &'a Rule,
    /// How many others fit too.
    pub others: usize,
}

impl Rule {
    fn fits(&self, certificate: &Certificate) -> bool {
        let parts = certificate.parts();
        let names = parts.get_extension::<x509_cert::ext::pkix::SubjectAltName>().ok().flatten();
        let names = names.map(|(_, names)| names.0).unwrap_or_default();
        self.issuer.as_ref().is_none_or(|pattern| pattern.matches(parts.issuer()))
            && self.subject.as_ref().is_none_or(|pattern| pattern.matches(parts.subject()))
            && self.san.as_ref().is_none_or(|pattern| pattern.matches(&names))
    }

    /// How specific it is: first how many things it looks at, then how much it says of them.
    fn weight(&self) -> (usize, usize) {
        let weights = [
            self.issuer.as_ref().map(NamePattern::weight),
            self.subject.as_ref().map(NamePattern::weight),
            self.san.as_ref().map(Pattern::weight),
        ];
        (weights.iter().flatten().count(), weights.iter().flatten().sum())
    }

    fn criteria(&self) -> (&Option<NamePattern>, &Option<NamePattern>, &Option<Pattern>) {
        (&self.issuer, &self.subject, &self.san)
    }
}

impl Rules {
    /// The most specific rule that fits a certificate, which must have been verified before; of equals the first.
    pub fn find(&self, certificate: &Certificate) -> Option<Match<'_>> {
        let fitting: Vec<&Rule> = self.rule.iter().filter(|rule| rule.fits(certificate)).collect();
        // `max_by_key` takes the last of equals.
        let rule = fitting.iter().rev().max_by_key(|rule| rule.weight())?;
        Some(Match { rule, others: fitting.len() - 1 })
    }

    /// Adds a rule.
    pub fn add(&mut self, rule: Rule) -> Result<()> {
        let unfit = |problem: String| Err(Error::Unfit(problem));
        if rule.weight().0 == 0 {
            return unfit(format!("rule {} names no issuer, subject or alternative name", rule.name));
        }
        if let Some(known) = self.rule.iter().find(|known| known.name == rule.name) {
            return unfit(format!("there is a rule {} already; delete it first", known.name));
        }
        if let Some(known) = self.rule.iter().find(|known| known.criteria() == rule.criteria()) {
            return unfit(format!("rule {} maps the same certificates to {}", known.name, known.identity));
        }
        self.rule.push(rule);
        Ok(())
    }

    /// Removes a rule.
    pub fn delete(&mut self, name: &str) -> Result<()> {
        let before = self.rule.len();
        self.rule.retain(|rule| rule.name != name);
        match self.rule.len() < before {
            true => Ok(()),
            false => Err(Error::Unfit(format!("there is no rule {name}; see `ravelin cert map list`"))),
        }
    }

    /// Reads the rules beside the rings; none when there is no file.
    pub fn load(rings: &Rings) -> Result<Self> {
        let path = rings.root().join(".maps.toml");
        match std::fs::read_to_string(&path) {
            Ok(text) => {
                toml::from_str(&text).map_err(|e| Error::format(path.display().to_string(), e.to_string()))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(Error::io("read", &path)(error)),
        }
    }

    /// Writes them; a power cut leaves the old ones.
    pub fn store(&self, rings: &Rings) -> Result<()> {
        let path = rings.root().join(".maps.toml");
        let text =
            toml::to_string(self).map_err(|e| Error::format(path.display().to_string(), e.to_string()))?;
        std::fs::create_dir_all(rings.root()).map_err(Error::io("make", rings.root()))?;
        replace(&path, text.as_bytes())
    }
}
