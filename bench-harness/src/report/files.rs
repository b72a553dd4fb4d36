//! The files that a report and its profiles are made of, written into the folder of a run.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::document::Chart;
use super::{html, json, markdown, profile, sections};
use crate::experiment::{Experiment, ExperimentFiles};
use crate::judge::history::entry::Entry;
use crate::judge::history::series::History;
use crate::judge::{Results, Step};
use crate::profile::record::{PAGE_FILE, PROFILES_FOLDER, ProfileRecord, Subject, folder_name};
use crate::profile::results::ProfileResults;
use crate::run_folder::RunFolder;
use crate::samples::{Outcome, Sample, Samples};
use crate::stats::{CONFIDENCE_LEVEL, SIGNIFICANCE};

/// Published runs, from the root of the sources; their names begin with the day.
const PUBLISHED: &str = "reports/published";

/// Computes the results of what the folder holds, and writes `results.json`, `report.md` and
/// `report.html`, which say too how its quantities changed over `earlier` runs, where there are any.
///
/// # Errors
/// When a file cannot be read or written.
pub(crate) fn write_report(folder: &RunFolder, earlier: Option<&[Entry]>) -> Result<Report> {
    let (record, samples) = (folder.record()?, folder.samples()?);
    let history = earlier.and_then(|earlier| match Entry::all(&record, &samples) {
        Ok(own) => Some(History::up_to(&own, earlier, SIGNIFICANCE)),
        Err(error) => {
            eprintln!("warning: the report has no history: {error:#}");
            None
        }
    });
    let history = history.as_ref();
    let mut results = Results::new(&record, &samples);
    let profiled = Subject::all(folder.path())?.into_iter();
    results.profiles = profiled.map(|subject| subject.scenario).collect();
    let page = folder.path().join(html::FILE);
    for (path, text) in [
        (folder.path().join(json::FILE), json::render(&results)?),
        (
            folder.path().join(markdown::FILE),
            markdown::render(&results, history),
        ),
        (page.clone(), html::render(&results, history)?),
    ] {
        write(&path, text.as_bytes())?;
    }
    Ok(Report {
        page,
        results,
        samples,
    })
}

/// Draws the largest gains and losses of what the folder holds, as a file of its own.
///
/// # Errors
/// When a file cannot be read or written.
pub(crate) fn write_chart(folder: &RunFolder, file: &Path, is_dark: bool) -> Result<()> {
    let results = Results::new(&folder.record()?, &folder.samples()?);
    write_drawing(&sections::gains(&results), file, is_dark)
}

/// Draws a chart as a file of its own, in the colours of a light page or a dark one.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn write_drawing(chart: &Chart, file: &Path, is_dark: bool) -> Result<()> {
    write(file, html::standalone(chart, is_dark).as_bytes())
}

/// Computes the profiles that the folder holds, and writes their page, their figures and their
/// pictures; none where there is no profile. Advice quotes the gains of the `measured` steps, or else those
/// of the newest published run.
///
/// # Errors
/// When a file cannot be read or written.
pub(crate) fn write_profiles(
    folder: &RunFolder,
    measured: Option<&[Step]>,
) -> Result<Option<Profiles>> {
    let records = ProfileRecord::all(folder.path())?;
    if records.is_empty() {
        return Ok(None);
    }
    let profiles = folder.path().join(PROFILES_FOLDER);
    let run = folder.record().ok();
    let steps = measured.map_or_else(published_steps, <[Step]>::to_vec);
    let experiments = Experiment::all(&ExperimentFiles::find(None)).unwrap_or_default();
    let result = |record: &ProfileRecord| {
        let results = ProfileResults::new(record, CONFIDENCE_LEVEL);
        let Some(run) = &run else { return results };
        results.with_advice(run, &experiments, &steps)
    };
    let results: Vec<ProfileResults> = records.iter().map(result).collect();
    for record in &records {
        let own = profiles.join(folder_name(&record.subject.scenario));
        for (name, bytes) in profile::pictures(record)? {
            write(&own.join(name), &bytes)?;
        }
    }
    let page = profiles.join(PAGE_FILE);
    write(&page, profile::page(&results)?.as_bytes())?;
    let markdown = profile::markdown(&results);
    write(&profiles.join(profile::MARKDOWN_FILE), markdown.as_bytes())?;
    let json = profile::json(&results)?;
    write(&profiles.join(profile::JSON_FILE), json.as_bytes())?;
    Ok(Some(Profiles { page, results }))
}

/// What changes gained in the newest published run.
fn published_steps() -> Vec<Step> {
    let steps = |folder: PathBuf| {
        let text = fs::read_to_string(folder.join(json::FILE)).ok()?;
        let results: serde_json::Value = serde_json::from_str(&text).ok()?;
        let steps: Vec<Step> = serde_json::from_value(results.get("steps")?.clone()).ok()?;
        (!steps.is_empty()).then_some(steps)
    };
    let published = fs::read_dir(PUBLISHED).into_iter().flatten().flatten();
    let mut folders: Vec<PathBuf> = published.map(|one| one.path()).collect();
    folders.sort();
    folders
        .into_iter()
        .rev()
        .find_map(steps)
        .unwrap_or_default()
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
}

/// Profiles that were just written.
#[derive(Debug)]
pub(crate) struct Profiles {
    /// Path of their page.
    pub page: PathBuf,
    /// What it says.
    pub results: Vec<ProfileResults>,
}

/// A report that was just written.
#[derive(Debug)]
pub(crate) struct Report {
    /// Path of `report.html`.
    pub page: PathBuf,
    /// What it says.
    pub results: Results,
    /// What it was made of.
    pub samples: Samples,
}

impl Report {
    /// Samples that loaded wrong data, each as `scenario, arm, block: what is wrong`.
    #[must_use]
    pub(crate) fn wrong_data(&self) -> Vec<String> {
        self.named(|outcome| match outcome {
            Outcome::WrongData { reason } => Some(reason),
            _ => None,
        })
    }

    /// Samples that did not finish, named in the same way.
    #[must_use]
    pub(crate) fn failures(&self) -> Vec<String> {
        self.named(|outcome| match outcome {
            Outcome::Failed { reason } => Some(reason),
            _ => None,
        })
    }

    fn named(&self, reason: impl Fn(&Outcome) -> Option<&String>) -> Vec<String> {
        let samples = self.samples.samples.iter();
        samples
            .filter_map(|sample| Some(format!("{}: {}", place(sample), reason(&sample.outcome)?)))
            .collect()
    }
}

fn place(sample: &Sample) -> String {
    let Sample {
        scenario,
        arm,
        block,
        ..
    } = sample;
    if sample.warm_up {
        format!("{scenario}, {arm}, warm-up")
    } else {
        format!("{scenario}, {arm}, block {}", block + 1)
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::judge::history;
    use crate::report::example;
    use crate::run_record::RunRecord;

    fn folder_of(parent: &Path, record: &RunRecord, samples: &Samples) -> RunFolder {
        let time = DateTime::from_timestamp(1_767_225_600, 0).unwrap();
        let folder = RunFolder::create(parent, time, "0123456789abcdef").unwrap();
        folder.write_record(record).unwrap();
        let mut journal = folder.journal().unwrap();
        for sample in &samples.samples {
            journal.append(sample).unwrap();
        }
        folder
    }

    #[test]
    fn a_report_says_how_its_quantities_changed_if_earlier_results_are_given() {
        let parent = tempfile::tempdir().unwrap();
        let (record, samples) = history::example::run(12, "c12", |_, _| 1.2);
        let folder = folder_of(parent.path(), &record, &samples);
        let earlier = history::example::entries(12, 6, 1.2);
        for (earlier, has_history) in [(None, false), (Some(&earlier[..]), true)] {
            let page = write_report(&folder, earlier).unwrap().page;
            for page in [page.with_extension("md"), page] {
                let text = fs::read_to_string(page).unwrap();
                assert_eq!(text.contains("13 runs, this one last"), has_history);
                assert_eq!(text.contains("00000005"), has_history, "the commit before");
            }
        }
        let folder = folder_of(parent.path(), &record, &Samples::default());
        let page = write_report(&folder, Some(&earlier)).unwrap().page;
        let text = fs::read_to_string(page).unwrap();
        assert!(!text.contains("Over time"), "nothing was measured");
    }

    #[test]
    fn a_report_is_made_of_what_the_folder_holds() {
        let parent = tempfile::tempdir().unwrap();
        let folder = folder_of(parent.path(), &example::run_record(), &example::samples());
        assert!(folder.path().ends_with("20260101T000000Z-01234567"));

        let report = write_report(&RunFolder::existing(folder.path().to_owned()), None).unwrap();
        for file in [html::FILE, markdown::FILE] {
            let text = fs::read_to_string(folder.path().join(file)).unwrap();
            assert!(text.contains("COPY instead of INSERT"), "{file}");
        }
        assert!(folder.path().join(json::FILE).exists());
        let first = |named: Vec<String>| named.into_iter().next().unwrap();
        let wrong = first(report.wrong_data());
        assert!(
            wrong.starts_with("copy-vs-insert on before, copy-csv, block 3: the table holds"),
            "{wrong}"
        );
        let failed = first(report.failures());
        assert!(
            failed.starts_with("copy-vs-insert on before, copy-csv, block 2: worker exited"),
            "{failed}"
        );
    }
}
