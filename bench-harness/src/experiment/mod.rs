//! What is compared: experiments as files, and the scenarios that follow from them.
//!
//! An experiment is a claim and a change (`fixtures/experiments/*.toml`). An experiment on the presets
//! measures the change twice: added alone to `before`, and taken alone out of `tuned` (the baseline is
//! then `tuned` without it).

mod definition;
mod plan;

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use include_dir::{Dir, include_dir};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(crate) use definition::configured;
pub(crate) use definition::{
    API_ROUND_TRIP, Arm, Attachment, Definition, POSTGRES_ROUND_TRIP, Parameter, ROWS, SCRATCH,
    Setting, TABLE, TableForm, Touched, Value, Vary, WORKLOAD,
};
pub(crate) use plan::LoadPlan;
pub use plan::{ArmPlan, Revision, ScenarioPlan};

/// The experiment whose arms are identical; part of every run.
pub const IDENTICAL: &str = "a-a";

/// The folder of experiments in the repository.
const FOLDER: &str = "fixtures/experiments";

/// Its files, so that the program also runs elsewhere.
static BUILT_IN: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../fixtures/experiments");

/// An experiment that was read from its file.
#[derive(Debug, Clone, PartialEq)]
pub struct Experiment {
    /// What its file says.
    pub definition: Definition,
}

/// How much time a run may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scale {
    /// Minutes: the key experiments, without grids and without a second measurement.
    Quick,
    /// For a decision: every experiment.
    Default,
    /// For a claim: blocks enough for small differences.
    Full,
}

impl Scale {
    /// Blocks of a scenario.
    ///
    /// 10 are five sessions, one more than an interval needs, or in one session the fewest for the largest family
    /// of claims after Holm; 16 are eight sessions, beyond which the quantile of t hardly falls. All are even, as
    /// the schedule wants.
    #[must_use]
    pub fn blocks(self) -> usize {
        match self {
            Self::Quick | Self::Default => 10,
            Self::Full => 16,
        }
    }
}

impl Experiment {
    /// Name, unique.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.definition.id
    }

    /// Reads every `*.toml` file, in the order of their names, identical arms first.
    ///
    /// # Errors
    /// When the folder cannot be read, or a file is no valid experiment.
    pub fn all(files: &ExperimentFiles) -> Result<Vec<Self>> {
        let mut files_read = files.read()?;
        files_read.sort();
        let mut experiments = files_read
            .iter()
            .map(|(path, text)| {
                Self::parse(path, text)
                    .with_context(|| format!("in the experiment {}", path.display()))
            })
            .collect::<Result<Vec<_>>>()?;
        ensure!(
            experiments.iter().any(|one| one.id() == IDENTICAL),
            "{files}: there is no {IDENTICAL}.toml, and without identical arms no difference can be trusted"
        );
        experiments.sort_by_key(|one| one.id() != IDENTICAL);
        Ok(experiments)
    }

    fn parse(path: &Path, text: &str) -> Result<Self> {
        let definition = Definition::parse(text)?;
        let stem = path.file_stem().unwrap_or_default();
        ensure!(
            stem == definition.id.as_str(),
            "id: {:?} is not the file's name",
            definition.id
        );
        Ok(Self { definition })
    }
}

/// Where the files of experiments come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExperimentFiles {
    /// A folder.
    Folder(PathBuf),
    /// The program itself, which holds those of the repository that it was built from.
    BuiltIn,
}

impl ExperimentFiles {
    /// `named` if there is one, else the folder below the current one, else those built in.
    #[must_use]
    pub fn find(named: Option<PathBuf>) -> Self {
        match named {
            Some(folder) => Self::Folder(folder),
            None if Path::new(FOLDER).is_dir() => Self::Folder(FOLDER.into()),
            None => Self::BuiltIn,
        }
    }

    /// Paths with their texts.
    fn read(&self) -> Result<Vec<(PathBuf, String)>> {
        let folder = match self {
            Self::BuiltIn => {
                let texts = BUILT_IN.files().filter_map(|file| {
                    Some((file.path().to_owned(), file.contents_utf8()?.to_owned()))
                });
                return Ok(texts.collect());
            }
            Self::Folder(folder) => folder,
        };
        let entries = std::fs::read_dir(folder)
            .with_context(|| format!("cannot read the experiments in {}", folder.display()))?;
        let mut files = Vec::new();
        for entry in entries {
            let path = entry?.path();
            if path
                .extension()
                .is_some_and(|extension| extension == "toml")
            {
                let text = std::fs::read_to_string(&path)
                    .with_context(|| format!("cannot read {}", path.display()))?;
                files.push((path, text));
            }
        }
        Ok(files)
    }
}

impl fmt::Display for ExperimentFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(folder) => write!(f, "{}", folder.display()),
            Self::BuiltIn => f.write_str("this program (built in)"),
        }
    }
}

#[cfg(test)]
mod fuzz_tests;
#[cfg(test)]
mod tests;
