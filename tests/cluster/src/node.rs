//! The Node of a cluster: starts `bindy-kubelet` and asks it for things.

use std::{
    collections::BTreeMap,
    fs::File,
    io,
    net::{SocketAddr, TcpStream, UdpSocket},
    os::{fd::OwnedFd, unix::net::UnixStream},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use bindy_kubelet::{CONTROL, Image, Machine, Refresh, Reply, Request, Settings, receive, send};
use k8s_openapi::api::core::v1;
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::json;

use crate::{
    Extent, build,
    process::{Guard, tail},
    programs::Plan,
};

/// The name of the Node.
const NAME: &str = "this-machine";

/// How long a kubelet may take until it is ready, on a machine that has much else to do.
const PATIENCE: Duration = Duration::from_secs(120);

/// The Node of a cluster, on which Pods run as processes of this machine, in a network of their own.
///
/// Its images are [`Node::IMAGES`]. A name such as `example.org/bindyd:v1` means the image `bindyd`.
pub struct Node {
    folder: PathBuf,
}

/// What a program has written, and how it ended.
#[derive(Clone, Debug)]
pub struct Ran {
    /// The exit code, or `None` if a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub output: String,
    /// Standard error.
    pub errors: String,
}

impl Node {
    /// The images, which have this tree's programs as `/bin/bindyd`, `/bin/bindy` and `/bin/named`, and shared
    /// libraries. `tools` has the programs of this machine instead.
    pub const IMAGES: [&str; 3] = ["bindyd", "bindy", "tools"];

    pub(crate) async fn start(
        plan: &Plan,
        extent: Extent,
        client: &Client,
        folder: &Path,
        processes: &mut Guard,
    ) -> Node {
        register(client).await;
        let folder = folder.join("node");
        let program = build::program("bindy-kubelet", "bindy-kubelet");
        let settings = Settings {
            node: NAME.into(),
            folder: folder.clone(),
            ipv6: extent == Extent::DualStack,
            api: plan.api_address(),
            kubeconfig: plan.user(&format!("system:node:{NAME}"), Some("system:nodes")),
            certificate: plan.kubelet(),
            proxy: plan.user("system:kube-proxy", None),
            provisioner: plan.user("provisioner", Some("system:masters")),
            cgroups: name(folder.parent()),
            images: images(),
            back_off: Duration::from_secs(1),
        };
        std::fs::create_dir_all(&folder).expect("the folder is ours");
        let file = folder.join("settings.json");
        std::fs::write(&file, serde_json::to_vec(&settings).expect("its keys are strings"))
            .expect("the folder is ours");
        let log = folder.join("kubelet.log");
        let output = File::create(&log).expect("the folder is ours");
        let mut command = Command::new("unshare");
        if !rustix::process::geteuid().is_root() {
            command.args(["--user", "--map-root-user"]);
        }
        command.args(["--mount", "--pid", "--fork", "--kill-child=SIGKILL", "--mount-proc", "--"]);
        command.arg(program).arg("node").arg(file).stdin(Stdio::null());
        command.stdout(output.try_clone().expect("a file can be shared")).stderr(output);
        processes.start("kubelet", command, &settings.cgroups);
        let control = folder.join(CONTROL);
        let deadline = Instant::now() + PATIENCE;
        while !control.exists() {
            assert!(
                processes.last_runs() && Instant::now() < deadline,
                "the kubelet did not start; it has to run as root, or where everybody may make user namespaces:\n{}",
                tail(&log)
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Node { folder }
    }

    /// The name of the Node.
    pub fn name(&self) -> &'static str {
        NAME
    }

    /// Runs a program of this machine in the network of the Pods, and waits for its end.
    pub fn run(&self, command: &[&str]) -> Ran {
        match self.ask(&Request::Run(command.iter().map(ToString::to_string).collect())) {
            (Reply::Ran { code, output: (output, errors) }, _) => Ran { code, output, errors },
            (reply, _) => panic!("{command:?}: {reply:?}"),
        }
    }

    /// What `dig +short` prints with these arguments in the network of the Pods, without the last line's end; one try
    /// of a second. `None` where no server answered.
    pub fn dig(&self, server: &str, arguments: &[&str]) -> Option<String> {
        let server = format!("@{server}");
        let ran = self.run(&[&["dig", "+short", "+tries=1", "+time=1", &server], arguments].concat());
        (ran.code == Some(0)).then(|| ran.output.trim_end().to_owned())
    }

    /// A UDP socket that is connected to an address in the network of the Pods.
    pub fn udp(&self, to: SocketAddr) -> io::Result<UdpSocket> {
        self.socket(&Request::Udp(to)).map(UdpSocket::from)
    }

    /// A TCP connection to an address in the network of the Pods.
    pub fn tcp(&self, to: SocketAddr) -> io::Result<TcpStream> {
        self.socket(&Request::Tcp(to)).map(TcpStream::from)
    }

    /// Makes a port of 127.0.0.1 lead to an address in the network of the Pods, by UDP and TCP, until the cluster ends.
    pub fn forward(&self, to: SocketAddr) -> SocketAddr {
        match self.ask(&Request::Forward(to)).0 {
            Reply::Forwarded(address) => address,
            reply => panic!("{to}: {reply:?}"),
        }
    }

    /// Sends a signal, by its number, to the process of a container, if it runs.
    pub fn signal(&self, namespace: &str, pod: &str, container: &str, signal: i32) -> Result<(), String> {
        let (namespace, pod, container) = (namespace.into(), pod.into(), container.into());
        match self.ask(&Request::Signal { namespace, pod, container, signal }).0 {
            Reply::Failed(error) => Err(error),
            _ => Ok(()),
        }
    }

    /// Sets how long changes of ConfigMaps, Secrets and tokens take to reach Pods from now on; for all Pods.
    pub fn refresh(&self, refresh: Refresh) {
        self.ask(&Request::Refresh(refresh));
    }

    /// What Pods get on this machine.
    pub fn machine(&self) -> Machine {
        match self.ask(&Request::Machine).0 {
            Reply::Machine(machine) => machine,
            reply => panic!("{reply:?}"),
        }
    }

    /// What a container has written, in all its runs.
    pub fn log(&self, namespace: &str, pod: &str, container: &str) -> String {
        std::fs::read_to_string(self.log_file(namespace, pod, container)).unwrap_or_default()
    }

    /// The file of [`Self::log`].
    pub fn log_file(&self, namespace: &str, pod: &str, container: &str) -> PathBuf {
        self.folder.join("logs").join(format!("{namespace}_{pod}_{container}.log"))
    }

    /// What each container has written, with `NAMESPACE_POD_CONTAINER`; also those of Pods that are gone.
    pub fn logs(&self) -> Vec<(String, String)> {
        let files = std::fs::read_dir(self.folder.join("logs")).into_iter().flatten().map_while(Result::ok);
        let mut logs: Vec<_> = files
            .map(|file| {
                let log = std::fs::read(file.path()).unwrap_or_default();
                (name(file.path().file_stem().map(Path::new)), String::from_utf8_lossy(&log).into_owned())
            })
            .collect();
        logs.sort();
        logs
    }

    /// What the kubelet has written.
    pub fn kubelet_log(&self) -> String {
        std::fs::read_to_string(self.folder.join("kubelet.log")).unwrap_or_default()
    }

    fn socket(&self, request: &Request) -> io::Result<OwnedFd> {
        match self.ask(request) {
            (Reply::Failed(error), _) => Err(io::Error::other(error)),
            (_, socket) => Ok(socket.expect("it comes with the reply")),
        }
    }

    fn ask(&self, request: &Request) -> (Reply, Option<OwnedFd>) {
        let asked = UnixStream::connect(self.folder.join(CONTROL)).and_then(|stream| {
            send(&stream, request, None)?;
            receive(&stream)
        });
        asked.unwrap_or_else(|error| panic!("the kubelet: {error}:\n{}", tail(&self.folder.join("kubelet.log"))))
    }
}

/// The last part of a path.
fn name(path: Option<&Path>) -> String {
    path.and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn images() -> BTreeMap<String, Image> {
    let bindyd = build::program("bindy-server", "bindyd");
    let bindy = build::program("bindy", "bindy");
    let place = |place: &str, file: &Path| (PathBuf::from(place), file.to_owned());
    let files = [place("/bin/bindyd", &bindyd), place("/bin/named", &bindyd), place("/bin/bindy", &bindy)];
    let image = |entrypoint: &str| Image { entrypoint: vec![entrypoint.into()], files: files.clone().into() };
    let host = ["/bin", "/sbin", "/usr"].map(|folder| (folder.into(), folder.into()));
    let tools = Image { entrypoint: vec!["/bin/sh".into()], files: host.into() };
    let images = [image("/bin/bindyd"), image("/bin/bindy"), tools];
    Node::IMAGES.map(String::from).into_iter().zip(images).collect()
}

/// Makes the Node's object. A kubelet may not take away the taint that it starts with.
async fn register(client: &Client) {
    let nodes = Api::<v1::Node>::all(client.clone());
    let labels = json!({ "kubernetes.io/hostname": NAME, "kubernetes.io/os": "linux" });
    let node = json!({ "metadata": { "name": NAME, "labels": labels } });
    let node = serde_json::from_value(node).expect("it is a Node");
    nodes.create(&PostParams::default(), &node).await.expect("the administrator may");
    let untainted = Patch::Merge(json!({ "spec": { "taints": null } }));
    nodes.patch(NAME, &PatchParams::default(), &untainted).await.expect("the administrator may");
}
