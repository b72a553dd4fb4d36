//! `apitap-bench soak-worker`: the process that loads, again and again, and should not grow.
//!
//! It reads orders from standard input, one line of JSON each, runs each of them in a task of its own, and
//! writes a line of JSON when one has ended. It exits when its input ends.

use std::collections::HashMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use apitap_core::module::Module;
use apitap_core::pipeline_file::PipelineFile;
use apitap_core::{Config, Engine, Error, Job};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc::{self, UnboundedReceiver};
use tokio::task::{AbortHandle, JoinSet};

use crate::faults::project::{MODULES, PIPELINE_FILE};

/// What the worker is told.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Told {
    /// Run the module of a folder.
    Load {
        id: u64,
        folder: PathBuf,
        settings: Vec<String>,
    },
    /// Drop the future of that load, as a program does that no longer wants it.
    Cancel { id: u64 },
}

/// A load that has ended.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Done {
    pub(super) id: u64,
    /// What the user would be told; none if all went well.
    pub(super) error: Option<String>,
}

/// Runs orders until there are no more.
///
/// # Errors
/// When an order is not valid, or standard output is closed.
pub(crate) async fn run() -> Result<()> {
    let mut orders = orders();
    let mut worker = Worker::default();
    loop {
        tokio::select! {
            told = orders.recv() => match told {
                Some(told) => worker.obey(told?),
                None => return Ok(()),
            },
            Some(ended) = worker.loads.join_next_with_id() => {
                let (task, error) = match ended {
                    Ok((task, error)) => (task, error),
                    Err(cause) if cause.is_cancelled() => (cause.id(), Some("cancelled".to_owned())),
                    Err(cause) => (cause.id(), Some(format!("a load panicked: {cause}"))),
                };
                worker.report(task, error)?;
            }
        }
    }
}

/// What standard input says, read by a thread: a pending read must not keep the runtime from ending.
fn orders() -> UnboundedReceiver<Result<Told>> {
    let (sender, orders) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lines() {
            let told = line
                .context("cannot read an order")
                .and_then(|line| serde_json::from_str(&line).context("an order is not valid"));
            if sender.send(told).is_err() {
                return;
            }
        }
    });
    orders
}

#[derive(Default)]
struct Worker {
    loads: JoinSet<Option<String>>,
    under_way: HashMap<tokio::task::Id, (u64, AbortHandle)>,
    /// One for each configuration, as long as the process lives.
    engines: HashMap<Vec<String>, Arc<Engine>>,
}

impl Worker {
    fn obey(&mut self, told: Told) {
        match told {
            Told::Load {
                id,
                folder,
                settings,
            } => {
                let known = self.engines.get(&settings).cloned();
                let engine = known.map_or_else(|| engine(&settings).map(Arc::new), Ok);
                if let Ok(engine) = &engine {
                    self.engines.insert(settings, engine.clone());
                }
                let load = async move {
                    let loaded = match engine {
                        Ok(engine) => load(&engine, &folder).await,
                        Err(error) => Err(error),
                    };
                    loaded.err().map(|error| told_to_a_user(&error))
                };
                let handle = self.loads.spawn(load);
                self.under_way.insert(handle.id(), (id, handle));
            }
            Told::Cancel { id } => {
                let mut loads = self.under_way.values();
                if let Some((_, handle)) = loads.find(|(known, _)| *known == id) {
                    handle.abort();
                }
            }
        }
    }

    fn report(&mut self, task: tokio::task::Id, error: Option<String>) -> Result<()> {
        let Some((id, _)) = self.under_way.remove(&task) else {
            return Ok(());
        };
        let line = serde_json::to_string(&Done { id, error }).context("cannot write a result")?;
        writeln!(std::io::stdout(), "{line}").context("standard output is closed")
    }
}

fn engine(settings: &[String]) -> Result<Engine, Error> {
    let config = settings
        .iter()
        .try_fold(Config::default(), |config, one| config.with(one))?;
    Ok(Engine::new(config))
}

/// Loads the modules of a folder, as the command does.
async fn load(engine: &Engine, folder: &Path) -> Result<(), Error> {
    let file = PipelineFile::load(&folder.join(PIPELINE_FILE))?;
    for module in Module::load_all(&folder.join(MODULES))? {
        let job = Job::new(&module, &file, &Config::default().write)?;
        engine.run(&job, Arc::default()).await?;
    }
    Ok(())
}

/// As the command prints it.
fn told_to_a_user(error: &Error) -> String {
    let mut text = format!("error: {}", error.chain());
    if let Some(hint) = error.next_step() {
        text += &format!("\n  help: {hint}");
    }
    text
}
