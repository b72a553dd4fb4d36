//! `apitap-bench dev`: commands for the development of the suite.

use std::ffi::OsString;

use anyhow::Result;
use clap::Subcommand;
use testkit::with_postgres;

use super::FAILED;
use super::calibrate::{self, CalibrateArgs};
use super::counters::{self, CountersArgs};
use super::flamegraph::{self, FlamegraphArgs};
use super::gate_selftest::{self, SelftestArgs};
use super::server::ServerArgs;

#[derive(Debug, Subcommand)]
pub(super) enum DevCommand {
    /// Measure the noise of this machine with identical arms, for the thresholds of later runs
    Calibrate(Box<CalibrateArgs>),
    /// Measure how often the gate is wrong: on heads equal to their base, and on slowed ones
    #[command(after_help = gate_selftest::EXAMPLES)]
    GateSelftest(SelftestArgs),
    /// Take every counter several times, and show how much it varies
    Counters(CountersArgs),
    /// Run a command with a throw-away PostgreSQL
    ///
    /// The command finds the server by APITAP_TEST_DATABASE_URL and by PGHOST, PGPORT, PGUSER, PGPASSWORD
    /// and PGDATABASE. Returns the command's exit code.
    WithPostgres {
        #[command(flatten)]
        server: ServerArgs,
        /// The command with its arguments
        #[arg(last = true, required = true)]
        command: Vec<OsString>,
    },
    /// Run a command under perf, and draw where its processor time goes
    Flamegraph(FlamegraphArgs),
}

/// Runs the command; returns the exit code.
pub(super) async fn run(command: DevCommand) -> Result<u8> {
    let code = match command {
        DevCommand::Calibrate(arguments) => return Box::pin(calibrate::run(*arguments)).await,
        DevCommand::GateSelftest(arguments) => return gate_selftest::run(&arguments),
        DevCommand::Counters(arguments) => return Box::pin(counters::run(arguments)).await,
        DevCommand::WithPostgres { server, command } => {
            let mut options = server.options();
            // The command's data ends with the server, so nothing needs to reach the disk.
            options.durable = false;
            Box::pin(with_postgres::run(&options, &command)).await?
        }
        DevCommand::Flamegraph(arguments) => Box::pin(flamegraph::run(arguments)).await?,
    };
    Ok(u8::try_from(code).unwrap_or(FAILED))
}
