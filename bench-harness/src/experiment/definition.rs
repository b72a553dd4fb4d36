//! An experiment as its file states it.
//!
//! A file spells out what it compares: nothing here has a default but what may be absent from an
//! experiment altogether. Unknown keys are refused, so that a mistyped one cannot be passed over.

mod vary;

use std::collections::{BTreeMap, HashSet};
use std::num::NonZero;

use anyhow::{Context, Result, ensure};
use apitap_core::config::WriteMode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::IDENTICAL;
use crate::metric::Metric;
use crate::stats::{Expected, SMALLEST_EFFECT, Threshold};
use testkit::workload::Workload;

pub(crate) use vary::{
    API_ROUND_TRIP, Conditions, POSTGRES_ROUND_TRIP, Parameter, ROWS, Setting, TABLE, TableForm,
    Value, Vary, WORKLOAD, cell_name,
};

/// In a knob's value, the name of a folder that the samples of an arm share.
pub(crate) const SCRATCH: &str = "{scratch}";

/// What one claim says, and what is run to settle it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Definition {
    /// Name, unique: that of its file.
    pub id: String,
    /// What is changed, in a few words.
    pub title: String,
    /// The claim, as it was made.
    pub claim: String,
    /// Where it was made.
    pub section: String,
    /// Phase of the optimization report's plan that recommends it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<u8>,
    /// Whether a quick run measures it, if no experiment is named.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub quick: bool,
    /// The gain that the claim promises.
    pub expected: Expected,
    /// The smallest effect of interest: 3% if absent. It decides whether arms are equivalent, and what counts
    /// as "better" or "negligible".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub smallest_effect: Option<Threshold>,
    /// The quantity that the claim is about.
    pub metric: Metric,
    /// The stage that the change touches, where it is one: it bounds the gain that can be seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub touches: Option<Touched>,
    /// Workload by name.
    pub workload: String,
    /// The query; all columns and rows if absent. PostgreSQL must read it as DataFusion does,
    /// because its own answer is what every sample is held against.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sql: Option<String>,
    /// Columns that identify a row: the key of every load, and the primary key of a table that is
    /// there before it. Where a grid varies `mode` or `table`, only merges have it, and loads into a table
    /// with a primary key.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub key: Vec<String>,
    /// Rows that the table holds before a sample, as a share of those of the load: above 0, and at
    /// most 1. They are numbered like the load's first rows and have other values. There is no table
    /// before the engine's load if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub existing: Option<f64>,
    /// Presets on which every arm is run in turn, each with the rows of a sample. Empty where each
    /// arm names its own preset.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub on: BTreeMap<String, Rows>,
    /// Rows of a sample where each arm names its own preset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<Rows>,
    /// Blocks at most, where a sample takes many seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocks: Option<NonZero<usize>>,
    /// The arm that gains are against.
    pub baseline: Arm,
    /// What is compared with it; the first is the one that the claim is about.
    #[serde(default)]
    pub candidates: Vec<Arm>,
    /// Changes whose shares of a gain are wanted, in place of candidates: these are all changes together, and every
    /// other combination of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Change>,
    /// A grid over which baseline and first candidate are compared again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vary: Option<Vary>,
}

/// A stage of the pipeline that a change touches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Touched {
    /// From columns to the commit, with all that the server does.
    Write,
}

/// Rows of a sample: so many that the slower arm takes a third of a second to a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Rows(NonZero<u64>);

impl Rows {
    /// The number.
    #[must_use]
    pub fn get(self) -> u64 {
        self.0.get()
    }

    /// A number of rows; none if it is not whole, or not above 0.
    fn from_number(number: f64) -> Option<Self> {
        // Whole numbers up to here are exact.
        let is_whole = number.fract() == 0.0 && (1.0..=9e15).contains(&number);
        NonZero::new(number as u64).filter(|_| is_whole).map(Self)
    }
}

/// One side of a comparison.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Arm {
    /// Name, unique in the experiment.
    pub name: String,
    /// Preset that it starts from, where the experiment has no `on`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preset: Option<String>,
    /// Changes to the preset, as `stage.knob=value`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub knobs: Vec<String>,
    /// Rows, where they are not the experiment's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<Rows>,
    /// The query, where it is not the experiment's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sql: Option<String>,
    /// What happens to rows that are in the table: `append`, `replace` or `merge`. The engine replaces
    /// them if absent. With `psql_copy` see there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub mode: Option<WriteMode>,
    /// What watches the engine meanwhile.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attach: Vec<Attachment>,
    /// Whether this is not the engine but `psql \copy` of a binary file made beforehand: straight into
    /// the table, or, with a `mode`, into a temporary table, from which one statement appends or merges
    /// the rows.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub psql_copy: bool,
    /// The gain that is promised of a variant, where it is not the experiment's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<Expected>,
}

/// A part of what makes the difference between two arms.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// Name, unique in the experiment.
    pub name: String,
    /// What it changes of the baseline, as `stage.knob=value`.
    pub knobs: Vec<String>,
}

/// Most changes whose combinations are measured: 32 arms.
const MOST_CHANGES: usize = 5;

/// Something that watches a run as users may have it watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Attachment {
    /// The run over time, ten looks a second.
    Timeline,
    /// Its metrics as Prometheus reads them, ten times a second: a hundred times as often as usual.
    Metrics,
    /// Every span, written to a file.
    Trace,
}

impl Arm {
    /// Whether both are the same but for their names.
    fn does_as(&self, other: &Self) -> bool {
        let nameless = |arm: &Self| Self {
            name: String::new(),
            expected: None,
            ..arm.clone()
        };
        nameless(self) == nameless(other)
    }
}

impl Definition {
    /// Parses the text of a file and checks what it names.
    ///
    /// # Errors
    /// When it is no TOML of this form, or names a workload, preset or knob that there is not.
    pub fn parse(toml: &str) -> Result<Self> {
        let mut definition: Self = toml::from_str(toml)?;
        definition.combine_changes()?;
        definition.check()?;
        Ok(definition)
    }

    fn combine_changes(&mut self) -> Result<()> {
        let count = self.changes.len();
        if count == 0 {
            return Ok(());
        }
        ensure!(
            self.candidates.is_empty(),
            "changes: their combinations are the candidates, so there can be no others"
        );
        ensure!(
            (2..=MOST_CHANGES).contains(&count),
            "changes: there must be 2 to {MOST_CHANGES}"
        );
        let all = (1 << count) - 1;
        self.candidates = std::iter::once(all)
            .chain(1..all)
            .map(|combination| Arm {
                name: self.combination(combination),
                knobs: [
                    self.baseline.knobs.clone(),
                    self.chosen(combination)
                        .flat_map(|one| one.knobs.clone())
                        .collect(),
                ]
                .concat(),
                ..self.baseline.clone()
            })
            .collect();
        Ok(())
    }

    /// The name of the arm that has the changes whose bits are set; the baseline has none.
    pub(crate) fn combination(&self, bits: usize) -> String {
        let names: Vec<&str> = self.chosen(bits).map(|one| one.name.as_str()).collect();
        match names.len() {
            0 => self.baseline.name.clone(),
            all if all == self.changes.len() => "all changes".to_owned(),
            _ => names.join(" + "),
        }
    }

    fn chosen(&self, bits: usize) -> impl Iterator<Item = &Change> {
        let changes = self.changes.iter().enumerate();
        changes
            .filter(move |(nth, _)| bits >> nth & 1 == 1)
            .map(|(_, change)| change)
    }

    /// Baseline and candidates.
    pub fn arms(&self) -> impl Iterator<Item = &Arm> {
        std::iter::once(&self.baseline).chain(&self.candidates)
    }

    /// The smallest effect of interest.
    #[must_use]
    pub fn smallest_effect(&self) -> Threshold {
        self.smallest_effect.unwrap_or(SMALLEST_EFFECT)
    }

    /// The gain that is promised of the arm of that name.
    #[must_use]
    pub fn expected_of(&self, arm: &str) -> Expected {
        let mut arms = self.arms();
        let own = arms
            .find(|one| one.name == arm)
            .and_then(|one| one.expected);
        own.unwrap_or(self.expected)
    }

    fn check(&self) -> Result<()> {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        ensure!(
            !self.id.is_empty() && self.id.chars().all(plain),
            "id: {:?} is not made of a-z, 0-9 and -",
            self.id
        );
        let workload = Workload::named(&self.workload).context("workload")?;
        ensure!(
            Metric::COMPARED.contains(&self.metric),
            "metric: experiments compare {}",
            Metric::COMPARED.map(Metric::name).join(", ")
        );
        ensure!(!self.candidates.is_empty(), "candidates: there is none");
        ensure!(
            self.on.is_empty() == self.rows.is_some(),
            "rows: set them for every preset under `on`, or once if the arms name their presets"
        );
        for key in &self.key {
            ensure!(
                workload.columns().iter().any(|column| column.name == *key),
                "key: the workload has no column {key:?}"
            );
        }
        let share = self.existing.unwrap_or(1.0);
        ensure!(
            share > 0.0 && share <= 1.0,
            "existing: {share} is not above 0 and at most 1"
        );
        let mut names = HashSet::new();
        for arm in self.arms() {
            ensure!(names.insert(&arm.name), "two arms are named {:?}", arm.name);
            self.check_arm(arm, self.on.keys())
                .and_then(|()| self.check_mode(arm, &self.key))
                .with_context(|| format!("arm {:?}", arm.name))?;
            ensure!(
                self.id == IDENTICAL || arm == &self.baseline || !arm.does_as(&self.baseline),
                "arm {:?} does the same as the baseline",
                arm.name
            );
        }
        ensure!(
            self.arms().take(2).all(|arm| arm.expected.is_none()),
            "expected: what is promised of baseline and first candidate is the experiment's"
        );
        if let Some(vary) = &self.vary {
            self.check_vary(vary).context("vary")?;
        }
        Ok(())
    }

    fn check_arm<'a>(&self, arm: &'a Arm, on: impl Iterator<Item = &'a String>) -> Result<()> {
        let presets: Vec<&String> = on.chain(&arm.preset).collect();
        if arm.psql_copy {
            ensure!(
                presets.is_empty() && arm.knobs.is_empty() && arm.attach.is_empty(),
                "psql_copy takes neither preset nor knobs nor attachments"
            );
            ensure!(
                !self.has_query(arm),
                "psql_copy loads all rows: it has no sql"
            );
            return Ok(());
        }
        ensure!(
            self.on.is_empty() != arm.preset.is_none(),
            "preset: name one for every arm, or those of the experiment under `on`"
        );
        for preset in presets {
            let config = configured(preset, &arm.knobs)?;
            ensure!(
                self.metric != Metric::WriteSeconds || !config.transform.streaming,
                "write_seconds needs transform.streaming=false: otherwise batches are made meanwhile"
            );
            let mode = arm.mode.unwrap_or(WriteMode::Replace);
            config.write.check_commit(mode)?;
        }
        Ok(())
    }

    fn has_query(&self, arm: &Arm) -> bool {
        arm.sql.is_some() || self.sql.is_some()
    }

    fn check_mode(&self, arm: &Arm, key: &[String]) -> Result<()> {
        ensure!(
            arm.mode != Some(WriteMode::Merge) || !key.is_empty(),
            "mode merge needs the experiment's key"
        );
        ensure!(
            !arm.psql_copy || arm.mode != Some(WriteMode::Replace),
            "psql_copy cannot replace a table"
        );
        if self.existing.is_some() {
            let keeps = matches!(arm.mode, Some(WriteMode::Append | WriteMode::Merge));
            ensure!(
                keeps || arm.psql_copy,
                "mode: append or merge, where rows exist"
            );
            ensure!(
                key.is_empty() || arm.mode == Some(WriteMode::Merge),
                "key: rows that exist have the numbers of those that would be appended"
            );
            ensure!(
                !self.has_query(arm),
                "sql: the result could not be checked, because rows exist"
            );
        }
        Ok(())
    }
}

/// The engine's configuration of `preset` with `knobs`.
pub(crate) fn configured(preset: &str, knobs: &[String]) -> Result<apitap_core::Config> {
    let chained = |error: apitap_core::Error| anyhow::anyhow!("{}", error.chain());
    knobs
        .iter()
        .try_fold(
            apitap_core::Config::preset(preset).map_err(chained)?,
            |config, knob| config.with(knob).map_err(chained),
        )
        .with_context(|| format!("preset {preset}"))
}

#[cfg(test)]
mod tests;
