//! `apitap-bench tune-worker`: the process of one load of a user's pipeline.
//!
//! It reads an order as JSON from standard input, runs the module once into the scratch table, and prints
//! the engine's report as JSON, or `null` when it stopped at its limit.

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use apitap_core::config::WriteMode;
use apitap_core::module::Module;
use apitap_core::pipeline_file::PipelineFile;
use apitap_core::{Config, Engine, Error, ErrorKind, Job};
use futures::FutureExt as _;
use serde::{Deserialize, Serialize};

use crate::measure::worker::{config, engine_error};

/// One load. It holds no secret: the worker reads the pipeline file itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct LoadOrder {
    /// Where the pipeline is.
    pub(super) project: Project,
    /// Changes to `tuned`, as `stage.knob=value`.
    pub(super) settings: Vec<String>,
    /// The table to load instead of the module's own, in its schema.
    pub(super) scratch: String,
    /// When to stop.
    pub(super) limit_seconds: f64,
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
    /// The job of the module, and the configuration that it runs with now.
    pub(super) fn read(&self) -> Result<(Job, Config)> {
        let file = PipelineFile::load(&self.pipelines).map_err(|error| engine_error(&error))?;
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
            (None, _) => anyhow::bail!("name the module to tune with --module: {}", names()),
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

/// `job` with `scratch` in the place of its table.
///
/// # Errors
/// When the name is not valid.
pub(super) fn into_scratch(job: &Job, scratch: &str) -> Job {
    let mut job = job.clone();
    if job.sink.mode != WriteMode::Replace {
        // Rows of one key are merged, and of them a new table with that key would take only the first.
        job.sink.key.clear();
    }
    job.sink.mode = WriteMode::Replace;
    job.sink.table = job.sink.table.sibling(scratch.to_owned());
    job
}

/// Runs the order on standard input.
///
/// # Errors
/// When it is not valid, or the load fails; the message ends with the engine's hint.
pub(crate) async fn run() -> Result<()> {
    let text = std::io::read_to_string(std::io::stdin()).context("cannot read the order")?;
    let order: LoadOrder = serde_json::from_str(&text).context("the order is not valid")?;
    let (job, _) = order.project.read()?;
    let job = into_scratch(&job, &order.scratch);
    let engine = Engine::new(config("tuned", &order.settings)?);
    let limit = Duration::try_from_secs_f64(order.limit_seconds).context("the limit is no time")?;
    let stop = tokio::time::sleep(limit).boxed();
    let report = match engine.run_until(&job, Arc::default(), stop).await {
        Ok(report) => Some(report),
        Err(error) if was_stopped(&error) => None,
        Err(error) => return Err(engine_error(&error)),
    };
    let json = serde_json::to_string(&report).context("cannot serialise the engine's report")?;
    writeln!(std::io::stdout(), "{json}").context("standard output is closed")
}

fn was_stopped(error: &Error) -> bool {
    error.kind() == ErrorKind::Cancelled
}
