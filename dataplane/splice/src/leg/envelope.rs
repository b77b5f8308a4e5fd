//! What goes around data that a leg sends at one time.

use super::Leg;
use crate::frame::{Frame, Memory};
use crate::turn::{Ends, Turn};
use crate::wire::build::Header;
use crate::wire::segment::Flags;
use crate::wire::seq::Seq;
use crate::wire::template::Template;

/// From whom to whom, and, once the first segment has gone, the header of those that follow: acknowledgment, window and time
/// stamps are the same in all of them.
pub(super) struct Envelope<'a> {
    ends: &'a Ends,
    made: Option<Made>,
}

struct Made {
    header: Header<'static>,
    /// Where nothing unusual is in it.
    template: Option<Template>,
}

impl<'a> Envelope<'a> {
    pub(super) fn new(ends: &'a Ends) -> Self {
        Self { ends, made: None }
    }

    /// Sends `len` octets of data that begin at `start` in the frame.
    #[inline]
    pub(super) fn send<M: Memory>(
        &mut self,
        leg: &mut Leg,
        mut frame: M::Frame,
        (start, len): (u16, u16),
        (seq, flags): (Seq, Flags),
        turn: &mut Turn<'_, M>,
    ) {
        let made = self.made.get_or_insert_with(|| {
            let header = leg.header(Seq(0), Flags(0), &[], self.ends, turn);
            Made { header, template: Template::of(&header, self.ends.sum()) }
        });
        let octets = frame.octets_mut();
        let at = match &made.template {
            Some(template) => template.write((seq, flags), octets, start.into(), len.into()),
            None => {
                let header = Header { seq, flags, ..made.header };
                header.write_over(octets, start.into(), len.into(), self.ends.sum())
            }
        };
        turn.post(frame, at, (start, len), self.ends);
    }
}
