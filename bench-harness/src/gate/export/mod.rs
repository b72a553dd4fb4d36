//! What people and programs read of a gate. Every output is pure: [`GateResults`] in, text out;
//! [`write_all`] alone touches files.
//!
//! | file | who reads it |
//! |---|---|
//! | `gate.json` | programs; its layout is `reports/schema/gate.schema.json` |
//! | `junit.xml` | whatever shows tests: failures are what must be fixed |
//! | `summary.md` | people, as the summary of a job and as a comment |
//! | `bmf.json` | Bencher |
//!
//! `document` arranges what people read, and `text` has the words and digits that all share.

mod bmf;
mod document;
mod json;
mod junit;
mod markdown;
mod terminal;
mod text;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::{Check, GateResults, GatedScenario, ScenarioOutcome};
use crate::atomic_write;

pub(crate) use terminal::render;

/// Writes every file of `results` into `folder`, which is made if it is not there, and returns
/// their paths in the order in which they were written. Files of an earlier gate are replaced.
///
/// # Errors
/// When the folder or a file cannot be written.
pub(crate) fn write_all(results: &GateResults, folder: &Path) -> Result<Vec<PathBuf>> {
    fs::create_dir_all(folder).with_context(|| {
        format!(
            "cannot make {}; name another folder for the gate's files",
            folder.display()
        )
    })?;
    let files = [
        (json::FILE, json::render(results)?),
        (junit::FILE, junit::render(results)?),
        (markdown::FILE, markdown::render(results)),
        (bmf::FILE, bmf::render(results)?),
    ];
    files
        .into_iter()
        .map(|(name, text)| {
            let path = folder.join(name);
            atomic_write::write(&path, &text)?;
            Ok(path)
        })
        .collect()
}

/// The checks of `scenario` that say anything: none of a load that left wrong data, as that is
/// another task.
fn believed(scenario: &GatedScenario) -> &[Check] {
    match scenario.outcome {
        ScenarioOutcome::WrongData { .. } => &[],
        _ => &scenario.checks,
    }
}

/// The believed checks of `scenario` that have a figure of `side`, with it.
fn figures<'a>(
    scenario: &'a GatedScenario,
    side: impl Fn(&Check) -> Option<f64> + 'a,
) -> impl Iterator<Item = (&'a Check, f64)> + 'a {
    believed(scenario).iter().filter_map(move |check| {
        let value = side(check).filter(|value| value.is_finite())?;
        Some((check, value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::example;

    #[test]
    fn every_file_is_written_and_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("a/gate");
        write_all(&example::results(), &inner).unwrap();
        let paths = write_all(&example::results_that_passed(), &inner).unwrap();
        let names: Vec<_> = paths
            .iter()
            .map(|path| path.file_name().unwrap().to_str().unwrap())
            .collect();
        assert_eq!(names, ["gate.json", "junit.xml", "summary.md", "bmf.json"]);
        for path in &paths {
            let text = fs::read_to_string(path).unwrap();
            assert!(text.ends_with('\n'), "{}", path.display());
            assert!(!text.contains("copy-binary"), "{}", path.display());
        }
        assert_eq!(fs::read_dir(&inner).unwrap().count(), paths.len());
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let folder = file.path().join("gate");
        let error = write_all(&example::results(), &folder).unwrap_err();
        let text = format!("{error:#}");
        assert!(text.contains(folder.to_str().unwrap()), "{text}");
    }
}
