//! Of which commit an arm is.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::environment::fingerprint::Build;
use crate::gate::GatedRevision;

/// What a gate found, in its folder.
const GATE_FILE: &str = "gate.json";

/// A commit, and whether something was added to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// Its whole hash.
    pub hash: String,
    /// Whether the tree held uncommitted changes; `None` where that is not known.
    pub is_dirty: Option<bool>,
}

/// The commits of the arms of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commits {
    build: Commit,
    by_arm: BTreeMap<String, Commit>,
}

impl Commits {
    /// Those of the run in `folder`, whose program is of `build`: all arms are of that commit, but
    /// those of a gate, `base` and `head`, of the commits that it names.
    ///
    /// # Errors
    /// When there is a `gate.json` and it does not name both.
    pub fn of(folder: &Path, build: &Build) -> Result<Self> {
        let path = folder.join(GATE_FILE);
        let by_arm = if path.exists() {
            let text = fs::read_to_string(&path)
                .with_context(|| format!("cannot read {}", path.display()))?;
            gated(&text).with_context(|| format!("{} names no commits", path.display()))?
        } else {
            BTreeMap::new()
        };
        Ok(Self {
            build: Commit {
                hash: build.git_commit.clone(),
                is_dirty: build.git_dirty,
            },
            by_arm,
        })
    }

    /// That of the arm of this name.
    #[must_use]
    pub fn of_arm(&self, arm: &str) -> &Commit {
        self.by_arm.get(arm).unwrap_or(&self.build)
    }
}

fn gated(text: &str) -> Result<BTreeMap<String, Commit>> {
    /// The rest of what a gate says does not matter here, whatever its version.
    #[derive(Deserialize)]
    struct Revisions {
        base: GatedRevision,
        head: GatedRevision,
    }
    let Revisions { base, head } = serde_json::from_str(text)?;
    let arms = [("base", base), ("head", head)];
    let commit = |revision: GatedRevision| Commit {
        hash: revision.commit,
        is_dirty: None,
    };
    Ok(arms.map(|(arm, one)| (arm.to_owned(), commit(one))).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::example::fingerprint;

    #[test]
    fn the_arms_of_a_gate_are_of_the_commits_that_it_names() {
        let folder = tempfile::tempdir().unwrap();
        let build = fingerprint().build;
        let commits = Commits::of(folder.path(), &build).unwrap();
        assert_eq!(commits.of_arm("head").hash, build.git_commit);
        assert_eq!(commits.of_arm("head").is_dirty, Some(false));

        let gate = folder.path().join(GATE_FILE);
        let text = r#"{
            "schema_version": 1, "anything": [1.5],
            "base": {"named": "main", "commit": "b1"}, "head": {"named": "HEAD", "commit": "a2"}
        }"#;
        fs::write(&gate, text).unwrap();
        let commits = Commits::of(folder.path(), &build).unwrap();
        let hash = |arm| commits.of_arm(arm).hash.as_str();
        assert_eq!((hash("base"), hash("head")), ("b1", "a2"));
        assert_eq!(hash("insert"), build.git_commit);

        fs::write(&gate, r#"{"head": {"named": "HEAD", "commit": "a2"}}"#).unwrap();
        let error = Commits::of(folder.path(), &build).unwrap_err();
        assert!(error.to_string().ends_with("names no commits"), "{error}");
    }
}
