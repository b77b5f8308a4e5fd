//! Explicit congestion notification through tunnels (RFC 6040).

/// The ECN bits of a TOS octet or traffic class.
pub const ECN_MASK: u8 = 0b11;
/// Not capable of ECN.
const NOT_ECT: u8 = 0b00;
/// Capable, second code point.
const ECT_1: u8 = 0b01;
/// Congestion experienced.
const CE: u8 = 0b11;

/// The traffic class of the inner packet after its outer header was taken off (RFC 6040 4.2, figure 4). `None` when the
/// packet must be dropped: a router on the way marked congestion, and the sender would never hear of it.
///
/// The entry at a tunnel needs no function: normal mode copies the bits outwards (RFC 6040 4.1).
pub fn leave_tunnel(inner: u8, outer: u8) -> Option<u8> {
    let keep = inner & !ECN_MASK;
    match (inner & ECN_MASK, outer & ECN_MASK) {
        (NOT_ECT, CE) => None,
        (NOT_ECT, _) => Some(inner),
        (_, CE) => Some(keep | CE),
        // ECT(1) is the stronger of the two capable marks; a peer may use it as a mild signal (PCN).
        (ecn, ECT_1) if ecn != CE => Some(keep | ECT_1),
        _ => Some(inner),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figure_4_of_rfc_6040() {
        const ECT_0: u8 = 0b10;
        let columns = [NOT_ECT, ECT_0, ECT_1, CE];
        let table = [
            (NOT_ECT, [Some(NOT_ECT), Some(NOT_ECT), Some(NOT_ECT), None]),
            (ECT_0, [Some(ECT_0), Some(ECT_0), Some(ECT_1), Some(CE)]),
            (ECT_1, [Some(ECT_1), Some(ECT_1), Some(ECT_1), Some(CE)]),
            (CE, [Some(CE), Some(CE), Some(CE), Some(CE)]),
        ];
        for (inner, row) in table {
            for (outer, expected) in columns.into_iter().zip(row) {
                let dscp = 46 << 2;
                let merged = leave_tunnel(dscp | inner, 10 << 2 | outer);
                assert_eq!(merged, expected.map(|ecn| dscp | ecn), "inner {inner:02b} outer {outer:02b}");
            }
        }
    }
}
