//! `bindyd`: an authoritative DNS server with named's command line and named.conf.
//!
//! * `arguments`: the command line.
//! * `background`: daemonizing, as named does without `-f`.
//! * `privileges`: the user of `-u`, and the one capability that is kept.
//! * `supervisor`: notifying systemd.
//! * This file: the order of starting up, and the event loop.

#![forbid(unsafe_code)]

mod arguments;
mod background;
mod journal;
mod privileges;
mod supervisor;

use std::{
    env,
    io::{self, Write},
    os::unix::fs::chroot,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use bindy_server::{
    commands::{self, Done},
    config::Config,
    control::Job,
    logs::Logs,
    notice,
    serve::{self, Options, Running, StartError},
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2, SIGXFSZ},
    iterator::Signals,
};
use tracing::{debug, warn};
use zonefmt::{
    diagnostics::{Colour, Severity, render},
    terminal::count,
};

use arguments::{Arguments, Command, USAGE};
use background::Parent;
use privileges::User;
use supervisor::Supervisor;

/// An event in a running server.
enum Event {
    Signal(i32),
    Command(Job),
    /// A catalog has a new version.
    Catalog,
}

fn main() -> ExitCode {
    let arguments = match Command::read() {
        Ok(Command::Run(arguments)) => *arguments,
        Ok(Command::Print(text)) => {
            // If the output is closed, nobody wants the text.
            let _ = io::stdout().write_all(text.as_bytes());
            return ExitCode::SUCCESS;
        }
        Ok(Command::Journal(path)) => {
            let printed = journal::print(&path, io::stdout().lock());
            return printed.map_or_else(|error| fail(&format!("bindyd: {error}")), |()| ExitCode::SUCCESS);
        }
        Err(error) => return fail(&format!("bindyd: {error}\n{USAGE}")),
    };
    if arguments.check {
        return check(&arguments).unwrap_or_else(|message| fail(&message));
    }
    let stay = |error| fail(&format!("bindyd: cannot leave the foreground: {error}; `-f` keeps it there"));
    let parent = match Parent::find() {
        Ok(None) if !arguments.foreground => return background::start().unwrap_or_else(stay),
        Ok(parent) => parent,
        Err(error) => return stay(error),
    };
    match run(arguments, parent) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => fail(&message),
    }
}

/// Reads the configuration and loads its zones, and shows all findings.
fn check(Arguments { options, root, .. }: &Arguments) -> Result<ExitCode, String> {
    if let Some(root) = root {
        enter(root).map_err(|error| format!("bindyd: -t {}: {error}", root.display()))?;
    }
    let config = read(options)?;
    let findings: Vec<_> = config.warnings.iter().cloned().chain(serve::check(&config)).collect();
    let errors = findings.iter().filter(|finding| finding.severity == Severity::Error).count();
    let zones: usize = config.views.iter().map(|view| view.zones.len()).sum();
    if !findings.is_empty() {
        let _ = writeln!(io::stderr(), "{}", render(&findings, Colour::of(&io::stderr())).trim_end());
    }
    let (counted, zones) = (count(errors, "error"), count(zones, "zone"));
    let _ = writeln!(io::stderr(), "{}: {counted} in {zones}", options.config.display());
    Ok(if errors == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn fail(message: &str) -> ExitCode {
    let _ = writeln!(io::stderr(), "{}", message.trim_end());
    ExitCode::FAILURE
}

/// Starts up and serves.
///
/// The order matters: files outside the chroot are opened before entering it; named.conf may be readable only for root;
/// and privileges belong to threads, so they are dropped before there is a second thread.
fn run(arguments: Arguments, parent: Option<Parent>) -> Result<(), String> {
    let Arguments { options, ignored, debug_level, user, root, lock_file, farewell, .. } = arguments;
    // The handlers are installed first, so that no signal kills the process once others rely on it; nor does a write
    // beyond the limit of a file's size, which then is an error as on a full disk.
    let signals = Signals::new([SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2, SIGXFSZ])
        .map_err(|error| format!("bindyd: cannot take signals: {error}"))?;
    raise_file_limit();
    let supervisor = Supervisor::from_environment();
    let logs = Logs::install(&program(), debug_level).map_err(|error| format!("bindyd: {error}"))?;
    notice!(target: "general", "starting bindyd {}", env!("CARGO_PKG_VERSION"));
    for option in ignored {
        debug!(target: "general", "-{option} has no effect");
    }
    let user = user.as_deref().map(User::find).transpose().map_err(|error| format!("bindyd: {error}"))?;
    if let Some(root) = &root {
        enter(root).map_err(|error| format!("bindyd: -t {}: {error}", root.display()))?;
    }
    let mut config = read(&options)?;
    if let Some(lock) = lock_file {
        config.run_files.locked_by(lock);
    }
    config.run_files.make_folders(user.as_ref().map(|user| (user.id(), user.group())));
    if let Some(user) = &user {
        user.become_it().map_err(|error| format!("bindyd: {error}"))?;
    }
    let served = run_until_stopped(Plan { options, config, farewell }, &logs, signals, &supervisor, parent);
    logs.flush();
    served
}

/// Takes as many open files as the process may have, as named does: each TCP connection is one, and each journal that was
/// used lately.
fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    // Should this fail, it stays as it was, and what lacks files says so.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}

/// What is to be served, and how it is to end.
struct Plan {
    options: Options,
    config: Config,
    /// How long to answer on after SIGTERM.
    farewell: Duration,
}

/// Serves until a signal or a command stops the server.
fn run_until_stopped(
    Plan { options, config, farewell }: Plan,
    logs: &Logs,
    mut signals: Signals,
    supervisor: &Supervisor,
    parent: Option<Parent>,
) -> Result<(), String> {
    let (events, happening) = mpsc::channel();
    let (jobs, commands) = mpsc::channel();
    let (wake, woken) = mpsc::channel();
    let (forward, forward_too) = (events.clone(), events.clone());
    thread::spawn(move || commands.into_iter().try_for_each(|job| forward.send(Event::Command(job))));
    thread::spawn(move || woken.into_iter().try_for_each(|()| forward_too.send(Event::Catalog)));
    thread::spawn(move || signals.forever().try_for_each(|signal| events.send(Event::Signal(signal))));
    let mut running = Running::start(options, config, logs.clone(), jobs, wake).map_err(|error| show(&error))?;
    // Whoever waited for readiness may look into the log next.
    logs.flush();
    supervisor.ready();
    if let Some(parent) = parent
        && let Err(error) = parent.leave()
    {
        warn!(target: "general", "still bound to where it was started: {error}");
    }
    // When the server ends that was told to, and answers on.
    let mut end: Option<Instant> = None;
    loop {
        let event = match running.next_scan().into_iter().chain(end).min() {
            Some(due) => happening.recv_timeout(due.saturating_duration_since(Instant::now())),
            None => happening.recv().map_err(RecvTimeoutError::from),
        };
        if end.is_some_and(|end| end <= Instant::now()) {
            break;
        }
        let event = match event {
            Ok(event) => event,
            Err(RecvTimeoutError::Timeout) => {
                running.scan_if_due();
                continue;
            }
            Err(RecvTimeoutError::Disconnected) => break,
        };
        match event {
            Event::Signal(SIGHUP) => {
                supervisor.reloading();
                running.reload();
                supervisor.ready();
            }
            Event::Signal(SIGTERM) if end.is_none() && !farewell.is_zero() => {
                running.leave();
                end = Some(Instant::now() + farewell);
                notice!(target: "general", "leaving in {} s: answers go on until then", farewell.as_secs());
            }
            Event::Signal(SIGINT | SIGTERM) => break,
            // BIND does not define what the other signals do; here they do not end the process.
            Event::Signal(_) => {}
            Event::Catalog => running.follow_catalogs(),
            Event::Command(job) => {
                let Done { reply, stop } = commands::perform(&mut running, &job.line, job.read_only);
                job.answer(reply);
                if stop {
                    break;
                }
            }
        }
    }
    supervisor.stopping();
    running.stop();
    Ok(())
}

/// The name by which this program was called.
fn program() -> String {
    let called = env::args_os().next().map(PathBuf::from);
    let name = called.as_deref().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
    name.unwrap_or_else(|| "bindyd".into())
}

fn enter(root: &Path) -> io::Result<()> {
    chroot(root)?;
    env::set_current_dir("/")
}

fn read(options: &Options) -> Result<Config, String> {
    Config::load(&options.config, options.overrides).map_err(|findings| show(&StartError::Config(findings)))
}

/// Formats an error for the terminal.
fn show(error: &StartError) -> String {
    let excerpts = match error {
        StartError::Config(findings) => render(findings, Colour::of(&io::stderr())) + "\n",
        _ => String::new(),
    };
    format!("{excerpts}bindyd: {error}")
}
