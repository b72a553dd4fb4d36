//! Runs a command with a throw-away server.

use std::{ffi::OsString, os::unix::process::ExitStatusExt};

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal};
use tokio::{
    process::{Child, Command},
    signal::unix::{SignalKind, signal},
};

use super::{
    postgres::{PostgresOptions, PostgresServer, libpq_variables},
    test_database::TEST_DATABASE_URL_VARIABLE,
};

/// Starts a server, runs `command` with its URL in `APITAP_TEST_DATABASE_URL` and its parts in libpq's
/// variables (`PGHOST` and so on), stops the server, and returns the command's exit code: like a shell,
/// 128 plus the signal if a signal ended it.
///
/// SIGINT and SIGTERM end the command first and the server after it.
///
/// # Errors
/// When no server can be had, or the command is empty or cannot be started.
pub async fn run(options: &PostgresOptions, command: &[OsString]) -> Result<i32> {
    let (program, arguments) = command.split_first().context("no command to run")?;
    let mut interrupted = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let mut terminated = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let server = PostgresServer::start(options).await?;
    let mut child = Command::new(program)
        .args(arguments)
        .env(TEST_DATABASE_URL_VARIABLE, server.url())
        .envs(libpq_variables(server.url())?)
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("cannot run {}", program.display()))?;
    let status = loop {
        tokio::select! {
            status = child.wait() => break status.context("cannot wait for the command")?,
            // A terminal sends it to the command as well.
            _ = interrupted.recv() => {}
            _ = terminated.recv() => terminate(&child),
        }
    };
    Ok(status
        .code()
        .unwrap_or_else(|| 128 + status.signal().unwrap_or(0)))
}

fn terminate(child: &Child) {
    let pid = child
        .id()
        .and_then(|pid| i32::try_from(pid).ok())
        .and_then(Pid::from_raw);
    if let Some(pid) = pid
        && let Err(error) = rustix::process::kill_process(pid, Signal::TERM)
    {
        tracing::warn!("cannot stop the command: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::PostgresChoice;

    async fn run_shell(script: &str) -> Result<i32> {
        let options = PostgresOptions::new(PostgresChoice::Local);
        run(&options, &["sh", "-c", script].map(OsString::from)).await
    }

    #[tokio::test]
    async fn the_command_gets_the_url_and_gives_its_exit_code() {
        let script = r#"case "$APITAP_TEST_DATABASE_URL" in postgres://*) exit 7 ;; esac"#;
        assert_eq!(run_shell(script).await.unwrap(), 7);
    }

    #[tokio::test]
    async fn psql_finds_the_server_without_arguments() {
        assert_eq!(run_shell("psql -c 'SELECT 1' >/dev/null").await.unwrap(), 0);
    }

    #[tokio::test]
    async fn a_signal_becomes_an_exit_code_too() {
        assert_eq!(run_shell("kill -TERM $$").await.unwrap(), 143);
    }
}
