//! The life of one Pod: its address, volumes and containers, from when it is bound to the Node until it is removed.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{PermissionsExt, chown},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use bindy_kubelet::Refresh;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, Pod, PodStatus};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, Patch, PatchParams, Preconditions},
};
use serde_json::json;
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep_until},
};

use crate::{
    container::{Runner, grace},
    facts::{Facts, Needs, Objects, Refusal},
    network::Link,
    node::Node,
    objects::{Followed, is_complete},
    plan, services,
    status::{Report, Restarts, State, status},
    volume::{self, Source, show},
};

/// After an error, and before the same is tried again.
const PAUSE: Duration = Duration::from_secs(1);

struct Life {
    node: Arc<Node>,
    pod: Pod,
    /// It has gone from the API server.
    is_gone: bool,
    needs: Needs,
    followed: Followed,
    link: Option<Arc<Link>>,
    /// Where the volumes are, once they are there.
    volumes: Option<Arc<BTreeMap<String, PathBuf>>>,
    /// The number of containers that were started; init containers come first, one by one.
    started: usize,
    running: JoinSet<()>,
    stop: watch::Sender<Option<Duration>>,
    reports: watch::Sender<Vec<Report>>,
    status: Option<PodStatus>,
}

/// Lives with a Pod until it has gone; `None` says that it has gone from the API server.
pub(crate) async fn live(node: Arc<Node>, mut updates: watch::Receiver<Option<Pod>>) {
    let Some(pod) = updates.borrow_and_update().clone() else { return };
    let mut life = Life::new(node, pod);
    let mut reports = life.reports.subscribe();
    let mut objects = life.followed.objects.clone();
    // When changed objects are to be shown, and when to try again what has failed.
    let (mut refresh, mut again): (Option<Instant>, Option<Instant>) = (None, None);
    loop {
        reports.borrow_and_update();
        let mut failed = life.advance().await.is_err();
        failed |= life.tell().await.is_err();
        if life.is_over() && life.remove().await.is_ok() {
            return;
        }
        again = if failed || life.is_over() {
            Some(Instant::now() + PAUSE)
        } else {
            again.filter(|it| *it > Instant::now())
        };
        let soon = Instant::now();
        tokio::select! {
            changed = updates.changed() => {
                let update = updates.borrow_and_update().clone();
                life.update(update.filter(|_| changed.is_ok()));
            }
            _ = objects.changed() => {
                objects.borrow_and_update();
                let delay = life.node.refresh_delay();
                // Before the start, and without a delay, everything is shown at once.
                let delay = if life.volumes.is_some() { delay } else { Duration::ZERO };
                refresh = Some(refresh.unwrap_or(soon + delay).min(soon + delay));
            }
            () = sleep_until(refresh.unwrap_or(soon)), if refresh.is_some() => {
                refresh = life.show().is_err().then(|| Instant::now() + PAUSE);
            }
            _ = reports.changed() => {}
            Some(_) = life.running.join_next() => {}
            () = sleep_until(again.unwrap_or(soon)), if again.is_some() => again = None,
        }
    }
}

impl Life {
    fn new(node: Arc<Node>, pod: Pod) -> Life {
        let needs = volume::needs(&pod);
        let followed = Followed::new(&node.client, &pod, needs.clone());
        let (init, main) = containers(&pod);
        let reports = init.iter().map(|_| "PodInitializing").chain(main.iter().map(|_| match init {
            [] => "ContainerCreating",
            _ => "PodInitializing",
        }));
        let reports = watch::Sender::new(reports.map(Report::new).collect());
        let status = pod.status.clone().filter(|status| status.start_time.is_some());
        Life {
            node,
            pod,
            is_gone: false,
            needs,
            followed,
            link: None,
            volumes: None,
            started: 0,
            running: JoinSet::new(),
            stop: watch::Sender::new(None),
            reports,
            status,
        }
    }

    /// Takes what the API server says of the Pod now.
    fn update(&mut self, pod: Option<Pod>) {
        match pod {
            Some(pod) => self.pod = pod,
            None => self.is_gone = true,
        }
        let grace = match () {
            () if self.is_gone => Duration::ZERO,
            () if self.pod.metadata.deletion_timestamp.is_some() => grace(&self.pod),
            () => return,
        };
        self.stop.send_if_modified(|stop| {
            let before = stop.replace(stop.map_or(grace, |before| before.min(grace)));
            before != *stop
        });
    }

    fn is_ending(&self) -> bool {
        self.stop.borrow().is_some()
    }

    /// Whether nothing runs and nothing shall.
    fn is_over(&self) -> bool {
        self.is_ending() && self.running.is_empty()
    }

    /// Starts what can be started now.
    async fn advance(&mut self) -> Result<(), ()> {
        if self.is_ending() {
            return Ok(());
        }
        if self.link.is_none() {
            let link = self.node.network.link().await;
            self.link = Some(Arc::new(link.map_err(|error| self.wait(&Refusal::new("ContainerCreating", error)))?));
        }
        if self.volumes.is_none() {
            if !is_complete(&self.needs, &self.followed.objects.borrow()) {
                return Ok(());
            }
            self.volumes = Some(Arc::new(self.show()?));
        }
        let (init, main) = containers(&self.pod);
        let (init, all): (usize, Vec<Container>) = (init.len(), init.iter().chain(main).cloned().collect());
        while self.started < all.len() {
            // An init container starts when the one before has succeeded, and the others after them.
            let before = self.started.min(init);
            let ended = |it: &Report| matches!(&it.state, State::Ended(end) if end.code == 0);
            if !self.reports.borrow()[..before].iter().all(ended) {
                return Ok(());
            }
            let restarts = match Restarts::of(&self.pod) {
                Restarts::Always if self.started < init => Restarts::OnFailure,
                restarts => restarts,
            };
            let runner = Runner {
                node: Arc::clone(&self.node),
                pod: self.pod.clone(),
                container: all[self.started].clone(),
                restarts,
                link: Arc::clone(self.link.as_ref().expect("it was made")),
                volumes: Arc::clone(self.volumes.as_ref().expect("they were made")),
                objects: self.followed.objects.clone(),
                stop: self.stop.subscribe(),
                reports: self.reports.clone(),
                index: self.started,
            };
            self.running.spawn(runner.run());
            self.started += 1;
        }
        Ok(())
    }

    /// Says why the containers wait.
    fn wait(&self, refusal: &Refusal) {
        eprintln!("{}/{}: {}", self.pod.namespace().unwrap_or_default(), self.pod.name_any(), refusal.message);
        self.reports.send_if_modified(|reports| {
            let waiting = reports.iter_mut().filter(|it| matches!(it.state, State::Waiting(_)) && it.restarts == 0);
            let mut is_new = false;
            for report in waiting {
                let state = State::Waiting(Refusal::new("ContainerCreating", refusal.message.clone()));
                is_new |= report.state != state;
                report.state = state;
            }
            is_new
        });
    }

    /// Puts what volumes show into their folders, which it returns.
    fn show(&self) -> Result<BTreeMap<String, PathBuf>, ()> {
        let Some(link) = &self.link else { return Err(()) };
        let objects: Objects = self.followed.objects.borrow().clone();
        let (node, addresses) = (&self.node.settings.node, link.addresses);
        let facts = Facts { pod: &self.pod, objects: &objects, node, addresses, api: services::API.into() };
        let mut owner = plan::owner(&self.pod);
        if !self.node.machine.users {
            (owner.user, owner.group) = (None, None);
        }
        let shown = volume::sources(&facts, owner).and_then(|sources| {
            sources
                .into_iter()
                .map(|(name, source)| {
                    let folder = self.node.folder(&self.pod).join("volumes").join(&name);
                    let failed = |error| Refusal::new("ContainerCreating", format!("volume {name}: {error}"));
                    let folder = match source {
                        Source::Files(files) => show(&folder, &files, owner).map(|()| folder).map_err(failed)?,
                        Source::Empty => open(folder, owner.group).map_err(failed)?,
                        Source::Claim(claim) => {
                            let namespace = self.pod.namespace().unwrap_or_default();
                            open(self.node.settings.folder.join("claims").join(namespace).join(claim), owner.group)
                                .map_err(failed)?
                        }
                        Source::Host(path) => path,
                    };
                    Ok((name, folder))
                })
                .collect()
        });
        shown.map_err(|refusal| self.wait(&refusal))
    }

    /// Tells the API server how the Pod is, if that has changed.
    async fn tell(&mut self) -> Result<(), ()> {
        if self.is_gone {
            return Ok(());
        }
        let reports = self.reports.borrow().clone();
        let (init, main) = reports.split_at(containers(&self.pod).0.len());
        let addresses = self.link.as_ref().map(|link| link.addresses);
        let now = status(&self.pod, addresses, (init, main), self.status.as_ref(), Timestamp::now());
        if self.status.as_ref() == Some(&now) {
            return Ok(());
        }
        // With the id, it is not the status of another Pod of the same name.
        let patch = json!({ "metadata": { "uid": self.pod.metadata.uid }, "status": now });
        let (api, patch) = (self.api(), Patch::Strategic(patch));
        match api.patch_status(&self.pod.name_any(), &PatchParams::default(), &patch).await {
            Ok(_) => self.status = Some(now),
            Err(kube::Error::Api(status)) if status.code == 404 => self.is_gone = true,
            Err(error) => {
                eprintln!("the status of {}: {error}", self.pod.name_any());
                return Err(());
            }
        }
        Ok(())
    }

    /// Removes the Pod, whose containers have ended: here, and from the API server.
    async fn remove(&mut self) -> Result<(), ()> {
        self.link = None;
        let folder = self.node.folder(&self.pod);
        let _ = fs::remove_dir_all(&folder);
        if self.is_gone {
            return Ok(());
        }
        let preconditions = Preconditions { uid: self.pod.metadata.uid.clone(), ..Preconditions::default() };
        let now = DeleteParams::default().grace_period(0).preconditions(preconditions);
        match self.api().delete(&self.pod.name_any(), &now).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
            Err(error) => {
                eprintln!("the end of {}: {error}", self.pod.name_any());
                Err(())
            }
        }
    }

    fn api(&self) -> Api<Pod> {
        Api::namespaced(self.node.client.clone(), &self.pod.namespace().unwrap_or_default())
    }
}

/// The init containers of a Pod, and its others.
fn containers(pod: &Pod) -> (&[Container], &[Container]) {
    let Some(spec) = &pod.spec else { return (&[], &[]) };
    (spec.init_containers.as_deref().unwrap_or_default(), &spec.containers)
}

/// Makes a folder in which containers may write.
fn open(folder: PathBuf, group: Option<u32>) -> std::io::Result<PathBuf> {
    if !folder.is_dir() {
        fs::create_dir_all(&folder)?;
        if group.is_some() {
            chown(&folder, None, group)?;
        }
        fs::set_permissions(&folder, fs::Permissions::from_mode(if group.is_some() { 0o2777 } else { 0o777 }))?;
    }
    Ok(folder)
}

impl Node {
    /// How long the next change of an object takes to be seen.
    fn refresh_delay(&self) -> Duration {
        match *self.refresh.lock().expect("nothing panics while it is held") {
            Refresh::AtOnce => Duration::ZERO,
            Refresh::Within(most) => most.mul_f64(fastrand::f64()),
        }
    }
}
