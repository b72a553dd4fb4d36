//! An experiment as its file states it.
//!
//! A file spells out what it compares: nothing here has a default but what may be absent from an
//! experiment altogether. Unknown keys are refused, so that a mistyped one cannot be passed over.

use std::collections::{BTreeMap, HashSet};
use std::num::NonZero;

use anyhow::{Context, Result, ensure};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::IDENTICAL;
use crate::metric::Metric;
use crate::stats::Expected;
use testkit::workload::Workload;

/// Varies the round trip between worker and PostgreSQL, in milliseconds that are added.
pub(crate) const POSTGRES_ROUND_TRIP: &str = "postgres_round_trip_ms";

/// Varies the round trip between worker and API.
pub(crate) const API_ROUND_TRIP: &str = "api_round_trip_ms";

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
    /// The quantity that the claim is about.
    pub metric: Metric,
    /// Workload by name.
    pub workload: String,
    /// The query; all columns and rows if absent. PostgreSQL must read it as DataFusion does,
    /// because its own answer is what every sample is held against.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sql: Option<String>,
    /// Presets on which every arm is run in turn, each with the rows of a sample. Empty where each
    /// arm names its own preset.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub on: BTreeMap<String, Rows>,
    /// Rows of a sample where each arm names its own preset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<Rows>,
    /// The arm that gains are against.
    pub baseline: Arm,
    /// What is compared with it; the first is the one that the claim is about.
    pub candidates: Vec<Arm>,
    /// A grid over which baseline and first candidate are compared again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vary: Option<Vary>,
}

/// Rows of a sample: so many that the slower arm takes about a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Rows(NonZero<u64>);

impl Rows {
    /// The number.
    #[must_use]
    pub fn get(self) -> u64 {
        self.0.get()
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
    /// What watches the engine meanwhile.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attach: Vec<Attachment>,
    /// Whether this is not the engine but `psql \copy` of a binary file made beforehand.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub psql_copy: bool,
}

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
            ..arm.clone()
        };
        nameless(self) == nameless(other)
    }
}

/// A grid of one or two parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Vary {
    /// Preset of both arms; absent where each arm names its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on: Option<String>,
    /// Rows of a sample in every cell.
    pub rows: Rows,
    /// What is varied.
    pub parameters: Vec<Parameter>,
}

/// What is varied, for both arms alike.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Parameter {
    /// A knob such as `write.batch_rows`, `postgres_round_trip_ms` or `api_round_trip_ms`.
    pub name: String,
    /// Its values, in the order of reports.
    pub values: Vec<f64>,
}

impl Parameter {
    /// Whether it is a round trip, and not a knob of the engine.
    #[must_use]
    pub fn is_round_trip(&self) -> bool {
        self.name == POSTGRES_ROUND_TRIP || self.name == API_ROUND_TRIP
    }
}

impl Definition {
    /// Parses the text of a file and checks what it names.
    ///
    /// # Errors
    /// When it is no TOML of this form, or names a workload, preset or knob that there is not.
    pub fn parse(toml: &str) -> Result<Self> {
        let definition: Self = toml::from_str(toml)?;
        definition.check()?;
        Ok(definition)
    }

    /// Baseline and candidates.
    pub fn arms(&self) -> impl Iterator<Item = &Arm> {
        std::iter::once(&self.baseline).chain(&self.candidates)
    }

    fn check(&self) -> Result<()> {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        ensure!(
            !self.id.is_empty() && self.id.chars().all(plain),
            "id: {:?} is not made of a-z, 0-9 and -",
            self.id
        );
        Workload::named(&self.workload).context("workload")?;
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
        let mut names = HashSet::new();
        for arm in self.arms() {
            ensure!(names.insert(&arm.name), "two arms are named {:?}", arm.name);
            self.check_arm(arm)
                .with_context(|| format!("arm {:?}", arm.name))?;
            ensure!(
                self.sql.is_none() || arm.rows.is_none(),
                "arm {:?}: the experiment's own query is checked against one answer, so an arm cannot have its own rows",
                arm.name
            );
            ensure!(
                self.id == IDENTICAL || arm == &self.baseline || !arm.does_as(&self.baseline),
                "arm {:?} does the same as the baseline",
                arm.name
            );
        }
        if let Some(vary) = &self.vary {
            self.check_vary(vary).context("vary")?;
        }
        Ok(())
    }

    fn check_arm(&self, arm: &Arm) -> Result<()> {
        let by_experiment = self.on.keys();
        let presets: Vec<&String> = by_experiment.chain(&arm.preset).collect();
        if arm.psql_copy {
            ensure!(
                presets.is_empty() && arm.knobs.is_empty() && arm.attach.is_empty(),
                "psql_copy takes neither preset nor knobs nor attachments"
            );
            ensure!(
                self.sql.is_none(),
                "psql_copy loads all rows: it has no sql"
            );
            return Ok(());
        }
        ensure!(
            self.on.is_empty() != arm.preset.is_none(),
            "preset: name one for every arm, or those of the experiment under `on`"
        );
        presets
            .into_iter()
            .try_for_each(|preset| configured(preset, &arm.knobs).map(|_| ()))
    }

    fn check_vary(&self, vary: &Vary) -> Result<()> {
        ensure!(
            (1..=2).contains(&vary.parameters.len()),
            "parameters: there must be one or two"
        );
        ensure!(
            vary.on.is_some() != self.on.is_empty(),
            "on: name presets if the arms name none, and only then"
        );
        for parameter in &vary.parameters {
            ensure!(
                parameter.values.len() >= 2,
                "{}: needs two values or more",
                parameter.name
            );
            for (nth, value) in parameter.values.iter().enumerate() {
                ensure!(
                    !parameter.values[..nth].contains(value),
                    "{}: {value} is there twice",
                    parameter.name
                );
                ensure!(
                    value.is_finite() && *value >= 0.0,
                    "{}: {value} is not a value of it",
                    parameter.name
                );
                if !parameter.is_round_trip() {
                    let knob = format!("{}={value}", parameter.name);
                    configured(vary.on.as_deref().unwrap_or("tuned"), &[knob])?;
                }
            }
            let varied = format!("{}=", parameter.name);
            for arm in self.arms().take(2) {
                ensure!(
                    !arm.knobs.iter().any(|knob| knob.starts_with(&varied)),
                    "{}: arm {:?} sets it too, and what is varied must be the same for both",
                    parameter.name,
                    arm.name
                );
            }
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
mod tests {
    use super::*;

    const MINIMAL: &str = r#"
        id = "counter"
        title = "Atomic row counter"
        claim = "2-5%"
        section = "2A"
        expected = { low = 1.02, high = 1.05 }
        metric = "wall_seconds"
        workload = "orders"
        on = { before = 50000, tuned = 200000 }
        baseline = { name = "mutex", knobs = ["counter=mutex"] }
        candidates = [{ name = "atomic", knobs = ["counter=atomic"] }]
    "#;

    fn refusal(from: &str, to: &str) -> String {
        let changed = MINIMAL.replace(from, to);
        assert_ne!(changed, MINIMAL);
        format!("{:#}", Definition::parse(&changed).unwrap_err())
    }

    #[test]
    fn a_file_says_what_is_compared() {
        let definition = Definition::parse(MINIMAL).unwrap();
        assert_eq!(definition.on["tuned"].get(), 200_000);
        assert!(!definition.quick);
        let names: Vec<&str> = definition.arms().map(|arm| arm.name.as_str()).collect();
        assert_eq!(names, ["mutex", "atomic"]);
    }

    #[test]
    fn what_a_file_gets_wrong_is_named() {
        assert!(refusal("metric =", "metrics =").contains("metrics"));
        assert!(refusal("50000", "0").contains("nonzero"));
        assert!(refusal("\"orders\"", "\"order\"").contains("workload: there is no workload"));
        assert!(refusal("counter=atomic", "counters=atomic").contains("arm \"atomic\""));
        assert!(refusal("name = \"atomic\"", "name = \"mutex\"").contains("two arms"));
        assert!(refusal("on = {", "rows = 1\non = {").contains("rows: set"));
        let on = "on = { before = 50000, tuned = 200000 }";
        assert!(refusal(on, "rows = 5").contains("preset: name one"));
        assert!(refusal("before =", "after =").contains("unknown preset"));
        assert!(refusal("id = \"counter\"", "id = \"Counter\"").contains("id:"));
        let same = "baseline = { name = \"mutex\", knobs = [\"counter=atomic\"] }";
        let mutex = "baseline = { name = \"mutex\", knobs = [\"counter=mutex\"] }";
        assert!(refusal(mutex, same).contains("does the same as the baseline"));
        let rows = "sql = \"SELECT 1\"\nbaseline = { name = \"mutex\", rows = 5, knobs = [\"counter=mutex\"] }";
        assert!(refusal(mutex, rows).contains("an arm cannot have its own rows"));
        for (name, values, complaint) in [
            ("counter", "1, 2", "counter"),
            ("write.batch_rows", "1, 1", "1 is there twice"),
        ] {
            let grid = format!(
                "vary = {{ on = \"tuned\", rows = 1, parameters = [\
                 {{ name = \"{name}\", values = [{values}] }}] }}\nid = \"counter\""
            );
            let refused = refusal("id = \"counter\"", &grid);
            assert!(refused.contains(complaint), "{refused}");
        }
        let batch = "candidates = [{ name = \"atomic\", knobs = [\"write.batch_rows=5\"] }]\n\
                     vary = { on = \"tuned\", rows = 1, parameters = [\
                     { name = \"write.batch_rows\", values = [1, 2] }] }";
        let atomic = "candidates = [{ name = \"atomic\", knobs = [\"counter=atomic\"] }]";
        assert!(refusal(atomic, batch).contains("arm \"atomic\" sets it too"));
        let grid = "vary = { on = \"tuned\", rows = 1, parameters = [\
                    { name = \"write.batch_row\", values = [1, 2] }] }\nid = \"counter\"";
        assert!(refusal("id = \"counter\"", grid).contains("write.batch_row"));
    }
}
