//! The zone file of a zone that changes while it is served.

use std::{
    fs::File,
    io::{self, Write},
    path::PathBuf,
    time::SystemTime,
};

use zonefmt::{
    Class, durable,
    zone::{FileFormat, Location, RawWriter, Record, write_file, write_record},
};

use crate::{clock::unix_now, zone::ZoneData};

/// Where the content of a zone is written for its next start, for people, and for other servers.
#[derive(Clone, Debug)]
pub struct ZoneFile {
    /// The file.
    pub path: PathBuf,
    /// Its format.
    pub format: FileFormat,
}

/// The most records that are laid out in columns, which takes several times the memory of the text.
const NEAT: usize = 100_000;

impl ZoneFile {
    /// Writes a version of the zone; it is on the disk once this returns. The file is replaced as a whole, and of this
    /// time.
    pub(super) fn write(&self, data: &ZoneData, time: Option<SystemTime>) -> io::Result<()> {
        durable::replace(&self.path, |file| {
            match self.format {
                FileFormat::Text if data.records() <= NEAT => {
                    file.write_all(&write_file(data.origin(), &data.rrsets()))?;
                }
                FileFormat::Text => write_lines(data, file)?,
                FileFormat::Raw => write_binary(data, file)?,
            }
            file.flush()?;
            time.map_or(Ok(()), |time| file.get_ref().set_modified(time))
        })
    }

    /// Puts the file on the disk, as somebody else may have written it just now. There need not be one.
    pub(super) fn sync(&self) -> io::Result<()> {
        let synced = File::open(&self.path).and_then(|file| file.sync_all());
        match synced.and_then(|()| durable::sync_folder(&self.path)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            synced => synced,
        }
    }

    /// Sets the time of the file.
    pub(super) fn mark(&self, time: SystemTime) -> io::Result<()> {
        File::open(&self.path)?.set_modified(time)
    }
}

/// Writes one record a line.
fn write_lines(data: &ZoneData, file: &mut impl Write) -> io::Result<()> {
    let mut line = String::new();
    each_set(data, |records| {
        records.iter().try_for_each(|record| {
            line.clear();
            write_record(record, &mut line);
            file.write_all(line.as_bytes())
        })
    })
}

/// Writes named's binary format.
fn write_binary(data: &ZoneData, file: &mut impl Write) -> io::Result<()> {
    let mut writer = RawWriter::new(file, u32::try_from(unix_now()).unwrap_or(u32::MAX))?;
    each_set(data, |records| {
        // Signatures of each type are a set of their own.
        records.sort_by_key(Record::covers);
        records.chunk_by(|one, other| one.covers() == other.covers()).try_for_each(|set| writer.write(set))
    })
}

/// Calls `write` with the records of each owner and type.
fn each_set(data: &ZoneData, mut write: impl FnMut(&mut [Record<'_>]) -> io::Result<()>) -> io::Result<()> {
    for node in data.iter() {
        let owner = node.owner();
        let (owner, class, at) = (owner.as_ref(), Class::IN, Location::default());
        for set in node.rrsets() {
            let (rtype, ttl) = (set.rtype, set.ttl);
            let record = |rdata| Record { owner, ttl, class, rtype, rdata, at };
            write(&mut set.rdatas().map(record).collect::<Vec<_>>())?;
        }
    }
    Ok(())
}
