//! Measures the journal: appending changes with and without waiting for the disk, beside a bare write and fdatasync, and
//! reading a journal at a start and for a secondary.

use std::{fs::File, io, os::unix::fs::FileExt, path::Path, sync::Arc};

use bindy_benches::origin;
use bindy_server::{
    journal::{
        Journal,
        disk::{Disk, DiskFile, LocalDisk},
    },
    zone::{Change, ZoneData},
};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tempfile::TempDir;
use zonefmt::{Name, Rtype, Serial, rdata::Soa};

/// The changes of a journal; then it starts again.
const CHANGES: u32 = 10_000;

/// The local disk without syncs: what an append costs apart from the disk.
struct Unsynced;

struct UnsyncedFile(Arc<dyn DiskFile>);

impl Disk for Unsynced {
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(UnsyncedFile(LocalDisk.open(path)?)))
    }

    fn open_to_read(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(UnsyncedFile(LocalDisk.open_to_read(path)?)))
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(UnsyncedFile(LocalDisk.create(path)?)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        LocalDisk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        LocalDisk.remove(path)
    }

    fn sync_folder(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }
}

impl DiskFile for UnsyncedFile {
    fn size(&self) -> io::Result<u64> {
        self.0.size()
    }

    fn resize(&self, octets: u64) -> io::Result<()> {
        self.0.resize(octets)
    }

    fn read_at(&self, octets: &mut [u8], at: u64) -> io::Result<()> {
        self.0.read_at(octets, at)
    }

    fn write_at(&self, octets: &[u8], at: u64) -> io::Result<()> {
        self.0.write_at(octets, at)
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

/// The version of a zone with this serial: an update has changed the address of its only host.
fn version(serial: u32) -> ZoneData {
    let host = Name::from_ascii("host.example.com.").expect("a name");
    let (origin, names) = (origin(), ["ns1.example.com.", "hostmaster.example.com."].map(Name::from_ascii));
    let [primary, mailbox] = names.map(|name| name.expect("a name"));
    let (primary, mailbox, serial) = (primary.as_ref(), mailbox.as_ref(), Serial(serial));
    let soa = Soa { primary, mailbox, serial, refresh: 3600, retry: 900, expire: 1_209_600, minimum: 300 };
    let mut edit = ZoneData::new(origin.clone()).edit();
    edit.add(origin.as_ref(), Rtype::SOA, 3600, &soa.to_wire()).expect("in the zone");
    edit.add(host.as_ref(), Rtype::A, 3600, &serial.0.to_be_bytes()).expect("in the zone");
    edit.commit()
}

fn changes() -> Vec<Change> {
    let versions: Vec<_> = (1..=CHANGES + 1).map(version).collect();
    versions.windows(2).map(|two| Change::between(&two[0], &two[1]).expect("the serial differs")).collect()
}

/// A folder on the disk that the workspace is on: the usual place for temporary files may be in memory.
fn folder() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder")
}

fn open(disk: Arc<dyn Disk>, folder: &TempDir) -> Journal {
    Journal::open(disk, folder.path().join("zone.changes"), origin().as_ref()).expect("the disk works")
}

fn append(criterion: &mut Criterion) {
    let changes = changes();
    let mut group = criterion.benchmark_group("journal append");
    let disks: [(&str, Arc<dyn Disk>); 2] = [("synced", Arc::new(LocalDisk)), ("not synced", Arc::new(Unsynced))];
    for (kind, disk) in disks {
        for batch in [1, 16] {
            let folder = folder();
            let mut journal = open(disk.clone(), &folder);
            let mut batches = changes.chunks_exact(batch);
            group.throughput(Throughput::Elements(batch as u64));
            group.bench_function(format!("{batch} {kind}"), |bencher| {
                bencher.iter(|| {
                    let changes = batches.next().unwrap_or_else(|| {
                        journal.reset().expect("the disk works");
                        batches = changes.chunks_exact(batch);
                        batches.next().expect("there are some")
                    });
                    journal.append(changes).expect("the disk works");
                });
            });
        }
    }
    // What the disk takes for as many octets as one change has in the journal.
    let (folder, octets) = (folder(), [1; 256]);
    let file = File::create(folder.path().join("bare")).expect("the disk works");
    let places = 16_384;
    file.write_all_at(&vec![1; places * octets.len()], 0).and_then(|()| file.sync_all()).expect("the disk works");
    let mut turn = 0;
    group.throughput(Throughput::Elements(1));
    group.bench_function("bare write and fdatasync", |bencher| {
        bencher.iter(|| {
            turn = (turn + 1) % places;
            let written = file.write_all_at(&octets, (turn * octets.len()) as u64);
            written.and_then(|()| file.sync_data()).expect("the disk works");
        });
    });
    group.finish();
}

fn read(criterion: &mut Criterion) {
    let (folder, changes) = (folder(), changes());
    let mut journal = open(Arc::new(Unsynced), &folder);
    for change in &changes {
        journal.append(std::slice::from_ref(change)).expect("the disk works");
    }
    let first = version(1);
    let mut group = criterion.benchmark_group("journal of 10,000 changes");
    group.sample_size(20).throughput(Throughput::Elements(CHANGES.into()));
    group.bench_function("open", |bencher| bencher.iter(|| open(Arc::new(Unsynced), &folder)));
    group.bench_function("read", |bencher| {
        bencher.iter(|| {
            let changes = journal.since(Serial(1)).expect("it is the base");
            changes.fold(0, |octets, change| octets + change.expect("it is sound").octets())
        });
    });
    group.bench_function("replay", |bencher| bencher.iter(|| journal.replay(&first).expect("it fits")));
    group.finish();
}

criterion_group!(benches, append, read);
criterion_main!(benches);
