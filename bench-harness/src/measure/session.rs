//! A run from its first server to its last sample.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use chrono::Utc;

use super::interrupt::Interrupt;
use super::load::Tampering;
use super::pace::Pace;
use super::prepare::{Host, prepare};
use super::profiling::{Profiling, has_profile, profile};
use super::progress::Progress;
use super::schedule::Schedule;
use super::{Ending, Plan, remaining, take_samples};
use crate::experiment::{Definition, IDENTICAL, Scale, ScenarioPlan};
use crate::fingerprint::{Build, Fingerprint};
use crate::format::{Count, Whole};
use crate::judge::Results;
use crate::judge::calibration::Calibration;
use crate::profile::record::Subject;
use crate::run_folder::RunFolder;
use crate::run_record::{RunRecord, SCHEMA_VERSION, Scenario};
use crate::samples::Sample;
use crate::stats::CONFIDENCE_LEVEL;
use testkit::postgres::{PostgresOptions, PostgresServer, URL, drop_or_warn};

/// What to run, and where its results go.
#[derive(Debug, Clone)]
pub(crate) struct RunOptions {
    /// The command as it was typed, program first, without passwords.
    pub command: Vec<String>,
    /// This program, which is also the worker and the mock API.
    pub program: PathBuf,
    /// Programs of other revisions, by the names of the arms that they run.
    pub revisions: BTreeMap<String, PathBuf>,
    /// The build that is measured, if it is not this program's.
    pub build: Option<Build>,
    /// The fingerprint that the run must have to be useful; a run with another one is refused.
    pub only_at: Option<Fingerprint>,
    /// The claims; a run without claims has no report.
    pub experiments: Vec<Definition>,
    /// Their scenarios, in order.
    pub scenarios: Vec<ScenarioPlan>,
    /// How much time the run has.
    pub scale: Scale,
    /// Whether flagged comparisons are measured again.
    pub confirms: bool,
    /// The server.
    pub postgres: PostgresOptions,
    /// Seed of the order of samples.
    pub seed: u64,
    /// Folder for the run's own folder.
    pub out: PathBuf,
    /// File of the noise that was measured on this machine; `None` leaves thresholds uncalibrated.
    pub calibration: Option<PathBuf>,
    /// Seed of the expected rows, if they differ from the loaded ones: then every sample is wrong, which
    /// shows that verification works.
    pub expect_seed: Option<u64>,
    /// A cell to change after one sample of a scenario.
    pub tampering: Option<(String, Tampering)>,
    /// How scenarios are profiled after their samples; `None` does not profile.
    pub profiling: Option<Profiling>,
    /// Whether samples are taken; otherwise only profiles.
    pub samples: bool,
    /// Folder of an earlier run for the profiles; otherwise they get a new folder.
    pub into: Option<PathBuf>,
}

impl RunOptions {
    /// What figures taken on `server` may be compared with.
    fn fingerprint(&self, server: &PostgresServer) -> Fingerprint {
        let here = Fingerprint::take(Some(server));
        Fingerprint {
            build: self.build.clone().unwrap_or(here.build),
            ..here
        }
    }
}

/// A run that can be reported, complete or not.
#[derive(Debug)]
pub(crate) struct Finished {
    /// Its folder.
    pub folder: RunFolder,
    /// Whether it holds samples to report.
    pub has_samples: bool,
    /// What ended the run early: the user, or an error.
    pub ended_by: Option<EndedBy>,
}

/// Why a run ended before its last sample.
#[derive(Debug)]
pub(crate) enum EndedBy {
    /// Ctrl-C or SIGTERM.
    Interrupt,
    /// The harness could not continue.
    Error(anyhow::Error),
}

/// This machine, its server or the build differs from those of the earlier samples.
#[derive(Debug)]
pub(crate) struct Incomparable(String);

impl Incomparable {
    /// Refuses samples when something `differing` prevents a comparison.
    ///
    /// # Errors
    /// This error, if anything differs.
    pub(crate) fn unless_none(differing: Vec<String>) -> Result<()> {
        ensure!(differing.is_empty(), Self(differing.join("; ")));
        Ok(())
    }
}

impl std::fmt::Display for Incomparable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self(differing) = self;
        write!(f, "its figures would not compare: {differing}")
    }
}

impl std::error::Error for Incomparable {}

/// The user stopped the run before there was anything to report.
#[derive(Debug)]
pub(crate) struct NothingTaken;

impl std::fmt::Display for NothingTaken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("interrupted before the first sample")
    }
}

impl std::error::Error for NothingTaken {}

/// Starts the server and takes the samples of every scenario. After an interrupt or an error, what was
/// taken before is kept.
///
/// # Errors
/// [`NothingTaken`], when nothing could be measured at all, and [`Incomparable`].
pub(crate) async fn run(options: RunOptions) -> Result<Finished> {
    let mut interrupt = Interrupt::listen()?;
    let server = start(&options.postgres, &mut interrupt).await?;
    let server = server.context(NothingTaken)?;
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
        confidence_level: CONFIDENCE_LEVEL,
        confirms: options.confirms,
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
async fn start(
    options: &PostgresOptions,
    interrupt: &mut Interrupt,
) -> Result<Option<PostgresServer>> {
    let started = PostgresServer::start(options);
    let server = tokio::select! {
        biased;
        () = interrupt.happened() => return Ok(None),
        server = started => server?,
    };
    eprintln!("PostgreSQL {} ({})", server.version(), server.kind());
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
        let ending = self.scenarios_from(0).await?;
        if ending == Ending::Interrupted || !self.record.confirms {
            return Ok(ending);
        }
        let results = Results::new(&self.record, &self.folder.samples()?);
        let again = remaining::confirmations(&self.record, &results);
        if again.is_empty() {
            return Ok(ending);
        }
        let first = self.record.scenarios.len();
        let server = self.server.take().context("there is no server")?;
        eprintln!(
            "measuring {} again, on {}",
            Count::new(again.len(), "comparison"),
            if server.kind() == URL {
                "the same server, because one by URL cannot be restarted"
            } else {
                "a newly started server"
            }
        );
        self.record.scenarios.extend(again);
        self.folder.write_record(&self.record)?;
        drop(server);
        let Some(server) = start(&self.options.postgres, &mut self.interrupt).await? else {
            return Ok(Ending::Interrupted);
        };
        ensure_comparable(&self.record, &self.options.fingerprint(&server))?;
        self.server = Some(server);
        self.scenarios_from(first).await
    }

    /// Takes the missing samples of every scenario, starting with number `first`.
    async fn scenarios_from(&mut self, first: usize) -> Result<Ending> {
        for index in first..self.record.scenarios.len() {
            let plan = self.record.scenarios[index].plan.clone();
            let done = remaining::done_blocks(&plan, &self.taken);
            if done.len() >= plan.blocks {
                continue;
            }
            let taken = self.in_own_database(&plan, async |session, host| {
                session.scenario(index, &plan, &done, host).await
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
        done: &HashSet<usize>,
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
        let missing = remaining::missing_samples(&self.record.scenarios[index..], &self.taken);
        eprintln!(
            "{title}: {} of {} rows{}",
            Count::new(plan.arms.len(), "arm"),
            rows.first().map_or("no", String::as_str),
            self.pace.left(missing)
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
        let mut progress = Progress::new(title, plan.arms.len(), &schedule);
        let arms: Vec<String> = plan.arms.iter().map(|arm| arm.name.clone()).collect();
        let mut journal = self.folder.journal()?;
        let taken = take_samples(
            &mut prepared.loader,
            Plan {
                scenario: &plan.name,
                arms: &arms,
                schedule: &schedule,
                done,
            },
            &mut journal,
            &mut progress,
            &mut self.interrupt,
        );
        let ending = taken.await;
        progress.finish();
        prepared.stop().await;
        let own = &self.record.scenarios[index..=index];
        let taken = remaining::missing_samples(own, &self.taken);
        self.pace.took(taken, begun.elapsed());
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
