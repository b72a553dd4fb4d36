//! A gate from its first sample to its findings.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Result;
use chrono::Utc;

use super::baseline::Baseline;
use super::counts;
use super::judge::{Evidence, Policy, judge, outcome, to_confirm};
use super::more_blocks::more_blocks;
use super::policy::{Limits, Waiver, Waivers};
use super::results::{Explanation, GateOutcome, GateResults, SCHEMA_VERSION, ScenarioOutcome};
use super::revision::BuiltRevision;
use super::scenario::{BASE, GateScenario, HEAD, Size};
use crate::experiment::{Revision, ScenarioPlan};
use crate::format::Count;
use crate::measure::interrupt::Interrupt;
use crate::measure::profiling::{Profiling, ROWS_TIMES, timing};
use crate::measure::session::{self, EndedBy, Incomparable, NothingTaken, RunOptions};
use crate::profile::record::SamplerKind;
use crate::report::files::write_profiles;
use crate::run_folder::RunFolder;
use crate::run_record::RunRecord;
use crate::stats::holm::reachable;

/// Rounds of the profiles that explain: the fewest whose intervals reach 95%.
const ROUNDS: usize = 6;

/// Scenarios that are explained; each takes half a minute and more.
const EXPLAINED: usize = 3;

/// What is held against what.
pub(crate) struct Gate {
    /// What is judged.
    pub head: BuiltRevision,
    /// What it is held against; absent where that was measured before, or nothing is judged.
    pub base: Option<BuiltRevision>,
    /// Set in the head's environment, as `NAME=value`.
    pub head_environment: Vec<String>,
    /// What was measured before.
    pub baseline: Option<Baseline>,
    /// What is loaded.
    pub scenarios: Vec<GateScenario>,
    /// How large that is.
    pub size: Size,
    /// How it is judged.
    pub rules: Rules,
    /// Whether what needs a run of its own is counted.
    pub counts: bool,
    /// Whether what is worse is measured once more, on a server started anew.
    pub confirms: bool,
    /// For how long blocks are added to what cannot be told, and for as long again to what confirms it.
    pub patience: Duration,
    /// Whether what is worse is profiled.
    pub explains: bool,
    /// Programs, server, seed and folder. Scenarios and revisions are filled in.
    pub options: RunOptions,
}

/// How a gate is judged.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rules {
    /// By how much quantities may be worse.
    pub limits: Limits,
    /// What is accepted; those only whose commits are of the change.
    pub waivers: Waivers,
    /// Whether a scenario without figures is let pass.
    pub lenient: bool,
}

/// How far a gate came.
pub(crate) struct Gated {
    /// Its folder.
    pub folder: PathBuf,
    /// What it found.
    pub results: GateResults,
    /// What ended it early.
    pub ended_by: Option<EndedBy>,
}

impl Gate {
    /// Measures head and base, and judges.
    ///
    /// # Errors
    /// [`Incomparable`], where the stored results are of another place or of other data; and when
    /// nothing could be measured.
    pub(crate) async fn run(mut self) -> Result<Gated> {
        let plans = self.plans();
        if let Some(baseline) = &self.baseline {
            let mut differing = baseline.harness_differs();
            differing.extend(baseline.plans_differ(&plans));
            Incomparable::unless_none(differing)?;
            self.options.only_at = Some(baseline.fingerprint()?);
        }
        let (folder, mut ended_by) = self.measure(plans).await?;
        if ended_by.is_none() && self.counts {
            ended_by = self.count(&folder).await?;
        }
        let mut found = self.judge(&folder)?;
        if let Some(baseline) = &self.baseline {
            Incomparable::unless_none(baseline.data_differs(&folder.record()?))?;
        }
        // Looking again and again makes false alarms likelier; none is believed unless it is confirmed.
        if ended_by.is_none() && self.confirms {
            ended_by = self.measure_on(&folder, &mut found, 0).await?;
        }
        let again = to_confirm(&found.scenarios);
        let mut is_confirmed = !self.confirms || again.is_empty();
        if ended_by.is_none() && !is_confirmed {
            ended_by = self.confirm(&folder, &again).await?;
            is_confirmed = ended_by.is_none();
            found = self.judge(&folder)?;
            if ended_by.is_none() {
                let confirming = self.options.scenarios.len();
                ended_by = self.measure_on(&folder, &mut found, confirming).await?;
            }
        }
        if ended_by.is_none() && self.explains && found.outcome == GateOutcome::Regressed {
            ended_by = self.explain(&folder, &mut found).await?;
        }
        if let Some(ended_by) = &ended_by {
            // What is missing then is not missing on one side, and what is worse may not be confirmed.
            found.outcome = match found.outcome {
                GateOutcome::WrongData => GateOutcome::WrongData,
                GateOutcome::Regressed if is_confirmed => GateOutcome::Regressed,
                _ => GateOutcome::Failed,
            };
            found.failure = Some(match ended_by {
                EndedBy::Error(error) => format!("{error:#}"),
                EndedBy::Interrupt => "it was interrupted".to_owned(),
            });
        }
        Ok(Gated {
            folder: folder.path().to_owned(),
            results: found,
            ended_by,
        })
    }

    /// Measures the head alone, for later.
    ///
    /// # Errors
    /// When a load fails, or is not as it must be.
    pub(crate) async fn store(mut self) -> Result<Baseline> {
        let (folder, mut ended_by) = self.measure(self.plans()).await?;
        if ended_by.is_none() && self.counts {
            ended_by = self.count(&folder).await?;
        }
        match ended_by {
            Some(EndedBy::Error(error)) => return Err(error),
            Some(EndedBy::Interrupt) => return Err(NothingTaken.into()),
            None => {}
        }
        let baseline = Baseline::new(
            self.head.revision.clone(),
            folder.record()?,
            folder.samples()?,
            counts::read(folder.path())?,
        );
        baseline.ensure_whole()?;
        Ok(baseline)
    }

    fn plans(&self) -> Vec<ScenarioPlan> {
        let revision = |built: &BuiltRevision, environment: &[String]| Revision {
            commit: built.revision.commit.clone(),
            environment: environment.to_vec(),
        };
        let mut revisions = Vec::new();
        if let Some(base) = &self.base {
            revisions.push((BASE, revision(base, &[])));
        }
        revisions.push((HEAD, revision(&self.head, &self.head_environment)));
        let scenarios = self.scenarios.iter();
        scenarios
            .map(|one| one.plan(self.size, &revisions))
            .collect()
    }

    async fn measure(&mut self, plans: Vec<ScenarioPlan>) -> Result<(RunFolder, Option<EndedBy>)> {
        let built = self.base.iter().map(|base| (BASE, base));
        let built = built.chain([(HEAD, &self.head)]);
        self.options.revisions = built
            .map(|(arm, built)| (arm.to_owned(), built.program.clone()))
            .collect::<BTreeMap<_, _>>();
        self.options.build = Some(self.head.build.clone());
        self.options.scenarios = plans;
        let finished = Box::pin(session::run(self.options.clone())).await?;
        Ok((finished.folder, finished.ended_by))
    }

    /// Counts what needs a run of its own.
    async fn count(&self, folder: &RunFolder) -> Result<Option<EndedBy>> {
        let RunOptions {
            postgres,
            program,
            scenarios,
            revisions,
            ..
        } = &self.options;
        let mut interrupt = Interrupt::listen()?;
        let taken = counts::take(postgres, program, scenarios, revisions, &mut interrupt);
        match Box::pin(taken).await {
            Ok(Some(counts)) => counts::write(folder.path(), &counts).map(|()| None),
            Ok(None) => Ok(Some(EndedBy::Interrupt)),
            Err(error) => Ok(Some(EndedBy::Error(error))),
        }
    }

    /// Adds blocks to the scenarios from the `first` on that cannot be told, until they can or patience ends.
    ///
    /// Not to those of which the base was stored: only one side of the doubt would grow less.
    async fn measure_on(
        &self,
        folder: &RunFolder,
        found: &mut GateResults,
        first: usize,
    ) -> Result<Option<EndedBy>> {
        let give_up = Instant::now() + self.patience;
        let planned = self.options.scenarios.iter();
        let Some(blocks) = planned.map(|plan| plan.blocks).max() else {
            return Ok(None);
        };
        while self.baseline.is_none() && found.outcome != GateOutcome::WrongData {
            let mut record = folder.record()?;
            let samples = folder.samples()?.samples;
            let left = give_up.saturating_duration_since(Instant::now());
            let next = more_blocks(&record, &samples, &found.scenarios, first, blocks, left);
            let Some((index, blocks)) = next else {
                break;
            };
            let plan = &mut record.scenarios[index].plan;
            eprintln!(
                "{}: {} cannot tell, so it gets {blocks}",
                plan.name,
                Count::new(plan.blocks, "block")
            );
            plan.blocks = blocks;
            folder.write_record(&record)?;
            let ended_by = self.go_on(folder).await;
            *found = self.judge(folder)?;
            if ended_by.is_some() {
                return Ok(ended_by);
            }
        }
        Ok(None)
    }

    /// Takes what the record in `folder` plans and is not taken yet, on a server started anew.
    async fn go_on(&self, folder: &RunFolder) -> Option<EndedBy> {
        let path = folder.path().to_owned();
        let finished = Box::pin(session::resume(self.options.clone(), path)).await;
        finished.map_or_else(|error| Some(of_error(error)), |one| one.ended_by)
    }

    /// Measures `scenarios` once more, on a server started anew.
    async fn confirm(&self, folder: &RunFolder, scenarios: &[String]) -> Result<Option<EndedBy>> {
        eprintln!(
            "{} to measure once more, on a server started anew",
            Count::new(scenarios.len(), "scenario")
        );
        let mut record = folder.record()?;
        let first = record.scenarios.clone();
        let flagged = first
            .iter()
            .filter(|one| scenarios.contains(&one.plan.name));
        let again = flagged.map(|one| one.repeated(one.plan.repeated("again")));
        record.scenarios.extend(again);
        folder.write_record(&record)?;
        Ok(self.go_on(folder).await)
    }

    /// Profiles what is worse of both revisions.
    async fn explain(
        &self,
        folder: &RunFolder,
        found: &mut GateResults,
    ) -> Result<Option<EndedBy>> {
        if self.base.is_none() {
            eprintln!("stored results have no program to profile: name a revision with --base");
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
                "the first {EXPLAINED} of {} scenarios are explained",
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
            Err(error) => return Ok(unexplained(of_error(error))),
        };
        let profiles = write_profiles(&finished.folder)?;
        for profile in profiles.iter().flat_map(|all| &all.results) {
            let of_scenario = |name: &str| name == profile.subject.scenario;
            let mut scenarios = found.scenarios.iter_mut();
            if let Some(scenario) = scenarios.find(|one| of_scenario(&one.name)) {
                scenario.explanation = Some(Explanation::new(profile, folder.path()));
            }
        }
        Ok(finished.ended_by.and_then(unexplained))
    }

    fn judge(&self, folder: &RunFolder) -> Result<GateResults> {
        let (record, samples) = (folder.record()?, folder.samples()?);
        let counts = counts::read(folder.path())?;
        let today = Utc::now().date_naive();
        let base = self.baseline.as_ref().map(|stored| Evidence {
            record: &stored.record,
            samples: &stored.samples,
            counts: &stored.counts,
        });
        let head = Evidence {
            record: &record,
            samples: &samples.samples,
            counts: &counts,
        };
        let policy = Policy {
            limits: &self.rules.limits,
            waivers: &self.rules.waivers.all,
            today,
            lenient: self.rules.lenient,
        };
        let scenarios = judge(head, base, policy);
        let base = match (&self.base, &self.baseline) {
            (Some(base), _) => &base.revision,
            (None, Some(stored)) => &stored.revision,
            (None, None) => &self.head.revision,
        };
        let expired = self.rules.waivers.expired(today);
        let expired_waivers: Vec<String> = expired.map(Waiver::to_string).collect();
        let outcome = match outcome(&scenarios) {
            better if better > GateOutcome::ExpiredWaiver && !expired_waivers.is_empty() => {
                GateOutcome::ExpiredWaiver
            }
            outcome => outcome,
        };
        Ok(GateResults {
            schema_version: SCHEMA_VERSION,
            started_at: record.started_at,
            command: record.command.clone(),
            seed: record.seed,
            confidence_level: record.confidence_level,
            base: base.clone(),
            head: self.head.revision.clone(),
            is_corrected: is_corrected(&record),
            is_stored: self.baseline.is_some(),
            outcome,
            failure: None,
            expired_waivers,
            scenarios,
            fingerprint: record.fingerprint.clone(),
        })
    }
}

/// Two samples of as many tell no less than blocks, so this holds for stored results too.
fn is_corrected(record: &RunRecord) -> bool {
    let first = record
        .scenarios
        .iter()
        .filter(|one| one.plan.confirms.is_none());
    let blocks: Vec<usize> = first.map(|one| one.plan.blocks).collect();
    let most = blocks.iter().copied().max().unwrap_or_default();
    reachable(most, blocks.len(), 1.0 - record.confidence_level)
}

/// What ended a later part, whose results before stand.
fn of_error(error: anyhow::Error) -> EndedBy {
    if error.is::<NothingTaken>() {
        EndedBy::Interrupt
    } else {
        EndedBy::Error(error)
    }
}

/// The verdict stands without an explanation: an error is told, and no more.
fn unexplained(ended_by: EndedBy) -> Option<EndedBy> {
    match ended_by {
        EndedBy::Error(error) => {
            eprintln!("warning: not everything is explained: {error:#}");
            None
        }
        EndedBy::Interrupt => Some(EndedBy::Interrupt),
    }
}
