//! `apitap-bench bisect`.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use super::gate::INCONCLUSIVE;
use super::{INTERRUPTED, REGRESSED, WRONG_USAGE, say, wrong_usage};
use crate::format::Count;
use crate::gate::bisect::{Answer, bisect};
use crate::gate::revision::{Recipe, SAME_FOLDER};
use crate::gate::{GateOutcome, GateResults};

pub(super) const EXAMPLES: &str = "\
Examples:
  apitap-bench bisect --good v1.0 --bad main
  apitap-bench bisect --good HEAD~20 --bad HEAD -- --scenario tuned --exact --no-counters

Exit codes:
  0    the first bad commit was found
  1    the gate failed, or does not find the bad revision worse than the good one
  2    wrong usage
  4    the first bad commit is one of several: the gate is inconclusive about those between, or they do not build
  130  interrupted";

/// Between which commits, and how they are judged.
#[derive(Debug, clap::Args)]
pub(super) struct BisectArgs {
    /// A revision that is not worse; every other one is compared with it
    #[arg(long, value_name = "REV")]
    good: String,
    /// A later revision that is
    #[arg(long, value_name = "REV")]
    bad: String,
    /// Program that judges: a test of bisecting
    #[arg(long, value_name = "PROGRAM", hide = true)]
    gate: Option<PathBuf>,
    /// Arguments for `apitap-bench gate`
    #[arg(last = true)]
    arguments: Vec<String>,
}

/// Halves the range until one commit is left; returns the exit code.
pub(super) fn run(arguments: &BisectArgs) -> Result<u8> {
    let recipe = Recipe {
        repository: ".".into(),
        profile: String::new(),
        slowdown: false,
        folder: SAME_FOLDER.to_owned(),
    };
    let [good, bad] = [&arguments.good, &arguments.bad].map(|named| {
        let revision = recipe.commit(named);
        revision.unwrap_or_else(|error| wrong_usage(format!("{error}")))
    });
    let between = recipe.first_parents(&good.commit, &bad.commit)?;
    if between.is_empty() || !recipe.is_ancestor(&good.commit, &bad.commit)? {
        wrong_usage(format!("{} is not later than {}", bad.named, good.named));
    }
    let commits = [vec![good.commit], between].concat();
    let judge = |nth: usize| -> Result<Answer> {
        let answer = arguments.judge(&commits[0], &commits[nth])?;
        eprintln!("{:?}: {}", answer, recipe.titled(&commits[nth])?);
        Ok(answer)
    };
    eprintln!("bisecting {}", Count::new(commits.len() - 1, "commit"));
    let last = commits.len() - 1;
    let found = match judge(last) {
        Ok(Answer::Bad) => bisect(last, judge),
        Ok(Answer::Good) => bail!("{} is not worse than {}", bad.named, good.named),
        Ok(Answer::Unknown) => bail!(
            "whether {} is worse than {} is not known: give the gate more time, as by `-- --minutes 20`",
            bad.named,
            good.named
        ),
        Err(error) => Err(error),
    };
    let (good, bad) = match found {
        Err(error) if error.is::<Interrupted>() => return Ok(INTERRUPTED),
        found => found?,
    };
    if bad - good == 1 {
        say(format_args!(
            "First bad commit: {}",
            recipe.titled(&commits[bad])?
        ));
        return Ok(0);
    }
    say("The first bad commit is one of:");
    for commit in &commits[good + 1..=bad] {
        say(format_args!("  {}", recipe.titled(commit)?));
    }
    Ok(INCONCLUSIVE)
}

impl BisectArgs {
    /// Gates `head`, in a process of its own. Profiles would explain each step and not the commit.
    fn judge(&self, base: &str, head: &str) -> Result<Answer> {
        let own = || std::env::current_exe().context("cannot find this program's own path");
        let program = self.gate.clone().map_or_else(own, Ok)?;
        let mut gate = Command::new(program);
        gate.args([
            "gate",
            "--json",
            "--no-explanation",
            "--base",
            base,
            "--head",
            head,
        ])
        .args(&self.arguments)
        .stderr(Stdio::inherit());
        let output = gate.output().context("cannot start a gate")?;
        let code = output.status.code().context("a gate was killed")?;
        ensure!(code != i32::from(INTERRUPTED), Interrupted);
        ensure!(
            code != i32::from(WRONG_USAGE),
            "the gate refused its arguments"
        );
        if code == i32::from(REGRESSED) {
            return Ok(Answer::Bad);
        }
        if code != 0 {
            return Ok(Answer::Unknown);
        }
        // It prints nothing where both revisions are built from the same sources.
        if output.stdout.is_empty() {
            return Ok(Answer::Good);
        }
        let results: GateResults =
            serde_json::from_slice(&output.stdout).context("a gate did not print its results")?;
        Ok(match results.outcome {
            GateOutcome::Passed => Answer::Good,
            _ => Answer::Unknown,
        })
    }
}

/// A gate was interrupted.
#[derive(Debug)]
struct Interrupted;

impl std::fmt::Display for Interrupted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("interrupted")
    }
}

impl std::error::Error for Interrupted {}
