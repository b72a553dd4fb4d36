//! What a gate found: everything that its files and its terminal output show.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::metric::Metric;
use crate::samples::Timestamp;
use crate::stats::{ClaimVerdict, Verdict};

/// Version of the layout of `gate.json`.
pub(crate) const SCHEMA_VERSION: u32 = 1;

/// The findings of one gate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GateResults {
    /// `SCHEMA_VERSION` of the program that wrote it.
    pub schema_version: u32,
    /// When measuring began.
    pub started_at: Timestamp,
    /// The command as it was typed, without passwords.
    pub command: Vec<String>,
    /// Seed of the order of samples.
    pub seed: u64,
    /// Confidence asked of every family of intervals.
    pub confidence_level: f64,
    /// What the head is compared with.
    pub base: GatedRevision,
    /// What is judged.
    pub head: GatedRevision,
    /// Whether there are enough blocks to judge each metric over all scenarios as a family, by Holm's
    /// procedure. If not, each comparison is judged alone.
    pub is_corrected: bool,
    /// What the change promises, in each scenario.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub claims: Vec<GatedClaim>,
    /// Whether the base's figures were measured before, and not block by block beside the head's.
    pub is_stored: bool,
    /// The verdict.
    pub outcome: GateOutcome,
    /// Why the harness failed, if it did.
    pub failure: Option<String>,
    /// Waivers past their last day, each in a line.
    pub expired_waivers: Vec<String>,
    /// Every scenario, in the order in which they ran.
    pub scenarios: Vec<GatedScenario>,
    /// Machine, server and versions, as `environment::fingerprint` found them.
    pub fingerprint: serde_json::Value,
}

/// One of the two programs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GatedRevision {
    /// As it was named: `HEAD~1`, `main`, `the working tree`; the path of a program that was built before.
    pub named: String,
    /// The whole hash of its commit; `unknown` of a program that was built before.
    pub commit: String,
}

/// The verdict of a gate, the worst first.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum GateOutcome {
    /// A load left wrong data.
    WrongData,
    /// Something is worse by more than its limit.
    Regressed,
    /// A scenario is missing on one side.
    Missing,
    /// The harness failed, or a load of the head did.
    Failed,
    /// A waiver is past its last day.
    ExpiredWaiver,
    /// Nothing is clearly worse, but something is inconclusive.
    Inconclusive,
    /// Nothing is worse.
    Passed,
}

/// A scenario, judged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GatedScenario {
    /// Scenario by name.
    pub name: String,
    /// Workload by name.
    pub workload: String,
    /// Rows of a load.
    pub rows: u64,
    /// Its verdict.
    pub outcome: ScenarioOutcome,
    /// Each metric, in the order of [`Metric::GATED`].
    pub checks: Vec<Check>,
    /// Why it became slower; absent where it did not, or was not profiled.
    pub explanation: Option<Explanation>,
}

/// The verdict of a scenario.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ScenarioOutcome {
    /// Nothing is worse.
    Passed,
    /// Nothing is clearly worse, but something is inconclusive.
    Inconclusive,
    /// A metric is worse by more than its limit.
    Regressed,
    /// A metric is worse by more than its limit, and a waiver lets it pass.
    Waived {
        /// Why, as the waiver says.
        reason: String,
        /// The last day on which it does, as `2026-12-31`.
        expires: String,
    },
    /// One side has no figures.
    Missing {
        /// Which, and why.
        reason: String,
        /// Whether that passes.
        lenient: bool,
    },
    /// A load of the head did not finish.
    Failed {
        /// Why.
        reason: String,
    },
    /// A load left wrong data.
    WrongData {
        /// What the table should hold and what it does.
        reason: String,
    },
}

/// A metric of a scenario, judged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// The metric.
    pub metric: Metric,
    /// Value of the base, in the metric's unit: the median of its samples, or the count.
    pub base: Option<f64>,
    /// Value of the head, the same way.
    pub head: Option<f64>,
    /// The base's samples, in the order of its blocks; empty for a counter.
    pub base_samples: Vec<f64>,
    /// The head's samples.
    pub head_samples: Vec<f64>,
    /// Head against base, in the metric's own direction; absent where a side has no value.
    pub change: Option<Change>,
    /// By how much it may be worse, as a share: with 0.05, 5% fewer rows per second pass.
    pub limit: f64,
    /// Whether it can fail the gate. A metric that varies between runs of one program is only shown.
    pub is_hard: bool,
    /// Its verdict: `regressed` means worse by more than the limit, `equivalent` of a time that a slowdown of
    /// 3 percentage points more than the limit is ruled out.
    pub verdict: Verdict,
}

/// Head against base: 0.05 is 5% more than the base has.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// The estimate.
    pub estimate: f64,
    /// Lower end of its interval; the estimate itself where it is counted.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// p of "no difference", adjusted to the family; absent of counters.
    pub p_value: Option<f64>,
    /// Blocks up to the look that decided, or to the last one; of stored results, the samples of the side that
    /// has fewer; absent of counters.
    pub blocks: Option<usize>,
}

/// A promise of the change, judged in a scenario.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GatedClaim {
    /// The promise, as it is typed.
    pub claim: String,
    /// Its metric.
    pub metric: Metric,
    /// Scenario by name.
    pub scenario: String,
    /// What became of it.
    pub verdict: ClaimVerdict,
    /// Head against base, in the metric's own direction, with an interval that holds at every look and for all
    /// claims; absent where a side has no value.
    pub change: Option<Change>,
    /// The stage of the engine whose CPU time fell most; absent where none clearly did, or was not profiled.
    pub stage: Option<Growth>,
}

/// Why a scenario became slower, from profiles of both revisions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Explanation {
    /// Page of the profiles, relative to the gate's folder.
    pub page: String,
    /// The flame graph of the head, coloured by its difference from the base; also relative.
    pub difference: Option<String>,
    /// The stage of the engine that grew most; none where none clearly grew.
    pub stage: Option<Growth>,
    /// Share of the CPU time that was sampled, the smaller one of the two revisions; functions are ranked
    /// where it is large enough. Absent where a revision was not sampled.
    pub coverage: Option<f64>,
    /// The functions whose own cost grew most, those first. The cost of the standard library is
    /// attributed to its callers.
    pub functions: Vec<Growth>,
}

/// CPU time of a stage or a function, in µs per 1,000 rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Growth {
    /// Name of the stage or function.
    pub name: String,
    /// In the base.
    pub base: f64,
    /// In the head.
    pub head: f64,
}

impl GateResults {
    /// The worst that became of a claim: refuted, then inconclusive; none without claims.
    #[must_use]
    pub fn worst_claim(&self) -> Option<ClaimVerdict> {
        let rank = |verdict: &ClaimVerdict| match verdict {
            ClaimVerdict::Refuted => 0,
            ClaimVerdict::Inconclusive | ClaimVerdict::NotTestable => 1,
            ClaimVerdict::Supported => 2,
            ClaimVerdict::Exceeded => 3,
        };
        self.claims.iter().map(|one| one.verdict).min_by_key(rank)
    }

    /// The scenarios worth reading, and the others, both in order.
    #[must_use]
    pub fn significant(&self) -> (Vec<&GatedScenario>, Vec<&GatedScenario>) {
        self.scenarios
            .iter()
            .partition(|one| one.outcome != ScenarioOutcome::Passed || one.has_improved())
    }
}

impl GatedScenario {
    /// Whether a hard metric is better by more than its limit.
    #[must_use]
    pub fn has_improved(&self) -> bool {
        self.checks
            .iter()
            .any(|check| check.is_hard && check.verdict == Verdict::Improved)
    }

    /// The metrics that are worse.
    pub fn regressed(&self) -> impl Iterator<Item = &Check> {
        self.checks
            .iter()
            .filter(|check| check.is_hard && check.verdict == Verdict::Regressed)
    }
}
