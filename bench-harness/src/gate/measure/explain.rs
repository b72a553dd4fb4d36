//! Profiles of the worse scenarios, and of those that keep a promise, which explain them.

use anyhow::Result;

use super::{Gate, ended_by};
use crate::gate::explain::shrunk;
use crate::gate::results::{Explanation, GateResults, GatedScenario, ScenarioOutcome};
use crate::measure::profiling::{Profiling, ROWS_TIMES, timing};
use crate::measure::session::{self, EndedBy};
use crate::profile::record::SamplerKind;
use crate::recording::is_recording;
use crate::report::files::write_profiles;
use crate::run_folder::RunFolder;

/// Rounds of the profiles that explain: the fewest whose intervals reach 95%.
const ROUNDS: usize = 6;

/// Scenarios that are explained; each takes half a minute and more.
const EXPLAINED: usize = 3;

impl Gate {
    /// Profiles both revisions in the scenarios of `found` that moved.
    pub(super) async fn explain(
        &self,
        folder: &RunFolder,
        found: &mut GateResults,
    ) -> Result<Option<EndedBy>> {
        if self.base.is_none() {
            eprintln!("not profiled: stored results have no program; name a revision with --base");
            return Ok(None);
        }
        let mut moved: Vec<String> = found.moved().map(|one| one.name.clone()).collect();
        if moved.len() > EXPLAINED {
            eprintln!(
                "profiling the first {EXPLAINED} of {} scenarios",
                moved.len()
            );
        }
        moved.truncate(EXPLAINED);
        let mut options = self.options.clone();
        options.scenarios.retain(|plan| moved.contains(&plan.name));
        let plans = options.scenarios.iter_mut();
        let plans = plans.filter(|plan| !is_recording(&plan.workload));
        for arm in plans.flat_map(|plan| &mut plan.arms) {
            arm.rows *= ROWS_TIMES;
        }
        options.into = Some(folder.path().to_owned());
        options.samples = false;
        options.profiling = Some(Profiling {
            rounds: ROUNDS,
            sampler: SamplerKind::Pprof,
            heap_rows: None,
        });
        options.postgres.extra_settings.push(timing());
        let finished = match Box::pin(session::run(options)).await {
            Ok(finished) => finished,
            Err(error) => return Ok(unexplained(ended_by(error))),
        };
        // A gate has no experiments, so no gains to quote.
        let profiles = write_profiles(&finished.folder, Some(&[]))?;
        for profile in profiles.iter().flat_map(|all| &all.results) {
            let of_scenario = |name: &str| name == profile.subject.scenario;
            let mut scenarios = found.scenarios.iter_mut();
            let scenario = scenarios.find(|one| of_scenario(&one.name));
            if let Some(scenario) = scenario.filter(|one| is_worse(one)) {
                scenario.explanation = Some(Explanation::new(profile, folder.path()));
            }
            for claim in found
                .claims
                .iter_mut()
                .filter(|one| of_scenario(&one.scenario))
            {
                claim.stage = shrunk(&profile.arms);
            }
        }
        Ok(finished.ended_by.and_then(unexplained))
    }
}

fn is_worse(scenario: &GatedScenario) -> bool {
    scenario.outcome == ScenarioOutcome::Regressed
}

impl GateResults {
    /// The worse scenarios, and those that keep a promise.
    pub(super) fn moved(&self) -> impl Iterator<Item = &GatedScenario> {
        let is_kept = |name: &String| {
            let mut claims = self.claims.iter();
            claims.any(|one| one.scenario == *name && one.verdict.is_kept())
        };
        let scenarios = self.scenarios.iter();
        scenarios.filter(move |one| is_worse(one) || is_kept(&one.name))
    }
}

/// The verdict is valid without an explanation, so an error is only a warning.
fn unexplained(ended_by: EndedBy) -> Option<EndedBy> {
    match ended_by {
        EndedBy::Error(error) => {
            eprintln!("warning: profiling did not finish: {error:#}");
            None
        }
        EndedBy::Interrupt => Some(EndedBy::Interrupt),
    }
}
