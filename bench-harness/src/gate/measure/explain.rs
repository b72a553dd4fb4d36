//! Profiles of the worse scenarios, which explain them.

use anyhow::Result;

use super::{Gate, ended_by};
use crate::gate::results::{Explanation, GateResults, ScenarioOutcome};
use crate::measure::profiling::{Profiling, ROWS_TIMES, timing};
use crate::measure::session::{self, EndedBy};
use crate::profile::record::SamplerKind;
use crate::report::files::write_profiles;
use crate::run_folder::RunFolder;

/// Rounds of the profiles that explain: the fewest whose intervals reach 95%.
const ROUNDS: usize = 6;

/// Scenarios that are explained; each takes half a minute and more.
const EXPLAINED: usize = 3;

impl Gate {
    /// Profiles both revisions in the worse scenarios.
    pub(super) async fn explain(
        &self,
        folder: &RunFolder,
        found: &mut GateResults,
    ) -> Result<Option<EndedBy>> {
        if self.base.is_none() {
            eprintln!("not profiled: stored results have no program; name a revision with --base");
            return Ok(None);
        }
        let mut worse: Vec<String> = found
            .scenarios
            .iter()
            .filter(|one| one.outcome == ScenarioOutcome::Regressed)
            .map(|one| one.name.clone())
            .collect();
        if worse.len() > EXPLAINED {
            eprintln!(
                "profiling the first {EXPLAINED} of {} scenarios",
                worse.len()
            );
        }
        worse.truncate(EXPLAINED);
        let mut options = self.options.clone();
        options.scenarios.retain(|plan| worse.contains(&plan.name));
        for arm in options.scenarios.iter_mut().flat_map(|plan| &mut plan.arms) {
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
            if let Some(scenario) = scenarios.find(|one| of_scenario(&one.name)) {
                scenario.explanation = Some(Explanation::new(profile, folder.path()));
            }
        }
        Ok(finished.ended_by.and_then(unexplained))
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
