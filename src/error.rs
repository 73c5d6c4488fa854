//! What went wrong in words for a person, and the exit codes that go with it.
//!
//! Typed errors of the modules become a [`Failure`] at the edge: what happened, then hints that
//! say what to do next. Nothing here prints; `main` does.

use std::fmt;
use std::io;

/// Why `catrain` itself ends. A job's own exit is not a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Wrong flags or configuration.
    Usage,
    /// The work failed.
    Failed,
    /// `run`: our own failure before the job started.
    BeforeStart,
    /// `run`: the command cannot be executed.
    NotExecutable,
    /// `run`: there is no such command.
    NotFound,
}

impl Kind {
    /// The exit code, as the man page lists it: 2, 1, 125, 126, 127.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Usage => 2,
            Self::Failed => 1,
            Self::BeforeStart => 125,
            Self::NotExecutable => 126,
            Self::NotFound => 127,
        }
    }

    /// What is at fault, where nothing more is known.
    fn category(self) -> Category {
        match self {
            Self::Usage => Category::Usage,
            Self::Failed | Self::BeforeStart => Category::System,
            Self::NotExecutable | Self::NotFound => Category::Job,
        }
    }
}

/// What is at fault, in one word, for whoever sorts errors: each error in the log carries one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Category {
    /// What was typed.
    Usage,
    /// What is set.
    Configuration,
    /// The way to a service.
    Network,
    /// What a service says, or does not say.
    Source,
    /// The disk: full, hung, or gone.
    Disk,
    /// The job itself.
    Job,
    /// What this user may not do.
    Permission,
    /// The surroundings: no descriptor, no thread, no process to be had.
    System,
    /// A mistake of ours.
    Internal,
}

impl Category {
    /// As it is written in logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Usage => "usage",
            Self::Configuration => "configuration",
            Self::Network => "network",
            Self::Source => "source",
            Self::Disk => "disk",
            Self::Job => "job",
            Self::Permission => "permission",
            Self::System => "system",
            Self::Internal => "internal",
        }
    }

    /// That of a failure to read or write.
    fn of_io(error: &io::Error) -> Self {
        use io::ErrorKind::{
            FileTooLarge, NotADirectory, NotFound, PermissionDenied, QuotaExceeded,
            ReadOnlyFilesystem, StaleNetworkFileHandle, StorageFull, TimedOut,
        };
        match error.kind() {
            PermissionDenied => Self::Permission,
            FileTooLarge
            | NotADirectory
            | NotFound
            | QuotaExceeded
            | ReadOnlyFilesystem
            | StaleNetworkFileHandle
            | StorageFull
            | TimedOut => Self::Disk,
            _ => Self::System,
        }
    }
}

/// The table of exit codes, printed in the man page.
pub const EXIT_CODES: &str = "\
0    done
1    failed
2    wrong usage or configuration
125  run: catrain itself failed before the job started
126  run: the command is not executable
127  run: the command was not found
else run: the exit code of the job, or death by the same signal";

/// A failure with its cause and hints.
#[derive(Debug)]
pub struct Failure {
    /// Decides the exit code.
    pub kind: Kind,
    /// What happened and why; the chain of causes is printed after it.
    pub cause: anyhow::Error,
    /// What to do next, most useful first.
    pub hints: Vec<String>,
}

impl Failure {
    /// A failure of this kind.
    pub fn new(kind: Kind, cause: impl Into<anyhow::Error>) -> Self {
        Self {
            kind,
            cause: cause.into(),
            hints: Vec::new(),
        }
    }

    /// Wrong usage, told in one sentence.
    pub fn usage(what: impl fmt::Display + fmt::Debug + Send + Sync + 'static) -> Self {
        Self::new(Kind::Usage, anyhow::Error::msg(what))
    }

    /// What is at fault: by its cause, where that tells, else by its kind.
    pub fn category(&self) -> Category {
        let io = self.cause.chain().find_map(|cause| cause.downcast_ref());
        match self.kind {
            Kind::Failed | Kind::BeforeStart => io.map_or(self.kind.category(), Category::of_io),
            kind => kind.category(),
        }
    }

    /// The same failure with one more hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#}", self.cause)?;
        for hint in &self.hints {
            write!(f, "\n  hint: {hint}")?;
        }
        Ok(())
    }
}

impl From<anyhow::Error> for Failure {
    fn from(cause: anyhow::Error) -> Self {
        Self::new(Kind::Failed, cause)
    }
}
