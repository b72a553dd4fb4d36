//! What a gate loads: `fixtures/gate.toml`.

use std::collections::HashSet;
use std::num::NonZero;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::experiment::{ArmPlan, LoadPlan, Revision, ScenarioPlan, configured};
use crate::recording::{Header, is_recording};
use crate::stats::{Looks, MOST_BLOCKS, SESSION_BLOCKS};
use testkit::workload::Workload;

/// The arm that the head is compared with.
pub(crate) const BASE: &str = "base";

/// The arm that is judged.
pub(crate) const HEAD: &str = "head";

/// The id that scenarios of a gate have in place of an experiment's.
pub(crate) const GATE: &str = "gate";

/// The file within the repository.
const FILE: &str = "fixtures/gate.toml";

/// Its text, so that the program also runs elsewhere.
const BUILT_IN: &str = include_str!("../../../fixtures/gate.toml");

/// Most blocks of a quick gate: those of two starts of the server, the fewest that can show a slowdown.
const MOST_QUICK_BLOCKS: usize = 2 * SESSION_BLOCKS;

/// A quick gate loads this many times fewer rows.
const QUICK_PART: u64 = 2;

/// The file.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Scenarios {
    #[serde(rename = "scenario")]
    all: Vec<GateScenario>,
}

/// A load that is measured with both revisions.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct GateScenario {
    /// Name, unique.
    pub name: String,
    /// What it is an example of, in a line.
    pub about: String,
    /// Workload by name, or the path of a recording.
    pub workload: String,
    /// Preset by name.
    pub preset: String,
    /// Changes to it, as `stage.knob=value`.
    #[serde(default)]
    pub knobs: Vec<String>,
    /// The query; all columns and rows if absent.
    pub sql: Option<String>,
    /// Rows of a load.
    pub rows: NonZero<u64>,
}

/// How large scenarios are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Size {
    /// Whether a quick answer matters more than certainty.
    pub quick: bool,
    /// Blocks of the first look, if not those of a session.
    pub blocks: Option<NonZero<usize>>,
    /// Rows of every load, if not those of the file.
    pub rows: Option<NonZero<u64>>,
}

impl Size {
    /// When a scenario is looked at.
    #[must_use]
    pub(crate) fn looks(self) -> Looks {
        let most = if self.quick {
            MOST_QUICK_BLOCKS
        } else {
            MOST_BLOCKS
        };
        Looks::new(self.first_blocks(), most)
    }

    fn first_blocks(self) -> usize {
        self.blocks.map_or(SESSION_BLOCKS, NonZero::get)
    }
}

impl Scenarios {
    /// Reads `named`, else the file below the current folder, else the one built in.
    ///
    /// # Errors
    /// When it cannot be read, is of another form, or names what does not exist.
    pub(crate) fn read(named: Option<PathBuf>) -> Result<Self> {
        let path = match named {
            Some(path) => path,
            None if Path::new(FILE).is_file() => FILE.into(),
            None => return Self::parse(BUILT_IN),
        };
        let read = || Self::parse(&std::fs::read_to_string(&path)?);
        read().with_context(|| format!("in the scenarios {}", path.display()))
    }

    /// The load of a recording, with the configuration that it was recorded with.
    ///
    /// # Errors
    /// When the file cannot be read, is no recording, or has no rows.
    pub(crate) fn of_recording(file: &str) -> Result<Self> {
        let header = Header::read(Path::new(file))?;
        let rows = NonZero::new(header.rows_read);
        Ok(Self {
            all: vec![GateScenario {
                name: header.module,
                about: format!("the recording {file}"),
                workload: file.to_owned(),
                preset: header.preset,
                knobs: header.settings,
                sql: None,
                rows: rows.with_context(|| format!("the recording {file} has no rows"))?,
            }],
        })
    }

    fn parse(text: &str) -> Result<Self> {
        let scenarios: Self = toml::from_str(text)?;
        ensure!(!scenarios.all.is_empty(), "there is no scenario");
        let mut names = HashSet::new();
        for one in &scenarios.all {
            ensure!(
                names.insert(&one.name),
                "two scenarios are named {:?}",
                one.name
            );
            let check = || -> Result<()> {
                Workload::named(&one.workload)?;
                configured(&one.preset, &one.knobs)?;
                Ok(())
            };
            check().with_context(|| format!("scenario {:?}", one.name))?;
        }
        Ok(scenarios)
    }

    /// Those whose names contain one of `parts`, or equal one where they must be `exact`; all if no part
    /// is given.
    #[must_use]
    pub(crate) fn chosen(&self, parts: &[String], exact: bool) -> Vec<&GateScenario> {
        let is_wanted = |one: &&GateScenario| is_chosen(&one.name, parts, exact);
        self.all.iter().filter(is_wanted).collect()
    }
}

/// Whether a `name` contains one of the `parts`, or equals one where it must be `exact`; always if no
/// part is given.
#[must_use]
pub(crate) fn is_chosen(name: &str, parts: &[String], exact: bool) -> bool {
    parts.is_empty()
        || parts.iter().any(|part| match exact {
            true => name == part,
            false => name.contains(part.as_str()),
        })
}

impl GateScenario {
    /// The plan of it, with an arm for each of `revisions` by name.
    #[must_use]
    pub(crate) fn plan(&self, size: Size, revisions: &[(&str, Revision)]) -> ScenarioPlan {
        // A recording has the rows that it has.
        let is_part = size.quick && !is_recording(&self.workload);
        let part = if is_part { QUICK_PART } else { 1 };
        let rows = size
            .rows
            .map_or_else(|| self.rows.get().div_ceil(part), NonZero::get);
        let arm = |(name, revision): &(&str, Revision)| ArmPlan {
            name: (*name).to_owned(),
            rows,
            sql: None,
            load: LoadPlan::Engine {
                preset: self.preset.clone(),
                knobs: self.knobs.clone(),
                attach: Vec::new(),
                mode: None,
            },
            revision: Some(revision.clone()),
        };
        ScenarioPlan {
            name: self.name.clone(),
            experiment: GATE.to_owned(),
            on: None,
            cell: Vec::new(),
            workload: self.workload.clone(),
            sql: self.sql.clone(),
            key: Vec::new(),
            existing: None,
            table: None,
            postgres_round_trip_ms: None,
            api_round_trip_ms: None,
            blocks: size.first_blocks(),
            arms: revisions.iter().map(arm).collect(),
            confirms: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn revision(commit: &str) -> Revision {
        Revision {
            commit: commit.to_owned(),
            environment: Vec::new(),
        }
    }

    #[test]
    fn the_files_scenarios_are_valid_and_run_both_revisions() {
        let scenarios = Scenarios::read(None).unwrap();
        let revisions = [(BASE, revision("aa")), (HEAD, revision("bb"))];
        for scenario in &scenarios.all {
            let plan = scenario.plan(Size::default(), &revisions);
            let arms: Vec<&str> = plan.arms.iter().map(|arm| arm.name.as_str()).collect();
            assert_eq!(arms, [BASE, HEAD]);
            assert_eq!(plan.arms[0].load, plan.arms[1].load);
            assert_eq!(plan.arms[1].revision, Some(revision("bb")));
            let quick = scenario.plan(
                Size {
                    quick: true,
                    ..Size::default()
                },
                &revisions,
            );
            assert!(quick.arms[0].rows < plan.arms[0].rows);
        }
    }

    #[test]
    fn scenarios_are_chosen_by_part_or_by_name() {
        let scenarios = Scenarios::read(None).unwrap();
        let names = |parts: &[&str], exact| -> Vec<String> {
            let parts: Vec<String> = parts.iter().map(|part| (*part).to_owned()).collect();
            let chosen = scenarios.chosen(&parts, exact);
            chosen.iter().map(|one| one.name.clone()).collect()
        };
        assert_eq!(names(&[], false).len(), scenarios.all.len());
        assert_eq!(names(&["tuned"], true), ["tuned"]);
        assert!(names(&["t"], false).len() > 1);
        assert!(names(&["nothing"], false).is_empty());
    }

    #[test]
    fn what_there_is_not_is_refused_with_the_scenarios_name() {
        let scenario = |preset: &str| {
            format!(
                "[[scenario]]\nname = \"x\"\nabout = \"\"\nworkload = \"orders\"\npreset = \"{preset}\"\nrows = 1\n"
            )
        };
        Scenarios::parse(&scenario("tuned")).unwrap();
        let error = Scenarios::parse(&scenario("fast")).unwrap_err();
        assert!(format!("{error:#}").contains("scenario \"x\""), "{error:#}");
        let twice = scenario("tuned").repeat(2);
        let error = Scenarios::parse(&twice).unwrap_err().to_string();
        assert_eq!(error, "two scenarios are named \"x\"");
    }
}
