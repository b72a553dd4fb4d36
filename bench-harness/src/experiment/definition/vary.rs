//! A grid: what is varied for baseline and first candidate, and what that changes of a scenario.

use std::fmt;

use anyhow::{Context, Result, anyhow, ensure};
use apitap_core::config::WriteMode;
use schemars::JsonSchema;
use serde::de::{DeserializeOwned, Error as _, IntoDeserializer as _, value};
use serde::{Deserialize, Deserializer, Serialize};

use super::{Arm, Definition, Rows};
use testkit::workload::Workload;

/// Varies the round trip between worker and PostgreSQL, in milliseconds that are added.
pub(crate) const POSTGRES_ROUND_TRIP: &str = "postgres_round_trip_ms";

/// Varies the round trip between worker and API.
pub(crate) const API_ROUND_TRIP: &str = "api_round_trip_ms";

/// Varies the rows of a sample.
pub(crate) const ROWS: &str = "rows";

/// Varies the workload, by name.
pub(crate) const WORKLOAD: &str = "workload";

/// Varies what happens to rows that are in the table.
const MODE: &str = "mode";

/// Varies the table that is there before a load.
pub(crate) const TABLE: &str = "table";

/// A grid of one or two parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Vary {
    /// Preset of both arms; absent where each arm names its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on: Option<String>,
    /// Rows of a sample in every cell, where `rows` is not varied.
    pub rows: Rows,
    /// What is varied.
    pub parameters: Vec<Parameter>,
}

/// What is varied, for both arms.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Parameter {
    /// A knob such as `write.batch_rows`, `postgres_round_trip_ms`, `api_round_trip_ms`, `rows`, `workload` by name,
    /// `mode`, or `table`: the one that is there before a load, `plain`, `primary key` or `unlogged`.
    pub name: String,
    /// Its values, in the order of reports.
    pub values: Vec<Value>,
}

/// A value of a parameter: a number, or a text.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Value {
    /// A number.
    Number(f64),
    /// A text.
    Text(String),
}

/// A parameter of a grid at one of its values.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Setting {
    /// Parameter by name.
    pub parameter: String,
    /// Its value.
    pub value: Value,
}

/// A table that is there before a load, empty unless rows exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TableForm {
    /// Logged, without an index.
    Plain,
    /// Logged, with the experiment's key as its primary key.
    #[serde(rename = "primary key")]
    PrimaryKey,
    /// Not in the write-ahead log, and without an index.
    Unlogged,
}

/// What a cell changes of its scenario.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Conditions {
    pub(crate) postgres_round_trip_ms: Option<f64>,
    pub(crate) api_round_trip_ms: Option<f64>,
    pub(crate) rows: Option<Rows>,
    pub(crate) workload: Option<String>,
    mode: Option<WriteMode>,
    pub(crate) table: Option<TableForm>,
    knobs: Vec<String>,
}

impl Vary {
    /// Every combination of the values.
    pub(crate) fn cells(&self) -> Vec<Vec<Setting>> {
        self.parameters
            .iter()
            .fold(vec![Vec::new()], |cells, parameter| {
                cells
                    .iter()
                    .flat_map(|cell| {
                        parameter.values.iter().map(|value| {
                            let mut cell = cell.clone();
                            cell.push(Setting {
                                parameter: parameter.name.clone(),
                                value: value.clone(),
                            });
                            cell
                        })
                    })
                    .collect()
            })
    }

    /// Whether this is varied.
    pub(crate) fn varies(&self, parameter: &str) -> bool {
        self.parameters.iter().any(|one| one.name == parameter)
    }
}

impl Parameter {
    /// Whether all its values are numbers, between which there may be others.
    #[must_use]
    pub fn is_numeric(&self) -> bool {
        self.values.iter().all(|value| value.number().is_some())
    }
}

impl Value {
    /// The number; none of a text.
    #[must_use]
    pub fn number(&self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Text(_) => None,
        }
    }

    fn text(&self) -> Result<&str> {
        match self {
            Self::Text(text) => Ok(text),
            Self::Number(number) => Err(anyhow!("{number} is not a text")),
        }
    }

    /// What is called so.
    fn named<T: DeserializeOwned>(&self) -> Result<T> {
        let text = self.text()?.into_deserializer();
        T::deserialize(text).map_err(|error: value::Error| error.into())
    }
}

/// Not derived: serde_json gives the numbers of an untagged enum as maps, because it keeps all their digits.
impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = match serde_json::Value::deserialize(deserializer)? {
            serde_json::Value::Number(number) => number.as_f64().map(Self::Number),
            serde_json::Value::String(text) => Some(Self::Text(text)),
            _ => None,
        };
        value.ok_or_else(|| D::Error::custom("expected a number or a text"))
    }
}

impl fmt::Display for Value {
    /// As a knob takes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => f.write_str(text),
        }
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.parameter, self.value)
    }
}

/// The settings of a cell: `postgres_round_trip_ms=2, write.batch_rows=100`.
pub(crate) fn cell_name(cell: &[Setting]) -> String {
    let settings: Vec<String> = cell.iter().map(Setting::to_string).collect();
    settings.join(", ")
}

impl Conditions {
    /// What the settings of a cell mean.
    ///
    /// # Errors
    /// When a value is none of its parameter. Whether a knob takes it is not known here.
    pub(crate) fn new(cell: &[Setting]) -> Result<Self> {
        let mut conditions = Self::default();
        for Setting { parameter, value } in cell {
            conditions
                .add(parameter, value)
                .with_context(|| format!("{parameter}: {value} is not a value of it"))?;
        }
        Ok(conditions)
    }

    fn add(&mut self, parameter: &str, value: &Value) -> Result<()> {
        let number = || value.number().context("it must be a number");
        match parameter {
            POSTGRES_ROUND_TRIP => self.postgres_round_trip_ms = Some(number()?),
            API_ROUND_TRIP => self.api_round_trip_ms = Some(number()?),
            ROWS => {
                let rows = Rows::from_number(number()?);
                self.rows = Some(rows.context("it must be a whole number above 0")?);
            }
            WORKLOAD => {
                Workload::named(value.text()?)?;
                self.workload = Some(value.text()?.to_owned());
            }
            MODE => self.mode = Some(value.named()?),
            TABLE => self.table = Some(value.named()?),
            knob => self.knobs.push(format!("{knob}={value}")),
        }
        Ok(())
    }

    /// `arm` as it is in the cell, except for its rows.
    pub(crate) fn arm(&self, arm: &Arm) -> Arm {
        let mut arm = arm.clone();
        // psql has no knobs, so what is varied of them is the engine's alone.
        if !arm.psql_copy {
            arm.knobs.extend_from_slice(&self.knobs);
        }
        arm.mode = self.mode.or(arm.mode);
        arm
    }
}

impl Definition {
    /// Columns that identify a row in a cell. Where mode or table vary, only merges have a key, and loads into a
    /// table with a primary key: the others are about what keeping one costs.
    pub(crate) fn key_in(&self, cell: &Conditions) -> &[String] {
        let is_fixed = cell.mode.is_none() && cell.table.is_none();
        let has_primary_key = cell.table == Some(TableForm::PrimaryKey);
        let mut arms = self.arms().take(2);
        let merges = arms.any(|arm| cell.arm(arm).mode == Some(WriteMode::Merge));
        if is_fixed || has_primary_key || merges {
            &self.key
        } else {
            &[]
        }
    }

    pub(super) fn check_vary(&self, vary: &Vary) -> Result<()> {
        ensure!(
            (1..=2).contains(&vary.parameters.len()),
            "parameters: there must be one or two"
        );
        ensure!(
            vary.on.is_some() != self.on.is_empty(),
            "on: name presets if the arms name none, and only then"
        );
        for parameter in &vary.parameters {
            self.check_parameter(parameter)
                .with_context(|| parameter.name.clone())?;
        }
        for cell in vary.cells() {
            let conditions = Conditions::new(&cell)?;
            self.check_cell(vary, &conditions)
                .with_context(|| cell_name(&cell))?;
        }
        Ok(())
    }

    fn check_parameter(&self, parameter: &Parameter) -> Result<()> {
        let values = &parameter.values;
        ensure!(values.len() >= 2, "needs two values or more");
        for (nth, value) in values.iter().enumerate() {
            ensure!(!values[..nth].contains(value), "{value} is there twice");
            let is_sound = |number: f64| number.is_finite() && number >= 0.0;
            ensure!(
                value.number().is_none_or(is_sound),
                "{value} is not a value of it"
            );
        }
        for arm in self.arms().take(2) {
            ensure!(
                !arm.sets(&parameter.name),
                "arm {:?} sets it too, and what is varied must be the same for both",
                arm.name
            );
        }
        Ok(())
    }

    fn check_cell(&self, vary: &Vary, cell: &Conditions) -> Result<()> {
        ensure!(
            cell.table != Some(TableForm::PrimaryKey) || !self.key.is_empty(),
            "a primary key needs the experiment's key"
        );
        for arm in self.arms().take(2) {
            ensure!(
                cell.workload.is_none() || (self.key.is_empty() && !self.has_query(arm)),
                "key and sql name columns of one workload"
            );
            ensure!(
                !arm.psql_copy || (cell.mode.is_none() && cell.table.is_none()),
                "mode and table vary for the engine alone, and arm {:?} is psql",
                arm.name
            );
            let in_cell = cell.arm(arm);
            self.check_arm(&in_cell, vary.on.iter())
                .and_then(|()| self.check_mode(&in_cell, self.key_in(cell)))
                .with_context(|| format!("arm {:?}", arm.name))?;
        }
        Ok(())
    }
}

impl Arm {
    /// Whether it says itself what a parameter of that name would vary.
    fn sets(&self, parameter: &str) -> bool {
        match parameter {
            ROWS => self.rows.is_some(),
            MODE => self.mode.is_some(),
            knob => {
                let set = self.knobs.iter();
                let mut names = set.filter_map(|set| set.split_once('='));
                names.any(|(name, _)| name == knob)
            }
        }
    }
}
