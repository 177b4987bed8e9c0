//! The system log, written as libc's syslog(3) does: in RFC 3164's format, in datagrams to `/dev/log`.

use std::{ffi::OsString, io, os::unix::net::UnixDatagram, path::PathBuf, sync::Mutex};

use jiff::Zoned;

use super::{Facility, Severity};
use crate::sync::lock;

/// A client of the system log.
pub(super) struct Syslog {
    path: PathBuf,
    ident: String,
    /// Connected early, since the socket may lie outside the server's chroot.
    socket: Mutex<Option<UnixDatagram>>,
}

impl Syslog {
    /// Connects to the socket in the environment variable `BINDYD_SYSLOG`, or `/dev/log`.
    pub(super) fn connect(ident: &str) -> Syslog {
        let path = std::env::var_os("BINDYD_SYSLOG").unwrap_or_else(|| OsString::from("/dev/log")).into();
        let syslog = Syslog { path, ident: ident.into(), socket: Mutex::default() };
        *lock(&syslog.socket) = syslog.open().ok();
        syslog
    }

    /// Sends a line without waiting.
    ///
    /// # Errors
    /// `WouldBlock` if the log has no room; any other error if there is no log.
    pub(super) fn send(&self, facility: Facility, severity: Severity, time: &Zoned, line: &str) -> io::Result<()> {
        let message = message(facility, severity, time, &self.ident, std::process::id(), line);
        let mut socket = lock(&self.socket);
        let sent = socket.as_ref().map(|socket| socket.send(message.as_bytes()));
        match sent {
            Some(Ok(_)) => Ok(()),
            Some(Err(error)) if error.kind() == io::ErrorKind::WouldBlock => Err(error),
            // The log was restarted or has only just been started.
            Some(Err(_)) | None => {
                *socket = None;
                let again = self.open()?;
                again.send(message.as_bytes())?;
                *socket = Some(again);
                Ok(())
            }
        }
    }

    fn open(&self) -> io::Result<UnixDatagram> {
        let socket = UnixDatagram::unbound()?;
        socket.connect(&self.path)?;
        socket.set_nonblocking(true)?;
        Ok(socket)
    }
}

fn message(facility: Facility, severity: Severity, time: &Zoned, ident: &str, process: u32, line: &str) -> String {
    let priority = facility.number() * 8 + severity.in_syslog();
    format!("<{priority}>{} {ident}[{process}]: {line}", time.strftime("%b %e %H:%M:%S"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    #[test]
    fn messages_are_to_the_octet_what_named_sends() {
        let daemon = Facility::from_name("daemon").unwrap();
        let time = date(2026, 11, 21).at(8, 38, 6, 0).in_tz("UTC").unwrap();
        let sent = message(daemon, Severity::Notice, &time, "named", 18250, "all zones loaded");
        assert_eq!(sent, "<29>Nov 21 08:38:06 named[18250]: all zones loaded");
        let local = Facility::from_name("LOCAL7").unwrap();
        let time = date(2026, 2, 3).at(23, 0, 0, 0).in_tz("UTC").unwrap();
        let sent = message(local, Severity::Debug(9), &time, "bindyd", 1, "x");
        assert_eq!(sent, "<191>Feb  3 23:00:00 bindyd[1]: x");
        assert!(Facility::from_name("nobody").is_none());
    }

    #[test]
    fn it_is_found_again_after_it_was_gone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let syslog = Syslog { path: path.clone(), ident: "x".into(), socket: Mutex::default() };
        let send = || syslog.send(Facility::from_name("user").unwrap(), Severity::Info, &Zoned::now(), "line");
        assert!(send().is_err());
        for _ in 0..2 {
            let daemon = UnixDatagram::bind(&path).unwrap();
            send().unwrap();
            let mut octets = [0; 100];
            let length = daemon.recv(&mut octets).unwrap();
            assert!(octets[..length].ends_with(b"]: line"));
            drop(daemon);
            std::fs::remove_file(&path).unwrap();
        }
    }

    #[test]
    fn a_log_that_takes_nothing_holds_nobody_up() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let _stuck = UnixDatagram::bind(&path).unwrap();
        let syslog = Syslog { path, ident: "x".into(), socket: Mutex::default() };
        let line = "x".repeat(1000);
        let full = (0..100_000).find_map(|_| {
            syslog.send(Facility::from_name("user").unwrap(), Severity::Info, &Zoned::now(), &line).err()
        });
        assert_eq!(full.map(|error| error.kind()), Some(io::ErrorKind::WouldBlock));
    }
}
