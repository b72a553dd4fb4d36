//! What a scenario needs before its first sample: servers, relays, files, and what must land.

use std::collections::BTreeMap;
use std::num::NonZero;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use apitap_core::config::WriteMode;
use tempfile::TempDir;

use super::ceilings::{copy_command, make_reference, mock_api_ceiling, staged_commands};
use super::expected::expected;
use super::load::{ArmLoad, ArmUnderTest, Loader, Program, Tampering, Target};
use super::table::TableBefore;
use crate::experiment::{ArmPlan, LoadPlan, SCRATCH, ScenarioPlan};
use crate::measure::worker::{PageKind, Watch, WorkerJob};
use crate::run_record::{RoundTrip, Scenario};
use testkit::mock_api::{MockApiOptions, MockApiProcess};
use testkit::network::{
    Relay, measure_http_round_trip, measure_postgres_round_trip, server_address,
};
use testkit::workload::{Psql, Workload, quote_table};

/// The table that samples load.
const TABLE: &str = "landed";

/// A scenario that is ready. Dropping it ends its servers and removes its files.
pub(crate) struct Prepared {
    /// What takes its samples.
    pub(crate) loader: Loader,
    apis: Vec<MockApiProcess>,
    _relays: Vec<Relay>,
    _files: TempDir,
}

/// Where a scenario runs.
#[derive(Clone)]
pub(crate) struct Host {
    /// This program, which is also the worker and the mock API.
    pub(crate) program: PathBuf,
    /// Programs of other revisions, by the names of the arms that they run.
    pub(crate) revisions: BTreeMap<String, PathBuf>,
    /// The scenario's own database.
    pub(crate) database_url: String,
    /// The server's first process, if it is on this machine.
    pub(crate) postmaster: Option<u32>,
    /// Seed of the expected rows, if it differs from the workload's.
    pub(crate) expect_seed: Option<u64>,
    /// A cell to change after one sample.
    pub(crate) tampering: Option<Tampering>,
    /// Most rows of a page that the API gives, if it has such a limit.
    pub(crate) api_page_rows: Option<NonZero<u64>>,
}

/// Makes everything that `scenario` needs, and notes in it the measured ceilings and round trips.
pub(crate) async fn prepare(scenario: &mut Scenario, host: Host) -> Result<Prepared> {
    let plan = scenario.plan.clone();
    let workload = Workload::named(&plan.workload)?;
    let files = tempfile::tempdir().context("cannot make a temporary folder")?;
    let mut relays = Vec::new();

    let mut apis = BTreeMap::new();
    for arm in &plan.arms {
        if let std::collections::btree_map::Entry::Vacant(entry) = apis.entry(arm.rows) {
            let options = MockApiOptions {
                max_page_rows: host.api_page_rows,
                ..MockApiOptions::new(&plan.workload, arm.rows)
            };
            entry.insert(MockApiProcess::start_with(&host.program, &options).await?);
        }
    }
    let mut api_urls: BTreeMap<u64, String> = apis
        .iter()
        .map(|(rows, api)| (*rows, api.url().to_owned()))
        .collect();
    let baseline_url = api_urls[&plan.baseline().rows].clone();
    if let Some(added) = plan.api_round_trip_ms {
        for url in api_urls.values_mut() {
            let direct = measure_http_round_trip(url).await?;
            let relay = relay_to(url, added)?;
            *url = relay.in_place_of(url)?;
            let relayed = measure_http_round_trip(url).await?;
            scenario.api_round_trip = Some(RoundTrip::new(direct, relayed));
            relays.push(relay);
        }
    } else if scenario.mock_api_ceiling.is_none() {
        // Measured without the relay, whose own limit it would be, and once: later sessions have the same API.
        let ceiling = mock_api_ceiling(&baseline_url, plan.baseline().rows).await?;
        scenario.mock_api_ceiling = Some(ceiling);
    }
    let mut worker_database_url = host.database_url.clone();
    if let Some(added) = plan.postgres_round_trip_ms {
        let direct = measure_postgres_round_trip(&host.database_url).await?;
        let relay = relay_to(&host.database_url, added)?;
        worker_database_url = relay.in_place_of(&host.database_url)?;
        let relayed = measure_postgres_round_trip(&worker_database_url).await?;
        scenario.postgres_round_trip = Some(RoundTrip::new(direct, relayed));
        relays.push(relay);
    }

    let expected_workload = match host.expect_seed {
        Some(seed) => workload.clone().with_seed(seed),
        None => workload.clone(),
    };
    let expected = expected(&plan, &expected_workload, &host.database_url).await?;
    let verification = expected.iter().map(|expected| &expected.verification);
    scenario.verification = verification.cloned().collect();
    let mut arms = Vec::with_capacity(plan.arms.len());
    for (arm, expected) in plan.arms.iter().zip(expected) {
        let place = (host.database_url.as_str(), files.path());
        let before = TableBefore::prepare(&plan, arm, &workload, TABLE, place).await?;
        let file = files.path().join(format!("{}.copy", arm.rows));
        let is_psql = !matches!(arm.load, LoadPlan::Engine { .. });
        if is_psql && !file.exists() {
            make_reference(&host.database_url, &workload, arm.rows, &file).await?;
        }
        let load = match &arm.load {
            LoadPlan::PsqlCopy => ArmLoad::Psql {
                commands: vec![copy_command(&quote_table(TABLE), &file)?],
                file,
            },
            LoadPlan::PsqlStaged(mode) => ArmLoad::Psql {
                commands: staged_commands(&file, (TABLE, *mode), &workload, &plan.key)?,
                file,
            },
            LoadPlan::Engine {
                preset,
                knobs,
                attach,
                mode,
            } => {
                let scratch = files.path().join(format!("scratch-{}", arms.len()));
                std::fs::create_dir(&scratch).context("cannot make a scratch folder")?;
                let scratch = scratch.to_str().context("a path is not UTF-8")?;
                let job = WorkerJob {
                    source_url: api_urls[&arm.rows].clone(),
                    workload: plan.workload.clone(),
                    pages: PageKind::PageNumber,
                    sql: sql(&plan, arm),
                    database_url: worker_database_url.clone(),
                    table: TABLE.to_owned(),
                    mode: mode.unwrap_or(WriteMode::Replace),
                    key: plan.key.clone(),
                    watch: Watch::Nothing,
                    attach: attach.clone(),
                    preset: preset.clone(),
                    settings: knobs
                        .iter()
                        .map(|knob| knob.replace(SCRATCH, scratch))
                        .collect(),
                };
                ArmLoad::Engine {
                    program: program(arm, &host)?,
                    job: Box::new(job),
                }
            }
        };
        arms.push(ArmUnderTest {
            load,
            before,
            expected,
        });
    }
    let target = Target {
        psql: Psql::new(&worker_database_url)?,
        database_url: host.database_url,
        table: TABLE.to_owned(),
        postmaster: host.postmaster,
    };
    Ok(Prepared {
        loader: Loader::new(target, arms, host.tampering).await?,
        apis: apis.into_values().collect(),
        _relays: relays,
        _files: files,
    })
}

impl Prepared {
    /// Ends its servers.
    pub(crate) async fn stop(self) {
        for api in self.apis {
            // Ctrl-C on a terminal reaches the mock API too, which may be gone by now.
            if let Err(error) = api.stop().await {
                tracing::debug!("{error:#}");
            }
        }
    }
}

impl RoundTrip {
    fn new(direct: Duration, relayed: Duration) -> Self {
        Self {
            direct_ms: direct.as_secs_f64() * 1e3,
            relayed_ms: relayed.as_secs_f64() * 1e3,
        }
    }
}

/// The build that runs `arm`.
fn program(arm: &ArmPlan, host: &Host) -> Result<Program> {
    let Some(revision) = &arm.revision else {
        return Ok(Program {
            path: host.program.clone(),
            environment: Vec::new(),
        });
    };
    let path = host.revisions.get(&arm.name);
    let path = path.with_context(|| format!("there is no build of {}", revision.commit))?;
    let variable = |set: &String| -> Result<(String, String)> {
        let (name, value) = set.split_once('=').context("expected NAME=value")?;
        Ok((name.to_owned(), value.to_owned()))
    };
    Ok(Program {
        path: path.clone(),
        environment: revision
            .environment
            .iter()
            .map(variable)
            .collect::<Result<_>>()?,
    })
}

fn relay_to(url: &str, added_ms: f64) -> Result<Relay> {
    let target = server_address(url)?;
    Relay::start(target, Duration::from_secs_f64(added_ms / 1e3))
}

fn sql(plan: &ScenarioPlan, arm: &ArmPlan) -> String {
    let all = || format!("SELECT * FROM {}", plan.workload);
    plan.query(arm).map_or_else(all, str::to_owned)
}
