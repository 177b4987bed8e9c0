//! The octets of a journal's file. Numbers are in network order.
//!
//! ```text
//! file:   header (512) | frame … | zeroes, written ahead
//! header: "BindyChg" | version (4) | base serial (4) | mark (8) | origin, then zeroes | kind (1) | CRC-32C (4)
//! frame:  mark (8) | sequence number (8) | octets of changes (4) | CRC-32C (4) | change … | zeroes up to a multiple of 8
//! change: serial from (4) | serial to (4) | octets (4) | the change as `zone::Change` writes it
//! ```
//! The kind is 1 for a copy of a zone that other servers have, and 0 for any other zone.
//!
//! A frame holds the changes that were appended together; one without changes says that the zone file has all of those
//! before it. Its CRC covers the frame without the CRC itself and the final zeroes, so a frame is there completely or not
//! at all. The mark is a random number, new for each file: no record that somebody puts into the zone can look like a
//! frame, nor can a piece of an older file.

use std::{io, ops::Range};

use zonefmt::{MAX_NAME, NameRef, Serial};

use super::{disk::DiskFile, error::JournalCause};
use crate::zone::Change;

/// The octets of the header: a sector of its own, which is never written again.
pub(super) const HEADER: usize = 512;
/// The octets of a frame before its changes.
const FRAME: usize = 24;
/// Frames start at multiples of this.
pub(super) const ALIGNMENT: usize = 8;
/// The bound on a frame's changes, in octets.
pub(super) const MAX_FRAME: usize = 1 << 30;

const MAGIC: &[u8; 8] = b"BindyChg";
const VERSION: u32 = 1;
const ORIGIN: usize = 24;
const KIND: usize = HEADER_CRC - 1;
const HEADER_CRC: usize = HEADER - 4;

/// The random number that each frame of a file begins with.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark([u8; 8]);

/// The start of a file.
pub(super) struct Header {
    pub(super) mark: Mark,
    /// The serial that the first change starts from.
    pub(super) base: Serial,
    /// Whether the zone is a copy.
    pub(super) is_copy: bool,
}

/// Changes that are written together.
pub(super) struct Frame {
    /// Room for what precedes the changes, then the changes.
    octets: Vec<u8>,
    /// The serial that each change starts from.
    pub(super) starts: Vec<Serial>,
    /// The serial that the last change leads to.
    pub(super) end: Option<Serial>,
}

/// A change as it is written in a frame.
#[derive(Clone, Copy)]
pub(super) struct Entry<'a> {
    pub(super) from: Serial,
    pub(super) to: Serial,
    octets: &'a [u8],
}

impl Mark {
    pub(super) fn random() -> io::Result<Mark> {
        let mut mark = [0; 8];
        getrandom::fill(&mut mark).map_err(io::Error::other)?;
        // Zeroes are what follows the last frame.
        mark[0] |= 1;
        Ok(Mark(mark))
    }

    /// The mark in the header of a file.
    pub(super) fn of(file: &dyn DiskFile) -> io::Result<Mark> {
        let mut mark = Mark([0; 8]);
        file.read_at(&mut mark.0, 16)?;
        Ok(mark)
    }
}

impl Header {
    pub(super) fn write(&self, origin: NameRef<'_>) -> [u8; HEADER] {
        const { assert!(ORIGIN + MAX_NAME <= KIND) }
        let mut octets = [0; HEADER];
        octets[..8].copy_from_slice(MAGIC);
        octets[8..12].copy_from_slice(&VERSION.to_be_bytes());
        octets[12..16].copy_from_slice(&self.base.0.to_be_bytes());
        octets[16..ORIGIN].copy_from_slice(&self.mark.0);
        octets[ORIGIN..ORIGIN + origin.len()].copy_from_slice(origin.as_wire());
        octets[KIND] = u8::from(self.is_copy);
        let crc = crc32c::crc32c(&octets[..HEADER_CRC]);
        octets[HEADER_CRC..].copy_from_slice(&crc.to_be_bytes());
        octets
    }

    /// The header of the journal of this zone.
    pub(super) fn read(octets: &[u8; HEADER], origin: NameRef<'_>) -> Result<Header, JournalCause> {
        let (header, own) = Header::of_any(octets)?;
        if own != origin {
            return Err(JournalCause::OtherZone(own.to_owned()));
        }
        Ok(header)
    }

    /// The header of a journal, and the zone that it is of.
    pub(super) fn of_any(octets: &[u8; HEADER]) -> Result<(Header, NameRef<'_>), JournalCause> {
        let crc = crc32c::crc32c(&octets[..HEADER_CRC]);
        if !octets.starts_with(MAGIC) || octets[HEADER_CRC..] != crc.to_be_bytes() {
            return Err(JournalCause::NotAJournal);
        }
        let version = u32_at(octets, 8);
        if version != VERSION {
            return Err(JournalCause::OtherVersion(version));
        }
        let (own, _) = NameRef::from_prefix(&octets[ORIGIN..]).map_err(|_| JournalCause::NotAJournal)?;
        let mut mark = Mark([0; 8]);
        mark.0.copy_from_slice(&octets[16..ORIGIN]);
        Ok((Header { mark, base: Serial(u32_at(octets, 12)), is_copy: octets[KIND] == 1 }, own))
    }
}

impl Frame {
    pub(super) fn new() -> Frame {
        Frame { octets: vec![0; FRAME], starts: Vec::new(), end: None }
    }

    /// A frame of these changes.
    ///
    /// # Errors
    /// They are too large.
    pub(super) fn of(changes: &[Change]) -> Result<Frame, JournalCause> {
        let mut frame = Frame::new();
        for change in changes {
            if change.octets() > MAX_FRAME {
                return Err(JournalCause::TooLarge);
            }
            frame.start(change.from(), change.to(), change.octets());
            change.write(&mut frame.octets);
            if frame.len() > MAX_FRAME {
                return Err(JournalCause::TooLarge);
            }
        }
        Ok(frame)
    }

    /// Adds a change that was read from another file.
    pub(super) fn push(&mut self, entry: Entry<'_>) {
        self.start(entry.from, entry.to, entry.octets.len());
        self.octets.extend(entry.octets);
    }

    /// The octets of the changes.
    pub(super) fn len(&self) -> usize {
        self.octets.len() - FRAME
    }

    /// Completes the frame, and returns its octets, to be written where `sequence - 1` frames precede it.
    pub(super) fn seal(&mut self, mark: Mark, sequence: u64) -> &mut Vec<u8> {
        let length = self.len() as u32;
        self.octets[..8].copy_from_slice(&mark.0);
        self.octets[8..16].copy_from_slice(&sequence.to_be_bytes());
        self.octets[16..20].copy_from_slice(&length.to_be_bytes());
        let crc = crc(&self.octets[..20], &self.octets[FRAME..]);
        self.octets[20..FRAME].copy_from_slice(&crc.to_be_bytes());
        self.octets.resize(self.octets.len().next_multiple_of(ALIGNMENT), 0);
        &mut self.octets
    }

    fn start(&mut self, from: Serial, to: Serial, octets: usize) {
        self.octets.extend([from.0, to.0, octets as u32].into_iter().flat_map(u32::to_be_bytes));
        self.starts.push(from);
        self.end = Some(to);
    }
}

impl<'a> Entry<'a> {
    /// Reads the change at the start of a frame's changes, and returns what follows it.
    pub(super) fn split(changes: &'a [u8]) -> Option<(Entry<'a>, &'a [u8])> {
        let (start, rest) = changes.split_first_chunk::<12>()?;
        let [from, to, octets] = [0, 4, 8].map(|at| u32_at(start, at));
        let (octets, rest) = rest.split_at_checked(octets as usize)?;
        Some((Entry { from: Serial(from), to: Serial(to), octets }, rest))
    }

    /// The change itself; `None` if the octets are something else.
    pub(super) fn change(self) -> Option<Change> {
        Change::read(self.octets).filter(|change| (change.from(), change.to()) == (self.from, self.to))
    }
}

/// The frame that was read last from a file. The file is read in windows, as most frames are small.
#[derive(Default)]
pub(super) struct FrameReader {
    pub(super) sequence: u64,
    window: Vec<u8>,
    /// The offset of the window in the file.
    at: u64,
    /// The changes in the window.
    changes: Range<usize>,
}

impl FrameReader {
    /// The octets of the frame's changes.
    pub(super) fn changes(&self) -> &[u8] {
        &self.window[self.changes.clone()]
    }

    /// Reads the frame at an offset of a file that is `size` octets long. Returns the offset where the next frame starts,
    /// or `None` if there is no whole frame.
    pub(super) fn read(&mut self, file: &dyn DiskFile, mark: Mark, at: u64, size: u64) -> io::Result<Option<u64>> {
        self.changes = 0..0;
        let changes = at + FRAME as u64;
        if changes > size {
            return Ok(None);
        }
        let mut start = [0; FRAME];
        let place = self.load(file, at, FRAME, size)?;
        start.copy_from_slice(&self.window[place]);
        let length = u32_at(&start, 16) as usize;
        let end = changes + length as u64;
        if start[..8] != mark.0 || length > MAX_FRAME || end > size {
            return Ok(None);
        }
        let place = self.load(file, changes, length, size)?;
        if crc(&start[..20], &self.window[place.clone()]).to_be_bytes() != start[20..] {
            return Ok(None);
        }
        self.sequence = u64::from(u32_at(&start, 8)) << 32 | u64::from(u32_at(&start, 12));
        self.changes = place;
        Ok(Some(end.next_multiple_of(ALIGNMENT as u64)))
    }

    /// Brings octets of the file, which has them, into the window, and returns their place in it.
    fn load(&mut self, file: &dyn DiskFile, at: u64, octets: usize, size: u64) -> io::Result<Range<usize>> {
        const WINDOW: usize = 1 << 16;
        if at < self.at || at + octets as u64 > self.at + self.window.len() as u64 {
            self.window.resize(octets.max(WINDOW).min((size - at) as usize), 0);
            self.at = at;
            if let Err(error) = file.read_at(&mut self.window, at) {
                self.window.clear();
                return Err(error);
            }
        }
        let start = (at - self.at) as usize;
        Ok(start..start + octets)
    }
}

/// What follows the last frame of a file.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum Tail {
    /// Zeroes, or nothing.
    Clean,
    /// Something that is not a frame, and no frame after it: a write that a crash interrupted.
    Torn,
    /// Something that is not a frame, and then a frame: octets in the middle of the file have been lost.
    Damaged,
}

impl Tail {
    /// Reads the rest of a file, from an offset where no whole frame starts.
    pub(super) fn read(file: &dyn DiskFile, mark: Mark, from: u64, size: u64) -> io::Result<Tail> {
        const PIECE: u64 = 1 << 16;
        let (mut tail, mut piece, mut frame) = (Tail::Clean, Vec::new(), FrameReader::default());
        let mut at = from;
        while at < size {
            piece.resize(PIECE.min(size - at) as usize, 0);
            file.read_at(&mut piece, at)?;
            for (place, word) in (at..).step_by(ALIGNMENT).zip(piece.chunks(ALIGNMENT)) {
                if word.iter().any(|&octet| octet != 0) {
                    tail = Tail::Torn;
                }
                if *word == mark.0 && frame.read(file, mark, place, size)?.is_some() {
                    return Ok(Tail::Damaged);
                }
            }
            at += PIECE;
        }
        Ok(tail)
    }
}

fn crc(start: &[u8], changes: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(start), changes)
}

fn u32_at(octets: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([octets[at], octets[at + 1], octets[at + 2], octets[at + 3]])
}
