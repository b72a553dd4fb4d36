//! `apitap-bench dev gate-selftest`.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::REGRESSED;
use super::say;
use super::slowdown::{NO_SLOWDOWN, SLOWDOWN, slowdown};
use crate::atomic_write;
use crate::format::Count;
use crate::gate::revision::{Recipe, SAME_FOLDER};
use crate::gate::selftest::{Judge, Said, Series, Trial, append, read, table, tally};
use crate::gate::{GateOutcome, GateResults};
use crate::stats::CONFIDENCE_LEVEL;

pub(super) const EXAMPLES: &str = "\
Examples:
  apitap-bench dev gate-selftest --series none*100 --series decode=5%*100 --series decode=10%*100
  apitap-bench dev gate-selftest --series none*20 --minutes 10 -- --scenario before --blocks 10
  apitap-bench dev gate-selftest --judge criterion --program BENCH --bench decode/tape/orders --series none*50

Prints how often the gate called the head slower, as a Markdown table. The journal keeps every trial: the same
command continues where it stopped.";

/// Most trials that may fail in a row.
const MOST_FAILED: usize = 3;

/// Which trials, and where to keep them.
#[derive(Debug, clap::Args)]
pub(super) struct SelftestArgs {
    /// What slows the head down and how often, as decode=5%*100; none*100 for a head equal to its base. May
    /// be repeated; the trials of all series alternate
    #[arg(long, value_name = "SLOWDOWN*TIMES", required = true, value_parser = series)]
    series: Vec<Series>,
    /// Revision that is both base and head
    #[arg(long, value_name = "REV", default_value = "HEAD")]
    revision: String,
    /// Builds of a head that equals its base, each in a folder of its own: the trials alternate among them,
    /// because another order of functions alone costs a per cent or two. 0 takes the base's own program
    #[arg(long, value_name = "N", default_value_t = 3)]
    builds: usize,
    /// File of the trials
    #[arg(
        long,
        value_name = "FILE",
        default_value = "reports/gates/selftest.ndjson"
    )]
    journal: PathBuf,
    /// Start no trial after this many minutes
    #[arg(long)]
    minutes: Option<u64>,
    /// Who judges
    #[arg(long, value_enum, default_value_t)]
    judge: Judge,
    /// For criterion: program of benchmarks, built with the feature `slowdown`
    #[arg(long, value_name = "PROGRAM", required_if_eq("judge", "criterion"))]
    program: Option<PathBuf>,
    /// For criterion: whole name of a benchmark of that program
    #[arg(long, value_name = "ID", required_if_eq("judge", "criterion"))]
    bench: Option<String>,
    /// Arguments for `apitap-bench gate`, or for criterion
    #[arg(last = true)]
    arguments: Vec<String>,
}

/// Runs the missing trials, and prints how often each series was called slower.
pub(super) fn run(arguments: &SelftestArgs) -> Result<u8> {
    atomic_write::make_folder(&arguments.journal)?;
    let setup = arguments.setup()?;
    let begun = Instant::now();
    let limit = arguments
        .minutes
        .map(|minutes| Duration::from_secs(60 * minutes));
    let mut failed_in_a_row = 0;
    loop {
        ensure!(
            failed_in_a_row < MOST_FAILED,
            "{MOST_FAILED} trials in a row failed: see their messages above"
        );
        let trials = read(&arguments.journal)?;
        let is_over = limit.is_some_and(|limit| begun.elapsed() >= limit);
        let Some(series) = arguments.next(&trials, &setup).filter(|_| !is_over) else {
            say(table(&tally(&trials, &setup, CONFIDENCE_LEVEL)).trim_end());
            return Ok(0);
        };
        let own = |one: &&Trial| one.setup == setup && one.slowdown == series.slowdown;
        let nth = trials.iter().filter(own).count();
        let trial = arguments.trial(series, &setup, nth)?;
        let done = trials.len() + 1;
        eprintln!(
            "{}: {} said {:?} for {} in {:.1} s",
            Count::new(done, "trial"),
            trial.judge,
            trial.said,
            trial.slowdown,
            trial.seconds
        );
        append(&arguments.journal, &trial)?;
        failed_in_a_row = match trial.said {
            Said::Nothing => failed_in_a_row + 1,
            _ => 0,
        };
    }
}

fn series(text: &str) -> Result<Series> {
    let series: Series = text.parse()?;
    slowdown(&series.slowdown)?;
    Ok(series)
}

impl SelftestArgs {
    /// What is judged and how, as a text to compare.
    fn setup(&self) -> Result<String> {
        let recipe = Recipe {
            repository: ".".into(),
            profile: String::new(),
            slowdown: true,
            folder: SAME_FOLDER.to_owned(),
        };
        let revision = recipe.commit(&self.revision)?.commit;
        let builds = (self.judge == Judge::Gate).then(|| format!("--builds {}", self.builds));
        let words = [&revision]
            .into_iter()
            .chain(&builds)
            .chain(&self.bench)
            .chain(&self.arguments);
        Ok(words.map(String::as_str).collect::<Vec<_>>().join(" "))
    }

    /// The series with the smallest share done; none when all are done. Failed trials count as missing.
    fn next(&self, trials: &[Trial], setup: &str) -> Option<&Series> {
        let done = |series: &Series| {
            let own = trials
                .iter()
                .filter(|one| one.judge == self.judge && one.setup == setup)
                .filter(|one| one.slowdown == series.slowdown && one.said != Said::Nothing);
            own.count() as f64 / series.trials as f64
        };
        let open = self.series.iter().filter(|series| done(series) < 1.0);
        open.min_by(|a, b| done(a).total_cmp(&done(b)))
    }

    fn trial(&self, series: &Series, setup: &str, nth: usize) -> Result<Trial> {
        let begun = Instant::now();
        let said = match self.judge {
            Judge::Gate => self.gate(&series.slowdown, nth)?,
            Judge::Criterion => self.criterion(&series.slowdown)?,
        };
        Ok(Trial {
            judge: self.judge,
            setup: setup.to_owned(),
            slowdown: series.slowdown.clone(),
            said,
            seconds: begun.elapsed().as_secs_f64(),
        })
    }

    fn gate(&self, slowdown: &str, nth: usize) -> Result<Said> {
        let out = tempfile::tempdir().context("cannot make a temporary folder")?;
        let program = std::env::current_exe().context("cannot find this program's own path")?;
        let mut gate = Command::new(program);
        // These would take longer than the rest, and a slowdown does not change them.
        gate.args(["gate", "--json", "--no-explanation", "--no-counters"])
            .args(["--base", &self.revision, "--head", &self.revision])
            .args(["--slow-head", slowdown, "--out"])
            .arg(out.path())
            .args(&self.arguments);
        if slowdown == NO_SLOWDOWN && self.builds > 0 {
            gate.arg(format!("--head-folder=build-{}", nth % self.builds));
        }
        let output = gate.output().context("cannot start a gate")?;
        let code = output.status.code();
        if code == Some(i32::from(REGRESSED)) {
            return Ok(Said::Slower);
        }
        if code != Some(0) {
            complain(&output);
            return Ok(Said::Nothing);
        }
        let results: GateResults =
            serde_json::from_slice(&output.stdout).context("a gate did not print its results")?;
        let is_faster = results.scenarios.iter().any(|one| one.has_improved());
        Ok(match results.outcome {
            GateOutcome::Inconclusive => Said::Unsure,
            _ if is_faster => Said::Faster,
            _ => Said::Neither,
        })
    }

    /// Every trial saves a new baseline, because the gate also measures both sides every time.
    fn criterion(&self, slowdown: &str) -> Result<Said> {
        let home = tempfile::tempdir().context("cannot make a temporary folder")?;
        let save = self.benchmark(home.path(), "--save-baseline", None)?;
        if !save.status.success() {
            complain(&save);
            return Ok(Said::Nothing);
        }
        let slowdown = Some(slowdown).filter(|slowdown| *slowdown != NO_SLOWDOWN);
        let compared = self.benchmark(home.path(), "--baseline", slowdown)?;
        if !compared.status.success() {
            complain(&compared);
            return Ok(Said::Nothing);
        }
        let text = String::from_utf8_lossy(&compared.stdout);
        let verdicts = [
            ("Performance has regressed", Said::Slower),
            ("Performance has improved", Said::Faster),
            ("Change within noise threshold", Said::Neither),
            ("No change in performance detected", Said::Neither),
        ];
        let said = verdicts.into_iter().find(|(words, _)| text.contains(words));
        let (_, said) = said.with_context(|| format!("criterion gave no verdict: {text}"))?;
        Ok(said)
    }

    fn benchmark(&self, home: &Path, baseline: &str, slowdown: Option<&str>) -> Result<Output> {
        let program = self.program.as_ref().context("--program is missing")?;
        let bench = self.bench.as_deref().context("--bench is missing")?;
        let mut command = Command::new(program);
        command
            .args(["--bench", bench, "--exact", "--noplot", baseline, "trial"])
            .args(&self.arguments)
            .env("CRITERION_HOME", home)
            .env_remove(SLOWDOWN);
        if let Some(slowdown) = slowdown {
            command.env(SLOWDOWN, slowdown);
        }
        let output = command.output();
        let output = output.with_context(|| format!("cannot start {}", program.display()))?;
        let text = String::from_utf8_lossy(&output.stdout);
        ensure!(
            !output.status.success() || text.contains(bench),
            "{} has no benchmark {bench}",
            program.display()
        );
        Ok(output)
    }
}

fn complain(output: &Output) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    let last: Vec<&str> = stderr.trim().lines().rev().take(5).collect();
    for line in last.iter().rev() {
        eprintln!("  {line}");
    }
}
