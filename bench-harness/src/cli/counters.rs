//! `apitap-bench dev counters`.

use std::num::NonZero;

use anyhow::{Context, Result};
use apitap_core::Config;

use super::server::ServerArgs;
use super::{INTERRUPTED, say};
use crate::measure::counters::{Counted, Counting, can_count_instructions, table};
use crate::measure::interrupt::Interrupt;
use testkit::postgres::{PostgresOptions, PostgresServer};

/// What is counted, and how often.
#[derive(Debug, clap::Args)]
pub(super) struct CountersArgs {
    /// How often to take each counter
    #[arg(long, default_value = "5")]
    runs: NonZero<usize>,
    /// Workload by name
    #[arg(long, value_name = "NAME", default_value = "orders")]
    workload: String,
    /// Rows of a load; counters per row also take a load of twice as many
    #[arg(long, default_value = "5000")]
    rows: NonZero<u64>,
    /// Preset of the engine; may be repeated [default: all]
    #[arg(long, value_name = "PRESET")]
    preset: Vec<String>,
    /// A change to the presets, as stage.knob=value; may be repeated
    #[arg(long, value_name = "SETTING")]
    set: Vec<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

/// Takes the counters of this program several times, and prints how much they vary.
pub(super) async fn run(arguments: CountersArgs) -> Result<u8> {
    let mut interrupt = Interrupt::listen()?;
    let Some(counted) = Box::pin(take(&arguments, &mut interrupt)).await? else {
        return Ok(INTERRUPTED);
    };
    if arguments.json {
        let text = serde_json::to_string_pretty(&counted);
        say(text.context("cannot serialise the counters")?);
    } else {
        say(table(&counted).trim_end());
    }
    Ok(0)
}

/// `None` if an interrupt came first.
async fn take(arguments: &CountersArgs, interrupt: &mut Interrupt) -> Result<Option<Vec<Counted>>> {
    let program = std::env::current_exe().context("cannot find this program's own path")?;
    let presets = match arguments.preset.as_slice() {
        [] => Config::PRESETS.map(str::to_owned).to_vec(),
        named => named.to_vec(),
    };
    let options = PostgresOptions {
        // Nothing is timed.
        durable: false,
        ..arguments.server.options()
    };
    let server = PostgresServer::start(&options).await?;
    eprintln!("PostgreSQL {} ({})", server.version(), server.kind());
    let instructions = can_count_instructions();
    let mut counted = Vec::new();
    for preset in presets {
        let counting = Counting {
            program: program.clone(),
            api: program.clone(),
            sql: None,
            workload: arguments.workload.clone(),
            rows: arguments.rows.get(),
            preset,
            settings: arguments.set.clone(),
            instructions,
        };
        let taken = async |database_url: String| {
            tokio::select! {
                biased;
                () = interrupt.happened() => Ok(None),
                taken = counting.take(&database_url, arguments.runs.get()) => taken.map(Some),
            }
        };
        match server.in_own_database("apitap_counters", taken).await? {
            Some(taken) => counted.extend(taken),
            None => return Ok(None),
        }
    }
    Ok(Some(counted))
}
