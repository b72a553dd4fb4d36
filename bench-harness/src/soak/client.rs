//! The worker process, as what cells load with.

use std::collections::HashMap;
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, Result};
use nix::sys::signal::Signal;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::oneshot;

use super::worker::{Done, Told};
use crate::faults::loader::{Ended, Exit, Load, Loader, Order};

/// What the worker logs.
const LOG_VARIABLE: &str = "APITAP_LOG";

/// A running worker. It ends when this is dropped.
pub(super) struct Client {
    child: Child,
    shared: Arc<Shared>,
    next: AtomicU64,
}

struct Shared {
    input: tokio::sync::Mutex<ChildStdin>,
    waiting: Mutex<HashMap<u64, oneshot::Sender<Done>>>,
}

impl Shared {
    fn waiting(&self) -> MutexGuard<'_, HashMap<u64, oneshot::Sender<Done>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn tell(&self, told: &Told) -> Result<()> {
        let mut line = serde_json::to_vec(told).context("cannot write an order")?;
        line.push(b'\n');
        let written = self.input.lock().await.write_all(&line).await;
        written.context("the worker has ended")
    }
}

impl Client {
    /// Starts the worker, a process of this program.
    pub(super) fn start() -> Result<Self> {
        let program = std::env::current_exe().context("cannot find this program's own path")?;
        let mut command = Command::new(program);
        if std::env::var_os(LOG_VARIABLE).is_none() {
            // Retries are what is meant here, and no news.
            command.env(LOG_VARIABLE, "error");
        }
        let mut child = command
            .arg("soak-worker")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .context("cannot start the worker")?;
        let input = child.stdin.take().context("the worker has no input")?;
        let output = child.stdout.take().context("the worker has no output")?;
        let shared = Arc::new(Shared {
            input: tokio::sync::Mutex::new(input),
            waiting: Mutex::default(),
        });
        let hearing = shared.clone();
        tokio::spawn(async move {
            let mut lines = BufReader::new(output).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                if let Ok(done) = serde_json::from_str::<Done>(&line)
                    && let Some(waiting) = hearing.waiting().remove(&done.id)
                {
                    // Whoever waited may have given up.
                    let _ = waiting.send(done);
                }
            }
            // Whoever still waits is told so by the senders that go.
            hearing.waiting().clear();
        });
        Ok(Self {
            child,
            shared,
            next: AtomicU64::new(0),
        })
    }

    pub(super) fn pid(&self) -> Result<u32> {
        self.child.id().context("the worker has ended")
    }
}

impl Loader for Client {
    type Load = Ordered;

    async fn start(&self, order: &Order<'_>) -> Result<Ordered> {
        let id = self.next.fetch_add(1, Relaxed);
        let (sender, done) = oneshot::channel();
        self.shared.waiting().insert(id, sender);
        let told = Told::Load {
            id,
            folder: order.folder.to_owned(),
            settings: order.settings.to_vec(),
        };
        self.shared.tell(&told).await?;
        Ok(Ordered {
            id,
            shared: self.shared.clone(),
            done,
            ended: None,
        })
    }
}

/// A load of the worker.
pub(super) struct Ordered {
    id: u64,
    shared: Arc<Shared>,
    done: oneshot::Receiver<Done>,
    ended: Option<Ended>,
}

impl Load for Ordered {
    /// Every signal is the same: the load is cancelled.
    fn signal(&self, _: Signal) -> Result<()> {
        let (shared, id) = (self.shared.clone(), self.id);
        tokio::spawn(async move {
            if let Err(error) = shared.tell(&Told::Cancel { id }).await {
                tracing::warn!("a load was not cancelled: {error:#}");
            }
        });
        Ok(())
    }

    async fn ended(&mut self) -> Result<Ended> {
        if let Some(ended) = &self.ended {
            return Ok(ended.clone());
        }
        let done = (&mut self.done).await.context("the worker has ended")?;
        let ended = Ended {
            exit: Exit::Code(i32::from(done.error.is_some())),
            written: done.error.unwrap_or_default(),
        };
        Ok(self.ended.insert(ended).clone())
    }
}
