//! The folder of a run: what it holds and how its report is made.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use chrono::{DateTime, Utc};

use super::session::CONFIDENCE_LEVEL;
use crate::history::entry::Entry;
use crate::history::series::History;
use crate::measurement::{Journal, Outcome, SAMPLES_FILE, Sample, Samples};
use crate::profile::record::{PROFILES_FOLDER, ProfileRecord, Subject, folder_name};
use crate::profile::results::ProfileResults;
use crate::report::{html, json, markdown, profile};
use crate::results::Results;
use crate::run_record::{RUN_FILE, RunRecord};
use crate::stats::SIGNIFICANCE;

/// Characters of a commit that its folder is named after, as `git log --oneline` has them.
const SHORT_COMMIT_CHARS: usize = 8;

/// `reports/runs/<utc>-<commit>/` with `run.json`, `samples.ndjson`, `results.json`, `report.md` and
/// `report.html`.
#[derive(Debug, Clone)]
pub struct RunFolder(PathBuf);

impl RunFolder {
    /// Makes a new folder in `parent`, named after the time and the commit that was built.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn create(parent: &Path, time: DateTime<Utc>, commit: &str) -> Result<Self> {
        let commit: String = commit.chars().take(SHORT_COMMIT_CHARS).collect();
        let name = format!("{}-{commit}", time.format("%Y%m%dT%H%M%SZ"));
        fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
        // Two runs may begin in the same second.
        let mut path = parent.join(&name);
        for nth in 2.. {
            match fs::create_dir(&path) {
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                    path = parent.join(format!("{name}-{nth}"));
                }
                made => {
                    made.with_context(|| format!("cannot make {}", path.display()))?;
                    break;
                }
            }
        }
        Ok(Self(path))
    }

    /// The folder of a run that was made before.
    #[must_use]
    pub fn existing(path: PathBuf) -> Self {
        Self(path)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Whether samples were to be taken for it: there are none where a run only profiles.
    #[must_use]
    pub fn has_samples(&self) -> bool {
        let journal = self.0.join(SAMPLES_FILE);
        journal.metadata().is_ok_and(|file| file.len() > 0)
            || journal.with_added_extension("gz").exists()
    }

    /// Writes `run.json`, over one that is there.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_record(&self, record: &RunRecord) -> Result<()> {
        record.write(&self.0.join(RUN_FILE))
    }

    /// Opens `samples.ndjson` to append to.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn journal(&self) -> Result<Journal> {
        Journal::open(&self.0.join(SAMPLES_FILE))
    }

    /// Reads `run.json`.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn record(&self) -> Result<RunRecord> {
        RunRecord::read(&self.0.join(RUN_FILE))
    }

    /// Reads `samples.ndjson`.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn samples(&self) -> Result<Samples> {
        Samples::read(&self.0.join(SAMPLES_FILE))
    }

    /// Computes the results of what the folder holds.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn results(&self) -> Result<Results> {
        Ok(Results::of(&self.record()?, &self.samples()?))
    }

    /// Computes the results of what the folder holds, and writes `results.json`, `report.md` and
    /// `report.html`, which say too how its quantities changed over `earlier` runs, where there are any.
    ///
    /// # Errors
    /// When a file cannot be read or written.
    pub fn report(&self, earlier: Option<&[Entry]>) -> Result<Report> {
        let (record, samples) = (self.record()?, self.samples()?);
        let history = earlier.and_then(|earlier| match Entry::all(&record, &samples) {
            Ok(own) => Some(History::up_to(&own, earlier, SIGNIFICANCE)),
            Err(error) => {
                eprintln!("warning: the report is one without a history: {error:#}");
                None
            }
        });
        let history = history.as_ref();
        let mut results = Results::of(&record, &samples);
        let profiled = Subject::all(&self.0)?.into_iter();
        results.profiles = profiled.map(|subject| subject.scenario).collect();
        let page = self.0.join(html::FILE);
        for (path, text) in [
            (self.0.join(json::FILE), json::render(&results)?),
            (
                self.0.join(markdown::FILE),
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
}

impl RunFolder {
    /// Computes the profiles that the folder holds, and writes their page, their figures and their
    /// pictures; none where there is no profile.
    ///
    /// # Errors
    /// When a file cannot be read or written.
    pub fn profiles(&self) -> Result<Option<Profiles>> {
        let records = ProfileRecord::all(&self.0)?;
        if records.is_empty() {
            return Ok(None);
        }
        let folder = self.0.join(PROFILES_FOLDER);
        let results: Vec<ProfileResults> = records
            .iter()
            .map(|record| ProfileResults::of(record, CONFIDENCE_LEVEL))
            .collect();
        for record in &records {
            let own = folder.join(folder_name(&record.subject.scenario));
            for (name, bytes) in profile::pictures(record)? {
                write(&own.join(name), &bytes)?;
            }
        }
        let page = folder.join(profile::PAGE_FILE);
        write(&page, profile::page(&results)?.as_bytes())?;
        let markdown = profile::markdown(&results);
        write(&folder.join(profile::MARKDOWN_FILE), markdown.as_bytes())?;
        let json = profile::json(&results)?;
        write(&folder.join(profile::JSON_FILE), json.as_bytes())?;
        Ok(Some(Profiles { page, results }))
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
}

/// Profiles that were just written.
#[derive(Debug)]
pub struct Profiles {
    /// Path of their page.
    pub page: PathBuf,
    /// What it says.
    pub results: Vec<ProfileResults>,
}

/// A report that was just written.
#[derive(Debug)]
pub struct Report {
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
    pub fn wrong_data(&self) -> Vec<String> {
        self.named(|outcome| match outcome {
            Outcome::WrongData { reason } => Some(reason),
            _ => None,
        })
    }

    /// Samples that did not finish, named likewise.
    #[must_use]
    pub fn failures(&self) -> Vec<String> {
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
    use super::*;
    use crate::history;
    use crate::report::example;

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
        for (earlier, told) in [(None, false), (Some(&earlier[..]), true)] {
            let page = folder.report(earlier).unwrap().page;
            for page in [page.with_extension("md"), page] {
                let text = fs::read_to_string(page).unwrap();
                assert_eq!(text.contains("13 runs, this one last"), told);
                assert_eq!(text.contains("00000005"), told, "the commit before");
            }
        }
        let folder = folder_of(parent.path(), &record, &Samples::default());
        let page = folder.report(Some(&earlier)).unwrap().page;
        let text = fs::read_to_string(page).unwrap();
        assert!(!text.contains("Over time"), "nothing was measured");
    }

    #[test]
    fn a_report_is_made_of_what_the_folder_holds() {
        let parent = tempfile::tempdir().unwrap();
        let folder = folder_of(parent.path(), &example::run_record(), &example::samples());
        assert!(folder.path().ends_with("20260101T000000Z-01234567"));

        let report = RunFolder::existing(folder.path().to_owned())
            .report(None)
            .unwrap();
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

    #[test]
    fn runs_of_the_same_second_have_folders_of_their_own() {
        let parent = tempfile::tempdir().unwrap();
        let time = DateTime::from_timestamp(0, 0).unwrap();
        let create = || RunFolder::create(parent.path(), time, "unknown").unwrap();
        let (first, second) = (create(), create());
        assert_ne!(first.path(), second.path());
        assert!(second.path().ends_with("19700101T000000Z-unknown-2"));
    }
}
