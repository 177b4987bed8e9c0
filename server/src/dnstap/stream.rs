//! Frame Streams: data frames, each preceded by its length, between control frames. They are written to a file as they
//! come, and to a socket after both sides have agreed on the content type.

use std::{
    fs::File,
    io::{self, BufWriter, Read, Write},
    os::unix::net::UnixStream,
    path::PathBuf,
    time::{Duration, Instant},
};

use tracing::{info, warn};

use super::{
    Output, Roll,
    tap::{number, octets},
};
use crate::logs::{LogFile, Versions};

/// The destination of dnstap messages: a file or a socket.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Destination {
    /// A file, created anew when it is opened and rolled when it is full.
    File(LogFile),
    /// A unix socket with a listening reader.
    Unix(PathBuf),
}

/// A stream to a destination, reconnected as needed.
pub(super) struct Stream {
    destination: Destination,
    /// The fields that precede the message in every frame.
    prefix: Vec<u8>,
    open: Option<BufWriter<Way>>,
    /// Octets written to the file.
    written: u64,
    /// When to try to connect to a socket again.
    retry: Instant,
    /// Whether the current failure has been logged.
    failing: bool,
    frame: Vec<u8>,
}

enum Way {
    File(File),
    Unix(UnixStream),
}

/// The content type of the stream, which both sides must name.
const CONTENT: &[u8] = b"protobuf:dnstap.Dnstap";

/// The types of control frames.
const ACCEPT: u32 = 1;
const START: u32 = 2;
const STOP: u32 = 3;
const READY: u32 = 4;

/// How long to wait for the reader in each read or write.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long to wait before connecting to an absent reader again, as with named.
const RETRY: Duration = Duration::from_secs(5);
/// The most octets of a control frame.
const MAX_CONTROL: usize = 512;

impl Stream {
    /// Opens a stream. If nobody listens on a socket, connecting is tried again later.
    pub(super) fn open(output: &Output) -> io::Result<Stream> {
        let mut prefix = Vec::new();
        for (field, text) in [(1, &output.identity), (2, &output.version)] {
            if let Some(text) = text {
                octets(&mut prefix, field, text);
            }
        }
        let mut stream = Stream {
            destination: output.destination.clone(),
            prefix,
            open: None,
            written: 0,
            retry: Instant::now(),
            failing: false,
            frame: Vec::new(),
        };
        match stream.begin() {
            Err(error) if matches!(stream.destination, Destination::File(_)) => Err(error),
            _ => Ok(stream),
        }
    }

    /// Writes messages, each preceded by its length, and returns how many were lost.
    pub(super) fn write(&mut self, mut messages: &[u8]) -> u64 {
        let mut lost = 0;
        while let Some((length, rest)) = messages.split_first_chunk() {
            let (message, rest) = rest.split_at(u32::from_le_bytes(*length) as usize);
            messages = rest;
            if self.open.is_none() && Instant::now() >= self.retry {
                // A failure is logged where it occurs.
                let _ = self.begin();
            }
            lost += u64::from(!self.write_one(message));
        }
        lost
    }

    /// Flushes the buffer. Returns 1 if that fails, as at least one message was lost.
    pub(super) fn flush(&mut self) -> u64 {
        let Some(Err(error)) = self.open.as_mut().map(Write::flush) else { return 0 };
        self.fail(&error);
        1
    }

    /// Reopens the stream; a file is first moved away if `roll` says so.
    pub(super) fn reopen(&mut self, roll: Roll) -> io::Result<()> {
        self.close();
        if let (Destination::File(file), Roll::Keep(kept)) = (&self.destination, roll) {
            let versions = kept.map_or(Versions::Unlimited, Versions::Number);
            file.make_room(versions)?;
        }
        self.begin()
    }

    /// Ends the stream, so that its reader knows that it is complete.
    pub(super) fn close(&mut self) {
        let Some(mut open) = self.open.take() else { return };
        let ended = open.write_all(&control(STOP, &[])).and_then(|()| open.flush());
        if let (Ok(()), Way::Unix(socket)) = (ended, open.get_mut()) {
            // The reader's FINISH confirms that it has received everything; without it there is nothing left to do.
            let _ = read_control(socket);
        }
    }

    fn begin(&mut self) -> io::Result<()> {
        match self.connect() {
            Ok(way) => {
                if std::mem::take(&mut self.failing) {
                    info!(target: "dnstap", "dnstap messages go to {} again", self.destination.path().display());
                }
                self.open = Some(BufWriter::with_capacity(1 << 16, way));
                Ok(())
            }
            Err(error) => {
                self.fail(&error);
                Err(error)
            }
        }
    }

    fn connect(&mut self) -> io::Result<Way> {
        let start = control(START, CONTENT);
        self.written = start.len() as u64;
        let mut way = match &self.destination {
            Destination::File(file) => Way::File(File::create(&file.path)?),
            Destination::Unix(path) => {
                let mut socket = UnixStream::connect(path)?;
                socket.set_read_timeout(Some(PATIENCE))?;
                socket.set_write_timeout(Some(PATIENCE))?;
                socket.write_all(&control(READY, CONTENT))?;
                let (kind, fields) = read_control(&mut socket)?;
                // A reader that accepts any content need not name it.
                if kind != ACCEPT || !(fields.is_empty() || fields.ends_with(CONTENT)) {
                    return Err(io::Error::other("what listens there does not take dnstap"));
                }
                Way::Unix(socket)
            }
        };
        way.write_all(&start)?;
        Ok(way)
    }

    /// Writes a message as a frame; returns whether that succeeded.
    fn write_one(&mut self, message: &[u8]) -> bool {
        const MESSAGE: u64 = 1;
        self.frame.clear();
        self.frame.extend([0; 4]);
        self.frame.extend_from_slice(&self.prefix);
        octets(&mut self.frame, 14, message);
        number(&mut self.frame, 15, MESSAGE);
        let length = (self.frame.len() - 4) as u32;
        self.frame[..4].copy_from_slice(&length.to_be_bytes());
        let Some(open) = &mut self.open else { return false };
        if let Err(error) = open.write_all(&self.frame) {
            self.fail(&error);
            return false;
        }
        self.written += self.frame.len() as u64;
        if let Destination::File(file) = &self.destination
            && file.size.is_some_and(|size| self.written >= size)
        {
            let kept = match file.versions {
                Versions::Number(kept) => Some(kept),
                Versions::None | Versions::Unlimited => None,
            };
            if let Err(error) = self.reopen(Roll::Keep(kept)) {
                self.fail(&error);
            }
        }
        true
    }

    /// Records a failure. Only the first is logged until writing works again.
    fn fail(&mut self, error: &io::Error) {
        let path = self.destination.path().display();
        if !std::mem::replace(&mut self.failing, true) {
            warn!(target: "dnstap", "cannot write dnstap messages to {path}: {error}");
        }
        if let Some(open) = self.open.take() {
            // Writing the buffer would fail again, so it is discarded.
            drop(open.into_parts());
        }
        self.retry = Instant::now() + RETRY;
    }
}

impl Write for Way {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        match self {
            Way::File(file) => file.write(octets),
            Way::Unix(socket) => socket.write(octets),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Makes a control frame, with this content type unless it is empty.
fn control(kind: u32, content: &[u8]) -> Vec<u8> {
    const CONTENT_TYPE: u32 = 1;
    let mut fields = Vec::new();
    if !content.is_empty() {
        fields.extend(CONTENT_TYPE.to_be_bytes());
        fields.extend((content.len() as u32).to_be_bytes());
        fields.extend(content);
    }
    let length = 4 + fields.len() as u32;
    [&[0; 4], &length.to_be_bytes()[..], &kind.to_be_bytes(), &fields].concat()
}

/// Reads the type and the fields of a control frame.
fn read_control(from: &mut impl Read) -> io::Result<(u32, Vec<u8>)> {
    let malformed = || io::Error::other("what listens there does not speak Frame Streams");
    let mut head = [0; 12];
    from.read_exact(&mut head)?;
    let word = |at: usize| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let length = word(4) as usize;
    if word(0) != 0 || !(4..=MAX_CONTROL).contains(&length) {
        return Err(malformed());
    }
    let mut fields = vec![0; length - 4];
    from.read_exact(&mut fields)?;
    Ok((word(8), fields))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_frames_read_as_they_are_written() {
        for (kind, content) in [(READY, CONTENT), (START, CONTENT), (STOP, &[])] {
            let frame = control(kind, content);
            let (read, fields) = read_control(&mut &*frame).unwrap();
            assert!(read == kind && fields.ends_with(content));
        }
        for bad in [&[0; 12][..], &[0, 0, 0, 1, 0, 0, 0, 4, 0, 0, 0, 1], &[0, 0, 0, 0, 255, 255, 255, 255, 0, 0, 0, 1]]
        {
            assert!(read_control(&mut &*bad).is_err());
        }
        assert!(read_control(&mut &control(READY, CONTENT)[..20]).is_err());
    }
}
