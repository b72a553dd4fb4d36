//! Why a scenario of both runs cannot be compared.

use std::fmt;

use apitap_core::config::WriteMode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Run, Side};
use crate::experiment::{ArmPlan, LoadPlan, ScenarioPlan};
use crate::format::{Whole, plain};
use crate::run_record::{Scenario, Verification};

/// A scenario of both runs that does not compare.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RefusedScenario {
    /// Scenario by name.
    pub name: String,
    /// What differs or is missing; never empty.
    pub differences: Vec<Difference>,
}

/// Why a scenario cannot be compared. `Display` says it in a clause.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Difference {
    /// They load different workloads.
    Workload {
        /// That of A.
        a: String,
        /// That of B.
        b: String,
    },
    /// They run different queries.
    Sql,
    /// The table before a sample is another one, holds other rows, or has another key.
    Table,
    /// They add different round trips.
    RoundTrip {
        /// Between the worker and what.
        to: String,
        /// Milliseconds in A; absent without a relay.
        a: Option<f64>,
        /// Milliseconds in B; absent without a relay.
        b: Option<f64>,
    },
    /// They have other arms, or in another order.
    Arms {
        /// Those of A, by name.
        a: Vec<String>,
        /// Those of B.
        b: Vec<String>,
    },
    /// An arm reads another number of rows.
    RowsRead {
        /// Arm by name.
        arm: String,
        /// Rows in A.
        a: u64,
        /// Rows in B.
        b: u64,
    },
    /// An arm has another preset or other knobs.
    Load {
        /// Arm by name.
        arm: String,
        /// What it runs in A.
        a: LoadPlan,
        /// What it runs in B.
        b: LoadPlan,
    },
    /// An arm has no measured sample.
    NoSample {
        /// In which run.
        run: Run,
        /// Arm by name.
        arm: String,
    },
    /// The run does not have the rows that the arms had to load.
    Unverified {
        /// Which run.
        run: Run,
    },
    /// An arm had to load another number of rows.
    RowsLoaded {
        /// Arm by name.
        arm: String,
        /// Rows in A.
        a: u64,
        /// Rows in B.
        b: u64,
    },
    /// An arm had to load other rows.
    Checksum {
        /// Arm by name.
        arm: String,
        /// That of A.
        a: String,
        /// That of B.
        b: String,
    },
}

/// Why a scenario of both runs cannot be compared; `None` if it can.
pub(super) fn refused(
    (a, of_a): (&Side<'_>, &Scenario),
    (b, of_b): (&Side<'_>, &Scenario),
) -> Option<RefusedScenario> {
    let mut differences = plans(&of_a.plan, &of_b.plan);
    if differences.is_empty() {
        let sides = [(Run::A, a), (Run::B, b)];
        differences = sides
            .into_iter()
            .flat_map(|(run, side)| without_sample(run, side, &of_a.plan))
            .collect();
    }
    if differences.is_empty() {
        differences = data(of_a, of_b);
    }
    (!differences.is_empty()).then(|| RefusedScenario {
        name: of_a.plan.name.clone(),
        differences,
    })
}

/// Differences of what is run. The number of blocks may differ: it makes no sample another one.
fn plans(a: &ScenarioPlan, b: &ScenarioPlan) -> Vec<Difference> {
    let mut differences = Vec::new();
    if a.workload != b.workload {
        differences.push(Difference::Workload {
            a: a.workload.clone(),
            b: b.workload.clone(),
        });
    }
    let queries = |plan: &ScenarioPlan| -> Vec<Option<String>> {
        let arms = plan.arms.iter();
        arms.map(|arm| plan.query(arm).map(str::to_owned)).collect()
    };
    if a.arms.len() == b.arms.len() && queries(a) != queries(b) {
        differences.push(Difference::Sql);
    }
    if (&a.key, a.existing, a.table) != (&b.key, b.existing, b.table) {
        differences.push(Difference::Table);
    }
    for (to, a, b) in [
        (
            "PostgreSQL",
            a.postgres_round_trip_ms,
            b.postgres_round_trip_ms,
        ),
        ("the API", a.api_round_trip_ms, b.api_round_trip_ms),
    ] {
        if a != b {
            let to = to.to_owned();
            differences.push(Difference::RoundTrip { to, a, b });
        }
    }
    let names = |plan: &ScenarioPlan| -> Vec<String> {
        plan.arms.iter().map(|arm| arm.name.clone()).collect()
    };
    if names(a) == names(b) {
        differences.extend(a.arms.iter().zip(&b.arms).flat_map(|(a, b)| arms(a, b)));
    } else {
        let (a, b) = (names(a), names(b));
        differences.push(Difference::Arms { a, b });
    }
    differences
}

fn arms(a: &ArmPlan, b: &ArmPlan) -> Vec<Difference> {
    let mut differences = Vec::new();
    if a.rows != b.rows {
        differences.push(Difference::RowsRead {
            arm: a.name.clone(),
            a: a.rows,
            b: b.rows,
        });
    }
    if a.load != b.load {
        differences.push(Difference::Load {
            arm: a.name.clone(),
            a: a.load.clone(),
            b: b.load.clone(),
        });
    }
    differences
}

fn without_sample(run: Run, side: &Side<'_>, plan: &ScenarioPlan) -> Vec<Difference> {
    plan.arms
        .iter()
        .filter(|arm| side.figures(&plan.name, &arm.name).is_empty())
        .map(|arm| Difference::NoSample {
            run,
            arm: arm.name.clone(),
        })
        .collect()
}

/// Differences of what every sample had to load to count.
fn data(a: &Scenario, b: &Scenario) -> Vec<Difference> {
    let arms = &a.plan.arms;
    let unverified: Vec<Difference> = [(Run::A, a), (Run::B, b)]
        .into_iter()
        .filter(|(_, scenario)| scenario.verification.len() != arms.len())
        .map(|(run, _)| Difference::Unverified { run })
        .collect();
    if !unverified.is_empty() {
        return unverified;
    }
    arms.iter()
        .zip(a.verification.iter().zip(&b.verification))
        .filter_map(|(arm, (a, b))| loaded(&arm.name, a, b))
        .collect()
}

fn loaded(arm: &str, a: &Verification, b: &Verification) -> Option<Difference> {
    let arm = arm.to_owned();
    if a.rows != b.rows {
        let (a, b) = (a.rows, b.rows);
        return Some(Difference::RowsLoaded { arm, a, b });
    }
    (a.checksum != b.checksum).then(|| Difference::Checksum {
        arm,
        a: a.checksum.clone(),
        b: b.checksum.clone(),
    })
}

impl fmt::Display for RefusedScenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let clauses: Vec<String> = self.differences.iter().map(Difference::to_string).collect();
        write!(f, "{}: {}", self.name, clauses.join("; "))
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Workload { a, b } => write!(f, "the workload is {a} in A and {b} in B"),
            Self::Sql => f.write_str("the queries differ"),
            Self::Table => f.write_str("the table before a load, or its key, differs"),
            Self::RoundTrip { to, a, b } => write!(
                f,
                "the added round trip to {to} is {} in A and {} in B",
                round_trip(*a),
                round_trip(*b)
            ),
            Self::Arms { a, b } => write!(
                f,
                "the arms are {} in A and {} in B",
                a.join(", "),
                b.join(", ")
            ),
            Self::RowsRead { arm, a, b } => {
                write!(
                    f,
                    "`{arm}` reads {} rows in A and {} in B",
                    Whole(*a),
                    Whole(*b)
                )
            }
            Self::Load { arm, a, b } => {
                write!(f, "`{arm}` is {} in A and {} in B", load(a), load(b))
            }
            Self::NoSample { run, arm } => write!(f, "{run} has no measured sample of `{arm}`"),
            Self::Unverified { run } => write!(f, "{run} has no expected rows"),
            Self::RowsLoaded { arm, a, b } => {
                write!(
                    f,
                    "`{arm}` loads {} rows in A and {} in B",
                    Whole(*a),
                    Whole(*b)
                )
            }
            Self::Checksum { arm, a, b } => write!(
                f,
                "`{arm}` loads other rows: their checksum is {a} in A and {b} in B"
            ),
        }
    }
}

fn round_trip(ms: Option<f64>) -> String {
    ms.map_or_else(|| "none".to_owned(), |ms| format!("{} ms", plain(ms)))
}

fn load(plan: &LoadPlan) -> String {
    match plan {
        LoadPlan::Engine {
            preset,
            knobs,
            mode,
            ..
        } => {
            let knobs = match knobs.is_empty() {
                true => String::new(),
                false => format!(" with {}", knobs.join(" ")),
            };
            format!("{preset}{knobs}{}", in_mode(*mode))
        }
        LoadPlan::PsqlCopy => "psql \\copy".to_owned(),
        LoadPlan::PsqlStaged(mode) => format!("psql \\copy{}", in_mode(Some(*mode))),
    }
}

fn in_mode(mode: Option<WriteMode>) -> &'static str {
    match mode {
        None => "",
        Some(WriteMode::Append) => " in mode append",
        Some(WriteMode::Replace) => " in mode replace",
        Some(WriteMode::Merge) => " in mode merge",
    }
}
