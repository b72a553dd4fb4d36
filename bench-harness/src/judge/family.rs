//! Which comparisons are judged together.
//!
//! Of many comparisons of equal arms some look different by chance, so what is read together is
//! corrected together. In a run of several sessions that is every comparison (Benjamini and Hochberg). In one
//! without they are, each by Holm: the claims on each preset, the variants of the claims on each preset, and the
//! cells of one grid. Identical arms are a family of their own, because they ask another question.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::experiment::{IDENTICAL, ScenarioPlan};
use crate::stats::{
    Correction, Judged, LEAST_SESSIONS, Limits, Threshold, judge_family, judge_sessions,
};

/// Comparisons that were judged together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Family {
    /// Its name, such as `claims on before`.
    pub name: String,
    /// How they were corrected for their number.
    pub correction: Correction,
}

/// Judges comparisons together, by the log-ratios of the blocks of each session: over sessions where there are
/// enough of them, else over blocks.
pub(crate) fn judge_together(
    members: &[Vec<Vec<f64>>],
    limits: &[Limits],
    has_sessions: bool,
    confidence: f64,
) -> (Vec<Option<Judged>>, Correction) {
    let has_enough = members.iter().any(|one| one.len() >= LEAST_SESSIONS);
    if has_sessions && has_enough {
        return judge_sessions(members, limits, confidence);
    }
    let blocks: Vec<Vec<f64>> = members.iter().map(|sessions| sessions.concat()).collect();
    let thresholds: Vec<Threshold> = limits.iter().map(|one| one.difference()).collect();
    judge_family(&blocks, &thresholds, confidence)
}

/// The name of the family of the comparison of a scenario's arm with its baseline; `nth` is the
/// arm's place among the candidates.
pub(super) fn name(plan: &ScenarioPlan, nth: usize, has_sessions: bool) -> String {
    let place = plan.on.as_deref().map_or_else(
        || "with presets of their own".to_owned(),
        |on| format!("on {on}"),
    );
    if plan.experiment == IDENTICAL {
        format!("identical arms {place}")
    } else if has_sessions {
        "all comparisons".to_owned()
    } else if plan.confirms.is_some() {
        format!("confirmations {place}")
    } else if !plan.cell.is_empty() {
        format!("grid of {}", plan.experiment)
    } else if nth == 0 {
        format!("claims {place}")
    } else {
        format!("variants {place}")
    }
}
