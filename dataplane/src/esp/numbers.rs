//! Hands every key its numbers: one sequence per key, however many SAs and generations use it, and reservations on disk
//! for keys that outlive the process.
//!
//! One thread owns it, apart from the workers: it calls [`Numbers::top_up`] every few milliseconds and
//! [`Numbers::note_accepted`] every few seconds and at the end.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use ravelin_contract::message::Refusal;
use ravelin_contract::sa::{Origin, Receiving, Sa};

use super::fingerprint::Fingerprint;
use super::reservation::{Directory, Disk, Error, Store};
use super::sa::Received;
use super::sequence::Sequence;
use super::spent::Spent;

/// The numbers of all keys in use.
#[derive(Debug)]
pub struct Numbers<D = Directory> {
    /// Or why there is none.
    store: Result<Store<D>, Error>,
    /// Numbers reserved at once, at least 1.
    step: u64,
    /// By the space that their numbers must be unique in, with the origin of the first SA that asked. An entry whose
    /// sequence is gone serves nothing.
    sequences: HashMap<Fingerprint, (Weak<Sequence>, Origin)>,
    /// Those of `sequences` that draw on the store.
    reserved: Vec<(Fingerprint, Weak<Sequence>)>,
    /// Negotiated keys, in use or not any more.
    spent: Spent,
    /// Inbound SAs whose highest number is noted, with what was noted last.
    watched: Vec<(Fingerprint, Weak<Received>, u64)>,
}

impl<D: Disk> Numbers<D> {
    /// Draws on `store`, where there is one, in steps of `step` (see [`super::reservation::STEP`]).
    pub fn new(store: Result<Store<D>, Error>, step: u64) -> Self {
        let (sequences, reserved, watched) = (HashMap::new(), Vec::new(), Vec::new());
        Self { store, step: step.max(1), sequences, reserved, spent: Spent::default(), watched }
    }

    /// The sequence for an outbound SA. While any SA holds it, every SA with the same key gets the same one.
    ///
    /// A negotiated key begins at 1, so it must not come back once all its SAs are gone: the last million of them are
    /// remembered and refused. A manual key goes on where its reservation ends.
    ///
    /// # Errors
    /// `NotReservable`: the key was negotiated and is spent; or a repeated number would repeat a nonce, and the store does
    /// not work, or a negotiated SA uses the key without reservation.
    pub fn sequence(&mut self, sa: &Sa) -> Result<Arc<Sequence>, Refusal> {
        let key = Fingerprint::of_numbers(sa);
        let refuse = |reason| Refusal::NotReservable { name: sa.name.to_string(), reason };
        let live =
            self.sequences.get(&key).and_then(|(sequence, origin)| Some((sequence.upgrade()?, *origin)));
        match live {
            // Its numbers were used without a reservation, and this key comes back after a restart.
            Some((_, Origin::Ike)) if sa.origin == Origin::Manual && sa.transform.is_counter_based() => {
                return Err(refuse("a negotiated SA uses the same key".into()));
            }
            Some((sequence, _)) => return Ok(sequence),
            None if self.spent.knows(&key) => {
                return Err(refuse("this key was negotiated and used before: numbers would repeat".into()));
            }
            None => {}
        }
        let sequence = Arc::new(match sa.origin {
            Origin::Ike => Sequence::unbounded(),
            Origin::Manual => match self.begin(&key) {
                Ok(sequence) => sequence,
                Err(reason) if sa.transform.is_counter_based() => return Err(refuse(reason)),
                // No nonce is at stake. The peer's window may refuse what we send after a restart.
                Err(_) => Sequence::unbounded(),
            },
        });
        match sa.origin {
            Origin::Manual => self.reserved.push((key, Arc::downgrade(&sequence))),
            Origin::Ike => self.spent.note(&key),
        }
        self.sequences.insert(key, (Arc::downgrade(&sequence), sa.origin));
        Ok(sequence)
    }

    /// What a new inbound SA remembers. With a manual key, numbers noted before a restart stay refused; when the store
    /// does not work, the window begins empty.
    pub fn received(&mut self, sa: &Sa, receiving: &Receiving) -> Arc<Received> {
        if sa.origin == Origin::Ike || receiving.replay_window == 0 {
            return Arc::new(Received::new(receiving, 0));
        }
        let key = Fingerprint::of_numbers(sa);
        let noted = self.store.as_ref().ok().and_then(|store| store.noted(&key).ok().flatten()).unwrap_or(0);
        let received = Arc::new(Received::new(receiving, noted));
        self.watched.push((key, Arc::downgrade(&received), noted));
        received
    }

    /// Reserves more where half a step or less is left. Forgets what no SA holds any more.
    ///
    /// # Errors
    /// The first that the store gave; the other keys were tried all the same. The SA goes on until its numbers end.
    pub fn top_up(&mut self) -> Result<(), Error> {
        self.reserved.retain(|(_, sequence)| sequence.strong_count() > 0);
        let Ok(store) = &self.store else { return Ok(()) };
        let mut outcome = Ok(());
        for (key, sequence) in &self.reserved {
            if let Some(sequence) = sequence.upgrade().filter(|sequence| sequence.is_low(self.step / 2 + 1)) {
                outcome = outcome.and(reserve(store, key, &sequence, self.step));
            }
        }
        outcome
    }

    /// Notes how far each manual inbound SA has come, where it has moved. Forgets what no SA holds any more.
    ///
    /// # Errors
    /// The first that the store gave; the other SAs were tried all the same.
    pub fn note_accepted(&mut self) -> Result<(), Error> {
        self.sequences.retain(|_, (sequence, _)| sequence.strong_count() > 0);
        self.watched.retain(|(_, received, _)| received.strong_count() > 0);
        let Ok(store) = &self.store else { return Ok(()) };
        let mut outcome = Ok(());
        for (key, received, noted) in &mut self.watched {
            let highest = received.upgrade().map_or(0, |received| received.highest());
            if highest > *noted {
                let done = store.note(key, highest);
                *noted = if done.is_ok() { highest } else { *noted };
                outcome = outcome.and(done);
            }
        }
        outcome
    }

    /// Goes on where the reservation of `key` ends, with a new one made. An error is told as text for the operator.
    fn begin(&self, key: &Fingerprint) -> Result<Sequence, String> {
        let store = self.store.as_ref().map_err(Error::to_string)?;
        let noted = store.noted(key).map_err(|error| error.to_string())?;
        let sequence = Sequence::starting_at(noted.unwrap_or(1));
        reserve(store, key, &sequence, self.step).map_err(|error| error.to_string())?;
        Ok(sequence)
    }
}

/// First the disk, then the workers: no number is used before its reservation is durable.
fn reserve<D: Disk>(
    store: &Store<D>,
    key: &Fingerprint,
    sequence: &Sequence,
    step: u64,
) -> Result<(), Error> {
    let limit = sequence.limit().saturating_add(step);
    store.note(key, limit)?;
    sequence.allow_below(limit);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use ravelin_contract::sa::{Carrier, DontFragment, Dscp, Mode, Sending, Side, Spi, Transform};
    use ravelin_contract::{name::Name, rule::TunnelId, secret::Secret};

    use super::*;

    fn outbound(transform: Transform, spi: u32, origin: Origin) -> Sa {
        Sa {
            name: Name::new("a-to-b").unwrap(),
            tunnel: TunnelId(0),
            spi: Spi::new(spi).unwrap(),
            mode: Mode::Tunnel,
            local: "192.0.2.1".parse().unwrap(),
            remote: "192.0.2.2".parse().unwrap(),
            carrier: Carrier::Ip,
            transform,
            extended_sequence: false,
            selectors: vec![],
            origin,
            side: Side::Outbound(Sending {
                dont_fragment: DontFragment::Copy,
                dscp: Dscp::Copy,
                hop_limit: None,
                pad_to: 0,
                clamp_mss: false,
            }),
        }
    }

    fn gcm(octet: u8, salt: u8) -> Transform {
        Transform::AesGcm16 { key: Secret::new(vec![octet; 16]), salt: [salt; 4] }
    }

    fn numbers(place: &Path) -> Numbers {
        Numbers::new(Store::open(place), 100)
    }

    fn first(sequence: &Sequence) -> u64 {
        sequence.take(1, u64::MAX).unwrap().take().unwrap().get()
    }

    #[test]
    fn one_key_has_one_sequence_whatever_its_spi_and_use() {
        let place = tempfile::tempdir().unwrap();
        let mut numbers = numbers(place.path());
        let gmac = Transform::AesGmac { key: Secret::new(vec![1; 16]), salt: [0; 4] };
        let a = numbers.sequence(&outbound(gcm(1, 0), 256, Origin::Manual)).unwrap();
        for (transform, spi) in [(gcm(1, 0), 256), (gcm(1, 0), 257), (gmac, 258)] {
            let same = numbers.sequence(&outbound(transform, spi, Origin::Manual)).unwrap();
            assert!(Arc::ptr_eq(&a, &same));
        }
        for other in [gcm(2, 0), gcm(1, 9)] {
            let other = numbers.sequence(&outbound(other, 256, Origin::Manual)).unwrap();
            assert!(!Arc::ptr_eq(&a, &other), "another key or salt is another space of nonces");
        }
    }

    #[test]
    fn a_restart_goes_on_beyond_the_reservation_also_under_another_spi() {
        let place = tempfile::tempdir().unwrap();
        let used = first(&numbers(place.path()).sequence(&outbound(gcm(1, 0), 256, Origin::Manual)).unwrap());
        assert_eq!(used, 1);
        let again = numbers(place.path()).sequence(&outbound(gcm(1, 0), 999, Origin::Manual)).unwrap();
        assert_eq!(first(&again), 101);
        let new_key = numbers(place.path()).sequence(&outbound(gcm(2, 0), 256, Origin::Manual)).unwrap();
        assert_eq!(first(&new_key), 1);
    }

    #[test]
    fn topped_up_at_half_a_step_and_durable_before_use() {
        let place = tempfile::tempdir().unwrap();
        let mut numbers = numbers(place.path());
        let sa = outbound(gcm(1, 0), 256, Origin::Manual);
        let sequence = numbers.sequence(&sa).unwrap();
        let _ = sequence.take(49, u64::MAX).unwrap();
        numbers.top_up().unwrap();
        assert_eq!(sequence.limit(), 101, "more than half is left");
        let _ = sequence.take(1, u64::MAX).unwrap();
        numbers.top_up().unwrap();
        assert_eq!(sequence.limit(), 201);
        let noted = Store::open(place.path()).unwrap().noted(&Fingerprint::of_numbers(&sa)).unwrap();
        assert_eq!(noted, Some(201));
    }

    #[test]
    fn without_a_store_counter_based_manual_keys_are_refused() {
        let mut numbers: Numbers = Numbers::new(Store::open(Path::new("/proc/no/where")), 100);
        let refused = numbers.sequence(&outbound(gcm(1, 0), 256, Origin::Manual)).unwrap_err();
        let Refusal::NotReservable { name, reason } = refused else { panic!("{refused}") };
        assert_eq!(name, "a-to-b");
        assert!(reason.contains("/proc/no/where"), "{reason}");
        assert!(numbers.sequence(&outbound(gcm(1, 0), 256, Origin::Ike)).is_ok());
        let integrity = ravelin_contract::sa::Integrity {
            hash: ravelin_contract::sa::Hash::Sha256,
            key: Secret::new(vec![1; 32]),
        };
        assert!(numbers.sequence(&outbound(Transform::Null { integrity }, 256, Origin::Manual)).is_ok());
    }

    #[test]
    fn a_key_used_without_reservation_is_no_manual_key() {
        let place = tempfile::tempdir().unwrap();
        let mut numbers = numbers(place.path());
        let negotiated = numbers.sequence(&outbound(gcm(1, 0), 256, Origin::Ike)).unwrap();
        assert!(numbers.sequence(&outbound(gcm(1, 0), 257, Origin::Manual)).is_err());
        drop(negotiated);
        assert!(numbers.sequence(&outbound(gcm(1, 0), 257, Origin::Manual)).is_err(), "nor when it is gone");
    }

    #[test]
    fn a_negotiated_key_that_has_gone_does_not_come_back() {
        let place = tempfile::tempdir().unwrap();
        let mut numbers = numbers(place.path());
        let sa = outbound(gcm(1, 0), 256, Origin::Ike);
        let sequence = numbers.sequence(&sa).unwrap();
        assert!(Arc::ptr_eq(&sequence, &numbers.sequence(&sa).unwrap()), "while it lives it goes on");
        drop(sequence);
        numbers.note_accepted().unwrap();
        let Err(Refusal::NotReservable { reason, .. }) = numbers.sequence(&sa) else { panic!("taken again") };
        assert!(reason.contains("used before"), "{reason}");
        let other_spi = outbound(gcm(1, 0), 999, Origin::Ike);
        assert!(numbers.sequence(&other_spi).is_err(), "another SPI is no other space of nonces");
        assert!(numbers.sequence(&outbound(gcm(1, 1), 256, Origin::Ike)).is_ok(), "another salt is");
    }

    #[test]
    fn a_store_that_breaks_later_stops_the_numbers() {
        let place = tempfile::tempdir().unwrap();
        let mut numbers = numbers(place.path());
        let sequence = numbers.sequence(&outbound(gcm(1, 0), 256, Origin::Manual)).unwrap();
        let _ = sequence.take(90, u64::MAX).unwrap();
        place.close().unwrap();
        assert!(numbers.top_up().is_err());
        assert_eq!(sequence.limit(), 101, "nothing was promised that is not on disk");
    }

    #[test]
    fn accepted_numbers_are_refused_after_a_restart() {
        let place = tempfile::tempdir().unwrap();
        let mut sa = outbound(gcm(1, 0), 256, Origin::Manual);
        let receiving = Receiving { replay_window: 64 };
        sa.side = Side::Inbound(receiving.clone());
        let mut before = numbers(place.path());
        let received = before.received(&sa, &receiving);
        assert!(received.window.commit(500));
        before.note_accepted().unwrap();
        let received = numbers(place.path()).received(&sa, &receiving);
        assert!(!received.window.check(500) && !received.window.check(499) && received.window.check(501));
    }
}
