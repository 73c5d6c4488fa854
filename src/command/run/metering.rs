//! The meters of a run, put together: which library and which folder, whose processes, which clock.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::cli::RunArgs;
use crate::clock::{Clock, SystemClock};
use crate::config::Energy;
use crate::executor::is_of_job;
use crate::meter::desk::Hire;
use crate::meter::gpu::nvml::NvmlOpener;
use crate::meter::gpu::others::others;
use crate::meter::gpu::visible::Choice;
use crate::meter::gpu::{self, Gpus};
use crate::meter::host::{self, Host};
use crate::meter::rapl::{Disk, ROOT, Rapl};
use crate::meter::{At, Figures, Meters};
use crate::report::text::harmless;

/// Meters by flags, configuration and surroundings. In a replay no hardware is looked at: its time is
/// not that of the machine.
pub(super) fn meters(
    args: &RunArgs,
    energy: &Energy,
    figures: Figures,
    clock: SystemClock,
) -> Meters {
    if args.replay.is_some() {
        return Meters::modelled(figures, args.speed);
    }
    let (share, reserved) = (figures.share, figures.reserved);
    let set = energy.powercap.as_ref().map(|set| set.value.clone());
    let powercap = set.unwrap_or_else(|| PathBuf::from(ROOT));
    let host: Hire = Box::new(move || {
        let terms = host::Terms {
            share,
            reserved,
            proc: PathBuf::from("/proc"),
        };
        Box::new(Host::new(Rapl::open(&powercap, Box::new(Disk)), terms))
    });
    let library = energy.nvml.as_ref().map(|set| set.value.clone());
    let choice = choice(args);
    let wants_gpus = !choice.named.is_empty() && !choice.is_none();
    let terms = gpu::Terms {
        choice,
        share,
        reserved,
    };
    let gpus: Hire = Box::new(move || {
        let opener = NvmlOpener {
            library,
            root: Path::new("/").to_owned(),
        };
        Box::new(Gpus::new(Box::new(opener), terms, Arc::new(is_of_job)))
    });
    let read = Arc::new(move || At::from(clock.now()));
    Meters::live(figures, read, host, gpus).wanting_gpus(wants_gpus)
}

/// Looks who else uses the GPUs that the job may see; what it finds may come late, or never.
pub(super) fn look_for_others(
    args: &RunArgs,
    energy: &Energy,
) -> impl Fn() -> Option<String> + Send + use<> {
    let library = energy.nvml.as_ref().map(|set| set.value.clone());
    let choice = choice(args);
    move || {
        let mut opener = NvmlOpener {
            library: library.clone(),
            root: Path::new("/").to_owned(),
        };
        others(&mut opener, &choice, &who)
    }
}

/// A process's name and owner.
fn who(pid: u32) -> Option<String> {
    use std::os::unix::fs::MetadataExt;
    let folder = PathBuf::from(format!("/proc/{pid}"));
    let uid = std::fs::metadata(&folder).ok()?.uid();
    let name = std::fs::read_to_string(folder.join("comm")).ok()?;
    let user = nix::unistd::User::from_uid(uid.into());
    let owner = user
        .ok()
        .flatten()
        .map_or(uid.to_string(), |user| user.name);
    Some(format!("{} of {}", harmless(name.trim()), harmless(&owner)))
}

fn choice(args: &RunArgs) -> Choice {
    let variable = |name: &str| {
        let value = std::env::var_os(name)?;
        Some(value.to_string_lossy().into_owned())
    };
    Choice {
        named: args.gpus.clone(),
        visible: variable("CUDA_VISIBLE_DEVICES"),
        order: variable("CUDA_DEVICE_ORDER"),
    }
}
