//! Notifies systemd of the server's state, for units of `Type=notify` and `notify-reload` (sd_notify(3)).

use std::{
    env,
    os::{
        linux::net::SocketAddrExt,
        unix::{ffi::OsStrExt, net::SocketAddr, net::UnixDatagram},
    },
};

use rustix::time::{ClockId, clock_gettime};

/// The service manager that started this process, if it wants notifications.
pub struct Supervisor(Option<UnixDatagram>);

impl Supervisor {
    /// Connects to the socket in `NOTIFY_SOCKET`. If that fails there are no notifications, but the server runs all the
    /// same.
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

    /// Reports that the server answers queries with its current configuration.
    pub fn ready(&self) {
        self.tell(&format!("READY=1\nMAINPID={}", std::process::id()));
    }

    /// Reports that the server is reading its configuration again.
    pub fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let microseconds = now.tv_sec * 1_000_000 + now.tv_nsec / 1000;
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={microseconds}"));
    }

    /// Reports that the server is about to end.
    pub fn stopping(&self) {
        self.tell("STOPPING=1");
    }

    fn tell(&self, message: &str) {
        // There is nowhere to report a failure.
        let _ = self.0.as_ref().map(|socket| socket.send(message.as_bytes()));
    }
}
