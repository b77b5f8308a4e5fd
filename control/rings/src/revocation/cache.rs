//! What was learnt of revocation, for as long as it holds, within limits.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustls_pki_types::UnixTime;

use super::crl::Crl;
use super::ocsp::{self, Answer};
use super::status::Status;
use crate::verify::link::Link;

/// How much is kept (row A53).
#[derive(Debug, Clone, Copy)]
pub struct CacheLimits {
    /// CRLs that came over the network.
    pub crls: usize,
    /// Octets of one CRL.
    pub crl_octets: usize,
    /// OCSP answers.
    pub answers: usize,
}

impl Default for CacheLimits {
    fn default() -> Self {
        Self { crls: 128, crl_octets: 16 << 20, answers: 8192 }
    }
}

/// CRLs and OCSP answers.
#[derive(Debug, Default)]
pub struct Cache {
    limits: CacheLimits,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    /// From files: they stay until the files are read again.
    files: Vec<Arc<Crl>>,
    /// From distribution points, signatures checked.
    fetched: Vec<Arc<Crl>>,
    /// OCSP answers by issuer's key and serial number.
    answers: HashMap<Vec<u8>, Answer>,
}

impl Cache {
    /// Empty, with these limits.
    pub fn new(limits: CacheLimits) -> Self {
        Self { limits, kept: Mutex::default() }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // Nothing in here is ever half done.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Replaces the CRLs from files by those in a directory (`*.crl`, `*.pem`, `*.der`; DER or PEM). Says what could
    /// not be read; the others serve.
    pub fn read_directory(&self, directory: &Path) -> Result<Vec<String>, std::io::Error> {
        let mut problems = Vec::new();
        let mut files = Vec::new();
        for entry in std::fs::read_dir(directory)? {
            let path = entry?.path();
            let extension = path.extension().and_then(|extension| extension.to_str());
            if !matches!(extension, Some("crl" | "pem" | "der")) {
                continue;
            }
            match self.read_file(&path) {
                Ok(crl) => files.push(Arc::new(crl)),
                Err(problem) => problems.push(format!("{}: {problem}", path.display())),
            }
        }
        self.kept().files = files;
        Ok(problems)
    }

    fn read_file(&self, path: &Path) -> Result<Crl, String> {
        let octets = std::fs::metadata(path).map_err(|e| e.to_string())?.len();
        if octets > self.limits.crl_octets as u64 {
            return Err(format!("{octets} octets, the limit is {}", self.limits.crl_octets));
        }
        Crl::read(&std::fs::read(path).map_err(|e| e.to_string())?)
    }

    /// Adds a CRL as if from a file.
    pub fn add_crl(&self, crl: Crl) {
        self.kept().files.push(Arc::new(crl));
    }

    /// Keeps a CRL from the network, if `issuer` signed it and it is in date.
    pub(super) fn admit_crl(&self, octets: &[u8], issuer: &Link, now: UnixTime) -> Result<(), String> {
        if octets.len() > self.limits.crl_octets {
            return Err(format!("{} octets, the limit is {}", octets.len(), self.limits.crl_octets));
        }
        let crl = Crl::read(octets)?;
        if !crl.is_from(issuer) {
            return Err("it is another authority's CRL".to_owned());
        }
        crl.is_signed_by(issuer)?;
        if now.as_secs() >= crl.next_update() {
            return Err("it is out of date".to_owned());
        }
        let mut kept = self.kept();
        kept.fetched.retain(|known| known.next_update() > now.as_secs() && known.der() != crl.der());
        if kept.fetched.len() >= self.limits.crls {
            // The one that ends first is missed least.
            let first = kept.fetched.iter().enumerate().min_by_key(|(_, known)| known.next_update());
            if let Some((at, _)) = first {
                kept.fetched.swap_remove(at);
            }
        }
        kept.fetched.push(Arc::new(crl));
        Ok(())
    }

    pub(super) fn admit_answer(&self, certificate: &Link, issuer: &Link, answer: Answer, now: UnixTime) {
        let mut kept = self.kept();
        if kept.answers.len() >= self.limits.answers {
            kept.answers.retain(|_, known| known.until > now.as_secs());
        }
        if kept.answers.len() >= self.limits.answers {
            kept.answers.clear();
        }
        kept.answers.insert(ocsp::key(certificate, issuer), answer);
    }

    /// What OCSP said of it, if that still holds.
    pub(super) fn ocsp(&self, certificate: &Link, issuer: &Link, now: UnixTime) -> Status {
        let kept = self.kept();
        match kept.answers.get(&ocsp::key(certificate, issuer)) {
            Some(answer) if answer.until > now.as_secs() => answer.status.clone(),
            _ => Status::Unknown(None),
        }
    }

    /// Whether there is a CRL longer than so many octets whose signature nobody has looked at yet.
    pub fn has_unjudged(&self, octets: usize) -> bool {
        let kept = self.kept();
        kept.files.iter().chain(&kept.fetched).any(|crl| crl.der().len() > octets && !crl.is_judged())
    }

    /// What the CRLs say of it: revoked if any says so, good if one that covers it does.
    pub(super) fn crl(&self, certificate: &Link, issuer: &Link, now: UnixTime) -> Status {
        let candidates: Vec<Arc<Crl>> = {
            let kept = self.kept();
            kept.files.iter().chain(&kept.fetched).filter(|crl| crl.is_from(issuer)).cloned().collect()
        };
        // The newest list counts: a hold may have been lifted since.
        let mut newest: Option<(u64, Status)> = None;
        let mut problem = None;
        for crl in candidates {
            match crl.status(certificate, issuer, now) {
                Status::Unknown(found) => problem = found.or(problem),
                status if newest.as_ref().is_none_or(|(at, _)| crl.this_update() > *at) => {
                    newest = Some((crl.this_update(), status));
                }
                _ => {}
            }
        }
        newest.map_or(Status::Unknown(problem), |(_, status)| status)
    }
}
