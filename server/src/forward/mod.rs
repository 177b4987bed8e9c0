//! Forwarding: what only a primary can judge goes to the primaries of a secondary zone, and what they say back to the
//! client. These are updates (RFC 2136 6), and questions over TCP, transfers among them, that are signed with a key which
//! this server does not know.
//!
//! [`Forwarder::admit_update`] and [`Forwarder::admit_question`] run in the worker that received the message. They judge
//! what only this server can judge, the client's address; a key may be one that only the primary knows. The thread passes
//! the message on and the messages that come back, all of them as they are. So signatures stay valid, also those over messages
//! of a transfer that have none of their own (RFC 8945 5.3.1). The id, too, is the client's: each message that is forwarded
//! has a connection for itself while it is on its way.
//!
//! `update` and `question` say what is expected of a primary, `upstream` which one is asked and how. `course` knows where a
//! transfer ends, `places` how many messages are on their way.

mod course;
mod places;
mod question;
mod update;
mod upstream;

use std::{io, rc::Rc, sync::Arc, thread};

use jiff::Timestamp;
use tokio::{
    runtime,
    sync::mpsc::{self, error::SendError},
    task::{LocalSet, spawn_local},
    time::timeout,
};
use tracing::info;
use zonefmt::{Class, NameRef, Rtype};

use crate::{
    access::Requester,
    answer::{Answered, Outcome},
    dnstap::Tap,
    listen::{Client, Later},
    logs::ClientLine,
    settings::Secondary,
    stats::Counters,
    transfer::{
        inbound::{Connections, LONGEST_IDLE},
        outbound::Wanted,
    },
    update::{Observers, Request},
    wire::{Ede, Rcode},
    zones::{View, Zone},
};
use course::Course;
use places::{NoPlace, Place, Places};
use upstream::Upstream;

/// The thread that forwards messages. Clones lead to the same one, which ends with the last of them.
#[derive(Clone)]
pub struct Forwarder {
    jobs: mpsc::UnboundedSender<Job>,
    /// These bound the jobs; a transfer may take long.
    updates: Arc<Places>,
    questions: Arc<Places>,
    /// The connections to primaries that no update is on.
    connections: Connections,
}

/// A message that may be forwarded.
pub(crate) struct Forwarded {
    jobs: mpsc::UnboundedSender<Job>,
    message: Message,
    /// `None` if the client repeats a message that is on its way.
    place: Option<Place>,
}

/// What is forwarded.
enum Message {
    /// With when it came, if the reply is to be tapped.
    Update(Upstream, Option<Timestamp>),
    Question(Upstream, Course),
}

/// A message on its way.
struct Job {
    message: Message,
    /// What the client gets if no primary responds.
    failure: Vec<u8>,
    way: Later,
    _place: Place,
}

impl Forwarder {
    /// Starts the thread, which counts and taps its replies.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn start(counters: Counters, tap: Tap) -> io::Result<Forwarder> {
        let (sender, mut jobs) = mpsc::unbounded_channel::<Job>();
        let runtime = runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        let (updates, connections) = (Arc::<Places>::default(), Connections::default());
        let (under_way, idle) = (Arc::clone(&updates), connections.clone());
        thread::Builder::new().name("forward".into()).spawn(move || {
            let observers = Rc::new(Observers::new(counters, tap));
            LocalSet::new().block_on(&runtime, async {
                loop {
                    // What is under way leaves a connection.
                    let has_any = idle.tend() || !under_way.are_free();
                    let next = jobs.recv();
                    let next = if has_any { timeout(LONGEST_IDLE, next).await } else { Ok(next.await) };
                    match next {
                        Ok(Some(job)) => _ = spawn_local(job.carry_out(Rc::clone(&observers))),
                        Ok(None) => break,
                        Err(_) => {}
                    }
                }
            });
        })?;
        Ok(Forwarder { jobs: sender, updates, questions: Arc::default(), connections })
    }

    /// Checks whether an update is forwarded for its client; `None` if it is not for a secondary zone. `tapped` is when it
    /// came, if its response is to be tapped.
    ///
    /// # Errors
    /// What to respond with, which is logged.
    pub(crate) fn admit_update<'v>(
        &self,
        request: &Request<'_, 'v>,
        tapped: Option<Timestamp>,
    ) -> Option<Result<Forwarded, Answered<'v>>> {
        let zone = request.zone()?;
        let secondary = zone.secondary.as_ref()?;
        let &Request { view, client, key, message, quota, .. } = request;
        if !secondary.inbound.allow_update_forwarding.allows(Requester { addr: client.addr.ip(), key }) {
            return Some(Err(request.denied(zone, "update forwarding", "denied", false)));
        }
        let (line, shown) = (request.line(), zone.origin.as_ref());
        let shown = shown.without_final_dot();
        if let Some(key) = key {
            info!(target: "update-security", "{line}: signer \"{}\" approved", key.without_final_dot());
        }
        let place = match self.updates.take(client, message, quota) {
            Ok(place) => {
                let id = u16::from_be_bytes(id_of(message));
                info!(target: "update", "{line}: forwarding update for zone '{shown}/IN', id {id}");
                Some(place)
            }
            Err(NoPlace::Repeated) => None,
            Err(NoPlace::Full) => {
                return Some(Err(request.is_one_too_many("too many updates are being forwarded")));
            }
        };
        let upstream = self.upstream(zone, secondary, view, (client, message));
        Some(Ok(self.forwarded(Message::Update(upstream, tapped), place)))
    }

    /// Checks whether a question over TCP is forwarded for its client, which has signed it with a key that is not known here;
    /// `None` if it is not.
    ///
    /// # Errors
    /// What to respond with, which is logged.
    pub(crate) fn admit_question<'v>(
        &self,
        wanted: &Wanted<'v>,
        message: &[u8],
    ) -> Option<Result<Forwarded, Answered<'v>>> {
        let &Wanted { client, view, question, has, .. } = wanted;
        let mut names = question.qname.ancestors(NameRef::ROOT);
        let zone = names.find_map(|name| view.zones.get(name)).filter(|_| question.qclass == Class::IN)?;
        let secondary = zone.secondary.as_ref()?;
        // Which key it is, only the primary can tell.
        if !secondary.inbound.allow_signed_forwarding.allows(Requester { addr: client.addr.ip(), key: None }) {
            return None;
        }
        // Who may have all of the zone, lists of the primary say.
        let is_transfer = matches!(question.qtype, Rtype::AXFR | Rtype::IXFR);
        if !is_transfer && !zone.settings.admit(client, None) {
            return None;
        }
        let line = ClientLine {
            number: ClientLine::number(),
            client: client.addr,
            key: None,
            name: Some(question.qname),
            view: &view.name,
        };
        let (name, rtype) = (question.qname.without_final_dot(), question.qtype);
        let Ok(place) = self.questions.take(client, message, usize::MAX) else {
            info!(target: "general", "{line}: too many queries are being forwarded");
            return Some(Err(Outcome::error(Rcode::SERVFAIL, Some(Ede::NotReady)).into()));
        };
        info!(target: "general", "{line}: forwarding query '{name}/{rtype}/IN'");
        let upstream = self.upstream(zone, secondary, view, (client, message));
        let course = Course::of(question.qtype, has);
        Some(Ok(self.forwarded(Message::Question(upstream, course), Some(place))))
    }

    fn upstream(
        &self,
        zone: &Arc<Zone>,
        secondary: &Arc<Secondary>,
        view: &View,
        (client, message): (&Client, &[u8]),
    ) -> Upstream {
        Upstream {
            zone: Arc::clone(zone),
            secondary: Arc::clone(secondary),
            view: Arc::clone(&view.name),
            settings: Arc::clone(&view.settings),
            connections: self.connections.clone(),
            client: *client,
            message: message.to_vec(),
        }
    }

    fn forwarded(&self, message: Message, place: Option<Place>) -> Forwarded {
        Forwarded { jobs: self.jobs.clone(), message, place }
    }
}

impl Forwarded {
    /// Sends the message on its way. The client gets the response of a primary, or `failure` if none responds. A message
    /// that its client repeats is on its way already, and so is its response.
    pub(crate) fn begin(self, failure: Vec<u8>, way: Later) {
        if let Some(place) = self.place {
            let job = Job { message: self.message, failure, way, _place: place };
            if let Err(SendError(Job { failure, way, .. })) = self.jobs.send(job) {
                way.send(&failure);
            }
        }
    }
}

impl Job {
    async fn carry_out(self, observers: Rc<Observers>) {
        let Job { message, failure, way, _place } = self;
        match message {
            Message::Update(upstream, tapped) => update::forward(&upstream, failure, way, &observers, tapped).await,
            Message::Question(upstream, course) => question::forward(&upstream, course, failure, way).await,
        }
    }
}

/// The id of a message; every message that was parsed has one.
fn id_of(message: &[u8]) -> [u8; 2] {
    message.first_chunk().copied().unwrap_or_default()
}
