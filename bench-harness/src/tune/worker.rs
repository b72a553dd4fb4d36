//! `apitap-bench tune-worker`: the process of one load of a user's pipeline.
//!
//! It reads an order as JSON from standard input, runs the module once into the scratch table, from its
//! APIs or from a recording of them, and prints the engine's report as JSON, or `null` when it stopped at its
//! limit.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use apitap_core::module::Module;
use apitap_core::pipeline_file::PipelineFile;
use apitap_core::source::SourceSpec;
use apitap_core::{Config, Engine, Error, ErrorKind, Job, RunReport};
use futures::FutureExt as _;
use serde::{Deserialize, Serialize};
use tokio::process::Command;
use url::Url;

use super::scratch::into_scratch;
use crate::measure::child::{self, Ended};
use crate::measure::worker::{RecordedLoad, config, engine_error};

/// One load. It holds no secret: the worker reads the pipeline file itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct LoadOrder {
    /// Where the pipeline is.
    pub(crate) project: Project,
    /// Who answers its requests.
    pub(crate) apis: Apis,
    /// The preset by name.
    pub(crate) preset: String,
    /// Changes to the preset, as `stage.knob=value`.
    pub(crate) settings: Vec<String>,
    /// The table to load instead of the module's own, in its schema.
    pub(crate) scratch: String,
    /// When to stop.
    pub(crate) limit_seconds: f64,
}

/// How much longer than its limit a worker may take: it rolls back first.
const GRACE: Duration = Duration::from_secs(10);

impl LoadOrder {
    /// Loads in a process of `program`, which is this one.
    ///
    /// # Errors
    /// When the process fails, or does not end soon after the limit.
    pub(crate) async fn run(&self, program: &Path) -> Result<Ended> {
        let order = serde_json::to_vec(self).context("cannot serialise the order")?;
        let mut command = Command::new(program);
        command.arg("tune-worker");
        child::run(&mut command, &order, self.limit()? + GRACE).await
    }

    fn limit(&self) -> Result<Duration> {
        Duration::try_from_secs_f64(self.limit_seconds).context("the limit is no time")
    }
}

/// The engine's report of the load of a worker that ended; none if it stopped at its limit.
///
/// # Errors
/// When it is not the engine's.
pub(crate) fn report_of(ended: &Ended) -> Result<Option<RunReport>> {
    serde_json::from_slice(&ended.stdout).context("the worker's report is not the engine's")
}

/// Who answers the requests of a load.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Apis {
    /// The user's APIs.
    Own,
    /// The same, through servers with these URLs, one for each source.
    Through(Vec<String>),
    /// A recording.
    Replay(RecordedLoad),
}

/// A module with its pipeline file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Project {
    /// Folder of the SQL modules.
    pub(crate) modules: PathBuf,
    /// The pipeline file.
    pub(crate) pipelines: PathBuf,
    /// The module by name; none is the only one.
    pub(crate) module: Option<String>,
}

impl Project {
    /// The pipeline file.
    pub(crate) fn file(&self) -> Result<PipelineFile> {
        PipelineFile::load(&self.pipelines).map_err(|error| engine_error(&error))
    }

    /// The job of the module, and the configuration that it runs with now.
    pub(crate) fn read(&self) -> Result<(Job, Config)> {
        let file = self.file()?;
        let preset = file.preset.as_deref().unwrap_or("tuned");
        let config = config(preset, &file.settings)?;
        let all = Module::load_all(&self.modules).map_err(|error| engine_error(&error))?;
        let module = self.choose(&all)?;
        let job = Job::new(module, &file, &config.write);
        Ok((job.map_err(|error| engine_error(&error))?, config))
    }

    fn choose<'a>(&self, all: &'a [Module]) -> Result<&'a Module> {
        let names = || {
            let names: Vec<&str> = all.iter().map(|module| module.name.as_str()).collect();
            names.join(", ")
        };
        match (&self.module, all) {
            (None, [only]) => Ok(only),
            (None, _) => anyhow::bail!("name the module: {}", names()),
            (Some(name), _) => {
                let found = all.iter().find(|module| module.name == *name);
                found.with_context(|| {
                    format!(
                        "no module has the name {name:?}; the modules are {}",
                        names()
                    )
                })
            }
        }
    }
}

/// Runs the order on standard input.
///
/// # Errors
/// When it is not valid, or the load fails; the message ends with the engine's hint.
pub(crate) async fn run() -> Result<()> {
    let text = std::io::read_to_string(std::io::stdin()).context("cannot read the order")?;
    let order: LoadOrder = serde_json::from_str(&text).context("the order is not valid")?;
    let (job, _) = order.project.read()?;
    let mut job = into_scratch(&job, &order.scratch);
    match &order.apis {
        Apis::Own => {}
        Apis::Through(urls) => lead_through(&mut job, urls)?,
        Apis::Replay(recorded) => (job.sources, job.sql) = recorded.read()?,
    }
    let engine = Engine::new(config(&order.preset, &order.settings)?);
    let stop = tokio::time::sleep(order.limit()?).boxed();
    let report = match engine.run_until(&job, Arc::default(), stop).await {
        Ok(report) => Some(report),
        Err(error) if was_stopped(&error) => None,
        Err(error) => return Err(engine_error(&error)),
    };
    let json = serde_json::to_string(&report).context("cannot serialise the engine's report")?;
    writeln!(std::io::stdout(), "{json}").context("standard output is closed")
}

/// Lets the sources of `job` ask the servers with these URLs, which ask the APIs.
fn lead_through(job: &mut Job, urls: &[String]) -> Result<()> {
    for (source, server) in job.sources.iter_mut().zip(urls) {
        let server = Url::parse(server).context("a server's URL")?;
        let mut through = SourceSpec::clone(source);
        let url = &mut through.url;
        let is_moved = url.set_scheme(server.scheme()).is_ok()
            && url.set_host(server.host_str()).is_ok()
            && url.set_port(server.port()).is_ok();
        ensure!(is_moved, "source {} cannot be recorded", source.name);
        *source = Arc::new(through);
    }
    Ok(())
}

fn was_stopped(error: &Error) -> bool {
    error.kind() == ErrorKind::Cancelled
}
