//! `pipelines.yaml`: where rows come from and where they go.
//!
//! [`PipelineFile::parse`] reads text and environment, and checks everything that can be
//! checked without a network. Errors name the line; they never quote the file, because it may
//! hold passwords.

mod build;
mod engine_block;
mod raw;
#[cfg(test)]
mod tests;

use std::path::Path;

use chrono::NaiveDate;

pub use self::engine_block::EngineBlock;
use crate::error::{Error, ErrorKind, Result, Stage};
use crate::source::SourceSpec;
use crate::write::TargetSpec;

/// A checked pipeline file.
#[derive(Debug, Clone)]
pub struct PipelineFile {
    /// APIs, in the file's order; names are unique.
    pub sources: Vec<SourceSpec>,
    /// Databases, in the file's order; names are unique.
    pub targets: Vec<TargetSpec>,
    /// The preset that `engine.preset` names.
    pub preset: Option<String>,
    /// `engine.settings` as `stage.knob=value`, to be applied to the preset.
    pub settings: Vec<String>,
    /// What lacks a variable of the environment.
    unset: Unset,
}

/// Sources and targets that cannot be used here, by name, and why.
#[derive(Debug, Clone, Default)]
struct Unset {
    sources: Vec<(String, Error)>,
    targets: Vec<(String, Error)>,
}

impl PipelineFile {
    /// Reads a file, with the process's environment and today's date in UTC.
    ///
    /// # Errors
    /// As [`PipelineFile::parse`], and a file that cannot be read.
    pub fn load(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|cause| {
            Error::new(ErrorKind::Config, Stage::Config, "the file cannot be read")
                .at(path.display())
                .hint("name the pipeline file with --yaml-config")
                .caused_by(cause)
        })?;
        let env = |name: &str| std::env::var(name).ok();
        let at = |error: Error| error.at(path.display());
        let mut file = Self::parse(&text, &env, chrono::Utc::now().date_naive()).map_err(at)?;
        let Unset { sources, targets } = &mut file.unset;
        for (_, error) in sources.iter_mut().chain(targets) {
            *error = at(error.clone());
        }
        Ok(file)
    }

    /// Reads text; `env` looks up `${VAR}` and `today` is the value of `current_date()`.
    ///
    /// # Errors
    /// Anything that is not as documented, with its line: YAML, an unknown or duplicate key, a
    /// duplicate name, a malformed URL, pointer or header. A source or target whose variable is unset
    /// is an error for those who ask for it.
    pub fn parse(
        text: &str,
        env: &dyn Fn(&str) -> Option<String>,
        today: NaiveDate,
    ) -> Result<Self> {
        let file = raw::parse(text)?;
        build::file(file, crate::template::Context { env, today })
    }

    /// The source of that name.
    ///
    /// # Errors
    /// A source whose variables are not set, of kind `Environment`; an unknown name: the error lists the
    /// known ones.
    pub fn source(&self, name: &str) -> Result<&SourceSpec> {
        let found = self.sources.iter().find(|source| source.name == name);
        found.ok_or_else(|| {
            let usable = self.sources.iter().map(|it| &it.name);
            missing("source", name, &self.unset.sources, usable)
        })
    }

    /// The target of that name.
    ///
    /// # Errors
    /// As [`PipelineFile::source`].
    pub fn target(&self, name: &str) -> Result<&TargetSpec> {
        let found = self.targets.iter().find(|target| target.name == name);
        found.ok_or_else(|| {
            let usable = self.targets.iter().map(|it| &it.name);
            missing("target", name, &self.unset.targets, usable)
        })
    }
}

/// Why there is no such source or target.
fn missing<'a>(
    what: &str,
    name: &str,
    unset: &'a [(String, Error)],
    usable: impl Iterator<Item = &'a String>,
) -> Error {
    match unset.iter().find(|(unset, _)| unset == name) {
        Some((_, error)) => error.clone(),
        None => unknown(what, name, usable.chain(unset.iter().map(|(name, _)| name))),
    }
}

fn unknown<'a>(what: &str, name: &str, known: impl Iterator<Item = &'a String>) -> Error {
    let known: Vec<_> = known.map(String::as_str).collect();
    let hint = match known.is_empty() {
        true => format!("the pipeline file has no {what}s"),
        false => format!("the pipeline file has {}", known.join(", ")),
    };
    Error::new(
        ErrorKind::Config,
        Stage::Config,
        format!("unknown {what} `{name}`"),
    )
    .hint(hint)
}
