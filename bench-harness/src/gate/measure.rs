//! A gate from its first sample to its findings.

mod explain;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Result;
use chrono::Utc;

use super::baseline::Baseline;
use super::claim::Claim;
use super::counts;
use super::judge::{Evidence, Policy, claims, judge, outcome};
use super::next_session::next_session;
use super::policy::{Limits, Waiver, Waivers};
use super::results::{GateOutcome, GateResults, SCHEMA_VERSION};
use super::revision::BuiltRevision;
use super::scenario::{BASE, GateScenario, HEAD, Size};
use crate::experiment::{Revision, ScenarioPlan};
use crate::format::Count;
use crate::measure::interrupt::Interrupt;
use crate::measure::session::{self, EndedBy, Incomparable, NothingTaken, RunOptions};
use crate::run_folder::RunFolder;
use crate::run_record::RunRecord;
use crate::stats::holm::reachable;
use crate::stats::{FALSE_ALARM, SESSION_BLOCKS};

/// What is compared, and how.
pub(crate) struct Gate {
    /// What is judged.
    pub head: BuiltRevision,
    /// The base; absent where it was measured before, or nothing is judged.
    pub base: Option<BuiltRevision>,
    /// Set in the head's environment, as `NAME=value`.
    pub head_environment: Vec<String>,
    /// The stored base.
    pub baseline: Option<Baseline>,
    /// The loads.
    pub scenarios: Vec<GateScenario>,
    /// How large they are.
    pub size: Size,
    /// How it is judged.
    pub rules: Rules,
    /// Whether to count what needs a run of its own.
    pub counts: bool,
    /// How long undecided scenarios are measured on.
    pub patience: Duration,
    /// Whether a worse scenario is profiled.
    pub explains: bool,
    /// Programs, server, seed and folder. Scenarios and revisions are filled in.
    pub options: RunOptions,
}

/// How a gate is judged.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rules {
    /// By how much metrics may be worse.
    pub limits: Limits,
    /// Accepted regressions; only those whose commits are part of the change.
    pub waivers: Waivers,
    /// Whether a scenario without figures passes.
    pub lenient: bool,
    /// What the change promises; nothing where the base is stored.
    pub claims: Vec<Claim>,
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
        let mut plans = self.plans();
        if let Some(baseline) = &self.baseline {
            let mut differing = baseline.harness_differs();
            differing.extend(baseline.plans_differ(&plans));
            Incomparable::unless_none(differing)?;
            self.options.only_at = Some(baseline.fingerprint()?);
        } else {
            for plan in &mut plans {
                plan.blocks = plan.blocks.min(SESSION_BLOCKS);
            }
        }
        let (folder, mut ended_by) = self.measure(plans).await?;
        if ended_by.is_none() && self.counts {
            ended_by = self.count(&folder).await?;
        }
        let mut found = self.judge(&folder)?;
        if let Some(baseline) = &self.baseline {
            Incomparable::unless_none(baseline.data_differs(&folder.record()?))?;
        }
        // Stored results have one session: only the head would become more certain.
        if ended_by.is_none() && self.baseline.is_none() {
            ended_by = self.measure_on(&folder, &mut found).await?;
        }
        if ended_by.is_none() && self.explains && found.moved().next().is_some() {
            ended_by = self.explain(&folder, &mut found).await?;
        }
        if let Some(ended_by) = &ended_by {
            // What is worse by then is worse. A missing scenario is missing on both sides.
            found.outcome = match found.outcome {
                worse @ (GateOutcome::WrongData | GateOutcome::Regressed) => worse,
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

    /// Measures undecided scenarios on, each session on a new server, until all are decided or patience ends.
    async fn measure_on(
        &self,
        folder: &RunFolder,
        found: &mut GateResults,
    ) -> Result<Option<EndedBy>> {
        let give_up = Instant::now() + self.patience;
        let looks = self.size.looks();
        while found.outcome != GateOutcome::WrongData {
            let mut record = folder.record()?;
            let samples = folder.samples()?.samples;
            let left = give_up.saturating_duration_since(Instant::now());
            let next = next_session(&record, &samples, found, &looks, left);
            if next.is_empty() {
                break;
            }
            eprintln!("undecided: {}", Count::new(next.len(), "scenario"));
            for (index, blocks) in next {
                record.scenarios[index].plan.blocks = blocks;
            }
            folder.write_record(&record)?;
            let ended_by = self.go_on(folder).await;
            *found = self.judge(folder)?;
            if ended_by.is_some() {
                return Ok(ended_by);
            }
        }
        Ok(None)
    }

    /// Takes the samples that the record in `folder` plans and that are missing, on a new server.
    async fn go_on(&self, folder: &RunFolder) -> Option<EndedBy> {
        let path = folder.path().to_owned();
        let finished = Box::pin(session::resume(self.options.clone(), path)).await;
        finished.map_or_else(|error| Some(ended_by(error)), |one| one.ended_by)
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
        let looks = self.size.looks();
        let policy = Policy {
            looks: &looks,
            limits: &self.rules.limits,
            waivers: &self.rules.waivers.all,
            today,
            lenient: self.rules.lenient,
        };
        let scenarios = judge(head, base, policy);
        let claims = claims(head, &self.rules.claims, policy);
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
            is_corrected: self.baseline.is_none() || is_corrected(&record),
            is_stored: self.baseline.is_some(),
            outcome,
            failure: None,
            expired_waivers,
            scenarios,
            claims,
            fingerprint: record.fingerprint.clone(),
        })
    }
}

/// Whether stored results have enough blocks to judge all scenarios as a family: two samples of as many values
/// have no less power than pairs.
fn is_corrected(record: &RunRecord) -> bool {
    let blocks = record.scenarios.iter().map(|one| one.plan.blocks);
    let most = blocks.max().unwrap_or_default();
    reachable(most, record.scenarios.len(), FALSE_ALARM)
}

/// What ended a later part of the gate. The results so far remain.
fn ended_by(error: anyhow::Error) -> EndedBy {
    if error.is::<NothingTaken>() {
        EndedBy::Interrupt
    } else {
        EndedBy::Error(error)
    }
}
