//! What a sink is.

use std::io;

use crate::record::Record;

/// Something that takes records. It may take its time: it has a thread of its own.
pub(crate) trait Sink: Send + 'static {
    /// Writes one record.
    ///
    /// # Errors
    /// It was not taken.
    fn put(&mut self, record: &Record) -> io::Result<()>;
}
