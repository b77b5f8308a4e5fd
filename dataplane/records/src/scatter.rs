//! Octets that lie in several pieces, as a stream comes in segments: no piece is copied to make one of them.

use ravelin_crypto_accel::Text;

/// Most pieces of one text that are handed on as they lie: a full record in Ethernet's segments has 12. A text in more is
/// brought together where its result goes.
pub const PIECES: usize = 16;

/// Octets in all pieces together.
pub(crate) fn total(pieces: &[&[u8]]) -> usize {
    pieces.iter().map(|piece| piece.len()).sum()
}

/// Copies the first octets; says how many there were.
pub(crate) fn copy_front(pieces: &[&[u8]], to: &mut [u8]) -> usize {
    copy_range(pieces, 0, to)
}

/// Copies the octets from `start` on; says how many there were.
pub(crate) fn copy_range(pieces: &[&[u8]], start: usize, to: &mut [u8]) -> usize {
    let mut done = 0;
    for part in range(pieces, start, to.len()) {
        to[done..done + part.len()].copy_from_slice(part);
        done += part.len();
    }
    done
}

/// The parts of the octets from `start` on, `len` of them if there are as many. None is empty.
fn range<'a>(pieces: &'a [&'a [u8]], start: usize, len: usize) -> impl Iterator<Item = &'a [u8]> {
    let (mut skip, mut left) = (start, len);
    pieces.iter().filter_map(move |piece| {
        let from = skip.min(piece.len());
        skip -= from;
        let part = &piece[from..piece.len().min(from.saturating_add(left))];
        left -= part.len();
        (!part.is_empty()).then_some(part)
    })
}

/// Where the text of one job lies: room that a caller lends to [`Opening::job`] or [`Sealing::job`] for as long as the job
/// lives.
///
/// [`Opening::job`]: crate::Opening::job
/// [`Sealing::job`]: crate::Sealing::job
#[derive(Debug, Default)]
pub struct Run<'p> {
    /// No vector: a value without drop lets jobs and what they borrow end together.
    parts: [&'p [u8]; PIECES],
}

impl<'p> Run<'p> {
    /// The octets from `start` on with `tail` behind them as a text whose result goes to `output`, which is exactly as
    /// long. `None` where the lengths do not fit.
    pub(crate) fn text<'r>(
        &'r mut self,
        pieces: &'p [&'p [u8]],
        start: usize,
        tail: &'p [u8],
        output: &'r mut [u8],
    ) -> Option<Text<'r>>
    where
        'p: 'r,
    {
        let len = output.len().checked_sub(tail.len())?;
        let mut count = 0;
        for part in range(pieces, start, len).chain((!tail.is_empty()).then_some(tail)) {
            let Some(place) = self.parts.get_mut(count) else {
                return gathered(pieces, start, tail, output);
            };
            *place = part;
            count += 1;
        }
        match &self.parts[..count] {
            [one] => Text::across(one, &[], output).ok(),
            [one, last] => Text::across(one, last, output).ok(),
            parts => Text::scattered(parts, output).ok(),
        }
    }
}

fn gathered<'a>(pieces: &[&[u8]], start: usize, tail: &[u8], output: &'a mut [u8]) -> Option<Text<'a>> {
    let split = output.len() - tail.len();
    let copied = copy_range(pieces, start, &mut output[..split]);
    output[split..].copy_from_slice(tail);
    if copied == split { Text::in_place(output).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_range_of_any_cut_is_the_same_octets() {
        let octets: Vec<u8> = (0..40).collect();
        for size in 1..=40 {
            let mut pieces: Vec<&[u8]> = octets.chunks(size).collect();
            pieces.insert(pieces.len() / 2, &[]);
            assert_eq!(total(&pieces), 40);
            for start in 0..40 {
                let mut copy = vec![0; 40 - start];
                assert_eq!(copy_range(&pieces, start, &mut copy), 40 - start);
                assert_eq!(copy, octets[start..]);
                let (mut run, mut output) = (Run::default(), vec![0; 40 - start + 2]);
                let text = run.text(&pieces, start, b"ab", &mut output).expect("lengths fit");
                assert_eq!(text.len(), 42 - start);
            }
        }
    }

    #[test]
    fn missing_octets_are_no_text() {
        let mut output = [0; 5];
        assert!(Run::default().text(&[b"abc"], 0, b"d", &mut output).is_none());
        assert!(Run::default().text(&[b"abc"], 0, b"123456", &mut output).is_none());
        let many = [b"a".as_slice(); 20];
        assert!(Run::default().text(&many, 0, b"d", &mut [0; 22]).is_none());
        assert!(Run::default().text(&many, 0, b"d", &mut [0; 21]).is_some());
    }
}
