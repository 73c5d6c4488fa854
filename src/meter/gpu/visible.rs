//! Which of the machine's GPUs are metered: those named by `--gpus`, else those that
//! `CUDA_VISIBLE_DEVICES` leaves the job, else all that it may open.
//!
//! The rules of the variable are CUDA's (CUDA C++ Programming Guide, "CUDA Environment Variables"):
//! indices, or beginnings of UUIDs that fit one device; what stands after the first entry that fits
//! none is invisible; empty or `-1`: none. CUDA counts the fastest GPU first unless
//! `CUDA_DEVICE_ORDER=PCI_BUS_ID`, NVML counts by PCI address.

use super::share::Claim;

/// A GPU that NVML shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// NVML's number, by PCI address.
    pub index: u32,
    /// `GPU-…`.
    pub uuid: String,
    /// `NVIDIA H100 80GB HBM3`.
    pub name: String,
    /// Whether this user may open it.
    pub is_allowed: bool,
    /// Its instances; none: it is not cut into instances.
    pub instances: Option<Vec<Instance>>,
}

/// A MIG instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// NVML's number on its GPU.
    pub index: u32,
    /// `MIG-…`; of drivers before 470 `MIG-GPU-<uuid>/<gpu instance>/<compute instance>`.
    pub uuid: String,
    /// Its compute slices, and those of the whole GPU.
    pub slices: (u32, u32),
}

/// What the user, and what the surroundings said.
#[derive(Clone, Debug, Default)]
pub struct Choice {
    /// `--gpus`.
    pub named: Vec<String>,
    /// `CUDA_VISIBLE_DEVICES`.
    pub visible: Option<String>,
    /// `CUDA_DEVICE_ORDER`.
    pub order: Option<String>,
}

impl Choice {
    /// Whether no GPU is to be metered, whatever there is.
    pub fn is_none(&self) -> bool {
        match self.named.as_slice() {
            [] => (self.visible.as_deref()).is_some_and(|list| {
                let first = list.split(',').next().unwrap_or_default().trim();
                first.is_empty() || first == "-1"
            }),
            named => named.iter().all(|name| name.trim() == "none"),
        }
    }
}

/// A device to meter: a GPU, or one instance of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chosen {
    /// Which GPU, by its place in the list.
    pub gpu: usize,
    /// Which of its instances, by its place in their list.
    pub instance: Option<usize>,
    /// By what right.
    pub claim: Claim,
}

/// The devices to meter, each once, and what is unclear about them.
pub fn choose(found: &[Found], choice: &Choice) -> (Vec<Chosen>, Vec<String>) {
    let mut picking = Picking {
        found,
        chosen: Vec::new(),
        troubles: Vec::new(),
    };
    if choice.is_none() {
        return (Vec::new(), Vec::new());
    }
    if !choice.named.is_empty() {
        picking.named(&choice.named);
    } else if let Some(list) = &choice.visible {
        picking.visible(list, choice.order.as_deref());
    } else {
        picking.all(Claim::Visible, |gpu| gpu.is_allowed);
    }
    (picking.chosen, picking.troubles)
}

struct Picking<'a> {
    found: &'a [Found],
    chosen: Vec<Chosen>,
    troubles: Vec<String>,
}

impl Picking<'_> {
    fn named(&mut self, names: &[String]) {
        for name in names.iter().map(|name| name.trim()) {
            match name {
                "none" | "" => {}
                "all" => self.all(Claim::Assigned, |_| true),
                name => match by_index(name) {
                    Some(index) => {
                        let place = self.found.iter().position(|gpu| gpu.index == index);
                        self.take(place, name);
                    }
                    None => self.by_uuid(name),
                },
            }
        }
    }

    fn take(&mut self, place: Option<usize>, name: &str) {
        match place {
            Some(place) => self.gpu(place, Claim::Assigned),
            None => self.troubles.push(format!(
                "--gpus {name}: there is no such GPU ({})",
                self.listed()
            )),
        }
    }

    fn by_uuid(&mut self, name: &str) {
        match self.fitting(name).as_slice() {
            [one] => {
                let one = one.clone();
                self.push(one);
            }
            [] => self.troubles.push(format!(
                "--gpus {name}: there is no such GPU ({})",
                self.listed()
            )),
            _ => self.troubles.push(format!(
                "--gpus {name}: it fits several GPUs; give more of it"
            )),
        }
    }

    fn visible(&mut self, list: &str, order: Option<&str>) {
        let allowed: Vec<usize> = (0..self.found.len())
            .filter(|place| self.found[*place].is_allowed)
            .collect();
        let by_pci = order == Some("PCI_BUS_ID");
        let differ = allowed.windows(2).any(|pair| {
            let [one, other] = [pair[0], pair[1]].map(|place| &self.found[place].name);
            one != other
        });
        for entry in list.split(',').map(str::trim) {
            if let Some(index) = by_index(entry) {
                if differ && !by_pci {
                    self.troubles.push(format!(
                        "CUDA_VISIBLE_DEVICES={list}: the GPUs here differ and CUDA counts the fastest \
                         first, so {index} may mean another one than NVML's; those that the job is seen \
                         on are metered (set CUDA_DEVICE_ORDER=PCI_BUS_ID, or name UUIDs)"
                    ));
                    self.chosen.clear();
                    return self.all(Claim::Visible, |gpu| gpu.is_allowed);
                }
                match allowed.get(index as usize) {
                    Some(place) => self.gpu(*place, Claim::Assigned),
                    None => return,
                }
            } else {
                match self.fitting(entry).as_slice() {
                    [one] => {
                        let one = one.clone();
                        self.push(one);
                    }
                    _ => return,
                }
            }
        }
    }

    fn all(&mut self, claim: Claim, which: impl Fn(&Found) -> bool) {
        for place in 0..self.found.len() {
            if which(&self.found[place]) {
                self.gpu(place, claim);
            }
        }
    }

    /// A whole GPU; of one that is cut into instances each of them, since nobody can use more.
    fn gpu(&mut self, gpu: usize, claim: Claim) {
        match &self.found[gpu].instances {
            None => self.push(Chosen {
                gpu,
                instance: None,
                claim,
            }),
            Some(instances) => {
                for instance in 0..instances.len() {
                    self.push(Chosen {
                        gpu,
                        instance: Some(instance),
                        // It was not said which of them is the job's: its processes will tell.
                        claim: Claim::Visible,
                    });
                }
            }
        }
    }

    fn push(&mut self, chosen: Chosen) {
        let is_same = |other: &Chosen| (other.gpu, other.instance) == (chosen.gpu, chosen.instance);
        match self.chosen.iter_mut().find(|other| is_same(other)) {
            Some(other) if chosen.claim == Claim::Assigned => other.claim = Claim::Assigned,
            Some(_) => {}
            None => self.chosen.push(chosen),
        }
    }

    /// The devices whose UUID begins like this.
    fn fitting(&self, name: &str) -> Vec<Chosen> {
        let mut fitting = Vec::new();
        if name.is_empty() {
            return fitting;
        }
        let begins = |uuid: &str| {
            let begin = uuid.get(..name.len());
            begin.is_some_and(|begin| begin.eq_ignore_ascii_case(name))
        };
        for (gpu, found) in self.found.iter().enumerate() {
            let whole = Chosen {
                gpu,
                instance: None,
                claim: Claim::Assigned,
            };
            if begins(&found.uuid) && found.instances.is_none() {
                fitting.push(whole.clone());
            }
            for (place, instance) in found.instances.iter().flatten().enumerate() {
                if begins(&instance.uuid) {
                    fitting.push(Chosen {
                        instance: Some(place),
                        ..whole.clone()
                    });
                }
            }
        }
        fitting
    }

    fn listed(&self) -> String {
        match self.found {
            [] => "NVML shows none".to_owned(),
            found => {
                let all = found
                    .iter()
                    .map(|gpu| format!("{} = {}", gpu.index, gpu.uuid));
                format!("NVML shows {}", all.collect::<Vec<_>>().join(", "))
            }
        }
    }
}

fn by_index(text: &str) -> Option<u32> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gpus(count: u32) -> Vec<Found> {
        (0..count)
            .map(|index| Found {
                index,
                uuid: format!("GPU-{index}0ab-cdef"),
                name: "NVIDIA H100".to_owned(),
                is_allowed: true,
                instances: None,
            })
            .collect()
    }

    fn cut_in_two(mut found: Vec<Found>, which: usize) -> Vec<Found> {
        let instance = |index: u32| Instance {
            index,
            uuid: format!("MIG-{which}{index}-abc"),
            slices: (3, 7),
        };
        found[which].instances = Some(vec![instance(0), instance(1)]);
        found
    }

    fn chosen(found: &[Found], choice: &Choice) -> Vec<(usize, Option<usize>, Claim)> {
        let (chosen, _) = choose(found, choice);
        (chosen.iter())
            .map(|one| (one.gpu, one.instance, one.claim))
            .collect()
    }

    fn visible(list: &str) -> Choice {
        Choice {
            visible: Some(list.to_owned()),
            ..Choice::default()
        }
    }

    fn named(list: &[&str]) -> Choice {
        Choice {
            named: list.iter().map(|name| (*name).to_owned()).collect(),
            visible: Some("0".to_owned()),
            ..Choice::default()
        }
    }

    const ASSIGNED: Claim = Claim::Assigned;

    #[test]
    fn nothing_said_means_all_that_may_be_opened() {
        let mut found = gpus(3);
        found[1].is_allowed = false;
        let seen = [(0, None, Claim::Visible), (2, None, Claim::Visible)];
        assert_eq!(chosen(&found, &Choice::default()), seen);
    }

    #[test]
    fn cuda_counts_the_devices_that_it_may_open() {
        let mut found = gpus(4);
        found[0].is_allowed = false;
        assert_eq!(chosen(&found, &visible("0")), [(1, None, ASSIGNED)]);
    }

    #[test]
    fn of_eight_two_may_be_visible_by_index_or_by_the_beginning_of_the_uuid() {
        let found = gpus(8);
        let two = [(5, None, ASSIGNED), (2, None, ASSIGNED)];
        assert_eq!(chosen(&found, &visible("5,2")), two);
        assert_eq!(chosen(&found, &visible("GPU-50, gpu-20ab")), two);
    }

    #[test]
    fn after_the_first_entry_that_fits_none_all_is_invisible() {
        let found = gpus(4);
        assert_eq!(chosen(&found, &visible("1,9,2")), [(1, None, ASSIGNED)]);
        assert_eq!(chosen(&found, &visible("1,-1,2")), [(1, None, ASSIGNED)]);
        assert_eq!(chosen(&found, &visible("GPU-,1")), [], "it fits several");
        for none in ["", "-1", " ", "NoDevFiles"] {
            assert_eq!(chosen(&found, &visible(none)), [], "{none:?}");
        }
    }

    #[test]
    fn the_flag_overrules_the_variable() {
        let found = gpus(4);
        assert_eq!(chosen(&found, &named(&["3"])), [(3, None, ASSIGNED)]);
        assert_eq!(chosen(&found, &named(&["none"])), []);
        assert_eq!(chosen(&found, &named(&["all"])).len(), 4);
        let twice = chosen(&found, &named(&["1", "GPU-10ab"]));
        assert_eq!(twice, [(1, None, ASSIGNED)], "each once");
    }

    #[test]
    fn a_name_that_fits_nothing_is_told_with_what_there_is() {
        let (chosen, troubles) = choose(&gpus(1), &named(&["7"]));
        assert_eq!(chosen, []);
        assert_eq!(
            troubles,
            ["--gpus 7: there is no such GPU (NVML shows 0 = GPU-00ab-cdef)"]
        );
    }

    #[test]
    fn gpus_that_differ_make_indices_ambiguous_unless_the_order_is_set() {
        let mut found = gpus(2);
        found[1].name = "NVIDIA T400".to_owned();
        let (chosen, troubles) = choose(&found, &visible("1"));
        assert!(chosen.iter().all(|one| one.claim == Claim::Visible));
        assert_eq!((chosen.len(), troubles.len()), (2, 1));
        let ordered = Choice {
            order: Some("PCI_BUS_ID".to_owned()),
            ..visible("1")
        };
        let (chosen, troubles) = choose(&found, &ordered);
        assert_eq!((chosen[0].gpu, troubles.len()), (1, 0));
        let (_, troubles) = choose(&found, &visible("GPU-10ab"));
        assert_eq!(troubles.len(), 0);
    }

    #[test]
    fn instances_are_named_by_uuid() {
        let found = cut_in_two(gpus(2), 1);
        let second = [(1, Some(1), ASSIGNED)];
        assert_eq!(chosen(&found, &visible("MIG-11-abc")), second);
        let any = [(1, Some(0), Claim::Visible), (1, Some(1), Claim::Visible)];
        assert_eq!(chosen(&found, &named(&["1"])), any);
    }
}
