//! What a Pod's status says of its containers.

use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::{
        Container, ContainerState, ContainerStateRunning, ContainerStateTerminated, ContainerStateWaiting,
        ContainerStatus, HostIP, Pod, PodCondition, PodIP, PodStatus,
    },
    apimachinery::pkg::apis::meta::v1::Time,
};

use crate::{
    facts::Refusal,
    network::{self, Addresses},
};

/// What is known of one container.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Report {
    pub(crate) state: State,
    /// How the run before ended.
    pub(crate) last: Option<End>,
    pub(crate) restarts: i32,
    /// It is past its startup probe.
    pub(crate) is_started: bool,
    pub(crate) is_ready: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum State {
    Waiting(Refusal),
    Running { since: Timestamp },
    Ended(End),
}

/// How a container ended.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct End {
    pub(crate) code: i32,
    pub(crate) reason: &'static str,
    pub(crate) message: Option<String>,
    pub(crate) started: Timestamp,
    pub(crate) finished: Timestamp,
}

/// Where a Pod is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Pending,
    Running,
    Succeeded,
    Failed,
}

impl Report {
    /// A container that was not started yet.
    pub(crate) fn new(reason: &'static str) -> Report {
        let state = State::Waiting(Refusal::new(reason, ""));
        Report { state, last: None, restarts: 0, is_started: false, is_ready: false }
    }
}

/// The phase of a Pod whose init containers and containers are so.
pub(crate) fn phase(init: &[Report], containers: &[Report], restarts: Restarts) -> Phase {
    let failed = |it: &Report| matches!(&it.state, State::Ended(end) if end.code != 0);
    let ended = |it: &Report| matches!(it.state, State::Ended(_));
    if restarts == Restarts::Never && init.iter().any(failed) {
        return Phase::Failed;
    }
    if containers.iter().all(ended) && restarts != Restarts::Always {
        return match containers.iter().any(failed) {
            false => Phase::Succeeded,
            true if restarts == Restarts::Never => Phase::Failed,
            true => Phase::Running,
        };
    }
    let began = |it: &Report| !matches!(it.state, State::Waiting(_)) || it.restarts > 0 || it.last.is_some();
    if containers.iter().any(began) { Phase::Running } else { Phase::Pending }
}

/// When a container that has ended is started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Restarts {
    Always,
    OnFailure,
    Never,
}

impl Restarts {
    pub(crate) fn of(pod: &Pod) -> Restarts {
        match pod.spec.as_ref().and_then(|spec| spec.restart_policy.as_deref()) {
            Some("Never") => Restarts::Never,
            Some("OnFailure") => Restarts::OnFailure,
            _ => Restarts::Always,
        }
    }

    pub(crate) fn after(self, end: &End) -> bool {
        match self {
            Restarts::Always => true,
            Restarts::OnFailure => end.code != 0,
            Restarts::Never => false,
        }
    }
}

/// The status of a Pod, except for what others write: the conditions of the one before keep their times where they are
/// the same.
pub(crate) fn status(
    pod: &Pod,
    addresses: Option<Addresses>,
    (init, containers): (&[Report], &[Report]),
    before: Option<&PodStatus>,
    now: Timestamp,
) -> PodStatus {
    let spec = pod.spec.clone().unwrap_or_default();
    let phase = phase(init, containers, Restarts::of(pod));
    let is_initialized = init.iter().all(|it| matches!(&it.state, State::Ended(end) if end.code == 0));
    let is_ready = phase == Phase::Running && containers.iter().all(|it| it.is_ready);
    let unready: Vec<_> = spec.containers.iter().zip(containers).filter(|(_, report)| !report.is_ready).collect();
    let names: Vec<_> = unready.iter().map(|(container, _)| container.name.as_str()).collect();
    let because = match phase {
        Phase::Succeeded => Some(("PodCompleted", String::new())),
        _ if is_ready => None,
        _ => Some(("ContainersNotReady", format!("containers with unready status: [{}]", names.join(" ")))),
    };
    let condition = |kind: &str, is: bool, because: Option<(&str, String)>| {
        let status = if is { "True" } else { "False" };
        let known = before.and_then(|before| before.conditions.iter().flatten().find(|it| it.type_ == kind));
        let since = known.filter(|known| known.status == status).and_then(|known| known.last_transition_time.clone());
        PodCondition {
            type_: kind.into(),
            status: status.into(),
            reason: because.as_ref().map(|(reason, _)| (*reason).into()),
            message: because.map(|(_, message)| message).filter(|message| !message.is_empty()),
            last_transition_time: Some(since.unwrap_or(Time(now))),
            observed_generation: pod.metadata.generation,
            ..PodCondition::default()
        }
    };
    let not_initialized = (!is_initialized)
        .then(|| ("ContainersNotInitialized", "containers with incomplete status: init containers".to_owned()));
    let conditions = vec![
        condition("PodReadyToStartContainers", addresses.is_some(), None),
        condition("Initialized", is_initialized, not_initialized),
        condition("ContainersReady", is_ready, because.clone()),
        condition("Ready", is_ready, because),
    ];
    let statuses = |specs: &[Container], reports: &[Report]| -> Option<Vec<ContainerStatus>> {
        let statuses: Vec<_> = specs.iter().zip(reports).map(|(spec, report)| one(pod, spec, report)).collect();
        (!statuses.is_empty()).then_some(statuses)
    };
    PodStatus {
        phase: Some(format!("{phase:?}")),
        conditions: Some(conditions),
        container_statuses: statuses(&spec.containers, containers),
        init_container_statuses: statuses(spec.init_containers.as_deref().unwrap_or_default(), init),
        host_ip: Some(network::NODE.to_string()),
        host_ips: Some(vec![HostIP { ip: network::NODE.to_string() }]),
        pod_ip: addresses.map(|all| all.first().to_string()),
        pod_ips: addresses.map(|all| all.all().map(|address| PodIP { ip: address.to_string() }).collect()),
        start_time: before.and_then(|before| before.start_time.clone()).or(Some(Time(now))),
        observed_generation: pod.metadata.generation,
        ..PodStatus::default()
    }
}

fn one(pod: &Pod, spec: &Container, report: &Report) -> ContainerStatus {
    let image = spec.image.clone().unwrap_or_default();
    let id = format!("process://{}/{}", pod.metadata.uid.as_deref().unwrap_or_default(), spec.name);
    let ended = |end: &End| ContainerState {
        terminated: Some(ContainerStateTerminated {
            exit_code: end.code,
            reason: Some(end.reason.into()),
            message: end.message.clone(),
            started_at: Some(Time(end.started)),
            finished_at: Some(Time(end.finished)),
            container_id: Some(format!("{id}/{}", end.started)),
            ..ContainerStateTerminated::default()
        }),
        ..ContainerState::default()
    };
    let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    let (state, container_id) = match &report.state {
        State::Waiting(Refusal { reason, message }) => {
            let waiting = ContainerStateWaiting { reason: text(reason), message: text(message) };
            (ContainerState { waiting: Some(waiting), ..ContainerState::default() }, None)
        }
        State::Running { since } => {
            let running = ContainerStateRunning { started_at: Some(Time(*since)) };
            (ContainerState { running: Some(running), ..ContainerState::default() }, Some(format!("{id}/{since}")))
        }
        State::Ended(end) => (ended(end), Some(format!("{id}/{}", end.started))),
    };
    ContainerStatus {
        name: spec.name.clone(),
        image_id: format!("process://{image}"),
        image,
        container_id,
        state: Some(state),
        last_state: report.last.as_ref().map(ended),
        restart_count: report.restarts,
        started: Some(report.is_started),
        ready: report.is_ready,
        ..ContainerStatus::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(code: i32) -> Report {
        let time = Timestamp::UNIX_EPOCH;
        let end = End { code, reason: "Completed", message: None, started: time, finished: time };
        Report { state: State::Ended(end), ..Report::new("") }
    }

    #[test]
    fn the_phase_follows_the_containers_and_the_policy() {
        let waiting = Report::new("ContainerCreating");
        let running = Report { state: State::Running { since: Timestamp::UNIX_EPOCH }, ..waiting.clone() };
        let crashed = Report { last: Some(End { ..end(&ended(1)) }), restarts: 1, ..waiting.clone() };
        for (containers, restarts, expected) in [
            (vec![waiting.clone()], Restarts::Always, Phase::Pending),
            (vec![running.clone(), waiting.clone()], Restarts::Always, Phase::Running),
            (vec![crashed], Restarts::Always, Phase::Running),
            (vec![ended(0)], Restarts::Always, Phase::Running),
            (vec![ended(0), running], Restarts::Never, Phase::Running),
            (vec![ended(0), ended(0)], Restarts::Never, Phase::Succeeded),
            (vec![ended(0), ended(1)], Restarts::Never, Phase::Failed),
            (vec![ended(0), ended(1)], Restarts::OnFailure, Phase::Running),
        ] {
            assert_eq!(phase(&[], &containers, restarts), expected, "{containers:?} {restarts:?}");
        }
        assert_eq!(phase(&[ended(1)], &[waiting], Restarts::Never), Phase::Failed);
    }

    fn end(report: &Report) -> End {
        let State::Ended(end) = &report.state else { panic!("{report:?}") };
        end.clone()
    }

    #[test]
    fn a_condition_keeps_its_time_until_it_changes() {
        let pod = Pod { spec: Some(one_container()), ..Pod::default() };
        let waiting = [Report::new("ContainerCreating")];
        let running =
            [Report { state: State::Running { since: Timestamp::UNIX_EPOCH }, is_ready: true, ..waiting[0].clone() }];
        let at = |second| Timestamp::from_second(second).expect("it is near");
        let of = |status: &PodStatus, kind: &str| {
            let found = status.conditions.iter().flatten().find(|it| it.type_ == kind).cloned().expect("all are there");
            (found.status, found.last_transition_time.expect("it has one").0.as_second())
        };
        let first = status(&pod, None, (&[], &waiting), None, at(1));
        let second = status(&pod, None, (&[], &waiting), Some(&first), at(2));
        let third = status(&pod, None, (&[], &running), Some(&second), at(3));
        assert_eq!(of(&second, "Ready"), ("False".into(), 1));
        assert_eq!(of(&third, "Ready"), ("True".into(), 3));
        assert_eq!(of(&third, "Initialized"), ("True".into(), 1));
    }

    fn one_container() -> k8s_openapi::api::core::v1::PodSpec {
        let container = Container { name: "a".into(), ..Container::default() };
        k8s_openapi::api::core::v1::PodSpec { containers: vec![container], ..Default::default() }
    }
}
