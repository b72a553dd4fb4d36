//! How far a run is, scenario by scenario.

use std::collections::HashSet;
use std::time::Duration;

use super::progress::spoken;
use crate::experiment::ScenarioPlan;
use crate::run_record::RunRecord;

/// How fast the run goes, for a guess at what is left of it.
#[derive(Debug, Default)]
pub(super) struct Pace {
    seconds: f64,
    samples: usize,
    finished: HashSet<String>,
}

impl Pace {
    pub(super) fn took(&mut self, plan: &ScenarioPlan, elapsed: Duration) {
        self.seconds += elapsed.as_secs_f64();
        self.samples += plan.arms.len() * plan.blocks;
    }

    pub(super) fn finish(&mut self, plan: &ScenarioPlan) {
        self.finished.insert(plan.name.clone());
    }

    pub(super) fn left(&self, record: &RunRecord) -> String {
        let open = record
            .scenarios
            .iter()
            .filter(|one| !self.finished.contains(&one.plan.name));
        let samples: usize = open.map(|one| one.plan.arms.len() * one.plan.blocks).sum();
        if self.samples == 0 {
            return String::new();
        }
        let left = self.seconds / self.samples as f64 * samples as f64;
        let left = Duration::from_secs_f64(left);
        format!(", about {} left", spoken(left))
    }
}
