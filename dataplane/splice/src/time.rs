//! Time as the splice sees it: a number handed in.

/// Microseconds from any fixed moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Now(pub u64);

/// Microseconds of a [`Now`] that wrap after 71 minutes; for spans shorter than half of that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Stamp(pub(crate) u32);

/// Time in steps of 1,024 microseconds, which wraps after 50 days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Tick(pub(crate) u32);

/// Microseconds of a tick, as a shift.
const TICK: u32 = 10;

impl Now {
    /// This moment and some milliseconds more.
    #[must_use]
    pub fn plus_ms(self, milliseconds: u64) -> Self {
        Self(self.0 + milliseconds * 1_000)
    }

    pub(crate) fn stamp(self) -> Stamp {
        Stamp(self.0 as u32)
    }

    pub(crate) fn tick(self) -> Tick {
        Tick((self.0 >> TICK) as u32)
    }

    /// The tick by which so many microseconds have certainly passed.
    pub(crate) fn tick_after(self, microseconds: u32) -> Tick {
        Tick(((self.0 + u64::from(microseconds)).div_ceil(1 << TICK)) as u32)
    }

    /// The clock behind time stamps: milliseconds (RFC 7323 5.4).
    pub(crate) fn milliseconds(self) -> u32 {
        (self.0 / 1_000) as u32
    }

    /// The moment at which `tick` begins, as it is to come (or has just gone) seen from here.
    pub(crate) fn of_tick(self, tick: Tick) -> Self {
        let ahead = i64::from(tick.0.wrapping_sub(self.tick().0) as i32);
        let current = (self.0 >> TICK) as i64;
        Self(((current + ahead).max(0) as u64) << TICK)
    }
}

impl Stamp {
    pub(crate) fn since(self, earlier: Self) -> u32 {
        self.0.wrapping_sub(earlier.0)
    }

    pub(crate) fn before(self, other: Self) -> bool {
        (self.0.wrapping_sub(other.0) as i32) < 0
    }
}

impl Tick {
    pub(crate) fn before(self, other: Self) -> bool {
        (self.0.wrapping_sub(other.0) as i32) < 0
    }

    pub(crate) fn plus(self, ticks: u32) -> Self {
        Self(self.0.wrapping_add(ticks))
    }

    pub(crate) fn since(self, earlier: Self) -> u32 {
        self.0.wrapping_sub(earlier.0)
    }

    /// The earlier of two moments, where there are any.
    pub(crate) fn first(one: Option<Self>, other: Option<Self>) -> Option<Self> {
        match (one, other) {
            (Some(one), Some(other)) => Some(if other.before(one) { other } else { one }),
            _ => one.or(other),
        }
    }
}

/// Ticks of some milliseconds, rounded up.
pub(crate) fn ticks(milliseconds: u32) -> u32 {
    (u64::from(milliseconds) * 1_000).div_ceil(1 << TICK) as u32
}
