//! The trust bundle of the system as a ring that can only be read (row E20).

use std::path::{Path, PathBuf};

use super::free_label;
use super::index::Index;
use super::vault::{Key, Vault};
use crate::certificate::Certificate;
use crate::format::pem;
use crate::key::PrivateKey;
use crate::name::Label;
use crate::passphrase::Source;
use crate::{Error, Result};

/// Where Debian keeps it.
pub const BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";

pub(crate) struct System {
    file: PathBuf,
    held: Vec<(Label, Certificate)>,
}

impl System {
    pub(crate) fn open(file: &Path) -> Result<Self> {
        let text = std::fs::read(file).map_err(Error::io("read", file))?;
        let mut held: Vec<(Label, Certificate)> = Vec::new();
        for certificate in pem::certificates(&file.display().to_string(), &text)? {
            let wanted = short_name(&certificate)?;
            let label = free_label(&wanted, |label| held.iter().any(|(taken, _)| taken == label))?;
            held.push((label, certificate));
        }
        Ok(Self { file: file.to_owned(), held })
    }

    fn refuse<T>(&self) -> Result<T> {
        Err(Error::ReadOnly(self.file.clone()))
    }
}

/// The common name, or else the last part of the subject, as a label.
fn short_name(certificate: &Certificate) -> Result<Label> {
    let subject = certificate.subject();
    let part = |key: &str| subject.split(',').find_map(|part| part.strip_prefix(key));
    let text = part("CN=").or(part("OU=")).or(part("O=")).unwrap_or("unnamed");
    let clean: String =
        text.chars().filter(|c| !c.is_control()).map(|c| if c == '/' { '-' } else { c }).take(100).collect();
    Label::new(clean.trim()).or_else(|_| Label::new("unnamed"))
}

impl Vault for System {
    fn labels(&self) -> Vec<Label> {
        self.held.iter().map(|(label, _)| label.clone()).collect()
    }

    fn chain(&self, label: &Label) -> Option<Vec<Certificate>> {
        let found = self.held.iter().find(|(held, _)| held == label);
        found.map(|(_, certificate)| vec![certificate.clone()])
    }

    fn has_key(&self, _: &Label) -> bool {
        false
    }

    fn key(&self, label: &Label) -> Result<Key> {
        Err(Error::Unfit(format!("the system's trust bundle has no key for {label}")))
    }

    fn put_chain(&mut self, _: &Label, _: &[Certificate]) -> Result<()> {
        self.refuse()
    }

    fn put_key(&mut self, _: &Label, _: PrivateKey) -> Result<()> {
        self.refuse()
    }

    fn rename(&mut self, _: &Label, _: &Label) -> Result<()> {
        self.refuse()
    }

    fn remove(&mut self, _: &Label) -> Result<()> {
        self.refuse()
    }

    fn relock(&mut self, _: &Source) -> Result<()> {
        self.refuse()
    }

    fn store(&mut self, _: &mut Index) -> Result<()> {
        Ok(())
    }
}
