//! What is compared: experiments, their scenarios and arms, spelled out as data.
//!
//! Nothing here has a default of its own: what an arm sets stands beside it, so that reading this
//! folder is reading what a report measured.

mod targets;
mod writers;

use apitap_core::config::WriteMethod;

pub use targets::targets;

/// A named set of scenarios: what `apitap-bench run NAME` runs.
#[derive(Debug, Clone, Copy)]
pub struct Experiment {
    /// Name, unique.
    pub name: &'static str,
    /// What it is for, in one line.
    pub about: &'static str,
    scenarios: fn(Scale) -> Vec<ScenarioPlan>,
}

impl Experiment {
    /// All experiments.
    pub const ALL: [Self; 1] = [Self {
        name: "writers",
        about: "the six write methods, from 100 to 50,000 rows per batch, and the goals of the engine",
        scenarios: writers::scenarios,
    }];

    /// Its scenarios at `scale`, in the order in which they run.
    #[must_use]
    pub fn scenarios(&self, scale: Scale) -> Vec<ScenarioPlan> {
        (self.scenarios)(scale)
    }
}

/// How much time a run may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// Minutes: shows that all works and how large the differences are, roughly.
    Quick,
    /// For a decision.
    Default,
    /// For a claim: more rows, and blocks enough for small differences.
    Full,
}

impl Scale {
    /// Blocks of a scenario that does not state its own.
    ///
    /// The exact interval of n blocks reaches 1 - 2^(1-n): 6 are the fewest for 95%, 10 allow for
    /// blocks that are lost, 16 narrow it for a claim. All are even, as the schedule wants.
    #[must_use]
    pub fn blocks(self) -> usize {
        match self {
            Self::Quick => 6,
            Self::Default => 10,
            Self::Full => 16,
        }
    }
}

/// One workload, loaded by several arms.
#[derive(Debug, Clone, PartialEq)]
pub struct ScenarioPlan {
    /// Name, unique in its experiment.
    pub name: &'static str,
    /// What it shows, in one line.
    pub about: &'static str,
    /// Workload by name.
    pub workload: &'static str,
    /// How long the API thinks about each request.
    pub api_latency_ms: u64,
    /// Rows of a sample.
    pub rows: u64,
    /// Blocks.
    pub blocks: usize,
    /// The arm that every ratio is against, by name.
    pub baseline: String,
    /// The arm that is the ceiling, by name.
    pub reference: Option<String>,
    /// The arms.
    pub arms: Vec<ArmPlan>,
}

/// One configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct ArmPlan {
    /// Name, unique in its scenario.
    pub name: String,
    /// What it runs.
    pub load: LoadPlan,
}

/// What an arm runs.
#[derive(Debug, Clone, PartialEq)]
pub enum LoadPlan {
    /// The engine, replacing a table that is not there, so that every arm makes its own.
    Engine {
        /// Preset by name.
        preset: &'static str,
        /// Changes to it, as `stage.knob=value`.
        settings: Vec<String>,
        /// Method and rows per batch, for arms that belong into the table of the two.
        cell: Option<(WriteMethod, u64)>,
    },
    /// `psql \copy` in binary of a file made beforehand, into an empty table.
    PsqlCopy,
}

/// Name of the reference arm wherever there is one.
pub(crate) const PSQL_COPY: &str = r"psql \copy (binary)";

impl ArmPlan {
    fn psql_copy() -> Self {
        Self {
            name: PSQL_COPY.to_owned(),
            load: LoadPlan::PsqlCopy,
        }
    }

    fn preset(name: &str, preset: &'static str) -> Self {
        Self {
            name: name.to_owned(),
            load: LoadPlan::Engine {
                preset,
                settings: Vec::new(),
                cell: None,
            },
        }
    }
}

impl ScenarioPlan {
    /// Leaves out the arms whose name holds none of `parts`; the baseline and the reference stay.
    /// No parts leave out nothing.
    pub fn keep_arms(&mut self, parts: &[String]) {
        let (baseline, reference) = (&self.baseline, &self.reference);
        self.arms.retain(|arm| {
            parts.is_empty()
                || arm.name == *baseline
                || Some(&arm.name) == reference.as_ref()
                || parts.iter().any(|part| arm.name.contains(part.as_str()))
        });
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_scenario_names_arms_that_it_has() {
        for scale in [Scale::Quick, Scale::Default, Scale::Full] {
            for scenario in Experiment::ALL.iter().flat_map(|one| one.scenarios(scale)) {
                let names: HashSet<&str> =
                    scenario.arms.iter().map(|arm| arm.name.as_str()).collect();
                assert_eq!(names.len(), scenario.arms.len(), "{}", scenario.name);
                assert!(
                    names.contains(scenario.baseline.as_str()),
                    "{}",
                    scenario.name
                );
                let reference = scenario.reference.as_deref();
                assert!(reference.is_none_or(|name| names.contains(name)));
                assert!(scenario.blocks % 2 == 0 && scenario.rows > 0);
            }
        }
    }

    #[test]
    fn settings_are_those_of_the_engine() {
        let scenarios = Experiment::ALL
            .iter()
            .flat_map(|one| one.scenarios(Scale::Full));
        for arm in scenarios.flat_map(|scenario| scenario.arms) {
            if let LoadPlan::Engine {
                preset, settings, ..
            } = arm.load
            {
                let config = apitap_core::Config::preset(preset).unwrap();
                settings
                    .iter()
                    .try_fold(config, |config, setting| config.with(setting))
                    .unwrap();
            }
        }
    }

    #[test]
    fn narrowing_keeps_what_ratios_are_against() {
        let mut writers = Experiment::ALL[0].scenarios(Scale::Quick).remove(0);
        writers.keep_arms(&["copy-text @ 100".to_owned()]);
        let names: Vec<&str> = writers.arms.iter().map(|arm| arm.name.as_str()).collect();
        assert_eq!(names, ["insert @ 100", "copy-text @ 100", PSQL_COPY]);
    }
}
