//! `bindyd`: an authoritative DNS server with named's command line and named.conf.
//!
//! * `arguments`: the command line.
//! * `background`: leaving the terminal, as named does without `-f`.
//! * `privileges`: the user of `-u`, and the one right that is kept.
//! * `supervisor`: telling systemd how it goes.
//! * Here: starting in the order that these need, and what happens while it runs.

#![forbid(unsafe_code)]

mod arguments;
mod background;
mod privileges;
mod supervisor;

use std::{
    env,
    io::{self, IsTerminal, Write},
    os::unix::fs::chroot,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::Instant,
};

use bindy_server::{
    config::Config,
    control::{self, Done, Job},
    logs::Logs,
    notice,
    serve::{Options, Running, StartError},
};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2},
    iterator::Signals,
};
use tracing::{debug, warn};
use zonefmt::diagnostics::{Colour, render};

use arguments::{Arguments, Command, USAGE};
use background::Parent;
use privileges::User;
use supervisor::Supervisor;

/// What happens to a server that runs.
enum Event {
    Signal(i32),
    Command(Job),
}

fn main() -> ExitCode {
    let arguments = match Command::read() {
        Ok(Command::Run(arguments)) => *arguments,
        Ok(Command::Print(text)) => {
            // Whoever closed the output does not want it.
            let _ = io::stdout().write_all(text.as_bytes());
            return ExitCode::SUCCESS;
        }
        Err(error) => return fail(&format!("bindyd: {error}\n{USAGE}")),
    };
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

fn fail(message: &str) -> ExitCode {
    let _ = writeln!(io::stderr(), "{}", message.trim_end());
    ExitCode::FAILURE
}

/// Gets ready and serves.
///
/// The order matters: what lies outside of the new root is opened before it; named.conf may be readable for root only; and
/// rights belong to threads, so that they are given up before there is a second one.
fn run(arguments: Arguments, parent: Option<Parent>) -> Result<(), String> {
    let Arguments { options, ignored, debug_level, user, root, lock_file, .. } = arguments;
    // Taken over first, so that no signal ends the process once it is being relied on.
    let signals = Signals::new([SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2])
        .map_err(|error| format!("bindyd: cannot take signals: {error}"))?;
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
    let served = serve(options, config, &logs, signals, &supervisor, parent);
    logs.flush();
    served
}

/// Serves until a signal or a command says to stop.
fn serve(
    options: Options,
    config: Config,
    logs: &Logs,
    mut signals: Signals,
    supervisor: &Supervisor,
    parent: Option<Parent>,
) -> Result<(), String> {
    let (events, happening) = mpsc::channel();
    let (jobs, commands) = mpsc::channel();
    let forward = events.clone();
    thread::spawn(move || commands.into_iter().try_for_each(|job| forward.send(Event::Command(job))));
    thread::spawn(move || signals.forever().try_for_each(|signal| events.send(Event::Signal(signal))));
    let mut running = Running::start(options, config, logs.clone(), jobs).map_err(|error| show(&error))?;
    // Whoever waited for it may look into the log next.
    logs.flush();
    supervisor.ready();
    if let Some(parent) = parent
        && let Err(error) = parent.leave()
    {
        warn!(target: "general", "still bound to where it was started: {error}");
    }
    loop {
        let event = match running.next_scan() {
            Some(scan) => happening.recv_timeout(scan.saturating_duration_since(Instant::now())),
            None => happening.recv().map_err(RecvTimeoutError::from),
        };
        let event = match event {
            Ok(event) => event,
            Err(RecvTimeoutError::Timeout) => {
                running.scan();
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
            Event::Signal(SIGINT | SIGTERM) => break,
            // BIND leaves open what others do: here they end nothing.
            Event::Signal(_) => {}
            Event::Command(job) => match control::perform(&mut running, &job.line, job.read_only) {
                Done::Answer(outcome) => job.answer(outcome),
                Done::Stop(outcome) => {
                    job.answer(outcome);
                    break;
                }
            },
        }
    }
    supervisor.stopping();
    running.stop();
    Ok(())
}

/// What this program was called.
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

/// An error for someone who has just typed the command.
fn show(error: &StartError) -> String {
    let excerpts = match error {
        StartError::Config(findings) => {
            let colour = if io::stderr().is_terminal() { Colour::Always } else { Colour::Never };
            render(findings, colour) + "\n"
        }
        _ => String::new(),
    };
    format!("{excerpts}bindyd: {error}")
}
