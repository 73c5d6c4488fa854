//! The meters: what they say of themselves, and what stands in where there are none.

use std::path::PathBuf;
use std::time::Duration;

use super::around::Around;
use crate::doctor::Finding;
use crate::meter::At;
use crate::meter::gpu::visible::{Choice, Found, choose};
use crate::meter::gpu::{Fault, Library, Place};
use crate::meter::processors::{model_name, per_core};
use crate::meter::rapl::{Of, ROOT, Rapl};

const GPU: &str = "gpu energy";
const CPU: &str = "cpu energy";

/// The GPUs: how each tells its energy, and which of them jobs of this shell may see.
pub(super) fn gpu(around: &Around) -> Vec<Finding> {
    let library = around.config().energy.nvml.map(|set| set.value);
    let mut opener = around.trials.gpus(library.clone(), &around.root);
    let is_missed = opener.devices_are_there();
    let opened = opener.open().and_then(|mut library| {
        let found = library.list();
        match found {
            Ok(found) => Ok((library, found)),
            Err(fault) => {
                library.close();
                Err(fault)
            }
        }
    });
    let (mut library, found) = match opened {
        Ok(opened) => opened,
        Err(fault) if is_missed => return vec![closed(around, fault, library)],
        // AMD's driver for computing.
        Err(_) if around.root.join("dev/kfd").exists() => {
            let found = "GPUs of AMD have no meter here: what they use is missing";
            return vec![Finding::better(
                GPU,
                found,
                "give what the job draws: --power W",
            )];
        }
        Err(_) => return vec![Finding::ok(GPU, "no GPU of NVIDIA here")],
    };
    let findings = tell(around, library.as_mut(), &found);
    library.close();
    findings
}

/// There are devices and their library does not open.
fn closed(around: &Around, fault: Fault, library: Option<PathBuf>) -> Finding {
    let (why, fix) = match fault {
        Fault::Absent(why) => {
            let is_contained = around.read("proc/1/cgroup").is_some_and(|text| {
                let names = ["docker", "kubepods", "lxc", "libpod"];
                names.iter().any(|name| text.contains(name))
            }) || around.root.join(".dockerenv").exists();
            let fix = match (library, is_contained) {
                (Some(path), _) => format!(
                    "put the library there, or set energy.nvml (CATRAIN_NVML) to where it is, not to {}",
                    path.display()
                ),
                (None, true) => "start the container with --gpus all -e NVIDIA_DRIVER_CAPABILITIES=compute,utility"
                    .to_owned(),
                (None, false) => "install the driver's libnvidia-ml.so.1, or export CATRAIN_NVML=/where/it/is".to_owned(),
            };
            (why, fix)
        }
        Fault::Library(why) | Fault::Device(why) => {
            let fix = "reboot, or load the driver anew: sudo modprobe -r nvidia_uvm nvidia; sudo modprobe nvidia";
            (why, fix.to_owned())
        }
        Fault::Missing => {
            let fix = "install a driver of 2020 or later";
            (
                "its library lacks what is needed".to_owned(),
                fix.to_owned(),
            )
        }
    };
    Finding::broken(GPU, format!("GPUs cannot be metered: {why}"), fix)
}

/// How a device tells its energy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Meter {
    Counter,
    Power,
    None,
}

fn tell(around: &Around, library: &mut dyn Library, found: &[Found]) -> Vec<Finding> {
    let choice = Choice {
        named: Vec::new(),
        visible: (around.variable)("CUDA_VISIBLE_DEVICES")
            .map(|list| list.to_string_lossy().into_owned()),
        order: around.text("CUDA_DEVICE_ORDER"),
    };
    let mut findings = Vec::new();
    let mut meters = Vec::new();
    for gpu in found {
        match meter_of(library, gpu) {
            Ok(meter) => meters.push(meter),
            Err(why) => findings.push(Finding::broken(
                GPU,
                format!("GPU {} ({}) does not answer: {why}", gpu.index, gpu.name),
                format!(
                    "sudo nvidia-smi --gpu-reset -i {}, or leave it out with --gpus",
                    gpu.index
                ),
            )),
        }
    }
    if meters.contains(&Meter::None) {
        let found = "a GPU tells neither its energy nor its power: what it uses is missing";
        findings.push(Finding::better(
            GPU,
            found,
            "give what the job draws: --power W",
        ));
    }
    let (chosen, troubles) = choose(found, &choice);
    findings.extend(
        troubles
            .into_iter()
            .map(|trouble| Finding::better(GPU, trouble, "export CUDA_DEVICE_ORDER=PCI_BUS_ID")),
    );
    if findings.is_empty() {
        let how = match meters.iter().max() {
            None => return vec![Finding::ok(GPU, "NVML shows no GPU")],
            Some(Meter::Counter) => "by counter",
            Some(_) => "by power, sampled each second, where there is no counter",
        };
        let seen = match (choice.is_none(), chosen.len()) {
            (true, _) => "CUDA_VISIBLE_DEVICES hides all from jobs of this shell".to_owned(),
            (false, count) => format!("{count} visible to jobs of this shell"),
        };
        let seen = match found.iter().filter(|gpu| !gpu.is_allowed).count() {
            0 => seen,
            closed => format!("{seen}, {closed} closed to you"),
        };
        findings.push(Finding::ok(GPU, format!("{}, {how}; {seen}", names(found))));
    }
    findings
}

fn meter_of(library: &mut dyn Library, gpu: &Found) -> Result<Meter, String> {
    let place = Place {
        index: gpu.index,
        uuid: gpu.uuid.clone(),
        instance: None,
    };
    match library.look(&place) {
        Ok(raw) if raw.energy_mj.is_some() => Ok(Meter::Counter),
        Ok(raw) if raw.power.is_some() => Ok(Meter::Power),
        Ok(_) | Err(Fault::Missing) => Ok(Meter::None),
        // One that is closed to the user is not missed.
        Err(_) if !gpu.is_allowed => Ok(Meter::Counter),
        Err(Fault::Absent(why) | Fault::Library(why) | Fault::Device(why)) => Err(why),
    }
}

/// `2 × NVIDIA H100, NVIDIA T400`.
fn names(found: &[Found]) -> String {
    let mut counted: Vec<(&str, usize)> = Vec::new();
    for gpu in found {
        match counted.iter_mut().find(|(name, _)| *name == gpu.name) {
            Some((_, count)) => *count += 1,
            None => counted.push((&gpu.name, 1)),
        }
    }
    let words = counted.into_iter().map(|(name, count)| match count {
        1 => name.to_owned(),
        count => format!("{count} × {name}"),
    });
    words.collect::<Vec<_>>().join(", ")
}

/// The processor: its counters, else which model stands in.
pub(super) fn cpu(around: &Around) -> Vec<Finding> {
    let set = around.config().energy.powercap.map(|set| set.value);
    let powercap = set.unwrap_or_else(|| around.root.join(ROOT.trim_start_matches('/')));
    let mut rapl = Rapl::open(&powercap, around.trials.powercap());
    rapl.sample(At::default(), Duration::ZERO);
    let cpuinfo = around.read("proc/cpuinfo").unwrap_or_default();
    let model = per_core(model_name(&cpuinfo));
    let estimated = format!(
        "estimated as {:.1} W for each busy core of {} ({})",
        model.watts.0, model.name, model.source
    );
    if let Some(fault) = rapl.fault(Of::Processor) {
        if rapl.has(Of::Processor) {
            // What went wrong, then what to do about it.
            let (why, fix) = fault
                .split_once("; ")
                .unwrap_or((&fault, "--power W gives what the job draws"));
            return vec![Finding::better(CPU, format!("{why}; {estimated}"), fix)];
        }
        // Virtual machines have none, and that is no fault of theirs.
        let is_virtual = (cpuinfo.lines()).any(|line| {
            line.starts_with("flags") && line.split(' ').any(|flag| flag == "hypervisor")
        });
        let is_x86 = cpuinfo.contains("vendor_id");
        return vec![match is_x86 && !is_virtual {
            true => Finding::better(
                CPU,
                format!("{fault}; {estimated}"),
                "sudo modprobe intel_rapl_msr",
            ),
            false => Finding::ok(CPU, format!("{estimated}; there is no RAPL to read here")),
        }];
    }
    let memory = match rapl.measures(Of::Memory) {
        true => " and of the memory",
        false => "",
    };
    let what = match rapl.is_platform() {
        true => "the platform".to_owned(),
        false => format!("the packages{memory}"),
    };
    vec![Finding::ok(CPU, format!("RAPL of {what} can be read"))]
}
