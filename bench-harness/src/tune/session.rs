//! A tuning from its first server to its last load.

use std::collections::BTreeMap;
use std::num::NonZero;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};
use apitap_core::source::pagination::Pagination;

use super::bench::Bench;
use super::candidates::{Asking, Candidate, Facts, PAGE_ROWS, kept};
use super::clock::Clock;
use super::confirm::{Confirmation, confirm};
use super::pipeline::{PipelineBench, facts};
use super::search::{Found, Order, search};
use super::worker::Project;
use super::workload::WorkloadBench;
use crate::experiment::{ArmPlan, LoadPlan, ScenarioPlan};
use crate::format::{Number, Whole};
use crate::measure::interrupt::Interrupt;
use crate::measure::prepare::{Host, Prepared, prepare};
use crate::measure::worker::config;
use crate::recording::Header;
use crate::run_record::Scenario;
use testkit::postgres::{PostgresOptions, PostgresServer};

/// How long to tune, and in which order.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// This program, which is also the worker and the mock API.
    pub(crate) program: PathBuf,
    /// The time of the whole command.
    pub(crate) budget: Duration,
    /// Seed of the order of samples.
    pub(crate) seed: u64,
}

/// A workload of the suite, and the API that serves it.
#[derive(Debug, Clone)]
pub(crate) struct Workload {
    /// Its name, or the path of a recording.
    pub(crate) name: String,
    /// What the recording is about.
    pub(crate) recorded: Option<Box<Header>>,
    /// Rows of a load.
    pub(crate) rows: u64,
    /// Round trip added between engine and API.
    pub(crate) latency_ms: Option<f64>,
    /// Most rows of a page that the API gives.
    pub(crate) api_page_rows: Option<NonZero<u64>>,
    /// The server.
    pub(crate) postgres: PostgresOptions,
}

/// What a tuning came to.
#[derive(Debug, Clone)]
pub(crate) struct Tuned {
    /// What was loaded, in words.
    pub(crate) subject: String,
    /// What the search tried.
    pub(crate) found: Found,
    /// What its confirmation says.
    pub(crate) confirmation: Confirmation,
    /// The user's own settings that every candidate kept, as `stage.knob=value`.
    pub(crate) kept: Vec<String>,
    /// Why a knob was left out, if one was.
    pub(crate) left_out: Option<&'static str>,
    /// How long it took.
    pub(crate) elapsed: Duration,
}

/// Tunes for a workload of the suite; `None` after an interrupt.
///
/// # Errors
/// When the server or the API does not start, `tuned` fails, or a load is wrong.
pub(crate) async fn workload(options: &Options, workload: &Workload) -> Result<Option<Tuned>> {
    let clock = Clock::start(options.budget);
    let mut interrupt = Interrupt::listen()?;
    let mut stop = interrupt.clone();
    let tuning = async {
        let server = PostgresServer::start(&workload.postgres).await?;
        eprintln!("PostgreSQL {} ({})", server.version(), server.kind());
        let postmaster = server.postmaster_pid();
        let work = async |database_url| {
            let host = Host {
                program: options.program.clone(),
                revisions: BTreeMap::new(),
                database_url,
                postmaster,
                expect_seed: None,
                tampering: None,
                api_page_rows: workload.api_page_rows,
            };
            // Ended here, so that the database is dropped after an interrupt too.
            tokio::select! {
                biased;
                () = stop.happened() => Ok(None),
                tuned = Box::pin(on_workload(options, workload, host, clock)) => tuned.map(Some),
            }
        };
        server.in_own_database("apitap_tune", work).await
    };
    // The work ends by itself, and so soon after an interrupt that it is awaited; the start of a server
    // may take longer.
    tokio::pin!(tuning);
    tokio::select! {
        tuned = &mut tuning => tuned,
        () = async {
            interrupt.happened().await;
            tokio::time::sleep(END_WITHIN).await;
        } => Ok(None),
    }
}

/// How long an interrupted tuning may take to remove what it made.
const END_WITHIN: Duration = Duration::from_secs(20);

async fn on_workload(
    options: &Options,
    workload: &Workload,
    host: Host,
    clock: Clock,
) -> Result<Tuned> {
    let mut scenario = Scenario::planned(plan(workload));
    let prepared: Prepared = Box::pin(prepare(&mut scenario, host)).await?;
    let recorded = workload.recorded.as_deref();
    let order = Order {
        budget: options.budget,
        seed: options.seed,
        facts: match recorded {
            None => Facts::new(OF_THE_SUITE, true),
            Some(header) => Facts::new(asking(header), header.replaces),
        },
        current: match recorded {
            None => Candidate::tuned(),
            // Its pages have the size of the recording in any case.
            Some(header) => {
                let own = config(&header.preset, &header.settings)?;
                Candidate::of(&own).without(PAGE_ROWS)
            }
        },
    };
    let mut bench = WorkloadBench::new(prepared, clock);
    let tuned = tune(&mut bench, &order).await;
    bench.prepared.stop().await;
    let (found, confirmation) = tuned?;
    Ok(Tuned {
        subject: subject(workload),
        found,
        confirmation,
        kept: recorded.map(pinned).unwrap_or_default(),
        left_out: recorded.map(left_out),
        elapsed: clock.elapsed(),
    })
}

/// How the mock API is asked for pages.
const OF_THE_SUITE: Asking = Asking {
    says_page_rows: true,
    ahead: true,
    alone: true,
};

/// How a recording is asked for pages, which have one size.
fn asking(header: &Header) -> Asking {
    let mut paginations = header.sources.iter().map(|source| &source.pagination);
    Asking {
        says_page_rows: false,
        ahead: paginations.any(Pagination::is_numbered),
        alone: header.sources.len() == 1,
    }
}

/// What every candidate keeps of a recording, where it differs from `tuned`.
fn pinned(header: &Header) -> Vec<String> {
    let usual = format!("{PAGE_ROWS}={}", Candidate::tuned().value(PAGE_ROWS));
    let pinned = header.pinned.iter();
    pinned.filter(|one| **one != usual).cloned().collect()
}

fn left_out(header: &Header) -> &'static str {
    match header.replaces {
        true => "source.page_rows was not tried: a recording has pages of one size",
        false => {
            "source.page_rows and write.connections were not tried: a recording has pages of one size, and its \
             table is replaced, which the module's own is not"
        }
    }
}

async fn tune(bench: &mut impl Bench, order: &Order) -> Result<(Found, Confirmation)> {
    let found = search(bench, order).await?;
    let confirmation = confirm(bench, order, &found).await?;
    Ok((found, confirmation))
}

/// A scenario of one arm, to which the candidates are added.
fn plan(workload: &Workload) -> ScenarioPlan {
    let tuned = ArmPlan {
        name: "tuned".to_owned(),
        rows: workload.rows,
        load: LoadPlan::Engine {
            preset: "tuned".to_owned(),
            knobs: Vec::new(),
            attach: Vec::new(),
            mode: None,
        },
        sql: None,
        revision: None,
    };
    ScenarioPlan {
        name: "tune".to_owned(),
        experiment: "tune".to_owned(),
        on: Some("tuned".to_owned()),
        cell: Vec::new(),
        workload: workload.name.clone(),
        sql: None,
        key: Vec::new(),
        existing: None,
        table: None,
        postgres_round_trip_ms: None,
        api_round_trip_ms: workload.latency_ms,
        blocks: 0,
        arms: vec![tuned],
        confirms: None,
    }
}

fn subject(workload: &Workload) -> String {
    let mut text = format!("{}, {} rows", workload.name, Whole(workload.rows));
    if let Some(latency) = workload.latency_ms {
        text += &format!(", {} ms to the API", Number(latency));
    }
    if let Some(rows) = workload.api_page_rows {
        text += &format!(", pages of at most {} rows", Whole(rows.get()));
    }
    text
}

/// Tunes for a module of the user's; `None` after an interrupt. The scratch table is dropped in any case.
///
/// # Errors
/// When a file is wrong, `tuned` fails, loads differ in their rows, or the scratch table stays.
pub(crate) async fn pipeline(options: &Options, project: Project) -> Result<Option<Tuned>> {
    let clock = Clock::start(options.budget);
    let mut interrupt = Interrupt::listen()?;
    let (job, config) = project.read()?;
    let facts = facts(&job);
    let order = Order {
        budget: options.budget,
        seed: options.seed,
        facts,
        current: Candidate::of(&config),
    };
    let kept = kept(&config);
    let mut bench = PipelineBench::new(options.program.clone(), project, kept.clone(), clock);
    let tuned = tokio::select! {
        biased;
        () = interrupt.happened() => None,
        tuned = Box::pin(tune(&mut bench, &order)) => Some(tuned),
    };
    let dropped = bench.drop_scratch(&job).await;
    let Some(tuned) = tuned else {
        return dropped.map(|()| None);
    };
    let (found, confirmation) = tuned?;
    dropped.context("the tuning itself was complete")?;
    let left_out = "write.connections was not tried: the scratch table is replaced, and the module's own is not";
    Ok(Some(Tuned {
        subject: format!("module {} into {}", job.name, job.sink.table),
        found,
        confirmation,
        kept,
        left_out: (!facts.tries_connections).then_some(left_out),
        elapsed: clock.elapsed(),
    }))
}
