//! Telling systemd how it goes, for units of `Type=notify` and `notify-reload` (sd_notify(3)).

use std::{
    env,
    os::{
        linux::net::SocketAddrExt,
        unix::{ffi::OsStrExt, net::SocketAddr, net::UnixDatagram},
    },
};

use rustix::time::{ClockId, clock_gettime};

/// Whoever started this process and wants to hear of it.
pub struct Supervisor(Option<UnixDatagram>);

impl Supervisor {
    /// The one that the environment names. What cannot be reached is not there: the server serves all the same.
    pub fn from_environment() -> Supervisor {
        let connect = || {
            let path = env::var_os("NOTIFY_SOCKET")?;
            let address = match path.as_bytes() {
                [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
                _ => SocketAddr::from_pathname(path),
            };
            let socket = UnixDatagram::unbound().ok()?;
            socket.connect_addr(&address.ok()?).ok()?;
            socket.set_nonblocking(true).ok()?;
            Some(socket)
        };
        Supervisor(connect())
    }

    /// It answers queries, with what is configured now.
    pub fn ready(&self) {
        self.tell(&format!("READY=1\nMAINPID={}", std::process::id()));
    }

    /// It reads its configuration again.
    pub fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let microseconds = now.tv_sec * 1_000_000 + now.tv_nsec / 1000;
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={microseconds}"));
    }

    /// It is about to end.
    pub fn stopping(&self) {
        self.tell("STOPPING=1");
    }

    fn tell(&self, message: &str) {
        // There is nobody else to tell if that fails.
        let _ = self.0.as_ref().map(|socket| socket.send(message.as_bytes()));
    }
}
