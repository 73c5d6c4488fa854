//! NVML behind the trait [`Library`]: thin, so that what is decided stands elsewhere.

use std::collections::BTreeMap;
use std::mem::ManuallyDrop;
use std::path::PathBuf;

use nix::errno::Errno;
use nix::unistd::{AccessFlags, access};
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::{Device, Nvml};

use super::visible::{Found, Instance};
use super::{Fault, Library, Opener, Place, Raw};
use crate::units::Watts;

/// Opens the driver's library, or the one that is set.
#[derive(Clone, Debug)]
pub struct NvmlOpener {
    /// `energy.nvml`; none: the driver's.
    pub library: Option<PathBuf>,
    /// Where `dev/nvidia0` is looked for: `/`.
    pub root: PathBuf,
}

impl Opener for NvmlOpener {
    fn open(&mut self) -> Result<Box<dyn Library>, Fault> {
        let mut builder = Nvml::builder();
        if let Some(library) = &self.library {
            builder.lib_path(library.as_os_str());
        }
        let nvml = builder.init().map_err(|error| match error {
            NvmlError::LibloadingError(error) => Fault::Absent(error.to_string()),
            NvmlError::LibraryNotFound => Fault::Absent(words(&error)),
            error => Fault::Library(words(&error)),
        })?;
        Ok(Box::new(Opened {
            nvml: ManuallyDrop::new(nvml),
            root: self.root.clone(),
        }))
    }

    fn devices_are_there(&self) -> bool {
        self.library.is_some() || self.root.join("dev/nvidia0").exists()
    }
}

/// An open library. It is never closed by dropping it: that may hang in the driver, or panic where
/// the library has no `nvmlShutdown`.
struct Opened {
    nvml: ManuallyDrop<Nvml>,
    root: PathBuf,
}

impl Opened {
    fn device(&self, place: &Place) -> Result<Device<'_>, Fault> {
        let device = self.nvml.device_by_index(place.index).map_err(fault)?;
        Ok(device)
    }

    fn found(&self, index: u32) -> Result<Found, Fault> {
        let device = self.nvml.device_by_index(index).map_err(fault)?;
        let uuid = device.uuid().map_err(fault)?;
        let is_cut = device.mig_mode().is_ok_and(|mode| mode.current == 1);
        Ok(Found {
            index,
            name: device.name().unwrap_or_else(|_| "NVIDIA GPU".to_owned()),
            is_allowed: self.may_open(&device),
            instances: is_cut.then(|| instances(&device)),
            uuid,
        })
    }

    /// Device cgroups, and the modes of the files, refuse here.
    fn may_open(&self, device: &Device<'_>) -> bool {
        let Ok(minor) = device.minor_number() else {
            return true;
        };
        let path = self.root.join(format!("dev/nvidia{minor}"));
        let answer = access(&path, AccessFlags::R_OK | AccessFlags::W_OK);
        // Where there is no such file, others decide.
        !matches!(answer, Err(Errno::EACCES | Errno::EPERM))
    }
}

fn instances(device: &Device<'_>) -> Vec<Instance> {
    let most = device.mig_device_count().unwrap_or(7).clamp(1, 64);
    let mut instances = Vec::new();
    for index in 0..most {
        let Ok(instance) = device.mig_device_by_index(index) else {
            continue;
        };
        let Ok(uuid) = instance.uuid() else {
            continue;
        };
        let told = (instance.attributes().ok()).map(|told| told.gpu_instance_slice_count);
        let named = instance.name().ok().and_then(|name| slices_in(&name));
        let own = told.filter(|own| *own > 0).or(named).unwrap_or(1);
        instances.push(Instance {
            index,
            uuid,
            // The most instances that fit is the number of compute slices: 7, or 4 on an A30.
            slices: (own.min(most), most),
        });
    }
    instances
}

/// `NVIDIA A100-SXM4-40GB MIG 3g.20gb` has three.
fn slices_in(name: &str) -> Option<u32> {
    let profile = name.split_ascii_whitespace().next_back()?;
    profile.split_once("g.")?.0.parse().ok()
}

impl Library for Opened {
    fn list(&mut self) -> Result<Vec<Found>, Fault> {
        let count = self.nvml.device_count().map_err(fault)?;
        let mut all = Vec::new();
        for index in 0..count {
            match self.found(index) {
                Ok(found) => all.push(found),
                // The count may include devices that this user may not open.
                Err(Fault::Library(why)) => return Err(Fault::Library(why)),
                Err(_) => {}
            }
        }
        Ok(all)
    }

    fn look(&mut self, place: &Place) -> Result<Raw, Fault> {
        let device = self.device(place)?;
        let energy_mj = optional(device.total_energy_consumption())?;
        let power = optional(device.power_usage())?;
        let instance = match place.instance {
            Some(index) => device.mig_device_by_index(index).ok(),
            None => None,
        };
        let user = instance.as_ref().unwrap_or(&device);
        let processes = optional(user.running_compute_processes())?.map(|mut all| {
            all.extend(user.running_graphics_processes().unwrap_or_default());
            let mut pids: Vec<u32> = all.iter().map(|process| process.pid).collect();
            pids.sort_unstable();
            pids.dedup();
            pids
        });
        Ok(Raw {
            energy_mj,
            power: power.map(|mw| Watts(f64::from(mw) / 1000.0)),
            utilisation: (device.utilization_rates().ok()).map(|rates| rates.gpu),
            processes,
        })
    }

    fn computing(&mut self, place: &Place) -> Option<Vec<u32>> {
        let device = self.device(place).ok()?;
        let instance = match place.instance {
            Some(index) => Some(device.mig_device_by_index(index).ok()?),
            None => None,
        };
        let user = instance.as_ref().unwrap_or(&device);
        let all = user.running_compute_processes().ok()?;
        let mut pids: Vec<u32> = all.iter().map(|process| process.pid).collect();
        pids.sort_unstable();
        pids.dedup();
        Some(pids)
    }

    fn limit(&mut self, place: &Place) -> Option<Watts> {
        let limit = self.device(place).ok()?.enforced_power_limit().ok()?;
        Some(Watts(f64::from(limit) / 1000.0))
    }

    fn is_same(&mut self, place: &Place) -> bool {
        let uuid = |device: Device<'_>| device.uuid().ok();
        self.device(place).ok().and_then(uuid).as_ref() == Some(&place.uuid)
    }

    fn busy(&mut self, place: &Place, since_us: u64) -> Option<(BTreeMap<u32, f64>, u64)> {
        if place.instance.is_some() {
            return None;
        }
        let device = self.device(place).ok()?;
        let samples = match device.process_utilization_stats(since_us) {
            Ok(samples) => samples,
            // No process did anything since.
            Err(NvmlError::NotFound) => Vec::new(),
            Err(_) => return None,
        };
        let mut latest = since_us;
        let mut sums: BTreeMap<u32, (f64, f64)> = BTreeMap::new();
        for sample in samples.iter().filter(|sample| sample.timestamp > since_us) {
            latest = latest.max(sample.timestamp);
            let entry = sums.entry(sample.pid).or_default();
            entry.0 += f64::from(sample.sm_util.min(100));
            entry.1 += 1.0;
        }
        let means = sums.into_iter().map(|(pid, (sum, n))| (pid, sum / n));
        Some((means.collect(), latest))
    }

    fn close(self: Box<Self>) {
        let Self { nvml, .. } = *self;
        let nvml = ManuallyDrop::into_inner(nvml);
        if nvml.lib().nvmlShutdown.is_ok() {
            drop(nvml);
        } else {
            std::mem::forget(nvml);
        }
    }
}

/// What a device does not have is none; that it does not answer is a fault.
fn optional<T>(answer: Result<T, NvmlError>) -> Result<Option<T>, Fault> {
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(error) => match fault(error) {
            Fault::Missing => Ok(None),
            fault => Err(fault),
        },
    }
}

fn fault(error: NvmlError) -> Fault {
    use NvmlError as E;
    match error {
        E::NotSupported
        | E::FailedToLoadSymbol(_)
        | E::FunctionNotFound
        | E::NoPermission
        | E::NoData
        | E::InsufficientSize(_)
        | E::UnexpectedVariant(_) => Fault::Missing,
        E::Uninitialized | E::DriverNotLoaded | E::LibRmVersionMismatch => {
            Fault::Library(words(&error))
        }
        error => Fault::Device(words(&error)),
    }
}

/// What NVML means, where the wrapper's words are for those who program with it.
fn words(error: &NvmlError) -> String {
    use NvmlError as E;
    let words = match error {
        E::Uninitialized => "NVML has lost its driver",
        E::DriverNotLoaded => "the NVIDIA driver is not loaded",
        E::LibRmVersionMismatch => {
            "NVML and the loaded NVIDIA driver are of different versions (a reboot helps after an update)"
        }
        E::LibraryNotFound => "NVML is not installed",
        E::NotFound => "it is not there",
        E::InvalidArg => "NVML knows no such GPU",
        E::OperatingSystem => "the operating system does not let this process use it",
        E::GpuLost => "the GPU has fallen off the bus",
        E::ResetRequired => "the GPU has to be reset first",
        E::IrqIssue => "the driver gets no interrupts from the GPU",
        E::InsufficientPower => "its power cables are not attached properly",
        E::Timeout => "the driver took too long",
        E::Unknown => "the driver failed and does not say why",
        other => return other.to_string(),
    };
    words.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_told_in_words_for_those_who_run_jobs() {
        for error in [
            NvmlError::Uninitialized,
            NvmlError::NotFound,
            NvmlError::InvalidArg,
            NvmlError::LibRmVersionMismatch,
            NvmlError::GpuLost,
        ] {
            let (Fault::Library(told) | Fault::Device(told)) = fault(error) else {
                panic!("it is not for want of a feature");
            };
            for jargon in ["Nvml::", "argument", "query", "RM ", "inacessible"] {
                assert!(!told.contains(jargon), "{told}");
            }
        }
    }

    #[test]
    fn a_library_that_was_named_is_missed_if_it_does_not_open() {
        let named = |library: Option<&str>| NvmlOpener {
            library: library.map(PathBuf::from),
            root: PathBuf::from("/nonexistent"),
        };
        assert!(named(Some("/nonexistent/libnvidia-ml.so.1")).devices_are_there());
        assert!(!named(None).devices_are_there());
    }
}
