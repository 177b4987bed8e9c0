//! A `bindyd` process with its own folder, on a free port of 127.0.0.1.

use std::{
    cell::RefCell,
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

/// How long anything may take before a test gives up.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A folder with a configuration, and a command line.
pub struct Prepared {
    folder: tempfile::TempDir,
    options: String,
    listen: String,
    arguments: Vec<String>,
    environment: Vec<(&'static str, String)>,
}

/// A running server.
pub struct Server {
    prepared: Prepared,
    process: Child,
    lines: Receiver<String>,
    /// The log lines read so far.
    said: RefCell<String>,
    port: u16,
}

impl Prepared {
    /// Prepares a folder with these statements, inside `options` and outside, and these files; starts nothing.
    pub fn new(options: &str, conf: &str, files: &[(&str, &str)]) -> Prepared {
        let prepared = Prepared {
            folder: tempfile::tempdir().expect("the temporary directory can be written"),
            options: options.into(),
            listen: "port 0 { 127.0.0.1; }".into(),
            arguments: ["-g", "-n", "1", "-c", "named.conf"].map(String::from).to_vec(),
            environment: Vec::new(),
        };
        prepared.configure(conf);
        for (name, text) in files {
            prepared.write(name, text);
        }
        prepared
    }

    /// Replaces the command line.
    pub fn with_arguments(mut self, arguments: &[&str]) -> Prepared {
        self.arguments = arguments.iter().map(|&argument| argument.into()).collect();
        self
    }

    /// Sets an environment variable.
    pub fn with_variable(mut self, name: &'static str, value: &str) -> Prepared {
        self.environment.push((name, value.into()));
        self
    }

    /// Replaces the address to listen on, from the next configuration on.
    pub fn listen_on(&mut self, listen: &str) {
        self.listen = listen.into();
    }

    /// Writes a configuration, in which these statements start at the second line. Unless they say otherwise, there is
    /// no control channel, no file in a system directory, and nobody is notified.
    pub fn configure(&self, conf: &str) {
        let Prepared { options, listen, .. } = self;
        let folder = self.folder().display();
        let nowhere =
            ["pid-file none;", "session-keyfile none;", "listen-on-v6 { none; };", "notify no;"].map(|none| {
                let name = none.split(' ').next().unwrap_or_default();
                if options.contains(name) || name == "notify" && conf.contains(name) { "" } else { none }
            });
        let options = format!("{options} {}", nowhere.concat());
        let options = format!("directory \"{folder}\"; listen-on {listen}; {options}");
        let controls = if conf.contains("controls") { "" } else { "controls { };" };
        self.write("named.conf", &format!("options {{ {options} }};\n{conf}\n{controls}\n"));
    }

    /// Writes a file by renaming, so that it differs from an earlier version even if size and time are the same.
    pub fn write(&self, name: &str, text: &str) {
        let new = self.folder().join(format!("{name}.new"));
        std::fs::create_dir_all(new.parent().unwrap_or(self.folder())).expect("the folder can be written");
        std::fs::write(&new, text).expect("the folder is there");
        std::fs::rename(new, self.folder().join(name)).expect("the file was written");
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Starts `bindyd` and waits until it answers.
    pub fn run(self) -> Server {
        self.run_program(env!("CARGO_BIN_EXE_bindyd"))
    }

    /// Starts another server instead; if that logs to standard error (`-g`), waits until it answers.
    pub fn run_program(self, program: &str) -> Server {
        if !self.arguments.contains(&"-g".to_owned()) {
            return self.start(program);
        }
        let mut server = self.run_until(program, ": running");
        server.port = port_in(&server.said.borrow());
        server
    }

    /// Starts a server and waits for a log line that contains this text.
    pub fn run_until(self, program: &str, text: &str) -> Server {
        let server = self.start(program);
        server.says(text);
        server
    }

    /// Starts a server and waits until it answers, in named's words or in ours.
    pub fn run_until_it_answers(self, program: &str) -> Server {
        let server = self.start(program);
        server.runs();
        server
    }

    fn start(self, program: &str) -> Server {
        let (process, lines) = self.launch(program);
        Server { prepared: self, process, lines, said: RefCell::default(), port: 0 }
    }

    /// Starts a process and returns it with its log lines.
    fn launch(&self, program: &str) -> (Child, Receiver<String>) {
        let mut process = self.spawn(program);
        let stderr = process.stderr.take().expect("it is piped");
        let (send, lines) = mpsc::channel();
        thread::spawn(move || {
            BufReader::new(stderr).lines().map_while(Result::ok).try_for_each(|line| send.send(line))
        });
        (process, lines)
    }

    /// Starts `bindyd` and waits until it has given up; returns its exit code and log lines.
    pub fn refuses(self) -> (Option<i32>, String) {
        let mut server = self.start(env!("CARGO_BIN_EXE_bindyd"));
        let said: Vec<String> = server.rest().collect();
        (server.ended().code(), said.join("\n"))
    }

    /// The command line, to run in the folder.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
        command
            .env("PATH", path)
            .args(&self.arguments)
            .current_dir(self.folder())
            .envs(self.environment.iter().cloned());
        command
    }

    fn spawn(&self, program: &str) -> Child {
        let mut command = self.command(program);
        command.stderr(Stdio::piped());
        command.spawn().expect("bindyd was built, named is installed: scripts/install-test-tools")
    }
}

impl Server {
    /// Starts `bindyd` with these statements and files, and waits until it answers.
    pub fn start(conf: &str, files: &[(&str, &str)]) -> Server {
        Prepared::new("", conf, files).run()
    }

    pub fn folder(&self) -> &Path {
        self.prepared.folder()
    }

    pub fn configure(&mut self, conf: &str) {
        self.prepared.configure(conf);
    }

    pub fn listen_on(&mut self, listen: &str) {
        self.prepared.listen_on(listen);
    }

    pub fn write(&self, name: &str, text: &str) {
        self.prepared.write(name, text);
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Waits for a log line that contains `text`.
    pub fn says(&self, text: &str) {
        self.says_line(|line| line.contains(text), text);
    }

    /// Waits until the server answers. named says early on which system it is "running".
    pub fn runs(&self) {
        self.says_line(|line| line.ends_with(" running"), " running");
    }

    fn says_line(&self, is_it: impl Fn(&str) -> bool, text: &str) {
        let begin = Instant::now();
        while let Ok(line) = self.lines.recv_timeout(PATIENCE.saturating_sub(begin.elapsed())) {
            self.said.borrow_mut().extend([&line, "\n"]);
            if is_it(&line) {
                return;
            }
        }
        panic!("it did not say {text:?}:\n{}", self.said.borrow());
    }

    /// Whether the server has not logged this yet, after waiting briefly.
    pub fn goes_on_without(&self, text: &str) -> bool {
        while let Ok(line) = self.lines.recv_timeout(Duration::from_millis(100)) {
            self.said.borrow_mut().extend([&line, "\n"]);
        }
        !self.said().contains(text)
    }

    /// All log lines so far, without waiting for more.
    pub fn log(&self) -> String {
        self.lines.try_iter().for_each(|line| self.said.borrow_mut().extend([&line, "\n"]));
        self.said()
    }

    /// The log lines from now until the server ends.
    fn rest(&self) -> impl Iterator<Item = String> {
        let begin = Instant::now();
        std::iter::from_fn(move || match self.lines.recv_timeout(PATIENCE.saturating_sub(begin.elapsed())) {
            Ok(line) => Some(line),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("it goes on for {PATIENCE:?}"),
        })
    }

    /// The log lines read so far, up to what `says` last waited for.
    pub fn said(&self) -> String {
        self.said.borrow().clone()
    }

    pub fn has_said(&self, text: &str) {
        assert!(self.said().contains(text), "it did not say {text:?}:\n{}", self.said());
    }

    /// Waits until a file that the server writes contains this text.
    pub fn writes(&self, file: &str, text: &str) -> String {
        let read = || std::fs::read_to_string(self.folder().join(file)).unwrap_or_default();
        wait_until(|| read().contains(text), &format!("{file} has {text:?}"));
        read()
    }

    /// Runs dig with this question.
    pub fn dig(&self, question: &[&str]) -> String {
        dig("127.0.0.1", self.port, question)
    }

    /// Sends SIGHUP.
    pub fn reload(&self) {
        self.signal("HUP");
    }

    /// Sends SIGTERM and waits for the server to end.
    pub fn stop(&mut self) -> ExitStatus {
        self.signal("TERM");
        self.process.wait().expect("it was started")
    }

    /// Ends the server with this signal and starts another one in the same folder.
    pub fn replace(&mut self, name: &str, program: &str) {
        self.signal(name);
        self.process.wait().expect("it was started");
        self.start_again(program);
    }

    /// Starts another server in the folder of one that has ended.
    pub fn start_again(&mut self, program: &str) {
        (self.process, self.lines) = self.prepared.launch(program);
    }

    /// Waits for an end that something else has initiated.
    pub fn ended(&mut self) -> ExitStatus {
        self.process.wait().expect("it was started")
    }

    pub fn signal(&self, name: &str) {
        signal(self.id(), name);
    }

    /// Stops all threads until the signal CONT, and waits until they have: they may do something else first.
    pub fn pause(&self) {
        self.signal("STOP");
        let is_stopped = |task: fs::DirEntry| {
            let status = fs::read_to_string(task.path().join("status")).unwrap_or_default();
            status.contains("State:\tT")
        };
        let tasks = format!("/proc/{}/task", self.id());
        wait_until(|| fs::read_dir(&tasks).expect("it runs").flatten().all(is_stopped), "all threads are stopped");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Runs a tool in a server's folder.
pub fn run(folder: &Path, program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).current_dir(folder).output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}; scripts/install-test-tools installs it"));
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {said}");
}

/// Waits until something is true.
pub fn wait_until(is_so: impl Fn() -> bool, what: &str) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// Sends a signal to a process.
pub fn signal(id: u32, name: &str) {
    let status = Command::new("kill").args(["-s", name, &id.to_string()]).status().expect("kill is everywhere");
    assert!(status.success());
}

/// The port in the log lines.
pub fn port_in(log: &str) -> u16 {
    let port = log.rsplit_once(": listening on 127.0.0.").and_then(|(_, rest)| rest.split(':').nth(1));
    let port = port.and_then(|rest| rest.lines().next()?.parse().ok());
    port.unwrap_or_else(|| panic!("no port in {log}"))
}

/// Asks a server with dig, without retries.
pub fn dig(address: &str, port: u16, question: &[&str]) -> String {
    let mut command = Command::new("dig");
    command.args([&format!("@{address}"), "-p", &port.to_string(), "+tries=1", "+time=20"]).args(question);
    let output = command.output().expect("dig: install bind9-dnsutils");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
