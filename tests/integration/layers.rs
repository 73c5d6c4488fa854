//! The core stays pure: it names no I/O, no runtime, no clock and no environment, and layers use
//! only what stands to their left.

use std::fs;
use std::path::{Path, PathBuf};

/// Files and folders of the core, below `src/`.
const CORE: &[&str] = &[
    "alert/cooling.rs",
    "alert/letter.rs",
    "alert/message.rs",
    "alert/quiet.rs",
    "alert/rule.rs",
    "alert/settings.rs",
    "alert/slack.rs",
    "alert/watch.rs",
    "alert/webhook.rs",
    "alert/wording.rs",
    "units.rs",
    "words.rs",
    "parse.rs",
    "forecast",
    "emissions.rs",
    "emissions",
    "plan",
    "presets.rs",
    "doctor",
    "supervise/event.rs",
    "supervise/machine.rs",
    "supervise/machine/asked.rs",
    "supervise/machine/cluster.rs",
    "supervise/machine/devices.rs",
    "supervise/machine/ending.rs",
    "supervise/machine/pausing.rs",
    "supervise/machine/situation.rs",
    "supervise/segments.rs",
    "supervise/settings.rs",
    "supervise/progress.rs",
    "supervise/progress/patterns.rs",
    "supervise/news.rs",
    "supervise/lateness.rs",
    "supervise/snapshot.rs",
    "archive/form.rs",
    "archive/held.rs",
    "ledger/adding.rs",
    "ledger/chain.rs",
    "ledger/entry.rs",
    "ledger/line.rs",
    "ledger/pace.rs",
    "ledger/possible.rs",
    "ledger/redact.rs",
    "ledger/standing.rs",
    "caller/limits.rs",
    "caller/limits",
    "caller/wire.rs",
    "log/levels.rs",
    "log/line.rs",
    "report",
    "simulate",
    "slurm/job.rs",
    "slurm/lease.rs",
    "slurm/pending.rs",
    "slurm/place.rs",
    "slurm/sbatch.rs",
    "slurm/script.rs",
    "slurm/settings.rs",
    "slurm/standing.rs",
    "slurm/timing.rs",
];
/// Files of providers and meters: they use what stands beside them and are as pure as the core.
const PURE_ADAPTERS: &[&str] = &[
    "source/asking.rs",
    "source/coverage.rs",
    "source/reading.rs",
    "source/neso.rs",
    "source/energy_charts.rs",
    "source/energi_data_service.rs",
    "source/electricity_maps.rs",
    "source/watttime.rs",
    "source/carbon_aware_sdk.rs",
    "config/check.rs",
    "config/order.rs",
    "config/schema.rs",
    "config/settled.rs",
    "config/table.rs",
    "config/template.rs",
    "config/values.rs",
    "serve/facts.rs",
    "serve/family.rs",
    "serve/health.rs",
    "serve/metrics.rs",
    "serve/metrics",
    "serve/tally.rs",
    "meter/given.rs",
    "meter/pile.rs",
    "meter/processors.rs",
    "meter/gpu/device.rs",
    "meter/gpu/gauge.rs",
    "meter/gpu/others.rs",
    "meter/gpu/share.rs",
    "meter/gpu/visible.rs",
];
/// Parts of the core that live in the folder of the adapter they serve: the core may use them.
const CORE_OF_ADAPTERS: &[&str] = &["crate::caller::wire::", "crate::caller::limits::"];
/// What the core must not name.
const IMPURE: &[&str] = &[
    "tokio",
    "reqwest",
    "nix::",
    "rustix",
    "nvml_wrapper",
    "sysinfo",
    "std::fs",
    "std::net",
    "std::env",
    "std::process",
    "env::var",
    "::now()",
    ".now()",
    " now()",
    "(now()",
    "println!",
];
/// The layers above the core: what an adapter of the name may not use.
const ABOVE: &[(&[&str], &[&str])] = &[
    (
        CORE,
        &[
            "executor", "source", "caller", "keys", "meter", "alert", "serve", "control",
            "command", "cli", "talk", "dirs",
        ],
    ),
    (
        &[
            "source", "caller", "archive", "executor", "ledger", "report",
        ],
        &["supervise", "command", "cli", "talk", "control"],
    ),
    (
        &["caller", "archive"],
        &["source", "executor", "meter", "ledger", "report", "alert"],
    ),
    (
        &["listen"],
        &[
            "executor", "source", "caller", "keys", "meter", "ledger", "report", "command", "cli",
            "talk", "control",
        ],
    ),
    (
        &["alert"],
        &[
            "executor",
            "source",
            "archive",
            "keys",
            "meter",
            "supervise",
            "command",
            "cli",
            "talk",
            "control",
        ],
    ),
    (
        &["keys"],
        &[
            "source",
            "caller",
            "executor",
            "meter",
            "ledger",
            "report",
            "supervise",
            "command",
            "cli",
            "talk",
            "control",
        ],
    ),
    (
        &["serve"],
        &[
            "executor", "source", "meter", "report", "control", "command", "cli", "talk",
        ],
    ),
    (
        &["log", "systemd.rs"],
        &[
            "source",
            "caller",
            "executor",
            "meter",
            "supervise",
            "command",
            "cli",
            "control",
        ],
    ),
    (
        &["supervise"],
        &[
            "command", "cli", "executor", "source", "meter", "serve", "talk",
        ],
    ),
];

#[test]
fn the_core_and_the_providers_are_pure() {
    let mut found = Vec::new();
    for place in CORE.iter().chain(PURE_ADAPTERS) {
        for (file, number, line) in code_of(place) {
            for impure in IMPURE {
                if line.contains(impure) {
                    found.push(format!(
                        "{}:{number}: `{impure}` in: {}",
                        file.display(),
                        line.trim()
                    ));
                }
            }
        }
    }
    assert!(
        found.is_empty(),
        "the core and the providers must stay pure:\n{}",
        found.join("\n")
    );
}

#[test]
fn layers_use_only_what_stands_to_their_left() {
    let mut found = Vec::new();
    for (places, forbidden) in ABOVE {
        for place in *places {
            for (file, number, line) in code_of(place) {
                let names_core = CORE_OF_ADAPTERS.iter().any(|core| line.contains(core));
                for module in *forbidden {
                    if line.contains(&format!("crate::{module}::")) && !names_core {
                        found.push(format!(
                            "{}:{number}: uses `{module}`: {}",
                            file.display(),
                            line.trim()
                        ));
                    }
                }
            }
        }
    }
    assert!(
        found.is_empty(),
        "uses against the layers:\n{}",
        found.join("\n")
    );
}

/// What a simulation shows of a policy must be what a run does: only the two to compare with plan
/// by themselves.
#[test]
fn a_simulation_plans_nothing_by_itself() {
    let mut found = Vec::new();
    for (file, number, line) in code_of("simulate") {
        let may_plan = file.ends_with("oracle.rs") || file.ends_with("k_lowest.rs");
        if !may_plan && line.contains("plan::") {
            found.push(format!("{}:{number}: {}", file.display(), line.trim()));
        }
    }
    assert!(
        found.is_empty(),
        "planning in a simulation:\n{}",
        found.join("\n")
    );
}

#[test]
fn clap_types_stop_at_the_commands() {
    let mut found = Vec::new();
    for (file, number, line) in code_of("") {
        let allowed = file.ends_with("cli.rs") || file.ends_with("main.rs");
        let parts = |name: &str| file.components().any(|part| part.as_os_str() == name);
        let allowed = allowed || parts("cli") || parts("command");
        if !allowed && (line.contains("clap::") || line.contains("clap_")) {
            found.push(format!("{}:{number}: {}", file.display(), line.trim()));
        }
    }
    assert!(
        found.is_empty(),
        "clap outside cli.rs and command/:\n{}",
        found.join("\n")
    );
}

#[test]
fn the_lists_of_what_is_pure_name_what_there_is() {
    for place in CORE.iter().chain(PURE_ADAPTERS) {
        assert!(
            source().join(place).exists(),
            "src/{place} is not there any more"
        );
    }
}

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Lines of code, without comments and without test modules.
fn code_of(place: &str) -> Vec<(PathBuf, usize, String)> {
    let mut lines = Vec::new();
    let mut open = vec![source().join(place)];
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(
                fs::read_dir(&path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
            continue;
        }
        if path.extension().is_none_or(|extension| extension != "rs") || path.ends_with("tests.rs")
        {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        for (index, line) in text.lines().enumerate() {
            if line.trim() == "#[cfg(test)]" {
                break;
            }
            if !line.trim_start().starts_with("//") {
                lines.push((path.clone(), index + 1, line.to_owned()));
            }
        }
    }
    lines
}
