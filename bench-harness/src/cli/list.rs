//! `apitap-bench list`.

use std::path::PathBuf;

use anyhow::Result;

use super::say;
use crate::experiment::{Experiment, ExperimentFiles, Scale};
use crate::format::{Count, Promise};
use testkit::workload::Workload;

#[derive(Debug, clap::Args)]
pub(super) struct ListArgs {
    /// Folder of experiments [default: fixtures/experiments, or those built in]
    #[arg(long, value_name = "DIR", env = "APITAP_EXPERIMENTS")]
    experiments: Option<PathBuf>,
}

/// Prints the experiments and the workloads.
pub(super) fn run(arguments: ListArgs) -> Result<()> {
    let files = ExperimentFiles::find(arguments.experiments);
    for experiment in Experiment::all(&files)? {
        print(&experiment);
    }
    say(format_args!("\nexperiments are from {files}"));
    say("workloads, built in (mock-api --workload FILE.toml takes others):");
    for name in Workload::names() {
        if let Ok(workload) = Workload::named(name) {
            say(format_args!("  {name:<12} {}", workload.description()));
        }
    }
    Ok(())
}

fn print(experiment: &Experiment) {
    let definition = &experiment.definition;
    say(format_args!("{}: {}", definition.id, definition.title));
    say(format_args!(
        "  claim     {} ({})",
        definition.claim, definition.section
    ));
    say(format_args!(
        "  expected  {} in {}",
        Promise(definition.expected),
        definition.metric
    ));
    let arms: Vec<&str> = definition.arms().map(|arm| arm.name.as_str()).collect();
    say(format_args!("  arms      {}", arms.join(", ")));
    let on: Vec<&str> = definition.on.keys().map(String::as_str).collect();
    let mut places = vec![if on.is_empty() {
        "presets of their own".to_owned()
    } else {
        format!("on {}", on.join(" and "))
    }];
    if let Some(vary) = &definition.vary {
        let scenarios = experiment.scenarios(Scale::Default);
        let cells = scenarios.iter().filter(|plan| !plan.cell.is_empty());
        let names: Vec<&str> = vary
            .parameters
            .iter()
            .map(|one| one.name.as_str())
            .collect();
        places.push(format!(
            "{} of {}",
            Count::new(cells.count(), "cell"),
            names.join(" × ")
        ));
    }
    say(format_args!("  runs      {}", places.join(", ")));
}
