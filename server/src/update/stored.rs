//! Updates of a zone that a [`ChangeStore`] keeps: carried out on the newest version, made durable and served by the store,
//! and answered when the zone's servers have them. No lock of the zone is held meanwhile, as whoever makes its versions
//! hands the next one over.

use std::{
    mem,
    panic::{self, AssertUnwindSafe},
    sync::{
        Arc,
        mpsc::{Receiver, channel},
    },
    thread,
    time::{Duration, Instant},
};

use tracing::{error, info, warn};
use zonefmt::Serial;

use super::{
    job::{End, Fault, Job},
    observers::Observers,
    service::{SLOW, fail_all, try_all},
};
use crate::{
    clock::unix_now,
    live::{Batch, ChangeStore, Live, Replies, Unkept, Written},
    zones::Published,
};

/// How many octets the messages of updates may have that a store gets together: what they say takes more room there.
const MOST_OCTETS: usize = 16 * 1024;
/// How often updates are carried out if the zone is another one each time.
const TRIES: usize = 5;

/// How long updates wait at most for the replies to those before them.
const ROUND: Duration = Duration::from_millis(50);
/// How long the first of several clients waits for the others, which have had their replies when it had its own.
const LINGER: Duration = Duration::from_millis(2);

/// The clients whose updates were stored together. A store writes a whole object however little an update changes, so many
/// clients are served best in rounds: whoever writes while replies are waiting for servers is stored together with those
/// who write again when they have them. One client alone notices nothing of it.
#[derive(Default)]
pub(super) struct Company {
    /// How many updates the last round had.
    size: usize,
    /// Each disconnects when replies were sent.
    replying: Vec<Receiver<()>>,
}

impl Company {
    /// Waits until those of the last round can have written again.
    pub(super) fn gather(&mut self) {
        let end = Instant::now() + ROUND;
        for replies in self.replying.drain(..) {
            // Nothing is ever received.
            let _ = replies.recv_timeout(end.saturating_duration_since(Instant::now()));
        }
        if mem::take(&mut self.size) > 1 {
            thread::sleep(LINGER);
        }
    }
}

/// Carries out the updates of one zone, as many together as a store takes well.
pub(super) fn carry_out(
    live: &Live,
    store: &dyn ChangeStore,
    jobs: Vec<Job>,
    published: &Published,
    observers: &Arc<Observers>,
    company: &mut Company,
) {
    company.size += jobs.len();
    let (mut together, mut octets) = (Vec::new(), 0);
    for job in jobs {
        let more = job.update.octets();
        if octets + more > MOST_OCTETS && !together.is_empty() {
            carry_out_together(live, store, mem::take(&mut together), published, observers, company);
            octets = 0;
        }
        octets += more;
        together.push(job);
    }
    carry_out_together(live, store, together, published, observers, company);
}

fn carry_out_together(
    live: &Live,
    store: &dyn ChangeStore,
    mut jobs: Vec<Job>,
    published: &Published,
    observers: &Arc<Observers>,
    company: &mut Company,
) {
    let begun = Instant::now();
    let mut tries = 0;
    loop {
        if let Err(failure) = live.check_accepts() {
            return fail_all(jobs, &End::from(&failure), observers);
        }
        let (before, mut updates, mut numbers) = (live.newest(), Vec::new(), Vec::new());
        let (_, ends) = try_all(&jobs, before.clone(), published, |number, change, after| {
            updates.push(Written { author: jobs[number].update.author(), change, after: after.clone() });
            numbers.push(number);
        });
        // Also that an update changes nothing is true of the newest version alone.
        let changes = !updates.is_empty();
        let kept = keep(live, store, Batch { before, updates });
        let took = begun.elapsed();
        if took > SLOW {
            let (took, count) = (took.as_secs_f32(), jobs.len());
            warn!(target: "update", "{live}: {count} updates took {took:.1} s so far; where they are stored may be slow");
        }
        match kept {
            Ok(serial) => {
                let sent = reply(jobs, ends, observers, |replies| {
                    if changes {
                        store.when_served(live.origin(), serial, replies);
                    }
                });
                return company.replying.push(sent);
            }
            Err(Unkept::Stale) => {
                tries += 1;
                if tries == TRIES {
                    let why = "the zone is being changed elsewhere again and again; try again".to_owned();
                    return fail_all(jobs, &End::Failed(Fault::not_ready(why)), observers);
                }
                info!(target: "update", "{live}: the zone has changed meanwhile; updates are carried out anew");
            }
            Err(Unkept::Refused { update, why }) => {
                let Some(&number) = numbers.get(update) else {
                    let why = "a fault of this server: an update was refused that nobody has sent".to_owned();
                    return fail_all(jobs, &End::Failed(Fault::not_ready(why)), observers);
                };
                let refused = jobs.remove(number);
                fail_all(vec![refused], &End::Refused(Fault::prohibited(why)), observers);
            }
            Err(Unkept::Failed(why)) => return fail_all(jobs, &End::Failed(Fault::not_ready(why)), observers),
        }
    }
}

/// Gives updates to the store. If that panics, nobody knows whether they are durable, and their clients are told that they
/// failed.
fn keep(live: &Live, store: &dyn ChangeStore, batch: Batch) -> Result<Serial, Unkept> {
    panic::catch_unwind(AssertUnwindSafe(|| store.keep(batch))).unwrap_or_else(|_| {
        error!(target: "update", "{live}: updates were not stored, by a fault of this server");
        Err(Unkept::Failed("a fault of this server".to_owned()))
    })
}

/// Replies at once to the updates that failed. `send` gets the replies to the others; what is returned disconnects when
/// they are sent.
fn reply(jobs: Vec<Job>, ends: Vec<End>, observers: &Arc<Observers>, send: impl FnOnce(Replies)) -> Receiver<()> {
    let (made, others): (Vec<_>, Vec<_>) = jobs.into_iter().zip(ends).partition(|(_, end)| matches!(end, End::Made));
    let now = unix_now();
    for (job, end) in others {
        job.finish(&end, observers, now);
    }
    let observers = Arc::clone(observers);
    let (sending, sent) = channel();
    send(Replies::new(move || {
        let now = unix_now();
        for (job, end) in made {
            job.finish(&end, &observers, now);
        }
        drop(sending);
    }));
    sent
}
