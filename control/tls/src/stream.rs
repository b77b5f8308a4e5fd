//! What the peer has sent and rustls has not eaten, within bounds, handed on record by record: so nothing that comes after
//! the handshake is opened here.

/// Octets before each record.
const HEADER: usize = 5;
/// Longest body of a record (RFC 5246 6.2.3).
const BODY: usize = (1 << 14) + 2048;
/// Most octets that wait.
const WAITING: usize = 128 << 10;
/// Most octets of one handshake: certificates may be long, but not without end.
const WHOLE: usize = 512 << 10;

/// More than a handshake takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooMuch;

#[derive(Debug, Default)]
pub(crate) struct Stream {
    octets: Vec<u8>,
    /// So many from the front may be eaten; they end where a record does.
    offered: usize,
    /// All that ever came.
    total: usize,
}

impl Stream {
    pub(crate) fn push(&mut self, octets: &[u8]) -> Result<(), TooMuch> {
        self.total += octets.len();
        if self.octets.len() + octets.len() > WAITING || self.total > WHOLE {
            return Err(TooMuch);
        }
        self.octets.extend_from_slice(octets);
        Ok(())
    }

    /// Whether anything came.
    pub(crate) fn has_begun(&self) -> bool {
        self.total > 0
    }

    /// The first octets that wait.
    pub(crate) fn begin(&self) -> &[u8] {
        &self.octets[..self.octets.len().min(24)]
    }

    /// What may be eaten now.
    pub(crate) fn offered(&mut self) -> &mut [u8] {
        &mut self.octets[..self.offered]
    }

    /// So many were eaten.
    pub(crate) fn eaten(&mut self, count: usize) {
        self.octets.drain(..count.min(self.offered));
        self.offered -= count.min(self.offered);
    }

    /// Offers one more record, or whatever it is when it is none. Whether there was one.
    pub(crate) fn offer_more(&mut self) -> bool {
        let rest = &self.octets[self.offered..];
        let more = match *rest {
            [] => 0,
            [kind, ..] if !(20..=23).contains(&kind) => rest.len(),
            [_, _, _, high, low, ..] => {
                let body = usize::from(u16::from_be_bytes([high, low]));
                match body > BODY {
                    true => rest.len(),
                    false if rest.len() >= HEADER + body => HEADER + body,
                    false => 0,
                }
            }
            _ => 0,
        };
        self.offered += more;
        more > 0
    }

    /// Whether all that was offered is eaten.
    pub(crate) fn is_even(&self) -> bool {
        self.offered == 0
    }

    /// What is left.
    pub(crate) fn into_rest(self) -> Vec<u8> {
        self.octets
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_offered_one_by_one() {
        let mut stream = Stream::default();
        let records = [22, 3, 3, 0, 2, 1, 2, 23, 3, 3, 0, 1, 9];
        for octet in &records[..6] {
            stream.push(&[*octet]).expect("room");
            assert!(!stream.offer_more());
        }
        stream.push(&records[6..]).expect("room");
        assert!(stream.offer_more());
        assert_eq!(stream.offered(), &records[..7]);
        stream.eaten(7);
        assert!(stream.is_even());
        assert_eq!(stream.into_rest(), &records[7..]);
    }

    #[test]
    fn what_is_no_record_is_offered_whole() {
        for octets in [b"GET / HTTP/1.0".as_slice(), &[22, 3, 3, 0xff, 0xff, 1]] {
            let mut stream = Stream::default();
            stream.push(octets).expect("room");
            assert!(stream.offer_more());
            assert_eq!(stream.offered(), octets);
        }
    }

    #[test]
    fn there_is_a_bound() {
        let mut stream = Stream::default();
        stream.push(&[0; WAITING]).expect("room");
        assert_eq!(stream.push(&[0]), Err(TooMuch));
        let mut stream = Stream::default();
        for _ in 0..WHOLE / 1024 {
            stream.push(&[0; 1024]).expect("room");
            stream.offered = 1024;
            stream.eaten(1024);
        }
        assert_eq!(stream.push(&[0]), Err(TooMuch));
    }
}
