//! Profiles of two arms, in rounds.
//!
//! Each round loads both arms, first sampled and then watched; the arm that goes first changes from
//! round to round. A load that is spoiled, fails or hangs is repeated; the report says how many are
//! missing in the end.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use apitap_core::RunReport;
use tokio::process::Command;

use super::child::Ended;
use super::interrupt::Interrupt;
use super::load::{Loaded, Loader, Program, SAMPLE_TIMEOUT, SETTLE_TIME, run_worker};
use super::prepare::{Host, prepare};
use super::{Ending, RETRIES_PER_SLOT};
use crate::experiment::{ArmPlan, LoadPlan, ScenarioPlan};
use crate::format::Count;
use crate::measure::worker::{Watch, WatchedReport, WorkerJob};
use crate::profile::heap::HeapProfile;
use crate::profile::perf;
use crate::profile::record::{HeapLoad, Observed, ProfiledLoad, SamplerKind, WatchedLoad};
use crate::profile::sampler::Sampled;
use crate::profile::statistics::ServerStatistics;
use crate::run_record::Scenario;
use crate::samples::{Outcome, Timestamp};

/// Shortest limit for a profiled load: a profiler may hang, and must not block the harness.
const TIMEOUT_AT_LEAST: Duration = Duration::from_secs(30);

/// The limit as a multiple of the arm's plain load, which comes before the rounds.
const TIMEOUT_TIMES: u32 = 20;

/// A profiled load has this many times the rows of a comparison, because stacks are sampled only a
/// hundred times a second.
pub(crate) const ROWS_TIMES: u64 = 3;

/// Without this setting the server does not say how long its reads and writes take.
pub(crate) fn timing() -> (String, String) {
    ("track_io_timing".to_owned(), "on".to_owned())
}

/// How scenarios are profiled.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Profiling {
    /// Number of rounds; intervals of differences come from them.
    pub rounds: usize,
    /// What samples stacks.
    pub sampler: SamplerKind,
    /// Rows of a heap profile; `None` makes none.
    pub heap_rows: Option<u64>,
}

/// Whether two arms of `plan` can be profiled: both must be the engine.
pub(crate) fn has_profile(plan: &ScenarioPlan) -> bool {
    let engine = |arm: &ArmPlan| matches!(arm.load, LoadPlan::Engine { .. });
    plan.arms.len() >= 2 && plan.arms.iter().take(2).all(engine)
}

/// Profiles the baseline and the first candidate of `plan` into `folder`.
pub(super) async fn profile(
    plan: &ScenarioPlan,
    host: Host,
    folder: PathBuf,
    profiling: Profiling,
    interrupt: &mut Interrupt,
) -> Result<Ending> {
    let plan = ScenarioPlan {
        arms: plan.arms.iter().take(2).cloned().collect(),
        ..plan.clone()
    };
    if profiling.sampler == SamplerKind::Perf {
        perf::availability()?;
    }
    if profiling.heap_rows.is_some() {
        heap_program(&host.program)?;
    }
    let work = async {
        profiled(&plan, &host, &folder, async |profiler| {
            profiler.rounds(&plan, profiling).await
        })
        .await?;
        let Some(rows) = profiling.heap_rows else {
            return Ok(());
        };
        let mut few = plan.clone();
        for arm in &mut few.arms {
            arm.rows = rows;
        }
        eprintln!("{}: where memory is allocated", few.name);
        profiled(&few, &host, &folder, async |profiler| {
            profiler.take(0, 0, Way::Heap).await?;
            profiler.take(0, 1, Way::Heap).await
        })
        .await
    };
    tokio::select! {
        biased;
        () = interrupt.happened() => Ok(Ending::Interrupted),
        done = work => done.map(|()| Ending::Complete),
    }
}

/// Prepares what the arms of `plan` need, and takes `loads` of them.
async fn profiled(
    plan: &ScenarioPlan,
    host: &Host,
    folder: &Path,
    loads: impl AsyncFnOnce(&mut Profiler<'_>) -> Result<()>,
) -> Result<()> {
    let mut prepared = prepare(&mut Scenario::planned(plan.clone()), host.clone()).await?;
    let mut profiler = Profiler {
        loader: &mut prepared.loader,
        host,
        folder,
        limits: [SAMPLE_TIMEOUT; 2],
        missing: 0,
    };
    let done = loads(&mut profiler).await;
    let missing = profiler.missing;
    prepared.stop().await;
    done?;
    ensure!(missing == 0, "{} missing", Count::new(missing, "load"));
    Ok(())
}

struct Profiler<'a> {
    loader: &'a mut Loader,
    host: &'a Host,
    folder: &'a Path,
    /// How long a load of each arm may take.
    limits: [Duration; 2],
    /// Loads that are missing after all attempts.
    missing: usize,
}

/// A load wrote wrong rows.
#[derive(Debug)]
pub(crate) struct WrongData(pub(crate) String);

impl std::fmt::Display for WrongData {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a load is wrong: {}", self.0)
    }
}

impl std::error::Error for WrongData {}

/// How a load is observed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Plain,
    Sampled(SamplerKind),
    Watched,
    Heap,
}

impl Profiler<'_> {
    async fn rounds(&mut self, plan: &ScenarioPlan, how: Profiling) -> Result<()> {
        let rounds = how.rounds;
        for arm in 0..2 {
            let begun = Instant::now();
            self.take(0, arm, Way::Plain).await?;
            self.limits[arm] = TIMEOUT_AT_LEAST.max(begun.elapsed() * TIMEOUT_TIMES);
        }
        for round in 0..rounds {
            eprintln!("{}: round {} of {rounds}", plan.name, round + 1);
            let order = if round % 2 == 0 { [0, 1] } else { [1, 0] };
            for way in [Way::Sampled(how.sampler), Way::Watched] {
                for arm in order {
                    self.take(round, arm, way).await?;
                }
            }
        }
        Ok(())
    }

    /// Takes a load, and repeats it if it fails.
    async fn take(&mut self, round: usize, arm: usize, way: Way) -> Result<()> {
        let mut reason = String::new();
        for attempt in 0..=RETRIES_PER_SLOT {
            if attempt > 0 {
                tokio::time::sleep(SETTLE_TIME).await;
            }
            match self.attempt(round, arm, way).await? {
                Ok(Some(load)) => return load.append(self.folder),
                Ok(None) => return Ok(()),
                Err(Outcome::WrongData { reason }) => bail!(WrongData(reason)),
                Err(Outcome::Failed { reason: why } | Outcome::Void { reason: why }) => {
                    reason = why
                }
                Err(Outcome::Measured(_)) => {}
            }
            tracing::warn!(
                round,
                arm,
                ?way,
                attempt,
                "a profiled load did not count: {reason}"
            );
        }
        if way == Way::Plain {
            bail!("an arm cannot be loaded: {reason}");
        }
        eprintln!(
            "warning: a load of round {} is missing: {reason}",
            round + 1
        );
        self.missing += 1;
        Ok(())
    }

    async fn attempt(
        &mut self,
        round: usize,
        arm: usize,
        way: Way,
    ) -> Result<Result<Option<ProfiledLoad>, Outcome>> {
        let started_at = Timestamp::now();
        let files = tempfile::tempdir().context("cannot make a temporary folder")?;
        let data = files.path().join("seen");
        let database_url = &self.host.database_url;
        let limit = self.limits[arm];
        let process = async |program: &Program, job: &WorkerJob| -> Result<Ended> {
            let (watch, mut command) = way.command(program, &data, database_url)?;
            let job = WorkerJob {
                watch,
                ..job.clone()
            };
            run_worker(&mut command, &job, limit).await
        };
        let (ended, surroundings, counted) = match self.loader.load_by(arm, process).await? {
            Loaded::Not(outcome) => return Ok(Err(outcome)),
            Loaded::Well {
                ended,
                seen,
                counted,
                ..
            } => (ended, seen, counted),
        };
        if way == Way::Plain {
            return Ok(Ok(None));
        }
        let observed = match way {
            Way::Heap => allocations(&ended, &data),
            Way::Sampled(SamplerKind::Perf) => sampled_by_perf(&ended, &data).await,
            Way::Plain | Way::Sampled(SamplerKind::Pprof) | Way::Watched => {
                worker_report(&ended, counted.unwrap_or_default())
            }
        };
        let (report, seen) = match observed {
            Ok(observed) => observed,
            Err(error) => {
                return Ok(Err(Outcome::Failed {
                    reason: format!("{error:#}"),
                }));
            }
        };
        Ok(Ok(Some(ProfiledLoad {
            round,
            arm,
            started_at,
            client_cpu_seconds: ended.usage.cpu_seconds,
            server_cpu_seconds: surroundings.server_cpu_seconds,
            steal_share: surroundings.steal_share,
            report,
            seen,
        })))
    }
}

impl Way {
    /// What the worker watches, and the process that runs it, whose output goes to `data`.
    fn command(
        self,
        program: &Program,
        data: &Path,
        database_url: &str,
    ) -> Result<(Watch, Command)> {
        Ok(match self {
            Self::Plain => (Watch::Nothing, program.worker()),
            Self::Watched => {
                let url = database_url.to_owned();
                (Watch::Server { url }, program.worker())
            }
            Self::Sampled(SamplerKind::Perf) => {
                let command = perf::record(data, program.path.as_os_str(), &["worker".into()]);
                (Watch::Nothing, program.within(command.into()))
            }
            Self::Sampled(SamplerKind::Pprof) => (Watch::Stacks, program.worker()),
            Self::Heap => {
                let mut command = Command::new(heap_program(&program.path)?);
                command.arg(data);
                (Watch::Nothing, program.within(command))
            }
        })
    }
}

/// The program that records allocations, in the folder of this one.
const HEAP_PROGRAM: &str = "apitap-bench-heap";

/// Its path, if it exists.
pub(crate) fn heap_program(program: &Path) -> Result<PathBuf> {
    let beside = program.with_file_name(HEAP_PROGRAM);
    ensure!(
        beside.exists(),
        "{} does not exist: build the workspace's programs with --bins",
        beside.display()
    );
    Ok(beside)
}

/// Most functions to keep for each stage that allocates.
const HEAP_SITES: usize = 10;

fn plain_report(ended: &Ended) -> Result<RunReport> {
    serde_json::from_slice(&ended.stdout).context("the worker's report is not the engine's")
}

fn allocations(ended: &Ended, data: &Path) -> Result<(RunReport, Observed)> {
    let report = plain_report(ended)?;
    let profile = HeapProfile::read(data, HEAP_SITES)?;
    let rows = report.rows_read;
    Ok((report, Observed::Heap(HeapLoad { rows, profile })))
}

async fn sampled_by_perf(ended: &Ended, data: &Path) -> Result<(RunReport, Observed)> {
    let report = plain_report(ended)?;
    // It samples only user time.
    let user = report.process.user_cpu_seconds;
    let user = user.context("/proc does not have the user time, which perf samples")?;
    let sampled = Sampled::outside(user, perf::read(data).await?);
    Ok((report, Observed::Sampled(sampled)))
}

fn worker_report(ended: &Ended, server: ServerStatistics) -> Result<(RunReport, Observed)> {
    let parse = "the worker's report is not its own";
    let watched: WatchedReport = serde_json::from_slice(&ended.stdout).context(parse)?;
    let seen = match watched.sampled {
        Some(sampled) => Observed::Sampled(sampled),
        None => Observed::Watched(WatchedLoad {
            looks: watched.looks,
            timeline: watched.timeline,
            server,
        }),
    };
    Ok((watched.report, seen))
}
