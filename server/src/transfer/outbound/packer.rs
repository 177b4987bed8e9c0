//! Packs records into one message of a transfer. Names are compressed (RFC 1035 4.1.4) only against the zone's origin
//! and the owner of the record before, which needs no search and saves nearly all that there is to save.

use zonefmt::{NameRef, Rtype, rdata};

use crate::wire::HEADER;

/// A message under construction.
pub(super) struct Packer<'o> {
    out: &'o mut [u8],
    at: usize,
    records: u16,
    most: u16,
    /// Where a compressed name can point to for the origin, once it is in the message.
    origin: Option<u16>,
    /// Where the owner of the last record starts, if a compressed name can point to it.
    owner: Option<u16>,
}

/// The owner of records: labels below an origin.
#[derive(Clone, Copy)]
pub(super) struct Owner<'a> {
    pub(super) labels: &'a [u8],
    pub(super) origin: NameRef<'a>,
    /// Whether it is that of the record before.
    pub(super) is_same: bool,
}

/// A record does not fit any more.
pub(super) struct Full;

/// The largest offset that a compressed name can point to.
const FARTHEST: usize = 0x3fff;

impl<'o> Packer<'o> {
    /// Starts a message with this header and question, or, if `with_question` is false, with the header alone; it takes
    /// up to `most` records. Returns `None` if there is no room.
    pub(super) fn new(out: &'o mut [u8], head: &[u8], with_question: bool, most: u16) -> Option<Packer<'o>> {
        let head = if with_question { head } else { &head[..HEADER] };
        out.get_mut(..head.len())?.copy_from_slice(head);
        let packer = Packer::behind(out, head.len(), most);
        Some(Packer { origin: packer.origin.filter(|_| with_question), ..packer })
    }

    /// Goes on behind a header and a question, which is for the origin; these are `at` octets.
    pub(super) fn behind(out: &'o mut [u8], at: usize, most: u16) -> Packer<'o> {
        Packer { out, at, records: 0, most, origin: Some(HEADER as u16), owner: None }
    }

    /// Adds a record; one that does not fit leaves the message as it was.
    #[inline]
    pub(super) fn put(&mut self, owner: Owner<'_>, rtype: Rtype, ttl: u32, data: &[u8]) -> Result<(), Full> {
        if self.records == self.most {
            return Err(Full);
        }
        let (start, before) = (self.at, (self.origin, self.owner));
        let written = self.record(owner, rtype, ttl, data);
        match written {
            Ok(()) => self.records += 1,
            Err(Full) => (self.at, (self.origin, self.owner)) = (start, before),
        }
        written
    }

    /// The length of the message.
    pub(super) fn length(&self) -> usize {
        self.at
    }

    /// The number of records.
    pub(super) fn records(&self) -> u16 {
        self.records
    }

    #[inline]
    fn record(&mut self, owner: Owner<'_>, rtype: Rtype, ttl: u32, data: &[u8]) -> Result<(), Full> {
        match self.owner.filter(|_| owner.is_same && self.records > 0) {
            Some(known) => self.pointer(known)?,
            None => {
                let start = self.at;
                self.name(owner.labels, owner.origin)?;
                self.owner = pointer_to(start);
            }
        }
        let mut fixed = [0; 10];
        fixed[..2].copy_from_slice(&rtype.0.to_be_bytes());
        fixed[3] = 1;
        fixed[4..8].copy_from_slice(&ttl.to_be_bytes());
        self.octets(&fixed)?;
        let start = self.at;
        self.data(rtype, data, owner.origin)?;
        let length = (self.at - start) as u16;
        self.out[start - 2..start].copy_from_slice(&length.to_be_bytes());
        Ok(())
    }

    /// Writes RDATA, with its names compressed where that is allowed (RFC 3597 4).
    #[inline]
    fn data(&mut self, rtype: Rtype, data: &[u8], origin: NameRef<'_>) -> Result<(), Full> {
        let mut written = 0;
        if !matches!(rtype, Rtype::A | Rtype::AAAA | Rtype::TXT) {
            for name in rdata::names(rtype, data).filter(|name| name.compress) {
                self.octets(&data[written..name.range.start])?;
                written = name.range.end;
                let name = &data[name.range];
                match labels_below(name, origin.as_wire()) {
                    Some(labels) => self.name(&name[..labels], origin)?,
                    None => self.octets(name)?,
                }
            }
        }
        self.octets(&data[written..])
    }

    /// Writes labels and the origin below which they are.
    #[inline]
    fn name(&mut self, labels: &[u8], origin: NameRef<'_>) -> Result<(), Full> {
        self.octets(labels)?;
        match self.origin {
            _ if origin.is_root() => self.octets(&[0]),
            Some(known) => self.pointer(known),
            None => {
                self.origin = pointer_to(self.at);
                self.octets(origin.as_wire())
            }
        }
    }

    #[inline]
    fn pointer(&mut self, to: u16) -> Result<(), Full> {
        self.octets(&(0xc000 | to).to_be_bytes())
    }

    #[inline]
    fn octets(&mut self, octets: &[u8]) -> Result<(), Full> {
        let end = self.at + octets.len();
        self.out.get_mut(self.at..end).ok_or(Full)?.copy_from_slice(octets);
        self.at = end;
        Ok(())
    }
}

fn pointer_to(at: usize) -> Option<u16> {
    u16::try_from(at).ok().filter(|&at| usize::from(at) <= FARTHEST)
}

/// The octets of a name's labels below an origin, if it ends in the origin to the letter.
#[inline]
fn labels_below(name: &[u8], origin: &[u8]) -> Option<usize> {
    let split = name.len().checked_sub(origin.len()).filter(|&split| name[split..] == *origin)?;
    let mut at = 0;
    while at < split {
        at += 1 + usize::from(name[at]);
    }
    (at == split).then_some(split)
}
