//! Who else computes on the GPUs that a job may see, asked before a start that comes late.

use super::visible::{Choice, Found, choose};
use super::{Library, Opener, Place};

/// Processes that are named one by one.
const NAMED: usize = 3;

/// Who computes there, in words: `GPU 0 is used by pid 17 (python of alice)`. None: there is room, or
/// nobody can tell. Of devices that were named each one must be free; of all that there are, one.
/// Displays do not count. May take as long as the driver takes.
///
/// `who` gives a process's name and owner, where they can be read.
pub fn others(
    opener: &mut dyn Opener,
    choice: &Choice,
    who: &dyn Fn(u32) -> Option<String>,
) -> Option<String> {
    if choice.is_none() || !opener.devices_are_there() {
        return None;
    }
    let mut library = opener.open().ok()?;
    let found = library.list().unwrap_or_default();
    let taken = taken(library.as_mut(), &found, choice, who);
    library.close();
    taken
}

fn taken(
    library: &mut dyn Library,
    found: &[Found],
    choice: &Choice,
    who: &dyn Fn(u32) -> Option<String>,
) -> Option<String> {
    let (chosen, _) = choose(found, choice);
    let is_named = !choice.named.is_empty() || choice.visible.is_some();
    let mut taken = Vec::new();
    for one in &chosen {
        let gpu = found.get(one.gpu)?;
        let instance = one.instance.and_then(|at| gpu.instances.as_ref()?.get(at));
        let place = Place {
            index: gpu.index,
            uuid: gpu.uuid.clone(),
            instance: instance.map(|instance| instance.index),
        };
        let pids = library.computing(&place).unwrap_or_default();
        if pids.is_empty() {
            continue;
        }
        let name = match instance {
            Some(instance) => format!("GPU {} MIG {}", gpu.index, instance.index),
            None => format!("GPU {}", gpu.index),
        };
        taken.push(format!("{name} is used by {}", processes(&pids, who)));
    }
    let is_full = !taken.is_empty() && (is_named || taken.len() == chosen.len());
    is_full.then(|| taken.join(", "))
}

fn processes(pids: &[u32], who: &dyn Fn(u32) -> Option<String>) -> String {
    let named = pids.iter().take(NAMED).map(|&pid| match who(pid) {
        Some(name) => format!("pid {pid} ({name})"),
        None => format!("pid {pid}"),
    });
    let mut words = named.collect::<Vec<_>>().join(" and ");
    let more = pids.len().saturating_sub(NAMED);
    if more > 0 {
        words.push_str(&format!(" and {more} more"));
    }
    words
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::{Fault, Raw};
    use super::*;
    use crate::units::Watts;

    /// GPUs, each with those who compute on it.
    #[derive(Clone)]
    struct Machine(Vec<Vec<u32>>);

    impl Library for Machine {
        fn list(&mut self) -> Result<Vec<Found>, Fault> {
            let found = (0..self.0.len()).map(|index| Found {
                index: index as u32,
                uuid: format!("GPU-{index}"),
                name: "NVIDIA T4".to_owned(),
                is_allowed: true,
                instances: None,
            });
            Ok(found.collect())
        }
        fn look(&mut self, _: &Place) -> Result<Raw, Fault> {
            Err(Fault::Missing)
        }
        fn computing(&mut self, place: &Place) -> Option<Vec<u32>> {
            self.0.get(place.index as usize).cloned()
        }
        fn limit(&mut self, _: &Place) -> Option<Watts> {
            None
        }
        fn is_same(&mut self, _: &Place) -> bool {
            true
        }
        fn busy(&mut self, _: &Place, _: u64) -> Option<(BTreeMap<u32, f64>, u64)> {
            None
        }
        fn close(self: Box<Self>) {}
    }

    impl Opener for Machine {
        fn open(&mut self) -> Result<Box<dyn Library>, Fault> {
            Ok(Box::new(self.clone()))
        }
        fn devices_are_there(&self) -> bool {
            true
        }
    }

    fn asked(gpus: &[&[u32]], named: &[&str], visible: Option<&str>) -> Option<String> {
        let mut machine = Machine(gpus.iter().map(|pids| pids.to_vec()).collect());
        let choice = Choice {
            named: named.iter().map(|name| (*name).to_owned()).collect(),
            visible: visible.map(str::to_owned),
            order: Some("PCI_BUS_ID".to_owned()),
        };
        let who = |pid| (pid == 7).then(|| "python of alice".to_owned());
        others(&mut machine, &choice, &who)
    }

    #[test]
    fn who_holds_a_device_is_told_by_process_name_and_owner() {
        let told = asked(&[&[7, 8]], &[], None).unwrap();
        assert_eq!(told, "GPU 0 is used by pid 7 (python of alice) and pid 8");
        let many = asked(&[&[1, 2, 3, 4, 5]], &[], None).unwrap();
        assert!(many.ends_with("pid 3 and 2 more"), "{many}");
    }

    #[test]
    fn where_devices_were_named_each_of_them_must_be_free() {
        assert_eq!(asked(&[&[7], &[]], &["1"], None), None);
        assert!(asked(&[&[7], &[]], &["0", "1"], None).is_some());
        assert!(asked(&[&[7], &[]], &[], Some("0,1")).is_some());
        assert_eq!(asked(&[&[7], &[]], &[], Some("1")), None);
    }

    #[test]
    fn of_all_devices_one_that_is_free_is_enough() {
        assert_eq!(asked(&[&[7], &[]], &[], None), None);
        assert!(asked(&[&[7], &[8]], &[], None).is_some());
    }

    #[test]
    fn without_devices_nobody_is_waited_for() {
        assert_eq!(asked(&[], &[], None), None);
        assert_eq!(asked(&[&[7]], &["none"], None), None);
        assert_eq!(asked(&[&[7]], &[], Some("")), None);
    }
}
