//! The Node: says what it has, and has each Pod that is bound to it live.

use std::{
    collections::BTreeMap,
    fs,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use bindy_kubelet::{Machine, Refresh, Settings};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{self, Pod};
use kube::{
    Api, Client, Config,
    api::{Patch, PatchParams},
    config::{KubeConfigOptions, Kubeconfig},
};
use rustix::{
    mount::{MountFlags, mount},
    process::{Resource, Rlimit, getrlimit, setrlimit},
};
use serde_json::json;
use tokio::{net::TcpListener, sync::watch};

use crate::{
    claims, control,
    facts::capacity,
    follow::{News, follow},
    logs,
    machine::{Cgroups, machine},
    network::{self, Network},
    pod::live,
    services,
};

pub(crate) struct Node {
    pub(crate) settings: Settings,
    /// With the identity of the Node.
    pub(crate) client: Client,
    pub(crate) network: Network,
    pub(crate) cgroups: Option<Cgroups>,
    pub(crate) machine: Machine,
    pub(crate) refresh: Mutex<Refresh>,
    /// The processes of running containers, by namespace, Pod and container.
    pub(crate) processes: Mutex<BTreeMap<(String, String, String), u32>>,
}

/// Runs a kubelet until it is killed.
pub(crate) fn run(settings: Settings) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.map_err(|error| error.to_string())?.block_on(serve(settings))
}

async fn serve(settings: Settings) -> Result<(), String> {
    // Each client of a Service is two files.
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    // Seen by this process and its children only: it has a mount namespace of its own.
    mount("tmpfs", "/run", "tmpfs", MountFlags::empty(), None).map_err(|error| format!("/run: {error}"))?;
    for folder in ["pods", "claims", "logs"] {
        let folder = settings.folder.join(folder);
        fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    }
    let cgroups = Cgroups::new(&settings.cgroups);
    let node = Arc::new(Node {
        client: client(&settings.kubeconfig).await?,
        network: Network::start(settings.ipv6).await?,
        machine: machine(cgroups.as_ref()),
        cgroups,
        refresh: Mutex::new(Refresh::AtOnce),
        processes: Mutex::default(),
        settings,
    });
    tokio::spawn(services::serve(Arc::clone(&node), client(&node.settings.proxy).await?));
    tokio::spawn(claims::serve(client(&node.settings.provisioner).await?, node.settings.folder.join("claims")));
    let failed = |error: std::io::Error| format!("127.0.0.1: {error}");
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(failed)?;
    node.become_ready(listener.local_addr().map_err(failed)?.port()).await?;
    let acceptor = logs::acceptor(&node.settings.certificate)?;
    tokio::spawn(logs::serve(Arc::clone(&node), listener, acceptor));
    control::serve(Arc::clone(&node))?;
    let selector = format!("spec.nodeName={}", node.settings.node);
    let mut pods: BTreeMap<String, watch::Sender<Option<Pod>>> = BTreeMap::new();
    follow(Api::<Pod>::all(node.client.clone()), &selector, |news| match news {
        News::All(all) => {
            let id = |pod: &Pod| pod.metadata.uid.clone().unwrap_or_default();
            pods.retain(|known, pod| all.iter().any(|it| id(it) == *known) || pod.send(None).is_ok_and(|()| false));
            for pod in all {
                node.update(&mut pods, pod);
            }
        }
        News::Is(pod) => node.update(&mut pods, pod),
        News::Gone(pod) => {
            if let Some(pod) = pods.remove(pod.metadata.uid.as_deref().unwrap_or_default()) {
                let _ = pod.send(None);
            }
        }
    })
    .await;
    Ok(())
}

impl Node {
    fn update(self: &Arc<Node>, pods: &mut BTreeMap<String, watch::Sender<Option<Pod>>>, pod: Pod) {
        let id = pod.metadata.uid.clone().unwrap_or_default();
        match pods.get(&id) {
            Some(known) => _ = known.send(Some(pod)),
            None => {
                let (sender, updates) = watch::channel(Some(pod));
                tokio::spawn(live(Arc::clone(self), updates));
                pods.insert(id, sender);
            }
        }
    }

    /// The folder of a Pod.
    pub(crate) fn folder(&self, pod: &Pod) -> PathBuf {
        self.settings.folder.join("pods").join(pod.metadata.uid.as_deref().unwrap_or_default())
    }

    /// The log of a container, by namespace, Pod and name.
    pub(crate) fn log(&self, (namespace, pod, name): &(String, String, String)) -> PathBuf {
        self.settings.folder.join("logs").join(format!("{namespace}_{pod}_{name}.log"))
    }

    /// Tells the API server that Pods may come, and at which port of 127.0.0.1 it gets logs.
    async fn become_ready(&self, port: u16) -> Result<(), String> {
        let names = ["cpu", "memory", "ephemeral-storage", "pods"];
        let capacity: BTreeMap<_, _> = names.map(|name| (name, capacity(name))).into();
        let now = Timestamp::now().to_string();
        let condition = |kind: &str, status: &str, reason: &str| {
            json!({
                "type": kind, "status": status, "reason": reason, "message": "a kubelet for tests",
                "lastHeartbeatTime": now, "lastTransitionTime": now
            })
        };
        let conditions = [
            condition("Ready", "True", "KubeletReady"),
            condition("MemoryPressure", "False", "KubeletHasSufficientMemory"),
            condition("DiskPressure", "False", "KubeletHasNoDiskPressure"),
            condition("PIDPressure", "False", "KubeletHasSufficientPID"),
        ];
        let status = json!({ "status": {
            "capacity": capacity, "allocatable": capacity, "conditions": conditions,
            "addresses": [
                { "type": "InternalIP", "address": network::NODE.to_string() },
                // Where the API server finds this process.
                { "type": "Hostname", "address": "127.0.0.1" },
            ],
            "daemonEndpoints": { "kubeletEndpoint": { "Port": port } },
            "nodeInfo": {
                "architecture": std::env::consts::ARCH, "bootID": "", "containerRuntimeVersion": "process://1",
                "kernelVersion": "", "kubeProxyVersion": "", "kubeletVersion": "v0.0.0-bindy", "machineID": "",
                "operatingSystem": "linux", "osImage": "this machine", "systemUUID": ""
            }
        } });
        let nodes = Api::<v1::Node>::all(self.client.clone());
        let patched = nodes.patch_status(&self.settings.node, &PatchParams::default(), &Patch::Strategic(status)).await;
        patched.map(drop).map_err(|error| format!("the Node {}: {error}", self.settings.node))
    }
}

async fn client(kubeconfig: &Path) -> Result<Client, String> {
    let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", kubeconfig.display());
    let read = Kubeconfig::read_from(kubeconfig).map_err(|error| failed(&error))?;
    let config = Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await;
    Client::try_from(config.map_err(|error| failed(&error))?).map_err(|error| failed(&error))
}
