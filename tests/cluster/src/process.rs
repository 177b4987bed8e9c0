//! Processes that end with the test that started them, however it ends.

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use http::Request;
use kube::{Client, Config};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use tokio::time::{sleep, timeout};

use crate::programs::{Program, Programs};

/// How long a program may take until it is ready, on a machine that has much else to do.
const PATIENCE: Duration = Duration::from_secs(180);

/// Processes, their folder, and a watch over both. Dropping this ends the processes. If the process of the test is
/// killed instead, the watch ends them and removes the folder: it is a shell that waits for the end of its input,
/// which only this process could write.
pub(crate) struct Guard {
    folder: PathBuf,
    watch: Child,
    /// With their names. Of several with one name, the last one may run.
    processes: Vec<(&'static str, Child)>,
    cgroups: Vec<String>,
}

/// Reads ids of processes and names of cgroups until there will be no more, ends those processes, and removes those
/// cgroups.
const WATCH: &str = r#"
    trap '' INT TERM HUP
    while read -r id group; do ids="$ids $id"; groups="$groups $group"; done
    kill -KILL $ids
    sleep 1
    rm -rf "$1"
    for group in $groups; do
        find /sys/fs/cgroup/"$group" /sys/fs/cgroup/memory/"$group" -depth -type d -exec rmdir {} ';'
    done
"#;

impl Guard {
    pub(crate) fn new(folder: &Path) -> Guard {
        let mut watch = Command::new("sh");
        watch.args(["-c", WATCH, "watch"]).arg(folder);
        watch.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let watch = watch.spawn().expect("every system has a shell");
        Guard { folder: folder.to_owned(), watch, processes: Vec::new(), cgroups: Vec::new() }
    }

    /// Starts a process under a name, which may make a cgroup of this name.
    pub(crate) fn start(&mut self, name: &'static str, mut command: Command, cgroup: &str) {
        let process = command.spawn().unwrap_or_else(|error| {
            let program = command.get_program().display();
            panic!(
                "{program}: {error}; KUBEBUILDER_ASSETS is the folder of etcd, kube-apiserver and the others, and \
                 scripts/install-test-tools installs what else there is"
            )
        });
        let ids = self.watch.stdin.as_mut().expect("it is a pipe");
        writeln!(ids, "{} {cgroup}", process.id()).expect("the watch reads");
        self.processes.push((name, process));
        self.cgroups.extend((!cgroup.is_empty()).then(|| cgroup.to_owned()));
    }

    /// Whether the process that was started last still runs.
    pub(crate) fn last_runs(&mut self) -> bool {
        let (_, process) = self.processes.last_mut().expect("one was started");
        process.try_wait().expect("a child can be waited for").is_none()
    }

    /// Sends a signal to the process that was started last under a name.
    pub(crate) fn signal(&self, name: &str, signal: Signal) {
        kill_process(self.id(name), signal).expect("it is a child of this process");
    }

    /// Ends the process that was started last under a name, as a crash would. It is not waited for before all end: until
    /// then nobody else gets its id, which the watch knows.
    pub(crate) fn kill(&self, name: &str) {
        self.signal(name, Signal::KILL);
        let ended = waitid(WaitId::Pid(self.id(name)), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT);
        ended.expect("it is a child of this process");
    }

    fn id(&self, name: &str) -> Pid {
        let known = self.processes.iter().rev().find(|(known, _)| *known == name);
        let (_, process) = known.unwrap_or_else(|| panic!("{name} was not started"));
        Pid::from_child(process)
    }

    /// Starts a program of the control plane and waits until it says that it is ready.
    pub(crate) async fn start_program(&mut self, programs: &Programs, program: &Program) {
        let Program { name, url, ready, .. } = program;
        let path = self.folder.join(format!("{name}.log"));
        let log = File::options().create(true).append(true).open(&path).expect("the folder is ours");
        let mut command = programs.command(program);
        command.current_dir(&self.folder).stdin(Stdio::null());
        command.stdout(log.try_clone().expect("a file can be shared")).stderr(log);
        self.start(name, command, "");

        let mut config = Config::new(url.parse().expect("it has a host and a port"));
        // Only readiness is asked here.
        config.accept_invalid_certs = true;
        let client = Client::try_from(config).expect("there is nothing to read");
        let deadline = Instant::now() + PATIENCE;
        loop {
            let request = Request::get(*ready).body(Vec::new()).expect("it is a path");
            if let Ok(Ok(_)) = timeout(Duration::from_secs(5), client.request_text(request)).await {
                return;
            }
            assert!(self.last_runs() && Instant::now() < deadline, "{name} did not start:\n{}", tail(&path));
            sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // First the watch: it must not end processes whose ids are free again.
        for process in std::iter::once(&mut self.watch).chain(self.processes.iter_mut().map(|(_, process)| process)) {
            let _ = process.kill();
            let _ = process.wait();
        }
        for cgroup in &self.cgroups {
            for root in ["/sys/fs/cgroup", "/sys/fs/cgroup/memory"] {
                remove(&Path::new(root).join(cgroup));
            }
        }
    }
}

/// Removes a cgroup and those in it, whose processes were killed and may take a moment to end.
fn remove(cgroup: &Path) {
    for entry in fs::read_dir(cgroup).into_iter().flatten().map_while(Result::ok) {
        if entry.path().is_dir() {
            remove(&entry.path());
        }
    }
    for _ in 0..100 {
        match fs::remove_dir(cgroup) {
            Err(error) if error.kind() == std::io::ErrorKind::ResourceBusy => {
                std::thread::sleep(Duration::from_millis(10));
            }
            _ => return,
        }
    }
}

/// The last lines of a log.
pub(crate) fn tail(path: &Path) -> String {
    let log = fs::read_to_string(path).unwrap_or_default();
    let lines: Vec<_> = log.lines().collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}
