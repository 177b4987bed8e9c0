//! Daemonizing, as named does without `-f` or `-g`.
//!
//! A process with several threads cannot be forked, so the program starts itself a second time. The first process waits
//! until the second answers queries or has failed, and exits with the result.

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

/// The environment variable that gives the second process its parent's process ID.
const PARENT: &str = "BINDYD_PARENT";

/// Starts the background process, waits until it answers queries or has failed, and returns the exit code.
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

/// The foreground process, which reads this one's standard output to know when it is ready.
pub struct Parent {
    /// `/dev/null`, opened early, since a chroot may not have it.
    nowhere: File,
}

impl Parent {
    /// Returns the parent if this is the background process.
    pub fn find() -> io::Result<Option<Parent>> {
        let told = env::var(PARENT).ok().and_then(|number| number.parse::<i32>().ok());
        // The variable may have been inherited from another process.
        if told.is_none() || told != getppid().map(Pid::as_raw_pid) {
            return Ok(None);
        }
        Ok(Some(Parent { nowhere: OpenOptions::new().write(true).open("/dev/null")? }))
    }

    /// Reports readiness to the parent and detaches from the terminal.
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
