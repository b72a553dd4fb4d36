//! Loads of a user's pipeline, from the user's API into a scratch table on the user's server.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, ensure};
use apitap_core::Job;
use apitap_core::config::WriteMode;
use apitap_core::source::pagination::Pagination;

use super::bench::{Bench, Load, Loaded};
use super::candidates::{Asking, Candidate, Facts};
use super::clock::Clock;
use super::scratch::drop_scratch;
use super::worker::{Apis, LoadOrder, Project, report_of};
use crate::format::{Seconds, Whole};
use crate::measure::server::stolen;
use testkit::cpu::CpuTimes;

/// A module and its scratch table.
pub(super) struct PipelineBench {
    /// This program, which is also the worker.
    program: PathBuf,
    project: Project,
    /// What all candidates keep of the user's settings.
    kept: Vec<String>,
    scratch: String,
    clock: Clock,
    /// Rows of the first load.
    rows: Option<u64>,
}

impl PipelineBench {
    pub(super) fn new(program: PathBuf, project: Project, kept: Vec<String>, clock: Clock) -> Self {
        Self {
            program,
            project,
            kept,
            scratch: format!("apitap_tune_{}", std::process::id()),
            clock,
            rows: None,
        }
    }

    /// Drops the scratch table of `job`.
    ///
    /// # Errors
    /// Those of [`drop_scratch`].
    pub(super) async fn drop_scratch(&self, job: &Job) -> Result<()> {
        drop_scratch(job, &self.scratch).await
    }

    /// Compares with the first load, which tells what follows.
    fn check(&mut self, load: &Load) -> Result<()> {
        let Some(rows) = self.rows else {
            self.rows = Some(load.rows);
            let left = self.clock.left().as_secs_f64();
            // A guess from the first load: faster candidates fit more often, and processes take time too.
            let loads = (left / load.seconds.max(0.05)) as u64;
            self.clock.say(&format!(
                "a load takes {} and makes {} requests; in the time that is left up to about {} loads may make \
                 up to {} requests",
                Seconds(load.seconds),
                Whole(load.requests),
                Whole(loads),
                Whole(loads * load.requests)
            ));
            return Ok(());
        };
        ensure!(
            rows == load.rows,
            "the first load had {} rows and a later one {}: times of different data say nothing, so a pipeline \
             whose API changes meanwhile cannot be tuned",
            Whole(rows),
            Whole(load.rows)
        );
        Ok(())
    }
}

/// What is known of the loads of `job` before the first one.
pub(super) fn facts(job: &Job) -> Facts {
    let paginations = || job.sources.iter().map(|source| &source.pagination);
    let asking = Asking {
        says_page_rows: paginations().any(Pagination::says_page_rows),
        ahead: paginations().any(Pagination::is_numbered),
        alone: job.sources.len() == 1,
    };
    // Scratch tables are replaced. Where the user's rows are merged or appended, several connections write
    // them twice.
    Facts::new(asking, job.sink.mode == WriteMode::Replace)
}

impl Bench for PipelineBench {
    async fn load(&mut self, candidate: &Candidate, limit: Duration) -> Result<Loaded> {
        let order = LoadOrder {
            project: self.project.clone(),
            apis: Apis::Own,
            preset: "tuned".to_owned(),
            settings: [&self.kept[..], &candidate.settings()].concat(),
            scratch: self.scratch.clone(),
            limit_seconds: limit.as_secs_f64(),
        };
        let machine = CpuTimes::now()?;
        let ended = match order.run(&self.program).await {
            Ok(ended) => ended,
            Err(error) => return Ok(Loaded::Failed(format!("{error:#}"))),
        };
        let is_spoiled = stolen(&machine, &CpuTimes::now()?).is_some();
        let Some(report) = report_of(&ended)? else {
            return Ok(Loaded::OverLimit);
        };
        let load = Load {
            seconds: report.wall_seconds,
            rows_read: report.rows_read,
            rows: report.rows_written,
            pages: report.http.pages,
            requests: report.http.requests,
            retries: report.http.retries,
        };
        self.check(&load)?;
        Ok(if is_spoiled {
            Loaded::Spoiled
        } else {
            Loaded::Well(load)
        })
    }

    fn elapsed(&self) -> Duration {
        self.clock.elapsed()
    }

    fn say(&mut self, line: &str) {
        self.clock.say(line);
    }
}
