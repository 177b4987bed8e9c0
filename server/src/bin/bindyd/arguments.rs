//! The command line, which is named's. Options without a meaning here are accepted without effect, so that scripts and
//! unit files work.

use std::{num::NonZeroUsize, path::PathBuf, thread, time::Duration};

use bindy_server::{
    config::{Family, Overrides},
    logs::DefaultLog,
    serve::Options,
};
use lexopt::prelude::{Long, Short, Value, ValueExt};

pub const USAGE: &str = "\
usage: bindyd [-4|-6] [-c conffile] [-d debuglevel] [-D comment] [-f|-g] [-L logfile] [-n number_of_cpus] [-p port]
              [-t chrootdir] [-u username] [-X lockfile] [--follow] [--farewell SECONDS]
       bindyd --check [-c conffile] [-t chrootdir]: reads named.conf and all zones, and says what is wrong
       bindyd --journal FILE: shows the changes in a journal, `FILE.changes` or named's, as named-journalprint does
       bindyd [-v|-V|-h]
       --follow: reads named.conf again whenever it, or a file that it includes, has changed
       --farewell SECONDS: on SIGTERM, /readyz turns not ready, and the server answers on for that long; a second
                           SIGTERM, or SIGINT, ends it at once
       named's other options are taken and have no effect: -E -F -m -M -s -S -T -U -x
";

/// What the command line asks for.
pub enum Command {
    Run(Box<Arguments>),
    Print(String),
    /// Shows the changes in this journal (`--journal`).
    Journal(PathBuf),
}

/// The arguments for running the server.
pub struct Arguments {
    pub options: Options,
    /// Whether the process stays in the foreground (`-f`, `-g`).
    pub foreground: bool,
    /// The debug level (`-d`).
    pub debug_level: u32,
    /// The user to run as (`-u`).
    pub user: Option<String>,
    /// How long to answer on after SIGTERM (`--farewell`), at most [`LONGEST_FAREWELL`].
    pub farewell: Duration,
    /// The directory to chroot to (`-t`).
    pub root: Option<PathBuf>,
    /// The file to lock, instead of the one in named.conf (`-X`); `none` locks no file.
    pub lock_file: Option<PathBuf>,
    /// Whether to check the configuration and its zones, and serve nothing (`--check`).
    pub check: bool,
    /// Options of named that have no effect here.
    pub ignored: Vec<char>,
}

impl Command {
    /// Parses this process's command line.
    pub fn read() -> Result<Command, lexopt::Error> {
        let mut arguments = Arguments {
            options: Options {
                config: PathBuf::from("/etc/bind/named.conf"),
                overrides: Overrides::default(),
                workers: thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
                log: DefaultLog::Syslog,
                follow: false,
            },
            farewell: Duration::ZERO,
            foreground: false,
            debug_level: 0,
            user: None,
            root: None,
            lock_file: None,
            check: false,
            ignored: Vec::new(),
        };
        let mut parser = lexopt::Parser::from_env();
        while let Some(argument) = parser.next()? {
            let Options { config, overrides, workers, log, follow } = &mut arguments.options;
            match argument {
                Short('4') => restrict(overrides, Family::V4)?,
                Short('6') => restrict(overrides, Family::V6)?,
                Short('c') => *config = parser.value()?.into(),
                Short('d') => arguments.debug_level = parser.value()?.parse()?,
                // The comment only has to be visible in process lists.
                Short('D') => drop(parser.value()?),
                Short('f') => arguments.foreground = true,
                Short('g') => (arguments.foreground, *log) = (true, DefaultLog::Stderr),
                // `-g` takes precedence, wherever it stands.
                Short('L') => {
                    let path = parser.value()?.into();
                    if *log != DefaultLog::Stderr {
                        *log = DefaultLog::File(path);
                    }
                }
                // As with named, 0 means 1.
                Short('n') => *workers = NonZeroUsize::new(parser.value()?.parse()?).unwrap_or(NonZeroUsize::MIN),
                Short('p') => port(&parser.value()?.string()?, overrides)?,
                Short('t') => arguments.root = Some(parser.value()?.into()),
                Short('u') => arguments.user = Some(parser.value()?.string()?),
                Short('X') => arguments.lock_file = Some(parser.value()?.into()),
                Long("check") => arguments.check = true,
                Long("follow") => *follow = true,
                Long("farewell") => arguments.farewell = farewell(&parser.value()?.string()?)?,
                Long("journal") => return Ok(Command::Journal(parser.value()?.into())),
                Short('C') => return Err(DEFAULTS.into()),
                Short('v') | Long("version") => return Ok(Command::Print(format!("bindyd {VERSION}\n"))),
                Short('V') => return Ok(Command::Print(build())),
                Short('h') | Long("help") => return Ok(Command::Print(USAGE.into())),
                Short(option @ ('F' | 's')) => arguments.ignored.push(option),
                Short(option @ ('m' | 'M')) => {
                    memory_flags(option, &parser.value()?.string()?)?;
                    arguments.ignored.push(option);
                }
                Short(option @ ('E' | 'S' | 'T' | 'U' | 'x')) => {
                    parser.value()?;
                    arguments.ignored.push(option);
                }
                Value(_) | Short(_) | Long(_) => return Err(argument.unexpected()),
            }
        }
        Ok(Command::Run(Box::new(arguments)))
    }
}

/// What is said of `-C`.
const DEFAULTS: &str = "-C: bindyd has no list of defaults; those that `named -C` prints hold, but for the ones in \
                        docs/named.conf.md";
/// The longest time that a server may answer on after SIGTERM, in seconds.
const LONGEST_FAREWELL: u64 = 3600;
const VERSION: &str = env!("CARGO_PKG_VERSION");

fn farewell(text: &str) -> Result<Duration, lexopt::Error> {
    let seconds = text.parse().ok().filter(|seconds| *seconds <= LONGEST_FAREWELL);
    let seconds = seconds.ok_or_else(|| format!("--farewell: `{text}` is no number from 0 to {LONGEST_FAREWELL}"))?;
    Ok(Duration::from_secs(seconds))
}

fn restrict(overrides: &mut Overrides, family: Family) -> Result<(), lexopt::Error> {
    match overrides.only.replace(family) {
        Some(other) if other != family => Err("-4 and -6 exclude each other".into()),
        _ => Ok(()),
    }
}

/// Checks the flags of `-m` or `-M`, words with commas between them, as named does.
fn memory_flags(option: char, text: &str) -> Result<(), lexopt::Error> {
    let known: &[&str] = if option == 'm' { &["none", "trace", "record", "usage"] } else { &["fill", "nofill"] };
    match text.split(',').find(|flag| !known.contains(flag)) {
        Some(flag) => Err(format!("-{option}: unrecognized flag '{flag}': it is one of {}", known.join(", ")).into()),
        None => Ok(()),
    }
}

/// Parses `PORT` or `dns=PORT`; the ports of TLS and HTTP have no effect, since there are no such listeners.
fn port(text: &str, overrides: &mut Overrides) -> Result<(), lexopt::Error> {
    let (kind, number) = text.split_once('=').unwrap_or(("dns", text));
    let number = number.parse().map_err(|_| format!("-p: `{number}` is no port"))?;
    match kind {
        "dns" => overrides.port = Some(number),
        "tls" | "https" | "http" => {}
        _ => return Err(format!("-p: `{kind}` is none of dns, tls, https, http").into()),
    }
    Ok(())
}

fn build() -> String {
    format!(
        "bindyd {VERSION}\nrunning on {} {}\ndefault paths:\n  named configuration:  /etc/bind/named.conf\n  \
         rndc key:             /etc/bind/rndc.key\n  nsupdate session key: {SESSION_KEY}\n  named PID file:       {PID}\n",
        std::env::consts::OS,
        std::env::consts::ARCH,
        SESSION_KEY = bindy_server::config::RunFiles::SESSION_KEY,
        PID = bindy_server::config::RunFiles::PID,
    )
}
