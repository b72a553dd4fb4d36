//! Why two runs cannot be compared.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{RefusedScenario, Run};
use crate::fingerprint::Fingerprint;
use crate::run_record::RunRecord;

/// Why two runs cannot be compared. `Display` has a line for each reason, and what to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Refusal {
    /// All of them; never empty.
    pub reasons: Vec<Reason>,
}

/// One reason. `Display` says it in a line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Reason {
    /// A run has no readable fingerprint.
    NoFingerprint {
        /// The run.
        run: Run,
        /// What is wrong with its fingerprint.
        error: String,
    },
    /// Machine, build or server differ, as `field: A's, B's`.
    Place(String),
    /// No scenario is in both runs.
    NoSharedScenario,
    /// A scenario that is in both does not compare, and no other one does.
    Scenario(RefusedScenario),
}

/// What differs between the machines, builds and servers of the runs.
pub(super) fn place(a: &RunRecord, b: &RunRecord) -> Vec<Reason> {
    let read = |run, record: &RunRecord| {
        serde_json::from_value::<Fingerprint>(record.fingerprint.clone()).map_err(|error| {
            Reason::NoFingerprint {
                run,
                error: error.to_string(),
            }
        })
    };
    match (read(Run::A, a), read(Run::B, b)) {
        (Ok(a), Ok(b)) => {
            let differing = a.incomparable_with(&b);
            differing.into_iter().map(Reason::Place).collect()
        }
        (a, b) => a.err().into_iter().chain(b.err()).collect(),
    }
}

/// Why no scenario compares, given those that are in both runs.
pub(super) fn nothing_compares(refused: &[RefusedScenario]) -> Vec<Reason> {
    if refused.is_empty() {
        vec![Reason::NoSharedScenario]
    } else {
        refused.iter().cloned().map(Reason::Scenario).collect()
    }
}

impl Refusal {
    /// What to do about it, in sentences.
    #[must_use]
    pub(crate) fn advice(&self) -> Vec<&'static str> {
        let any = |is: fn(&Reason) -> bool| self.reasons.iter().any(is);
        let elsewhere =
            any(|reason| matches!(reason, Reason::Place(_) | Reason::NoFingerprint { .. }));
        let otherwise =
            any(|reason| matches!(reason, Reason::NoSharedScenario | Reason::Scenario(_)));
        let place = "to compare, measure both commits on one machine, with the same toolchain, build profile \
                     and server";
        let plan = "to compare, measure both commits with the same experiments at the same scale, and let both runs finish";
        [(elsewhere, place), (otherwise, plan)]
            .into_iter()
            .filter_map(|(applies, advice)| applies.then_some(advice))
            .collect()
    }
}

impl std::error::Error for Refusal {}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the runs do not compare (A's value, then B's):")?;
        for reason in &self.reasons {
            write!(f, "\n  {reason}")?;
        }
        for advice in self.advice() {
            write!(f, "\n{advice}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoFingerprint { run, error } => {
                write!(
                    f,
                    "{run} has no readable fingerprint of its machine: {error}"
                )
            }
            Self::Place(field) => f.write_str(field),
            Self::NoSharedScenario => f.write_str("they have no scenario in common"),
            Self::Scenario(scenario) => scenario.fmt(f),
        }
    }
}
