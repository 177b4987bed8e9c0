//! Leaving the terminal, as named does unless `-f` or `-g` keep it.
//!
//! A process of several threads cannot be forked, so the program starts itself once more: the first process waits until
//! the second answers queries, or has failed, and ends with its verdict.

use std::{
    env,
    fs::{File, OpenOptions},
    io::{self, Read, Write},
    os::unix::process::CommandExt,
    process::{Command, ExitCode, Stdio},
};

use rustix::{
    process::{Pid, getppid, setsid},
    stdio::{dup2_stderr, dup2_stdout},
};

/// Tells the second process whose child it is.
const PARENT: &str = "BINDYD_PARENT";

/// Starts the process that is to stay, waits until it answers queries or has failed, and gives what to end with.
pub fn start() -> io::Result<ExitCode> {
    let mut arguments = env::args_os();
    let name = arguments.next().unwrap_or_else(|| "bindyd".into());
    let mut child = Command::new(env::current_exe()?)
        .arg0(name)
        .args(arguments)
        .env(PARENT, std::process::id().to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut answers = [0];
    let told = child.stdout.take().map_or(Ok(0), |mut stdout| stdout.read(&mut answers))?;
    if told > 0 {
        return Ok(ExitCode::SUCCESS);
    }
    let code = child.wait()?.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}

/// The process that waits for this one, through its standard output.
pub struct Parent {
    /// Opened while it can be: another root may have none.
    nowhere: File,
}

impl Parent {
    /// If this is the process that is to stay.
    pub fn find() -> io::Result<Option<Parent>> {
        let told = env::var(PARENT).ok().and_then(|number| number.parse::<i32>().ok());
        // The variable may have come to someone else's child.
        if told.is_none() || told != getppid().map(Pid::as_raw_pid) {
            return Ok(None);
        }
        Ok(Some(Parent { nowhere: OpenOptions::new().write(true).open("/dev/null")? }))
    }

    /// Lets it go, and the terminal too.
    pub fn leave(self) -> io::Result<()> {
        setsid()?;
        let mut stdout = io::stdout();
        stdout.write_all(b"\n")?;
        stdout.flush()?;
        dup2_stdout(&self.nowhere)?;
        dup2_stderr(&self.nowhere)?;
        Ok(())
    }
}
