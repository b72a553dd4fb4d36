//! Programs of revisions: each is built in a worktree of its own and cached by its sources.
//!
//! All revisions are built at the same path, one after the other. The compiler uses paths in the names
//! of functions and orders functions by name, and another order alone may cost a few per cent.

mod cache;
mod worktree;

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::SystemTime;

use anyhow::{Context, Result, bail, ensure};
use sha2::{Digest, Sha256};

use self::cache::{cache_folder, prune, target_folder};
use self::worktree::Worktree;
use super::results::GatedRevision;
use crate::fingerprint::Build;

/// Programs that a revision is built for.
const PROGRAMS: [&str; 2] = ["apitap-bench", "apitap-bench-heap"];

/// Folders at the top of the repository that no program is built from.
const NO_SOURCES: [&str; 4] = [".ci", ".github", "reports", "scripts"];

/// Stands for the commit of a program that was built before.
pub(crate) const UNKNOWN_COMMIT: &str = "unknown";

/// Folder that revisions are built in, within that of the cache.
pub(crate) const SAME_FOLDER: &str = "worktree";

/// Bytes of the digest that names a cached program.
const KEY_BYTES: usize = 16;

/// What is built of a revision.
#[derive(Debug, Clone)]
pub(crate) struct Recipe {
    /// The repository, or a folder in it.
    pub repository: PathBuf,
    /// Cargo profile.
    pub profile: String,
    /// Whether its stages can be slowed down.
    pub slowdown: bool,
    /// Folder that it is built in, by name; the same for all revisions unless a test of the gate asks what
    /// another order of functions costs.
    pub folder: String,
}

/// A revision whose programs are there.
#[derive(Debug, Clone)]
pub(crate) struct BuiltRevision {
    /// Which.
    pub revision: GatedRevision,
    /// Its `apitap-bench`.
    pub program: PathBuf,
    /// How it was built.
    pub build: Build,
}

impl BuiltRevision {
    /// Programs in `folder` that are of `revision`.
    ///
    /// # Errors
    /// When one is not there.
    pub(crate) fn found(folder: &Path, revision: &GatedRevision) -> Result<Self> {
        let program = folder.join(PROGRAMS[0]);
        ensure!(program.exists(), "there is no {}", program.display());
        Ok(Self::new(program, revision.clone()))
    }

    /// A program that was built before, of a commit that nobody knows.
    ///
    /// # Errors
    /// When it is not there.
    pub(crate) fn prebuilt(program: &Path) -> Result<Self> {
        let found = program.canonicalize();
        let found = found.with_context(|| format!("there is no {}", program.display()))?;
        let revision = GatedRevision {
            named: program.display().to_string(),
            commit: UNKNOWN_COMMIT.to_owned(),
        };
        Ok(Self::new(found, revision))
    }

    fn new(program: PathBuf, revision: GatedRevision) -> Self {
        Self {
            program,
            build: Build {
                git_commit: revision.commit.clone(),
                git_dirty: None,
                ..Build::this()
            },
            revision,
        }
    }
}

impl Recipe {
    /// The commit that `named` means.
    ///
    /// # Errors
    /// When it means none.
    pub(crate) fn commit(&self, named: &str) -> Result<GatedRevision> {
        let commit = format!("{named}^{{commit}}");
        let commit = self.git(["rev-parse", "--verify", "--quiet", &commit]);
        let commit =
            commit.with_context(|| format!("{named:?} is not a revision of this repository"))?;
        Ok(GatedRevision {
            named: named.to_owned(),
            commit,
        })
    }

    /// The working tree: its commit, or, with changes to tracked files, one made of them that no
    /// branch has.
    ///
    /// # Errors
    /// When git fails.
    pub(crate) fn working_tree(&self) -> Result<GatedRevision> {
        let stash = self.git(["stash", "create"])?;
        if stash.is_empty() {
            return self.commit("HEAD");
        }
        Ok(GatedRevision {
            named: "the working tree".to_owned(),
            commit: stash,
        })
    }

    /// Whether the repository is one.
    #[must_use]
    pub(crate) fn is_repository(&self) -> bool {
        self.git(["rev-parse", "--git-dir"]).is_ok()
    }

    /// Whether both are built from the same sources, as those of a change to documents alone are.
    ///
    /// # Errors
    /// When git fails.
    pub(crate) fn has_same_sources(
        &self,
        one: &GatedRevision,
        other: &GatedRevision,
    ) -> Result<bool> {
        Ok(self.key(one)? == self.key(other)?)
    }

    /// Whether `commit` is part of the history of `of`.
    ///
    /// # Errors
    /// When git does not know one of them, as in a shallow clone.
    pub(crate) fn is_ancestor(&self, commit: &str, of: &str) -> Result<bool> {
        let mut git = Command::new("git");
        git.current_dir(&self.repository)
            .args(["merge-base", "--is-ancestor", commit, of])
            .stderr(Stdio::null());
        match git.status().context("cannot start git")?.code() {
            Some(0) => Ok(true),
            Some(1) => Ok(false),
            _ => bail!("git does not know {commit} or {of}: fetch the whole history"),
        }
    }

    /// The commits after `good` up to `bad`, the oldest first, of merges only the merge itself.
    ///
    /// # Errors
    /// When git fails.
    pub(crate) fn first_parents(&self, good: &str, bad: &str) -> Result<Vec<String>> {
        let range = format!("{good}..{bad}");
        let listed = self.git(["rev-list", "--first-parent", "--reverse", &range])?;
        Ok(listed.lines().map(str::to_owned).collect())
    }

    /// A commit with its title.
    ///
    /// # Errors
    /// When git does not know it.
    pub(crate) fn titled(&self, commit: &str) -> Result<String> {
        self.git(["show", "--no-patch", "--format=%h %s", commit])
    }

    /// The programs of `revision`, built unless they are kept from before.
    ///
    /// # Errors
    /// When it cannot be checked out or does not build.
    pub(crate) fn build(&self, revision: &GatedRevision) -> Result<BuiltRevision> {
        let cache = cache_folder()?;
        fs::create_dir_all(&cache).with_context(|| format!("cannot make {}", cache.display()))?;
        let lock = File::create(cache.join("lock")).context("cannot make the lock")?;
        lock.lock().context("cannot take the lock")?;
        let kept = cache.join("programs").join(self.key(revision)?);
        if PROGRAMS.iter().all(|program| kept.join(program).exists()) {
            // The newest programs stay in the cache.
            File::open(&kept)?.set_modified(SystemTime::now())?;
        } else {
            eprintln!("building {} ({})", revision.named, revision.commit);
            self.build_into(&kept, &cache, revision)?;
            prune(&cache.join("programs"))?;
        }
        Ok(BuiltRevision {
            program: kept.join(PROGRAMS[0]),
            build: Build {
                rustc: fs::read_to_string(kept.join("rustc"))
                    .with_context(|| format!("{} is incomplete: remove it", kept.display()))?,
                profile: self.profile.clone(),
                git_commit: revision.commit.clone(),
                git_dirty: Some(false),
                harness_version: env!("CARGO_PKG_VERSION").to_owned(),
            },
            revision: revision.clone(),
        })
    }

    /// The digest of everything that a program depends on: its sources, and how they are built. A commit
    /// that only changes documentation has the programs of the commit before.
    fn key(&self, revision: &GatedRevision) -> Result<String> {
        let is_of_build = |name: &str| {
            name == "RUSTFLAGS"
                || name == "CARGO_ENCODED_RUSTFLAGS"
                || name.starts_with("CARGO_PROFILE_")
        };
        let mut flags: Vec<(String, String)> = std::env::vars()
            .filter(|(name, _)| is_of_build(name))
            .collect();
        flags.sort();
        let tree = self.git(["ls-tree", &revision.commit])?;
        let is_source = |line: &&str| {
            let name = line.rsplit('\t').next().unwrap_or_default();
            !name.ends_with(".md") && !NO_SOURCES.contains(&name)
        };
        let sources: Vec<&str> = tree.lines().filter(is_source).collect();
        let all = format!(
            "{}\n{}\n{}\n{flags:?}\n{sources:?}",
            self.profile, self.slowdown, self.folder
        );
        let digest = Sha256::digest(all.as_bytes());
        Ok(digest[..KEY_BYTES]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect())
    }

    fn build_into(&self, kept: &Path, cache: &Path, revision: &GatedRevision) -> Result<()> {
        let worktree = Worktree::check_out(self, cache.join(&self.folder), &revision.commit)?;
        // Dependencies are shared with the checkout's own builds; its programs are left as they are.
        let intermediate = target_folder(&self.repository)?;
        let out = cache.join("out");
        let mut cargo = Command::new("cargo");
        cargo
            .current_dir(&worktree.path)
            .args(["build", "--locked", "--workspace", "--bins"])
            .args(["--profile", &self.profile])
            .env("CARGO_TARGET_DIR", &out)
            .env("CARGO_BUILD_BUILD_DIR", intermediate)
            .stdin(Stdio::null())
            // Standard output is for results.
            .stdout(std::io::stderr());
        let folder = match self.profile.as_str() {
            "dev" => "debug",
            profile => profile,
        };
        if self.slowdown {
            cargo.args(["--features", "apitap-core/slowdown"]);
        }
        let status = cargo.status().context("cannot start cargo")?;
        ensure!(
            status.success(),
            "{} does not build: see cargo's messages above",
            revision.named
        );
        let rustc = output(
            Command::new("rustc")
                .current_dir(&worktree.path)
                .arg("--version"),
        )?;
        // Under another name until it is complete, so that a partial copy is never used.
        let unfinished = kept.with_added_extension("unfinished");
        let _ = fs::remove_dir_all(&unfinished);
        fs::create_dir_all(&unfinished)
            .with_context(|| format!("cannot make {}", unfinished.display()))?;
        fs::write(unfinished.join("rustc"), rustc)?;
        for program in PROGRAMS {
            let built = out.join(folder).join(program);
            fs::copy(&built, unfinished.join(program))
                .with_context(|| format!("cannot keep {}", built.display()))?;
        }
        let _ = fs::remove_dir_all(kept);
        fs::rename(&unfinished, kept).with_context(|| format!("cannot make {}", kept.display()))
    }

    fn git<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Result<String> {
        output(
            Command::new("git")
                .current_dir(&self.repository)
                .args(arguments),
        )
    }
}

/// What a command prints.
fn output(command: &mut Command) -> Result<String> {
    let program = command.get_program().to_owned();
    let program = program.to_string_lossy();
    let output = command
        .output()
        .with_context(|| format!("cannot start {program}"))?;
    if !output.status.success() {
        let arguments: Vec<&OsStr> = command.get_args().collect();
        let stderr = String::from_utf8_lossy(&output.stderr);
        bail!("{program} {arguments:?} failed: {}", stderr.trim());
    }
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(folder: &Path, arguments: &[&str]) -> String {
        let identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"];
        let mut git = Command::new("git");
        output(git.current_dir(folder).args(identity).args(arguments)).unwrap()
    }

    fn repository() -> (tempfile::TempDir, Recipe) {
        let folder = tempfile::tempdir().unwrap();
        run(folder.path(), &["init", "--quiet"]);
        for text in ["one", "two"] {
            fs::write(folder.path().join("file"), text).unwrap();
            run(folder.path(), &["add", "file"]);
            run(folder.path(), &["commit", "--quiet", "-m", text]);
        }
        let recipe = Recipe {
            repository: folder.path().to_owned(),
            profile: "dev".to_owned(),
            slowdown: false,
            folder: SAME_FOLDER.to_owned(),
        };
        (folder, recipe)
    }

    #[test]
    fn revisions_are_identified_by_their_commits() {
        let (folder, recipe) = repository();
        let (head, before) = (
            recipe.commit("HEAD").unwrap(),
            recipe.commit("HEAD~1").unwrap(),
        );
        assert_eq!(head.commit.len(), 40);
        assert_ne!(head.commit, before.commit);
        assert!(recipe.is_ancestor(&before.commit, &head.commit).unwrap());
        assert!(!recipe.is_ancestor(&head.commit, &before.commit).unwrap());
        let after = recipe.first_parents(&before.commit, &head.commit).unwrap();
        assert_eq!(after, std::slice::from_ref(&head.commit));
        assert!(recipe.titled(&head.commit).unwrap().ends_with(" two"));
        recipe.is_ancestor("0123456", &head.commit).unwrap_err();
        let error = recipe.commit("nothing").unwrap_err().to_string();
        assert_eq!(error, "\"nothing\" is not a revision of this repository");
        drop(folder);
    }

    #[test]
    fn a_folder_outside_of_a_repository_is_noticed() {
        let (folder, recipe) = repository();
        assert!(recipe.is_repository());
        fs::remove_dir_all(folder.path().join(".git")).unwrap();
        assert!(!recipe.is_repository());
    }

    #[test]
    fn changes_that_are_not_committed_are_a_revision_and_stay_where_they_are() {
        let (folder, recipe) = repository();
        let head = recipe.commit("HEAD").unwrap();
        assert_eq!(recipe.working_tree().unwrap(), head);
        // `stash create` makes a commit, for which git wants to know of whom.
        run(folder.path(), &["config", "user.name", "t"]);
        run(folder.path(), &["config", "user.email", "t@example.org"]);
        let file = folder.path().join("file");
        fs::write(&file, "three").unwrap();
        let changed = recipe.working_tree().unwrap();
        assert_ne!(changed.commit, head.commit);
        assert_eq!(fs::read_to_string(&file).unwrap(), "three");
        let checkout = folder.path().join("elsewhere");
        let worktree = Worktree::check_out(&recipe, checkout.clone(), &changed.commit).unwrap();
        let there = fs::read_to_string(checkout.join("file")).unwrap();
        assert_eq!(there, "three");
        drop(worktree);
        assert!(!checkout.exists());
    }

    #[test]
    fn programs_are_kept_by_their_sources_and_by_how_they_are_built() {
        let (folder, recipe) = repository();
        let head = recipe.commit("HEAD").unwrap();
        let slow = Recipe {
            slowdown: true,
            ..recipe.clone()
        };
        let key = recipe.key(&head).unwrap();
        assert_ne!(key, slow.key(&head).unwrap());
        let elsewhere = Recipe {
            folder: "elsewhere".to_owned(),
            ..recipe.clone()
        };
        assert_ne!(key, elsewhere.key(&head).unwrap());
        assert_ne!(key, recipe.key(&recipe.commit("HEAD~1").unwrap()).unwrap());
        fs::write(folder.path().join("README.md"), "text").unwrap();
        run(folder.path(), &["add", "README.md"]);
        run(folder.path(), &["commit", "--quiet", "-m", "docs"]);
        let documented = recipe.commit("HEAD").unwrap();
        assert_ne!(documented, head);
        assert_eq!(recipe.key(&documented).unwrap(), key);
        assert!(recipe.has_same_sources(&head, &documented).unwrap());
    }
}
