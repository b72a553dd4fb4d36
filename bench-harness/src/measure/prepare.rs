//! What a scenario needs before its first sample: servers, relays, files, and what must land.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use apitap_core::config::WriteMode;
use tempfile::TempDir;

use super::ceilings::{copy_command, make_reference, mock_api_ceiling, staged_commands};
use super::expected::expected;
pub(crate) use super::host::Host;
use super::host::{TABLE, program, settings};
use super::load::{ArmLoad, ArmUnderTest, Loader, Target};
use super::recorded::Recorded;
use super::table::TableBefore;
use crate::experiment::{ArmPlan, LoadPlan, ScenarioPlan};
use crate::measure::worker::{PageKind, Watch, WorkerJob};
use crate::recording::is_recording;
use crate::recording::replay::ReplayProcess;
use crate::run_record::{RoundTrip, Scenario};
use testkit::mock_api::{MockApiOptions, MockApiProcess};
use testkit::network::{
    Relay, measure_http_round_trip, measure_postgres_round_trip, server_address,
};
use testkit::workload::{Psql, Workload, quote_table};

/// A scenario that is ready. Dropping it ends its servers and removes its files.
pub(crate) struct Prepared {
    /// What takes its samples.
    pub(crate) loader: Loader,
    apis: Vec<MockApiProcess>,
    replay: Option<ReplayProcess>,
    _relays: Vec<Relay>,
    _files: TempDir,
}

/// Makes everything that `scenario` needs, and notes in it the measured ceilings and round trips.
pub(crate) async fn prepare(scenario: &mut Scenario, host: Host) -> Result<Prepared> {
    let plan = scenario.plan.clone();
    if is_recording(&plan.workload) {
        return Box::pin(prepare_recorded(scenario, plan, host)).await;
    }
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
    let worker_database_url = way_to_postgres(scenario, &host, &mut relays).await?;

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
                    settings: settings(knobs, files.path(), arms.len())?,
                    recorded: None,
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
    Ok(Prepared {
        loader: loader(host, &worker_database_url, arms).await?,
        apis: apis.into_values().collect(),
        replay: None,
        _relays: relays,
        _files: files,
    })
}

/// The same for a workload that is a recording.
async fn prepare_recorded(
    scenario: &mut Scenario,
    plan: ScenarioPlan,
    host: Host,
) -> Result<Prepared> {
    let files = tempfile::tempdir().context("cannot make a temporary folder")?;
    let mut relays = Vec::new();
    let recorded = Recorded::start(&plan, &host).await?;
    let worker_database_url = way_to_postgres(scenario, &host, &mut relays).await?;
    scenario.verification = recorded.verifications(plan.arms.len());
    let arms = recorded.arms(&plan, &host, (&worker_database_url, files.path()))?;
    Ok(Prepared {
        loader: loader(host, &worker_database_url, arms).await?,
        apis: Vec::new(),
        replay: Some(recorded.process),
        _relays: relays,
        _files: files,
    })
}

async fn loader(host: Host, database_url: &str, arms: Vec<ArmUnderTest>) -> Result<Loader> {
    let target = Target {
        psql: Psql::new(database_url)?,
        database_url: host.database_url,
        table: TABLE.to_owned(),
        postmaster: host.postmaster,
    };
    Loader::new(target, arms, host.tampering).await
}

/// The database's URL for the worker, through a relay if the scenario adds a round trip.
async fn way_to_postgres(
    scenario: &mut Scenario,
    host: &Host,
    relays: &mut Vec<Relay>,
) -> Result<String> {
    let Some(added) = scenario.plan.postgres_round_trip_ms else {
        return Ok(host.database_url.clone());
    };
    let direct = measure_postgres_round_trip(&host.database_url).await?;
    let relay = relay_to(&host.database_url, added)?;
    let url = relay.in_place_of(&host.database_url)?;
    let relayed = measure_postgres_round_trip(&url).await?;
    scenario.postgres_round_trip = Some(RoundTrip::new(direct, relayed));
    relays.push(relay);
    Ok(url)
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
        if let Some(replay) = self.replay
            && let Err(error) = replay.stop().await
        {
            tracing::debug!("{error:#}");
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

fn relay_to(url: &str, added_ms: f64) -> Result<Relay> {
    let target = server_address(url)?;
    Relay::start(target, Duration::from_secs_f64(added_ms / 1e3))
}

fn sql(plan: &ScenarioPlan, arm: &ArmPlan) -> String {
    let all = || format!("SELECT * FROM {}", plan.workload);
    plan.query(arm).map_or_else(all, str::to_owned)
}
