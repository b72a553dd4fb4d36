//! Where built programs are kept, and which ones.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};

use super::output;

/// Revisions that are kept; a pair of programs takes some 300 MB.
const KEPT: usize = 8;

/// Programs that another gate chose so recently may still run there.
const IN_USE: Duration = Duration::from_secs(3 * 60 * 60);

/// `APITAP_GATE_CACHE`, or a folder of the user's cache.
pub(super) fn cache_folder() -> Result<PathBuf> {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    if let Some(stated) = variable("APITAP_GATE_CACHE") {
        return std::path::absolute(stated).context("APITAP_GATE_CACHE is not a path");
    }
    let cache = variable("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(variable("HOME")?).join(".cache")));
    let cache = cache.context("there is no HOME: name a folder in APITAP_GATE_CACHE")?;
    Ok(cache.join("apitap").join("gate"))
}

/// Where the checkout's own builds are.
pub(super) fn target_folder(repository: &Path) -> Result<PathBuf> {
    if let Some(stated) = std::env::var_os("CARGO_TARGET_DIR") {
        return std::path::absolute(stated).context("CARGO_TARGET_DIR is not a path");
    }
    let mut git = Command::new("git");
    let top = output(
        git.current_dir(repository)
            .args(["rev-parse", "--show-toplevel"]),
    )?;
    Ok(Path::new(&top).join("target"))
}

/// Removes all but the newest of the kept programs, and none that may be in use.
pub(super) fn prune(programs: &Path) -> Result<()> {
    let mut kept: Vec<(SystemTime, PathBuf)> = Vec::new();
    for entry in fs::read_dir(programs)? {
        let entry = entry?;
        kept.push((entry.metadata()?.modified()?, entry.path()));
    }
    kept.sort();
    let old = kept.len().saturating_sub(KEPT);
    let in_use = SystemTime::now() - IN_USE;
    for (_, folder) in kept[..old].iter().filter(|(used, _)| *used < in_use) {
        fs::remove_dir_all(folder)
            .with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    #[test]
    fn the_oldest_programs_go_unless_they_may_be_in_use() {
        let folder = tempfile::tempdir().unwrap();
        for nth in 0..KEPT + 3 {
            let one = folder.path().join(nth.to_string());
            fs::create_dir(&one).unwrap();
            let unused = if nth < 2 { IN_USE } else { Duration::ZERO };
            let age = unused + Duration::from_secs(1_000 - nth as u64);
            File::open(&one)
                .unwrap()
                .set_modified(SystemTime::now() - age)
                .unwrap();
        }
        prune(folder.path()).unwrap();
        let left = |nth: usize| folder.path().join(nth.to_string()).exists();
        assert_eq!([0, 1, 2, 3].map(left), [false, false, true, true]);
    }
}
