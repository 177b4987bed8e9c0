//! `bindyd`: an authoritative DNS server with named's command line and named.conf.

#![forbid(unsafe_code)]

use std::{
    io::{IsTerminal, Write},
    num::NonZeroUsize,
    path::PathBuf,
    process::ExitCode,
    sync::mpsc,
    thread,
};

use bindy_server::{
    config::{Family, Logging, Options, Output, Overrides, Running, StartError},
    control::{self, Done, Job},
    logs::Logs,
};
use lexopt::prelude::{Long, Short, Value, ValueExt};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator::Signals,
};
use tracing::{debug, info, level_filters::LevelFilter, warn};
use zonefmt::diagnostics::{Colour, render};

const USAGE: &str = "\
usage: bindyd [-4|-6] [-c conffile] [-d debuglevel] [-f|-g] [-L logfile] [-n number_of_cpus] [-p port]
       bindyd [-v|-V|-h]
       named's other options are taken and have no effect: -D -E -F -m -M -S -s -t -T -u -U -x -X
";

/// What the command line says.
struct Arguments {
    options: Options,
    /// Options of named's that have no effect here.
    ignored: Vec<char>,
}

/// What happens to a server that runs.
enum Event {
    Signal(i32),
    Command(Job),
}

/// What to do.
enum Command {
    Run(Box<Arguments>),
    Print(String),
}

fn main() -> ExitCode {
    match arguments() {
        Ok(Command::Run(arguments)) => match run(*arguments) {
            Ok(()) => ExitCode::SUCCESS,
            Err(message) => fail(&message),
        },
        Ok(Command::Print(text)) => {
            // Whoever closed the output does not want it.
            let _ = std::io::stdout().write_all(text.as_bytes());
            ExitCode::SUCCESS
        }
        Err(error) => fail(&format!("bindyd: {error}\n{USAGE}")),
    }
}

fn fail(message: &str) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "{}", message.trim_end());
    ExitCode::FAILURE
}

/// Serves until a signal says to stop.
fn run(Arguments { options, ignored }: Arguments) -> Result<(), String> {
    let logs = Logs::install(&options.logging).map_err(|error| format!("bindyd: {error}"))?;
    // Taken over first, so that no signal ends the process once it is being relied on.
    let mut signals =
        Signals::new([SIGHUP, SIGINT, SIGTERM]).map_err(|error| format!("bindyd: cannot take signals: {error}"))?;
    info!(target: "general", "starting bindyd {}", env!("CARGO_PKG_VERSION"));
    for option in ignored {
        match option {
            'u' | 't' => warn!(target: "general", "-{option} has no effect: start as the user and where it is to run"),
            _ => debug!(target: "general", "-{option} has no effect"),
        }
    }
    let (events, happening) = mpsc::channel();
    let (jobs, commands) = mpsc::channel();
    let forward = events.clone();
    thread::spawn(move || commands.into_iter().try_for_each(|job| forward.send(Event::Command(job))));
    thread::spawn(move || signals.forever().try_for_each(|signal| events.send(Event::Signal(signal))));
    let mut running = Running::start(options, logs, jobs).map_err(|error| show(&error))?;
    for event in happening {
        match event {
            Event::Signal(SIGHUP) => {
                running.reload();
            }
            Event::Signal(_) => break,
            Event::Command(job) => match control::perform(&mut running, &job.line, job.read_only) {
                Done::Answer(outcome) => job.answer(outcome),
                Done::Stop(outcome) => {
                    job.answer(outcome);
                    break;
                }
            },
        }
    }
    running.stop();
    Ok(())
}

/// An error for someone who has just typed the command.
fn show(error: &StartError) -> String {
    let excerpts = match error {
        StartError::Config(findings) => {
            let colour = if std::io::stderr().is_terminal() { Colour::Always } else { Colour::Never };
            render(findings, colour) + "\n"
        }
        _ => String::new(),
    };
    format!("{excerpts}bindyd: {error}")
}

fn arguments() -> Result<Command, lexopt::Error> {
    let mut options = Options {
        config: PathBuf::from("/etc/bind/named.conf"),
        overrides: Overrides::default(),
        workers: thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
        logging: Logging::to(Output::Stderr, LevelFilter::INFO),
        obey_logging: true,
    };
    let (mut output, mut level, mut ignored) = (Output::Stderr, 0, Vec::new());
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Short('4') => restrict(&mut options.overrides, Family::V4)?,
            Short('6') => restrict(&mut options.overrides, Family::V6)?,
            Short('c') => options.config = parser.value()?.into(),
            Short('d') => level = parser.value()?.parse::<u32>()?,
            // It never leaves the foreground.
            Short('f') => {}
            Short('g') => options.obey_logging = false,
            Short('L') => {
                output = Output::File { path: parser.value()?.into(), size: None, versions: 0 };
            }
            // As with named, 0 is 1.
            Short('n') => options.workers = NonZeroUsize::new(parser.value()?.parse()?).unwrap_or(NonZeroUsize::MIN),
            // named has `-p dns=PORT` too.
            Short('p') => {
                let port = parser.value()?.string()?;
                let port = port.strip_prefix("dns=").unwrap_or(&port);
                options.overrides.port = Some(port.parse().map_err(|_| format!("-p: `{port}` is no port"))?);
            }
            Short('v') => return Ok(Command::Print(format!("bindyd {}\n", env!("CARGO_PKG_VERSION")))),
            Short('V') => return Ok(Command::Print(build())),
            Short('h') | Long("help") => return Ok(Command::Print(USAGE.into())),
            Short(option @ ('F' | 's')) => ignored.push(option),
            Short(option @ ('D' | 'E' | 'm' | 'M' | 'S' | 't' | 'T' | 'u' | 'U' | 'x' | 'X')) => {
                parser.value()?;
                ignored.push(option);
            }
            Value(_) | Short(_) | Long(_) => return Err(argument.unexpected()),
        }
    }
    let level = match level {
        0 => LevelFilter::INFO,
        1 => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    };
    if !options.obey_logging {
        output = Output::Stderr;
    }
    options.logging = Logging::to(output, level);
    Ok(Command::Run(Box::new(Arguments { options, ignored })))
}

fn restrict(overrides: &mut Overrides, family: Family) -> Result<(), lexopt::Error> {
    match overrides.only.replace(family) {
        Some(other) if other != family => Err("-4 and -6 exclude each other".into()),
        _ => Ok(()),
    }
}

fn build() -> String {
    format!(
        "bindyd {}\nrunning on {} {}\ndefault paths:\n  named configuration: /etc/bind/named.conf\n",
        env!("CARGO_PKG_VERSION"),
        std::env::consts::OS,
        std::env::consts::ARCH
    )
}
