//! `catrain slurm submit`: plans a job as `catrain run` plans a start, and gives it to `sbatch` with that
//! begin time.
//!
//! Everything that can be wrong is found before anything is submitted, since nobody is there to hear of it on
//! the node. From `sbatch` on the begin time alone holds the job: what follows here, the record for `watch` and
//! `status`, may fail without harm.

use std::ffi::{OsStr, OsString};
use std::io::{self, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{ExitCode, ExitStatus};
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::{Talk, anchored, not_asked, whole};
use crate::cli::{RunArgs, SubmitArgs};
use crate::clock::utc_now;
use crate::command::configured::Configured;
use crate::command::print;
use crate::command::run::submitted::{self, Outset, outset};
use crate::dirs;
use crate::error::{Failure, Kind};
use crate::executor::Inherited;
use crate::forecast::Outlook;
use crate::plan::{Act, Fit, State};
use crate::slurm::job::TimeLimit;
use crate::slurm::record::{FORMAT, Submitted, Watched};
use crate::slurm::sbatch::{self, Asked, Typed};
use crate::slurm::script::{self, Supervisor};
use crate::slurm::timing::{self, Fits, Queued, Timing, keeps_nodes};
use crate::slurm::tools::{Installed, Tools, begin_in, cluster_name, configuration, queue, said};
use crate::supervise::machine::{Expected, PauseWith};
use crate::units::GramsPerKwh;
use crate::words;

/// Longest wait for `sbatch`: a controller with much to do lets it try again for minutes, and whoever kills it
/// meanwhile does not know whether there is a job.
const SBATCH_PATIENCE: Duration = Duration::from_mins(5);
/// Bytes of a script, at most: more than Slurm takes, which refuses in its own words.
const LARGEST: u64 = 64 << 20;

/// What a submission goes by, beside what was typed.
pub(super) struct With<'a> {
    pub(super) configured: &'a Configured,
    pub(super) profile: Option<&'a str>,
    pub(super) inherited: &'a Inherited,
    pub(super) tools: &'a Installed,
}

/// `catrain slurm submit`.
///
/// # Errors
/// Wrong usage, a job that cannot fit, Slurm that does not answer or refuses.
pub(super) fn submit(
    args: SubmitArgs,
    with: &With<'_>,
    talk: Talk,
    out: &mut dyn Write,
) -> Result<ExitCode, Failure> {
    refuse(&args)?;
    let typed = sbatch::read(&args.sbatch).map_err(usage)?;
    let job = Job::read(typed)?;
    let run = job.run(&args);
    let plan = outset(&run, with.configured, job.directory.clone(), with.inherited)?;
    let how = how_it_pauses(&plan, &job, with.tools)?;
    let cluster = Cluster::ask(with.tools, &plan, &job)?;
    let mut notices = plan.notices.clone();
    notices.extend(how.notice.clone());
    notices.extend(job.notices());
    notices.extend(fits(&plan, how.with, &cluster, submitted::grace(&run))?);

    let times = plan.times(whole(utc_now()));
    let now = times.planned;
    let asked = plan.ask(now)?;
    notices.extend(asked.lines);
    let outlook = asked.outlook;
    let not_before = job.not_before(times.real)?;
    let draw = fastrand::f64();
    let mut settings = plan.settings.clone();
    settings.pausing.with = how.with;
    let timing = timing::timing(
        &settings.policy,
        &settings,
        &Queued {
            now,
            submitted: now,
            not_before: not_before.map(|at| times.for_plan(at)),
            latest: None,
            usual_wait: cluster.usual_wait.unwrap_or_default(),
            outlook: outlook.as_ref(),
            draw,
        },
    );
    let (options, is_whole) = job_options(&run, &plan, with.configured);
    if !is_whole {
        return Err(
            Failure::usage("an option is no UTF-8 text, and is to stand in a script")
                .hint("nothing was submitted"),
        );
    }
    let supervisor = supervisor(options.clone(), with)?;
    let text = script::supervised(&job.script, &supervisor)
        .map_err(|why| Failure::usage(why).hint(why.hint()))?;
    let handed = whole(utc_now());
    let words = job.command(
        how.asks_requeue,
        begin_in(times.really(timing.begin), handed),
    );
    let page = Page {
        job: &job,
        plan: &plan,
        how: &how,
        cluster: &cluster,
        outlook: outlook.as_ref(),
        timing: &timing,
        now,
        notices: &notices,
    };
    if args.dry_run {
        page.say(None, talk);
        let shown = match args.json {
            true => format!("{}\n", page.json(None, &words, Some(&text))),
            false => dry(&words, &text),
        };
        print(out, &shown)?;
        return Ok(ExitCode::SUCCESS);
    }

    let record = |id: u64, of: &str| Submitted {
        format: FORMAT.to_owned(),
        cluster: of.to_owned(),
        job: id,
        array: job.asked.value("array").map(str::to_owned),
        name: run.name.clone().unwrap_or_else(|| job.name.clone()),
        script: job.shown(),
        directory: job.directory.clone(),
        submitted_at: handed,
        options: options.clone(),
        zone: plan.zone.clone().unwrap_or_else(|| "unknown".to_owned()),
        duration_s: settings
            .duration
            .map(|expected| expected.duration.as_secs_f64()),
        deadline: settings.deadline,
        limit: cluster.limit,
        begin: times.really(timing.begin),
        latest: timing.latest.map(|at| times.really(at)),
        planned_g_per_kwh: planned(&timing, &plan).map(|(then, _)| then.0),
        now_g_per_kwh: planned(&timing, &plan).map(|(_, now)| now.0),
        pause_with: how.with.as_str().to_owned(),
        replay: plan.is_replay(),
        moves: Vec::new(),
        watch: Watched {
            profile: with.profile.map(str::to_owned),
            not_before,
            draw,
            arguments: job.arguments().collect(),
            ..Watched::default()
        },
    };
    let mut done = |told: &str| -> Result<(), Failure> {
        let (id, of) = told
            .trim()
            .split_once(';')
            .unwrap_or((told.trim(), &cluster.name));
        let id: u64 = id.parse().map_err(|_| {
            let what = anyhow::anyhow!("sbatch says `{}`, which is no job's number", told.trim());
            Failure::new(Kind::Failed, what).hint("`squeue --me` lists your jobs")
        })?;
        if let Err(why) = keep(&record(id, of)) {
            talk.say(&format!(
                "warning: job {id} is submitted, and begins as planned; `status` and `watch` do not know it, \
                 since nothing can be written: {why}"
            ));
        }
        page.say(Some(id), talk);
        let shown = match args.json {
            true => format!("{}\n", page.json(Some(id), &words, None)),
            false => format!("{id}\n"),
        };
        print(out, &shown)
    };
    let arguments: Vec<&str> = words.iter().map(String::as_str).skip(1).collect();
    match job.asked.has("wait") {
        true => wait(with.tools, &arguments, &text, &mut done),
        false => {
            let told = give(with.tools, &arguments, &text, talk)?;
            done(&told)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Gives the job to Slurm, and returns at once.
fn give(tools: &Installed, arguments: &[&str], text: &[u8], talk: Talk) -> Result<String, Failure> {
    let patient = Installed {
        patience: tools.patience.max(SBATCH_PATIENCE),
    };
    let output = patient
        .run("sbatch", arguments, text)
        .map_err(|error| not_asked(error, "`squeue --me` tells whether the job was submitted"))?;
    let words: Vec<&str> = (output.stderr.lines())
        .map(|line| line.trim().trim_start_matches("sbatch: "))
        .filter(|line| !line.is_empty())
        .collect();
    if !output.status.success() {
        let words = match words.is_empty() {
            true => output.status.to_string(),
            false => words.join("; "),
        };
        let what = anyhow::anyhow!("sbatch refused: {words}");
        return Err(Failure::new(Kind::Failed, what).hint("nothing was submitted"));
    }
    for line in words {
        talk.say(&format!("sbatch: {line}"));
    }
    Ok(output.stdout)
}

/// Gives the job to Slurm, and waits for its end as `sbatch --wait` does.
fn wait(
    tools: &dyn Tools,
    arguments: &[&str],
    text: &[u8],
    done: &mut dyn FnMut(&str) -> Result<(), Failure>,
) -> Result<ExitCode, Failure> {
    let mut outcome = None;
    let mut told = |line: &str| {
        if outcome.is_none() && !line.trim().is_empty() {
            outcome = Some(done(line));
        }
    };
    let status = tools
        .follow("sbatch", arguments, text, &mut told)
        .map_err(|error| not_asked(error, "`squeue --me` tells whether the job was submitted"))?;
    if let Some(outcome) = outcome {
        outcome?;
    }
    Ok(ExitCode::from(code(status)))
}

fn code(status: ExitStatus) -> u8 {
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    code.unwrap_or(Kind::Failed.exit_code())
}

/// Writes down what was submitted.
fn keep(record: &Submitted) -> io::Result<()> {
    let state = dirs::state()
        .ok_or_else(|| io::Error::other("neither HOME nor CATRAIN_STATE_DIR is set"))?;
    record.write(&state)
}

fn usage(why: String) -> Failure {
    Failure::usage(why).hint("nothing was submitted")
}

/// Refuses options of a run that a job in a queue cannot have.
fn refuse(args: &SubmitArgs) -> Result<(), Failure> {
    let options = &args.options;
    let refused = [
        (options.tty, "--tty", "a job of Slurm's has no terminal"),
        (
            options.detach,
            "--detach",
            "a job of Slurm's is detached by itself",
        ),
        (
            options.detached.is_some()
                || options.continues.is_some()
                || options.submitted
                || options.keeper,
            "--detached, --continues, --submitted and --keeper",
            "catrain gives them itself",
        ),
    ];
    match refused.into_iter().find(|(is_given, ..)| *is_given) {
        Some((_, flag, why)) => Err(Failure::usage(format!(
            "{flag} makes no sense for a job that is submitted: {why}"
        ))
        .hint("nothing was submitted")),
        None => Ok(()),
    }
}

/// Refuses options of sbatch that submit nothing, or elsewhere.
fn refuse_of_sbatch(asked: &Asked) -> Result<(), Failure> {
    for (option, instead) in [
        ("help", "`sbatch --help` lists what may stand behind `--`"),
        ("usage", "`sbatch --usage` lists what may stand behind `--`"),
        ("version", "`sbatch --version` tells it"),
        (
            "test-only",
            "--dry-run before `--` shows what would be submitted; `sbatch --test-only SCRIPT` asks Slurm",
        ),
        (
            "clusters",
            "submit on that cluster: the plan needs its limits and its queue",
        ),
    ] {
        if asked.has(option) {
            return Err(
                Failure::usage(format!("`--{option}` of sbatch cannot be used here")).hint(instead),
            );
        }
    }
    Ok(())
}

/// The job as it is asked for.
struct Job {
    typed: Typed,
    asked: Asked,
    /// The user's script.
    script: Vec<u8>,
    /// The job's name.
    name: String,
    /// Where it is to run.
    directory: PathBuf,
}

impl Job {
    fn read(typed: Typed) -> Result<Self, Failure> {
        let here = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
        let variable = |name: &str| std::env::var(name).ok();
        // Whoever asks for help has no script yet.
        refuse_of_sbatch(&Asked::of(Vec::new(), variable, typed.set.clone()))?;
        let (script, usual) = script_of(&typed, &here)?;
        script::check(&script).map_err(|why| Failure::usage(why).hint(why.hint()))?;
        let set = sbatch::in_script(&String::from_utf8_lossy(&script)).map_err(usage)?;
        let asked = Asked::of(set, variable, typed.set.clone());
        refuse_of_sbatch(&asked)?;
        let name = asked.value("job-name").unwrap_or(&usual).to_owned();
        let directory = asked
            .value("chdir")
            .map_or_else(|| here.clone(), |to| here.join(to));
        Ok(Self {
            typed,
            asked,
            script,
            name,
            directory,
        })
    }

    /// The run inside the job.
    fn run(&self, args: &SubmitArgs) -> RunArgs {
        let mut options = args.options.clone();
        anchored(&mut options, &self.directory);
        options.submitted = true;
        options.name.get_or_insert_with(|| self.name.clone());
        let script = self
            .typed
            .script
            .clone()
            .unwrap_or_else(|| self.name.clone().into());
        let command = std::iter::once(script).chain(self.typed.arguments.iter().cloned());
        RunArgs {
            options,
            command: command.collect(),
            attach: None,
        }
    }

    /// The script as it was typed.
    fn shown(&self) -> String {
        match (&self.typed.script, &self.typed.wrap) {
            (Some(script), _) => script.to_string_lossy().into_owned(),
            (None, Some(command)) => format!("--wrap {}", String::from_utf8_lossy(command)),
            (None, None) => "-".to_owned(),
        }
    }

    fn arguments(&self) -> impl Iterator<Item = String> {
        let arguments = self.typed.arguments.iter();
        arguments.map(|word| word.to_string_lossy().into_owned())
    }

    /// Not before this, by the user's word.
    fn not_before(&self, now: Timestamp) -> Result<Option<Timestamp>, Failure> {
        let Some(text) = self.asked.value("begin") else {
            return Ok(None);
        };
        match sbatch::begin(text, now, &TimeZone::system()) {
            Some(at) => Ok(Some(at)),
            None => Err(Failure::usage(format!(
                "`--begin={text}` of sbatch cannot be read here, and the job is not to begin before it"
            ))
            .hint("write it as `now+3600` or `2026-11-28T16:00:00`; nothing was submitted")),
        }
    }

    /// The command line of `sbatch`, with its name.
    fn command(&self, asks_requeue: bool, begin: String) -> Vec<String> {
        let text = |word: &OsString| word.to_string_lossy().into_owned();
        let mut words = vec!["sbatch".to_owned()];
        words.extend(self.typed.words.iter().map(text));
        words.push("--parsable".to_owned());
        words.push(format!("--begin={begin}"));
        if asks_requeue {
            words.push("--requeue".to_owned());
        }
        if !self.asked.has("job-name") {
            words.push(format!("--job-name={}", self.name));
        }
        // Without arguments standard input needs no name.
        if !self.typed.arguments.is_empty() {
            words.push("/dev/stdin".to_owned());
            words.extend(self.typed.arguments.iter().map(text));
        }
        words
    }

    /// What keeps it from beginning that no plan knows.
    fn notices(&self) -> Vec<String> {
        let mut notices = Vec::new();
        if let Some(dependency) = self.asked.value("dependency") {
            notices.push(format!(
                "it depends on other jobs ({dependency}), and nobody knows when these end: it begins as planned, \
                 or when they have"
            ));
        }
        if self.asked.has("hold") {
            notices.push(
                "it is held by --hold: it begins as planned, or when `scontrol release` lets it go"
                    .to_owned(),
            );
        }
        notices
    }
}

/// The user's script, and the job's name where none is given: as `sbatch` has both.
fn script_of(typed: &Typed, here: &Path) -> Result<(Vec<u8>, String), Failure> {
    match (&typed.wrap, &typed.script) {
        (Some(_), Some(_)) => Err(Failure::usage(
            "`--wrap` gives the command, and there is a script too",
        )
        .hint("leave out one of the two; nothing was submitted")),
        (Some(command), None) => Ok((script::wrapped(command), "wrap".to_owned())),
        (None, Some(script)) => {
            let path = found(script, here);
            let text = read_whole(&path).map_err(|error| {
                let what = format!("cannot read the script {}: {error}", path.display());
                Failure::usage(what).hint("nothing was submitted")
            })?;
            let name = path.file_name().unwrap_or(script);
            Ok((text, name.to_string_lossy().into_owned()))
        }
        (None, None) if io::stdin().is_terminal() => {
            Err(Failure::usage("there is no script to submit")
                .hint("catrain slurm submit [OPTIONS] -- [SBATCH OPTIONS] SCRIPT [ARGS]"))
        }
        (None, None) => {
            let mut text = Vec::new();
            let read = io::stdin().lock().take(LARGEST).read_to_end(&mut text);
            read.map_err(|error| {
                Failure::new(Kind::Failed, error).hint("the script is read from standard input")
            })?;
            Ok((text, "sbatch".to_owned()))
        }
    }
}

fn read_whole(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    let file = std::fs::File::open(path)?;
    file.take(LARGEST).read_to_end(&mut text)?;
    Ok(text)
}

/// Where `sbatch` finds a script: here, else on the PATH.
fn found(script: &OsStr, here: &Path) -> PathBuf {
    let direct = here.join(script);
    if direct.is_file() || script.as_encoded_bytes().contains(&b'/') {
        return direct;
    }
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let mut paths = std::env::split_paths(&paths).map(|path| path.join(script));
    paths.find(|path| path.is_file()).unwrap_or(direct)
}

/// How the job can be paused.
struct How {
    with: PauseWith,
    /// Whether `--requeue` is to be said.
    asks_requeue: bool,
    notice: Option<String>,
}

fn how_it_pauses(plan: &Outset, job: &Job, tools: &Installed) -> Result<How, Failure> {
    let with = plan.pause_with();
    let requeue = job.asked.requeue();
    match (with, requeue) {
        (PauseWith::Requeue, Some(false)) => Err(Failure::usage(
            "`--pause-with requeue` puts the job back into the queue, and `--no-requeue` of sbatch forbids that",
        )
        .hint("leave out --no-requeue (it may stand in a line #SBATCH or in SBATCH_NO_REQUEUE), or take --pause-with stop")),
        (PauseWith::Auto, Some(false)) => Ok(How {
            with: PauseWith::Stop,
            asks_requeue: false,
            notice: Some("pauses keep the nodes: `--no-requeue` of sbatch forbids to give them back".to_owned()),
        }),
        (PauseWith::Suspend, _) if job.asked.has("array") => Err(Failure::usage(
            "`--pause-with suspend` is for single jobs, and this is an array",
        )
        .hint("take --pause-with requeue or stop; nothing was submitted")),
        (PauseWith::Suspend, _) if !may_suspend(tools)? => Err(Failure::usage(
            "`--pause-with suspend` needs the rights of an operator: Slurm lets nobody else suspend a job",
        )
        .hint("take --pause-with requeue, which frees the nodes by your own rights, or stop")),
        _ => Ok(How {
            with,
            asks_requeue: matches!(with, PauseWith::Requeue | PauseWith::Auto) && requeue.is_none(),
            notice: (with == PauseWith::Suspend).then(|| {
                "it is suspended only while a `catrain slurm watch` of yours goes on".to_owned()
            }),
        }),
    }
}

/// Whether Slurm lets this user suspend jobs.
fn may_suspend(tools: &Installed) -> Result<bool, Failure> {
    let user = nix::unistd::geteuid();
    if user.is_root() {
        return Ok(true);
    }
    let config = configuration(tools).map_err(|error| not_asked(error, "nothing was submitted"))?;
    let own = config.get("SlurmUser");
    if own.is_some_and(|text| text.ends_with(&format!("({user})"))) {
        return Ok(true);
    }
    let name = nix::unistd::User::from_uid(user).ok().flatten();
    let Some(name) = name.map(|user| user.name) else {
        return Ok(false);
    };
    let asked = ["-n", "-P", "show", "user", &name, "format=adminlevel"];
    // Without accounting there are no operators.
    let level = said(tools, "sacctmgr", &asked).unwrap_or_default();
    Ok(matches!(level.trim(), "Operator" | "Administrator"))
}

/// What the plan needs to know of the cluster.
struct Cluster {
    name: String,
    limit: TimeLimit,
    usual_wait: Option<Duration>,
}

impl Cluster {
    fn ask(tools: &Installed, plan: &Outset, job: &Job) -> Result<Self, Failure> {
        let silent = |error| not_asked(error, "nothing was submitted");
        let name = cluster_name(tools).map_err(silent)?;
        let limit = match job.asked.value("time").map(TimeLimit::parse) {
            Some(TimeLimit::Unknown) | None => {
                let told = said(tools, "scontrol", &["show", "partition", "-o"]);
                let partitions = sbatch::partitions(&told.map_err(silent)?);
                sbatch::usual_limit(&partitions, job.asked.value("partition"))
            }
            Some(limit) => limit,
        };
        // Where it may not wait anyway, how long the queue is changes nothing.
        let usual_wait = match plan.is_earned {
            true => None,
            false => {
                let jobs = queue(tools).map_err(silent)?;
                timing::usual_wait(&jobs)
            }
        };
        Ok(Self {
            name,
            limit,
            usual_wait,
        })
    }
}

/// Whether the job is done before its time limit.
fn fits(
    plan: &Outset,
    with: PauseWith,
    cluster: &Cluster,
    grace: Duration,
) -> Result<Option<String>, Failure> {
    let expected = plan.settings.duration;
    let (
        TimeLimit::Of(limit),
        Some(Expected {
            duration, given, ..
        }),
    ) = (cluster.limit, expected)
    else {
        return Ok(None);
    };
    let (takes, limit) = (words::duration(duration), words::duration(limit));
    let again = "each start has a limit of its own";
    Ok(
        match (
            timing::fits(cluster.limit, expected, grace),
            keeps_nodes(with),
        ) {
            (Fits::Well, _) => None,
            (Fits::Not, true) if given => {
                return Err(Failure::usage(format!(
                "the job takes {takes} and its time limit is {limit}: Slurm would end it before it is done"
            ))
            .hint("ask for more with --time, or say a shorter --duration; --pause-with requeue starts it anew, each time with a limit of its own; nothing was submitted"));
            }
            (Fits::Not, true) => Some(format!(
                "warning: the job took {takes} before and its time limit is {limit}: Slurm may end it before it is done (--time asks for more)"
            )),
            (Fits::Not, false) => Some(format!(
                "warning: the job takes {takes} and its time limit is {limit}: {again}, and what is not saved by then is lost"
            )),
            (Fits::Barely { spare }, keeps) => {
                let margin = match spare.is_zero() {
                    true => "with no time to spare".to_owned(),
                    false => format!("with {} to spare", words::duration(spare)),
                };
                let then = match keeps {
                    true => "; what is paused counts as well, so it may not be paused for long",
                    false => "",
                };
                Some(format!(
                    "warning: the job takes {takes} and its time limit is {limit}, {margin} for it to end in order{then} (--time asks for more)"
                ))
            }
        },
    )
}

/// The options of the run inside: those typed, and what it could not know there.
fn job_options(run: &RunArgs, plan: &Outset, configured: &Configured) -> (Vec<String>, bool) {
    let deadline = plan.settings.deadline;
    let (typed, is_whole) = submitted::options(configured.words().iter().cloned(), deadline);
    let is_typed = |id: &str| configured.is_typed(id);
    let mut options = vec!["--submitted".to_owned()];
    options.extend(typed);
    // The job may be without the environment, the memory and the time zone of here.
    if let Some(zone) = plan.zone.as_ref().filter(|_| !is_typed("zone")) {
        options.push(format!("--zone={zone}"));
    }
    if run.offline && !is_typed("offline") {
        options.push("--offline".to_owned());
    }
    if let Some(at) = deadline.filter(|_| !is_typed("deadline")) {
        options.push(format!("--deadline={at}"));
    }
    if let Some(name) = run.name.as_ref().filter(|_| !is_typed("name")) {
        options.push(format!("--name={name}"));
    }
    (options, is_whole)
}

/// How `catrain` is started on the node.
fn supervisor(options: Vec<String>, with: &With<'_>) -> Result<Supervisor, Failure> {
    let program = std::env::current_exe()
        .map_err(|error| Failure::new(Kind::Failed, error).hint("nothing was submitted"))?;
    let mut globals = with.configured.globals();
    if let Some(profile) = with.profile.filter(|_| {
        let mut words = globals.iter().chain(&options);
        !words.any(|word| word.starts_with("--profile"))
    }) {
        globals.push(format!("--profile={profile}"));
    }
    let own = [
        ("CATRAIN_STATE_DIR", "XDG_STATE_HOME", dirs::state()),
        ("CATRAIN_CONFIG_DIR", "XDG_CONFIG_HOME", dirs::config()),
        ("CATRAIN_CACHE_DIR", "XDG_CACHE_HOME", dirs::cache()),
    ];
    let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let variables = own
        .into_iter()
        .filter(|(name, xdg, _)| is_set(name) || is_set(xdg));
    let variables = variables.filter_map(|(name, _, path)| Some((name.to_owned(), path?)));
    Ok(Supervisor {
        program: program.to_string_lossy().into_owned(),
        globals,
        options,
        variables: variables
            .map(|(name, path)| (name, path.to_string_lossy().into_owned()))
            .collect(),
    })
}

/// What a dry run shows: a command line that does the same.
fn dry(words: &[String], text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let mut end = "CATRAIN_SCRIPT".to_owned();
    while text.lines().any(|line| line == end) {
        end.push('_');
    }
    let last = if text.ends_with('\n') { "" } else { "\n" };
    format!("{} <<'{end}'\n{text}{last}{end}\n", script::line(words))
}

/// The mean over the planned running time, and over that of starting now; none: the length is unknown.
fn planned(timing: &Timing, plan: &Outset) -> Option<(GramsPerKwh, GramsPerKwh)> {
    plan.settings.duration?;
    let outline = timing.decision.plan.as_ref()?;
    Some((outline.mean, outline.run_now_mean))
}

/// What there is to say of a submission.
struct Page<'a> {
    job: &'a Job,
    plan: &'a Outset,
    how: &'a How,
    cluster: &'a Cluster,
    outlook: Option<&'a Outlook>,
    timing: &'a Timing,
    now: Timestamp,
    notices: &'a [String],
}

impl Page<'_> {
    fn say(&self, id: Option<u64>, talk: Talk) {
        let zone = TimeZone::system();
        let at = |time| words::time(time, self.now, &zone);
        let Timing {
            begin,
            start,
            latest,
            decision,
        } = self.timing;
        if let Some(outlook) = self.outlook
            && let Some(now) = outlook.expected.at(self.now)
        {
            let age = outlook.issued_at.map(|at| {
                let age = self.now.duration_since(at).unsigned_abs();
                format!(", {} old", words::duration(age))
            });
            talk.say(&format!(
                "{}, {} now ({}, {}{}; {})",
                outlook.zone,
                words::intensity(now),
                outlook.source,
                outlook.kind,
                age.unwrap_or_default(),
                outlook.basis
            ));
        }
        for line in self.notices {
            talk.say(line);
        }
        let work = match self.plan.settings.duration {
            Some(expected) => format!("{} of work", words::duration(expected.duration)),
            None => "how long it takes is unknown (-d 6h lets it plan)".to_owned(),
        };
        let due = self
            .plan
            .settings
            .deadline
            .map(|due| format!(", due {}", at(due)));
        let spare = decision.deadline.map(|fit| match fit {
            Fit::Planned { spare } => format!(", {} to spare", words::duration(spare)),
            Fit::Tight => ", with too little to spare to wait".to_owned(),
            Fit::CannotBeMet { late } => {
                format!(", which cannot be met: {} late", words::duration(late))
            }
        });
        talk.say(&format!(
            "{work}{}{}",
            due.unwrap_or_default(),
            spare.unwrap_or_default()
        ));
        let waits = decision.act == Act::Pause;
        if let Some(outline) = decision
            .plan
            .as_ref()
            .filter(|_| waits && self.plan.settings.duration.is_some())
        {
            talk.say(&outline.words(State::Fresh, self.now, &zone));
        }
        let what = match (id, self.job.asked.value("array")) {
            (Some(id), Some(tasks)) => format!("job {id} (tasks {tasks})"),
            (Some(id), None) => format!("job {id}"),
            (None, _) => "the job".to_owned(),
        };
        let reason = decision.reason.words(decision.until, self.now, &zone);
        match *begin > self.now {
            true => {
                let queue = match self.cluster.usual_wait {
                    Some(wait) if *start > *begin && !wait.is_zero() => format!(
                        ", {} before it is planned to run: so long your jobs usually wait for nodes",
                        words::duration(wait)
                    ),
                    _ => String::new(),
                };
                let own = match waits {
                    true => String::new(),
                    false => format!(", as you asked for; {reason}"),
                };
                let latest = match latest.filter(|latest| latest > begin) {
                    Some(latest) => format!("; {} at the latest", at(latest)),
                    None => String::new(),
                };
                talk.say(&format!(
                    "{what} begins at {}{queue}{own}{latest}",
                    at(*begin)
                ));
            }
            false => talk.say(&format!("{what} may start at once: {reason}")),
        }
        let Some(id) = id else {
            talk.say("nothing was submitted: this is a dry run");
            return;
        };
        let mut hints = vec![
            format!("how it stands: catrain status slurm:{id}"),
            format!("undo: scancel {id}"),
        ];
        if *begin > self.now {
            hints.insert(
                1,
                format!("start now: scontrol update JobId={id} StartTime=now"),
            );
        }
        talk.say(&hints.join("    "));
        if *begin > self.now && waits {
            talk.say("it begins then whatever happens; `catrain slurm watch --once`, from cron say, moves it as forecasts change");
        }
    }

    fn json(&self, id: Option<u64>, words: &[String], text: Option<&[u8]>) -> Value {
        let Timing {
            begin,
            start,
            latest,
            decision,
        } = self.timing;
        let duration = self.plan.settings.duration;
        let outline = decision.plan.as_ref().filter(|_| duration.is_some());
        let limit = match self.cluster.limit {
            TimeLimit::Of(limit) => Some(limit.as_secs()),
            TimeLimit::Unlimited | TimeLimit::Unknown => None,
        };
        json!({
            "schema": "catrain.slurm_submit/1",
            "job": id,
            "cluster": self.cluster.name,
            "array": self.job.asked.value("array"),
            "name": self.job.name,
            "script": self.job.shown(),
            "dry_run": id.is_none(),
            "submitted_at": id.map(|_| self.now.to_string()),
            "begin_at": begin.to_string(),
            "latest_begin_at": latest.map(|at| at.to_string()),
            "planned_start_at": start.to_string(),
            "planned_end_at": outline.map(|outline| outline.end.to_string()),
            "planned_pauses": outline.map(|outline| outline.pauses),
            "planned_g_per_kwh": outline.map(|outline| outline.mean.0),
            "start_now_g_per_kwh": outline.map(|outline| outline.run_now_mean.0),
            "saving_percent": outline.map(|outline| -100.0 * outline.change()),
            "reason": decision.reason.words(decision.until, self.now, &TimeZone::UTC),
            "zone": self.plan.zone,
            "now_g_per_kwh": self.outlook.and_then(|it| it.expected.at(self.now)).map(|it| it.0),
            "source": self.outlook.map(|outlook| outlook.source.clone()),
            "kind": self.outlook.map(|outlook| outlook.kind),
            "basis": self.outlook.map(|outlook| outlook.basis),
            "confidence": self.outlook.map(|outlook| outlook.confidence),
            "policy": self.plan.policy,
            "pause_with": self.how.with.as_str(),
            "duration_s": duration.map(|expected| expected.duration.as_secs_f64()),
            "deadline": self.plan.settings.deadline.map(|at| at.to_string()),
            "spare_s": decision.deadline.map(Fit::spare_s),
            "time_limit_s": limit,
            "usual_queue_wait_s": self.cluster.usual_wait.map(|wait| wait.as_secs_f64()),
            "notices": self.notices,
            "command": words,
            "script_text": text.map(String::from_utf8_lossy),
        })
    }
}
