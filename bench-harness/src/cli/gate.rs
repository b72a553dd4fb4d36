//! `apitap-bench gate`.

use std::collections::BTreeMap;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use chrono::Utc;

use super::selection::command_line;
use super::server::ServerArgs;
use super::slowdown::{NO_SLOWDOWN, SLOWDOWN, slowdown};
use super::{
    FAILED, INCOMPARABLE, INTERRUPTED, REGRESSED, WRONG_DATA, WRONG_USAGE, colour, say, wrong_usage,
};
use crate::experiment::Scale;
use crate::gate::baseline::Baseline;
use crate::gate::claim::Claim;
use crate::gate::export::{render, write_all};
use crate::gate::measure::{Gate, Gated, Rules};
use crate::gate::policy::{Limit, Limits, Waivers};
use crate::gate::revision::{BuiltRevision, Recipe, SAME_FOLDER, UNKNOWN_COMMIT};
use crate::gate::scenario::{Scenarios, Size, is_chosen};
use crate::gate::{GateOutcome, GateResults, GatedRevision};
use crate::measure::profiling::WrongData;
use crate::measure::session::{EndedBy, Incomparable, NothingTaken, RunOptions};
use crate::recording::is_recording;
use crate::stats::ClaimVerdict;
use testkit::postgres::PgStorage;

/// Nothing is worse, but something is inconclusive.
pub(super) const INCONCLUSIVE: u8 = 4;

/// A claim does not hold.
const REFUTED: u8 = 7;

/// The waivers of the repository.
const WAIVERS_FILE: &str = "fixtures/gate-waivers.toml";

pub(super) const EXAMPLES: &str = "\
Examples:
  apitap-bench gate --base main                         the working tree against a branch
  apitap-bench gate --base HEAD~1 --head HEAD --quick   two commits, in a few minutes
  apitap-bench gate --base main --scenario tuned --limit rows_per_second=-2%
  apitap-bench gate --base main --claim 'rows_per_second>=1.10'  whether a promise holds
  apitap-bench gate --base main --workload orders.rec   a recorded load of your own
  apitap-bench gate --save-baseline reports/baseline/here.json
  apitap-bench gate --baseline reports/baseline/here.json
  apitap-bench gate --base-binary OLD/apitap-bench --head-binary NEW/apitap-bench
  apitap-bench gate --base HEAD --slow-head decode=10%  a test: must end with exit code 3
  apitap-bench gate --list                              the scenarios

Exit codes:
  0    nothing is worse
  1    the harness failed, or a revision does not build
  2    wrong usage, or a waiver past its last day
  3    a scenario is worse by more than its limit
  4    a claim is inconclusive, or a scenario is (only with --fail-on-inconclusive)
  5    not comparable: another machine, server or data, or one side of a scenario has no figures
  6    a load of the head left wrong data (a base with wrong data has no figures)
  7    nothing is worse, and a claim is refuted
  130  interrupted";

/// Headings of the help.
const COMPARED: &str = "What is compared";
const JUDGED: &str = "How it is judged";
const MEASURED: &str = "How it is measured";
const SHOWN: &str = "What is shown";
const TESTS: &str = "Tests of the gate";

/// What to compare, and how.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "PostgreSQL")]
pub(super) struct GateArgs {
    /// Revision to compare with, such as the merge base of a pull request
    #[arg(long, help_heading = COMPARED, value_name = "REV", required_unless_present_any = ["base_binary", "baseline", "save_baseline", "list"])]
    base: Option<String>,
    /// Revision to judge [default: the working tree, with changes to tracked files]
    #[arg(long, help_heading = COMPARED, value_name = "REV")]
    head: Option<String>,
    /// Program of the base, built before: nothing is built, and its commit is not known
    #[arg(long, help_heading = COMPARED, value_name = "PATH", requires = "head_binary", conflicts_with_all = ["base", "head", "baseline", "save_baseline", "programs", "head_folder"])]
    base_binary: Option<PathBuf>,
    /// Program of the head
    #[arg(long, help_heading = COMPARED, value_name = "PATH", requires = "base_binary")]
    head_binary: Option<PathBuf>,
    /// Compare with results that --save-baseline stored on this machine
    #[arg(long, help_heading = COMPARED, value_name = "FILE", conflicts_with = "base")]
    baseline: Option<PathBuf>,
    /// Only measure the head, and store its results
    #[arg(long, help_heading = COMPARED, value_name = "FILE", conflicts_with_all = ["base", "baseline"])]
    save_baseline: Option<PathBuf>,
    /// Let a scenario pass when one side has no figures
    #[arg(long, help_heading = JUDGED)]
    baseline_lenient: bool,
    /// How much worse a metric may be, such as rows_per_second=-5% or statements=0; may be repeated
    #[arg(long, help_heading = JUDGED, value_name = "METRIC=LIMIT")]
    limit: Vec<Limit>,
    /// An improvement that the head promises over the base, such as 'rows_per_second>=1.10' or
    /// 'client_cpu_seconds_per_million_rows<=0.90'; may be repeated
    #[arg(long, help_heading = JUDGED, value_name = "CLAIM", conflicts_with_all = ["baseline", "save_baseline"])]
    claim: Vec<Claim>,
    /// Replay this recording instead of the scenarios, with the configuration that it was recorded with; no
    /// allocations and instructions are counted
    #[arg(long, help_heading = COMPARED, value_name = "FILE.rec", value_parser = recording, conflicts_with_all = ["scenario", "scenarios", "rows"])]
    workload: Option<String>,
    /// Only scenarios whose name contains NAME; may be repeated
    #[arg(long, help_heading = COMPARED, value_name = "NAME")]
    scenario: Vec<String>,
    /// Only scenarios whose whole name is NAME
    #[arg(long, help_heading = COMPARED, requires = "scenario")]
    exact: bool,
    /// Exit with 4 when a scenario is inconclusive
    #[arg(long, help_heading = JUDGED)]
    fail_on_inconclusive: bool,
    /// Accepted regressions [default: fixtures/gate-waivers.toml, if it exists]
    #[arg(long, help_heading = JUDGED, value_name = "FILE")]
    waivers: Option<PathBuf>,
    /// Half of the rows and at most 24 blocks: finds 10% instead of 5%
    #[arg(long, help_heading = MEASURED)]
    quick: bool,
    /// Blocks of the first look; with an even number, drift cancels out
    #[arg(long, help_heading = MEASURED)]
    blocks: Option<NonZero<usize>>,
    /// With --base: minutes to measure undecided scenarios on, beyond 24 blocks of each
    #[arg(long, help_heading = MEASURED, default_value_t = 6, conflicts_with_all = ["baseline", "save_baseline"])]
    minutes: u32,
    /// Rows of every load
    #[arg(long, help_heading = MEASURED)]
    rows: Option<NonZero<u64>>,
    /// Seed of the order of samples [default: random; gate.json has it]
    #[arg(long, help_heading = MEASURED)]
    seed: Option<u64>,
    /// Leave out the counters that need extra runs: allocations and instructions
    #[arg(long, help_heading = MEASURED)]
    no_counters: bool,
    /// Do not profile what is worse
    #[arg(long, help_heading = JUDGED)]
    no_explanation: bool,
    /// List the scenarios and exit
    #[arg(long, help_heading = SHOWN)]
    list: bool,
    /// Print gate.json on standard output instead of a table
    #[arg(long, help_heading = SHOWN)]
    json: bool,
    /// Cargo profile of both builds; figures of dev are worthless
    #[arg(long, help_heading = COMPARED, value_name = "PROFILE", default_value = "release")]
    build_profile: String,
    /// File of the scenarios [default: fixtures/gate.toml, or those built in]
    #[arg(long, help_heading = COMPARED, value_name = "FILE")]
    scenarios: Option<PathBuf>,
    /// Folder for the gate's own folder
    #[arg(long, help_heading = SHOWN, value_name = "DIR", default_value = "reports/gates")]
    out: PathBuf,
    /// Slow a stage of the head down by a share of its work, such as decode=10%, or `none`: a test of the
    /// gate
    #[arg(long, help_heading = TESTS, value_name = "STAGE=SHARE%", conflicts_with = "save_baseline", value_parser = slowdown)]
    slow_head: Option<String>,
    /// Build the head in a folder of this name, so that only the order of its functions differs: a test of
    /// the gate
    #[arg(long, help_heading = TESTS, value_name = "NAME", conflicts_with = "programs", value_parser = folder)]
    head_folder: Option<String>,
    /// Folder of programs to use for both revisions instead of building them: a test of the gate
    #[arg(long, value_name = "DIR", hide = true)]
    programs: Option<PathBuf>,
    #[command(flatten)]
    server: ServerArgs,
}

/// Measures, judges, writes and prints; returns the exit code.
pub(super) async fn run(arguments: GateArgs) -> Result<u8> {
    let scenarios = match &arguments.workload {
        Some(file) => Scenarios::of_recording(file)?,
        None => Scenarios::read(arguments.scenarios.clone())?,
    };
    let chosen = scenarios.chosen(&arguments.scenario, arguments.exact);
    if arguments.list {
        for scenario in chosen {
            say(format_args!("{:<14} {}", scenario.name, scenario.about));
        }
        return Ok(0);
    }
    if chosen.is_empty() {
        wrong_usage("no scenario has such a name; `apitap-bench gate --list` shows the names");
    }
    let chosen = chosen.into_iter().cloned().collect();
    let waivers = arguments.waivers()?;
    let baseline = arguments.stored()?;
    let recipe = Recipe {
        repository: ".".into(),
        profile: arguments.build_profile.clone(),
        slowdown: arguments.slow_head.is_some(),
        folder: SAME_FOLDER.to_owned(),
    };
    let Some((base, head)) = arguments.revisions(&recipe)? else {
        return Ok(0);
    };
    let before = base.as_ref().map(|base| &base.revision);
    let before = before.or(baseline.as_ref().map(|one| &one.revision));
    let waivers = of_the_change(waivers, &recipe, before, &head.revision)?;
    let gate = Gate {
        base,
        head,
        head_environment: arguments
            .slow_head
            .iter()
            .filter(|slow| *slow != NO_SLOWDOWN)
            .map(|slow| format!("{SLOWDOWN}={slow}"))
            .collect(),
        baseline,
        scenarios: chosen,
        size: Size {
            quick: arguments.quick,
            blocks: arguments.blocks,
            rows: arguments.rows,
        },
        rules: Rules {
            limits: Limits::new(&arguments.limit),
            waivers,
            lenient: arguments.baseline_lenient,
            claims: arguments.claim.clone(),
        },
        // They are taken of workloads of the suite alone.
        counts: !arguments.no_counters && arguments.workload.is_none(),
        patience: 60 * Duration::from_secs(arguments.minutes.into()),
        explains: !arguments.no_explanation,
        options: arguments.options()?,
    };
    if let Some(file) = &arguments.save_baseline {
        return store(gate, file).await;
    }
    match Box::pin(gate.run()).await {
        Ok(gated) => arguments.ended(&gated),
        Err(error) => refused(error),
    }
}

/// The waivers whose commits are between base and head, and all those past their last day.
fn of_the_change(
    waivers: Waivers,
    recipe: &Recipe,
    base: Option<&GatedRevision>,
    head: &GatedRevision,
) -> Result<Waivers> {
    let mut all = Vec::new();
    let is_known = head.commit != UNKNOWN_COMMIT;
    if !is_known && !waivers.all.is_empty() {
        eprintln!("warning: waivers are ignored: the commits of base and head are not known");
    }
    for waiver in waivers.all {
        if waiver.has_expired(today()) {
            all.push(waiver);
            continue;
        }
        if !is_known {
            continue;
        }
        let Ok(GatedRevision { commit, .. }) = recipe.commit(&waiver.commit) else {
            eprintln!(
                "warning: the waiver of {waiver} is ignored: its commit is not in this repository"
            );
            continue;
        };
        let is_before = match base {
            Some(base) => recipe.is_ancestor(&commit, &base.commit)?,
            None => false,
        };
        if !is_before && recipe.is_ancestor(&commit, &head.commit)? {
            all.push(waiver);
        }
    }
    Ok(Waivers { all })
}

async fn store(gate: Gate, file: &Path) -> Result<u8> {
    match Box::pin(gate.store()).await {
        Ok(baseline) => {
            baseline.write(file)?;
            say(format_args!("Baseline: {}", file.display()));
            Ok(0)
        }
        Err(error) => refused(error),
    }
}

fn refused(error: anyhow::Error) -> Result<u8> {
    if error.is::<Incomparable>() {
        eprintln!(
            "error: {error:#} (stored, then here); store a baseline here with --save-baseline, or compare \
             two revisions with --base"
        );
        return Ok(INCOMPARABLE);
    }
    if error.is::<NothingTaken>() {
        eprintln!("{error:#}");
        return Ok(INTERRUPTED);
    }
    if error.is::<WrongData>() {
        eprintln!("error: {error:#}");
        return Ok(WRONG_DATA);
    }
    Err(error)
}

/// The path of a recording.
fn recording(file: &str) -> Result<String> {
    ensure!(is_recording(file), "the name of a recording ends with .rec");
    Ok(file.to_owned())
}

/// The name of a folder, and not the way to another one: what is there is removed.
fn folder(name: &str) -> Result<String> {
    let is_harmless = |c: char| c.is_ascii_alphanumeric() || c == '-';
    ensure!(
        !name.is_empty() && name.chars().all(is_harmless),
        "a name has letters, digits and hyphens"
    );
    Ok(name.to_owned())
}

/// The revision; ends the process if there is none.
fn revision(recipe: &Recipe, named: &str) -> GatedRevision {
    let revision = recipe.commit(named);
    revision.unwrap_or_else(|error| wrong_usage(format!("{error}")))
}

fn today() -> chrono::NaiveDate {
    Utc::now().date_naive()
}

impl GateArgs {
    fn waivers(&self) -> Result<Waivers> {
        let waivers = match &self.waivers {
            Some(file) => Waivers::read(file)?,
            None if Path::new(WAIVERS_FILE).exists() => Waivers::read(Path::new(WAIVERS_FILE))?,
            None => Waivers::default(),
        };
        // Before the minutes of measuring, so that somebody can fix it meanwhile.
        for waiver in waivers.expired(today()) {
            eprintln!("error: the waiver of {waiver} is past its last day: remove or renew it");
        }
        Ok(waivers)
    }

    fn stored(&self) -> Result<Option<Baseline>> {
        let baseline = self.baseline.as_deref().map(Baseline::read).transpose()?;
        Ok(baseline.map(|mut baseline| {
            let scenarios = &mut baseline.record.scenarios;
            scenarios.retain(|one| is_chosen(&one.plan.name, &self.scenario, self.exact));
            baseline
        }))
    }

    /// Base and head, built; none if there is nothing to measure.
    fn revisions(&self, recipe: &Recipe) -> Result<Option<(Option<BuiltRevision>, BuiltRevision)>> {
        if let (Some(base), Some(head)) = (&self.base_binary, &self.head_binary) {
            let [base, head] = [base, head].map(|program| {
                let found = BuiltRevision::prebuilt(program);
                found.unwrap_or_else(|error| wrong_usage(format!("{error:#}")))
            });
            return Ok(Some((Some(base), head)));
        }
        if !recipe.is_repository() {
            wrong_usage("there is no git repository here: run the gate in a clone of ApiTap");
        }
        let head = match &self.head {
            Some(named) => revision(recipe, named),
            None => recipe.working_tree()?,
        };
        let base = self.base.as_deref().map(|named| revision(recipe, named));
        // Other programs, and a head that is slowed down or built elsewhere, are tests of the gate.
        let builds =
            self.programs.is_none() && self.slow_head.is_none() && self.head_folder.is_none();
        // A claim has an answer even so.
        let builds = builds && self.claim.is_empty();
        if let Some(base) = base.as_ref().filter(|_| builds)
            && recipe.has_same_sources(base, &head)?
        {
            eprintln!(
                "nothing to measure: {} and {} are built from the same sources",
                base.named, head.named
            );
            return Ok(None);
        }
        let built = |recipe: &Recipe, revision| match &self.programs {
            Some(folder) => BuiltRevision::found(folder, revision),
            None => recipe.build(revision),
        };
        let of_head = Recipe {
            folder: match &self.head_folder {
                Some(name) => format!("{SAME_FOLDER}-{name}"),
                None => recipe.folder.clone(),
            },
            ..recipe.clone()
        };
        let base = base.as_ref().map(|base| built(recipe, base)).transpose()?;
        Ok(Some((base, built(&of_head, &head)?)))
    }

    fn options(&self) -> Result<RunOptions> {
        Ok(RunOptions {
            command: command_line(std::env::args()),
            program: std::env::current_exe().context("cannot find this program's own path")?,
            revisions: BTreeMap::new(),
            build: None,
            only_at: None,
            experiments: Vec::new(),
            scenarios: Vec::new(),
            scale: if self.quick {
                Scale::Quick
            } else {
                Scale::Default
            },
            blocks_per_session: None,
            until_decided: None,
            confirms: false,
            postgres: self.server.options_on(PgStorage::Tmpfs),
            seed: self
                .seed
                .unwrap_or_else(|| u64::from(rand::random::<u16>())),
            out: self.out.clone(),
            calibration: None,
            expect_seed: None,
            tampering: None,
            profiling: None,
            samples: true,
            into: None,
        })
    }

    /// Prints and writes what was found; returns the exit code.
    fn ended(&self, gated: &Gated) -> Result<u8> {
        let Gated {
            folder,
            results,
            ended_by,
        } = gated;
        match ended_by {
            Some(EndedBy::Error(error)) => eprintln!("error: {error:#}"),
            Some(EndedBy::Interrupt) => eprintln!("interrupted: the gate judges what was measured"),
            None => {}
        }
        write_all(results, folder)?;
        if self.json {
            say(serde_json::to_string_pretty(results)?);
            eprintln!("Gate: {}", folder.display());
        } else {
            say(render(results, colour()).trim_end());
            say(format_args!("Gate: {}", folder.display()));
        }
        Ok(match ended_by {
            Some(EndedBy::Interrupt) => INTERRUPTED,
            _ => self.code(results),
        })
    }

    fn code(&self, results: &GateResults) -> u8 {
        match results.outcome {
            GateOutcome::WrongData => WRONG_DATA,
            GateOutcome::Regressed => REGRESSED,
            GateOutcome::Missing => INCOMPARABLE,
            GateOutcome::Failed => FAILED,
            GateOutcome::ExpiredWaiver => WRONG_USAGE,
            GateOutcome::Inconclusive | GateOutcome::Passed => match results.worst_claim() {
                Some(ClaimVerdict::Refuted) => REFUTED,
                Some(ClaimVerdict::Inconclusive) => INCONCLUSIVE,
                _ if self.is_unsure(results) => INCONCLUSIVE,
                _ => 0,
            },
        }
    }

    fn is_unsure(&self, results: &GateResults) -> bool {
        self.fail_on_inconclusive && results.outcome == GateOutcome::Inconclusive
    }
}
