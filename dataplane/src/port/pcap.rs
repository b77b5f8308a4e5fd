//! A port that reads its frames from a capture file and writes what it transmits to another.
//!
//! Classic pcap, version 2.4, Ethernet. Read: both octet orders, microseconds and nanoseconds. Written: this machine's
//! octet order, nanoseconds.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::ops::Range;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use arrayvec::ArrayVec;

use super::Port;
use super::memory::copy_in;
use crate::frame::{Frame, Pool};
use crate::packet::{BATCH, BURST};

/// First word of a file with microseconds.
const MICROSECONDS: u32 = 0xa1b2_c3d4;
/// First word of a file with nanoseconds.
const NANOSECONDS: u32 = 0xa1b2_3c4d;
/// LINKTYPE_ETHERNET.
const ETHERNET: u32 = 1;
/// Octets of the file header.
const FILE_HEADER: usize = 24;
/// Octets of the header of one record.
const RECORD_HEADER: usize = 16;
/// Snapshot length that we write: no frame of ours is longer.
const SNAPSHOT: u32 = 65_535;
/// Frames that the port accepts between two flushes.
const QUEUE: usize = 2 * BATCH;

/// Why a capture cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum PcapError {
    /// The file cannot be opened, read or written.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The first word says that it is no classic pcap file.
    #[error("not a pcap file (pcapng is not read)")]
    Magic,
    /// Its frames are not Ethernet.
    #[error("link type {0} instead of 1, Ethernet")]
    LinkType(u32),
    /// It ends within a header or frame.
    #[error("cut off within record {0}")]
    CutOff(usize),
}

/// The frames of a capture.
#[derive(Debug, Default)]
pub struct Capture {
    /// The whole file.
    octets: Vec<u8>,
    /// Where each frame lies in it, in order.
    frames: Vec<Range<usize>>,
}

impl Capture {
    /// Reads a file.
    pub fn read(path: &Path) -> Result<Self, PcapError> {
        Self::parse(std::fs::read(path)?)
    }

    /// Reads the octets of a file.
    pub fn parse(octets: Vec<u8>) -> Result<Self, PcapError> {
        let frames = find_frames(&octets)?;
        Ok(Self { octets, frames })
    }

    /// Its frames, each from its link header on.
    pub fn frames(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.frames.iter().map(|range| &self.octets[range.clone()])
    }

    fn get(&self, number: usize) -> Option<&[u8]> {
        Some(&self.octets[self.frames.get(number)?.clone()])
    }
}

fn find_frames(octets: &[u8]) -> Result<Vec<Range<usize>>, PcapError> {
    let word = word_reader(octets)?;
    match word(20) {
        Some(ETHERNET) => {}
        other => return Err(PcapError::LinkType(other.unwrap_or(0))),
    }
    let mut frames = Vec::new();
    let mut at = FILE_HEADER;
    while at < octets.len() {
        let length = word(at + 8).ok_or(PcapError::CutOff(frames.len()))?;
        let start = at + RECORD_HEADER;
        at = start.saturating_add(length as usize);
        if at > octets.len() {
            return Err(PcapError::CutOff(frames.len()));
        }
        frames.push(start..at);
    }
    Ok(frames)
}

/// Gives a function that reads the word at an offset in the octet order of the file.
fn word_reader(octets: &[u8]) -> Result<impl Fn(usize) -> Option<u32>, PcapError> {
    let raw = move |at: usize| Some(u32::from_ne_bytes(*octets.get(at..)?.first_chunk()?));
    let swap = match raw(0) {
        Some(MICROSECONDS | NANOSECONDS) => false,
        Some(first) if matches!(first.swap_bytes(), MICROSECONDS | NANOSECONDS) => true,
        _ => return Err(PcapError::Magic),
    };
    Ok(move |at| raw(at).map(|word| if swap { word.swap_bytes() } else { word }))
}

/// Writes a capture.
#[derive(Debug)]
pub struct Writer<W: Write>(W);

impl<W: Write> Writer<W> {
    /// Begins a capture with its file header.
    pub fn new(mut out: W) -> io::Result<Self> {
        out.write_all(&NANOSECONDS.to_ne_bytes())?;
        out.write_all(&2u16.to_ne_bytes())?;
        out.write_all(&4u16.to_ne_bytes())?;
        for word in [0, 0, SNAPSHOT, ETHERNET] {
            out.write_all(&word.to_ne_bytes())?;
        }
        Ok(Self(out))
    }

    /// Appends a frame, from its link header on.
    pub fn write(&mut self, at: SystemTime, frame: &[u8]) -> io::Result<()> {
        let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
        let length = frame.len() as u32;
        for word in [since.as_secs() as u32, since.subsec_nanos(), length, length] {
            self.0.write_all(&word.to_ne_bytes())?;
        }
        self.0.write_all(frame)
    }

    /// Hands everything written to the operating system.
    pub fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// A port between two capture files.
#[derive(Debug)]
pub struct PcapPort {
    /// What is received.
    input: Capture,
    /// Number of the next frame of `input`.
    next: usize,
    /// Where transmitted frames go; `None`: nowhere.
    output: Option<Writer<BufWriter<File>>>,
    /// Frames accepted by `transmit` and not yet written.
    queue: ArrayVec<Frame, QUEUE>,
    /// Received frames that no frame of the pool could hold.
    oversized: u64,
    /// The first failure to write; nothing is written after it.
    failure: Option<io::Error>,
}

impl PcapPort {
    /// A port that receives the frames of the file `input` (none without a file) and writes what it transmits to the
    /// file `output` (discards it without one), which is created or emptied.
    pub fn open(input: Option<&Path>, output: Option<&Path>) -> Result<Self, PcapError> {
        let input = input.map(Capture::read).transpose()?.unwrap_or_default();
        let output = match output {
            Some(path) => Some(Writer::new(BufWriter::new(File::create(path)?))?),
            None => None,
        };
        Ok(Self { input, next: 0, output, queue: ArrayVec::new(), oversized: 0, failure: None })
    }

    /// Whether every frame of the input was received.
    pub fn is_exhausted(&self) -> bool {
        self.next == self.input.frames.len()
    }

    /// Received frames lost because they were larger than the frames of the pool.
    pub fn oversized(&self) -> u64 {
        self.oversized
    }

    /// Writes what is buffered, and gives the first failure to write since the port was opened.
    pub fn finish(mut self) -> io::Result<()> {
        match self.failure.take() {
            Some(failure) => Err(failure),
            None => self.output.as_mut().map_or(Ok(()), Writer::flush),
        }
    }

    fn write(&mut self, at: SystemTime, frame: &Frame) {
        if let Some(writer) = &mut self.output
            && let Err(failure) = writer.write(at, frame.bytes())
        {
            self.failure = Some(failure);
            self.output = None;
        }
    }
}

impl Port for PcapPort {
    fn receive(&mut self, pool: &mut Pool, into: &mut ArrayVec<Frame, BURST>) {
        while !into.is_full()
            && let Some(octets) = self.input.get(self.next)
            && let Some(mut frame) = pool.take()
        {
            self.next += 1;
            match copy_in(&mut frame, octets) {
                Some(()) => into.push(frame),
                None => {
                    self.oversized += 1;
                    pool.give(frame);
                }
            }
        }
    }

    fn transmit(&mut self, frame: Frame) -> Result<(), Frame> {
        if frame.is_empty() {
            return Err(frame);
        }
        self.queue.try_push(frame).map_err(|full| full.element())
    }

    fn flush(&mut self, pool: &mut Pool) {
        let now = SystemTime::now();
        for frame in std::mem::take(&mut self.queue) {
            self.write(now, &frame);
            pool.give(frame);
        }
    }

    fn rings(&self) -> [(u32, u32); 4] {
        let all = self.input.frames.len();
        [((all - self.next) as u32, all as u32), (0, 0), (self.queue.len() as u32, QUEUE as u32), (0, 0)]
    }

    fn driver(&self) -> &'static str {
        "pcap"
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn capture(frames: &[Vec<u8>]) -> Vec<u8> {
        let mut writer = Writer::new(Vec::new()).unwrap();
        frames.iter().for_each(|frame| writer.write(UNIX_EPOCH, frame).unwrap());
        writer.0
    }

    #[test]
    fn frames_pass_from_file_to_file() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("in.pcap"), folder.path().join("out.pcap"));
        let frames: Vec<_> = (1..100u8).map(|number| vec![number; usize::from(number)]).collect();
        std::fs::write(&from, capture(&frames)).unwrap();

        let mut port = PcapPort::open(Some(&from), Some(&to)).unwrap();
        let mut pool = Pool::in_memory(40, 256);
        while !port.is_exhausted() {
            let mut burst = ArrayVec::<Frame, BURST>::new();
            port.receive(&mut pool, &mut burst);
            burst.into_iter().for_each(|frame| port.transmit(frame).unwrap());
            port.flush(&mut pool);
        }
        port.finish().unwrap();
        assert_eq!(pool.free(), 40);
        assert!(Capture::read(&to).unwrap().frames().eq(frames.iter().map(Vec::as_slice)));
    }

    #[test]
    fn the_other_octet_order_is_read() {
        let mut file = capture(&[b"frame".to_vec()]);
        // The version is a pair of half words; nobody reads it here.
        let (words, frame) = file.split_at_mut(FILE_HEADER + RECORD_HEADER);
        words.chunks_exact_mut(4).for_each(<[u8]>::reverse);
        assert_eq!(frame, b"frame");
        assert!(Capture::parse(file).unwrap().frames().eq([&b"frame"[..]]));
    }

    #[test]
    fn broken_files_are_named() {
        let good = capture(&[b"one".to_vec(), b"two".to_vec()]);
        let refused = |octets: &[u8]| Capture::parse(octets.to_vec()).unwrap_err();
        assert!(matches!(refused(b"\x0a\x0d\x0d\x0a"), PcapError::Magic));
        assert!(matches!(refused(&good[..10]), PcapError::LinkType(0)));
        assert!(matches!(refused(&good[..good.len() - 1]), PcapError::CutOff(1)));
        let mut other_link = good;
        other_link[20..24].copy_from_slice(&113u32.to_ne_bytes());
        assert!(matches!(refused(&other_link), PcapError::LinkType(113)));
    }

    #[test]
    fn the_first_failure_to_write_is_kept() {
        let mut port = PcapPort::open(None, Some(Path::new("/dev/full"))).unwrap();
        let mut pool = Pool::in_memory(64, 2048);
        for _ in 0..40 {
            let mut frame = pool.take().unwrap();
            frame.place(0, 2000).unwrap();
            port.transmit(frame).unwrap();
        }
        port.flush(&mut pool);
        assert_eq!(pool.free(), 64);
        assert!(port.finish().is_err());
    }

    proptest! {
        #[test]
        fn any_octets_are_read_or_refused(octets in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut file = capture(&[]);
            file.extend(octets);
            if let Ok(capture) = Capture::parse(file) {
                prop_assert!(capture.frames().all(|frame| frame.len() < 200));
            }
        }
    }
}
