//! Runs of modules: once, and by their schedules.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::Utc;
use futures::FutureExt as _;
use serde_json::{Map, Value};

use super::arguments::Arguments;
use super::console::Console;
use super::interrupt::Interrupt;
use super::plan::{Plan, Planned, Round};
use super::progress::{Progress, QUIET};
use super::report_file::ReportFile;
use crate::explain::{Explanation, Facts, Server};
use crate::job::Job;
use crate::metrics::{Metrics, process_usage};
use crate::run_outcome::{FailureReport, RunOutcome, Success};
use crate::server_watch::{Opened, ServerWatch};
use crate::{Error, ErrorKind, Result, RunReport, Stage};

/// Between two looks at the server. A look takes a fraction of a millisecond on either side.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What runs need beside their plan.
pub(super) struct Service {
    pub(super) console: Console,
    pub(super) interrupt: Interrupt,
    pub(super) report: Option<ReportFile>,
    /// Whether runs are explained, with looks at the server.
    pub(super) explains: bool,
}

impl Service {
    /// Runs every module, then by their schedules if that is asked for. True when every module of
    /// the first round succeeded.
    pub(super) async fn run(&mut self, plan: &mut Plan, arguments: &Arguments) -> bool {
        let mut outcomes = Vec::new();
        for planned in &plan.modules {
            outcomes.push(self.run_module(plan, planned).await);
        }
        self.report(&outcomes);
        let ok = outcomes.iter().all(RunOutcome::is_success);
        if arguments.schedule && self.interrupt.signal().is_none() {
            self.run_on_schedule(plan, arguments, outcomes).await;
            return ok && self.interrupt.signal().is_some();
        }
        ok
    }

    /// Runs modules by their schedules, one after the other, until interrupted. A module that fails
    /// does not end it. When a file has become wrong, the round is skipped.
    async fn run_on_schedule(
        &mut self,
        plan: &mut Plan,
        arguments: &Arguments,
        mut outcomes: Vec<RunOutcome>,
    ) {
        let mut last = Utc::now();
        while let Some(round) = plan.next_round(Utc::now(), last) {
            last = round.moment;
            let wait = (round.moment - Utc::now()).to_std().unwrap_or_default();
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.interrupt.wait() => return,
            }
            match plan.reload(arguments) {
                Ok(()) => self.run_round(plan, &round, &mut outcomes).await,
                Err(error) => self.console.error(&error),
            }
        }
        self.console
            .failure("no module has a schedule any more", None);
    }

    /// The report then has the last run of each module.
    async fn run_round(&mut self, plan: &Plan, round: &Round, outcomes: &mut Vec<RunOutcome>) {
        for planned in &plan.modules {
            if round.modules.contains(&planned.name) {
                let outcome = self.run_module(plan, planned).await;
                outcomes.retain(|earlier| earlier.module() != planned.name);
                outcomes.push(outcome);
            }
        }
        self.report(outcomes);
    }

    async fn run_module(&self, plan: &Plan, planned: &Planned) -> RunOutcome {
        if self.interrupt.signal().is_some() {
            return RunOutcome::NotRun {
                module: planned.name.clone(),
            };
        }
        let start = Instant::now();
        let result = match &planned.job {
            Ok(job) => self.run_job(plan, job).await,
            Err(error) => Err(error.clone()),
        };
        match result {
            Ok(success) => RunOutcome::Succeeded(Box::new(success)),
            Err(error) => {
                self.console.error(&error);
                let table = planned.job.as_ref().map(|job| job.sink.table.to_string());
                RunOutcome::Failed {
                    module: planned.name.clone(),
                    table: table.ok(),
                    wall_seconds: start.elapsed().as_secs_f64(),
                    error: FailureReport::new(&error),
                }
            }
        }
    }

    async fn run_job(&self, plan: &Plan, job: &Job) -> Result<Success> {
        let metrics = Arc::new(Metrics::default());
        let looks = match self.explains {
            true => Some(watch(job, metrics.clone()).await),
            false => None,
        };
        let cpu_before = process_usage().cpu_seconds;
        let result = self.run_to_end(plan, job, metrics).await;
        let cpu_seconds = process_usage().cpu_seconds - cpu_before;
        let server = looks.map_or(Server::NotAsked, |looks| Server::of(looks.stop()));
        let report = result?;
        self.console.info(&summary(&report));
        let explanation = self.explain(&report, &Facts::of(job, cpu_seconds), server);
        Ok(Success {
            report,
            explanation,
        })
    }

    /// Says what bounds a run, if that is asked for or the run took long. For the report it is kept only if it
    /// was asked for.
    fn explain(&self, report: &RunReport, facts: &Facts, server: Server) -> Option<Explanation> {
        let took_long = report.wall_seconds > QUIET.as_secs_f64();
        if !self.explains && !took_long {
            return None;
        }
        let Some(explanation) = Explanation::new(report, facts, server) else {
            if self.explains {
                let why = "nothing is known of where the time went, because of observe=off";
                self.console.warning(&format!("{}: {why}", report.module));
            }
            return None;
        };
        let line = format!("{}: {}", report.module, explanation.line());
        if !self.explains {
            self.console.info(&line);
            return None;
        }
        let mut fields = Map::new();
        fields.insert("module".to_owned(), report.module.clone().into());
        // Its keys are texts, so it has a JSON form.
        let json = serde_json::to_value(&explanation).unwrap_or(Value::Null);
        fields.insert("explanation".to_owned(), json);
        let lines = explanation.lines(&report.module);
        self.console.table(&lines, &line, fields);
        Some(explanation)
    }

    async fn run_to_end(&self, plan: &Plan, job: &Job, metrics: Arc<Metrics>) -> Result<RunReport> {
        let watched = plan.exposition.watch(&job.name, metrics.clone());
        let progress = Progress::start(&job.name, metrics.clone(), self.console);
        let stop = Box::pin(self.interrupt.wait());
        let run = plan.engine.run_until(job, metrics, stop);
        // A fault in this module is none of the next one.
        let result = AssertUnwindSafe(run).catch_unwind().await;
        progress.stop();
        let result = result.unwrap_or_else(|_| {
            let what = format!("module {}: the run panicked", job.name);
            Err(Error::new(ErrorKind::Internal, Stage::Transform, what))
        });
        if result.is_ok() {
            watched.succeeded();
        }
        result
    }

    fn report(&mut self, outcomes: &[RunOutcome]) {
        let written = self
            .report
            .as_mut()
            .map_or(Ok(()), |report| report.write(outcomes));
        if let Err(error) = written {
            self.console
                .warning(&format!("the report cannot be written: {error}"));
        }
    }
}

async fn watch(job: &Job, metrics: Arc<Metrics>) -> ServerWatch {
    let target = job.sink.target.clone();
    ServerWatch::start(target, metrics, LOOK_EVERY, Opened::BehindTheRun).await
}

fn summary(report: &RunReport) -> String {
    format!(
        "{}: {} rows into {} in {:.2} s ({:.0} rows/s)",
        report.module,
        report.rows_written,
        report.table,
        report.wall_seconds,
        report.rows_per_second
    )
}
