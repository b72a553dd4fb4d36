//! How a load runs, as far as predictions know it.

use std::fmt;

use apitap_core::Config;
use apitap_core::config::{WriteCommand, WriteMethod, WriteMode};
use testkit::workload::Workload;

use crate::experiment::{ArmPlan, LoadPlan, configured};
use crate::run_record::{RoundTrip, Scenario};

/// Something that takes processor time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// The requests' own work.
    Fetch,
    /// Looking through pages for rows.
    Scan,
    /// JSON to columns, and the inference of the schema.
    Decode,
    /// SQL.
    Sql,
    /// Columns to PostgreSQL's format.
    Encode,
    /// Driving the connections to PostgreSQL.
    Send,
    /// What the engine spends on no stage: the runtime, the HTTP client's connections, the process.
    Other,
    /// The server.
    Server,
}

impl Stage {
    /// All there are, in the order of the pipeline.
    pub(super) const ALL: [Self; 8] = [
        Self::Fetch,
        Self::Scan,
        Self::Decode,
        Self::Sql,
        Self::Encode,
        Self::Send,
        Self::Other,
        Self::Server,
    ];
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fetch => "requests",
            Self::Scan => "page scan",
            Self::Decode => "decode",
            Self::Sql => "SQL",
            Self::Encode => "encode",
            Self::Send => "send",
            Self::Other => "the rest of the client",
            Self::Server => "server",
        })
    }
}

/// Seconds of each stage.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct ByStage([f64; Stage::ALL.len()]);

impl ByStage {
    pub(super) fn new(seconds: impl Fn(Stage) -> f64) -> Self {
        Self(Stage::ALL.map(seconds))
    }

    pub(super) fn of(&self, stage: Stage) -> f64 {
        self.0[stage as usize]
    }

    pub(super) fn set(&mut self, stage: Stage, seconds: f64) {
        self.0[stage as usize] = seconds;
    }

    pub(super) fn sum(&self) -> f64 {
        self.0.iter().sum()
    }
}

/// Round trip to a server on this machine, where nothing was measured: sockets and wake-ups.
const LOCAL_ROUND_TRIP_SECONDS: f64 = 1e-4;

/// Most parameters of a statement, by PostgreSQL's protocol.
const MOST_PARAMETERS: usize = 65_535;

/// How a load runs.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Setting {
    pub(super) config: Config,
    pub(super) mode: WriteMode,
    /// Workload, query, and the table that is there before: costs are known for the same work only.
    pub(super) work: String,
    pub(super) columns: usize,
    pub(super) rows: f64,
    /// Seconds of a round trip to the API.
    pub(super) api_round_trip: f64,
    /// Seconds of a round trip to PostgreSQL.
    pub(super) postgres_round_trip: f64,
    pub(super) cores: f64,
    /// Processor seconds that the API takes for a row, on the same machine.
    pub(super) api_cpu_by_row: f64,
}

impl Setting {
    /// Of an arm as it was planned; `None` if it is not this engine in one of its configurations.
    pub(super) fn new(scenario: &Scenario, arm: &ArmPlan, cores: f64) -> Option<Self> {
        let plan = &scenario.plan;
        let LoadPlan::Engine {
            preset,
            knobs,
            mode,
            ..
        } = &arm.load
        else {
            return None;
        };
        if arm.revision.is_some() {
            return None;
        }
        let query = plan.query(arm).unwrap_or("all columns");
        let existing = plan.existing.unwrap_or_default();
        let seconds = |round_trip: Option<RoundTrip>| {
            round_trip.map_or(LOCAL_ROUND_TRIP_SECONDS, |one| one.relayed_ms / 1e3)
        };
        let columns = Workload::named(&plan.workload).map(|one| one.columns().len());
        Some(Self {
            config: configured(preset, knobs).ok()?,
            mode: mode.unwrap_or(WriteMode::Replace),
            work: format!("{}, {query}, {existing}, {:?}", plan.workload, plan.table),
            columns: columns.unwrap_or(1).max(1),
            rows: arm.rows as f64,
            api_round_trip: seconds(scenario.api_round_trip),
            postgres_round_trip: seconds(scenario.postgres_round_trip),
            cores,
            api_cpu_by_row: scenario
                .mock_api_ceiling
                .map_or(0.0, |ceiling| 1.0 / ceiling.rows_per_second),
        })
    }

    /// Whether rows go to the server in statements, and not by COPY.
    pub(super) fn sends_statements(&self) -> bool {
        matches!(
            self.config.write.method.command(),
            WriteCommand::Statement(_)
        )
    }

    /// Whether encoding waits until the server has answered the statement before.
    pub(super) fn waits_for_answers(&self) -> bool {
        self.sends_statements() && self.config.write.in_flight.get() == 1
    }

    /// Round trips that so many flushes wait for, those that go on at once counted once.
    pub(super) fn flush_trips(&self, flushes: f64) -> f64 {
        if self.sends_statements() {
            flushes / self.config.write.in_flight.get() as f64
        } else {
            0.0
        }
    }

    /// Pages that are read before the first row leaves: those of the schema's sample.
    pub(super) fn first_pages(&self) -> f64 {
        let sample = self.config.infer.sample_rows.get() as f64;
        let page = self.config.source.page_rows.get() as f64;
        (sample.min(self.rows) / page).ceil().max(1.0)
    }

    /// Rows of a flush: no more than the parameters of a statement can be.
    pub(super) fn flush_rows(&self) -> f64 {
        let asked = self.config.write.batch_rows.get();
        let at_most = match self.config.write.method {
            WriteMethod::Insert | WriteMethod::Prepared => MOST_PARAMETERS / self.columns,
            _ => usize::MAX,
        };
        asked.min(at_most).max(1) as f64
    }

    /// What the cost of each stage depends on.
    pub(super) fn keys(&self) -> Keys {
        Keys(Stage::ALL.map(|stage| {
            let depends = self.depends(stage).into_iter();
            let key = |depends| format!("{stage} of {}: {depends}", self.work);
            depends.map(key).collect()
        }))
    }

    fn depends(&self, stage: Stage) -> Vec<String> {
        let config = &self.config;
        let (path, method) = (config.decode.path, config.write.method.name());
        let clients = self.clients();
        match stage {
            Stage::Fetch => vec![clients.to_owned()],
            Stage::Scan | Stage::Sql => vec![String::new()],
            // The decoder that yields rows one by one is slowed down by how its rows are taken.
            Stage::Decode => vec![format!("{path:?}, {method}"), format!("{path:?}")],
            Stage::Encode | Stage::Send => vec![method.to_owned()],
            Stage::Other => vec![
                format!("{clients}, {path:?}, {method}"),
                format!("{clients}, {path:?}"),
            ],
            Stage::Server => {
                let merges = self.mode == WriteMode::Merge;
                vec![format!("{method}, {:?}, {merges}", config.write.commit)]
            }
        }
    }

    fn clients(&self) -> &'static str {
        if self.config.source.reuse_connections {
            "one client"
        } else {
            "a client for each request"
        }
    }

    /// What the time of a page depends on, in the same way.
    pub(super) fn page_keys(&self) -> [String; 2] {
        let (source, clients) = (&self.config.source, self.clients());
        let (at_once, rows) = (source.concurrency, source.page_rows);
        [
            format!("{clients}, {at_once} at once, {rows} rows"),
            clients.to_owned(),
        ]
    }
}

/// What the cost of each stage depends on, from all that matters to the most that can be left out.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Keys([Vec<String>; Stage::ALL.len()]);

impl Keys {
    pub(super) fn of(&self, stage: Stage) -> &[String] {
        &self.0[stage as usize]
    }
}
