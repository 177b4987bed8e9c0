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
    processes: Vec<Child>,
}

/// Reads ids of processes until there will be no more, and ends those processes.
const WATCH: &str = r#"
    trap '' INT TERM HUP
    while read -r id; do ids="$ids $id"; done
    kill -KILL $ids
    sleep 1
    rm -rf "$1"
"#;

impl Guard {
    pub(crate) fn new(folder: &Path) -> Guard {
        let mut watch = Command::new("sh");
        watch.args(["-c", WATCH, "watch"]).arg(folder);
        watch.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let watch = watch.spawn().expect("every system has a shell");
        Guard { folder: folder.to_owned(), watch, processes: Vec::new() }
    }

    /// Starts a program and waits until it says that it is ready.
    pub(crate) async fn start(&mut self, programs: &Programs, program: &Program) {
        let Program { name, url, ready, .. } = program;
        let path = self.folder.join(format!("{name}.log"));
        let log = File::create(&path).expect("the folder is ours");
        let mut command = programs.command(program);
        command.current_dir(&self.folder).stdin(Stdio::null());
        command.stdout(log.try_clone().expect("a file can be shared")).stderr(log);
        let process = command.spawn().unwrap_or_else(|error| {
            let program = command.get_program().display();
            panic!("{program}: {error}; KUBEBUILDER_ASSETS is the folder of etcd, kube-apiserver and the others")
        });
        let ids = self.watch.stdin.as_mut().expect("it is a pipe");
        writeln!(ids, "{}", process.id()).expect("the watch reads");
        self.processes.push(process);

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
            let process = self.processes.last_mut().expect("it was pushed");
            let ended = process.try_wait().expect("a child can be waited for");
            assert!(ended.is_none() && Instant::now() < deadline, "{name} did not start:\n{}", tail(&path));
            sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // First the watch: it must not end processes whose ids are free again.
        for process in std::iter::once(&mut self.watch).chain(&mut self.processes) {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// The last lines of a log.
fn tail(path: &Path) -> String {
    let log = fs::read_to_string(path).unwrap_or_default();
    let lines: Vec<_> = log.lines().collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}
