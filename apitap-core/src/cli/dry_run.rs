//! `--dry-run`: what each module would do, in words.

use super::console::Console;
use super::plan::Plan;
use crate::infer::Columns;
use crate::job::Job;
use crate::pipeline::DryRun;

impl Plan {
    /// True when everything could be found out and said.
    pub(super) async fn dry_run(&self, console: Console) -> bool {
        let mut ok = true;
        for planned in &self.modules {
            let found = match &planned.job {
                Ok(job) => self
                    .engine
                    .dry_run(job)
                    .await
                    .map(|found| describe(job, &found)),
                Err(error) => Err(error.clone()),
            };
            match found {
                Ok(lines) => {
                    if let Err(error) = Console::print(&lines) {
                        let what = format!("cannot write to standard output: {error}");
                        console.failure(&what, None);
                        return false;
                    }
                }
                Err(error) => {
                    ok = false;
                    console.error(&error);
                }
            }
        }
        ok
    }
}

fn describe(job: &Job, found: &DryRun) -> Vec<String> {
    let mut lines = vec![format!("module {}", job.name)];
    for (source, columns) in &found.sources {
        lines.push(format!("  source {source}"));
        lines.extend(columns_lines(columns));
    }
    lines.push("  plan".to_owned());
    lines.extend(found.plan.lines().map(|line| format!("    {line}")));
    let (state, mode) = (
        if found.load.exists {
            "exists"
        } else {
            "would be created"
        },
        job.sink.mode,
    );
    lines.push(format!(
        "  table {} ({state}, mode {})",
        found.load.table,
        format!("{mode:?}").to_lowercase()
    ));
    let columns = found.load.columns.iter();
    lines.extend(columns.map(|column| format!("    {} {}", column.name, column.pg_type.sql())));
    lines
}

fn columns_lines(columns: &Columns) -> impl Iterator<Item = String> {
    columns
        .iter()
        .map(|(name, column_type)| format!("    {name} {column_type}"))
}
