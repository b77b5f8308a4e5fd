//! Seal and open: every algorithm, mode, family pair, number width and carrier.

use crate::esp_support::*;
use ravelin_contract::sa::{Hash, Mode, Transform};
use ravelin_contract::verdict::Verdict;

#[test]
fn every_kind_comes_back_as_it_was() {
    for kind in kinds() {
        let mut pair = Pair::new(&kind);
        // Lengths around each alignment, the shortest and the longest that an Ethernet frame brings.
        for length in (0..20).chain([1400]) {
            for inner in inner_packets(&kind, length) {
                let sealed = pair.seal(&inner).unwrap();
                assert_eq!(sealed[0] >> 4 == 6, kind.outer_v6);
                let named = if kind.outer_v6 { sealed[6] } else { sealed[9] };
                assert_eq!(named, if kind.udp { 17 } else { 50 });
                assert_eq!(pair.open(&sealed).unwrap(), inner, "{kind:?}, {length} octets");
            }
        }
    }
}

#[test]
fn numbers_run_from_one_and_cross_32_bits_only_when_extended() {
    for kind in kinds() {
        let before = u64::from(u32::MAX) - 2;
        let mut pair = Pair::from(&kind.outbound(), &kind.inbound(), before);
        let inner = inner_packets(&kind, 30).remove(0);
        let sealed = pair.seal_batch(&vec![inner.clone(); 5]);
        let good = sealed.iter().filter(|result| result.is_ok()).count();
        assert_eq!(good, if kind.extended { 5 } else { 2 });
        assert!(sealed[good..].iter().all(|result| *result == Err(Verdict::SequenceExhausted)));
        let sealed: Vec<_> = sealed.into_iter().flatten().collect();
        // The other way round: the upper half is inferred backwards, too.
        for result in pair.open_batch(&sealed.into_iter().rev().collect::<Vec<_>>()) {
            assert_eq!(result.unwrap(), inner, "{kind:?}");
        }
    }
}

/// The IV in a packet of a tunnel over IPv4. `None` where the algorithm has none, or only its hash differs from another's.
fn iv_len(transform: &Transform) -> Option<usize> {
    match transform {
        Transform::AesCbc { integrity, .. } => (integrity.hash == Hash::Sha256).then_some(16),
        Transform::Null { .. } => None,
        _ => Some(8),
    }
}

#[test]
fn a_million_packets_have_a_million_ivs() {
    for transform in transforms() {
        let Some(length) = iv_len(&transform) else { continue };
        let kind = Kind { transform, mode: Mode::Tunnel, outer_v6: false, extended: true, udp: false };
        let mut pair = Pair::new(&kind);
        let inner = vec![inner_packets(&kind, 0).remove(0); 64];
        let mut ivs: Vec<u128> = Vec::with_capacity(1 << 20);
        while ivs.len() < 1_000_000 {
            for sealed in pair.seal_batch(&inner) {
                let iv =
                    sealed.unwrap()[28..28 + length].iter().fold(0, |iv, octet| iv << 8 | u128::from(*octet));
                ivs.push(iv);
            }
        }
        let count = ivs.len();
        ivs.sort_unstable();
        ivs.dedup();
        assert_eq!(ivs.len(), count, "{}", kind.transform.name());
    }
}

/// Every single-octet change, wherever it is, ends in a verdict; under the ICV it ends in `BadIcv`.
#[test]
fn no_changed_octet_passes() {
    for kind in kinds() {
        let mut pair = Pair::new(&kind);
        let inner = inner_packets(&kind, 21).remove(0);
        let sealed = pair.seal(&inner).unwrap();
        let ip = if kind.outer_v6 { 40 } else { 20 };
        let esp = ip + if kind.udp { 8 } else { 0 };
        for at in esp..sealed.len() {
            let mut bad = sealed.clone();
            bad[at] ^= 1 << (at % 8);
            let expected = match at - esp {
                0..4 => Verdict::NoSuchSa,
                _ => Verdict::BadIcv,
            };
            assert_eq!(pair.open(&bad), Err(expected), "{kind:?}, octet {}", at - esp);
        }
        assert_eq!(pair.open(&sealed).unwrap(), inner, "no forgery moved the window");
        assert_eq!(pair.open(&sealed), Err(Verdict::Replayed));
    }
}

#[test]
fn the_upper_half_of_the_number_is_authentic() {
    for kind in kinds().into_iter().filter(|kind| kind.extended) {
        let mut sender = Pair::from(&kind.outbound(), &kind.inbound(), 5 << 32);
        let mut receiver = Pair::from(&kind.outbound(), &kind.inbound(), 6 << 32);
        let sealed = sender.seal(&inner_packets(&kind, 30).remove(0)).unwrap();
        assert_eq!(receiver.open(&sealed), Err(Verdict::BadIcv), "{kind:?}");
        assert!(sender.open(&sealed).is_ok());
    }
}

/// Any cut, with the lengths outside set right: nothing panics, nothing passes.
#[test]
fn no_cut_packet_passes() {
    for kind in kinds() {
        let mut pair = Pair::new(&kind);
        let sealed = pair.seal(&inner_packets(&kind, 21).remove(0)).unwrap();
        let ip = if kind.outer_v6 { 40 } else { 20 };
        let udp = if kind.udp { 8 } else { 0 };
        for length in ip + udp..sealed.len() {
            let mut payload = sealed[ip..length].to_vec();
            if kind.udp {
                payload[4..6].copy_from_slice(&((length - ip) as u16).to_be_bytes());
            }
            let (local, remote) = kind.endpoints();
            let cut = ip_packet(local, remote, if kind.udp { 17 } else { 50 }, &payload);
            let result = pair.open(&cut);
            // Fewer than four octets in UDP are neither ESP nor IKE, and left alone.
            let left_alone = kind.udp && length - ip - udp < 4;
            match result {
                Ok(same) => assert!(left_alone && same == cut, "{kind:?} cut at {length}"),
                Err(verdict) => {
                    assert!(matches!(verdict, Verdict::BadEspLength | Verdict::BadIcv), "{verdict:?}")
                }
            }
        }
    }
}

/// Also with extended numbers, where the ICV ends it and not the window.
#[test]
fn a_copy_from_before_the_window_is_a_replay() {
    for kind in kinds() {
        let mut pair = Pair::new(&kind);
        let inner = inner_packets(&kind, 100).remove(0);
        let first = pair.seal(&inner).unwrap();
        assert_eq!(pair.open(&first).unwrap(), inner);
        for _ in 0..128 {
            let next = pair.seal(&inner).unwrap();
            assert_eq!(pair.open(&next).unwrap(), inner);
        }
        assert_eq!(pair.open(&first), Err(Verdict::Replayed), "{kind:?}");
    }
}

#[test]
fn a_batch_of_two_copies_opens_one() {
    for kind in kinds() {
        let mut pair = Pair::new(&kind);
        let inner = inner_packets(&kind, 100).remove(0);
        let sealed = pair.seal(&inner).unwrap();
        assert_eq!(pair.open_batch(&[sealed.clone(), sealed]), [Ok(inner), Err(Verdict::Replayed)]);
    }
}
