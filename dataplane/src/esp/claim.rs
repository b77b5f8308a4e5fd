//! Packets of a batch that ESP works on.

use crate::packet::Packet;

/// What a stage knows of one packet while the batch goes through its steps.
pub(super) trait Claim {
    /// Position of the packet in the batch.
    fn place(&self) -> usize;
}

/// The claims with their packets, those that still travel. `claims` are in the order of their places.
pub(super) fn paired<'a, C: Claim>(
    packets: &'a mut [Packet],
    claims: &'a mut [C],
) -> impl Iterator<Item = (&'a mut Packet, &'a mut C)> {
    let mut packets = packets.iter_mut().enumerate();
    claims.iter_mut().filter_map(move |claim| {
        let (_, packet) = packets.find(|(place, _)| *place == claim.place())?;
        packet.travels().then_some((packet, claim))
    })
}
