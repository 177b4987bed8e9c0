//! The query log: queries and refusals in named's words.
//!
//! Workers put unformatted notes into a bounded queue, and a separate thread turns them into lines. A worker never
//! waits, and while nothing is logged it pays for one atomic load.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed},
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
};

use jiff::Timestamp;
use zonefmt::{Class, NameBuf, NameRef, Rtype};

use super::{
    ClientLine, Severity,
    line::{Event, Value},
};
use crate::{
    answer::Outcome,
    listen::{Client, Transport},
    tsig::TsigError,
    wire::{
        Ede, Rcode, flags,
        request::{Edns, Request, Subnet},
    },
    zones::View,
};

/// The most queries waiting for their lines; more are dropped and counted.
const QUEUE: usize = 2048;

/// A worker's handle for logging queries.
#[derive(Clone)]
pub struct QueryLog {
    shared: Arc<Queries>,
    /// Queries since the last one that was logged.
    passed: u32,
}

/// The state that all workers share.
pub(super) struct Queries {
    /// The categories to log, as a set of [`Wanted`].
    wanted: AtomicU8,
    /// One in this many queries is logged.
    every: AtomicU32,
    /// The number of the next query, which tells queries apart where named prints the client's address in memory.
    number: AtomicU64,
    queue: SyncSender<Note>,
    pub(super) dropped: AtomicU64,
}

/// A message to the query log's thread.
#[allow(clippy::large_enum_variant)] // Nearly all are queries, and a box for each would be an allocation in the worker.
pub(super) enum Note {
    Query(Query),
    /// Signals once everything queued before it has been written.
    Flush(SyncSender<()>),
}

/// A category that workers log to.
#[derive(Clone, Copy)]
pub(super) enum Wanted {
    Queries = 1,
    Security = 2,
    Errors = 4,
}

/// A query as a worker sees it.
pub(crate) struct Asked<'a> {
    pub(crate) client: &'a Client,
    pub(crate) view: &'a View,
    /// The key of the query's signature.
    pub(crate) key: Option<NameRef<'a>>,
    pub(crate) request: &'a Request<'a>,
    /// Whether the client's cookie is valid, if it sent one.
    pub(crate) cookie: Option<bool>,
    pub(crate) ending: Ending,
}

/// The end of a query, as far as the log distinguishes it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Ending {
    Answered,
    /// An access list denies the query.
    Denied,
    /// No zone here contains the name.
    Refused,
    /// The zone is not loaded.
    NotLoaded,
    /// The query was not looked at, because its signature is wrong; the key is the one that it names.
    BadSignature(TsigError),
}

/// The content of a query's lines, in its own octets so that it can wait.
pub(super) struct Query {
    number: u64,
    time: Timestamp,
    /// Whether category `queries` logs this query.
    logged: bool,
    client: SocketAddr,
    local: IpAddr,
    view: Arc<str>,
    key: Option<NameBuf>,
    qname: NameBuf,
    qtype: Rtype,
    qclass: Class,
    flags: u16,
    transport: Transport,
    edns: Option<Edns>,
    cookie: Option<bool>,
    ending: Ending,
}

impl QueryLog {
    pub(super) fn new(shared: Arc<Queries>) -> QueryLog {
        QueryLog { shared, passed: 0 }
    }

    /// Whether anything is logged for queries with this end.
    #[inline]
    pub(crate) fn wants(&self, ending: Ending) -> bool {
        self.wanted(ending) != 0
    }

    /// Logs a query, if sampling selects it or it was refused.
    #[cold]
    pub(crate) fn note(&mut self, asked: &Asked<'_>) {
        let wanted = self.wanted(asked.ending);
        let logged = wanted & Wanted::Queries as u8 != 0 && self.is_next();
        if !logged && wanted & !(Wanted::Queries as u8) == 0 {
            return;
        }
        let number = self.shared.number.fetch_add(1, Relaxed);
        let query = Query::of(asked, number, logged);
        if let Err(TrySendError::Full(_)) = self.shared.queue.try_send(Note::Query(query)) {
            self.shared.dropped.fetch_add(1, Relaxed);
        }
    }

    fn wanted(&self, ending: Ending) -> u8 {
        let about = match ending {
            Ending::Answered => Wanted::Queries as u8,
            Ending::Denied | Ending::Refused | Ending::NotLoaded => u8::MAX,
            Ending::BadSignature(_) => Wanted::Security as u8,
        };
        self.shared.wanted.load(Relaxed) & about
    }

    fn is_next(&mut self) -> bool {
        self.passed += 1;
        let next = self.passed >= self.shared.every.load(Relaxed);
        if next {
            self.passed = 0;
        }
        next
    }
}

/// A query log that logs nothing.
impl Default for QueryLog {
    fn default() -> QueryLog {
        QueryLog::new(Arc::new(Queries::queueing(0).0))
    }
}

impl Queries {
    /// Makes the shared state, in which nothing is wanted yet, and the receiver for the writing thread.
    pub(super) fn new() -> (Queries, Receiver<Note>) {
        Queries::queueing(QUEUE)
    }

    /// With room for so many notes, for which all memory is taken now.
    fn queueing(notes: usize) -> (Queries, Receiver<Note>) {
        let (queue, waiting) = sync_channel(notes);
        let queries = Queries {
            wanted: AtomicU8::new(0),
            every: AtomicU32::new(1),
            number: AtomicU64::new(1),
            queue,
            dropped: AtomicU64::new(0),
        };
        (queries, waiting)
    }

    /// Sets the categories to log from now on.
    pub(super) fn want(&self, categories: impl IntoIterator<Item = Wanted>) {
        self.wanted.store(categories.into_iter().fold(0, |set, wanted| set | wanted as u8), Relaxed);
    }

    /// Requests a signal for when everything waiting is written; `false` if the queue is full.
    pub(super) fn flush(&self, done: SyncSender<()>) -> bool {
        self.queue.try_send(Note::Flush(done)).is_ok()
    }

    /// Sets how many queries of each worker are sampled: one in this many.
    pub(super) fn sample(&self, every: u32) {
        self.every.store(every, Relaxed);
    }
}

impl Wanted {
    pub(super) const ALL: [Wanted; 3] = [Wanted::Queries, Wanted::Security, Wanted::Errors];

    pub(super) fn category(self) -> &'static str {
        match self {
            Wanted::Queries => "queries",
            Wanted::Security => "security",
            Wanted::Errors => "query-errors",
        }
    }

    /// The highest severity that is logged to the category.
    pub(super) fn severity(self) -> Severity {
        match self {
            Wanted::Queries | Wanted::Errors => Severity::Info,
            Wanted::Security => Severity::Error,
        }
    }
}

impl Ending {
    /// The end of a query with this outcome.
    pub(crate) fn of(outcome: Outcome) -> Ending {
        match (outcome.rcode, outcome.ede) {
            (Rcode::REFUSED, Some(Ede::Prohibited)) => Ending::Denied,
            (Rcode::REFUSED, _) => Ending::Refused,
            (Rcode::SERVFAIL, Some(Ede::NotReady)) => Ending::NotLoaded,
            _ => Ending::Answered,
        }
    }
}

impl Query {
    fn of(asked: &Asked<'_>, number: u64, logged: bool) -> Query {
        let Asked { client, request, .. } = asked;
        let question = &request.question;
        Query {
            number,
            time: Timestamp::now(),
            logged,
            client: client.addr,
            local: client.local.ip(),
            view: Arc::clone(&asked.view.name),
            key: asked.key.map(NameBuf::new),
            qname: NameBuf::new(question.qname),
            qtype: question.qtype,
            qclass: question.qclass,
            flags: request.header.flags,
            transport: client.transport,
            edns: request.edns,
            cookie: asked.cookie,
            ending: asked.ending,
        }
    }

    /// All events of the query, in named's order.
    pub(super) fn events(&self) -> impl Iterator<Item = Event> {
        let (name, class, rtype) = (shown(self.qname.as_ref()), self.qclass, self.qtype);
        let query = self.logged.then(|| {
            let subnet = self.subnet().map_or_else(String::new, |subnet| format!(" [ECS {subnet}]"));
            let text = format!("query: {name} {class} {rtype} {} ({}){subnet}", self.flags(), self.local);
            self.event(Wanted::Queries, Severity::Info, &text)
        });
        let denied = (self.ending == Ending::Denied)
            .then(|| self.event(Wanted::Security, Severity::Info, &format!("query '{name}/{rtype}/{class}' denied")));
        let why = match self.ending {
            Ending::Answered | Ending::BadSignature(_) => None,
            Ending::Denied | Ending::Refused => Some("REFUSED"),
            Ending::NotLoaded => Some("zone not loaded"),
        };
        let failed = why.map(|why| {
            let text = format!("query failed ({why}) for {name}/{class}/{rtype}");
            self.event(Wanted::Errors, Severity::Info, &text)
        });
        [query, denied, self.unproven(), failed].into_iter().flatten()
    }

    fn subnet(&self) -> Option<Subnet> {
        self.edns.and_then(|edns| edns.subnet)
    }

    /// The properties of the request that named shows as letters.
    fn flags(&self) -> String {
        let flag = |flag| self.flags & flag != 0;
        let letters = [
            (if flag(flags::RD) { "+" } else { "-" }, true),
            ("S", self.key.is_some()),
            // Other EDNS versions are answered with BADVERS.
            ("E(0)", self.edns.is_some()),
            ("T", self.transport == Transport::Tcp),
            ("D", self.edns.is_some_and(|edns| edns.dnssec_ok)),
            ("C", flag(flags::CD)),
            ("K", self.cookie == Some(false)),
            ("V", self.cookie == Some(true)),
        ];
        letters.into_iter().filter(|(_, shown)| *shown).map(|(letter, _)| letter).collect()
    }

    /// The event of a wrong signature. It omits the question, which named has not read at that point.
    fn unproven(&self) -> Option<Event> {
        let Ending::BadSignature(error) = self.ending else { return None };
        let key = self.key.as_ref().map_or_else(String::new, |key| shown(key.as_ref()));
        let text = format!("request has invalid signature: TSIG {key}: tsig verify failure ({error})");
        Some(self.event(Wanted::Security, Severity::Error, &text))
    }

    fn event(&self, category: Wanted, severity: Severity, text: &str) -> Event {
        let name = shown(self.qname.as_ref());
        let key = self.key.as_ref().map(|key| shown(key.as_ref()));
        let view = Some(&*self.view).filter(|view| ![View::DEFAULT, View::CHAOS].contains(view));
        let proven = !matches!(self.ending, Ending::BadSignature(_));
        let line = ClientLine {
            number: self.number,
            client: self.client,
            key: self.key.as_ref().filter(|_| proven).map(NameBuf::as_ref),
            name: proven.then(|| self.qname.as_ref()),
            view: &self.view,
        };
        let message = format!("{line}: {text}");
        let text = |text: &dyn fmt::Display| Value::Text(text.to_string());
        let mut details = vec![
            ("client", text(&self.client.ip())),
            ("port", Value::Plain(self.client.port().to_string())),
            ("name", Value::Text(name)),
            ("class", text(&self.qclass)),
            ("type", text(&self.qtype)),
            ("flags", Value::Text(self.flags())),
            ("server", text(&self.local)),
        ];
        details.extend(key.map(|key| ("key", Value::Text(key))));
        details.extend(self.subnet().map(|subnet| ("ecs", text(&subnet))));
        details.extend(view.map(|view| ("view", Value::Text(view.into()))));
        let (time, category) = (self.time, category.category());
        Event { time, category, severity, message, fields: Vec::new(), details }
    }
}

/// A name as named shows it: without the final dot, except for the root.
fn shown(name: NameRef<'_>) -> String {
    name.without_final_dot().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        wire::request::{Header, Question},
        zones::ZoneMap,
    };
    use zonefmt::Name;

    fn note(log: &mut QueryLog, qname: &str, ending: Ending) {
        let name = |text| Name::from_ascii(text).unwrap();
        let (qname, key) = (name(qname), name("k"));
        let client = Client {
            addr: "192.0.2.9:5353".parse().unwrap(),
            local: "[2001:db8::1]:53".parse().unwrap(),
            transport: Transport::Tcp,
        };
        let request = Request {
            header: Header { id: [0; 2], flags: flags::RD | flags::CD },
            question: Question { qname: qname.as_ref(), qtype: Rtype(65333), qclass: Class::IN },
            edns: Some(Edns { dnssec_ok: true, ..Edns::default() }),
            tsig: None,
        };
        let view = View { name: "inside".into(), ..View::of(ZoneMap::new()) };
        let (key, cookie) = (Some(key.as_ref()), Some(true));
        log.note(&Asked { client: &client, view: &view, key, request: &request, cookie, ending });
    }

    fn log() -> (QueryLog, Receiver<Note>) {
        let (queries, waiting) = Queries::new();
        (QueryLog::new(Arc::new(queries)), waiting)
    }

    fn waiting(notes: &Receiver<Note>) -> Vec<Query> {
        let query = |note| match note {
            Note::Query(query) => Some(query),
            Note::Flush(_) => None,
        };
        notes.try_iter().filter_map(query).collect()
    }

    #[test]
    fn lines_are_those_of_named() {
        let (mut log, notes) = log();
        assert!(!log.wants(Ending::Denied));
        log.shared.want(Wanted::ALL);
        assert!(log.wants(Ending::Answered));
        for (name, ending) in [("a\\.b\\000\\ c.example", Ending::Denied), (".", Ending::NotLoaded)] {
            note(&mut log, name, ending);
        }
        let lines: Vec<_> = waiting(&notes)
            .iter()
            .flat_map(|query| query.events().map(|event| event.message).collect::<Vec<_>>())
            .collect();
        let (first, second) = ("client @0x000000000001 192.0.2.9#5353", "client @0x000000000002 192.0.2.9#5353");
        let name = "a\\.b\\000\\032c.example";
        assert_eq!(
            lines,
            [
                format!("{first}/key k ({name}): view inside: query: {name} IN TYPE65333 +SE(0)TDCV (2001:db8::1)"),
                format!("{first}/key k ({name}): view inside: query '{name}/TYPE65333/IN' denied"),
                format!("{first}/key k ({name}): view inside: query failed (REFUSED) for {name}/IN/TYPE65333"),
                format!("{second}/key k (.): view inside: query: . IN TYPE65333 +SE(0)TDCV (2001:db8::1)"),
                format!("{second}/key k (.): view inside: query failed (zone not loaded) for ./IN/TYPE65333"),
            ]
        );
    }

    #[test]
    fn a_sample_is_of_queries_and_not_of_faults() {
        let (mut log, notes) = log();
        log.shared.want([Wanted::Queries, Wanted::Errors]);
        log.shared.sample(3);
        for n in 0..12 {
            note(&mut log, "x.example", if n == 4 { Ending::Refused } else { Ending::Answered });
        }
        let logged: Vec<_> = waiting(&notes).iter().map(|query| query.logged).collect();
        assert_eq!(logged, [true, false, true, true, true]);
    }

    #[test]
    fn more_than_can_wait_is_counted() {
        let (mut log, notes) = log();
        log.shared.want([Wanted::Queries]);
        for _ in 0..QUEUE + 5 {
            note(&mut log, "x.example", Ending::Answered);
        }
        assert_eq!((waiting(&notes).len(), log.shared.dropped.load(Relaxed)), (QUEUE, 5));
    }
}
