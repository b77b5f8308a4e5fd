//! `ravelin cert acme`: a certificate from an ACME server, now and whenever it comes to its end.

use std::net::SocketAddr;
use std::path::PathBuf;

use ravelin_rings::acme::{Order, Orders};
use ravelin_rings::key::KeyKind;
use ravelin_rings::name::{Place, RingName};
use ravelin_rings::signer::Signer;
use ravelin_rings::store::Rings;
use serde_json::json;

use super::make::tell;
use super::wish::now;
use super::{Failure, Session};
use crate::command::keyring::done;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Where the certificate goes, as RING/LABEL.
    place: Place,
    /// Address of the server's directory.
    #[arg(long, value_name = "URL", required_unless_present = "forget")]
    directory: Option<String>,
    /// What is certified: dns:HOST or ip:ADDRESS; may be given again.
    #[arg(long, value_name = "KIND:NAME", required_unless_present = "forget")]
    san: Vec<String>,
    /// A ring whose trust anchors the certificate must lead to, beside those of its own; may be given again.
    #[arg(long, value_name = "RING")]
    trust: Vec<RingName>,
    /// Certificate (PEM) that the server is believed by; the system's when left out.
    #[arg(long, value_name = "FILE")]
    root: Option<PathBuf>,
    /// A mailbox that the server may write to, as mailto:ops@example; may be given again.
    #[arg(long, value_name = "MAILBOX")]
    contact: Vec<String>,
    /// Kind of its keys: rsa-2048, rsa-3072, rsa-4096, p256 or p384.
    #[arg(long, default_value = "p256")]
    key: KeyKind,
    /// Where the challenges are answered while it is asked for; the server asks on port 80.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "0.0.0.0:80")]
    listen: SocketAddr,
    /// Renew it no more; the certificate stays.
    #[arg(long, conflicts_with_all = ["directory", "san"])]
    forget: bool,
}

pub(crate) async fn run(session: &Session, rings: &Rings, arguments: Arguments) -> Result<(), Failure> {
    let place = arguments.place;
    let Some(directory) = arguments.directory else {
        if !Orders::change(rings, |orders| Ok(orders.remove(&place)))? {
            return Err(Failure::Refused(format!("{place} is not renewed by ACME")));
        }
        return done(
            session,
            &json!({ "certificate": place.to_string() }),
            &format!("{place} is renewed no more"),
        );
    };
    let order = Order {
        directory,
        names: arguments.san,
        key: arguments.key.to_string(),
        listen: arguments.listen,
        root: arguments.root.map(std::path::absolute).transpose()?,
        contact: arguments.contact,
        trust: arguments.trust,
        place: place.clone(),
    };
    let made = order.run(rings, &Signer::new(rings.clone()), now).await?;
    Orders::change(rings, |orders| {
        orders.put(order);
        Ok(())
    })?;
    tell(session, &place, &made, "certified, and renewed by itself from now on")
}
