//! What systemd is told of a run that is its service: that it is up, how it stands, that it lives.
//!
//! A datagram to the socket that `NOTIFY_SOCKET` names, as sd_notify(3) has it, without its library.
//! Nothing is sent, and nothing costs anything, where there is no such variable. The socket never
//! blocks: what it does not take is sent again by the next occasion. The job sees neither this variable
//! nor those of the watchdog ([`VARIABLES`]): it would speak for us, and one that is paused for
//! hours would look hung.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// What a service manager tells its service, and no other.
pub const VARIABLES: [&str; 3] = ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"];
/// Bytes of a status; who shows it shows one line.
const LONGEST: usize = 500;

/// A service manager that listens.
#[derive(Debug)]
pub struct Manager {
    socket: UnixDatagram,
    address: SocketAddr,
    /// How long it waits for a sign of life before it takes us for hung; none: for ever.
    watchdog: Option<Duration>,
}

impl Manager {
    /// The one that started this process, if it wants to be told. `pid` is our own: the watchdog may
    /// be meant for another process.
    ///
    /// # Errors
    /// It wants to, and in a way that is not known here.
    pub fn of_environment(
        env: &dyn Fn(&str) -> Option<OsString>,
        pid: u32,
    ) -> io::Result<Option<Self>> {
        let Some(name) = env("NOTIFY_SOCKET").filter(|name| !name.is_empty()) else {
            return Ok(None);
        };
        let address = address(&name)?;
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        // Who is not there yet may be later: then it is looked for again.
        drop(socket.connect_addr(&address));
        let number = |name: &str| env(name)?.to_str()?.parse::<u64>().ok();
        let is_ours = env("WATCHDOG_PID").is_none() || number("WATCHDOG_PID") == Some(pid.into());
        let watchdog = number("WATCHDOG_USEC").filter(|usec| *usec > 0 && is_ours);
        Ok(Some(Self {
            socket,
            address,
            watchdog: watchdog.map(Duration::from_micros),
        }))
    }

    /// Within which time it wants a sign of life.
    pub fn watchdog(&self) -> Option<Duration> {
        self.watchdog
    }

    /// Tells it; whether it was taken. Never waits.
    pub fn tell(&self, words: &[Word<'_>]) -> bool {
        let lines: Vec<String> = words.iter().map(Word::line).collect();
        let text = lines.join("\n");
        let send = || self.socket.send(text.as_bytes());
        let sent = match send() {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => {
                (self.socket.connect_addr(&self.address)).and_then(|()| send())
            }
            sent => sent,
        };
        sent.is_ok_and(|length| length == text.len())
    }
}

/// What can be said.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Word<'a> {
    /// The run is under control.
    Ready,
    /// The configuration is read anew, since this time on the monotonic clock; ended by [`Word::Ready`].
    Reloading(Duration),
    /// The run is about to end.
    Stopping,
    /// How it stands, for `systemctl status`.
    Status(&'a str),
    /// The thread that decides is alive.
    Alive,
}

impl Word<'_> {
    fn line(&self) -> String {
        match self {
            Self::Ready => "READY=1".to_owned(),
            Self::Reloading(since) => {
                format!("RELOADING=1\nMONOTONIC_USEC={}", since.as_micros())
            }
            Self::Stopping => "STOPPING=1".to_owned(),
            Self::Status(text) => {
                // A line end would begin another word.
                let text = text.replace(char::is_control, " ");
                let end = text.floor_char_boundary(LONGEST);
                format!("STATUS={}", &text[..end])
            }
            Self::Alive => "WATCHDOG=1".to_owned(),
        }
    }
}

/// A path, or with `@` a name that is in no file system.
fn address(name: &OsStr) -> io::Result<SocketAddr> {
    match name.as_bytes() {
        [b'@', rest @ ..] => SocketAddr::from_abstract_name(rest),
        [b'/', ..] => SocketAddr::from_pathname(name),
        _ => {
            let name = name.to_string_lossy();
            let why = format!("`{name}` is neither a path nor an abstract name");
            Err(io::Error::new(io::ErrorKind::InvalidInput, why))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manager(set: &[(&str, &str)]) -> io::Result<Option<Manager>> {
        let env = |wanted: &str| {
            let found = set.iter().find(|(name, _)| *name == wanted);
            found.map(|(_, value)| OsString::from(value))
        };
        Manager::of_environment(&env, 17)
    }

    fn heard(socket: &UnixDatagram) -> String {
        let mut text = [0; 1000];
        let length = socket.recv(&mut text).unwrap();
        String::from_utf8_lossy(&text[..length]).into_owned()
    }

    #[test]
    fn what_is_said_arrives_at_a_path_and_at_an_abstract_name() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("notify");
        let by_path = UnixDatagram::bind(&path).unwrap();
        let name = format!("catrain-test-{}", std::process::id());
        let abstract_one = SocketAddr::from_abstract_name(&name).unwrap();
        let by_name = UnixDatagram::bind_addr(&abstract_one).unwrap();
        let variable = format!("@{name}");
        for (variable, socket) in [(path.to_str().unwrap(), by_path), (&variable, by_name)] {
            let manager = manager(&[("NOTIFY_SOCKET", variable)]).unwrap().unwrap();
            assert!(manager.tell(&[Word::Ready, Word::Status("held\nREADY=1")]));
            assert_eq!(heard(&socket), "READY=1\nSTATUS=held READY=1");
            assert!(manager.tell(&[Word::Reloading(Duration::from_millis(7))]));
            assert_eq!(heard(&socket), "RELOADING=1\nMONOTONIC_USEC=7000");
        }
    }

    #[test]
    fn nobody_is_told_where_nobody_listens_and_a_full_queue_is_not_waited_for() {
        assert!(manager(&[]).unwrap().is_none());
        assert!(manager(&[("NOTIFY_SOCKET", "")]).unwrap().is_none());
        assert!(manager(&[("NOTIFY_SOCKET", "vsock:2:1234")]).is_err());
        let gone = manager(&[("NOTIFY_SOCKET", "/nonexistent/notify")]);
        assert!(!gone.unwrap().unwrap().tell(&[Word::Ready]));

        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("notify");
        let _silent = UnixDatagram::bind(&path).unwrap();
        let manager = manager(&[("NOTIFY_SOCKET", path.to_str().unwrap())]);
        let manager = manager.unwrap().unwrap();
        let taken = (0..100_000).take_while(|_| manager.tell(&[Word::Alive]));
        assert!(taken.count() < 100_000);
    }

    #[test]
    fn the_watchdog_is_ours_where_it_names_nobody_or_us() {
        let watchdog = |more: &[(&str, &str)]| {
            let socket = [("NOTIFY_SOCKET", "@x")];
            manager(&[&socket, more].concat())
                .unwrap()
                .unwrap()
                .watchdog()
        };
        let usec = ("WATCHDOG_USEC", "30000000");
        assert_eq!(watchdog(&[]), None);
        assert_eq!(watchdog(&[usec]), Some(Duration::from_secs(30)));
        assert_eq!(
            watchdog(&[usec, ("WATCHDOG_PID", "17")]),
            Some(Duration::from_secs(30))
        );
        assert_eq!(watchdog(&[usec, ("WATCHDOG_PID", "18")]), None);
        assert_eq!(watchdog(&[("WATCHDOG_USEC", "0")]), None);
    }
}
