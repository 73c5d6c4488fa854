//! What is heard of the job: its progress, the proof that it has saved, and what stands between its
//! output and ours where that has to be heard and is no file.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use super::super::settings;
use crate::cli::{ProgressFrom, RunArgs};
use crate::error::Failure;
use crate::executor::readiness::Readiness;
use crate::executor::relay::{Fate, Relay};
use crate::listen::{self, Ear, Heard, Hearing, Listener, is_regular};
use crate::supervise::progress::{Patterns, bounded};

/// How long the end waits for output on its way, and longer while bytes still flow.
const LAST_OUTPUT: Duration = Duration::from_secs(2);

/// One of our own streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stream {
    Stdout = 1,
    Stderr = 2,
}

impl Stream {
    fn is_regular(self) -> bool {
        is_regular(self as i32).is_ok()
    }

    fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// What is heard of the job.
pub(super) struct Output {
    /// What to listen to, until the first start.
    hearing: Option<Hearing>,
    listener: Option<Listener>,
    /// The stream that goes through a relay.
    relayed: Option<Stream>,
    relay: Option<Relaying>,
    has_proof: bool,
}

struct Relaying {
    relay: Relay,
    events: Option<Readiness>,
}

/// What the job is given in place of ours.
#[derive(Debug, Default)]
pub(super) struct Given {
    stdout: Option<OwnedFd>,
    stderr: Option<OwnedFd>,
}

impl Given {
    pub(super) fn stdout(&self) -> Option<BorrowedFd<'_>> {
        self.stdout.as_ref().map(AsFd::as_fd)
    }

    pub(super) fn stderr(&self) -> Option<BorrowedFd<'_>> {
        self.stderr.as_ref().map(AsFd::as_fd)
    }
}

impl Output {
    /// What is to be heard, as it was asked for. Nothing is opened yet.
    ///
    /// # Errors
    /// An expression or a glob cannot be read.
    pub(super) fn new(args: &RunArgs) -> Result<Self, Failure> {
        let patterns = match &args.progress_pattern {
            None => Patterns::built_in(),
            Some(own) => Patterns::own(own).map_err(|error| {
                Failure::usage(format!("--progress-pattern {own}: {error}"))
                    .hint("such as 'step (?<done>[0-9]+) of (?<total>[0-9]+)'; nothing was started")
            })?,
        };
        if let Some(glob) = &args.checkpoint_path {
            listen::check_glob(glob).map_err(|error| {
                Failure::usage(format!("--checkpoint-path {glob}: {error}"))
                    .hint("such as 'checkpoints/*.pt'; nothing was started")
            })?;
        }
        let line = (args.checkpoint_line.as_ref()).map(|text| {
            bounded(text).map_err(|error| {
                Failure::usage(format!("--checkpoint-line {text}: {error}"))
                    .hint("nothing was started")
            })
        });
        let line = line.transpose()?;
        let (ear, relayed) = ear(args);
        if line.is_some() && ear.is_none() && relayed.is_none() {
            return Err(Failure::usage(
                "`--checkpoint-line` has nowhere to look: neither stdout nor stderr is a file",
            )
            .hint("add --progress-from FILE, or --progress-from stdout"));
        }
        let is_of_use = ear.is_some() || relayed.is_some() || args.checkpoint_path.is_some();
        let hearing = is_of_use.then(|| Hearing {
            ear,
            patterns,
            checkpoint_path: args.checkpoint_path.clone(),
            checkpoint_line: line,
        });
        Ok(Self {
            hearing,
            listener: None,
            relayed,
            relay: None,
            has_proof: settings::has_proof(args),
        })
    }

    /// Whether something beside the job's end can prove that it has saved.
    pub(super) fn can_prove(&self) -> bool {
        self.has_proof && self.listener.is_some()
    }

    /// Gets ready for a start; what could not be done, in words.
    pub(super) fn prepare(&mut self) -> (Given, Option<String>) {
        let (mut given, mut trouble) = (Given::default(), None);
        let mut copy = None;
        if let Some(stream) = self.relayed {
            match Relaying::begin(stream) {
                Ok((relaying, job_end, its_copy)) => {
                    match stream {
                        Stream::Stdout => given.stdout = Some(job_end),
                        Stream::Stderr => given.stderr = Some(job_end),
                    }
                    self.relay = Some(relaying);
                    copy = Some(its_copy);
                }
                Err(error) => {
                    self.relay = None;
                    trouble = Some(format!(
                        "cannot listen to the job's {}: {error}; it writes there itself",
                        stream.name()
                    ));
                }
            }
        }
        match (self.hearing.take(), &mut self.listener) {
            (Some(mut hearing), _) => {
                if let Some(copy) = copy {
                    hearing.ear = Some(Ear::Copy(copy));
                }
                match Listener::start(hearing) {
                    Ok(listener) => self.listener = Some(listener),
                    Err(error) => {
                        trouble = Some(format!("the job's progress is not heard: {error}"));
                    }
                }
            }
            (None, Some(listener)) => {
                listener.wake();
                if let Some(copy) = copy {
                    listener.follow(copy);
                }
            }
            (None, None) => {}
        }
        (given, trouble)
    }

    /// The job was started, or could not be.
    pub(super) fn started(&mut self) {
        if let Some(relaying) = &mut self.relay {
            relaying.relay.started();
        }
    }

    /// Looks for a proof from now on; see [`Heard::SnapshotTaken`].
    pub(super) fn want_proof(&mut self, pids: &[i32]) {
        if let Some(listener) = &mut self.listener {
            listener.want_proof(pids);
        }
    }

    pub(super) fn forget_proof(&mut self) {
        if let Some(listener) = &mut self.listener {
            listener.forget_proof();
        }
    }

    /// The job is stopped, and says nothing until it goes on.
    pub(super) fn sleep(&mut self) {
        if let Some(listener) = &mut self.listener {
            listener.sleep();
        }
    }

    pub(super) fn wake(&mut self) {
        if let Some(listener) = &mut self.listener {
            listener.wake();
        }
    }

    /// Our terminal has another size.
    pub(super) fn resize(&self) {
        if let Some(relaying) = &self.relay {
            relaying.relay.resize();
        }
    }

    /// What is heard next; none at once where nothing ever will be. A relay that was killed is
    /// replaced meanwhile.
    pub(super) async fn next(&mut self) -> Option<Heard> {
        while self.listener.is_some() || self.relay.is_some() {
            let events = self.relay.as_ref().and_then(|it| it.events.as_ref());
            tokio::select! {
                heard = hear(self.listener.as_mut()) => match heard {
                    Some(heard) => return Some(heard),
                    None => self.listener = None,
                },
                Some(()) = arrived(events) => {
                    if let Some(text) = self.relay.as_mut().and_then(Relaying::look) {
                        return Some(Heard::Trouble(text));
                    }
                }
                else => return None,
            }
        }
        None
    }

    /// Waits a moment for output that is on its way.
    pub(super) async fn drain(&mut self) {
        if let Some(relaying) = &mut self.relay {
            relaying.relay.drained(LAST_OUTPUT).await;
        }
    }
}

impl Relaying {
    fn begin(stream: Stream) -> io::Result<(Self, OwnedFd, OwnedFd)> {
        let relay = match stream {
            Stream::Stdout => Relay::prepare(io::stdout()),
            Stream::Stderr => Relay::prepare(io::stderr()),
        }?;
        let (job_end, copy) = (relay.job_end()?, relay.copy()?);
        let events = Readiness::of(&relay.events_fd()?).ok();
        Ok((Self { relay, events }, job_end, copy))
    }

    /// Sees what became of the relay; what is worse than before, in words.
    fn look(&mut self) -> Option<String> {
        match self.relay.fate()? {
            Fate::Copied | Fate::ReaderGone => {
                self.events = None;
                None
            }
            Fate::Lost => {
                if let Err(error) = self.relay.restart() {
                    self.events = None;
                    return Some(format!("the job's output is stuck: {error}"));
                }
                let events = self.relay.events_fd();
                self.events = events.and_then(|events| Readiness::of(&events)).ok();
                Some("what copies the job's output was killed; another one goes on".to_owned())
            }
        }
    }
}

async fn hear(listener: Option<&mut Listener>) -> Option<Heard> {
    match listener {
        Some(listener) => listener.next().await,
        None => std::future::pending().await,
    }
}

async fn arrived(events: Option<&Readiness>) -> Option<()> {
    match events {
        Some(events) => events.arrived().await.ok(),
        None => std::future::pending().await,
    }
}

/// Where progress is read from, and what of the job's output has to go through us for it.
fn ear(args: &RunArgs) -> (Option<Ear>, Option<Stream>) {
    let asked = |stream: Stream| match stream.is_regular() {
        true => (Some(Ear::Stream(stream as i32)), None),
        false => (None, Some(stream)),
    };
    match &args.progress_from {
        Some(ProgressFrom::File(path)) => (Some(Ear::File(path.clone())), None),
        Some(ProgressFrom::Stdout) => asked(Stream::Stdout),
        Some(ProgressFrom::Stderr) => asked(Stream::Stderr),
        // Nothing is put in between where nobody asked for it.
        None => {
            let files = [Stream::Stdout, Stream::Stderr];
            let file = files.into_iter().find(|stream| stream.is_regular());
            (file.map(|stream| Ear::Stream(stream as i32)), None)
        }
    }
}
