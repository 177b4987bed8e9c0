//! Replacements of a key in a model of a cluster, in which pods come and go and hear of changes late, and whoever replaces
//! the key ends at any moment. Pods use a key of transfers themselves: that which their configuration names.

use std::collections::BTreeMap;

use proptest::{prelude::*, sample::Index};
use serde_json::{Value, json};

use super::*;
use crate::{
    api::keys::RndcAlgorithm,
    keys::material::{Material, Ring},
    render::names::ours,
};

/// The longest time that a change of a Secret takes to reach a pod, in seconds.
const DELAY: i64 = 90;

/// How long it takes until configurations name another key, before pods hear of that.
const LAG: i64 = 5;

const REVOKE: Step = Step::Replace { is_revoked: true };

#[derive(Clone, Debug)]
enum Event {
    /// So many seconds pass, in which the one who replaces the key looks so many times.
    Pass(i64, u8),
    /// Whoever replaces the key starts anew.
    Restart,
    /// A write is lost, or done without anybody's hearing of it.
    Interrupt {
        is_done: bool,
    },
    /// Somebody else replaces the key, too, for one step, and then this one tries it with what it has seen before.
    Compete,
    NewPod {
        delay: i64,
        config_delay: i64,
    },
    PodGone(Index),
    /// A pod becomes ready, or is not any more.
    Turn(Index),
    /// The volume of a pod does not follow any more, or does again.
    Stick(Index),
    Ask(Request),
    /// The clock was ahead by so many seconds, and is set right.
    SetBack(i64),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => (1..200i64, 0..4u8).prop_map(|(time, looks)| Event::Pass(time, looks)),
        2 => (200..5000i64, 0..4u8).prop_map(|(time, looks)| Event::Pass(time, looks)),
        2 => Just(Event::Restart),
        1 => any::<bool>().prop_map(|is_done| Event::Interrupt { is_done }),
        1 => Just(Event::Compete),
        1 => (0..=DELAY, 0..=DELAY).prop_map(|(delay, config_delay)| Event::NewPod { delay, config_delay }),
        1 => any::<Index>().prop_map(Event::PodGone),
        2 => any::<Index>().prop_map(Event::Turn),
        1 => any::<Index>().prop_map(Event::Stick),
        1 => Just(Event::Ask(Request::Rotate)),
        1 => Just(Event::Ask(Request::Revoke)),
        1 => (1..4000i64).prop_map(Event::SetBack),
    ]
}

/// What a Secret has.
#[derive(Clone, Debug)]
struct Secret {
    metadata: Value,
    ring: Ring,
    /// In seconds of [`Model::time`].
    since: i64,
}

#[derive(Debug)]
struct Pod {
    delay: i64,
    unready_since: Option<Timestamp>,
    is_stuck: bool,
    /// Which of the versions of the Secret it has.
    version: usize,
    /// How late it hears of another configuration.
    config_delay: i64,
    /// The version of the Secret whose used key its configuration names.
    config: usize,
    /// Whether it may refuse the key that is used, or use one that is not accepted any more, until it has heard of that: it
    /// had not when a revoked key was replaced, or it was cut off for so long that it was not waited for.
    is_excused: bool,
}

struct Model {
    purpose: Purpose,
    /// What clocks say.
    now: Timestamp,
    /// How many seconds have passed, whatever clocks say.
    time: i64,
    policy: Policy,
    secrets: Vec<Secret>,
    pods: BTreeMap<String, Pod>,
    made: u32,
    /// Who has answered to which key, as whoever replaces the key remembers.
    proven: BTreeMap<String, Material>,
    /// The name of the key that all pods were last seen to use.
    in_use: Option<String>,
    /// What becomes of the next write.
    interruption: Option<bool>,
    /// When the key was replaced, and whether because one was revoked.
    replaced: Vec<(i64, bool)>,
    revoked: Vec<Material>,
}

impl Model {
    fn new(purpose: Purpose, policy: Policy) -> Model {
        let now = "2026-01-31T12:00:00Z".parse().unwrap();
        let metadata = json!({ "creationTimestamp": now });
        let used = Material::random("k.1".into(), RndcAlgorithm::default()).unwrap();
        let secret = Secret { metadata, ring: Ring { used, other: None }, since: 0 };
        Model {
            purpose,
            now,
            time: 0,
            policy,
            secrets: vec![secret],
            pods: BTreeMap::new(),
            made: 0,
            proven: BTreeMap::new(),
            in_use: None,
            interruption: None,
            replaced: Vec::new(),
            revoked: Vec::new(),
        }
    }

    fn secret(&self) -> &Secret {
        self.secrets.last().unwrap()
    }

    fn record(&self) -> Record {
        Record::of(self.purpose, &self.secret().metadata, self.now)
    }

    fn happen(&mut self, event: &Event) {
        let names: Vec<String> = self.pods.keys().cloned().collect();
        let one = |index: &Index| (!names.is_empty()).then(|| index.get(&names).clone());
        match event {
            Event::Pass(time, looks) => {
                for _ in 0..*looks {
                    self.pass(time / i64::from(*looks));
                    self.look();
                }
                self.pass(time - time / i64::from(*looks).max(1) * i64::from(*looks));
            }
            Event::Restart => self.proven.clear(),
            Event::Interrupt { is_done } => self.interruption = Some(*is_done),
            Event::NewPod { delay, config_delay } => {
                let pod = Pod {
                    delay: *delay,
                    unready_since: Some(self.now),
                    is_stuck: false,
                    version: self.secrets.len() - 1,
                    config_delay: *config_delay,
                    config: self.seen(LAG),
                    is_excused: self.record().phase == Phase::Revoked,
                };
                self.made += 1;
                self.pods.insert(format!("pod-{}", self.made), pod);
            }
            Event::PodGone(index) => _ = one(index).and_then(|name| self.pods.remove(&name)),
            Event::Turn(index) => {
                if let Some(pod) = one(index).and_then(|name| self.pods.get_mut(&name)) {
                    pod.unready_since = pod.unready_since.is_none().then_some(self.now);
                }
            }
            Event::Stick(index) => {
                if let Some(pod) = one(index).and_then(|name| self.pods.get_mut(&name)) {
                    pod.is_stuck = !pod.is_stuck;
                }
            }
            Event::SetBack(time) => self.now = later(self.now, SignedDuration::from_secs(-time)),
            Event::Compete => {
                let (version, record) = (self.secrets.len(), self.record());
                let step = self.step(&record);
                self.look();
                if !matches!(step, Step::Rest(_)) {
                    self.write(version, &record, &step);
                }
            }
            Event::Ask(request) => {
                let name = self.purpose.note(if *request == Request::Revoke { "revoke" } else { "rotate" });
                self.secrets.last_mut().unwrap().metadata["annotations"][name] = json!("please");
            }
        }
        self.look();
    }

    /// Time passes, after which pods have heard of what was written long enough ago.
    fn pass(&mut self, time: i64) {
        self.now = later(self.now, SignedDuration::from_secs(time));
        self.time += time;
        let mut pods = std::mem::take(&mut self.pods);
        for pod in pods.values_mut().filter(|pod| !pod.is_stuck) {
            pod.version = pod.version.max(self.seen(pod.delay));
            pod.config = pod.config.max(self.seen(LAG + pod.config_delay));
        }
        self.pods = pods;
        let named = self.secrets[self.seen(LAG)].ring.used.name().to_owned();
        if self.pods.values().all(|pod| self.uses(pod).name() == named) {
            self.in_use = Some(named);
        }
        self.check();
    }

    /// The version of the Secret that is seen by who hears of it so late.
    fn seen(&self, delay: i64) -> usize {
        self.secrets.iter().rposition(|secret| secret.since <= self.time - delay).unwrap_or(0)
    }

    /// The key that a pod uses.
    fn uses(&self, pod: &Pod) -> &Material {
        &self.secrets[pod.config].ring.used
    }

    /// Whether a pod takes the key that is used, and uses one that is taken, by others and by itself.
    fn is_well(&self, pod: &Pod) -> bool {
        let Ring { used, other } = &self.secret().ring;
        let key = self.uses(pod);
        let is_taken = || (used == key || other.as_ref() == Some(key)) && self.accepts(pod, key);
        self.accepts(pod, used) && (self.purpose == Purpose::Control || is_taken())
    }

    fn accepts(&self, pod: &Pod, key: &Material) -> bool {
        let Ring { used, other } = &self.secrets[pod.version].ring;
        used == key || other.as_ref() == Some(key)
    }

    /// What whoever replaces the key would do at a moment, and who has answered by then.
    fn step(&mut self, record: &Record) -> Step {
        let mut lacking = Vec::new();
        if let Some(key) = self.secret().ring.newest(record.phase).cloned() {
            for (name, pod) in &self.pods {
                if self.accepts(pod, &key) {
                    self.proven.insert(name.clone(), key.clone());
                } else if self.proven.get(name) != Some(&key) {
                    let stands = pod.unready_since.map_or(Stands::Ready, |since| Stands::Unready { since });
                    lacking.push(LackingPod { name: name.clone(), stands });
                }
            }
        }
        if self.purpose == Purpose::Transfer && self.in_use.as_deref() != Some(self.secret().ring.used.name()) {
            lacking.push(LackingPod { name: "server".into(), stands: Stands::Behind });
        }
        next(self.policy, record, false, &Lacking::Pods(lacking), self.now)
    }

    /// What whoever replaces the key does at a moment.
    fn look(&mut self) {
        let record = self.record();
        let step = self.step(&record);
        if let Step::Rest(_) = step {
            return;
        }
        let interruption = self.interruption.take();
        if interruption == Some(false) {
            return;
        }
        self.write(self.secrets.len(), &record, &step);
        if interruption.is_some() {
            self.proven.clear();
        }
        self.check();
    }

    /// A write that is refused if there is a newer version of the Secret.
    fn write(&mut self, version: usize, record: &Record, step: &Step) {
        if version != self.secrets.len() {
            return;
        }
        let mut secret = self.secret().clone();
        if let Step::Replace { .. } = step {
            self.revoked.push(secret.ring.used.clone());
            self.revoked.extend(secret.ring.other.clone());
        }
        secret.ring = secret.ring.then(self.purpose, step, RndcAlgorithm::default()).unwrap();
        let then = record.then(self.policy, step, self.now);
        for (name, text) in then.annotations(self.policy, None) {
            secret.metadata["annotations"][name] = json!(text);
        }
        assert_eq!(Record::of(self.purpose, &secret.metadata, self.now), then, "what is written is read");
        assert_eq!(secret.ring.other.is_some(), matches!(then.phase, Phase::Staged { .. } | Phase::Active));
        if then.count != record.count {
            assert_eq!(then.count, record.count + 1);
            self.replaced.push((self.time, matches!(step, Step::Replace { .. })));
        }
        secret.since = self.time;
        self.secrets.push(secret);
        let unwell: Vec<String> =
            self.pods.iter().filter(|(_, pod)| !self.is_well(pod)).map(|(name, _)| name.clone()).collect();
        for name in unwell {
            let pod = self.pods.get_mut(&name).unwrap();
            pod.is_excused |= match step {
                Step::Replace { .. } => true,
                Step::Activate => self.purpose == Purpose::Control && pod.unready_since.is_some(),
                _ => false,
            };
        }
        if record.phase == Phase::Revoked && *step == Step::Settle {
            for (name, pod) in &self.pods {
                let accepted = self.revoked.iter().find(|key| self.accepts(pod, key));
                assert!(accepted.is_none(), "{name} accepts a revoked key: {pod:?}");
            }
        }
    }

    fn check(&mut self) {
        let well: Vec<String> =
            self.pods.iter().filter(|(_, pod)| self.is_well(pod)).map(|(name, _)| name.clone()).collect();
        for (name, pod) in &mut self.pods {
            let is_well = well.contains(name);
            pod.is_excused &= !is_well;
            // Of transfers nobody is to be cut off, ready or not.
            let may_be_unwell = pod.unready_since.is_some() && self.purpose == Purpose::Control || pod.is_excused;
            assert!(is_well || may_be_unwell, "{name} does not accept the key that is used: {pod:?}");
        }
        let apart = |times: Vec<i64>| {
            assert!(times.windows(2).all(|two| two[1] - two[0] >= INTERVAL.as_secs()), "{times:?}");
        };
        apart(self.replaced.iter().filter(|(_, is_revoked)| *is_revoked).map(|(at, _)| *at).collect());
        for two in self.replaced.windows(2).filter(|two| !two[1].1) {
            apart(vec![two[0].0, two[1].0]);
        }
    }
}

proptest! {
    #[test]
    fn every_ready_pod_that_was_not_cut_off_accepts_the_key_that_is_used_and_none_is_replaced_twice_an_hour(
        purpose in prop_oneof![Just(Purpose::Control), Just(Purpose::Transfer)],
        hours in prop::option::of(1..100i64),
        events in prop::collection::vec(event(), 1..150),
    ) {
        let policy = Policy { after: hours.map(SignedDuration::from_hours), restarts: false };
        let mut model = Model::new(purpose, policy);
        for event in &events {
            model.happen(event);
        }
        // Once everybody is well, what was begun comes to its end.
        model.pods.values_mut().for_each(|pod| pod.is_stuck = false);
        let asked = model.record().request.is_some();
        let before = model.replaced.len();
        let ahead: i64 = events.iter().map(|event| if let Event::SetBack(time) = event { *time } else { 0 }).sum();
        for _ in 0..200 + ahead / 60 {
            model.happen(&Event::Pass(60, 1));
        }
        let record = model.record();
        prop_assert_eq!(record.request, None);
        prop_assert!(!asked || model.replaced.len() > before);
        let while_ago = later(model.now, SignedDuration::from_mins(-20));
        let since = match record.phase {
            Phase::Settled => None,
            Phase::Staged { since } => Some(since),
            Phase::Active | Phase::Revoked => record.rotated,
        };
        prop_assert!(since.is_none_or(|since| since > while_ago), "{record:?} at {}", model.now);
        let due = record.rotate_at(policy).map(|at| later(at, INTERVAL));
        prop_assert!(due.is_none_or(|due| due > while_ago), "{record:?} at {}", model.now);
    }
}

/// A record, as annotations have it.
fn record(annotations: &[(&str, &str)]) -> Record {
    let mut metadata = json!({ "creationTimestamp": "2026-01-01T00:00:00Z" });
    for (name, text) in annotations {
        metadata["annotations"][ours(name)] = json!(text);
    }
    Record::of(Purpose::Control, &metadata, at("2026-02-01T00:00:00Z"))
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[test]
fn a_hundred_restarts_around_the_due_time_replace_a_key_once() {
    let mut model =
        Model::new(Purpose::Control, Policy { after: Some(SignedDuration::from_hours(2)), restarts: false });
    for _ in 0..3 {
        model.happen(&Event::NewPod { delay: 20, config_delay: 20 });
    }
    model.pods.values_mut().for_each(|pod| pod.unready_since = None);
    model.happen(&Event::Pass(7000, 1));
    for restart in 0..100 {
        model.happen(&Event::Restart);
        model.happen(&Event::Interrupt { is_done: restart % 2 == 0 });
        model.happen(&Event::Pass(7, 1));
    }
    assert_eq!(model.replaced.len(), 1);
    model.happen(&Event::Pass(1800, 30));
    assert_eq!((model.replaced.len(), model.record().phase), (1, Phase::Settled));
}

#[test]
fn a_key_is_replaced_when_its_time_has_come_or_somebody_asks() {
    let (policy, never) = (
        Policy { after: Some(SignedDuration::from_hours(720)), restarts: false },
        Policy { after: None, restarts: false },
    );
    let made = ("rndc-created-at", "2026-01-31T00:00:00Z");
    let now = at("2026-01-31T12:00:00Z");
    let next = |policy, record: &Record, is_unlike| next(policy, record, is_unlike, &Lacking::default(), now);
    let rest = |reason: &str, step: Step| {
        let Step::Rest(rest) = step else { panic!("{step:?}") };
        assert_eq!(rest.reason(), reason);
        rest.to_string()
    };
    assert!(rest("NotDue", next(policy, &record(&[made]), false)).contains("at 2026-03-02T00:00:00Z"));
    rest("Disabled", next(never, &record(&[made]), false));
    assert_eq!(next(policy, &record(&[]), false), Step::Stage, "as old as its Secret, which is of the first");
    assert_eq!(next(policy, &record(&[("rndc-created-at", "2020-01-01T00:00:00Z")]), false), Step::Stage);
    assert_eq!(next(policy, &record(&[("rndc-created-at", "yesterday")]), false), Step::Stage);
    assert_eq!(next(never, &record(&[made]), true), Step::Stage, "another algorithm");
    for value in ["true", "", "2026-01-31"] {
        assert_eq!(next(never, &record(&[made, ("rndc-rotate", value)]), false), Step::Stage);
        assert_eq!(next(never, &record(&[made, ("rndc-revoke", value)]), false), REVOKE);
    }
    let lately = [made, ("rndc-rotated-at", "2026-01-31T11:30:00Z"), ("rndc-rotate", "true")];
    assert!(rest("RateLimited", next(policy, &record(&lately), false)).contains("at 2026-01-31T12:30:00Z"));
    assert_eq!(next(policy, &record(&[lately[0], lately[1], ("rndc-revoke", "")]), false), REVOKE, "that cannot wait");
    let again = [("rndc-revoked-at", "2026-01-31T11:30:00Z"), ("rndc-revoke", "true")];
    rest("RateLimited", next(policy, &record(&again), false));
}

#[test]
fn whoever_has_not_answered_is_waited_for_and_named() {
    let policy = Policy { after: None, restarts: false };
    let staged = record(&[("rndc-rotation-phase", "Staged"), ("rndc-staged-at", "2026-01-31T12:00:00Z")]);
    let lacking = |ready: &[&str], starting: &[(&str, &str)]| {
        let pod = |name: &str, stands| LackingPod { name: name.to_owned(), stands };
        let starting = starting.iter().map(|(name, since)| pod(name, Stands::Unready { since: at(since) }));
        Lacking::Pods(ready.iter().map(|name| pod(name, Stands::Ready)).chain(starting).collect())
    };
    let step = |record: &Record, lacking: &Lacking, time: &str| next(policy, record, false, lacking, at(time));
    let Step::Rest(rest) =
        step(&staged, &lacking(&["a", "b"], &[("c", "2026-01-31T12:00:00Z")]), "2026-01-31T18:00:00Z")
    else {
        panic!()
    };
    assert!(rest.reason() == "RotationWaiting" && rest.to_string().contains("from a, b;"), "{rest}");
    let starts = lacking(&[], &[("c", "2026-01-31T12:00:00Z")]);
    let turned = lacking(&[], &[("c", "2026-01-31T18:00:00Z")]);
    assert!(matches!(step(&staged, &turned, "2026-01-31T18:04:59Z"), Step::Rest(Rest::Waiting(..))), "it was ready");
    assert!(matches!(step(&staged, &starts, "2026-01-31T12:04:59Z"), Step::Rest(Rest::Waiting(..))));
    assert_eq!(step(&staged, &starts, "2026-01-31T12:05:00Z"), Step::Activate);

    let active = record(&[("rndc-rotation-phase", "Active"), ("rndc-rotated-at", "2026-01-31T12:00:00Z")]);
    assert!(matches!(step(&active, &lacking(&[], &[]), "2026-01-31T12:09:59Z"), Step::Rest(Rest::Grace(_))));
    assert_eq!(step(&active, &starts, "2026-01-31T12:10:00Z"), Step::Settle);
    let many = lacking(&["0", "1", "2", "3", "4", "5", "6", "7", "8"], &[]);
    let Step::Rest(rest) = step(&active, &many, "2026-01-31T18:00:00Z") else { panic!() };
    assert!(rest.to_string().contains("from 0, 1, 2, 3, 4 and 4 more;"), "{rest}");
}

#[test]
fn a_revocation_is_over_when_every_pod_that_is_there_has_answered() {
    let policy = Policy { after: None, restarts: false };
    let revoked = record(&[("rndc-rotation-phase", "Revoked"), ("rndc-rotated-at", "2026-01-31T12:00:00Z")]);
    let step = |stands: &[Stands]| {
        let pods = stands.iter().map(|stands| LackingPod { name: "a".into(), stands: *stands }).collect();
        next(policy, &revoked, false, &Lacking::Pods(pods), at("2026-01-31T18:00:00Z"))
    };
    for stands in [Stands::Ready, Stands::Unready { since: at("2026-01-31T12:00:00Z") }, Stands::Leaving] {
        let Step::Rest(rest) = step(&[stands]) else { panic!("{stands:?}") };
        assert!(rest.reason() == "RotationWaiting" && rest.to_string().contains("from a;"), "{rest}");
    }
    assert_eq!(step(&[]), Step::Settle);
}

#[test]
fn a_clock_that_was_ahead_holds_nothing_up() {
    let future = "2036-01-31T12:00:00Z";
    let names = ["rndc-created-at", "rndc-rotated-at", "rndc-revoked-at", "rndc-staged-at"];
    let policy = Policy { after: Some(SignedDuration::from_hours(720)), restarts: false };
    for phase in ["", "Staged", "Active", "Revoked"] {
        let notes: Vec<_> =
            names.map(|name| (name, future)).into_iter().chain([("rndc-rotation-phase", phase)]).collect();
        // That is read on the first of February.
        let record = record(&notes);
        for (name, text) in record.annotations(policy, None) {
            assert!(!text.unwrap_or_default().starts_with("2036"), "{name} of {phase}");
        }
        assert!(record.begun() <= at("2026-02-01T00:00:00Z"));
    }
}

#[test]
fn a_request_of_while_a_key_was_on_its_way_is_met_by_that_unless_it_revokes() {
    let policy = Policy { after: None, restarts: false };
    let staged = [("rndc-rotation-phase", "Staged"), ("rndc-staged-at", "2026-01-31T12:00:00Z")];
    let asked = |name| {
        let record = record(&[staged[0], staged[1], (name, "")]);
        record.then(policy, &Step::Activate, at("2026-01-31T12:01:00Z")).request
    };
    assert_eq!((asked("rndc-rotate"), asked("rndc-revoke")), (None, Some(Request::Revoke)));
}

#[test]
fn who_cannot_see_pods_replaces_no_key_but_a_revoked_one() {
    let policy = Policy { after: Some(SignedDuration::from_hours(1)), restarts: false };
    let hidden = Lacking::Hidden("pods is forbidden".into());
    let step = |record: &Record| next(policy, record, false, &hidden, at("2026-01-31T12:00:00Z"));
    let waits = |record: &Record| {
        let Step::Rest(rest) = step(record) else { panic!("{record:?}") };
        assert!(rest.reason() == "RotationWaiting" && rest.to_string().contains("pods is forbidden"), "{rest}");
    };
    let old = ("rndc-created-at", "2026-01-31T10:00:00Z");
    waits(&record(&[old]));
    for phase in ["Staged", "Active", "Revoked"] {
        waits(&record(&[old, ("rndc-rotation-phase", phase), ("rndc-rotated-at", "2026-01-31T10:00:00Z")]));
    }
    assert!(matches!(step(&record(&[("rndc-created-at", "2026-01-31T11:30:00Z")])), Step::Rest(Rest::NotDue(_))));
    assert_eq!(step(&record(&[old, ("rndc-revoke", "")])), REVOKE);
}

#[test]
fn pods_are_replaced_when_servers_are_to_accept_other_keys() {
    let changed = |restarts, record: &Record, step| {
        let policy = Policy { after: None, restarts };
        let annotations = record.then(policy, &step, at("2026-01-31T12:00:00Z")).annotations(policy, None);
        annotations[&crate::render::names::ours("rndc-changed-at")].clone()
    };
    let (never, once) = (record(&[]), record(&[("rndc-changed-at", "2026-01-01T00:00:00Z")]));
    let (then, now) = (Some("2026-01-01T00:00:00Z".to_owned()), Some("2026-01-31T12:00:00Z".to_owned()));
    for step in [Step::Stage, Step::Settle, REVOKE] {
        assert_eq!(changed(true, &never, step.clone()), now);
        assert_eq!(changed(false, &never, step), None);
    }
    assert_eq!(changed(true, &once, Step::Activate), then, "servers accept both before and after");
    assert_eq!(changed(false, &once, Step::Stage), then, "else pods would be replaced for that");
}

#[test]
fn a_key_of_transfers_waits_for_whoever_may_come_back_and_goes_when_no_server_uses_it() {
    let policy = Policy { after: None, restarts: false };
    let record = |notes: &[(&str, &str)]| {
        let mut metadata = json!({ "creationTimestamp": "2026-01-01T00:00:00Z" });
        for (name, text) in notes {
            metadata["annotations"][ours(name)] = json!(text);
        }
        Record::of(Purpose::Transfer, &metadata, at("2026-02-01T00:00:00Z"))
    };
    let step = |record: &Record, name: &str, stands| {
        let lacking = Lacking::Pods(vec![LackingPod { name: name.into(), stands }]);
        next(policy, record, false, &lacking, at("2026-01-31T18:00:00Z"))
    };
    let waits = |step: Step, text: &str| {
        let Step::Rest(rest) = step else { panic!("{step:?}") };
        assert!(rest.reason() == "RotationWaiting" && rest.to_string().contains(text), "{rest}");
    };
    let unready = Stands::Unready { since: at("2026-01-31T12:00:00Z") };
    let staged = record(&[("transfer-rotation-phase", "Staged"), ("transfer-staged-at", "2026-01-31T12:00:00Z")]);
    waits(step(&staged, "a-1", unready), "from a-1; the former one stays in use until then");
    assert_eq!(step(&staged, "a-1", Stands::Leaving), Step::Activate);
    let lately = record(&[("transfer-rotation-phase", "Staged"), ("transfer-staged-at", "2026-01-31T17:56:00Z")]);
    waits(step(&lately, "a-1", Stands::Leaving), "from a-1;");
    assert_eq!(step(&staged, "a", Stands::Behind), Step::Activate, "it cannot use the key before that is used");
    let active = record(&[("transfer-rotation-phase", "Active"), ("transfer-rotated-at", "2026-01-31T12:00:00Z")]);
    waits(step(&active, "a", Stands::Behind), "names the new key, of a; the former one is accepted until then");
    assert_eq!(step(&active, "a-1", unready), Step::Settle, "whose server would be behind");
    let revoked = record(&[("transfer-rotation-phase", "Revoked"), ("transfer-rotated-at", "2026-01-31T12:00:00Z")]);
    waits(step(&revoked, "a", Stands::Behind), "of a;");
    assert_eq!(
        next(policy, &record(&[("rndc-revoke", "")]), false, &Lacking::default(), at("2026-01-31T18:00:00Z")),
        Step::Rest(Rest::Disabled(Purpose::Transfer)),
        "that is for another key"
    );
    assert_eq!(
        next(policy, &record(&[("transfer-revoke", "")]), false, &Lacking::default(), at("2026-01-31T18:00:00Z")),
        REVOKE
    );
}
