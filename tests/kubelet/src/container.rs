//! Runs one container: starts its process, probes it, ends it when that is asked for, and starts it again.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::PathBuf,
    process::{ExitStatus, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, Pod};
use kube::ResourceExt;
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    process::{Child, Command},
    sync::{mpsc, watch},
    task::JoinSet,
    time::{MissedTickBehavior, interval_at, sleep, sleep_until},
};

use crate::{
    back_off::BackOff,
    facts::{Facts, Objects, Refusal},
    launch::Launch,
    network::Link,
    node::Node,
    plan::{self, Places},
    probe::{Health, Schedule},
    prober::{Target, succeeds},
    services,
    status::{End, Report, Restarts, State},
};

/// A container of a Pod that has its address and its volumes.
pub(crate) struct Runner {
    pub(crate) node: Arc<Node>,
    pub(crate) pod: Pod,
    pub(crate) container: Container,
    pub(crate) restarts: Restarts,
    pub(crate) link: Arc<Link>,
    pub(crate) volumes: Arc<BTreeMap<String, PathBuf>>,
    pub(crate) objects: watch::Receiver<Objects>,
    /// How long it may take to end, once it shall.
    pub(crate) stop: watch::Receiver<Option<Duration>>,
    /// The reports of all containers of the Pod, and the place of this one.
    pub(crate) reports: watch::Sender<Vec<Report>>,
    pub(crate) index: usize,
}

/// The three probes of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Which {
    Startup,
    Readiness,
    Liveness,
}

type Probes = BTreeMap<u8, Schedule>;

impl Runner {
    /// Runs the container until it shall end, or is over by its Pod's policy.
    pub(crate) async fn run(mut self) {
        let mut back_off = BackOff::new(self.node.settings.back_off);
        while let Some((child, launch)) = self.start().await {
            let began = Instant::now();
            let end = self.attend(child, launch).await;
            self.report(|report| {
                report.state = State::Ended(end.clone());
                (report.is_started, report.is_ready) = (false, false);
            });
            if self.stop.borrow().is_some() || !self.restarts.after(&end) {
                return;
            }
            let delay = back_off.after(began.elapsed());
            self.report(|report| {
                report.last = Some(end);
                if !delay.is_zero() {
                    let message = format!("back-off {delay:?} restarting failed container={}", self.container.name);
                    report.state = State::Waiting(Refusal::new("CrashLoopBackOff", message));
                }
            });
            tokio::select! {
                () = sleep(delay) => {}
                _ = self.stop.wait_for(Option::is_some) => return,
            }
            self.report(|report| report.restarts += 1);
        }
    }

    fn report(&self, change: impl FnOnce(&mut Report)) {
        self.reports.send_modify(|reports| change(&mut reports[self.index]));
    }

    /// Starts the process, as soon as what it needs is there; `None` if it shall not start any more.
    async fn start(&mut self) -> Option<(Child, Arc<Launch>)> {
        loop {
            if self.stop.borrow().is_some() {
                return None;
            }
            let objects = self.objects.borrow_and_update().clone();
            let refusal = match self.plan(&objects).and_then(|launch| Ok((self.spawn(&launch)?, Arc::new(launch)))) {
                Ok(started) => return Some(started),
                Err(refusal) => refusal,
            };
            self.report(|report| report.state = State::Waiting(refusal));
            tokio::select! {
                _ = self.objects.changed() => {}
                () = sleep(Duration::from_secs(5)) => {}
                _ = self.stop.wait_for(Option::is_some) => return None,
            }
        }
    }

    fn plan(&self, objects: &Objects) -> Result<Launch, Refusal> {
        let Node { settings, machine, cgroups, .. } = &*self.node;
        let cgroup = match cgroups {
            Some(cgroups) => {
                let made = cgroups.limit(&self.id(), plan::memory(&self.container));
                Some(made.map_err(|error| Refusal::new("RunContainerError", format!("its cgroup: {error}")))?)
            }
            None => None,
        };
        let places = Places {
            network: self.link.file(),
            root: self.folder().join(format!("{}.root", self.container.name)),
            volumes: &self.volumes,
            cgroup,
            has_users: machine.users,
        };
        let (addresses, api) = (self.link.addresses, services::API.into());
        let facts = Facts { pod: &self.pod, objects, node: &settings.node, addresses, api };
        // What a probe asks is read before anything is started.
        self.probes()?;
        plan::launch(&self.container, &facts, &settings.images, &places)
    }

    fn probes(&self) -> Result<Probes, Refusal> {
        let Container { startup_probe, readiness_probe, liveness_probe, ports, .. } = &self.container;
        let probes =
            [(Which::Startup, startup_probe), (Which::Readiness, readiness_probe), (Which::Liveness, liveness_probe)];
        let given = probes.into_iter().filter_map(|(which, probe)| Some((which as u8, probe.as_ref()?)));
        let ports = ports.as_deref().unwrap_or_default();
        given.map(|(which, probe)| Ok((which, Schedule::new(probe, ports)?))).collect()
    }

    fn spawn(&self, launch: &Launch) -> Result<Child, Refusal> {
        let failed = |error: std::io::Error| Refusal::new("RunContainerError", error.to_string());
        let folder = self.folder();
        fs::create_dir_all(&launch.root).map_err(failed)?;
        let file = folder.join(format!("{}.json", self.container.name));
        fs::write(&file, serde_json::to_vec(launch).expect("it has no other keys than strings")).map_err(failed)?;
        let log = File::options().create(true).append(true).open(self.log()).map_err(failed)?;
        let mut command = Command::new("unshare");
        command.args(["--mount", "--"]).arg(std::env::current_exe().map_err(failed)?).arg("launch").arg(file);
        command.stdin(Stdio::null()).stdout(log.try_clone().map_err(failed)?).stderr(log);
        command.kill_on_drop(true);
        command.spawn().map_err(failed)
    }

    /// Stays with a process until it has ended.
    async fn attend(&mut self, mut child: Child, launch: Arc<Launch>) -> End {
        let started = Timestamp::now();
        let process = child.id().expect("nobody has waited for it");
        let killed_before = self.killed();
        let key = self.key();
        self.node.processes.lock().expect("nothing panics while it is held").insert(key.clone(), process);
        let probes = self.probes().expect("they were read before");
        let (tell, mut told) = mpsc::channel(8);
        let mut asking = JoinSet::new();
        let mut ask = |which: Which| {
            if let Some(schedule) = probes.get(&(which as u8)) {
                let (node, link) = (Arc::clone(&self.node), Arc::clone(&self.link));
                asking.spawn(ask(node, link, Arc::clone(&launch), process, schedule.clone(), which, tell.clone()));
            }
            probes.contains_key(&(which as u8))
        };
        let mut is_started = !ask(Which::Startup);
        let mut has_readiness = is_started && ask(Which::Readiness);
        if is_started {
            ask(Which::Liveness);
        }
        self.report(|report| {
            report.state = State::Running { since: started };
            (report.is_started, report.is_ready) = (is_started, is_started && !has_readiness);
        });

        let mut deadline: Option<tokio::time::Instant> = None;
        let mut stop = self.stop.clone();
        let status = loop {
            let is_ending = deadline.is_some();
            let killed_at = deadline.unwrap_or_else(tokio::time::Instant::now);
            let grace = tokio::select! {
                status = child.wait() => break status,
                () = sleep_until(killed_at), if is_ending => {
                    signal(process, Signal::KILL);
                    deadline = Some(tokio::time::Instant::now() + Duration::from_secs(1));
                    continue;
                }
                asked = stop.wait_for(Option::is_some), if !is_ending => {
                    // Without a Pod there is nobody to wait for it.
                    asked.ok().and_then(|grace| *grace).unwrap_or_default()
                }
                Some((which, is_well)) = told.recv() => match (which, is_well) {
                    (Which::Readiness, _) => {
                        let is_new = self.reports.borrow()[self.index].is_ready != is_well;
                        if is_new {
                            self.report(|report| report.is_ready = is_well);
                        }
                        continue;
                    }
                    (Which::Startup, true) if !is_started => {
                        is_started = true;
                        has_readiness = ask(Which::Readiness);
                        ask(Which::Liveness);
                        self.report(|report| (report.is_started, report.is_ready) = (true, !has_readiness));
                        continue;
                    }
                    (_, true) => continue,
                    (_, false) if is_ending => continue,
                    (Which::Startup, false) if is_started => continue,
                    (which, false) => {
                        eprintln!("{}/{}/{}: {which:?} fails", key.0, key.1, key.2);
                        probes[&(which as u8)].grace.unwrap_or_else(|| grace(&self.pod))
                    }
                },
            };
            signal(process, Signal::TERM);
            deadline = Some(tokio::time::Instant::now() + grace);
        };
        self.node.processes.lock().expect("nothing panics while it is held").remove(&key);
        self.end(status, started, self.killed() > killed_before)
    }

    fn end(&self, status: std::io::Result<ExitStatus>, started: Timestamp, of_memory: bool) -> End {
        use std::os::unix::process::ExitStatusExt;
        let code = status.map_or(255, |it| it.code().unwrap_or_else(|| 128 + it.signal().unwrap_or_default()));
        let reason = match code {
            _ if of_memory => "OOMKilled",
            0 => "Completed",
            _ => "Error",
        };
        let of_log = code != 0 && self.container.termination_message_policy.as_deref() == Some("FallbackToLogsOnError");
        let message = of_log.then(|| {
            let log = fs::read_to_string(self.log()).unwrap_or_default();
            let lines: Vec<_> = log.lines().rev().take(20).collect();
            lines.into_iter().rev().collect::<Vec<_>>().join("\n")
        });
        End { code, reason, message, started, finished: Timestamp::now() }
    }

    /// A name of the container that no other has.
    fn id(&self) -> String {
        format!("{}.{}", self.pod.metadata.uid.as_deref().unwrap_or_default(), self.container.name)
    }

    fn folder(&self) -> PathBuf {
        self.node.folder(&self.pod)
    }

    fn log(&self) -> PathBuf {
        self.node.log(&self.key())
    }

    /// Namespace, Pod and name.
    fn key(&self) -> (String, String, String) {
        (self.pod.namespace().unwrap_or_default(), self.pod.name_any(), self.container.name.clone())
    }

    fn killed(&self) -> u64 {
        self.node.cgroups.as_ref().map_or(0, |cgroups| cgroups.killed(&self.id()))
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        if let Some(cgroups) = &self.node.cgroups {
            cgroups.remove(&self.id());
        }
    }
}

/// How long the containers of a Pod may take to end.
pub(crate) fn grace(pod: &Pod) -> Duration {
    let of_spec = pod.spec.as_ref().and_then(|spec| spec.termination_grace_period_seconds);
    let seconds = pod.metadata.deletion_grace_period_seconds.or(of_spec).unwrap_or(30);
    Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
}

/// Asks a probe again and again, and tells its verdicts.
async fn ask(
    node: Arc<Node>,
    link: Arc<Link>,
    launch: Arc<Launch>,
    process: u32,
    schedule: Schedule,
    which: Which,
    tell: mpsc::Sender<(Which, bool)>,
) {
    let target = Target { network: &node.network, link: &link, launch: &launch, process };
    let mut health = Health::new(&schedule);
    let mut times = interval_at(tokio::time::Instant::now() + schedule.initial_delay, schedule.period);
    // Several in one moment would be one outcome that counts several times.
    times.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        times.tick().await;
        if let Some(verdict) = health.after(succeeds(&schedule, &target).await)
            && tell.send((which, verdict)).await.is_err()
        {
            return;
        }
    }
}

fn signal(process: u32, signal: Signal) {
    if let Some(process) = i32::try_from(process).ok().and_then(Pid::from_raw) {
        // It may have ended by itself.
        let _ = kill_process(process, signal);
    }
}
