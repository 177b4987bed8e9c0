//! What `bindy-kubelet`, a kubelet for tests, is told and can be asked: its [`Settings`], a file in JSON, and
//! [`Request`]s over a Unix socket in its folder.
//!
//! The kubelet runs the Pods of one Node as processes of this machine: each with its own root folder, user and limits,
//! and each Pod with an address in a network that only this kubelet has. `bindy_cluster` starts it.

#![forbid(unsafe_code)]

mod message;

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};

pub use message::{receive, send};

/// The file in [`Settings::folder`] through which a kubelet takes [`Request`]s, one a connection. It appears when the
/// kubelet is ready.
pub const CONTROL: &str = "kubelet.socket";

/// What a kubelet is told at its start.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Settings {
    /// The name of its Node, which is registered already.
    pub node: String,
    /// A folder of its own: volumes, claims and logs of containers are below it.
    pub folder: PathBuf,
    /// Whether Pods have IPv6 addresses, too, and first.
    pub ipv6: bool,
    /// The API server's address on this machine. Pods find it at the `ClusterIP` of the Service `kubernetes`.
    pub api: SocketAddr,
    /// The kubeconfig with the identity of the Node.
    pub kubeconfig: PathBuf,
    /// The certificate, and its key, by which the API server knows this kubelet.
    pub certificate: (PathBuf, PathBuf),
    /// The kubeconfig with which Services are read.
    pub proxy: PathBuf,
    /// The kubeconfig with which volumes are made for claims.
    pub provisioner: PathBuf,
    /// The name of the cgroup of all containers, where this machine lets the kubelet make one.
    pub cgroups: String,
    /// What there is to run, by the last part of an image's name without its tag.
    pub images: BTreeMap<String, Image>,
    /// The delay before the second restart of a container. Each further one is twice as long, up to thirty times this.
    pub back_off: Duration,
}

/// A root folder to run in, which has the shared libraries of this machine and what is listed here.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Image {
    /// What runs where a container has no `command`.
    pub entrypoint: Vec<String>,
    /// Where a file or folder of this machine is seen, read-only: its place in the image, and its place here.
    pub files: BTreeMap<PathBuf, PathBuf>,
}

/// When a change of a `ConfigMap`, a Secret or a token reaches the volumes that show it.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub enum Refresh {
    /// As soon as the kubelet knows.
    AtOnce,
    /// After a random time up to this. With kubelets that people run it is about 90 s.
    Within(Duration),
}

/// What a kubelet can be asked.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub enum Request {
    /// Runs a program of this machine in the network of the Pods, and waits for its end: [`Reply::Ran`].
    Run(Vec<String>),
    /// Makes a UDP socket that is connected to an address in the network of the Pods: [`Reply::Socket`].
    Udp(SocketAddr),
    /// Connects by TCP to an address in the network of the Pods, for up to 5 s: [`Reply::Socket`].
    Tcp(SocketAddr),
    /// Makes a port of 127.0.0.1 of this machine lead to an address in the network of the Pods, by UDP and by TCP, as
    /// long as the kubelet runs: [`Reply::Forwarded`]. Clients get another address and port on the way.
    Forward(SocketAddr),
    /// Sends a signal, by its number, to the process of a container.
    Signal {
        /// The namespace of the Pod.
        namespace: String,
        /// The name of the Pod.
        pod: String,
        /// The name of the container.
        container: String,
        /// Such as 9.
        signal: i32,
    },
    /// Sets the delay of changes from now on. At the start it is [`Refresh::AtOnce`].
    Refresh(Refresh),
    /// Asks what Pods get on this machine: [`Reply::Machine`].
    Machine,
}

/// What a kubelet replies.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub enum Reply {
    /// It is done.
    Done,
    /// A program has ended.
    Ran {
        /// The exit code, or `None` if a signal ended it.
        code: Option<i32>,
        /// What it wrote to standard output, and to standard error.
        output: (String, String),
    },
    /// A socket comes with this reply.
    Socket,
    /// The port of 127.0.0.1.
    Forwarded(SocketAddr),
    /// What Pods get on this machine.
    Machine(Machine),
    /// It was not done, and why.
    Failed(String),
}

/// What Pods get on this machine.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct Machine {
    /// Whether containers run as the users that they ask for; else they all run as the one who started the kubelet.
    pub users: bool,
    /// Whether limits of memory hold.
    pub memory: bool,
}
