//! Which experiments a command is about.

use std::collections::BTreeMap;
use std::num::NonZero;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use testkit::postgres::{PostgresOptions, without_password};
use testkit::workload::Workload;

use super::wrong_usage;
use crate::experiment::{
    API_ROUND_TRIP, Arm, Definition, Experiment, ExperimentFiles, IDENTICAL, ROWS, Scale,
    ScenarioPlan, Setting, WORKLOAD,
};
use crate::measure::session::RunOptions;
use crate::recording::{Header, is_recording};

/// The workload of most experiments.
const ORDERS: &str = "orders";

/// Which experiments, how large, and where the results go.
#[derive(Debug, clap::Args)]
pub(super) struct Selection {
    /// Experiments by id or a part of it; identical arms (a-a) are always added [default: all]
    #[arg(value_name = "EXPERIMENT")]
    filters: Vec<String>,
    /// Five minutes: the key experiments, or those named, without grids and without a second measurement
    #[arg(long, conflicts_with = "full")]
    quick: bool,
    /// 16 blocks instead of 10, for a claim
    #[arg(long)]
    full: bool,
    /// Seed of the order of samples [default: random; the report shows it]
    #[arg(long)]
    seed: Option<u64>,
    /// Blocks of every scenario; with an even number, drift cancels out
    #[arg(long)]
    pub(super) blocks: Option<NonZero<usize>>,
    /// Rows of every sample; if arms differ in their rows, those of the baseline; grids that vary rows are left out
    #[arg(long)]
    rows: Option<NonZero<u64>>,
    /// Load this workload where an experiment loads `orders`, and leave out those with a query, a key or several
    /// workloads; or replay this recording, and also leave out those with other requests
    #[arg(long, value_name = "NAME|FILE.rec")]
    pub(super) workload: Option<String>,
    /// Only scenarios whose name contains NAME, and identical arms; may be repeated
    #[arg(long, value_name = "NAME")]
    scenario: Vec<String>,
    /// Folder of experiments [default: fixtures/experiments, or those built in]
    #[arg(long, value_name = "DIR", env = "APITAP_EXPERIMENTS")]
    pub(super) experiments: Option<PathBuf>,
    /// Folder for the run's own folder
    #[arg(long, value_name = "DIR", default_value = "reports/runs")]
    out: PathBuf,
}

impl Selection {
    /// Whether the command names any experiment.
    pub(super) fn names_experiments(&self) -> bool {
        !self.filters.is_empty()
    }

    /// Whether the command names this experiment by its whole id.
    pub(super) fn names(&self, id: &str) -> bool {
        self.filters.iter().any(|filter| filter == id)
    }

    /// Whether the command sets the rows of samples, by number or by scale.
    pub(super) fn says_rows(&self) -> bool {
        self.rows.is_some() || self.quick
    }

    /// Whether `--scenario` selects a scenario of this name.
    pub(super) fn wants(&self, name: &str) -> bool {
        self.scenario.is_empty() || self.scenario.iter().any(|part| name.contains(part))
    }

    pub(super) fn scale(&self) -> Scale {
        match (self.quick, self.full) {
            (true, _) => Scale::Quick,
            (_, true) => Scale::Full,
            _ => Scale::Default,
        }
    }

    /// The experiments; ends the process if a filter matches none.
    pub(super) fn experiments(&self) -> Result<Vec<Experiment>> {
        let all = Experiment::all(&ExperimentFiles::find(self.experiments.clone()))?;
        for filter in &self.filters {
            if !all.iter().any(|one| one.id().contains(filter.as_str())) {
                wrong_usage(format!(
                    "no experiment has {filter:?} in its name; `apitap-bench list` shows the names"
                ));
            }
        }
        // A whole id selects only that experiment, even if it is a part of other ids.
        let is_named = |id: &str| {
            self.filters.iter().any(|filter| {
                let is_id = all.iter().any(|one| one.id() == filter);
                id == filter || (!is_id && id.contains(filter.as_str()))
            })
        };
        let wanted = |one: &Experiment| match self.filters.is_empty() {
            true => !self.quick || one.definition.quick,
            false => is_named(one.id()),
        };
        let mut chosen: Vec<Experiment> = all
            .iter()
            .filter(|one| one.id() == IDENTICAL || wanted(one))
            .cloned()
            .collect();
        if let Some(workload) = &self.workload {
            let recorded = recording_or_workload(workload);
            let fits = |one: &Experiment| {
                loads_any_rows(&one.definition)
                    && (recorded.is_none() || loads_any_recording(&one.definition))
            };
            let (fitting, others): (Vec<_>, Vec<_>) = chosen.into_iter().partition(fits);
            if recorded.is_some() && !others.is_empty() {
                let others: Vec<&str> = others.iter().map(Experiment::id).collect();
                eprintln!(
                    "left out, because a recording has its own rows, query and requests: {}",
                    others.join(", ")
                );
            }
            chosen = fitting;
            for one in &mut chosen {
                one.definition.workload.clone_from(workload);
            }
        }
        Ok(chosen)
    }

    /// What the recording is about that `--workload` names, if it names one.
    pub(super) fn recording(&self) -> Option<Header> {
        self.workload.as_deref().and_then(recording_or_workload)
    }

    /// Their scenarios.
    pub(super) fn scenarios(&self, experiments: &[Experiment]) -> Vec<ScenarioPlan> {
        let mut scenarios: Vec<ScenarioPlan> = experiments
            .iter()
            .flat_map(|experiment| experiment.scenarios(self.scale()))
            .filter(|plan| plan.experiment == IDENTICAL || self.wants(&plan.name))
            .collect();
        if let Some(recorded) = self.recording() {
            if self.rows.is_some() {
                wrong_usage("--rows: a recording has the rows that it has");
            }
            scenarios.retain(|plan| !plan.cell.iter().any(is_of_requests));
            for arm in scenarios.iter_mut().flat_map(|plan| &mut plan.arms) {
                arm.rows = recorded.rows_read;
            }
        }
        if self.rows.is_some() {
            scenarios.retain(|plan| !plan.cell.iter().any(|at| at.parameter == ROWS));
        }
        for plan in &mut scenarios {
            plan.blocks = self.blocks.map_or(plan.blocks, NonZero::get);
            if let Some(rows) = self.rows {
                let own = plan.baseline().rows;
                for arm in &mut plan.arms {
                    // Ten times the baseline's stay ten times.
                    arm.rows = (rows.get() * arm.rows / own).max(1);
                }
            }
        }
        scenarios
    }

    /// A run of `scenarios` without calibration and confirmation.
    pub(super) fn options(
        &self,
        experiments: &[Experiment],
        scenarios: Vec<ScenarioPlan>,
        mut postgres: PostgresOptions,
    ) -> Result<RunOptions> {
        // A table that a sample creates cannot be excluded from autovacuum beforehand.
        let autovacuum = ("autovacuum".to_owned(), "off".to_owned());
        postgres.extra_settings.push(autovacuum);
        Ok(RunOptions {
            command: command_line(std::env::args()),
            program: std::env::current_exe().context("cannot find this program's own path")?,
            experiments: experiments
                .iter()
                .map(|one| one.definition.clone())
                .collect(),
            scenarios,
            revisions: BTreeMap::new(),
            build: None,
            only_at: None,
            scale: self.scale(),
            blocks_per_session: None,
            until_decided: None,
            confirms: false,
            postgres,
            // Short, because people copy it.
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
}

/// Whether an experiment can load another workload than `orders`: one with a query or a key names columns, and one
/// that varies the workload has all.
fn loads_any_rows(definition: &Definition) -> bool {
    let has_query = definition.arms().any(|arm| arm.sql.is_some()) || definition.sql.is_some();
    let vary = definition.vary.as_ref();
    let has_many = vary.is_some_and(|vary| vary.varies(WORKLOAD));
    definition.workload == ORDERS && !has_query && !has_many && definition.key.is_empty()
}

/// Knobs that decide which requests a load sends, or how its rows are read. A recording has one value of each.
const OF_REQUESTS: [&str; 2] = ["source.page_rows", "infer.sample_rows"];

/// Whether an experiment that can load any rows can load those of a recording: psql has no API, and other
/// requests or numbers of rows are not in the file.
fn loads_any_recording(definition: &Definition) -> bool {
    let sets = |knob: &String| {
        let name = knob.split_once('=').map(|(name, _)| name);
        name.is_some_and(|name| OF_REQUESTS.contains(&name))
    };
    let fits = |arm: &Arm| {
        !arm.psql_copy && arm.rows.is_none() && arm.mode.is_none() && !arm.knobs.iter().any(sets)
    };
    definition.existing.is_none() && definition.arms().all(fits)
}

/// Whether a cell of a grid has other requests, rows or latencies.
fn is_of_requests(setting: &Setting) -> bool {
    let parameter = setting.parameter.as_str();
    [API_ROUND_TRIP, ROWS].contains(&parameter) || OF_REQUESTS.contains(&parameter)
}

/// What a recording of that name is about, or none for a workload of that name; ends the process if there is
/// neither.
pub(super) fn recording_or_workload(name: &str) -> Option<Header> {
    let found = match is_recording(name) {
        true => Header::read(Path::new(name)).map(Some),
        false => Workload::named(name).map(|_| None),
    };
    found.unwrap_or_else(|error| wrong_usage(format!("--workload: {error:#}")))
}

/// The command as it was typed, without the passwords of URLs and without the program's folder.
pub(super) fn command_line(arguments: impl Iterator<Item = String>) -> Vec<String> {
    std::iter::once("apitap-bench".to_owned())
        .chain(arguments.skip(1).map(|argument| redacted(&argument)))
        .collect()
}

/// `text` without the passwords of URLs, of which each word may have one.
pub(super) fn redacted(text: &str) -> String {
    let words = text.split_inclusive(char::is_whitespace);
    let words = words.map(|word| {
        let url = ["postgres://", "postgresql://"]
            .iter()
            .find_map(|scheme| word.find(scheme));
        let Some(at) = url else {
            return word.to_owned();
        };
        let (url, space) = word.split_at(word.trim_end().len());
        format!("{}{}{space}", &url[..at], without_password(&url[at..]))
    });
    words.collect()
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::super::run::RunArgs;
    use super::super::{Cli, Command};
    use super::*;

    fn parsed(arguments: &[&str]) -> RunArgs {
        let typed = ["apitap-bench", "run"].iter().chain(arguments);
        match Cli::parse_from(typed).command {
            Command::Run(arguments) => *arguments,
            other => panic!("not a run: {other:?}"),
        }
    }

    fn ids(arguments: &[&str]) -> Vec<String> {
        let experiments = parsed(arguments).selection.experiments().unwrap();
        experiments.iter().map(|one| one.id().to_owned()).collect()
    }

    #[test]
    fn filters_choose_experiments_and_the_control_comes_along() {
        assert_eq!(
            ids(&["prepared", "pipelining"]),
            ["a-a", "pipelining", "prepared"]
        );
        assert_eq!(
            ids(&["batch-size"]),
            [
                "a-a",
                "copy-batch-size",
                "insert-batch-size",
                "writer-only-batch-size"
            ]
        );
        assert!(ids(&[]).len() >= 22);
        assert_eq!(
            ids(&["--quick"]),
            [
                "a-a",
                "before-vs-tuned",
                "connection-reuse",
                "copy-vs-insert",
                "decode-path",
                "insert-batch-size"
            ]
        );
        assert_eq!(ids(&["--quick", "pipelining"]), ["a-a", "pipelining"]);
    }

    #[test]
    fn another_workload_takes_the_place_of_orders() {
        let selection = parsed(&["--workload=events"]).selection;
        let experiments = selection.experiments().unwrap();
        let ids: Vec<&str> = experiments.iter().map(Experiment::id).collect();
        assert!(ids.contains(&"a-a") && ids.contains(&"copy-vs-insert"));
        let others = [
            "aggregate-memory",
            "ceiling-merge",
            "ceiling-wide",
            "copy-vs-insert-workloads",
        ];
        for other in others {
            assert!(
                !ids.contains(&other),
                "{other} names its columns or workloads"
            );
        }
        let scenarios = selection.scenarios(&experiments);
        assert!(scenarios.iter().all(|plan| plan.workload == "events"));
    }

    #[test]
    fn a_recording_takes_the_place_of_orders_where_requests_and_rows_are_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("items.rec");
        crate::recording::example::recording().write(&file).unwrap();
        let workload = format!("--workload={}", file.display());
        let selection = parsed(&[&workload]).selection;
        let experiments = selection.experiments().unwrap();
        let ids: Vec<&str> = experiments.iter().map(Experiment::id).collect();
        for one in ["a-a", "before-vs-tuned", "copy-vs-insert", "concurrency"] {
            assert!(ids.contains(&one), "{one}");
        }
        for other in [
            "ceiling-append",
            "memory-growth",
            "page-size",
            "psql-ceiling",
            "sample-size",
            "shares",
        ] {
            assert!(!ids.contains(&other), "{other} has other requests or rows");
        }
        for plan in selection.scenarios(&experiments) {
            assert!(plan.workload.ends_with("items.rec"));
            assert!(plan.api_round_trip_ms.is_none(), "{}", plan.name);
            assert!(!plan.name.contains("page_rows"), "{}", plan.name);
            assert!(plan.arms.iter().all(|arm| arm.rows == 3), "{}", plan.name);
        }
    }

    #[test]
    fn numbers_apply_to_every_scenario() {
        let selection = parsed(&["counter", "--quick", "--blocks=2", "--rows=500"]).selection;
        let scenarios = selection.scenarios(&selection.experiments().unwrap());
        assert_eq!(scenarios.len(), 4);
        for plan in &scenarios {
            assert_eq!((plan.blocks, plan.baseline().rows), (2, 500));
        }
        let selection = parsed(&["counter", "--scenario=on tuned"]).selection;
        let scenarios = selection.scenarios(&selection.experiments().unwrap());
        let names: Vec<&str> = scenarios.iter().map(|plan| plan.name.as_str()).collect();
        assert_eq!(names, ["a-a on before", "a-a on tuned", "counter on tuned"]);

        let selection = parsed(&["memory-growth", "--rows=100"]).selection;
        let scenarios = selection.scenarios(&selection.experiments().unwrap());
        let growth = scenarios.iter().find(|plan| plan.name == "memory-growth");
        let rows: Vec<u64> = growth.unwrap().arms.iter().map(|arm| arm.rows).collect();
        assert_eq!(rows, [100, 1_000]);

        let selection = parsed(&["copy-vs-insert-rows", "--rows=100"]).selection;
        let scenarios = selection.scenarios(&selection.experiments().unwrap());
        let of_rows = scenarios.iter().filter(|plan| plan.experiment != IDENTICAL);
        let rows: Vec<u64> = of_rows.map(|plan| plan.baseline().rows).collect();
        assert_eq!(rows, [100], "nothing is left to vary");
    }

    #[test]
    fn passwords_do_not_reach_the_record() {
        let typed = [
            "/x/apitap-bench",
            "run",
            "--postgres=postgres://u:secret@h/d",
            "postgresql://u:secret@h/d?password=secret",
            "--arm=psql postgres://u:secret@h/d -c 'x  y' && load postgres://u:secret@h/d",
        ];
        let command = command_line(typed.map(str::to_owned).into_iter()).join(" ");
        assert!(!command.contains("secret"), "{command}");
        assert!(
            command.starts_with("apitap-bench run --postgres=postgres://u:***@h/d"),
            "{command}"
        );
        assert!(
            command.ends_with(
                "--arm=psql postgres://u:***@h/d -c 'x  y' && load postgres://u:***@h/d"
            ),
            "{command}"
        );
        let shown = format!("{:?}", parsed(&["--postgres", "postgres://u:secret@h/d"]));
        assert!(!shown.contains("secret"), "{shown}");
    }
}
