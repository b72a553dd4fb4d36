//! An API as a process of its own, so that a profile of the worker holds the engine alone.
//!
//! It says in one line of JSON on standard output that it answers, and ends with its standard input: that
//! ends when its parent dies, however it dies. (`PR_SET_PDEATHSIG` would fire as soon as the *thread* that
//! spawned it ends, which tokio's threads may do at any time.)

use std::io::{Read as _, Write as _};
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, ChildStdin, Command};

/// A running API, as its parent has it. It is killed on drop.
#[derive(Debug)]
pub struct ApiProcess {
    child: Child,
    _stdin: Option<ChildStdin>,
}

impl ApiProcess {
    /// Starts `command`, and returns with its first line when it answers. `what` is what messages call it.
    ///
    /// # Errors
    /// When it cannot be started, or ends before it is ready. Its standard error is passed on.
    pub async fn start<R: DeserializeOwned>(mut command: Command, what: &str) -> Result<(Self, R)> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {what}"))?;
        let stdin = child.stdin.take();
        let stdout = child.stdout.take();
        let stdout = stdout.with_context(|| format!("{what} has no standard output"))?;
        let mut line = String::new();
        let read = BufReader::new(stdout).read_line(&mut line).await;
        read.with_context(|| format!("cannot read {what}"))?;
        if line.is_empty() {
            let status = child.wait().await;
            let status = status.with_context(|| format!("cannot wait for {what}"))?;
            bail!("{what} ended at once: {status}");
        }
        let ready = serde_json::from_str(&line)
            .with_context(|| format!("the first line of {what} is not its own: {}", line.trim()))?;
        let process = Self {
            child,
            _stdin: stdin,
        };
        Ok((process, ready))
    }

    /// The process id, for its CPU time; `None` once it has ended.
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Ends it and waits until it is gone.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub async fn stop(mut self) -> Result<()> {
        self.child.kill().await.context("cannot end the API")
    }
}

/// The part of the process itself: says that it answers, and waits until it is interrupted, or with
/// `exit_with_stdin` until its standard input ends.
///
/// # Errors
/// When standard output is closed, or signals cannot be waited for.
pub async fn serve_until_ended(ready: &impl Serialize, exit_with_stdin: bool) -> Result<()> {
    let line = serde_json::to_string(ready).context("cannot write the ready line")?;
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{line}")
        .and_then(|()| stdout.flush())
        .context("standard output is closed")?;
    drop(stdout);

    let (ended, stdin_ended) = tokio::sync::oneshot::channel::<()>();
    if exit_with_stdin {
        // Not tokio's stdin: its pending read would keep the runtime from ending on an interrupt.
        std::thread::spawn(move || {
            let _ = std::io::stdin().read_to_end(&mut Vec::new());
            drop(ended);
        });
    } else {
        std::mem::forget(ended);
    }
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted.context("cannot wait for a signal"),
        _ = stdin_ended => Ok(()),
    }
}
