//! `apitap-bench compare`: two stored runs, or commands that are measured now.

use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use serde::Serialize;
use testkit::mock_api::MockApiOptions;
use testkit::postgres::PostgresOptions;

use super::selection::{command_line, redacted};
use super::server::ServerArgs;
use super::{FAILED, INCOMPARABLE, INTERRUPTED, WRONG_DATA, colour, say, wrong_usage};
use crate::commands::arm::arms;
use crate::commands::report::{MARKDOWN_FILE, json, terminal};
use crate::commands::results::CommandResults;
use crate::commands::session::{self, Compared, Options, UselessArm};
use crate::judge::compare::compare_runs;
use crate::measure::load::SAMPLE_TIMEOUT;
use crate::measure::session::{EndedBy, NothingTaken};
use crate::recording::{Header, is_recording};
use crate::report::compare::render;
use crate::run_folder::RunFolder;
use crate::run_record::RunRecord;
use crate::samples::Samples;

pub(super) const USAGE: &str = "apitap-bench compare [--json] <RUN_A> <RUN_B>
       apitap-bench compare [OPTIONS] --arm <[NAME=]COMMAND> --arm <[NAME=]COMMAND>...";

pub(super) const EXAMPLES: &str = "\
Examples:
  apitap-bench compare reports/runs/RUN_A reports/runs/RUN_B      two stored runs
  apitap-bench compare --arm 'apitap -m sql -y pipelines.yaml' --arm 'python load.py'
                                       two commands: orders, 100,000 rows, ten blocks
  apitap-bench compare --rows 2000 --blocks 2 --arm './load.sh' --arm './load.sh --fast'
                                       a first look
  apitap-bench compare --workload events --arm old=./load-1.2 --arm new=./load-1.3
  apitap-bench compare --workload orders.rec --arm './load.sh' --arm 'python load.py'
                                       a recording of your own API, with its latencies

An arm is a command for sh, run in the current folder. It must load all rows of an API into a table
of an empty database, and make that table. It finds them in its environment:
  APITAP_API_URL       the API: ?page=1&per_page=1000, or as docs/bench.md says of the mock API;
                       of a recording its first source; APITAP_API_URL_NAME has the source NAME
  APITAP_TABLE         the table to fill, in the schema public: orders; of a recording its module's
  APITAP_ROWS          rows that must land
  APITAP_PAGE_ROWS     rows of a page, where a request does not say
  APITAP_DATABASE_URL  the database; PGHOST, PGPORT, PGUSER, PGPASSWORD and PGDATABASE are its parts
  APITAP_ARM           the name of the arm
In pipelines.yaml: url: ${APITAP_API_URL}, host: ${PGHOST}, port: ${PGPORT},
database: ${PGDATABASE}, auth: { username_env: PGUSER, password_env: PGPASSWORD }.

Each arm runs once to warm up. If one fails then, or loads wrong rows, nothing is measured. Every
block runs each arm once, in random order. After each run the server computes a checksum over the
table, by the names of its columns and cast to the workload's types. Prints time, rows/s, CPU and
memory of each arm's process tree, with ratios to the first arm and their intervals. Writes
compare.json, compare.md and samples.ndjson; `apitap-bench report DIR` renders them again.

Exit codes: 0 when all is well; 1 when an arm failed; 5 when two stored runs are not comparable;
6 when an arm loaded wrong rows; 130 when interrupted.";

/// What to do about an arm that is of no use.
const NEXT: &str = "\
An arm must load all rows of $APITAP_API_URL into the table $APITAP_TABLE, and end with 0. To try one
by hand, run `apitap-bench mock-api --workload orders --rows 1000` or `apitap-bench replay orders.rec`,
and in another terminal `apitap-bench dev with-postgres -- sh`, with APITAP_API_URL and APITAP_TABLE
set. If it writes an empty text as NULL, --empty-as-null NAME allows that, unless it loads a recording.
`apitap-bench compare --help` has all variables.";

/// Rows of a load: a fast arm takes a fraction of a second, a slow one some.
const ROWS: NonZero<u64> = NonZero::new(100_000).unwrap();

/// As in a run of experiments: five sessions of the server.
const BLOCKS: NonZero<usize> = NonZero::new(10).unwrap();

/// As for other samples.
const TIMEOUT: NonZero<u64> = NonZero::new(SAMPLE_TIMEOUT.as_secs()).unwrap();

/// What to compare.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("what").required(true).args(["run_a", "arm"]))]
pub(super) struct CompareArgs {
    /// Folder of a stored run, which ratios are relative to
    #[arg(requires = "run_b", conflicts_with_all = ["MeasureArgs", "ServerArgs"])]
    run_a: Option<PathBuf>,
    /// Folder of the other one
    #[arg(requires = "run_a")]
    run_b: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten, next_help_heading = "Commands that are measured now")]
    measure: MeasureArgs,
    #[command(flatten)]
    server: ServerArgs,
}

/// Which commands to measure, and how.
#[derive(Debug, clap::Args)]
struct MeasureArgs {
    /// A command that loads the workload; ratios are to the first. Without a NAME it has its program's
    #[arg(long, value_name = "[NAME=]COMMAND")]
    arm: Vec<String>,
    /// What they load: a workload of the suite, or the path of a definition (*.toml) or of a recording
    #[arg(long, value_name = "NAME|FILE.rec", default_value = "orders")]
    workload: String,
    /// Rows of a load [default: 100000, or those of the recording]
    #[arg(long)]
    rows: Option<NonZero<u64>>,
    /// How often each arm is measured; from 8 on the server starts anew after every two
    #[arg(long, default_value_t = BLOCKS)]
    blocks: NonZero<usize>,
    /// A command that runs before each run of an arm, untimed; APITAP_ARM says before which
    #[arg(long, value_name = "COMMAND")]
    prepare: Option<String>,
    /// Let this arm write an empty text as NULL; may be repeated
    #[arg(long, value_name = "NAME")]
    empty_as_null: Vec<String>,
    /// How long a command may take
    #[arg(long, value_name = "SECONDS", default_value_t = TIMEOUT)]
    timeout: NonZero<u64>,
    /// A line for the report, such as a version; may be repeated
    #[arg(long, value_name = "TEXT")]
    note: Vec<String>,
    /// Seed of the order of samples [default: random; the report shows it]
    #[arg(long)]
    seed: Option<u64>,
    /// Folder for the run's own folder
    #[arg(long, value_name = "DIR", default_value = "reports/runs")]
    out: PathBuf,
}

/// Compares, and prints what came of it; returns the exit code.
pub(super) async fn run(arguments: CompareArgs) -> Result<u8> {
    match (arguments.run_a, arguments.run_b) {
        (Some(run_a), Some(run_b)) => stored(run_a, run_b, arguments.json),
        _ => {
            let postgres = arguments.server.options();
            Box::pin(measured(arguments.measure, postgres, arguments.json)).await
        }
    }
}

/// Prints both runs side by side, or why they do not compare.
fn stored(run_a: PathBuf, run_b: PathBuf, json: bool) -> Result<u8> {
    let (record_a, samples_a) = read(run_a)?;
    let (record_b, samples_b) = read(run_b)?;
    match compare_runs((&record_a, &samples_a), (&record_b, &samples_b)) {
        Ok(comparison) if json => print_json(&comparison)?,
        Ok(comparison) => say(render(&comparison).trim_end()),
        Err(refusal) => {
            if json {
                print_json(&refusal)?;
            }
            eprintln!("error: {refusal}");
            return Ok(INCOMPARABLE);
        }
    }
    Ok(0)
}

fn read(path: PathBuf) -> Result<(RunRecord, Samples)> {
    let folder = RunFolder::existing(path);
    Ok((folder.record()?, folder.samples()?))
}

fn print_json(value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value).context("cannot serialise the comparison")?;
    say(text);
    Ok(())
}

impl MeasureArgs {
    /// What the recording is about that is loaded, or none where a workload is; ends the process if there is neither,
    /// or an option is not for recordings.
    fn recording(&self) -> Option<Header> {
        let workload = &*self.workload;
        let found = match is_recording(workload) {
            true => Header::read(Path::new(workload)).map(Some),
            false => MockApiOptions::new(workload, ROWS.get())
                .workload()
                .map(|_| None),
        };
        let found = found.unwrap_or_else(|error| wrong_usage(format!("--workload: {error:#}")));
        if found.is_some() && self.rows.is_some() {
            wrong_usage("--rows: a recording has the rows that it has");
        }
        if found.is_some() && !self.empty_as_null.is_empty() {
            wrong_usage(
                "--empty-as-null: the checksum of a recording knows an empty text from NULL",
            );
        }
        found
    }
}

/// Measures the commands.
async fn measured(arguments: MeasureArgs, mut postgres: PostgresOptions, json: bool) -> Result<u8> {
    let arms = arms(&arguments.arm, &arguments.empty_as_null);
    let recorded = arguments.recording();
    let (rows, not_compared) = match recorded {
        Some(Header { content, .. }) => (content.rows, content.changing),
        None => (arguments.rows.unwrap_or(ROWS).get(), Vec::new()),
    };
    let not_compared = (!not_compared.is_empty()).then(|| {
        format!(
            "not compared, other in every load: {}",
            not_compared.join(", ")
        )
    });
    // A table that an arm creates cannot be excluded from autovacuum beforehand. A command that takes longer
    // than the server waits with its next checkpoint would always be void.
    let settings = [("autovacuum", "off"), ("checkpoint_timeout", "1d")];
    let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned()));
    postgres.extra_settings.extend(settings);
    let options = Options {
        program: std::env::current_exe().context("cannot find this program's own path")?,
        command: command_line(std::env::args()),
        arms: arms.unwrap_or_else(|error| wrong_usage(error)),
        redacted,
        prepare: arguments.prepare,
        notes: arguments.note.into_iter().chain(not_compared).collect(),
        workload: arguments.workload,
        rows,
        blocks: arguments.blocks,
        // Short, because people copy it.
        seed: arguments
            .seed
            .unwrap_or_else(|| u64::from(rand::random::<u16>())),
        limit: Duration::from_secs(arguments.timeout.get()),
        postgres,
        out: arguments.out,
    };
    match Box::pin(session::run(options)).await {
        Ok(compared) => ended(&compared, json),
        Err(error) if error.is::<NothingTaken>() => {
            eprintln!("{error:#}");
            Ok(INTERRUPTED)
        }
        Err(error) => Ok(failed(&error)),
    }
}

/// Prints the figures, and why there are no more; returns the exit code.
fn ended(compared: &Compared, json: bool) -> Result<u8> {
    let results = &compared.results;
    show(&compared.folder, results, json)?;
    let code = match &compared.ended_by {
        Some(EndedBy::Error(error)) => failed(error),
        Some(EndedBy::Interrupt) => {
            eprintln!("interrupted: the report holds what was measured");
            INTERRUPTED
        }
        None if results.faults.is_empty() => 0,
        None => FAILED,
    };
    let is_wrong = results.faults.iter().any(|fault| fault.is_wrong_data);
    Ok(if is_wrong { WRONG_DATA } else { code })
}

/// Prints what ended a comparison, and what to do about it; returns the exit code.
fn failed(error: &anyhow::Error) -> u8 {
    eprintln!("error: {error:#}");
    let useless = error.downcast_ref::<UselessArm>();
    if useless.is_some() {
        eprintln!("{NEXT}");
    }
    match useless {
        Some(useless) if useless.is_wrong_data => WRONG_DATA,
        _ => FAILED,
    }
}

/// Prints the figures, and where the report is.
pub(super) fn show(folder: &RunFolder, results: &CommandResults, is_json: bool) -> Result<()> {
    if is_json {
        say(json(results)?.trim_end());
    } else {
        say(terminal(results, colour()));
        let report = folder.path().join(MARKDOWN_FILE);
        say(format_args!("\nReport: {}", report.display()));
    }
    Ok(())
}
