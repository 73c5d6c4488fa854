//! Where the socket of a run is, and that it stays there.

use std::fs::{self, Permissions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::{self as raw, AddressFamily, SockFlag, SockType, UnixAddr};
use tokio::sync::oneshot;

use super::socket;

/// A socket that is listened at.
#[derive(Debug)]
pub struct Listener {
    pub(super) socket: UnixListener,
    /// Is dropped once another socket has taken its place.
    pub(super) in_place: oneshot::Receiver<()>,
    /// Of one that nobody replaces.
    pub(super) _for_good: Option<oneshot::Sender<()>>,
}

/// Opens a run's socket; a stale one is replaced. May block on the file system.
///
/// # Errors
/// The directory cannot be made or is not ours, the path is too long for a socket, or another run
/// of this name answers there.
pub fn listen(runtime: &Path, run: &str) -> io::Result<Listener> {
    let (for_good, in_place) = oneshot::channel();
    Ok(Listener {
        socket: bind(runtime, run)?,
        in_place,
        _for_good: Some(for_good),
    })
}

fn bind(runtime: &Path, run: &str) -> io::Result<UnixListener> {
    crate::dirs::secure(runtime)?;
    let path = socket(runtime, run);
    if answers(&path) {
        let what = format!("another run listens at {}", path.display());
        return Err(io::Error::new(io::ErrorKind::AddrInUse, what));
    }
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    // The directory is ours alone, so nobody else comes in before the mode is set.
    let listener = UnixListener::bind(&path)?;
    fs::set_permissions(&path, Permissions::from_mode(0o600))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Whether somebody listens there; never waits.
fn answers(path: &Path) -> bool {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let (Ok(address), Ok(probe)) = (
        UnixAddr::new(path),
        raw::socket(AddressFamily::Unix, SockType::Stream, flags, None),
    ) else {
        return false;
    };
    // A full queue is one that somebody made.
    matches!(
        raw::connect(probe.as_raw_fd(), &address),
        Ok(()) | Err(Errno::EAGAIN)
    )
}

/// What tells a socket that was opened from others at the same path.
struct Door {
    path: PathBuf,
    device: u64,
    inode: u64,
    /// Dropped with it: then whoever serves it ends.
    _in_place: oneshot::Sender<()>,
}

impl Door {
    fn open(runtime: &Path, run: &str) -> io::Result<(Self, Listener)> {
        let socket = bind(runtime, run)?;
        let path = super::socket(runtime, run);
        let facts = fs::symlink_metadata(&path)?;
        let (keep, in_place) = oneshot::channel();
        let door = Self {
            path,
            device: facts.dev(),
            inode: facts.ino(),
            _in_place: keep,
        };
        let listener = Listener {
            socket,
            in_place,
            _for_good: None,
        };
        Ok((door, listener))
    }

    fn is_there(&self) -> bool {
        fs::symlink_metadata(&self.path)
            .is_ok_and(|facts| (facts.dev(), facts.ino()) == (self.device, self.inode))
    }

    /// Takes it away where it is not looked for any more.
    fn close(self) {
        if self.is_there() {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Opens a run's socket and looks `every` so often whether it is still where `runtime` says that
/// sockets are, else opens another: runtime directories are removed at a logout, and by those who
/// clean up. What comes of it goes to `tell`, errors once an episode, until that is `false`: the run
/// is over. Blocks, and is for a thread of its own.
pub fn keep(
    runtime: impl Fn() -> Option<PathBuf>,
    run: &str,
    every: Duration,
    is_over: impl Fn() -> bool,
    mut tell: impl FnMut(io::Result<Listener>) -> bool,
) {
    let mut door: Option<Door> = None;
    let mut has_failed = false;
    while !is_over() {
        if let Some(directory) = runtime() {
            let is_kept = (door.as_ref())
                .is_some_and(|door| door.path == socket(&directory, run) && door.is_there());
            let opened = match is_kept {
                true => None,
                false => Some(Door::open(&directory, run)),
            };
            let goes_on = match opened {
                None => true,
                Some(Ok((new, listener))) => {
                    has_failed = false;
                    if let Some(old) = door.replace(new) {
                        old.close();
                    }
                    tell(Ok(listener))
                }
                Some(Err(_)) if has_failed => true,
                Some(Err(error)) => {
                    has_failed = true;
                    tell(Err(error))
                }
            };
            if !goes_on {
                return;
            }
        }
        std::thread::park_timeout(every);
    }
}
