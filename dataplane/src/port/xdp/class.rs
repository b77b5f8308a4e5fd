//! What the steering program counts.

/// What happened to frames, as the program counts it; see `bpf/steer.bpf.c` for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u32)]
#[expect(missing_docs, reason = "the names say it, and `name` is what is shown")]
pub enum Class {
    PassNotIp,
    PassMulticast,
    PassNeighbour,
    PassIke,
    PassLocal,
    RingEsp,
    RingUdpEsp,
    RingTooBig,
    RingFragment,
    RingProtected,
    RingForward,
    RingMalformed,
    DropNoSocket,
    DropTags,
    DropLinkMulticast,
}

impl Class {
    /// Every class, in the program's order.
    pub const ALL: [Self; 15] = [
        Self::PassNotIp,
        Self::PassMulticast,
        Self::PassNeighbour,
        Self::PassIke,
        Self::PassLocal,
        Self::RingEsp,
        Self::RingUdpEsp,
        Self::RingTooBig,
        Self::RingFragment,
        Self::RingProtected,
        Self::RingForward,
        Self::RingMalformed,
        Self::DropNoSocket,
        Self::DropTags,
        Self::DropLinkMulticast,
    ];

    /// Its metric label: action, then cause.
    pub fn name(self) -> &'static str {
        match self {
            Self::PassNotIp => "pass_not_ip",
            Self::PassMulticast => "pass_multicast",
            Self::PassNeighbour => "pass_neighbour",
            Self::PassIke => "pass_ike",
            Self::PassLocal => "pass_local",
            Self::RingEsp => "ring_esp",
            Self::RingUdpEsp => "ring_udp_esp",
            Self::RingTooBig => "ring_too_big",
            Self::RingFragment => "ring_fragment",
            Self::RingProtected => "ring_protected",
            Self::RingForward => "ring_forward",
            Self::RingMalformed => "ring_malformed",
            Self::DropNoSocket => "drop_no_socket",
            Self::DropTags => "drop_tags",
            Self::DropLinkMulticast => "drop_link_multicast",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_in_the_order_of_their_numbers() {
        assert!(Class::ALL.iter().enumerate().all(|(number, class)| number == *class as usize));
    }
}
