//! Watts of one busy core by the processor's model.
//!
//! A core that works takes about the thermal design power of its processor divided by its cores: the
//! makers state that power for all cores at work. Two hardware threads of one core count as two cores
//! here and do not draw twice; the interval of the estimate (−50 to +100 %) covers it.

use super::given::WATTS_PER_BUSY_CORE;
use crate::units::Watts;

/// `model,TDP in watts,cores,maker`.
const TABLE: &str = include_str!("tables/cpus.csv");

/// What one busy core draws.
#[derive(Clone, Debug, PartialEq)]
pub struct PerCore {
    /// The processor, as it names itself.
    pub name: String,
    /// Power of a busy core.
    pub watts: Watts,
    /// Where the figure is from.
    pub source: String,
}

/// The figure for a processor by what `/proc/cpuinfo` calls its `model name`; a default where it is
/// not in the table or has none (on aarch64).
pub fn per_core(model: Option<&str>) -> PerCore {
    let name = model.map_or_else(|| "processor of unknown model".to_owned(), plain);
    // The longest that fits: `6248R` is not `6248`.
    let rows = TABLE.lines().filter_map(row);
    let fitting = rows.filter(|(pattern, ..)| fits(&name, pattern));
    match fitting.max_by_key(|(pattern, ..)| pattern.len()) {
        Some((_, tdp, cores, maker)) => PerCore {
            watts: Watts(tdp / cores),
            source: format!("{tdp} W of {cores} cores by {maker}'s data sheet"),
            name,
        },
        None => PerCore {
            name,
            watts: WATTS_PER_BUSY_CORE,
            source: "a default, since its data sheet is not at hand".to_owned(),
        },
    }
}

fn row(line: &str) -> Option<(&str, f64, f64, &str)> {
    let mut fields = line.split(',');
    let (model, tdp, cores) = (fields.next()?, fields.next()?, fields.next()?);
    Some((
        model,
        tdp.parse().ok()?,
        cores.parse().ok()?,
        fields.next()?,
    ))
}

/// Whether the pattern stands in the name and ends with a word: `EPYC 7702P` is an `EPYC 7702` for one
/// socket, but `7543` is not `754`.
fn fits(name: &str, pattern: &str) -> bool {
    name.match_indices(pattern).any(|(at, _)| {
        let rest = &name[at + pattern.len()..];
        let rest = rest.strip_prefix('P').unwrap_or(rest);
        rest.is_empty() || rest.starts_with([' ', '@'])
    })
}

/// The name without marks: `Intel(R) Xeon(R) Gold 6248R CPU @ 3.00GHz` → `Intel Xeon Gold 6248R`.
fn plain(model: &str) -> String {
    let model = model
        .replace("(R)", "")
        .replace("(TM)", "")
        .replace("(r)", "");
    let model = model.split('@').next().unwrap_or_default();
    let words = model.split_ascii_whitespace().filter(|word| *word != "CPU");
    words.collect::<Vec<_>>().join(" ")
}

/// The `model name` in the text of `/proc/cpuinfo`.
pub fn model_name(cpuinfo: &str) -> Option<&str> {
    let line = cpuinfo
        .lines()
        .find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_is_found_under_its_marks() {
        let gold = per_core(Some("Intel(R) Xeon(R) Gold 6248R CPU @ 3.00GHz"));
        assert_eq!(gold.watts, Watts(205.0 / 24.0));
        assert_eq!(gold.name, "Intel Xeon Gold 6248R");
        let plus = per_core(Some("Intel(R) Xeon(R) Platinum 8480+"));
        assert_eq!(plus.watts, Watts(6.25));
        let single = per_core(Some("AMD EPYC 7702P 64-Core Processor"));
        assert_eq!(single.watts, Watts(3.125));
        assert!(single.source.contains("200 W of 64 cores"), "{single:?}");
    }

    #[test]
    fn what_is_not_in_the_table_has_the_default_and_says_so() {
        for unknown in [
            Some("AMD EPYC 7B13"),
            Some("AMD EPYC 7543X9"),
            Some(""),
            None,
        ] {
            let found = per_core(unknown);
            assert_eq!(found.watts, WATTS_PER_BUSY_CORE, "{unknown:?}");
            assert!(found.source.contains("default"));
        }
    }

    #[test]
    fn every_row_is_a_figure_that_can_be() {
        let rows: Vec<_> = TABLE
            .lines()
            .filter(|line| !line.starts_with('#'))
            .collect();
        assert!(rows.len() > 40);
        for line in rows {
            let (model, tdp, cores, maker) = row(line).unwrap_or_else(|| panic!("{line}"));
            assert!((1.5..20.0).contains(&(tdp / cores)), "{model}");
            assert!(maker == "AMD" || maker == "Intel", "{model}");
        }
    }

    #[test]
    fn the_name_stands_in_the_first_lines() {
        let text =
            "processor\t: 0\nvendor_id\t: X\nmodel name\t: Some CPU @ 2 GHz\nmodel name\t: b\n";
        assert_eq!(model_name(text), Some("Some CPU @ 2 GHz"));
        assert_eq!(model_name("processor : 0\n"), None);
    }
}
