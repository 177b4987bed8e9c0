//! A Kubernetes cluster for tests, made of processes of this machine: etcd and the real API server, and the controllers
//! and the scheduler where a test wants them. RBAC and Pod Security admission are on, as in clusters that people run.
//! Where a test wants it there is a [`Node`], on which Pods run as processes of this machine; else no Pod ever runs.
//!
//! [`Cluster`] and [`Node`] have the whole interface. It runs the program that `scripts/build-controlplane` makes, or those in the
//! folder `KUBEBUILDER_ASSETS`; with a kubeconfig in `TEST_KUBECONFIG` it stands for that cluster instead, and starts
//! nothing. `programs` knows what is started and how, `process` ends it whatever happens to the test, and `identity`
//! makes the certificates. `node` starts the kubelet, and `build` the programs of this tree that Pods run. `installed`
//! installs Bindy from `deploy/`.

#![forbid(unsafe_code)]
// In tests a panic reports a failure.
#![allow(clippy::missing_panics_doc)]

mod build;
mod identity;
mod installed;
mod node;
mod process;
mod programs;

use std::{
    env,
    ffi::OsStr,
    io::{Write, stderr},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Arc, Weak},
    time::Instant,
};

use data_encoding::BASE64;
use http::Request;
use k8s_openapi::{api::core::v1::Namespace, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::{
    Api, Client, Config, ResourceExt,
    api::{DeleteParams, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
};
use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::Mutex;

use identity::Authority;
use process::Guard;
use programs::{API_SERVER, Plan, Program, Programs};

pub use bindy_kubelet::{Machine, Refresh};
pub use installed::{EXAMPLE, deploy};
pub use node::{Node, Ran};

/// How much of a control plane there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Objects are admitted and stored, and nothing acts on them.
    Api,
    /// Controllers and the scheduler act on objects: Deployments make Pods, ServiceAccounts appear, garbage goes.
    Controlled,
    /// Pods run, on one [`Node`].
    Running,
    /// Pods and Services have addresses of both families: Pods IPv6 first, and Services IPv4.
    DualStack,
}

/// What Pods of a namespace may have: the Pod Security Standards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PodSecurity {
    /// Everything.
    Privileged,
    /// What is known to be harmless.
    Baseline,
    /// What a Pod cannot do without.
    Restricted,
}

/// A running cluster. One that was started here ends when this is dropped, also by a panic, and when the test's process
/// ends in any other way; its data go with it.
pub struct Cluster {
    config: Config,
    kubeconfig: PathBuf,
    /// A folder with `kubectl`; `None` if it is that of the machine.
    tools: Option<PathBuf>,
    node: Option<Node>,
    // The processes end before their folder is removed: fields are dropped in this order.
    control: Option<Control>,
    _folder: Option<TempDir>,
}

/// The processes of a cluster that was started here.
struct Control {
    processes: Guard,
    programs: Programs,
    api_server: Program,
    /// The URL of etcd.
    etcd: String,
}

impl Cluster {
    /// Starts a cluster and waits until it is ready. Where no program was built yet, this takes minutes, which standard
    /// error tells.
    pub async fn start(extent: Extent) -> Cluster {
        if let Some(path) = env::var_os("TEST_KUBECONFIG").filter(|path| !path.is_empty()) {
            let kubeconfig = PathBuf::from(path);
            say(&format!("the cluster of {}", kubeconfig.display()));
            let config = read(&kubeconfig).await;
            return Cluster { config, kubeconfig, tools: None, node: None, control: None, _folder: None };
        }
        let programs = Programs::find();
        let started = Instant::now();
        let folder = tempfile::Builder::new().prefix("bindy-cluster-").tempdir();
        let folder = folder.expect("the folder for temporary files takes one more");
        let plan = Plan::new(Authority::new(folder.path()), folder.path());
        let mut processes = Guard::new(folder.path());
        let mut planned = plan.programs(extent);
        for program in &planned {
            processes.start_program(&programs, program).await;
            say(&format!("{} is ready after {:.1} s", program.name, started.elapsed().as_secs_f32()));
        }
        let kubeconfig = plan.administrator();
        let config = read(&kubeconfig).await;
        let node = match extent {
            Extent::Running | Extent::DualStack => {
                let node = Node::start(&plan, extent, &client(config.clone()), folder.path(), &mut processes).await;
                say(&format!("the kubelet is ready after {:.1} s", started.elapsed().as_secs_f32()));
                Some(node)
            }
            Extent::Api | Extent::Controlled => None,
        };
        let tools = Some(programs.kubectl(folder.path()));
        let etcd = planned.remove(0).url;
        planned.retain(|program| program.name == API_SERVER);
        let control = Control { processes, programs, api_server: planned.remove(0), etcd };
        Cluster { config, kubeconfig, tools, node, control: Some(control), _folder: Some(folder) }
    }

    /// The cluster that the tests of this process share while one of them has it.
    pub async fn shared(extent: Extent) -> Arc<Cluster> {
        static SHARED: [Mutex<Weak<Cluster>>; 4] = [const { Mutex::const_new(Weak::new()) }; 4];
        let mut shared = SHARED[extent as usize].lock().await;
        if let Some(cluster) = shared.upgrade() {
            return cluster;
        }
        let cluster = Arc::new(Cluster::start(extent).await);
        *shared = Arc::downgrade(&cluster);
        cluster
    }

    /// The Node on which Pods run.
    ///
    /// # Panics
    /// There is none of ours: the cluster was started with less than [`Extent::Running`], or is that of
    /// `TEST_KUBECONFIG`.
    pub fn node(&self) -> &Node {
        self.node.as_ref().expect("a cluster of Extent::Running that was started here, without TEST_KUBECONFIG")
    }

    /// Stops the API server, which keeps its connections and says nothing, until [`Self::resume_api`]. Whatever waits for
    /// it waits as long, `kubectl` too.
    ///
    /// # Panics
    /// The cluster was not started here.
    pub fn suspend_api(&self) {
        self.control().processes.signal(API_SERVER, Signal::STOP);
    }

    /// Lets the API server go on after [`Self::suspend_api`].
    ///
    /// # Panics
    /// The cluster was not started here.
    pub fn resume_api(&self) {
        self.control().processes.signal(API_SERVER, Signal::CONT);
    }

    /// Ends the API server as a crash would, and starts another on the same data. It knows nothing of what was before: a
    /// watch from a version of before gets 410 Gone.
    ///
    /// # Panics
    /// The cluster was not started here.
    pub async fn restart_api(&mut self) {
        let control = self.control.as_mut().expect(STARTED);
        control.processes.kill(API_SERVER);
        control.processes.start_program(&control.programs, &control.api_server).await;
    }

    fn control(&self) -> &Control {
        self.control.as_ref().expect(STARTED)
    }

    /// A client who may do everything. It works in the runtime in which it was made, and no other.
    pub fn client(&self) -> Client {
        client(self.config.clone())
    }

    /// A client who is this user in these groups, and may do what RBAC grants to them.
    pub fn client_as(&self, user: &str, groups: &[&str]) -> Client {
        let mut config = self.config.clone();
        config.auth_info.impersonate = Some(user.to_owned());
        config.auth_info.impersonate_groups = Some(groups.iter().map(ToString::to_string).collect());
        client(config)
    }

    /// Makes a namespace with a name of its own, labelled `bindy.test`.
    pub async fn namespace(&self, security: PodSecurity) -> String {
        let level = format!("{security:?}").to_ascii_lowercase();
        let labels = [("bindy.test".into(), String::new()), ("pod-security.kubernetes.io/enforce".into(), level)];
        let metadata = ObjectMeta {
            generate_name: Some("bindy-test-".into()),
            labels: Some(labels.into()),
            ..ObjectMeta::default()
        };
        let namespace = Namespace { metadata, ..Namespace::default() };
        let made = Api::all(self.client()).create(&PostParams::default(), &namespace).await;
        made.expect("the administrator may make namespaces").name_any()
    }

    /// Removes a namespace and, where there are controllers, all that is in it, in their own time. A test does so at
    /// its end: the cluster may be somebody's.
    pub async fn remove(&self, namespace: &str) {
        let removed = Api::<Namespace>::all(self.client()).delete(namespace, &DeleteParams::default()).await;
        removed.expect("the administrator may remove namespaces");
    }

    /// A program for which this cluster is the current one, and which finds `kubectl`. It may do everything.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env("KUBECONFIG", &self.kubeconfig);
        if let Some(tools) = &self.tools {
            let path = env::var_os("PATH").unwrap_or_default();
            let folders = [tools.clone()].into_iter().chain(env::split_paths(&path));
            command.env("PATH", env::join_paths(folders).expect("folders of a path make a path"));
        }
        command
    }

    /// Runs `kubectl` and returns what it says.
    ///
    /// # Errors
    /// It fails; this is what it says then.
    pub fn kubectl(&self, arguments: &[&str]) -> Result<String, String> {
        self.kubectl_with(arguments, "")
    }

    /// Runs `kubectl` with this as its input, and returns what it says.
    ///
    /// # Errors
    /// It fails; this is what it says then.
    pub fn kubectl_with(&self, arguments: &[&str], input: &str) -> Result<String, String> {
        let kubectl = self.tools.as_ref().map_or("kubectl".into(), |tools| tools.join("kubectl"));
        let mut command = self.command(kubectl);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("kubectl is there");
        // It may end without reading, and says why.
        let _ = child.stdin.take().expect("it is a pipe").write_all(input.as_bytes());
        let output = child.wait_with_output().expect("a child can be waited for");
        let text = |octets| String::from_utf8_lossy(octets).into_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }

    /// All that etcd has now: the names of objects below `/registry/`, and the octets of each, as the API server has
    /// written them.
    ///
    /// # Panics
    /// The cluster was not started here.
    pub async fn stored(&self) -> Vec<(String, Vec<u8>)> {
        let etcd = client(Config::new(self.control().etcd.parse().expect("it has a host and a port")));
        // From the first key to the last (etcd's JSON gateway).
        let all = json!({ "key": "AA==", "range_end": "AA==" }).to_string().into_bytes();
        let request = Request::post("/v3/kv/range").body(all).expect("it is a path");
        let answer: Value = etcd.request(request).await.expect("etcd answers");
        let octets = |text: &Value| BASE64.decode(text.as_str().unwrap_or_default().as_bytes()).expect("it is base64");
        let stored = answer["kvs"].as_array().into_iter().flatten();
        stored.map(|it| (String::from_utf8_lossy(&octets(&it["key"])).into_owned(), octets(&it["value"]))).collect()
    }

    /// The kubeconfig of [`Self::client`], for other programs.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }
}

/// What stands in the way of control over processes.
const STARTED: &str = "a cluster that was started here, without TEST_KUBECONFIG";

async fn read(path: &Path) -> Config {
    let kubeconfig = Kubeconfig::read_from(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await;
    config.unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn client(config: Config) -> Client {
    Client::try_from(config).expect("the certificates and addresses of a kubeconfig that was read")
}

/// Tells progress at once: what a test prints by macros is seen only when it fails.
fn say(line: &str) {
    // Without standard error nobody listens.
    let _ = writeln!(stderr(), "cluster: {line}");
}
