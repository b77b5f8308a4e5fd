//! Many SAs in one batch, and SAs that live on from generation to generation.

#![allow(clippy::unwrap_used, reason = "this is test code, which the lint sees only in test functions")]

use std::net::IpAddr;
use std::sync::Arc;

use crate::esp_support::*;
use ravelin_contract::message::Refusal;
use ravelin_contract::rule::TunnelId;
use ravelin_contract::sa::{DontFragment, Mode, Origin, Receiving, Sa, Side, Spi};
use ravelin_contract::selector::FlowKey;
use ravelin_contract::verdict::Verdict;
use ravelin_dataplane::clock::Now;
use ravelin_dataplane::esp::builder::{Builder, Built};
use ravelin_dataplane::esp::lookup::Lookup;
use ravelin_dataplane::esp::numbers::Numbers;
use ravelin_dataplane::esp::reservation::{Error, Store};
use ravelin_dataplane::esp::sa::{InboundSa, OutboundSa};
use ravelin_dataplane::esp::{inbound, outbound};
use ravelin_dataplane::frame::Pool;
use ravelin_dataplane::packet::{BATCH, Decision};

/// Tables of many SAs: the tunnel's number is the position of its SA, and so is the SPI less 1000.
struct Many {
    out: Vec<Arc<OutboundSa>>,
    inn: Vec<Arc<InboundSa>>,
}

impl Many {
    fn new(built: &[Built]) -> Self {
        let mut many = Self { out: vec![], inn: vec![] };
        for built in built {
            match built {
                Built::Inbound(sa) => many.inn.push(sa.clone()),
                Built::Outbound(sa) => many.out.push(sa.clone()),
            }
        }
        many
    }
}

impl Lookup for Many {
    fn inbound(&self, spi: u32, destination: IpAddr) -> Option<(u32, &InboundSa)> {
        let index = spi.checked_sub(1000)?;
        let sa = self.inn.get(index as usize)?;
        sa.identity().is_for(spi, destination).then_some((index, &**sa))
    }

    fn outbound(&self, tunnel: TunnelId, _: &FlowKey) -> Option<&OutboundSa> {
        self.out.get(tunnel.0 as usize).map(|sa| &**sa)
    }

    fn is_local(&self, _: IpAddr) -> bool {
        true
    }

    fn carries_esp(&self, port: u16) -> bool {
        port == NATT
    }

    fn link_mtu(&self, _: IpAddr) -> u16 {
        1500
    }
}

fn builder(store: Result<Store, Error>) -> Builder {
    Builder::new(Numbers::new(store, 1000))
}

fn no_store() -> Result<Store, Error> {
    Store::open(std::path::Path::new("/proc/no/where"))
}

fn build(builder: &mut Builder, sas: &[Sa]) -> Result<Vec<Built>, Refusal> {
    let mut seed = 0;
    builder.build(sas, Now(0), &mut || {
        seed += 1;
        [seed; 16]
    })
}

/// Both directions of one SA per kind.
fn sas(kinds: &[Kind]) -> Vec<Sa> {
    let numbered = |(at, kind): (usize, &Kind)| {
        let spi = Spi::new(1000 + at as u32).unwrap();
        [kind.outbound(), kind.inbound()].map(|sa| Sa { spi, ..sa })
    };
    kinds.iter().enumerate().flat_map(numbered).collect()
}

/// Batches in which every packet, or every third, is of another SA than the one before.
#[test]
fn sas_of_every_kind_share_a_batch() {
    let kinds = kinds();
    for run in [1, 3] {
        let many = Many::new(&build(&mut builder(no_store()), &sas(&kinds)).unwrap());
        let mut pair = Pair::new(&kinds[0]);
        for start in (0..kinds.len()).step_by(BATCH / 2) {
            let choice = |at: usize| (start + at / run * 5) % kinds.len();
            let inner: Vec<_> =
                (0..BATCH).map(|at| inner_packets(&kinds[choice(at)], at).remove(0)).collect();
            let mut batch = pair.batch(&inner);
            for (at, packet) in batch.packets.iter_mut().enumerate() {
                packet.decision = Decision::Protect(TunnelId(choice(at) as u32));
            }
            let mut pool = std::mem::replace(&mut pair.pool, Pool::new(vec![]));
            outbound::seal(&mut batch, &many, &mut pool, Now(0));
            pair.pool = pool;
            let mut sealed: Vec<_> = pair.results(batch).into_iter().map(Result::unwrap).collect();
            sealed.insert(7, sealed[3].clone());
            sealed.truncate(BATCH);
            let mut batch = pair.batch(&sealed);
            inbound::open(&mut batch, &many);
            let mut opened = pair.results(batch);
            assert_eq!(opened.remove(7), Err(Verdict::Replayed));
            assert!(opened.into_iter().zip(inner).all(|(opened, inner)| opened == Ok(inner)));
        }
        let packets = |status: ravelin_contract::report::SaStatus| status.traffic.0;
        let sent: u64 = many.out.iter().map(|sa| packets(sa.status("t", Now(0)))).sum();
        let received: u64 = many.inn.iter().map(|sa| packets(sa.status("t"))).sum();
        let batches = kinds.len().div_ceil(BATCH / 2) as u64;
        assert_eq!((sent, received), (batches * BATCH as u64, batches * (BATCH as u64 - 1)));
    }
}

fn one(built: &[Built]) -> (Arc<OutboundSa>, Arc<InboundSa>) {
    let many = Many::new(built);
    (many.out[0].clone(), many.inn[0].clone())
}

fn kind() -> Kind {
    let transform = transforms().remove(0);
    Kind { transform, mode: Mode::Tunnel, outer_v6: false, extended: false, udp: false }
}

#[test]
fn equal_sas_are_the_same_and_changed_ones_remember() {
    let mut builder = builder(no_store());
    let mut sas = sas(&[kind()]);
    let (out, inn) = one(&build(&mut builder, &sas).unwrap());
    sas.reverse();
    sas[0].tunnel = TunnelId(77); // only its number in the new generation
    let (same_out, same_inn) = one(&build(&mut builder, &sas).unwrap());
    assert!(Arc::ptr_eq(&out, &same_out) && Arc::ptr_eq(&inn, &same_inn));

    let Side::Outbound(sending) = &mut sas[1].side else { panic!("order") };
    sending.dont_fragment = DontFragment::Set;
    sas[0].side = Side::Inbound(Receiving { replay_window: 4096 });
    let mut pair = Pair::new(&kind());
    (pair.out, pair.inn) = (Arc::into_inner(out), None);
    let none = (pair.out.is_none(), pair.seal(&inner_packets(&kind(), 9)[0]));
    assert_eq!(none, (true, Err(Verdict::NoSa)), "the builder holds it too");
    let (new_out, new_inn) = one(&build(&mut builder, &sas).unwrap());
    assert!(!Arc::ptr_eq(&same_out, &new_out) && !Arc::ptr_eq(&same_inn, &new_inn));
    assert!(
        Arc::ptr_eq(same_out.sent(), new_out.sent()) && Arc::ptr_eq(same_inn.received(), new_inn.received())
    );
    assert_eq!(new_inn.status("t").bound, 128, "a window keeps its size as long as its key");
}

#[test]
fn a_new_generation_goes_on_counting_and_a_new_key_begins_anew() {
    let mut builder = builder(no_store());
    let old = sas(&[kind()]);
    let mut many = Many::new(&build(&mut builder, &old).unwrap());
    let mut pair = Pair::new(&kind());
    let mut number_of_next = |many: &Many| {
        let mut batch = pair.batch(&[inner_packets(&kind(), 9).remove(0)]);
        batch.packets[0].decision = Decision::Protect(TunnelId(0));
        let mut pool = std::mem::replace(&mut pair.pool, Pool::new(vec![]));
        outbound::seal(&mut batch, many, &mut pool, Now(0));
        pair.pool = pool;
        let sealed = pair.results(batch).remove(0).unwrap();
        u32::from_be_bytes(sealed[24..28].try_into().unwrap())
    };
    assert_eq!(number_of_next(&many), 1);
    let mut new = old.clone();
    let Side::Outbound(sending) = &mut new[0].side else { panic!("order") };
    sending.hop_limit = Some(9);
    let newer = Many::new(&build(&mut builder, &new).unwrap());
    assert_eq!((number_of_next(&newer), number_of_next(&many), number_of_next(&newer)), (2, 3, 4));
    new[0].spi = Spi::new(5000).unwrap();
    many = Many::new(&build(&mut builder, &new).unwrap());
    assert_eq!(number_of_next(&many), 5, "another SPI under the same key");
    new[0].transform = transforms().remove(1);
    many = Many::new(&build(&mut builder, &new).unwrap());
    assert_eq!(number_of_next(&many), 1);
}

#[test]
fn a_refused_generation_leaves_the_last_one_known() {
    let mut builder = builder(no_store());
    let good = sas(&[kind()]);
    let (out, inn) = one(&build(&mut builder, &good).unwrap());
    let mut bad = sas(&kinds());
    bad[40].origin = Origin::Manual;
    assert!(matches!(build(&mut builder, &bad), Err(Refusal::NotReservable { .. })));
    let mut short = good.clone();
    short[0].transform = ravelin_contract::sa::Transform::AesGcm16 {
        key: ravelin_contract::secret::Secret::new(vec![0; 17]),
        salt: [0; 4],
    };
    assert!(matches!(build(&mut builder, &short), Err(Refusal::Inconsistent(_))));
    let (same_out, same_inn) = one(&build(&mut builder, &good).unwrap());
    assert!(Arc::ptr_eq(&out, &same_out) && Arc::ptr_eq(&inn, &same_inn));
}

/// The whole of it: a manual key over three lives of the process never shows a number twice.
#[test]
fn a_manual_key_never_repeats_a_number_over_restarts() {
    let place = tempfile::tempdir().unwrap();
    let mut seen = std::collections::HashSet::new();
    for _ in 0..3 {
        let mut builder = builder(Store::open(place.path()));
        let mut manual = sas(&[kind()]);
        manual.iter_mut().for_each(|sa| sa.origin = Origin::Manual);
        let many = Many::new(&build(&mut builder, &manual).unwrap());
        let mut pair = Pair::new(&kind());
        for _ in 0..40 {
            let mut batch = pair.batch(&vec![inner_packets(&kind(), 9).remove(0); BATCH]);
            batch.packets.iter_mut().for_each(|packet| packet.decision = Decision::Protect(TunnelId(0)));
            let mut pool = std::mem::replace(&mut pair.pool, Pool::new(vec![]));
            outbound::seal(&mut batch, &many, &mut pool, Now(0));
            pair.pool = pool;
            for sealed in pair.results(batch) {
                assert!(seen.insert(sealed.unwrap()[24..28].to_vec()));
            }
            builder.numbers.top_up().unwrap();
        }
    }
    assert_eq!(seen.len(), 3 * 40 * BATCH);
}
