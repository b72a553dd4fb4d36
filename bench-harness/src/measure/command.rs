//! An arm that is any command: it finds API and server in its environment, and must leave the right table behind.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tempfile::NamedTempFile;
use tokio::process::Command;

use super::child::{self, Ended};
use super::supervise::{SupervisorJob, TreeUsage};
use crate::format::one_line;
use crate::samples::Measurements;

/// Lines of what a failed command said that are kept, and the characters of one.
const KEPT_LINES: usize = 20;
const KEPT_CHARS: usize = 300;

/// A command that loads the table.
pub(crate) struct CommandLoad {
    /// This program, which is also the supervisor.
    pub(crate) program: PathBuf,
    /// For `sh -c`, in the current folder.
    pub(crate) command: String,
    /// What runs before it, untimed.
    pub(crate) prepare: Option<String>,
    /// What both find in their environment, beside that of this process.
    pub(crate) environment: Vec<(String, String)>,
    /// What must not be shown, although they may say it; empty for nothing.
    pub(crate) secret: String,
    /// How long each may take.
    pub(crate) limit: Duration,
}

impl CommandLoad {
    /// Runs what comes before the command.
    ///
    /// # Errors
    /// When it fails.
    pub(super) async fn prepare(&self) -> Result<()> {
        if let Some(prepare) = &self.prepare {
            let prepared = self.supervised(prepare).await;
            prepared.context("the command of --prepare failed")?;
        }
        Ok(())
    }

    /// Runs the command; what [`measured`] reads is on the standard output.
    ///
    /// # Errors
    /// When it does not end with 0, or not in time: with the last lines that it said.
    pub(super) async fn run(&self) -> Result<Ended> {
        self.supervised(&self.command).await
    }

    async fn supervised(&self, command: &str) -> Result<Ended> {
        let output = NamedTempFile::new().context("cannot make a temporary file")?;
        let job = serde_json::to_vec(&SupervisorJob {
            command: command.to_owned(),
            output: output.path().to_owned(),
        })?;
        let mut supervisor = Command::new(&self.program);
        let environment = self.environment.iter().map(|(name, value)| (name, value));
        supervisor.arg("supervise").envs(environment);
        let ended = child::run(&mut supervisor, &job, Duration::MAX);
        let failure = match tokio::time::timeout(self.limit, ended).await {
            Err(_) => format!("it did not end within {:?}", self.limit),
            Ok(ended) => {
                let ended = ended?;
                match usage(&ended)?.failure {
                    None => return Ok(ended),
                    Some(failure) => failure,
                }
            }
        };
        match self.last_lines(output.path())? {
            said if said.is_empty() => bail!("{failure}, and it said nothing"),
            said => bail!("{failure}; the last that it said:\n{said}"),
        }
    }

    /// The end of what a command said, a line each, harmless to terminals.
    fn last_lines(&self, output: &Path) -> Result<String> {
        let said = std::fs::read(output).context("cannot read what the command said")?;
        let mut said = String::from_utf8_lossy(&said).into_owned();
        if !self.secret.is_empty() {
            said = said.replace(&self.secret, "***");
        }
        let lines: Vec<&str> = said
            .lines()
            .filter(|line| !line.trim().is_empty())
            .collect();
        let kept = lines[lines.len().saturating_sub(KEPT_LINES)..].iter();
        let kept = kept.map(|line| {
            let line = line.replace('\t', "  ");
            let harmless = line.chars().filter(|character| !character.is_control());
            let line: String = harmless.take(KEPT_CHARS).collect();
            format!("  {line}")
        });
        Ok(kept.collect::<Vec<_>>().join("\n"))
    }
}

/// `common` with what the process tree of a command used.
///
/// # Errors
/// When `ended` is no supervisor.
pub(super) fn measured(ended: &Ended, common: Measurements) -> Result<Measurements> {
    let usage = usage(ended)?;
    Ok(Measurements {
        wall_seconds: usage.wall_seconds,
        process_wall_seconds: usage.wall_seconds,
        client_cpu_seconds: usage.cpu_seconds,
        involuntary_switches: usage.involuntary_switches,
        peak_memory_bytes: usage.peak_memory_bytes,
        statements: 0,
        extra: serde_json::to_value(usage.disk)?,
        ..common
    })
}

fn usage(ended: &Ended) -> Result<TreeUsage> {
    serde_json::from_slice(&ended.stdout).with_context(|| {
        let said = String::from_utf8_lossy(&ended.stdout);
        format!(
            "the supervisor did not say what was used: {}",
            one_line(&said)
        )
    })
}
