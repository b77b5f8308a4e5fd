//! When the certificates of the key rings end: for the scraper, and as events at 30, 7 and 1 days and at the end.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ravelin_events::tell;
use ravelin_rings::acme::{Orders, due_at};
use ravelin_rings::expiry::{Expiry, Notice, Watch, expiries, passphrase_ends};
use ravelin_rings::ring::Ring;
use ravelin_rings::signer::Signer;
use ravelin_rings::store::Rings;

use super::family::Family;

/// How often the rings are looked at without a scrape.
const PERIOD: Duration = Duration::from_secs(3600);

/// Between two looks there is always a moment.
const SHORTEST: Duration = Duration::from_secs(1);

/// Most certificates that get a series; those that end first.
pub const CERTIFICATES: usize = 500;

/// The watch over the rings. They are read anew each time, so a change counts at once.
#[derive(Debug)]
pub struct Certificates {
    rings: Rings,
    watch: Mutex<Watch>,
    passphrases: Mutex<Watch>,
}

impl Certificates {
    /// A watch over these rings.
    pub fn new(rings: Rings) -> Self {
        Self { rings, watch: Mutex::default(), passphrases: Mutex::default() }
    }

    /// Reads the rings, writes what is to be said to the log, and gives what ends first, first. It reads files: not for
    /// a thread that must not wait.
    pub fn look(&self, now: u64) -> Vec<Expiry> {
        let rings = self.open();
        let mut expiries = expiries(&rings);
        expiries.sort_by_key(|expiry| expiry.not_after);
        let look = |watch: &Mutex<Watch>, ends: &[Expiry]| {
            watch.lock().unwrap_or_else(PoisonError::into_inner).look(ends, now)
        };
        look(&self.watch, &expiries).iter().for_each(write);
        for Notice { expiry, days_left } in look(&self.passphrases, &passphrase_ends(&rings)) {
            let (ring, until) = (expiry.place.ring, expiry.not_after);
            tell!(RING_PASSPHRASE, %ring, until, days_left);
        }
        expiries
    }

    /// [`Self::look`] at this moment, on a thread that may wait.
    pub async fn look_now(self: &Arc<Self>) -> Vec<Expiry> {
        let watch = Arc::clone(self);
        tokio::task::spawn_blocking(move || watch.look(now())).await.unwrap_or_default()
    }

    /// Looks every hour and whenever a renewal is due, for ever.
    pub async fn watch(self: Arc<Self>) {
        loop {
            self.look_now().await;
            let next = self.renew_due(now).await;
            tokio::time::sleep(next).await;
        }
    }

    /// Renews what has an order for it and is due; gives the time until the next one is, an hour at most. What fails is
    /// tried again after an hour.
    pub async fn renew_due(&self, clock: fn() -> u64) -> Duration {
        let orders = Orders::load(&self.rings).unwrap_or_else(|error| {
            tell!(CERT_ORDERS, %error);
            Orders::default()
        });
        let mut next = PERIOD;
        for order in orders.order {
            let place = &order.place;
            let outcome = match order.due_at(&self.rings) {
                Ok(due) if due > clock() => {
                    next = next.min(Duration::from_secs(due.saturating_sub(clock())));
                    continue;
                }
                Ok(_) => order.run(&self.rings, &Signer::new(self.rings.clone()), clock).await,
                Err(error) => Err(error),
            };
            match outcome {
                Ok(made) => {
                    next = next.min(Duration::from_secs(due_at(&made).saturating_sub(clock())));
                    tell!(CERT_RENEWED, certificate = %place, not_after = made.validity().1);
                }
                Err(error) => tell!(CERT_NOT_RENEWED, certificate = %place, %error),
            }
        }
        next.max(SHORTEST)
    }

    fn open(&self) -> Vec<Ring> {
        let names = self.rings.list().unwrap_or_else(|error| {
            tell!(RING_UNREADABLE, %error);
            Vec::new()
        });
        let open = |name| match self.rings.open(name) {
            Ok(ring) => Some(ring),
            Err(error) => {
                tell!(RING_UNREADABLE, ring = %name, %error);
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
        Some(days) => tell!(CERT_EXPIRES, certificate = %place, subject, not_after, days),
        None => tell!(CERT_EXPIRED, certificate = %place, subject, not_after),
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
