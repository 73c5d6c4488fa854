//! The cgroup v2 freezer: a whole job stands still at once, without a signal that it could see.
//!
//! The job lives in a child of our own cgroup, a [`Cell`], which its first process enters between
//! fork and exec; neither the supervisor nor the watchdog is ever inside. Our own cgroup may be divided
//! by root, or where systemd has delegated it. What is frozen reads `S` in `/proc/PID/stat`, is not
//! woken by SIGCONT, and dies of SIGKILL; other signals wait for the thaw.
//!
//! A cell is called `catrain-PID-N` by its supervisor. Cells that a dead supervisor left behind are
//! thawed and removed by whoever makes the next one beside them.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use nix::errno::Errno;
use nix::unistd::{AccessFlags, access};

use super::watchdog::Guard;
use crate::fault::{self, Point};

/// What every cell's name begins with.
const PREFIX: &str = "catrain-";
/// How many names are tried: a process that had our pid before may have left some.
const NAMES: u32 = 64;
/// How many cgroups inside a cell are looked into; a job that makes more of them is odd.
const INNER: usize = 256;

/// Why a job cannot be frozen here. Displayed it says what is the matter, [`Unavailable::fix`] what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// A host of the old kind.
    #[error("only version 1 of cgroups is mounted here, and its freezer is not used")]
    OnlyVersion1,
    /// No cgroups at all.
    #[error("no cgroup v2 file system is mounted here")]
    NotMounted,
    /// It is mounted, and what is mounted does not show us: a container's view.
    #[error("the cgroup of this process is outside of what is mounted here")]
    NotVisible,
    /// It is mounted read-only.
    #[error("`{}` is mounted read-only", path.display())]
    ReadOnly {
        /// Our own cgroup.
        path: PathBuf,
    },
    /// It belongs to somebody else.
    #[error("`{}` may not be written: this cgroup is not delegated to the user", path.display())]
    NotDelegated {
        /// Our own cgroup.
        path: PathBuf,
    },
    /// It may be divided and has no freezer.
    #[error("this kernel has no `cgroup.freeze`")]
    NoFreezer,
    /// The kernel made no child.
    #[error("cannot make `{}`: {cause}", path.display())]
    NotMade {
        /// The child.
        path: PathBuf,
        /// What the kernel said.
        cause: String,
    },
    /// The job's first process could not be put in.
    #[error("the job could not enter `{}`: {cause}", path.display())]
    NotEntered {
        /// The cell.
        path: PathBuf,
        /// What the kernel said.
        cause: String,
    },
}

impl Unavailable {
    /// What to do about it.
    pub fn fix(&self) -> &'static str {
        match self {
            Self::OnlyVersion1 => {
                "boot with `systemd.unified_cgroup_hierarchy=1`, or keep `--pause-with stop`"
            }
            Self::NotMounted => {
                "mount it with `mount -t cgroup2 none /sys/fs/cgroup`, or keep `--pause-with stop`"
            }
            Self::NotVisible => {
                "start the container with a cgroup namespace of its own (`--cgroupns=private`)"
            }
            Self::ReadOnly { .. } => {
                "start the container with a writable cgroup (`--privileged`, or a read-write mount of it)"
            }
            Self::NotDelegated { .. } => {
                "start it with `systemd-run --user --scope -p Delegate=yes catrain run …`"
            }
            Self::NoFreezer => "Linux 5.2 or later has it; keep `--pause-with stop` until then",
            Self::NotMade { .. } => {
                "see `cgroup.max.descendants` and `cgroup.max.depth` of the cgroups above it"
            }
            Self::NotEntered { .. } => {
                "start catrain in a cgroup of type `domain` (see `cgroup.type`) that may be divided"
            }
        }
    }

    /// Both in one sentence.
    pub fn in_words(&self) -> String {
        format!("{self}; {}", self.fix())
    }
}

/// Our own cgroup, which we may divide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Freezer {
    own: PathBuf,
}

impl Freezer {
    /// Finds it through the mounts and `/proc/self/cgroup`, both below `root`: `/`, or what a test has
    /// made.
    ///
    /// # Errors
    /// As [`Unavailable`] tells. That the kernel has a freezer shows only when a [`Cell`] is made.
    pub fn find(root: &Path) -> Result<Self, Unavailable> {
        let mounts = std::fs::read(root.join("proc/self/mounts")).unwrap_or_default();
        let entries = std::fs::read(root.join("proc/self/cgroup")).unwrap_or_default();
        let (points, has_version_1) = mount_points(&mounts);
        if points.is_empty() {
            return Err(if has_version_1 {
                Unavailable::OnlyVersion1
            } else {
                Unavailable::NotMounted
            });
        }
        let own = own_path(&entries).ok_or(Unavailable::NotVisible)?;
        let me = std::process::id().cast_signed();
        let own = points
            .iter()
            .flat_map(|point| {
                let point = root.join(point.strip_prefix("/").unwrap_or(point));
                // What is mounted may be a part of the hierarchy, and its mount point already one of
                // the folders on the way to us.
                (0..=own.len()).map(move |skipped| (point.clone(), skipped))
            })
            .map(|(point, skipped)| point.join(own[skipped..].iter().collect::<PathBuf>()))
            .find(|folder| pids_in(folder).is_some_and(|pids| pids.contains(&me)))
            .ok_or(Unavailable::NotVisible)?;
        for place in [own.clone(), own.join("cgroup.procs")] {
            match access(&place, AccessFlags::W_OK) {
                Ok(()) => {}
                Err(Errno::EROFS) => return Err(Unavailable::ReadOnly { path: own }),
                Err(_) => return Err(Unavailable::NotDelegated { path: own }),
            }
        }
        Ok(Self { own })
    }

    /// The folder of our own cgroup.
    pub fn own(&self) -> &Path {
        &self.own
    }

    /// Thaws and removes what dead supervisors left here. A job that runs on in one keeps it. Done
    /// whenever a [`Cell`] is made; worth doing by itself, since a job whose supervisor and watchdog
    /// were killed in the same moment waits in one.
    pub fn sweep(&self) {
        let entries = std::fs::read_dir(&self.own).into_iter().flatten();
        for entry in entries.flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(supervisor_in) else {
                continue;
            };
            if std::fs::exists(format!("/proc/{pid}")).unwrap_or(true) {
                continue;
            }
            // Alive in another pid namespace it still has the lock.
            let is_free = File::open(entry.path()).is_ok_and(|folder| folder.try_lock().is_ok());
            if is_free {
                let _ = thaw(&entry.path());
                let _ = std::fs::remove_dir(entry.path());
            }
        }
    }
}

/// The cgroup of one job. Dropped, it is thawed, and removed if nobody is left in it.
#[derive(Debug)]
pub struct Cell {
    path: PathBuf,
    /// Open for the first process, which writes itself in.
    procs: File,
    /// Locked for as long as we live.
    _lock: Option<File>,
    /// Whether we have asked for it to be frozen.
    is_held: bool,
    /// Where those that were moved in by hand came from, and go back to.
    origin: Option<PathBuf>,
}

impl Cell {
    /// Makes a cell. A watchdog that is there already hears of it first, another one when a pause
    /// begins. Removes what dead supervisors left beside it.
    ///
    /// # Errors
    /// As [`Unavailable`] tells; nothing is left behind then.
    pub fn make(freezer: &Freezer, mut guard: Option<&mut Guard>) -> Result<Self, Unavailable> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        freezer.sweep();
        let pid = std::process::id();
        let mut path = PathBuf::new();
        let mut made = Err(io::Error::from(io::ErrorKind::AlreadyExists));
        for _ in 0..NAMES {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            path = freezer.own.join(format!("{PREFIX}{pid}-{number}"));
            if let Some(guard) = &mut guard {
                // One that is lost shows in its events, and hears of nothing.
                let _ = guard.enclose(&path);
            }
            fault::at(Point::CellAnnounced);
            made = std::fs::create_dir(&path);
            let is_taken = |error: &io::Error| error.kind() == io::ErrorKind::AlreadyExists;
            if !made.as_ref().is_err_and(is_taken) {
                break;
            }
        }
        if let Err(cause) = made {
            return Err(match cause.raw_os_error().map(Errno::from_raw) {
                Some(Errno::EROFS) => Unavailable::ReadOnly {
                    path: freezer.own.clone(),
                },
                Some(Errno::EACCES | Errno::EPERM) => Unavailable::NotDelegated {
                    path: freezer.own.clone(),
                },
                _ => Unavailable::NotMade {
                    path,
                    cause: cause.to_string(),
                },
            });
        }
        fault::at(Point::CellMade);
        match Self::open(&path) {
            Ok(cell) => Ok(cell),
            Err(error) => {
                let _ = std::fs::remove_dir(&path);
                Err(error)
            }
        }
    }

    fn open(path: &Path) -> Result<Self, Unavailable> {
        if !path.join("cgroup.freeze").exists() {
            return Err(Unavailable::NoFreezer);
        }
        let procs = write_only(&path.join("cgroup.procs"));
        let procs = procs.map_err(|cause| Unavailable::NotEntered {
            path: path.to_owned(),
            cause: cause.to_string(),
        })?;
        let lock = File::open(path).ok();
        let lock = lock.filter(|folder| folder.try_lock().is_ok());
        Ok(Self {
            path: path.to_owned(),
            procs,
            _lock: lock,
            is_held: false,
            origin: None,
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where a process writes `0` to enter.
    pub(super) fn door(&self) -> &File {
        &self.procs
    }

    /// Moves a process in that runs already.
    pub(super) fn take(&mut self, pid: i32) -> io::Result<()> {
        self.procs.write_all(pid.to_string().as_bytes())
    }

    /// Whoever is inside at the end is to go back there.
    pub(super) fn came_from(&mut self, origin: PathBuf) {
        self.origin = Some(origin);
    }

    /// Whether we have asked for it to be frozen and not for its thaw.
    pub(super) fn is_held(&self) -> bool {
        self.is_held
    }

    /// Asks for it to be frozen. The kernel takes a moment: see [`Cell::is_frozen`].
    pub(super) fn freeze(&mut self) -> io::Result<()> {
        // First, so that a panic in between thaws it.
        self.is_held = true;
        write_only(&self.path.join("cgroup.freeze"))?.write_all(b"1")
    }

    /// Whether everybody inside stands still.
    pub(super) fn is_frozen(&self) -> bool {
        std::fs::read_to_string(self.path.join("cgroup.events"))
            .is_ok_and(|text| text.lines().any(|line| line == "frozen 1"))
    }

    /// Everybody inside goes on, unless the job had stopped it itself.
    pub(super) fn thaw(&mut self) -> io::Result<()> {
        if self.is_held {
            thaw(&self.path)?;
            self.is_held = false;
        }
        Ok(())
    }
}

impl Drop for Cell {
    fn drop(&mut self) {
        let _ = self.thaw();
        if let Some(mut door) =
            (self.origin.as_ref()).and_then(|origin| write_only(&origin.join("cgroup.procs")).ok())
        {
            for pid in members(&self.path) {
                let _ = door.write_all(pid.to_string().as_bytes());
            }
        }
        let _ = std::fs::remove_dir(&self.path);
    }
}

/// Whether a job can be frozen here: makes a cell and removes it again.
///
/// # Errors
/// As [`Unavailable`] tells.
pub fn try_out(root: &Path) -> Result<(), Unavailable> {
    Cell::make(&Freezer::find(root)?, None).map(drop)
}

/// Thaws a cell, whoever it belongs to.
pub(super) fn thaw(cell: &Path) -> io::Result<()> {
    write_only(&cell.join("cgroup.freeze"))?.write_all(b"0")
}

/// Whether a cell is frozen or was asked to be.
pub(super) fn is_closed(cell: &Path) -> bool {
    std::fs::read(cell.join("cgroup.freeze")).is_ok_and(|text| text.starts_with(b"1"))
}

/// The processes in a cell, and in what the job has made inside it. Zombies are in none.
pub(super) fn members(cell: &Path) -> BTreeSet<i32> {
    let mut all = BTreeSet::new();
    let mut open = vec![cell.to_owned()];
    let mut looked = 0;
    while let Some(folder) = open.pop() {
        all.extend(pids_in(&folder).into_iter().flatten());
        looked += 1;
        if looked > INNER {
            break;
        }
        let entries = std::fs::read_dir(&folder).into_iter().flatten().flatten();
        let inner = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        open.extend(inner.map(|entry| entry.path()));
    }
    all
}

/// The cgroup that a process is in, as a folder, if it is below the same mount as `cell`'s parent.
pub(super) fn folder_of(pid: i32, freezer: &Freezer) -> Option<PathBuf> {
    let path_of = |pid: &str| {
        let entries = std::fs::read(format!("/proc/{pid}/cgroup")).ok()?;
        Some(own_path(&entries)?.iter().collect::<PathBuf>())
    };
    let own = path_of("self")?;
    let mount = freezer.own.ancestors().nth(own.components().count())?;
    let folder = mount.join(path_of(&pid.to_string())?);
    pids_in(&folder)?.contains(&pid).then_some(folder)
}

fn pids_in(folder: &Path) -> Option<BTreeSet<i32>> {
    let mut text = String::new();
    let file = File::open(folder.join("cgroup.procs"));
    file.ok()?.read_to_string(&mut text).ok()?;
    Some(text.lines().filter_map(|pid| pid.parse().ok()).collect())
}

/// For writing, and never made: a cell that is gone stays gone.
fn write_only(path: &Path) -> io::Result<File> {
    File::options().write(true).open(path)
}

/// Where version 2 is mounted, and whether version 1 is. Lines of `/proc/self/mounts`: what, where,
/// kind, options.
fn mount_points(mounts: &[u8]) -> (Vec<PathBuf>, bool) {
    let mut points = Vec::new();
    let mut has_version_1 = false;
    for line in mounts.split(|&byte| byte == b'\n') {
        let mut words = line.split(|&byte| byte == b' ').skip(1);
        let (Some(point), Some(kind)) = (words.next(), words.next()) else {
            continue;
        };
        match kind {
            b"cgroup2" => points.push(PathBuf::from(OsStr::from_bytes(&unescaped(point)))),
            b"cgroup" => has_version_1 = true,
            _ => {}
        }
    }
    (points, has_version_1)
}

/// proc_pid_mounts(5): blanks, tabs, newlines and backslashes stand as `\` and three octal digits.
fn unescaped(word: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(word.len());
    let mut rest = word;
    while let Some((&first, after)) = rest.split_first() {
        let code = after.first_chunk::<3>().filter(|_| first == b'\\');
        let code = code.and_then(|code| std::str::from_utf8(code).ok());
        match code.and_then(|code| u8::from_str_radix(code, 8).ok()) {
            Some(byte) => {
                plain.push(byte);
                rest = &after[3..];
            }
            None => {
                plain.push(first);
                rest = after;
            }
        }
    }
    plain
}

/// The folders on the way to a process's cgroup: cgroups(7), `0::/path`. None if it is outside of the
/// namespace (`/../…`) or in no cgroup of version 2.
fn own_path(entries: &[u8]) -> Option<Vec<PathBuf>> {
    let path = (entries.split(|&byte| byte == b'\n')).find_map(|line| line.strip_prefix(b"0::"))?;
    let mut folders = Vec::new();
    for component in Path::new(OsStr::from_bytes(path)).components() {
        match component {
            Component::Normal(folder) => folders.push(PathBuf::from(folder)),
            Component::RootDir => {}
            _ => return None,
        }
    }
    Some(folders)
}

/// The pid in the name of a cell.
fn supervisor_in(name: &str) -> Option<u32> {
    let (pid, number) = name.strip_prefix(PREFIX)?.split_once('-')?;
    number.parse::<u32>().ok()?;
    pid.parse().ok()
}

#[cfg(test)]
mod tests;
