//! What a scenario needs before its first sample: servers, relays, files, and what must land.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use apitap_core::config::WriteMode;
use tempfile::TempDir;

use super::ceilings::{make_reference, mock_api_ceiling};
use super::load::{ArmLoad, ArmUnderTest, Loader, Program, Tampering, Target};
use super::oracle;
use super::verify::Check;
use crate::experiment::{ArmPlan, LoadPlan, SCRATCH, ScenarioPlan};
use crate::measure::worker::{PageKind, Watch, WorkerJob};
use crate::run_record::{RoundTrip, Scenario, Verification};
use testkit::mock_api::{MockApiOptions, MockApiProcess};
use testkit::network::{
    Relay, measure_http_round_trip, measure_postgres_round_trip, server_address,
};
use testkit::workload::{Psql, Workload};

/// The table that samples load.
const TABLE: &str = "landed";

/// A scenario that is ready. Dropping it ends its servers and removes its files.
pub(super) struct Prepared {
    pub(super) loader: Loader,
    apis: Vec<MockApiProcess>,
    _relays: Vec<Relay>,
    _files: TempDir,
}

/// Where a scenario runs.
#[derive(Clone)]
pub(super) struct Host {
    /// This program, which is also the worker and the mock API.
    pub(super) program: PathBuf,
    /// Programs of other revisions, by the names of the arms that they run.
    pub(super) revisions: BTreeMap<String, PathBuf>,
    /// The scenario's own database.
    pub(super) database_url: String,
    /// The server's first process, if it is on this machine.
    pub(super) postmaster: Option<u32>,
    /// Seed of the expected rows, if it differs from the workload's.
    pub(super) expect_seed: Option<u64>,
    /// A cell to change after one sample.
    pub(super) tampering: Option<Tampering>,
}

/// Makes everything that `scenario` needs, and notes in it the measured ceilings and round trips.
pub(super) async fn prepare(scenario: &mut Scenario, host: Host) -> Result<Prepared> {
    let plan = scenario.plan.clone();
    let workload = Workload::named(&plan.workload)?;
    let files = tempfile::tempdir().context("cannot make a temporary folder")?;
    let mut relays = Vec::new();

    let mut apis = BTreeMap::new();
    for arm in &plan.arms {
        if let std::collections::btree_map::Entry::Vacant(entry) = apis.entry(arm.rows) {
            let options = MockApiOptions::new(&plan.workload, arm.rows);
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
    } else {
        // Measured without the relay, whose own limit it would be.
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

    let (check, expected) = expected(&plan, &workload, &host).await?;
    scenario.verification = expected;
    let mut arms = Vec::with_capacity(plan.arms.len());
    for (arm, expected) in plan.arms.iter().zip(&scenario.verification) {
        let file = files.path().join(format!("{}.copy", arm.rows));
        if arm.load == LoadPlan::PsqlCopy && !file.exists() {
            make_reference(&host.database_url, &workload, arm.rows, &file).await?;
        }
        let load = match &arm.load {
            LoadPlan::PsqlCopy => ArmLoad::PsqlCopy { file },
            LoadPlan::Engine {
                preset,
                knobs,
                attach,
            } => {
                let scratch = files.path().join(format!("scratch-{}", arms.len()));
                std::fs::create_dir(&scratch).context("cannot make a scratch folder")?;
                let scratch = scratch.to_str().context("a path is not UTF-8")?;
                let job = WorkerJob {
                    source_url: api_urls[&arm.rows].clone(),
                    workload: plan.workload.clone(),
                    pages: PageKind::PageNumber,
                    sql: sql(&plan),
                    database_url: worker_database_url.clone(),
                    table: TABLE.to_owned(),
                    mode: WriteMode::Replace,
                    key: Vec::new(),
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
            expected: expected.clone(),
        });
    }
    let target = Target {
        psql: Psql::new(&worker_database_url)?,
        database_url: host.database_url,
        table: TABLE.to_owned(),
        check,
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
    pub(super) async fn stop(self) {
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

fn sql(plan: &ScenarioPlan) -> String {
    let all = || format!("SELECT * FROM {}", plan.workload);
    plan.sql.clone().unwrap_or_else(all)
}

/// How the content of the table is verified, and what each arm must load.
async fn expected(
    plan: &ScenarioPlan,
    workload: &Workload,
    host: &Host,
) -> Result<(Check, Vec<Verification>)> {
    let workload = match host.expect_seed {
        Some(seed) => workload.clone().with_seed(seed),
        None => workload.clone(),
    };
    let Some(sql) = &plan.sql else {
        let mut expected = Vec::with_capacity(plan.arms.len());
        let mut known: BTreeMap<u64, Verification> = BTreeMap::new();
        for ArmPlan { rows, .. } in &plan.arms {
            if !known.contains_key(rows) {
                let (workload, rows) = (workload.clone(), *rows);
                let sum = tokio::task::spawn_blocking(move || workload.expectation(rows)).await?;
                known.insert(rows, sum.into());
            }
            expected.push(known[rows].clone());
        }
        return Ok((Check::Workload(workload), expected));
    };
    // In an experiment with a query, no arm has its own rows.
    let rows = plan.baseline().rows;
    let (check, answer) = oracle::answer(&host.database_url, &workload, rows, sql).await?;
    Ok((check, vec![answer; plan.arms.len()]))
}
