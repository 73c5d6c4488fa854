//! The job's output on its way through us, where it has to be heard and is no file: our end.
//!
//! Between the job and our stdout (or stderr) stands a pipe, or a terminal of its own where stdout is
//! one. A process, `carbon-relay`, copies from there to the real one, byte for byte, and offers the
//! supervisor a second copy, which is dropped when nobody takes it. It ends with the output and
//! outlives the supervisor, so no line is lost when that dies. The supervisor keeps the reading end
//! open too: if the relay dies, the job's next line waits for a new one and costs no SIGPIPE. What a
//! relay that is killed has in its hands, 64 KiB at most, is lost; nothing is written twice.
//!
//! When whoever reads our stdout is gone, both let go of the reading end, and the job is told by
//! SIGPIPE as it would have been without us.

mod process;

use std::io::{self, Read};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl, open};
use nix::libc;
use nix::pty::{grantpt, posix_openpt, ptsname_r, unlockpt};
use nix::sys::signal::{SigSet, SigmaskHow, sigprocmask};
use nix::sys::stat::Mode;
use nix::sys::termios::{SetArg, cfmakeraw, tcgetattr, tcsetattr};
use tokio::time::{Instant, sleep_until};

use super::readiness::Readiness;
use super::tree;
pub use process::{NAME, relay_main};

/// What the pipe with the copy may hold, if the user's share of such memory allows.
const COPY_SIZE: i32 = 256 << 10;
/// How often [`Relay::drained`] looks whether bytes flow.
const LOOK: Duration = Duration::from_millis(50);
/// How many times its limit [`Relay::drained`] waits for a reader that is slow and takes some.
const SLOW_READER: u32 = 15;

/// How a relay ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Everything was copied: nobody has the job's end open any more.
    Copied,
    /// Whoever reads our output is gone, and the job is about to be told.
    ReaderGone,
    /// It was killed: [`Relay::restart`].
    Lost,
}

/// A running relay. Dropped, it goes on until the end of the job's output.
#[derive(Debug)]
pub struct Relay {
    program: std::path::PathBuf,
    /// Our stdout or stderr.
    real: OwnedFd,
    /// Where the job's output is read.
    far: Option<OwnedFd>,
    /// What the job writes to; ours until it has its own.
    near: Option<OwnedFd>,
    is_terminal: bool,
    /// Both ends, so that the next relay can go on with it.
    copy: (OwnedFd, OwnedFd),
    /// Tells of the relay's end.
    life: io::PipeReader,
    pid: i32,
    fate: Option<Fate>,
}

impl Relay {
    /// Starts a relay from this very program for our stdout or stderr. To be called before the job
    /// starts.
    ///
    /// # Errors
    /// There is no pipe, terminal or process to be had: let the job write for itself.
    pub fn prepare(real: impl AsFd) -> io::Result<Self> {
        Self::prepare_with(Path::new("/proc/self/exe"), real)
    }

    /// Starts one from another file of this program: one whose `main` calls [`relay_main`] when its
    /// first argument is [`NAME`].
    ///
    /// # Errors
    /// As [`Relay::prepare`].
    pub fn prepare_with(program: &Path, real: impl AsFd) -> io::Result<Self> {
        let real = real.as_fd().try_clone_to_owned()?;
        let is_terminal = nix::unistd::isatty(&real).unwrap_or(false);
        let (far, near) = match is_terminal {
            true => terminal_like(real.as_fd())?,
            false => io::pipe().map(|(far, near)| (far.into(), near.into()))?,
        };
        let (taken, offered) = io::pipe()?;
        for end in [taken.as_fd(), offered.as_fd()] {
            // Ours alone: neither the job nor anybody before us has it.
            fcntl(end, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        }
        let _ = fcntl(&offered, FcntlArg::F_SETPIPE_SZ(COPY_SIZE));
        let copy = (taken.into(), offered.into());
        let (life, pid) = start(program, &far, &real, &copy.1, Attempt::First)?;
        Ok(Self {
            program: program.to_owned(),
            real,
            far: Some(far),
            near: Some(near),
            is_terminal,
            copy,
            life,
            pid,
            fate: None,
        })
    }

    /// What the job is to have as its stdout or stderr.
    ///
    /// # Errors
    /// There are no descriptors left, or the job has been started.
    pub fn job_end(&self) -> io::Result<OwnedFd> {
        let near = self.near.as_ref().ok_or(io::ErrorKind::BrokenPipe)?;
        near.try_clone()
    }

    /// The job has its end, or could not be started: ours is closed, so that the relay sees the end of
    /// the output.
    pub fn started(&mut self) {
        self.near = None;
    }

    /// The copy of what the job writes, to be read without blocking. Where something was left out,
    /// the line before it has a zero byte.
    ///
    /// # Errors
    /// There are no descriptors left.
    pub fn copy(&self) -> io::Result<OwnedFd> {
        self.copy.0.try_clone()
    }

    /// Its process id.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Readable when [`Relay::fate`] has something to tell, for an event loop. Of a new relay after
    /// [`Relay::restart`] it is another.
    ///
    /// # Errors
    /// There are no descriptors left.
    pub fn events_fd(&self) -> io::Result<OwnedFd> {
        self.life.as_fd().try_clone_to_owned()
    }

    /// Whether and how it has ended.
    pub fn fate(&mut self) -> Option<Fate> {
        if self.fate.is_none() {
            let mut word = [0];
            let fate = loop {
                match self.life.read(&mut word) {
                    Ok(1) if word[0] == process::COPIED => break Fate::Copied,
                    Ok(1) => break Fate::ReaderGone,
                    Ok(_) => break Fate::Lost,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => return None,
                    Err(_) => break Fate::Lost,
                }
            };
            if fate != Fate::Lost {
                self.far = None;
                self.near = None;
            }
            self.fate = Some(fate);
        }
        self.fate
    }

    /// Whether it was killed.
    pub fn is_lost(&mut self) -> bool {
        self.fate() == Some(Fate::Lost)
    }

    /// Starts another in place of a lost one, which goes on where that one ended.
    ///
    /// # Errors
    /// There is no process to be had; what the job writes waits, and so will the job.
    pub fn restart(&mut self) -> io::Result<()> {
        if !self.is_lost() {
            return Ok(());
        }
        let far = self.far.as_ref().ok_or(io::ErrorKind::BrokenPipe)?;
        let (life, pid) = start(&self.program, far, &self.real, &self.copy.1, Attempt::Again)?;
        (self.life, self.pid, self.fate) = (life, pid, None);
        Ok(())
    }

    /// Gives the job's terminal the size of ours. Whoever is to know of it gets SIGWINCH from us.
    pub fn resize(&self) {
        if let Some(far) = self.far.as_ref().filter(|_| self.is_terminal) {
            copy_size(self.real.as_fd(), far.as_fd());
        }
    }

    /// Waits after the job's end until all it wrote was copied: at most `limit`, and longer only
    /// while bytes still flow. Gives whether it was. If not (a worker left behind has the output open,
    /// or nobody reads), the relay goes on without us. To be called within a runtime with time.
    pub async fn drained(&mut self, limit: Duration) -> bool {
        self.started();
        let begun = Instant::now();
        let (mut give_up, last) = (begun + limit, begun + limit * SLOW_READER);
        let mut written = self.written();
        loop {
            match self.fate() {
                Some(Fate::Copied | Fate::ReaderGone) => return true,
                Some(Fate::Lost) if self.restart().is_err() => return false,
                Some(Fate::Lost) | None => {}
            }
            let now = Instant::now();
            if now >= give_up.min(last) {
                return false;
            }
            // Without a handle to wait for, looking now and then does as well.
            let life = Readiness::of(&self.life);
            tokio::select! {
                Some(()) = ended(life.ok()) => {}
                () = sleep_until((now + LOOK).min(give_up)) => {}
            }
            let so_far = self.written();
            if so_far.is_some() && so_far != written {
                written = so_far;
                give_up = Instant::now() + limit;
            }
        }
    }

    /// Bytes that the relay has written since its start, by the kernel's account.
    fn written(&self) -> Option<u64> {
        let account = std::fs::read_to_string(format!("/proc/{}/io", self.pid)).ok()?;
        let written = account
            .lines()
            .find_map(|line| line.strip_prefix("wchar: "));
        written?.parse().ok()
    }
}

async fn ended(life: Option<Readiness>) -> Option<()> {
    life?.arrived().await.ok()
}

/// Which one of a run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Attempt {
    First,
    /// The last one may have died in the middle of a line.
    Again,
}

fn start(
    program: &Path,
    far: &OwnedFd,
    real: &OwnedFd,
    copy: &OwnedFd,
    attempt: Attempt,
) -> io::Result<(io::PipeReader, i32)> {
    let (life, its_life) = io::pipe()?;
    fcntl(&life, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    let number = its_life.as_raw_fd();
    let mut command = Command::new(program);
    command
        .arg0(NAME)
        .arg(std::process::id().to_string())
        .arg(number.to_string())
        .args((attempt == Attempt::Again).then_some(process::TORN))
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::from(far.try_clone()?))
        .stdout(Stdio::from(real.try_clone()?))
        .stderr(Stdio::from(copy.try_clone()?));
    // SAFETY: between fork and exec only system calls are made, and `its_life` is open until the
    // child was started.
    unsafe {
        command.pre_exec(move || {
            nix::unistd::setsid()?;
            let its_life = BorrowedFd::borrow_raw(number);
            fcntl(its_life, FcntlArg::F_SETFD(FdFlag::empty()))?;
            // Before exec, so that there is no moment at which a signal to everyone ends it.
            sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), None)?;
            Ok(())
        });
    }
    let child = command.spawn()?;
    // Its end must live in the relay alone, or its death would not be seen.
    drop(its_life);
    let pid = child.id().cast_signed();
    tree::exclude(pid);
    Ok((life, pid))
}

/// A terminal of the size of another that changes no byte: both of its ends.
fn terminal_like(real: BorrowedFd<'_>) -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let master = posix_openpt(flags)?;
    grantpt(&master)?;
    unlockpt(&master)?;
    let name = ptsname_r(&master)?;
    let near = open(Path::new(&name), flags, Mode::empty())?;
    let mut settings = tcgetattr(&near)?;
    // The real terminal does what is to be done to the output, once.
    cfmakeraw(&mut settings);
    tcsetattr(&near, SetArg::TCSANOW, &settings)?;
    let far = master.as_fd().try_clone_to_owned()?;
    copy_size(real, far.as_fd());
    Ok((far, near))
}

fn copy_size(from: BorrowedFd<'_>, to: BorrowedFd<'_>) {
    let mut size = MaybeUninit::<libc::winsize>::zeroed();
    // SAFETY: both requests take a `winsize`, which is all integers and lives through the calls.
    unsafe {
        if libc::ioctl(from.as_raw_fd(), libc::TIOCGWINSZ, size.as_mut_ptr()) == 0 {
            libc::ioctl(to.as_raw_fd(), libc::TIOCSWINSZ, size.as_ptr());
        }
    }
}
