//! A checkout of a revision, apart from the working tree.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use super::Recipe;

/// A checkout that is removed when it is dropped.
pub(super) struct Worktree<'a> {
    recipe: &'a Recipe,
    pub(super) path: PathBuf,
}

impl<'a> Worktree<'a> {
    pub(super) fn check_out(recipe: &'a Recipe, path: PathBuf, commit: &str) -> Result<Self> {
        let this = Self { recipe, path };
        // What a killed process left behind.
        this.remove();
        let path = this.path.to_str().context("a path is not UTF-8")?;
        let added = recipe.git(["worktree", "add", "--force", "--detach", path, commit]);
        added.with_context(|| format!("cannot check out {commit}"))?;
        Ok(this)
    }

    fn remove(&self) {
        if let Some(path) = self.path.to_str() {
            let _ = self.recipe.git(["worktree", "remove", "--force", path]);
        }
        let _ = fs::remove_dir_all(&self.path);
        let _ = self.recipe.git(["worktree", "prune"]);
    }
}

impl Drop for Worktree<'_> {
    fn drop(&mut self) {
        self.remove();
    }
}
