//! The mock API as a process of its own, so that a profile of the worker holds the engine alone.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, ChildStdin, Command};

use super::{MockApiOptions, MockApiReady};

/// A running `apitap-bench mock-api`.
///
/// It is killed on drop. Should this process die without dropping, the child's standard input ends
/// and it exits. (`PR_SET_PDEATHSIG` would fire as soon as the *thread* that spawned it ends, which
/// tokio's threads may do at any time.)
#[derive(Debug)]
pub struct MockApiProcess {
    child: Child,
    _stdin: Option<ChildStdin>,
    ready: MockApiReady,
}

impl MockApiProcess {
    /// Starts one with this program (`current_exe`), and returns when it answers.
    ///
    /// # Errors
    /// When it cannot be started, or ends before it is ready. Its standard error is passed on.
    pub async fn start(options: &MockApiOptions) -> Result<Self> {
        let program = std::env::current_exe().context("cannot find this program's own path")?;
        Self::start_with(&program, options).await
    }

    /// Starts one with `program`, an `apitap-bench`.
    ///
    /// # Errors
    /// Those of [`MockApiProcess::start`].
    pub async fn start_with(program: &Path, options: &MockApiOptions) -> Result<Self> {
        let options = MockApiOptions {
            exit_with_stdin: true,
            ..options.clone()
        };
        let mut child = Command::new(program)
            .arg("mock-api")
            .args(options.to_arguments())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {} mock-api", program.display()))?;
        let stdin = child.stdin.take();
        let stdout = child
            .stdout
            .take()
            .context("the mock API has no standard output")?;
        let mut line = String::new();
        BufReader::new(stdout)
            .read_line(&mut line)
            .await
            .context("cannot read the mock API")?;
        if line.is_empty() {
            let status = child.wait().await.context("cannot wait for the mock API")?;
            bail!(
                "the mock API for workload {} ended at once: {status}",
                options.workload
            );
        }
        let ready = serde_json::from_str(&line).with_context(|| {
            format!("the mock API's first line is not its own: {}", line.trim())
        })?;
        Ok(Self {
            child,
            _stdin: stdin,
            ready,
        })
    }

    /// Of the workload's endpoint, such as `http://127.0.0.1:40123/orders`.
    pub fn url(&self) -> &str {
        &self.ready.url
    }

    /// What it serves.
    pub fn ready(&self) -> &MockApiReady {
        &self.ready
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
        self.child.kill().await.context("cannot end the mock API")
    }
}
