//! The mock API as a process of its own.

use std::path::Path;

use anyhow::{Context, Result};
use tokio::process::Command;

use super::{MockApiOptions, MockApiReady};
use crate::api_process::ApiProcess;

/// A running `apitap-bench mock-api`. It is killed on drop.
#[derive(Debug)]
pub struct MockApiProcess {
    process: ApiProcess,
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
        let mut command = Command::new(program);
        command.arg("mock-api").args(options.to_arguments());
        let what = format!("the mock API for workload {}", options.workload);
        let (process, ready) = ApiProcess::start(command, &what).await?;
        Ok(Self { process, ready })
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
        self.process.id()
    }

    /// Ends it and waits until it is gone.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub async fn stop(self) -> Result<()> {
        self.process.stop().await
    }
}
