//! A zone whose versions are made elsewhere, and that clients may update all the same: their updates become durable there,
//! in a [`ChangeStore`], before they are served and answered.
//!
//! The store and its owner, who makes the versions, are one side of a seam; a thread for updates is the other. That thread
//! carries updates out on [`Live::newest`] and gives them to [`ChangeStore::keep`], without any lock of the zone. The owner
//! makes them durable, puts them into the zone, hands the new version over by [`Live::follow`], publishes it, and lets
//! `keep` return. If the owner has made another version meanwhile, `keep` says so, and the updates are carried out again.

use std::{fmt, net::SocketAddr, sync::Arc};

use zonefmt::{Name, NameRef, Serial};

use super::{Failure, Live};
use crate::{
    Rcode,
    listen::Client,
    sync::lock,
    zone::{Change, ZoneData},
};

/// Where the changes of zones become durable that this process does not keep in files.
pub trait ChangeStore: Send + Sync {
    /// Makes updates durable and has them served, all or none; returns the serial from which on they are served. Without
    /// updates, it tells whether the version is the newest, so that clients may be told what follows from it. It is
    /// called on a thread for updates and may take long. Zones that have the same thread wait meanwhile; there are four,
    /// and the zone's name decides which one it has.
    ///
    /// # Errors
    /// They are not served. If it panics, they are answered SERVFAIL.
    fn keep(&self, batch: Batch) -> Result<Serial, Unkept>;

    /// Has replies sent once the zone's servers answer this serial or a later one, or after a bounded time: a server that
    /// forwards an update waits 12 seconds for its response, `keep` included. Returns at once; until the replies are sent,
    /// the updates count among those that wait (`update-quota`).
    fn when_served(&self, origin: &Name, serial: Serial, replies: Replies);

    /// Takes note of an update that changes nothing, because its client may not make it or it has failed, and why, in the
    /// words of the log. It is called on threads that answer, too, so it waits for nothing; and as anybody may have updates
    /// turned away, what it keeps has a bound.
    fn turned_away(&self, origin: &Name, author: &Author, rcode: Rcode, why: &str);
}

/// Successive updates of a zone.
#[derive(Clone)]
pub struct Batch {
    /// The version that the first update starts from.
    pub before: ZoneData,
    /// The updates; at most 512.
    pub updates: Vec<Written>,
}

/// An update that was carried out and is not durable yet.
#[derive(Clone)]
pub struct Written {
    /// Whose it is.
    pub author: Author,
    /// What it changes in the version that the one before has left. Its serial is the one that the zone would get here, or
    /// the client's own if that has updated the SOA.
    pub change: Change,
    /// The version that it leads to.
    pub after: ZoneData,
}

/// Who has sent an update.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Author {
    /// The client's address and port.
    pub client: SocketAddr,
    /// The name of the key that the client has proved to hold.
    pub key: Option<Name>,
    /// The message's id.
    pub id: u16,
}

/// Why updates are not served.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Unkept {
    /// The zone is another meanwhile than the one that the updates start from: [`Live::newest`] is that version by now. They
    /// are to be carried out anew.
    Stale,
    /// One of them is not to be made; the others are to be tried without it.
    Refused {
        /// Its index in the batch.
        update: usize,
        /// Why, for its client.
        why: String,
    },
    /// They did not become durable, for this reason, which their clients get.
    Failed(String),
}

/// Replies that wait until updates are served everywhere. They are sent when this is dropped, too, so that none is lost.
pub struct Replies(Option<Box<dyn FnOnce() + Send>>);

impl Live {
    /// The owner of a zone whose versions are made elsewhere, as in [`Live::remembered`], and whose updates become durable
    /// in this store.
    pub fn kept_by(content: ZoneData, store: Arc<dyn ChangeStore>) -> Live {
        Live { follows_file: false, store: Some(store), ..Live::remembered(content) }
    }

    /// Whether updates may be given to the store.
    ///
    /// # Errors
    /// The zone accepts none.
    pub(crate) fn check_accepts(&self) -> Result<(), Failure> {
        lock(&self.tip).check_open()
    }
}

impl Author {
    pub(crate) fn of(client: &Client, key: Option<NameRef<'_>>, message: &[u8]) -> Author {
        let id = message.first_chunk().map_or(0, |id| u16::from_be_bytes(*id));
        Author { client: client.addr, key: key.map(NameRef::to_owned), id }
    }
}

impl Replies {
    /// Replies that `send` sends.
    pub fn new(send: impl FnOnce() + Send + 'static) -> Replies {
        Replies(Some(Box::new(send)))
    }

    /// Sends the replies.
    pub fn send(self) {
        drop(self);
    }
}

impl Drop for Replies {
    fn drop(&mut self) {
        if let Some(send) = self.0.take() {
            send();
        }
    }
}

impl fmt::Debug for Replies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Replies")
    }
}
