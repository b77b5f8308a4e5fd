//! Which child serves which tunnel, and which only receive any more.
//!
//! When both sides have agreed that a child with a successor ends, packets that the peer sealed under it may still be on the
//! way: in a queue, or on a longer path than the messages of IKE took. So its SA stays for a moment, to receive.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use ravelin_contract::name::Name;
use ravelin_contract::sa::Spi;
use ravelin_ike::policy::Traffic;
use ravelin_ike::status::ChildStatus;
use ravelin_ike::{ChildSa, Time};

/// How long the SA of a child with a successor stays after its end.
const LATE: Duration = Duration::from_secs(5);

/// Children by their inbound SPI.
#[derive(Debug, Default)]
pub(super) struct Served {
    standing: HashMap<Spi, Standing>,
    /// How many send for the same.
    sending: HashMap<Arc<Likeness>, usize>,
    /// Gone for IKE; the first to go first.
    late: VecDeque<(Time, Spi, Arc<Likeness>)>,
}

#[derive(Debug)]
struct Standing {
    likeness: Arc<Likeness>,
    sends: bool,
}

/// What a child must have in common with another to take over from it.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Likeness {
    tunnel: Name,
    local: Box<[Traffic]>,
    remote: Box<[Traffic]>,
    core: Option<u16>,
}

impl Served {
    /// What an earlier run of control has left.
    pub(super) fn take_up(&mut self, children: impl Iterator<Item = (ChildStatus, bool)>) {
        *self = Self::default();
        for (child, sends) in children {
            let ChildStatus { name: tunnel, local, remote, resource: core, .. } = child;
            let likeness = Likeness { tunnel, local: local.into(), remote: remote.into(), core };
            self.stand(child.inbound, likeness, sends);
        }
    }

    /// A child is handed to the packet process.
    pub(super) fn install(&mut self, sa: &ChildSa) {
        let likeness = Likeness {
            tunnel: sa.name.clone(),
            local: sa.local.clone().into(),
            remote: sa.remote.clone().into(),
            core: sa.resource,
        };
        self.stand(sa.inbound, likeness, sa.use_at_once);
    }

    fn stand(&mut self, inbound: Spi, likeness: Likeness, sends: bool) {
        self.standing.insert(inbound, Standing { likeness: Arc::new(likeness), sends: false });
        if sends {
            self.send(inbound);
        }
    }

    /// Whether this child stands.
    pub(super) fn stands(&self, inbound: Spi) -> bool {
        self.standing.contains_key(&inbound)
    }

    /// The child sends from now on; false when it is gone for IKE.
    pub(super) fn send(&mut self, inbound: Spi) -> bool {
        let Some(standing) = self.standing.get_mut(&inbound) else { return false };
        if !std::mem::replace(&mut standing.sends, true) {
            *self.sending.entry(Arc::clone(&standing.likeness)).or_default() += 1;
        }
        true
    }

    /// The child has ended. What is to be taken out of the packet process now: nothing, while another sends in its place;
    /// otherwise the child, and those before it that only receive.
    pub(super) fn end(&mut self, inbound: Spi, now: Time) -> Vec<Spi> {
        let Some(Standing { likeness, sends }) = self.standing.remove(&inbound) else { return vec![inbound] };
        if sends && let Some(count) = self.sending.get_mut(&likeness) {
            *count -= 1;
            if *count == 0 {
                self.sending.remove(&likeness);
            }
        }
        if self.sending.contains_key(&likeness) {
            self.late.push_back((now + LATE, inbound, likeness));
            return vec![];
        }
        let (gone, stay) =
            std::mem::take(&mut self.late).into_iter().partition(|(.., like)| *like == likeness);
        self.late = stay;
        let before = |gone: VecDeque<(Time, Spi, _)>| gone.into_iter().map(|(_, late, _)| late);
        std::iter::once(inbound).chain(before(gone)).collect()
    }

    /// Whose time is over.
    pub(super) fn over(&mut self, now: Time) -> Vec<Spi> {
        let count = self.late.iter().take_while(|(due, ..)| *due <= now).count();
        self.late.drain(..count).map(|(_, inbound, _)| inbound).collect()
    }

    /// When [`Served::over`] is to be asked next.
    pub(super) fn deadline(&self) -> Option<Time> {
        self.late.front().map(|(due, ..)| *due)
    }
}

#[cfg(test)]
mod tests {
    use ravelin_contract::sa::Mode;

    use super::*;

    fn spi(number: u32) -> Spi {
        Spi::new(0x1000 + number).expect("an SPI")
    }

    fn child(number: u32, core: Option<u16>) -> ChildStatus {
        ChildStatus {
            name: Name::new("site-b").expect("a name"),
            inbound: spi(number),
            outbound: spi(number),
            mode: Mode::Tunnel,
            local: vec![],
            remote: vec![],
            life: "standing",
            resource: core,
        }
    }

    fn served(children: &[(u32, Option<u16>, bool)]) -> Served {
        let mut served = Served::default();
        served.take_up(children.iter().map(|&(number, core, sends)| (child(number, core), sends)));
        served
    }

    fn now() -> Time {
        Time::from_micros(1)
    }

    #[test]
    fn who_has_a_successor_that_sends_receives_for_a_moment() {
        let mut served = served(&[(1, None, true), (2, None, false)]);
        assert!(served.send(spi(2)));
        assert_eq!(served.end(spi(1), now()), []);
        assert!(!served.send(spi(1)), "it must not be made to send again");
        assert_eq!(served.deadline(), Some(now() + LATE));
        assert_eq!(served.over(now() + LATE / 2), []);
        assert_eq!(served.over(now() + LATE), [spi(1)]);
        assert_eq!(served.deadline(), None);
    }

    #[test]
    fn who_has_none_goes_at_once_with_all_before() {
        let mut alone = served(&[(1, None, true), (2, None, false), (3, Some(0), true)]);
        assert_eq!(
            alone.end(spi(1), now()),
            [spi(1)],
            "one that does not send yet is no successor, nor one of a core"
        );

        let mut down = served(&[(1, None, true), (2, None, true), (3, Some(0), true), (4, Some(0), true)]);
        assert_eq!((down.end(spi(1), now()), down.end(spi(3), now())), (vec![], vec![]));
        assert_eq!(down.end(spi(2), now()), [spi(2), spi(1)]);
        assert_eq!(down.deadline(), Some(now() + LATE), "that of the core has its successor");
        assert_eq!(down.end(spi(9), now()), [spi(9)], "what was never heard of is nobody's to keep");
    }
}
