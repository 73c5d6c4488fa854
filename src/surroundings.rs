//! Limits that the surroundings set: a batch allocation, or a systemd unit with a time limit.
//!
//! A limit of the surroundings is a deadline: `catrain` plans to be done before it, less the grace
//! period and five minutes. A limit that exists and cannot be read forbids to hold and to pause.
//! Reading it may run one short command (`squeue`, `systemctl`), in a thread and with a time limit.

use std::io;
use std::process::Command;
use std::time::Duration;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::clock::utc_now;
use crate::patience::output;

/// Slurm lets a job without a limit end after a year.
const A_YEAR: SignedDuration = SignedDuration::from_hours(364 * 24);
/// Longest wait for a command that tells the limit.
const PATIENCE: Duration = Duration::from_secs(5);

/// What surrounds the run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// The batch system or service manager, for messages: `Slurm job 17`.
    pub name: Option<String>,
    /// Whether nodes are reserved and billed while the job waits.
    pub is_allocation: bool,
    /// The time limit.
    pub limit: Limit,
}

/// A time limit of the surroundings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Limit {
    /// There is none, as far as can be told.
    #[default]
    None,
    /// Everything ends then.
    Until(Timestamp),
    /// There is one, but it cannot be read.
    Unreadable {
        /// Why, in words.
        why: String,
    },
}

/// Looks at the environment; may take up to five seconds where a command has to be asked, and no
/// time at all elsewhere.
pub fn look(variable: impl Fn(&str) -> Option<String>) -> Surroundings {
    look_for(PATIENCE, variable)
}

/// The same with another limit for a command that has to be asked.
pub fn look_for(patience: Duration, variable: impl Fn(&str) -> Option<String>) -> Surroundings {
    if let Some(job) = variable("SLURM_JOB_ID") {
        return slurm(&job, variable("SLURM_JOB_END_TIME").as_deref(), patience);
    }
    for (id, name) in [("PBS_JOBID", "PBS job"), ("LSB_JOBID", "LSF job")] {
        if let Some(job) = variable(id) {
            return Surroundings {
                name: Some(format!("{name} {job}")),
                is_allocation: true,
                limit: Limit::Unreadable {
                    why: format!("the time limit of a {name} is not readable from inside"),
                },
            };
        }
    }
    if variable("KUBERNETES_SERVICE_HOST").is_some() {
        let name = Some("Kubernetes".to_owned());
        return Surroundings {
            name,
            is_allocation: true,
            limit: Limit::None,
        };
    }
    if variable("INVOCATION_ID").is_some()
        && let Some(service) = own_service()
    {
        return systemd(&service, patience);
    }
    Surroundings::default()
}

/// `SLURM_JOB_END_TIME` (Unix seconds, since Slurm 22.05 not always set), else one `squeue`.
fn slurm(job: &str, end_time: Option<&str>, patience: Duration) -> Surroundings {
    let limit = match end_time.map(parse_unix) {
        Some(Some(end)) => Limit::Until(end),
        _ => match answer_of("squeue", &["-h", "-j", job, "-o", "%e"], patience) {
            Ok(text) => squeue_end(&text, &TimeZone::system(), utc_now()),
            Err(why) => Limit::Unreadable { why },
        },
    };
    Surroundings {
        name: Some(format!("Slurm job {job}")),
        is_allocation: true,
        limit,
    }
}

fn parse_unix(text: &str) -> Option<Timestamp> {
    Timestamp::from_second(text.trim().parse().ok()?)
        .ok()
        .filter(|end| end.as_second() > 0)
}

/// `%e` of squeue: local time `2026-11-24T12:00:00`, or `N/A` where there is no limit.
fn squeue_end(text: &str, zone: &TimeZone, now: Timestamp) -> Limit {
    let text = text.trim();
    if matches!(text, "N/A" | "NONE" | "UNLIMITED") {
        return Limit::None;
    }
    match text
        .parse::<DateTime>()
        .and_then(|end| end.to_zoned(zone.clone()))
    {
        Ok(end) if end.timestamp().duration_since(now) > A_YEAR => Limit::None,
        Ok(end) => Limit::Until(end.timestamp()),
        Err(_) => Limit::Unreadable {
            why: format!(
                "squeue answered `{}` for the job's end",
                text.escape_debug()
            ),
        },
    }
}

/// The service whose main control group this process is in, and whether it is the user's manager.
struct Service {
    unit: String,
    of_user: bool,
}

fn own_service() -> Option<Service> {
    let groups = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    let path = groups.lines().find_map(|line| {
        line.strip_prefix("0::")
            .or_else(|| line.split_once(":name=systemd:").map(|(_, path)| path))
    })?;
    service_of(path)
}

fn service_of(path: &str) -> Option<Service> {
    let unit = path.rsplit('/').find(|part| !part.is_empty())?;
    if !unit.ends_with(".service") || unit.starts_with("user@") {
        return None;
    }
    let of_user = path.contains("/user@");
    Some(Service {
        unit: unit.to_owned(),
        of_user,
    })
}

fn systemd(service: &Service, patience: Duration) -> Surroundings {
    let mut arguments = vec!["show", &service.unit];
    arguments.extend([
        "-p",
        "RuntimeMaxUSec",
        "-p",
        "ActiveEnterTimestamp",
        "--timestamp=unix",
    ]);
    if service.of_user {
        arguments.insert(0, "--user");
    }
    let limit = match answer_of("systemctl", &arguments, patience) {
        Ok(text) => unit_end(&text),
        Err(why) => Limit::Unreadable { why },
    };
    Surroundings {
        name: Some(service.unit.clone()),
        is_allocation: false,
        limit,
    }
}

fn unit_end(text: &str) -> Limit {
    let value = |name: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
    };
    let unreadable = |why: &str| Limit::Unreadable {
        why: format!("systemctl show: {why}"),
    };
    let limit = match value("RuntimeMaxUSec") {
        None => return unreadable("no RuntimeMaxUSec in its answer"),
        Some("infinity") => return Limit::None,
        // systemd writes `6h 30min`, `1d`, `45s`.
        Some(text) => match text.replace("min", "m").parse::<jiff::Span>() {
            Ok(limit) => limit,
            Err(_) => return unreadable("a RuntimeMaxUSec that is no time span"),
        },
    };
    let since = value("ActiveEnterTimestamp").and_then(|text| parse_unix(text.strip_prefix('@')?));
    let end = since.and_then(|since| since.to_zoned(TimeZone::UTC).checked_add(limit).ok());
    match end {
        Some(end) => Limit::Until(end.timestamp()),
        None => unreadable("no ActiveEnterTimestamp in its answer"),
    }
}

/// What a command prints, within `patience`.
fn answer_of(program: &str, arguments: &[&str], patience: Duration) -> Result<String, String> {
    let mut command = Command::new(program);
    command.args(arguments);
    match output(command, Vec::new(), patience) {
        Ok(said) if said.status.success() && !said.stdout.trim().is_empty() => Ok(said.stdout),
        Ok(said) => Err(format!("{program} gave no answer ({})", said.status)),
        Err(error) if error.kind() == io::ErrorKind::TimedOut => Err(format!(
            "{program} gave no answer in {} s",
            patience.as_secs()
        )),
        Err(error) => Err(format!("cannot run {program}: {error}")),
    }
}

/// The name of this host.
pub fn host() -> String {
    nix::unistd::gethostname().map_or_else(
        |_| "unknown".to_owned(),
        |name| name.to_string_lossy().into_owned(),
    )
}

/// The kernel's id of this boot; empty where it cannot be read.
pub fn boot_id() -> String {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    id.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn squeue_tells_the_end_in_local_time() {
        let zone = TimeZone::fixed(jiff::tz::offset(1));
        let now = "2026-11-24T08:00:00Z".parse().unwrap();
        let in_a_year = squeue_end("2027-11-24T09:00:00", &zone, now);
        assert_eq!(in_a_year, Limit::None);
        assert_eq!(
            squeue_end("2026-11-24T12:00:00\n", &zone, now),
            Limit::Until("2026-11-24T11:00:00Z".parse().unwrap())
        );
        assert_eq!(squeue_end("N/A\n", &zone, now), Limit::None);
        assert!(matches!(
            squeue_end("Invalid job id", &zone, now),
            Limit::Unreadable { .. }
        ));
    }

    #[test]
    fn the_environment_tells_the_end_of_a_slurm_job_without_asking() {
        let environment = HashMap::from([
            ("SLURM_JOB_ID".to_owned(), "17".to_owned()),
            ("SLURM_JOB_END_TIME".to_owned(), "1795521600".to_owned()),
        ]);
        let around = look(|name| environment.get(name).cloned());
        assert_eq!(
            around.limit,
            Limit::Until(Timestamp::from_second(1_795_521_600).unwrap())
        );
        assert!(around.is_allocation);
    }

    #[test]
    fn a_unit_with_a_limit_ends_then() {
        let text = "RuntimeMaxUSec=6h 30min\nActiveEnterTimestamp=@1795521600\n";
        let end = Timestamp::from_second(1_795_521_600 + 23_400).unwrap();
        assert_eq!(unit_end(text), Limit::Until(end));
        assert_eq!(unit_end("RuntimeMaxUSec=infinity\n"), Limit::None);
        assert!(matches!(unit_end(""), Limit::Unreadable { .. }));
    }

    #[test]
    fn a_login_session_is_no_service() {
        assert!(service_of("/user.slice/user-1000.slice/user@1000.service").is_none());
        assert!(service_of("/user.slice/user-1000.slice/session-2.scope").is_none());
        assert!(service_of("/system.slice/train.service").is_some_and(|found| !found.of_user));
    }
}
