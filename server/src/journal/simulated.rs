//! A disk that loses power, for tests. What was not synced is lost, kept, kept in part or torn, by sectors of 512 octets
//! and within them, and independently of the order in which it was written. It can also fail a write or a sync, or be
//! full. After a failed sync it does as Linux does: the octets are still read back, but later syncs pass over them.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use fastrand::Rng;

use super::disk::{Disk, DiskFile};

/// A disk; clones are the same disk.
#[derive(Clone)]
pub(super) struct SimulatedDisk(Arc<Mutex<State>>);

/// What goes wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fault {
    /// The power goes off amid an operation.
    PowerOff,
    /// An operation fails; of a sync, anything may have become durable.
    Failure,
    /// There is no space left, until [`SimulatedDisk::mend`].
    Full,
}

struct State {
    rng: Rng,
    files: Vec<Content>,
    names: BTreeMap<PathBuf, usize>,
    durable_names: BTreeMap<PathBuf, usize>,
    /// The changes of names since the last sync of the folder, in order.
    renamings: Vec<(PathBuf, Option<usize>)>,
    /// Counts up with each start; files opened before are closed.
    start: u32,
    /// The number of operations until something goes wrong.
    fault: Option<(u32, Fault)>,
    powered: bool,
    full: bool,
    /// Whether syncs do nothing, as on a disk that lies.
    lies: bool,
}

#[derive(Default)]
struct Content {
    seen: Vec<u8>,
    durable: Vec<u8>,
    unsynced: Vec<Change>,
}

enum Change {
    Write(usize, Vec<u8>),
    Resize(usize),
}

struct OpenFile {
    disk: SimulatedDisk,
    file: usize,
    start: u32,
}

const SECTOR: usize = 512;

impl SimulatedDisk {
    pub(super) fn new(seed: u64) -> SimulatedDisk {
        SimulatedDisk(Arc::new(Mutex::new(State {
            rng: Rng::with_seed(seed),
            files: Vec::new(),
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            renamings: Vec::new(),
            start: 0,
            fault: None,
            powered: true,
            full: false,
            lies: false,
        })))
    }

    /// A disk on which nothing is ever synced, although it says so.
    pub(super) fn lying(seed: u64) -> SimulatedDisk {
        let disk = SimulatedDisk::new(seed);
        disk.state().lies = true;
        disk
    }

    /// Lets something go wrong after this many operations that change the disk.
    pub(super) fn fail_after(&self, operations: u32, fault: Fault) {
        self.state().fault = Some((operations, fault));
    }

    /// Ends what went wrong.
    pub(super) fn mend(&self) {
        let mut state = self.state();
        (state.fault, state.full) = (None, false);
    }

    pub(super) fn is_powered(&self) -> bool {
        self.state().powered
    }

    /// Ends the process: files are closed, and nothing is lost.
    pub(super) fn kill(&self) {
        self.state().start += 1;
    }

    /// Cuts the power, if it is not off already, and turns it on again.
    pub(super) fn lose_power(&self) {
        let mut state = self.state();
        state.start += 1;
        (state.fault, state.full, state.powered) = (None, false, true);
        let State { rng, files, names, durable_names, renamings, .. } = &mut *state;
        let kept = rng.usize(..=renamings.len());
        renamings.drain(..).take(kept).for_each(|renaming| name(durable_names, renaming));
        *names = durable_names.clone();
        for file in files {
            file.keep_some(rng);
            file.seen = file.durable.clone();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open_file(&self, state: &State, file: usize) -> Arc<dyn DiskFile> {
        Arc::new(OpenFile { disk: self.clone(), file, start: state.start })
    }
}

impl State {
    /// Counts an operation. If something goes wrong with it, returns what.
    fn step(&mut self) -> io::Result<Option<Fault>> {
        if !self.powered {
            return Err(io::Error::other("the power is off"));
        }
        let due = self.fault.take_if(|(left, _)| *left == 0);
        if let Some((left, _)) = &mut self.fault {
            *left -= 1;
        }
        let fault = due.map(|(_, fault)| fault);
        self.powered = fault != Some(Fault::PowerOff);
        self.full |= fault == Some(Fault::Full);
        Ok(fault.filter(|fault| *fault != Fault::Full))
    }

    /// Changes names, or fails; the change may be made nevertheless.
    fn rename(&mut self, renamings: impl IntoIterator<Item = (PathBuf, Option<usize>)>) -> io::Result<()> {
        let fault = self.step()?;
        if fault.is_none() || self.rng.bool() {
            for renaming in renamings {
                self.renamings.push(renaming.clone());
                name(&mut self.names, renaming);
            }
        }
        failed(fault)
    }
}

fn name(names: &mut BTreeMap<PathBuf, usize>, (path, file): (PathBuf, Option<usize>)) {
    match file {
        Some(file) => names.insert(path, file),
        None => names.remove(&path),
    };
}

fn failed(fault: Option<Fault>) -> io::Result<()> {
    fault.map_or(Ok(()), |fault| Err(io::Error::other(format!("{fault:?}"))))
}

impl Content {
    fn change(&mut self, change: Change) {
        change.make(&mut self.seen);
        self.unsynced.push(change);
    }

    /// Makes any part of what is unsynced durable, and forgets that the rest is not.
    fn keep_some(&mut self, rng: &mut Rng) {
        let likely = [0.0, 0.5, 0.9, 1.0][rng.usize(..4)];
        for change in self.unsynced.drain(..) {
            match change {
                Change::Resize(_) if rng.f64() < likely => change.make(&mut self.durable),
                Change::Resize(_) => {}
                Change::Write(at, octets) => {
                    let (mut at, mut rest) = (at, &*octets);
                    while !rest.is_empty() {
                        let (sector, after) = rest.split_at(rest.len().min(SECTOR - at % SECTOR));
                        if rng.f64() < likely {
                            let torn = likely < 1.0 && rng.u8(..8) == 0;
                            let range = if torn { part(sector.len(), rng) } else { 0..sector.len() };
                            Change::Write(at + range.start, sector[range].to_vec()).make(&mut self.durable);
                        }
                        (at, rest) = (at + sector.len(), after);
                    }
                }
            }
        }
    }
}

fn part(length: usize, rng: &mut Rng) -> std::ops::Range<usize> {
    let start = rng.usize(..=length);
    start..rng.usize(start..=length)
}

impl Change {
    fn make(&self, content: &mut Vec<u8>) {
        match self {
            Change::Resize(octets) => content.resize(*octets, 0),
            Change::Write(_, octets) if octets.is_empty() => {}
            Change::Write(at, octets) => {
                content.resize(content.len().max(at + octets.len()), 0);
                content[*at..at + octets.len()].copy_from_slice(octets);
            }
        }
    }
}

impl Disk for SimulatedDisk {
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let state = self.state();
        let file = *state.names.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(self.open_file(&state, file))
    }

    fn open_to_read(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.open(path)
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.state();
        if let Some(&file) = state.names.get(path) {
            failed(state.step()?)?;
            state.files[file].change(Change::Resize(0));
            return Ok(self.open_file(&state, file));
        }
        let file = state.files.len();
        state.files.push(Content::default());
        state.rename([(path.to_owned(), Some(file))])?;
        Ok(self.open_file(&state, file))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        let file = *state.names.get(from).ok_or(io::ErrorKind::NotFound)?;
        state.rename([(to.to_owned(), Some(file)), (from.to_owned(), None)])
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.names.get(path).ok_or(io::ErrorKind::NotFound)?;
        state.rename([(path.to_owned(), None)])
    }

    fn sync_folder(&self, _: &Path) -> io::Result<()> {
        let mut state = self.state();
        let fault = state.step()?;
        if fault.is_none() && !state.lies {
            let State { durable_names, renamings, .. } = &mut *state;
            renamings.drain(..).for_each(|renaming| name(durable_names, renaming));
        }
        failed(fault)
    }
}

impl OpenFile {
    fn state(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = self.disk.state();
        assert_eq!(state.start, self.start, "no file outlives its process");
        if state.powered { Ok(state) } else { Err(io::Error::other("the power is off")) }
    }
}

impl DiskFile for OpenFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.state()?.files[self.file].seen.len() as u64)
    }

    fn resize(&self, octets: u64) -> io::Result<()> {
        let mut state = self.state()?;
        let fault = state.step()?;
        if fault.is_none() || state.rng.bool() {
            state.files[self.file].change(Change::Resize(octets as usize));
        }
        failed(fault)
    }

    fn read_at(&self, octets: &mut [u8], at: u64) -> io::Result<()> {
        let state = self.state()?;
        let at = at as usize;
        let content = state.files[self.file].seen.get(at..at + octets.len());
        octets.copy_from_slice(content.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn write_at(&self, octets: &[u8], at: u64) -> io::Result<()> {
        let mut state = self.state()?;
        let fault = state.step()?;
        let grows = at as usize + octets.len() > state.files[self.file].seen.len();
        let full = state.full && grows;
        let written = if fault.is_some() || full { state.rng.usize(..=octets.len()) } else { octets.len() };
        state.files[self.file].change(Change::Write(at as usize, octets[..written].to_vec()));
        failed(fault)?;
        if full { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.state()?;
        let fault = state.step()?;
        let State { rng, files, lies, .. } = &mut *state;
        let file = &mut files[self.file];
        match fault {
            // What is unsynced is decided when the power comes back.
            Some(Fault::PowerOff) => {}
            Some(_) => file.keep_some(rng),
            None if *lies => {}
            None => file.unsynced.drain(..).for_each(|change| change.make(&mut file.durable)),
        }
        failed(fault)
    }
}
