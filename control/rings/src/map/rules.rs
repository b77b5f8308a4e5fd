//! The rules and their file.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::pattern::{NamePattern, Pattern};
use crate::beside;
use crate::certificate::Certificate;
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

    /// Gives a rule another name, another identity, or both.
    pub fn alter(&mut self, name: &str, new: Option<String>, identity: Option<String>) -> Result<()> {
        if let Some(new) = &new
            && new != name
            && self.rule.iter().any(|rule| rule.name == *new)
        {
            return Err(Error::Unfit(format!("there is a rule {new} already; delete it first")));
        }
        let rule = self.rule.iter_mut().find(|rule| rule.name == name).ok_or_else(|| missing(name))?;
        rule.name = new.unwrap_or_else(|| name.to_owned());
        rule.identity = identity.unwrap_or_else(|| rule.identity.clone());
        Ok(())
    }

    /// Removes a rule.
    pub fn delete(&mut self, name: &str) -> Result<()> {
        let before = self.rule.len();
        self.rule.retain(|rule| rule.name != name);
        match self.rule.len() < before {
            true => Ok(()),
            false => Err(missing(name)),
        }
    }

    /// Reads the text of the file `what`. Rules that could not be added are refused here, too: an operator may have
    /// written them.
    pub fn parse(what: &str, text: &str) -> Result<Self> {
        let read: Self = beside::parse(what, text)?;
        let mut checked = Self::default();
        for rule in read.rule {
            checked.add(rule).map_err(|e| Error::format(what, e.to_string()))?;
        }
        Ok(checked)
    }

    /// The rules beside the rings; none when there is no file.
    pub fn load(rings: &Rings) -> Result<Self> {
        beside::load(&path(rings), Self::parse)
    }

    /// Changes them; others wait meanwhile, and a power cut leaves the old ones.
    pub fn change<T>(rings: &Rings, work: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        beside::change(rings, &path(rings), Self::parse, work)
    }
}

fn missing(name: &str) -> Error {
    Error::Unfit(format!("there is no rule {name}; see `ravelin cert map list`"))
}

fn path(rings: &Rings) -> PathBuf {
    rings.root().join(".maps.toml")
}
