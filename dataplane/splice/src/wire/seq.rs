//! Sequence numbers, which wrap (RFC 9293 3.4).

/// A sequence number. It has no order of its own, only distances below 2^31.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Seq(pub u32);

impl Seq {
    /// The number `count` octets later.
    #[must_use]
    pub fn plus(self, count: u32) -> Self {
        Self(self.0.wrapping_add(count))
    }

    /// The number `count` octets earlier.
    #[must_use]
    pub fn minus(self, count: u32) -> Self {
        Self(self.0.wrapping_sub(count))
    }

    /// Octets from `earlier` to this one. Only for an `earlier` that is not later.
    pub fn since(self, earlier: Self) -> u32 {
        self.0.wrapping_sub(earlier.0)
    }

    /// Whether this number comes before `other`.
    pub fn before(self, other: Self) -> bool {
        (self.0.wrapping_sub(other.0) as i32) < 0
    }

    /// Whether this number is `other` or comes before it.
    pub fn until(self, other: Self) -> bool {
        !other.before(self)
    }

    /// The later of the two.
    #[must_use]
    pub fn later(self, other: Self) -> Self {
        if self.before(other) { other } else { self }
    }

    /// The earlier of the two.
    #[must_use]
    pub fn earlier(self, other: Self) -> Self {
        if self.before(other) { self } else { other }
    }
}

/// Whether a 32-bit time stamp or tick lies before another, with wrap (RFC 7323 5.2).
pub fn before(this: u32, other: u32) -> bool {
    Seq(this).before(Seq(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_survives_the_wrap() {
        let (early, late) = (Seq(0xffff_fff0), Seq(0x10));
        assert!(early.before(late) && !late.before(early));
        assert!(early.until(early) && !early.before(early));
        assert_eq!(late.since(early), 0x20);
        assert_eq!((early.later(late), early.earlier(late)), (late, early));
        assert_eq!(early.plus(0x20), late);
        assert_eq!(late.minus(0x20), early);
    }
}
