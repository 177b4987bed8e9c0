//! Which programs make a cluster, where they are, and what each is told.

use std::{
    env, fs,
    net::{Ipv4Addr, SocketAddr},
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use bindy_tests::ports::free_port;

use crate::{Extent, identity::Authority};

/// Where the programs are.
pub(crate) enum Programs {
    /// A folder that has a file for each.
    Separate(PathBuf),
    /// One file, whose first argument names the program.
    Together(PathBuf),
}

/// One program of a cluster.
pub(crate) struct Program {
    pub(crate) name: &'static str,
    pub(crate) arguments: Vec<String>,
    /// The server that the program is, and the path at which it says that it is ready.
    pub(crate) url: String,
    pub(crate) ready: &'static str,
}

/// The name of the API server.
pub(crate) const API_SERVER: &str = "kube-apiserver";

/// The ports and identities of one cluster.
pub(crate) struct Plan {
    authority: Authority,
    folder: PathBuf,
    etcd: String,
    api: u16,
}

impl Programs {
    /// The programs in `KUBEBUILDER_ASSETS`, or else the one that the sources in this repository make.
    pub(crate) fn find() -> Programs {
        if let Some(folder) = env::var_os("KUBEBUILDER_ASSETS").filter(|folder| !folder.is_empty()) {
            return Programs::Separate(folder.into());
        }
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/build-controlplane");
        let built = Command::new(&script).stderr(Stdio::inherit()).output();
        let built = built.unwrap_or_else(|error| panic!("{}: {error}", script.display()));
        assert!(built.status.success(), "{} failed; its output says why", script.display());
        Programs::Together(String::from_utf8(built.stdout).expect("a path in UTF-8").trim().into())
    }

    /// A folder that has `kubectl`. It may be made within this one.
    pub(crate) fn kubectl(&self, folder: &Path) -> PathBuf {
        match self {
            Programs::Separate(assets) => assets.clone(),
            Programs::Together(file) => {
                let tools = folder.join("tools");
                let made = fs::create_dir(&tools).and_then(|()| symlink(file, tools.join("kubectl")));
                made.unwrap_or_else(|error| panic!("{}: {error}", tools.display()));
                tools
            }
        }
    }

    pub(crate) fn command(&self, program: &Program) -> Command {
        let mut command = match self {
            Programs::Separate(folder) => Command::new(folder.join(program.name)),
            Programs::Together(file) => Command::new(file),
        };
        if let Programs::Together(_) = self {
            command.arg(program.name);
        }
        command.args(&program.arguments);
        command
    }
}

impl Plan {
    pub(crate) fn new(authority: Authority, folder: &Path) -> Plan {
        let etcd = format!("http://127.0.0.1:{}", free_port());
        Plan { authority, folder: folder.to_owned(), etcd, api: free_port() }
    }

    /// The kubeconfig of a user who may do everything.
    pub(crate) fn administrator(&self) -> PathBuf {
        self.user("administrator", Some("system:masters"))
    }

    /// The kubeconfig of a user in a group.
    pub(crate) fn user(&self, name: &str, group: Option<&str>) -> PathBuf {
        self.authority.user(name, group, &self.api_url()).into()
    }

    /// The certificate of the kubelet, and its key.
    pub(crate) fn kubelet(&self) -> (PathBuf, PathBuf) {
        let (certificate, key) = self.authority.server("kubelet");
        (certificate.into(), key.into())
    }

    /// Where the API server listens.
    pub(crate) fn api_address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.api).into()
    }

    /// The programs, each of which needs those before it.
    pub(crate) fn programs(&self, extent: Extent) -> Vec<Program> {
        let mut programs = vec![self.etcd(), self.api_server(extent)];
        if extent != Extent::Api {
            programs.extend([self.controllers(), self.scheduler()]);
        }
        programs
    }

    fn etcd(&self) -> Program {
        let peers = format!("http://127.0.0.1:{}", free_port());
        let arguments = [
            "--data-dir".into(),
            self.folder.join("etcd").display().to_string(),
            format!("--listen-client-urls={}", self.etcd),
            format!("--advertise-client-urls={}", self.etcd),
            format!("--listen-peer-urls={peers}"),
            format!("--initial-advertise-peer-urls={peers}"),
            format!("--initial-cluster=default={peers}"),
            // The data do not outlive the test.
            "--unsafe-no-fsync".into(),
        ];
        Program { name: "etcd", arguments: arguments.into(), url: self.etcd.clone(), ready: "/health" }
    }

    fn api_server(&self, extent: Extent) -> Program {
        let (certificate, key) = self.authority.server(API_SERVER);
        let service_accounts = self.authority.pair(SERVICE_ACCOUNTS);
        let arguments = [
            format!("--etcd-servers={}", self.etcd),
            "--bind-address=127.0.0.1".into(),
            format!("--secure-port={}", self.api),
            "--advertise-address=127.0.0.1".into(),
            // An Endpoints object may not have a loopback address.
            "--endpoint-reconciler-type=none".into(),
            format!("--cert-dir={}", self.folder.display()),
            format!("--tls-cert-file={certificate}"),
            format!("--tls-private-key-file={key}"),
            format!("--client-ca-file={}", self.authority.certificate()),
            "--authorization-mode=Node,RBAC".into(),
            "--enable-admission-plugins=NodeRestriction,PodSecurity".into(),
            format!("--kubelet-certificate-authority={}", self.authority.certificate()),
            format!("--service-account-key-file={service_accounts}"),
            format!("--service-account-signing-key-file={service_accounts}"),
            "--service-account-issuer=https://kubernetes.default.svc".into(),
            match extent {
                Extent::DualStack => "--service-cluster-ip-range=10.96.0.0/16,fd00:10:96::/112".into(),
                Extent::Api | Extent::Controlled | Extent::Running => "--service-cluster-ip-range=10.96.0.0/16".into(),
            },
            "--allow-privileged".into(),
        ];
        Program { name: API_SERVER, arguments: arguments.into(), url: self.api_url(), ready: "/readyz" }
    }

    fn controllers(&self) -> Program {
        let authority = &self.authority;
        self.component("kube-controller-manager", |arguments| {
            arguments.extend([
                "--use-service-account-credentials=true".into(),
                format!("--service-account-private-key-file={}", authority.file(SERVICE_ACCOUNTS, "key")),
                format!("--root-ca-file={}", authority.certificate()),
                format!("--cluster-signing-cert-file={}", authority.certificate()),
                format!("--cluster-signing-key-file={}", authority.key()),
                // Nodes of tests are not looked after, and would be given up.
                "--controllers=*,-node-lifecycle-controller,-node-ipam-controller,-node-route-controller,\
                 -service-lb-controller"
                    .into(),
            ]);
        })
    }

    fn scheduler(&self) -> Program {
        self.component("kube-scheduler", |_| ())
    }

    /// A program that is a client of the API server.
    fn component(&self, name: &'static str, more: impl FnOnce(&mut Vec<String>)) -> Program {
        let port = free_port();
        let kubeconfig = self.authority.user(&format!("system:{name}"), None, &self.api_url());
        let mut arguments = vec![
            format!("--kubeconfig={kubeconfig}"),
            format!("--authentication-kubeconfig={kubeconfig}"),
            format!("--authorization-kubeconfig={kubeconfig}"),
            "--leader-elect=false".into(),
            "--bind-address=127.0.0.1".into(),
            format!("--secure-port={port}"),
        ];
        more(&mut arguments);
        Program { name, arguments, url: format!("https://127.0.0.1:{port}"), ready: "/healthz" }
    }

    fn api_url(&self) -> String {
        format!("https://127.0.0.1:{}", self.api)
    }
}

/// The name of the keys that sign tokens of ServiceAccounts.
const SERVICE_ACCOUNTS: &str = "service-accounts";
