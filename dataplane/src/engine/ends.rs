//! Where SAs end, counted: what the surroundings must know, so that no packet of them passes by.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;

use ravelin_contract::sa::Carrier;

/// Where one SA ends: the peer, and in what ESP runs.
pub(super) type End = (IpAddr, Carrier);

/// Ends with the number of SAs that have them.
#[derive(Debug, Clone, Default)]
pub(super) struct Ends {
    ports: HashMap<u16, usize>,
    peers: HashMap<IpAddr, usize>,
}

/// What a change of SAs means for the ends of all.
#[derive(Debug, Default)]
pub(super) struct Shift {
    /// Whether the ports are others.
    pub(super) ports: bool,
    /// Peers that were none.
    pub(super) come: Vec<IpAddr>,
    /// Peers that are none any more.
    pub(super) gone: Vec<IpAddr>,
}

impl Ends {
    /// Of these SAs.
    pub(super) fn of(all: impl IntoIterator<Item = End>) -> Self {
        let mut ends = Self::default();
        for end in all {
            let _ = ends.add(end);
        }
        ends
    }

    /// Counts SAs in and out; what that means beside `others`, which stay.
    pub(super) fn shift(&mut self, come: &[End], gone: &[End], others: &Self) -> Shift {
        let mut shift = Shift::default();
        for end in come {
            let (port, peer) = self.add(*end);
            shift.ports |= port.is_some_and(|port| !others.ports.contains_key(&port));
            shift.come.extend(peer.filter(|peer| !others.peers.contains_key(peer)));
        }
        for end in gone {
            let (port, peer) = self.remove(*end);
            shift.ports |= port.is_some_and(|port| !others.ports.contains_key(&port));
            shift.gone.extend(peer.filter(|peer| !others.peers.contains_key(peer)));
        }
        shift
    }

    /// UDP ports of ours that carry ESP, of all of these.
    pub(super) fn ports(all: &[&Self]) -> Vec<u16> {
        sorted(all.iter().flat_map(|ends| ends.ports.keys()))
    }

    /// Peers of all of these.
    pub(super) fn peers(all: &[&Self]) -> Vec<IpAddr> {
        sorted(all.iter().flat_map(|ends| ends.peers.keys()))
    }

    /// What is new by this SA.
    fn add(&mut self, (peer, carrier): End) -> (Option<u16>, Option<IpAddr>) {
        (port(carrier).and_then(|port| count(&mut self.ports, port)), count(&mut self.peers, peer))
    }

    /// What is gone with this SA.
    fn remove(&mut self, (peer, carrier): End) -> (Option<u16>, Option<IpAddr>) {
        (port(carrier).and_then(|port| discount(&mut self.ports, port)), discount(&mut self.peers, peer))
    }
}

fn port(carrier: Carrier) -> Option<u16> {
    match carrier {
        Carrier::Udp { local_port, .. } => Some(local_port),
        Carrier::Ip => None,
    }
}

/// The key, if it is the first.
fn count<K: Copy + Eq + Hash>(counts: &mut HashMap<K, usize>, key: K) -> Option<K> {
    let number = counts.entry(key).or_insert(0);
    *number += 1;
    (*number == 1).then_some(key)
}

/// The key, if it was the last.
fn discount<K: Copy + Eq + Hash>(counts: &mut HashMap<K, usize>, key: K) -> Option<K> {
    let number = counts.get_mut(&key)?;
    *number -= 1;
    if *number > 0 {
        return None;
    }
    counts.remove(&key);
    Some(key)
}

fn sorted<'a, T: Ord + Copy + 'a>(all: impl Iterator<Item = &'a T>) -> Vec<T> {
    let mut list: Vec<T> = all.copied().collect();
    list.sort_unstable();
    list.dedup();
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_and_the_last_sa_of_an_end_are_told() {
        let udp = |local_port| Carrier::Udp { local_port, remote_port: 4500, keepalive: 20 };
        let [a, b, c]: [IpAddr; 3] = [1, 2, 3].map(|last| [192, 0, 2, last].into());
        let others = Ends::of([(c, udp(4501))]);
        let mut ends = Ends::default();
        let told = |shift: Shift| (shift.ports, shift.come, shift.gone);
        assert_eq!(
            told(ends.shift(&[(a, udp(4500)), (a, udp(4500))], &[], &others)),
            (true, vec![a], vec![])
        );
        assert_eq!(told(ends.shift(&[(c, udp(4501))], &[(a, udp(4500))], &others)), (false, vec![], vec![]));
        assert_eq!(
            (Ends::ports(&[&ends, &others]), Ends::peers(&[&ends, &others])),
            (vec![4500, 4501], vec![a, c])
        );
        assert_eq!(
            told(ends.shift(&[(b, Carrier::Ip)], &[(a, udp(4500))], &others)),
            (true, vec![b], vec![a])
        );
        assert_eq!(
            told(ends.shift(&[], &[(c, udp(4501)), (b, Carrier::Ip)], &others)),
            (false, vec![], vec![b])
        );
        assert_eq!(Ends::peers(&[&ends]), Vec::<IpAddr>::new());
    }
}
