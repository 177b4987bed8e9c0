//! The file of a journal while it is open: a chain of changes, each starting from the serial where the one before ended,
//! and where each of them is.

use std::{io, path::Path, sync::Arc};

use zonefmt::{NameRef, Serial};

use super::{
    disk::{Disk, DiskFile},
    error::{JournalCause, cannot},
    files::JournalFile,
    format::{Entry, Frame, FrameReader, HEADER, Header, Mark, Tail},
    history::{MAX_FILE, Past},
};

/// An open file; see the module. What it says of itself holds for the changes that are durable.
pub(super) struct Chain {
    file: Arc<JournalFile>,
    mark: Mark,
    pub(super) base: Serial,
    pub(super) end: Serial,
    frames: u64,
    /// Where the next frame goes.
    pub(super) octets: u64,
    /// Whether the last frame is empty, which says that the zone file has all changes.
    pub(super) saved: bool,
    /// How far the serials have gone from `base` to `end`, which can be more than once round (RFC 1982).
    travelled: u64,
    /// The length of the file: zeroes are written ahead, so that a sync need not make a new length durable.
    size: u64,
    /// Whether it was written for a copy of a zone that other servers have.
    pub(super) is_copy: bool,
    /// Where the changes are.
    pub(super) past: Arc<Past>,
}

/// Whose file it is, and where.
#[derive(Clone, Copy)]
pub(super) struct Place<'p> {
    pub(super) disk: &'p Arc<dyn Disk>,
    pub(super) path: &'p Path,
    pub(super) origin: NameRef<'p>,
    pub(super) is_copy: bool,
}

/// Frames that are copied are joined until they have this many octets.
const JOINED: usize = 1 << 16;

impl Chain {
    /// Starts a chain in an empty file. Nothing is durable before [`Chain::sync`]. The file stays open until it has its
    /// place and [`Chain::is_placed`] says so.
    pub(super) fn create(
        Place { disk, path, origin, is_copy }: Place<'_>,
        file: Arc<dyn DiskFile>,
        base: Serial,
    ) -> io::Result<Chain> {
        let mark = Mark::random()?;
        file.write_at(&Header { mark, base, is_copy }.write(origin), 0)?;
        let file = JournalFile::new(Arc::clone(disk), path, mark, file, true);
        Ok(Chain { is_copy, ..Chain::empty(file, mark, base, HEADER as u64) })
    }

    /// A file of this size that begins with this header.
    fn empty(file: Arc<JournalFile>, mark: Mark, base: Serial, size: u64) -> Chain {
        let octets = HEADER as u64;
        let past = Arc::new(Past::new(Arc::clone(&file), mark, base, octets));
        Chain { file, mark, base, end: base, frames: 0, octets, saved: false, travelled: 0, size, is_copy: false, past }
    }

    /// Reads a file from end to end and makes what it holds durable. Also returns the number of octets at its end that
    /// were cut off, because a crash had interrupted their writing.
    pub(super) fn open(place: Place<'_>, file: &Arc<dyn DiskFile>) -> Result<(Chain, u64), JournalCause> {
        let (mut chain, last) = Chain::of_file(place, file, true)?;
        let torn = chain.cut_tail(&**file)?;
        chain.settle(&**file, last).map_err(cannot("sync it"))?;
        chain.is_placed();
        Ok((chain, torn))
    }

    /// Reads a file from end to end, as far as it has whole frames, and leaves it as it is.
    pub(super) fn read(place: Place<'_>, file: &Arc<dyn DiskFile>) -> Result<Chain, JournalCause> {
        let (chain, _) = Chain::of_file(place, file, false)?;
        if chain.tail(&**file)? == Tail::Damaged {
            return Err(JournalCause::Damaged(chain.octets));
        }
        chain.is_placed();
        Ok(chain)
    }

    /// The whole frames of a file, and the offset of the last one.
    fn of_file(
        Place { disk, path, origin, .. }: Place<'_>,
        file: &Arc<dyn DiskFile>,
        is_writable: bool,
    ) -> Result<(Chain, u64), JournalCause> {
        let read = cannot("read it");
        let size = file.size().map_err(cannot("read it"))?;
        let mut header = [0; HEADER];
        if size < HEADER as u64 {
            return Err(JournalCause::NotAJournal);
        }
        file.read_at(&mut header, 0).map_err(read)?;
        let Header { mark, base, is_copy } = Header::read(&header, origin)?;
        let kept = JournalFile::new(Arc::clone(disk), path, mark, Arc::clone(file), is_writable);
        let mut chain = Chain { is_copy, ..Chain::empty(kept, mark, base, size) };
        let last = chain.read_frames(&**file)?;
        Ok((chain, last))
    }

    /// Appends a frame and makes it durable, with one write and one sync. The chain is as it was if this fails, but the
    /// file may have the frame or any part of it.
    pub(super) fn append(&mut self, mut frame: Frame) -> Result<(), JournalCause> {
        let file = self.file()?;
        let octets = self.write(&*file, &mut frame)?;
        file.sync().map_err(cannot("sync it"))?;
        self.admit(&frame, octets);
        Ok(())
    }

    /// Appends the changes of another chain from the serial at which this one starts, which is in the frame at an offset.
    /// Nothing is durable before [`Chain::sync`].
    pub(super) fn copy(&mut self, from: &Chain, at: u64) -> Result<(), JournalCause> {
        let file = from.file()?;
        let mut frame = Frame::new();
        let mut reader = FrameReader::default();
        let (mut next, mut begun) = (at, false);
        while next < from.octets {
            let at = next;
            let read = reader.read(&*file, from.mark, at, from.octets).map_err(cannot("read it"))?;
            next = read.ok_or(JournalCause::Damaged(at))?;
            if frame.len() + reader.changes().len() > JOINED {
                self.put(std::mem::replace(&mut frame, Frame::new()))?;
            }
            let mut rest = reader.changes();
            while let Some((entry, after)) = Entry::split(rest) {
                begun |= entry.from == self.base;
                if begun {
                    frame.push(entry);
                }
                rest = after;
            }
        }
        self.put(frame)
    }

    /// Appends a frame that is not durable before [`Chain::sync`].
    pub(super) fn put(&mut self, mut frame: Frame) -> Result<(), JournalCause> {
        if frame.len() > 0 {
            let octets = self.write(&*self.file()?, &mut frame)?;
            self.admit(&frame, octets);
        }
        Ok(())
    }

    /// Whether the file is still where it was.
    ///
    /// # Errors
    /// It is not, and was closed then: nobody has it any more. Or it cannot be opened.
    pub(super) fn has_name(&self) -> Result<bool, JournalCause> {
        Ok(self.file()?.has_name())
    }

    /// Makes everything written durable.
    pub(super) fn sync(&self) -> Result<(), JournalCause> {
        self.file()?.sync().map_err(cannot("sync it"))
    }

    /// The file has its name. It is open only while it is used from now on, or was lately.
    pub(super) fn is_placed(&self) {
        self.file.release();
    }

    /// The file is about to lose its name, and stays open as long as there is this chain.
    pub(super) fn is_replaced(&self) -> Result<(), JournalCause> {
        self.file.keep().map_err(unopened)
    }

    /// Closes the file, which is opened again when it is needed.
    #[cfg(test)]
    pub(super) fn close_file(&self) {
        self.file.close();
    }

    fn file(&self) -> Result<Arc<dyn DiskFile>, JournalCause> {
        self.file.open().map_err(unopened)
    }

    /// Whether a serial would appear twice if the chain went on to these.
    pub(super) fn repeats(&self, serials: &[Serial]) -> bool {
        // No other way leads back to a serial than once round.
        self.travelled + distance(self.end, serials) > u64::from(u32::MAX)
            && self.past.places(|places| places.has_any(serials))
    }

    /// Whether the serials have gone half round. A step is shorter than that.
    pub(super) fn goes_round(&self) -> bool {
        self.travelled > u64::from(u32::MAX / 2)
    }

    /// Writes a frame after the last one. When the file has no room for it, zeroes for those to come are written in the
    /// same go. Returns the length of the frame alone.
    fn write(&mut self, file: &dyn DiskFile, frame: &mut Frame) -> Result<u64, JournalCause> {
        let octets = frame.seal(self.mark, self.frames + 1);
        let length = octets.len() as u64;
        let end = self.octets + length;
        if end > MAX_FILE {
            return Err(JournalCause::TooLarge);
        }
        if end > self.size {
            octets.resize((with_reserve(end) - self.octets) as usize, 0);
        }
        file.write_at(octets, self.octets).map_err(cannot("write it"))?;
        self.size = self.size.max(self.octets + octets.len() as u64);
        Ok(length)
    }

    /// Takes a frame that has been written into the chain.
    fn admit(&mut self, frame: &Frame, octets: u64) {
        self.note(&frame.starts, frame.end, self.octets + octets);
    }

    /// Notes the changes of the frame after the last one, which ends at an offset.
    fn note(&mut self, starts: &[Serial], end: Option<Serial>, next: u64) {
        self.travelled += distance(self.end, starts);
        let last = starts.last().copied().unwrap_or(self.end);
        let end = end.unwrap_or(last);
        self.travelled += distance(last, &[end]);
        self.past.places(|places| places.add(starts, end, next));
        self.saved = starts.is_empty();
        self.frames += 1;
        (self.end, self.octets) = (end, next);
    }

    /// Reads all frames up to the first place where there is none. Returns the offset of the last one.
    fn read_frames(&mut self, file: &dyn DiskFile) -> Result<u64, JournalCause> {
        let (mut reader, mut last) = (FrameReader::default(), self.octets);
        let size = self.size.min(MAX_FILE);
        while let Some(next) = reader.read(file, self.mark, self.octets, size).map_err(cannot("read it"))? {
            let damaged = JournalCause::Damaged(self.octets);
            if reader.sequence != self.frames + 1 {
                return Err(damaged);
            }
            let (mut starts, mut end, mut rest) = (Vec::new(), self.end, reader.changes());
            while let Some((entry, after)) = Entry::split(rest).filter(|(entry, _)| entry.from == end) {
                starts.push(entry.from);
                (end, rest) = (entry.to, after);
            }
            if !rest.is_empty() {
                return Err(damaged);
            }
            last = self.octets;
            self.note(&starts, Some(end), next);
        }
        Ok(last)
    }

    fn tail(&self, file: &dyn DiskFile) -> Result<Tail, JournalCause> {
        Tail::read(file, self.mark, self.octets, self.size).map_err(cannot("read it"))
    }

    /// Cuts off what follows the last frame, unless it is zeroes. Returns how many octets that were.
    fn cut_tail(&mut self, file: &dyn DiskFile) -> Result<u64, JournalCause> {
        match self.tail(file)? {
            Tail::Clean => Ok(0),
            Tail::Damaged => Err(JournalCause::Damaged(self.octets)),
            Tail::Torn => {
                let torn = self.size.saturating_sub(self.octets);
                file.resize(self.octets).map_err(cannot("shorten it"))?;
                self.size = self.octets;
                Ok(torn)
            }
        }
    }

    /// Makes the frame at an offset, the last one, durable. It may never have been: the process that wrote it can have
    /// ended before its sync, or after one that failed, and then the system believes that nothing is left to sync.
    fn settle(&self, file: &dyn DiskFile, last: u64) -> io::Result<()> {
        let mut frame = vec![0; (self.octets - last) as usize];
        file.read_at(&mut frame, last)?;
        file.write_at(&frame, last)?;
        file.sync()
    }
}

fn unopened(error: io::Error) -> JournalCause {
    match error.kind() {
        io::ErrorKind::NotFound => JournalCause::Gone,
        _ => JournalCause::Io("open it", error),
    }
}

/// How far it is from a serial to the last of others, by way of all of them.
pub(super) fn distance(from: Serial, serials: &[Serial]) -> u64 {
    let mut last = from;
    serials.iter().map(|&serial| u64::from(serial.0.wrapping_sub(std::mem::replace(&mut last, serial).0))).sum()
}

/// The length of a file with frames up to this offset: a quarter more, in whole blocks.
fn with_reserve(end: u64) -> u64 {
    const BLOCK: u64 = 4096;
    (end + (end / 4).clamp(BLOCK, 1 << 20)).next_multiple_of(BLOCK)
}
