//! Space around a packet.

use ravelin_contract::verdict::Verdict;

use crate::frame::{Frame, Pool};
use crate::port::HEADROOM;

/// Octets that stay free before a sealed packet for its link header: Ethernet and two VLAN tags are 22.
const LINK: usize = 32;

/// Grows the packet by `front` octets before it and `back` after it. Their content is whatever was there.
///
/// Where the frame has the room, as frames from AF_XDP do, the packet stays where it is: nothing is copied, and the
/// cipher works on lines that are in the cache. Else it moves to a frame of the pool, and the old one goes back.
///
/// # Errors
/// `TooLongToSeal`: no frame or no IP packet is that long. `NoFrame`.
pub(super) fn grow(frame: &mut Frame, pool: &mut Pool, front: usize, back: usize) -> Result<(), Verdict> {
    let length = front + frame.len() + back;
    if length > usize::from(u16::MAX) {
        return Err(Verdict::TooLongToSeal);
    }
    let start = frame.headroom().checked_sub(front).filter(|start| *start >= LINK);
    match start.and_then(|start| frame.place(start, length)) {
        Some(()) => Ok(()),
        None => move_out(frame, pool, front, length),
    }
}

fn move_out(frame: &mut Frame, pool: &mut Pool, front: usize, length: usize) -> Result<(), Verdict> {
    let mut fresh = pool.take().ok_or(Verdict::NoFrame)?;
    if fresh.place(HEADROOM, length).is_none() {
        pool.give(fresh);
        return Err(Verdict::TooLongToSeal);
    }
    fresh.bytes_mut()[front..front + frame.len()].copy_from_slice(frame.bytes());
    pool.give(std::mem::replace(frame, fresh));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(pool: &mut Pool, start: usize, octets: &[u8]) -> Frame {
        let mut frame = pool.take().unwrap();
        frame.place(start, octets.len()).unwrap();
        frame.bytes_mut().copy_from_slice(octets);
        frame
    }

    #[test]
    fn stays_where_there_is_room() {
        let mut pool = Pool::in_memory(2, 512);
        let mut frame = packet(&mut pool, 100, b"inner");
        let slot = frame.slot();
        grow(&mut frame, &mut pool, 60, 20).unwrap();
        assert_eq!((frame.slot(), frame.headroom(), frame.len()), (slot, 40, 85));
        assert_eq!(&frame.bytes()[60..65], b"inner");
        assert_eq!(pool.free(), 1);
    }

    #[test]
    fn moves_where_there_is_none() {
        let mut pool = Pool::in_memory(2, 512);
        for start in [0, 64, 400] {
            let mut frame = packet(&mut pool, start, &[7; 100]);
            let slot = frame.slot();
            grow(&mut frame, &mut pool, 60, 20).unwrap();
            assert_ne!(frame.slot(), slot);
            assert_eq!((frame.headroom(), frame.len()), (HEADROOM, 180));
            assert_eq!(frame.bytes()[60..160], [7; 100]);
            assert_eq!(pool.free(), 1, "the old frame came back");
            pool.give(frame);
        }
    }

    #[test]
    fn refused_whole() {
        let mut pool = Pool::in_memory(2, 512);
        let mut frame = packet(&mut pool, 64, &[7; 440]);
        assert_eq!(grow(&mut frame, &mut pool, 60, 20), Err(Verdict::TooLongToSeal));
        assert_eq!(grow(&mut frame, &mut pool, 60, 70_000), Err(Verdict::TooLongToSeal));
        assert_eq!((frame.len(), pool.free()), (440, 1));
        let _held = pool.take();
        assert_eq!(grow(&mut frame, &mut pool, 1000, 0), Err(Verdict::NoFrame));
    }
}
