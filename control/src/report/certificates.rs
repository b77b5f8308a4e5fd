//! When the certificates of the key rings end: for the scraper, and as events at 30, 7 and 1 days and at the end.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ravelin_rings::acme::Orders;
use ravelin_rings::expiry::{Expiry, Notice, Watch, expiries};
use ravelin_rings::ring::Ring;
use ravelin_rings::signer::Signer;
use ravelin_rings::store::Rings;
use tracing::{info, warn};

use super::family::Family;

/// How often the rings are looked at without a scrape.
const PERIOD: Duration = Duration::from_secs(3600);

/// Most certificates that get a series; those that end first.
pub const CERTIFICATES: usize = 500;

/// The watch over the rings. They are read anew each time, so a change counts at once.
#[derive(Debug)]
pub struct Certificates {
    rings: Rings,
    watch: Mutex<Watch>,
}

impl Certificates {
    /// A watch over these rings.
    pub fn new(rings: Rings) -> Self {
        Self { rings, watch: Mutex::default() }
    }

    /// Reads the rings, writes what is to be said to the log, and gives what ends first, first. It reads files: not for
    /// a thread that must not wait.
    pub fn look(&self, now: u64) -> Vec<Expiry> {
        let mut expiries = expiries(&self.open());
        expiries.sort_by_key(|expiry| expiry.not_after);
        let notices = self.watch.lock().unwrap_or_else(PoisonError::into_inner).look(&expiries, now);
        notices.iter().for_each(write);
        expiries
    }

    /// [`Self::look`] at this moment, on a thread that may wait.
    pub async fn look_now(self: &Arc<Self>) -> Vec<Expiry> {
        let watch = Arc::clone(self);
        tokio::task::spawn_blocking(move || watch.look(now())).await.unwrap_or_default()
    }

    /// Looks every hour, for ever, and has renewed what an ACME server is to renew.
    pub async fn watch(self: Arc<Self>) {
        loop {
            self.look_now().await;
            self.renew_due(now).await;
            tokio::time::sleep(PERIOD).await;
        }
    }

    /// Renews what has an order for it and is due. What fails is tried again at the next look.
    pub async fn renew_due(&self, clock: fn() -> u64) {
        let orders = Orders::load(&self.rings).unwrap_or_else(|error| {
            warn!(code = "RVL-CERT-ORDERS", %error, "the standing orders for certificates cannot be read");
            Orders::default()
        });
        for order in orders.order {
            let place = &order.place;
            let outcome = match order.is_due(&self.rings, clock()) {
                Ok(false) => continue,
                Ok(true) => order.run(&self.rings, &Signer::new(self.rings.clone()), clock).await,
                Err(error) => Err(error),
            };
            match outcome {
                Ok(made) => {
                    info!(code = "RVL-CERT-RENEWED", certificate = %place, not_after = made.validity().1, "a certificate was renewed");
                }
                Err(error) => {
                    warn!(code = "RVL-CERT-NOT-RENEWED", certificate = %place, %error, "a certificate was not renewed");
                }
            }
        }
    }

    fn open(&self) -> Vec<Ring> {
        let names = self.rings.list().unwrap_or_else(|error| {
            warn!(code = "RVL-RING-UNREADABLE", %error, "the key rings cannot be listed");
            Vec::new()
        });
        let open = |name| match self.rings.open(name) {
            Ok(ring) => Some(ring),
            Err(error) => {
                warn!(code = "RVL-RING-UNREADABLE", ring = %name, %error, "a key ring cannot be read");
                None
            }
        };
        names.iter().filter_map(open).collect()
    }
}

/// Seconds since 1970.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn write(notice: &Notice) {
    let Notice { expiry: Expiry { place, subject, not_after }, days_left } = notice;
    match days_left {
        Some(days) => {
            warn!(code = "RVL-CERT-EXPIRES", certificate = %place, subject, not_after, days, "a certificate ends soon; renew it");
        }
        None => {
            warn!(code = "RVL-CERT-EXPIRED", certificate = %place, subject, not_after, "a certificate has ended; renew it");
        }
    }
}

/// The gauge for the scraper.
pub(super) fn family(expiries: &[Expiry]) -> Family {
    let help = "Last second of a certificate's validity, since 1970.";
    let mut family = Family::gauge("ravelin_certificate_expiry_timestamp_seconds", help);
    for Expiry { place, not_after, .. } in expiries.iter().take(CERTIFICATES) {
        family.add(&[("ring", place.ring.as_str()), ("label", place.label.as_str())], *not_after as f64);
    }
    family
}
