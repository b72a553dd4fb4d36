//! From an experiment to the scenarios that a run takes samples of.

use apitap_core::config::WriteMode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::definition::{
    Arm, Attachment, Conditions, Rows, SCRATCH, Setting, TableForm, Vary, cell_name,
};
use super::{Experiment, Scale};
use crate::stats::{BLOCKS_PER_SESSION, LEAST_SESSIONS};

/// One workload under one set of conditions, loaded by several arms.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScenarioPlan {
    /// Name, unique in a run.
    pub name: String,
    /// Experiment that it belongs to, by id.
    pub experiment: String,
    /// Preset of its arms; absent if each arm names its own.
    pub on: Option<String>,
    /// Where in the experiment's grid it lies; empty outside of one.
    pub cell: Vec<Setting>,
    /// Workload by name.
    pub workload: String,
    /// The query of arms without one; all columns and rows if absent.
    pub sql: Option<String>,
    /// Columns that identify a row; may be empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub key: Vec<String>,
    /// Rows that the table holds before a sample, as a share of those of the load.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub existing: Option<f64>,
    /// The table that is there before a sample of the engine. Absent where the load makes it, unless rows exist.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<TableForm>,
    /// Round trip added between worker and PostgreSQL; absent without a relay between them.
    pub postgres_round_trip_ms: Option<f64>,
    /// Round trip added between worker and API.
    pub api_round_trip_ms: Option<f64>,
    /// Blocks.
    pub blocks: usize,
    /// The arms; the first is the baseline, the second the candidate of the claim.
    pub arms: Vec<ArmPlan>,
    /// The scenario that this one repeats later, by name.
    pub confirms: Option<String>,
}

/// One configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ArmPlan {
    /// Name, unique in its scenario.
    pub name: String,
    /// Rows that it reads.
    pub rows: u64,
    /// The query, where it is not the scenario's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sql: Option<String>,
    /// What it runs.
    pub load: LoadPlan,
    /// The build that runs it, where it is not this program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<Revision>,
}

/// A build of the engine other than this program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Revision {
    /// The whole hash of its commit.
    pub commit: String,
    /// What is set in its environment, as `NAME=value`: how tests slow it down.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub environment: Vec<String>,
}

/// What an arm runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum LoadPlan {
    /// The engine. Where no rows exist there is no table, so that every arm makes its own.
    Engine {
        /// Preset by name.
        preset: String,
        /// Changes to it, as `stage.knob=value`.
        knobs: Vec<String>,
        /// What watches it meanwhile.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        attach: Vec<Attachment>,
        /// What happens to rows that are in the table; they are replaced if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(with = "Option<String>")]
        mode: Option<WriteMode>,
    },
    /// `psql \copy` in binary of a file made beforehand, into a table that is there.
    PsqlCopy,
    /// The same into a temporary table, and from there by one statement in this mode.
    PsqlStaged(#[schemars(with = "String")] WriteMode),
}

/// Blocks of a cell: the fewest sessions that give an interval. There are many cells, and each one is a point of a
/// curve.
const CELL_BLOCKS: usize = LEAST_SESSIONS * BLOCKS_PER_SESSION;

impl Experiment {
    /// Its scenarios at `scale`: one for each of its presets, then the cells of its grid. A quick run has
    /// no grid, and of the candidates only the one that the claim is about.
    #[must_use]
    pub fn scenarios(&self, scale: Scale) -> Vec<ScenarioPlan> {
        let definition = &self.definition;
        let own = definition.rows.map(|rows| (None, rows));
        let presets = definition
            .on
            .iter()
            .map(|(on, rows)| (Some(on.as_str()), *rows));
        let mut scenarios: Vec<ScenarioPlan> = own
            .into_iter()
            .chain(presets)
            .map(|(on, rows)| self.on_preset(on, rows, scale))
            .collect();
        if scale == Scale::Quick {
            for plan in &mut scenarios {
                plan.arms.truncate(2);
            }
            return scenarios;
        }
        if let Some(vary) = &definition.vary {
            let cells = vary.cells().into_iter();
            scenarios.extend(cells.map(|cell| self.cell(vary, cell, scale)));
        }
        scenarios
    }

    fn on_preset(&self, on: Option<&str>, rows: Rows, scale: Scale) -> ScenarioPlan {
        let definition = &self.definition;
        let arms = definition
            .arms()
            .map(|arm| arm_plan(arm, on, rows))
            .collect();
        ScenarioPlan {
            name: match on {
                Some(on) => format!("{} on {on}", definition.id),
                None => definition.id.clone(),
            },
            on: on.map(str::to_owned),
            arms,
            ..self.bare(scale)
        }
    }

    fn cell(&self, vary: &Vary, cell: Vec<Setting>, scale: Scale) -> ScenarioPlan {
        let definition = &self.definition;
        // Values are checked when the file is read.
        let conditions = Conditions::new(&cell).unwrap_or_default();
        let rows = conditions.rows.unwrap_or(vary.rows);
        let on = vary.on.as_deref();
        let bare = self.bare(scale);
        ScenarioPlan {
            name: format!("{} at {}", definition.id, cell_name(&cell)),
            on: vary.on.clone(),
            key: definition.key_in(&conditions).to_vec(),
            table: conditions.table,
            postgres_round_trip_ms: conditions.postgres_round_trip_ms,
            api_round_trip_ms: conditions.api_round_trip_ms,
            arms: definition
                .arms()
                .take(2)
                .map(|arm| arm_plan(&conditions.arm(arm), on, rows))
                .collect(),
            workload: conditions.workload.unwrap_or(bare.workload),
            cell,
            blocks: CELL_BLOCKS,
            ..bare
        }
    }

    fn bare(&self, scale: Scale) -> ScenarioPlan {
        let definition = &self.definition;
        ScenarioPlan {
            name: String::new(),
            experiment: definition.id.clone(),
            on: None,
            cell: Vec::new(),
            workload: definition.workload.clone(),
            sql: definition.sql.clone(),
            key: definition.key.clone(),
            existing: definition.existing,
            table: None,
            postgres_round_trip_ms: None,
            api_round_trip_ms: None,
            blocks: definition
                .blocks
                .map_or(scale.blocks(), |most| scale.blocks().min(most.get())),
            arms: Vec::new(),
            confirms: None,
        }
    }
}

impl ScenarioPlan {
    /// The arm that every ratio is against.
    ///
    /// # Panics
    /// Never: a plan has a baseline.
    #[must_use]
    pub fn baseline(&self) -> &ArmPlan {
        &self.arms[0]
    }

    /// The presets that its arms run.
    pub(crate) fn presets(&self) -> impl Iterator<Item = &str> {
        self.arms.iter().filter_map(|arm| match &arm.load {
            LoadPlan::Engine { preset, .. } => Some(preset.as_str()),
            LoadPlan::PsqlCopy | LoadPlan::PsqlStaged(_) => None,
        })
    }

    /// The query of `arm`; all columns and rows if it has none.
    #[must_use]
    pub fn query<'a>(&'a self, arm: &'a ArmPlan) -> Option<&'a str> {
        arm.sql.as_deref().or(self.sql.as_deref())
    }

    /// The same comparison of baseline and first candidate once more, named after `when`.
    #[must_use]
    pub fn repeated(&self, when: &str) -> Self {
        Self {
            name: format!("{} {when}", self.name),
            arms: self.arms.iter().take(2).cloned().collect(),
            confirms: Some(self.name.clone()),
            ..self.clone()
        }
    }
}

impl ArmPlan {
    /// Whether its samples share a folder.
    pub(crate) fn has_scratch(&self) -> bool {
        match &self.load {
            LoadPlan::Engine { knobs, .. } => knobs.iter().any(|knob| knob.contains(SCRATCH)),
            LoadPlan::PsqlCopy | LoadPlan::PsqlStaged(_) => false,
        }
    }
}

fn arm_plan(arm: &Arm, on: Option<&str>, rows: Rows) -> ArmPlan {
    let preset = arm.preset.as_deref().or(on);
    let load = match (preset, arm.mode) {
        (Some(preset), mode) if !arm.psql_copy => LoadPlan::Engine {
            preset: preset.to_owned(),
            knobs: arm.knobs.clone(),
            attach: arm.attach.clone(),
            mode: mode.filter(|mode| *mode != WriteMode::Replace),
        },
        (_, Some(mode)) => LoadPlan::PsqlStaged(mode),
        (_, None) => LoadPlan::PsqlCopy,
    };
    ArmPlan {
        name: arm.name.clone(),
        rows: arm.rows.unwrap_or(rows).get(),
        sql: arm.sql.clone(),
        load,
        revision: None,
    }
}
