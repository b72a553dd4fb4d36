//! What is compared: experiments as files, and the scenarios that follow from them.
//!
//! An experiment is a claim and the change that it is about (`fixtures/experiments/*.toml`). Where
//! it stands on the presets, the change is measured twice: added alone to `before`, and, because
//! the baseline then is `tuned` without it, taken alone out of `tuned`.

mod definition;
mod plan;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(crate) use definition::configured;
pub(crate) use definition::{
    API_ROUND_TRIP, Arm, Attachment, Definition, POSTGRES_ROUND_TRIP, Parameter, SCRATCH, Vary,
};
pub use plan::{ArmPlan, Revision, ScenarioPlan};
pub(crate) use plan::{LoadPlan, Setting};

/// The experiment whose arms are identical; part of every run.
pub const IDENTICAL: &str = "a-a";

/// The folder of experiments within the repository.
const FOLDER: &str = "fixtures/experiments";

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
    /// The exact interval of n blocks reaches 1 - 2^(1-n): 10 are the fewest for the largest family of
    /// claims after Holm, 16 allow for lost blocks and narrow the interval for a claim. All are even,
    /// as the schedule wants.
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

    /// Reads every `*.toml` of `folder`, in the order of their names, identical arms first.
    ///
    /// # Errors
    /// When the folder cannot be read, or a file is no valid experiment.
    pub fn all(folder: &Path) -> Result<Vec<Self>> {
        let entries = std::fs::read_dir(folder)
            .with_context(|| format!("cannot read the experiments in {}", folder.display()))?;
        let mut paths = Vec::new();
        for entry in entries {
            let path = entry?.path();
            if path
                .extension()
                .is_some_and(|extension| extension == "toml")
            {
                paths.push(path);
            }
        }
        paths.sort();
        let mut experiments = paths
            .iter()
            .map(|path| Self::read(path))
            .collect::<Result<Vec<_>>>()?;
        ensure!(
            experiments.iter().any(|one| one.id() == IDENTICAL),
            "{} has no {IDENTICAL}.toml: without identical arms no difference can be trusted",
            folder.display()
        );
        experiments.sort_by_key(|one| one.id() != IDENTICAL);
        Ok(experiments)
    }

    fn read(path: &Path) -> Result<Self> {
        let parse = || {
            let definition = Definition::parse(&std::fs::read_to_string(path)?)?;
            let stem = path.file_stem().unwrap_or_default();
            ensure!(
                stem == definition.id.as_str(),
                "id: {:?} is not the file's name",
                definition.id
            );
            Ok(Self { definition })
        };
        parse().with_context(|| format!("in the experiment {}", path.display()))
    }

    /// `folder` if one is named, else the repository's: below the current folder, or where this
    /// program was built.
    ///
    /// # Errors
    /// When there is none.
    pub fn folder(named: Option<PathBuf>) -> Result<PathBuf> {
        let built_from = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("..")
            .join(FOLDER);
        let places = named.map_or_else(
            || vec![PathBuf::from(FOLDER), built_from],
            |named| vec![named],
        );
        match places.iter().find(|place| place.is_dir()) {
            Some(place) => Ok(place.clone()),
            None => bail!(
                "there is no folder {}: name that of the experiments with --experiments",
                places[0].display()
            ),
        }
    }
}

#[cfg(test)]
mod tests;
