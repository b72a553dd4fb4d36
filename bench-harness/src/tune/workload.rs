//! Loads of a workload of the suite: samples as `run` takes them.

use std::time::Duration;

use anyhow::{Context as _, Result};
use apitap_core::run_report::HttpReport;
use serde::Deserialize as _;

use super::bench::{Bench, Load, Loaded};
use super::candidates::Candidate;
use super::clock::Clock;
use crate::measure::Executor as _;
use crate::measure::prepare::Prepared;
use crate::measure::profiling::WrongData;
use crate::measure::progress::Step;
use crate::samples::{Measurements, Outcome};

/// A prepared workload whose first arm is `tuned`.
pub(super) struct WorkloadBench {
    pub(super) prepared: Prepared,
    /// The candidates, by the index of their arm.
    arms: Vec<Candidate>,
    clock: Clock,
}

impl WorkloadBench {
    pub(super) fn new(prepared: Prepared, clock: Clock) -> Self {
        Self {
            prepared,
            arms: vec![Candidate::tuned()],
            clock,
        }
    }

    fn arm(&mut self, candidate: &Candidate) -> Result<usize> {
        let known = self.arms.iter().position(|one| one == candidate);
        if let Some(known) = known {
            return Ok(known);
        }
        self.arms.push(candidate.clone());
        self.prepared.loader.add_arm(0, candidate.settings())
    }
}

impl Bench for WorkloadBench {
    async fn load(&mut self, candidate: &Candidate, limit: Duration) -> Result<Loaded> {
        let step = Step {
            block: 0,
            position: 0,
            arm: self.arm(candidate)?,
            warm_up: false,
        };
        // To drop a sample is to end it.
        let sample = tokio::time::timeout(limit, self.prepared.loader.sample(step)).await;
        let Ok(outcome) = sample else {
            return Ok(Loaded::OverLimit);
        };
        match outcome? {
            Outcome::Measured(figures) => Ok(Loaded::Well(load(&figures)?)),
            Outcome::Void { .. } => Ok(Loaded::Spoiled),
            Outcome::Failed { reason } => Ok(Loaded::Failed(reason)),
            Outcome::WrongData { reason } => {
                Err(WrongData(format!("{candidate}: {reason}")).into())
            }
        }
    }

    fn elapsed(&self) -> Duration {
        self.clock.elapsed()
    }

    fn say(&mut self, line: &str) {
        self.clock.say(line);
    }
}

fn load(figures: &Measurements) -> Result<Load> {
    let lacks = "the engine's report lacks what it read";
    let report = &figures.extra;
    let http = HttpReport::deserialize(&report["http"]).context(lacks)?;
    Ok(Load {
        seconds: figures.wall_seconds,
        rows_read: report["rows_read"].as_u64().context(lacks)?,
        rows: figures.rows,
        pages: http.pages,
        requests: http.requests,
        retries: http.retries,
    })
}
