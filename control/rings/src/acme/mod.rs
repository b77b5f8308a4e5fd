//! Certificates from an ACME server (RFC 8555), by http-01, straight into a ring.

mod orders;

use std::path::PathBuf;
use std::time::Duration;

use instant_acme::{
    Account, AccountBuilder, AuthorizationStatus, ChallengeType, Identifier, NewAccount, NewOrder,
    OrderStatus, RetryPolicy,
};
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::name::Name;

use crate::beside;
use crate::certificate::Certificate;
use crate::format;
use crate::io::Challenges;
use crate::issue::{Desk, Plan, Profile};
use crate::key::KeyKind;
use crate::name::{Label, Place};
use crate::signer::Signer;
use crate::store::Rings;
use crate::verify::Anchors;
use crate::verify::name::address;
use crate::{Error, Result};

pub use orders::{Order, Orders};

/// Who is asked, as whom.
#[derive(Debug, Clone)]
pub struct AcmeServer {
    /// Address of its directory, `https://..`.
    pub directory: String,
    /// Certificate (PEM) that its web server is believed by; the system's when left out.
    pub root: Option<PathBuf>,
    /// Mailboxes that it may write to, as `mailto:ops@example`.
    pub contact: Vec<String>,
    /// How long one step may take.
    pub patience: Duration,
}

/// What is to be certified.
#[derive(Debug, Clone)]
pub struct Wish {
    /// Where it lies, or is to lie.
    pub place: Place,
    /// Host names and addresses; for a renewal those of the certificate count.
    pub names: Vec<GeneralName>,
    /// Kind of each new key.
    pub kind: KeyKind,
}

/// Gets a certificate with a new key into its place. One that is there goes on serving until its successor takes its
/// label, all at once, and is then removed. If anything fails, the ring is as it was. `clock` gives seconds since 1970.
pub async fn obtain(
    rings: &Rings,
    signer: &Signer,
    wish: &Wish,
    server: &AcmeServer,
    challenges: &Challenges,
    anchors: &Anchors,
    clock: impl Fn() -> u64,
) -> Result<Certificate> {
    let desk = Desk::new(rings, signer, clock());
    let Place { ring, label } = &wish.place;
    let present = rings.open(ring)?.entry(label).is_ok();
    let waiting = match present {
        true => Label::new(format!("{label} (next)"))?,
        false => label.clone(),
    };
    // What an attempt that was cut short left behind.
    if rings.open(ring)?.pending.iter().any(|pending| pending.label == waiting) {
        rings.change(ring, |draft| draft.remove(&waiting))?;
    }
    let plan = match present {
        true => desk.plan_like(&wish.place, 1)?,
        false => Plan::new(Name::default(), wish.names.clone(), Profile::Server, clock(), 1),
    };
    let here = Place { ring: ring.clone(), label: waiting.clone() };
    let request = desk.request(&here, wish.kind, &plan, None)?;
    let outcome = match certified(rings, server, challenges, &plan.names, &request).await {
        // It began to be valid a moment ago, after this began.
        Ok(chain) => Desk::new(rings, signer, clock()).receive(ring, chain, anchors).map(|_| ()),
        Err(error) => Err(error),
    };
    if let Err(error) = outcome {
        rings.change(ring, |draft| draft.remove(&waiting))?;
        return Err(error);
    }
    if present {
        let old = desk.switch(ring, label, &waiting)?;
        rings.change(ring, |draft| draft.remove(&old))?;
    }
    Ok(rings.open(ring)?.entry(label)?.certificate().clone())
}

/// When the time to renew comes, in seconds since 1970: when a third of its life is left.
pub fn due_at(certificate: &Certificate) -> u64 {
    let (first, last) = certificate.validity();
    last.saturating_sub(last.saturating_sub(first) / 3)
}

async fn certified(
    rings: &Rings,
    server: &AcmeServer,
    challenges: &Challenges,
    names: &[GeneralName],
    request: &[u8],
) -> Result<Vec<Certificate>> {
    let failed = |error: instant_acme::Error| Error::format(&server.directory, error.to_string());
    let identifiers: Vec<Identifier> = names.iter().map(identifier).collect::<Result<_>>()?;
    let account = account(rings, server).await?;
    let mut order = account.new_order(&NewOrder::new(&identifiers)).await.map_err(failed)?;
    let patience = RetryPolicy::new().timeout(server.patience);
    let proven = prove(&mut order, challenges, &patience).await;
    challenges.clear();
    match proven.map_err(failed)? {
        OrderStatus::Ready => {}
        other => {
            return Err(Error::format(
                &server.directory,
                format!("the order is {other:?}: can the server reach port 80 of every name?"),
            ));
        }
    }
    order.finalize_csr(request).await.map_err(failed)?;
    let text = order.poll_certificate(&patience).await.map_err(failed)?;
    let contents = format::read(&server.directory, text.as_bytes(), &mut |what| {
        Err(Error::format(what, "an ACME server sends no passphrase"))
    })?;
    Ok(contents.certificates.into_iter().map(|named| named.item).collect())
}

/// Answers every challenge, and waits until the server has looked.
async fn prove(
    order: &mut instant_acme::Order,
    challenges: &Challenges,
    patience: &RetryPolicy,
) -> std::result::Result<OrderStatus, instant_acme::Error> {
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        if authorization.status != AuthorizationStatus::Pending {
            continue;
        }
        let mut challenge = authorization
            .challenge(ChallengeType::Http01)
            .ok_or(instant_acme::Error::Str("the server offers no http-01 challenge"))?;
        challenges.add(&challenge.token, challenge.key_authorization().as_str());
        challenge.set_ready().await?;
    }
    order.poll_ready(patience).await
}

fn identifier(name: &GeneralName) -> Result<Identifier> {
    match name {
        GeneralName::DnsName(host) => Ok(Identifier::Dns(host.as_str().to_owned())),
        GeneralName::IpAddress(octets) => {
            let unreadable = || Error::Unfit("an address of the certificate cannot be read".to_owned());
            address(octets.as_bytes()).map(Identifier::Ip).ok_or_else(unreadable)
        }
        _ => Err(Error::Unfit("ACME certifies host names (dns:) and addresses (ip:) only".to_owned())),
    }
}

/// The account at this server, made at the first time and kept beside the rings.
async fn account(rings: &Rings, server: &AcmeServer) -> Result<Account> {
    let failed = |error: instant_acme::Error| Error::format(&server.directory, error.to_string());
    let builder = || -> Result<AccountBuilder> {
        match &server.root {
            Some(root) => Account::builder_with_root(root),
            None => Account::builder(),
        }
        .map_err(failed)
    };
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, server.directory.as_bytes());
    let path = rings.root().join(".acme").join(format!("{}.json", crate::certificate::hex(digest.as_ref())));
    let unreadable = |e: serde_json::Error| Error::format(path.display().to_string(), e.to_string());
    let known = beside::load(&path, |_, text| serde_json::from_str(text).map(Some).map_err(unreadable))?;
    if let Some(credentials) = known {
        return builder()?.from_credentials(credentials).await.map_err(failed);
    }
    let contact: Vec<&str> = server.contact.iter().map(String::as_str).collect();
    let new = NewAccount { contact: &contact, terms_of_service_agreed: true, only_return_existing: false };
    let (account, credentials) =
        builder()?.create(&new, server.directory.clone(), None).await.map_err(failed)?;
    let text = zeroize::Zeroizing::new(serde_json::to_vec(&credentials).map_err(unreadable)?);
    beside::replace(rings, &path, &text)?;
    Ok(account)
}
