//! `apitap-bench run`.

use std::io::IsTerminal as _;
use std::num::NonZero;
use std::path::PathBuf;

use anyhow::{Context, Result};

use super::server::ServerArgs;
use super::{FAILED, INTERRUPTED, WRONG_DATA, wrong_usage};
use crate::environment::postgres::without_password;
use crate::experiment::{Experiment, Scale, ScenarioPlan};
use crate::report::terminal::{self, Colour};
use crate::report::units::Count;
use crate::runner::output::Report;
use crate::runner::session::{self, EndedBy, RunOptions};

/// What to run.
#[derive(Debug, clap::Args)]
pub(super) struct RunArgs {
    /// Experiments whose name holds one of these [default: all]
    #[arg(value_name = "FILTER")]
    filters: Vec<String>,
    /// Fewer rows and blocks: minutes instead of an hour
    #[arg(long, conflicts_with = "full")]
    quick: bool,
    /// More rows and blocks, for a claim
    #[arg(long)]
    full: bool,
    #[command(flatten)]
    server: ServerArgs,
    /// Seed of the order of samples [default: drawn, and printed in the report]
    #[arg(long)]
    seed: Option<u64>,
    /// Blocks of every scenario; an even number lets drift cancel
    #[arg(long)]
    blocks: Option<NonZero<usize>>,
    /// Rows of every sample
    #[arg(long)]
    rows: Option<NonZero<u64>>,
    /// Only scenarios whose name holds NAME; may be given more than once
    #[arg(long, value_name = "NAME")]
    scenario: Vec<String>,
    /// Only arms whose name holds NAME, and those that ratios are against; may be given more than
    /// once
    #[arg(long, value_name = "NAME")]
    arm: Vec<String>,
    /// Folder in which the run's own folder is made
    #[arg(long, value_name = "DIR", default_value = "reports/runs")]
    out: PathBuf,
    /// Expect the rows of another seed, so that every sample is wrong: a test of the verification
    #[arg(long, hide = true)]
    expect_seed: Option<u64>,
}

impl RunArgs {
    fn scale(&self) -> Scale {
        match (self.quick, self.full) {
            (true, _) => Scale::Quick,
            (_, true) => Scale::Full,
            _ => Scale::Default,
        }
    }

    fn scenarios(&self) -> Vec<ScenarioPlan> {
        let wanted = |name: &str, parts: &[String]| {
            parts.is_empty() || parts.iter().any(|part| name.contains(part.as_str()))
        };
        let mut scenarios: Vec<ScenarioPlan> = Experiment::ALL
            .iter()
            .filter(|experiment| wanted(experiment.name, &self.filters))
            .flat_map(|experiment| experiment.scenarios(self.scale()))
            .filter(|scenario| wanted(scenario.name, &self.scenario))
            .collect();
        for scenario in &mut scenarios {
            scenario.keep_arms(&self.arm);
            scenario.rows = self.rows.map_or(scenario.rows, NonZero::get);
            scenario.blocks = self.blocks.map_or(scenario.blocks, NonZero::get);
        }
        scenarios
    }
}

/// Runs and reports; returns the exit code.
pub(super) async fn run(arguments: RunArgs) -> Result<u8> {
    let scenarios = arguments.scenarios();
    if scenarios.is_empty() {
        wrong_usage("nothing matches; `apitap-bench list` names experiments and scenarios");
    }
    let mut postgres = arguments.server.options();
    // A table that a sample makes cannot be told beforehand that autovacuum shall leave it alone.
    let autovacuum = ("autovacuum".to_owned(), "off".to_owned());
    postgres.extra_settings.push(autovacuum);
    let options = RunOptions {
        command: command_line(std::env::args()),
        program: std::env::current_exe().context("cannot find this program's own path")?,
        scenarios,
        postgres,
        // Short, because people copy it.
        seed: arguments
            .seed
            .unwrap_or_else(|| u64::from(rand::random::<u16>())),
        out: arguments.out,
        expect_seed: arguments.expect_seed,
    };
    let finished = session::run(&options).await?;
    show(&finished.report);
    let code = verdict(&finished.report);
    Ok(match finished.ended_by {
        Some(EndedBy::Error(error)) => {
            eprintln!("error: {error:#}; the report holds what was measured before");
            code.max(FAILED)
        }
        Some(EndedBy::Interrupt) => {
            eprintln!("interrupted: the report holds what was measured");
            if code == WRONG_DATA {
                code
            } else {
                INTERRUPTED
            }
        }
        None => code,
    })
}

/// Prints the tables, and where the whole report is.
pub(super) fn show(report: &Report) {
    let colour = if std::io::stdout().is_terminal() {
        Colour::Always
    } else {
        Colour::Never
    };
    println!("{}", terminal::render(&report.results, colour));
    println!("Report: {}", report.page.display());
}

/// Names the samples that went wrong, and says with which code to exit for them.
fn verdict(report: &Report) -> u8 {
    let (wrong, failed) = (report.wrong_data(), report.failures());
    for (samples, what) in [(&wrong, "loaded wrong data"), (&failed, "failed")] {
        if let Some(first) = samples.first() {
            eprintln!(
                "error: {} {what}; the first: {first}",
                Count::of(samples.len(), "sample")
            );
        }
    }
    match (wrong.is_empty(), failed.is_empty()) {
        (false, _) => WRONG_DATA,
        (true, false) => FAILED,
        (true, true) => 0,
    }
}

/// The command as it was typed, without the passwords of URLs and without the program's folder.
fn command_line(arguments: impl Iterator<Item = String>) -> Vec<String> {
    let redacted = arguments.skip(1).map(|argument| {
        let url = ["postgres://", "postgresql://"]
            .iter()
            .find_map(|scheme| argument.find(scheme));
        match url {
            Some(at) => format!("{}{}", &argument[..at], without_password(&argument[at..])),
            None => argument,
        }
    });
    std::iter::once("apitap-bench".to_owned())
        .chain(redacted)
        .collect()
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::super::{Cli, Command};
    use super::*;

    fn parsed(arguments: &[&str]) -> RunArgs {
        let typed = ["apitap-bench", "run"].iter().chain(arguments);
        match Cli::parse_from(typed).command {
            Command::Run(arguments) => *arguments,
            other => panic!("not a run: {other:?}"),
        }
    }

    #[test]
    fn filters_and_numbers_apply_to_every_scenario() {
        let arguments = parsed(&["writers", "--quick", "--blocks=2", "--rows=500"]);
        let scenarios = arguments.scenarios();
        let names: Vec<&str> = scenarios.iter().map(|scenario| scenario.name).collect();
        assert_eq!(names, ["writers", "presets", "presets-10ms", "ceiling"]);
        assert!(
            scenarios
                .iter()
                .all(|one| (one.blocks, one.rows) == (2, 500))
        );
        assert!(parsed(&["no such"]).scenarios().is_empty());
        let memory = parsed(&["--scenario=memory", "--scenario=ceil"]).scenarios();
        let names: Vec<&str> = memory.iter().map(|scenario| scenario.name).collect();
        assert_eq!(names, ["ceiling", "memory-500k", "memory-5m"]);
    }

    #[test]
    fn passwords_do_not_reach_the_record() {
        let typed = [
            "/x/apitap-bench",
            "run",
            "--postgres=postgres://u:secret@h/d",
            "postgresql://u:secret@h/d?password=secret",
        ];
        let command = command_line(typed.map(str::to_owned).into_iter()).join(" ");
        assert!(!command.contains("secret"), "{command}");
        assert!(
            command.starts_with("apitap-bench run --postgres=postgres://u:***@h/d"),
            "{command}"
        );
        let shown = format!("{:?}", parsed(&["--postgres", "postgres://u:secret@h/d"]));
        assert!(!shown.contains("secret"), "{shown}");
    }
}
