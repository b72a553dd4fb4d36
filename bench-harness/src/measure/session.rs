//! A run from its first server to its last sample.

mod ending;
mod options;

use std::collections::BTreeSet;
use std::num::NonZero;
use std::ops::Range;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use chrono::Utc;

use super::interrupt::Interrupt;
use super::pace::Pace;
use super::prepare::{Host, prepare};
use super::profiling::{Profiling, has_profile, profile};
use super::progress::Progress;
use super::schedule::Schedule;
use super::{Ending, Plan, remaining, take_samples};
use crate::experiment::{IDENTICAL, ScenarioPlan};
use crate::fingerprint::Fingerprint;
use crate::format::{Count, Whole};
use crate::judge::Results;
use crate::judge::calibration::Calibration;
use crate::profile::record::Subject;
use crate::run_folder::RunFolder;
use crate::run_record::{RunRecord, SCHEMA_VERSION, Scenario};
use crate::samples::Sample;
use crate::stats::CONFIDENCE_LEVEL;
use testkit::postgres::{PostgresOptions, PostgresServer, URL, drop_or_warn};

pub(crate) use ending::{EndedBy, Finished, Incomparable, NothingTaken};
pub(crate) use options::RunOptions;

/// How often a run judges its claims that goes on until they are decided: after its planned blocks, and three
/// times after more. Each judgement has its equal part of the error (Bonferroni).
const LOOKS: Option<NonZero<usize>> = NonZero::new(4);

/// Starts the server and takes the samples of every scenario. After an interrupt or an error, what was
/// taken before is kept.
///
/// # Errors
/// [`NothingTaken`], when nothing could be measured at all, and [`Incomparable`].
pub(crate) async fn run(options: RunOptions) -> Result<Finished> {
    let mut interrupt = Interrupt::listen()?;
    let server = start(&options.postgres, &mut interrupt).await?;
    let server = server.context(NothingTaken)?;
    eprintln!("PostgreSQL {} ({})", server.version(), server.kind());
    let blocks_per_session = options.blocks_per_session.filter(|_| server.kind() != URL);
    // Without sessions nothing says how many blocks are wanting.
    let looks = options
        .until_decided
        .filter(|_| blocks_per_session.is_some())
        .and(LOOKS);
    let fingerprint = options.fingerprint(&server);
    if let Some(there) = &options.only_at {
        Incomparable::unless_none(there.incomparable_with(&fingerprint))?;
    }
    let calibration = match &options.calibration {
        Some(path) => Calibration::fitting(path, &fingerprint)?,
        None => None,
    };
    let now = Utc::now();
    let folder = match &options.into {
        Some(earlier) => RunFolder::existing(earlier.clone()),
        None => RunFolder::create(&options.out, now, &fingerprint.build.git_commit)?,
    };
    let scenario = |plan: &ScenarioPlan| Scenario {
        thresholds: calibration
            .as_ref()
            .map(|known| known.thresholds(plan))
            .unwrap_or_default(),
        ..Scenario::planned(plan.clone())
    };
    let record = RunRecord {
        schema_version: SCHEMA_VERSION,
        started_at: now.into(),
        seed: options.seed,
        command: options.command.clone(),
        build_profile: fingerprint.build.profile.clone(),
        scale: options.scale,
        confidence_level: looks.map_or(CONFIDENCE_LEVEL, |looks| {
            1.0 - (1.0 - CONFIDENCE_LEVEL) / looks.get() as f64
        }),
        looks,
        blocks_per_session,
        confirms: options.confirms && blocks_per_session.is_none(),
        calibrated_at: calibration.as_ref().map(|known| known.measured_at),
        experiments: options.experiments.clone(),
        scenarios: options.scenarios.iter().map(scenario).collect(),
        fingerprint: serde_json::to_value(&fingerprint)?,
    };
    if options.into.is_none() {
        folder.write_record(&record)?;
        // What ends before its first sample can be read too.
        drop(folder.journal()?);
    }
    go(options, server, folder, record, Vec::new(), interrupt).await
}

/// Continues the run in `folder`: keeps its samples and takes the missing ones.
///
/// Uses only the server, the program and the options for tests of `options`; everything else is as when
/// the run started.
///
/// # Errors
/// Those of [`run`], and [`Incomparable`].
pub(crate) async fn resume(options: RunOptions, folder: PathBuf) -> Result<Finished> {
    let folder = RunFolder::existing(folder);
    let mut record = folder.record()?;
    let samples = folder.samples()?.samples;
    // Before a server starts for it: the file may be compressed.
    drop(folder.journal()?);
    let mut interrupt = Interrupt::listen()?;
    let server = start(&options.postgres, &mut interrupt).await?;
    let server = server.context(NothingTaken)?;
    eprintln!("PostgreSQL {} ({})", server.version(), server.kind());
    if ensure_comparable(&record, &options.fingerprint(&server))? {
        tracing::warn!(
            "the program was built from uncommitted changes or another commit, so the code may differ from that of \
             the run"
        );
    }
    remaining::control_again(&mut record, &samples);
    folder.write_record(&record)?;
    go(options, server, folder, record, samples, interrupt).await
}

/// Starts the server; `None` after an interrupt.
///
/// # Errors
/// When no server can be had.
pub(crate) async fn start(
    options: &PostgresOptions,
    interrupt: &mut Interrupt,
) -> Result<Option<PostgresServer>> {
    let started = PostgresServer::start(options);
    let server = tokio::select! {
        biased;
        () = interrupt.happened() => return Ok(None),
        server = started => server?,
    };
    Ok(Some(server))
}

/// Refuses a machine, a server or a commit other than that on which the run started. Returns whether
/// either build may contain changes that its commit does not have.
fn ensure_comparable(record: &RunRecord, here: &Fingerprint) -> Result<bool> {
    let begun: Fingerprint = serde_json::from_value(record.fingerprint.clone())
        .context("the run's fingerprint is not one of this program")?;
    let mut differing = begun.incomparable_with(here);
    if begun.build.git_commit != here.build.git_commit {
        differing.push(format!(
            "commit: {}, {}",
            begun.build.git_commit, here.build.git_commit
        ));
    }
    Incomparable::unless_none(differing)?;
    let is_dirty = |one: &Fingerprint| one.build.git_dirty == Some(true);
    Ok(is_dirty(&begun) || is_dirty(here))
}

async fn go(
    options: RunOptions,
    server: PostgresServer,
    folder: RunFolder,
    record: RunRecord,
    taken: Vec<Sample>,
    interrupt: Interrupt,
) -> Result<Finished> {
    let mut session = Session {
        options,
        server: Some(server),
        folder,
        record,
        interrupt,
        taken,
        pace: Pace::default(),
        left: 0,
        unprepared: Vec::new(),
    };
    let ended_by = match session.all().await {
        Ok(Ending::Complete) => None,
        Ok(Ending::Interrupted) => Some(EndedBy::Interrupt),
        Err(error) => Some(EndedBy::Error(error)),
    };
    let has_samples = session.options.samples || session.folder.has_samples();
    Ok(Finished {
        has_samples: has_samples && !session.record.experiments.is_empty(),
        folder: session.folder,
        ended_by,
    })
}

struct Session {
    options: RunOptions,
    /// `None` while it restarts.
    server: Option<PostgresServer>,
    folder: RunFolder,
    record: RunRecord,
    interrupt: Interrupt,
    /// Samples of the run that this one continues.
    taken: Vec<Sample>,
    pace: Pace,
    /// Samples that are left.
    left: usize,
    /// Scenarios that could not be prepared, each with the reason.
    unprepared: Vec<String>,
}

impl Session {
    async fn all(&mut self) -> Result<Ending> {
        let mut ending = Ending::Complete;
        if self.options.samples {
            ending = self.first_and_again().await?;
        }
        if let (Ending::Complete, Some(profiling)) = (ending, self.options.profiling) {
            ending = self.profiles(profiling).await?;
        }
        if let (Ending::Complete, Some(first)) = (ending, self.unprepared.first()) {
            bail!(
                "{} could not be prepared; the first: {first}",
                Count::new(self.unprepared.len(), "scenario")
            );
        }
        Ok(ending)
    }

    async fn first_and_again(&mut self) -> Result<Ending> {
        let begun = Instant::now();
        let mut ending = self.sessions().await?;
        if let Some(patience) = self.options.until_decided {
            for _ in 1..self.record.looks.map_or(1, NonZero::get) {
                if ending == Ending::Interrupted || begun.elapsed() >= patience || !self.extend()? {
                    break;
                }
                ending = self.sessions().await?;
            }
        }
        if ending == Ending::Interrupted || !self.record.confirms {
            return Ok(ending);
        }
        let results = Results::new(&self.record, &self.folder.samples()?);
        let again = remaining::confirmations(&self.record, &results);
        if again.is_empty() {
            return Ok(Ending::Complete);
        }
        let first = self.record.scenarios.len();
        let is_by_url = self
            .server
            .as_ref()
            .is_some_and(|server| server.kind() == URL);
        eprintln!(
            "measuring {} again, on {}",
            Count::new(again.len(), "comparison"),
            if is_by_url {
                "the same server, because one by URL cannot be restarted"
            } else {
                "a newly started server"
            }
        );
        self.record.scenarios.extend(again);
        self.folder.write_record(&self.record)?;
        if self.restart().await? == Ending::Interrupted {
            return Ok(Ending::Interrupted);
        }
        let blocks = 0..self.most_blocks();
        let again = &self.record.scenarios[first..];
        self.left = remaining::missing_samples(again, &self.taken, &blocks);
        self.scenarios_from(first, &blocks).await
    }

    /// Adds blocks to claims that are not decided. Says whether it added any.
    fn extend(&mut self) -> Result<bool> {
        let samples = self.folder.samples()?;
        let results = Results::new(&self.record, &samples);
        self.taken = samples.samples;
        let of_session = self.record.session_blocks();
        let added = remaining::extend_undecided(&mut self.record, &results, of_session);
        if added > 0 {
            let added = Count::new(added, "block");
            eprintln!("{added} more for claims that are not decided");
            self.folder.write_record(&self.record)?;
        }
        Ok(added > 0)
    }

    /// Takes all missing samples, session by session, each on a new server.
    async fn sessions(&mut self) -> Result<Ending> {
        let most = self.most_blocks();
        let of_session = self.record.session_blocks();
        self.left = remaining::missing_samples(&self.record.scenarios, &self.taken, &(0..most));
        let starts: Vec<usize> = (0..most).step_by(of_session).collect();
        for (nth, start) in starts.iter().enumerate() {
            let blocks = *start..start + of_session;
            if remaining::missing_samples(&self.record.scenarios, &self.taken, &blocks) == 0 {
                continue;
            }
            if nth > 0 {
                eprintln!(
                    "session {} of {}, on a newly started server",
                    nth + 1,
                    starts.len()
                );
                if self.restart().await? == Ending::Interrupted {
                    return Ok(Ending::Interrupted);
                }
            }
            if self.scenarios_from(0, &blocks).await? == Ending::Interrupted {
                return Ok(Ending::Interrupted);
            }
        }
        Ok(Ending::Complete)
    }

    fn most_blocks(&self) -> usize {
        let scenarios = self.record.scenarios.iter();
        scenarios.map(|one| one.plan.blocks).max().unwrap_or(0)
    }

    /// Ends the server and starts it anew.
    async fn restart(&mut self) -> Result<Ending> {
        drop(self.server.take().context("there is no server")?);
        let Some(server) = start(&self.options.postgres, &mut self.interrupt).await? else {
            return Ok(Ending::Interrupted);
        };
        ensure_comparable(&self.record, &self.options.fingerprint(&server))?;
        self.server = Some(server);
        Ok(Ending::Complete)
    }

    /// Takes the missing samples of these `blocks` of every scenario, starting with number `first`.
    async fn scenarios_from(&mut self, first: usize, blocks: &Range<usize>) -> Result<Ending> {
        for index in first..self.record.scenarios.len() {
            let plan = self.record.scenarios[index].plan.clone();
            let missing = remaining::missing_blocks(&plan, &self.taken, blocks);
            // What could not be prepared in the first session is not tried in each.
            let is_given_up = blocks.start > 0 && self.record.scenarios[index].unprepared.is_some();
            if missing.is_empty() || is_given_up {
                continue;
            }
            let taken = self.in_own_database(&plan, async |session, host| {
                session.scenario(index, &plan, &missing, host).await
            });
            let taken = taken.await;
            let taken = taken.with_context(|| format!("scenario {}", plan.name));
            match taken {
                Ok(Ending::Interrupted) => return Ok(Ending::Interrupted),
                Ok(Ending::Complete) => {}
                Err(error) if error.is::<Unprepared>() => {
                    let reason = format!("{error:#}");
                    eprintln!("error: {reason}; going on with the next");
                    self.record.scenarios[index].unprepared = Some(error.root_cause().to_string());
                    self.folder.write_record(&self.record)?;
                    self.unprepared.push(reason);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Ending::Complete)
    }

    /// Profiles the scenarios on presets, one after the other.
    async fn profiles(&mut self, profiling: Profiling) -> Result<Ending> {
        let chosen: Vec<ScenarioPlan> = self
            .record
            .scenarios
            .iter()
            .map(|scenario| &scenario.plan)
            .filter(|plan| plan.cell.is_empty() && plan.confirms.is_none() && has_profile(plan))
            .filter(|plan| plan.experiment != IDENTICAL || !self.options.samples)
            .cloned()
            .collect();
        let mut first_error: Option<anyhow::Error> = None;
        for (nth, plan) in chosen.iter().enumerate() {
            eprintln!("profiling {} ({} of {})", plan.name, nth + 1, chosen.len());
            let taken = self.in_own_database(plan, async |session, host| {
                let subject = Subject {
                    scenario: plan.name.clone(),
                    experiment: plan.experiment.clone(),
                    arms: [0, 1].map(|arm| plan.arms[arm].name.clone()),
                    rows: [0, 1].map(|arm| plan.arms[arm].rows),
                    sampler: profiling.sampler,
                    cores: std::thread::available_parallelism().map_or(1, usize::from),
                    started_at: Utc::now().into(),
                    rounds: profiling.rounds,
                    fingerprint: session.record.fingerprint.clone(),
                };
                let folder = subject.create(session.folder.path())?;
                let mut interrupt = session.interrupt.clone();
                Box::pin(profile(plan, host, folder, profiling, &mut interrupt)).await
            });
            match taken.await {
                Ok(Ending::Interrupted) => return Ok(Ending::Interrupted),
                Ok(Ending::Complete) => {}
                Err(error) => {
                    let error = error.context(format!("profile of {}", plan.name));
                    eprintln!("error: {error:#}; going on with the next");
                    first_error.get_or_insert(error);
                }
            }
        }
        first_error.map_or(Ok(Ending::Complete), Err)
    }

    /// Each scenario has its own database, so that the next one does not suffer from its catalogue bloat.
    async fn in_own_database(
        &mut self,
        plan: &ScenarioPlan,
        work: impl AsyncFnOnce(&mut Self, Host) -> Result<Ending>,
    ) -> Result<Ending> {
        let server = self.server.as_ref().context("the server did not restart")?;
        let name = format!("apitap_bench_{:08x}", rand::random::<u32>());
        let (admin_url, postmaster) = (server.url().to_owned(), server.postmaster_pid());
        let host = Host {
            program: self.options.program.clone(),
            revisions: self.options.revisions.clone(),
            database_url: server.create_database(&name).await?,
            postmaster,
            expect_seed: self.options.expect_seed,
            tampering: self
                .options
                .tampering
                .clone()
                .filter(|(scenario, _)| *scenario == plan.name)
                .map(|(_, tampering)| tampering),
            api_page_rows: None,
        };
        let ending = work(self, host).await;
        drop_or_warn(&admin_url, &name).await;
        ending
    }

    async fn scenario(
        &mut self,
        index: usize,
        plan: &ScenarioPlan,
        missing: &BTreeSet<usize>,
        host: Host,
    ) -> Result<Ending> {
        let rows: Vec<String> = plan
            .arms
            .iter()
            .map(|arm| Whole(arm.rows).to_string())
            .collect();
        let title = format!(
            "{} ({} of {})",
            plan.name,
            index + 1,
            self.record.scenarios.len()
        );
        eprintln!(
            "{title}: {} of {} rows{}",
            Count::new(plan.arms.len(), "arm"),
            rows.first().map_or("no", String::as_str),
            self.pace.left(self.left)
        );
        let begun = Instant::now();
        let mut interrupt = self.interrupt.clone();
        let mut prepared = tokio::select! {
            biased;
            () = interrupt.happened() => return Ok(Ending::Interrupted),
            prepared = Box::pin(prepare(&mut self.record.scenarios[index], host)) => {
                prepared.map_err(|error| Unprepared(format!("{error:#}")))?
            }
        };
        self.record.scenarios[index].unprepared = None;
        self.folder.write_record(&self.record)?;
        let schedule = Schedule::new(
            seed_of(self.record.seed, &plan.name),
            plan.arms.len(),
            plan.blocks,
        );
        let arms: Vec<String> = plan.arms.iter().map(|arm| arm.name.clone()).collect();
        let order = Plan {
            scenario: &plan.name,
            arms: &arms,
            warm_ups: &remaining::warm_ups(plan, missing),
            schedule: &schedule,
            missing,
        };
        let mut progress = Progress::new(title, &order);
        let mut journal = self.folder.journal()?;
        let taken = take_samples(
            &mut prepared.loader,
            order,
            &mut journal,
            &mut progress,
            &mut self.interrupt,
        );
        let ending = taken.await;
        progress.finish();
        prepared.stop().await;
        let samples = missing.len() * plan.arms.len();
        self.left = self.left.saturating_sub(samples);
        self.pace.took(samples, begun.elapsed());
        ending
    }
}

/// A scenario could not be prepared: the run continues with the next one.
#[derive(Debug)]
struct Unprepared(String);

impl std::fmt::Display for Unprepared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self(reason) = self;
        f.write_str(reason)
    }
}

impl std::error::Error for Unprepared {}

/// Another order for every scenario, from the one seed of the run (FNV-1a of the name).
fn seed_of(seed: u64, scenario: &str) -> u64 {
    scenario
        .bytes()
        .fold(seed ^ 0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scenarios_have_orders_of_their_own() {
        assert_ne!(seed_of(7, "a"), seed_of(7, "b"));
        assert_eq!(seed_of(7, "a"), seed_of(7, "a"));
    }
}
