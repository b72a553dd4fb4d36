//! Finding installed server binaries.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

/// A folder with `postgres` and `initdb` in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerBinaries {
    /// The folder.
    pub dir: PathBuf,
    /// What `postgres --version` prints, such as `postgres (PostgreSQL) 17.2`.
    pub version: String,
}

impl ServerBinaries {
    /// The binaries to use: those in `dir` where given, then those in
    /// `APITAP_PG_BIN`, then the first of [`installed_binaries`].
    pub(super) fn locate(dir: Option<&Path>) -> Result<Self> {
        if let Some(dir) = dir {
            return Self::in_dir(dir);
        }
        if let Some(dir) = env::var_os("APITAP_PG_BIN").filter(|dir| !dir.is_empty()) {
            return Self::in_dir(Path::new(&dir)).context("APITAP_PG_BIN is set but of no use");
        }
        installed_binaries().into_iter().next().context(
            "no PostgreSQL server binaries in /usr/lib/postgresql or PATH: \
             run scripts/setup, or set APITAP_PG_BIN to their folder",
        )
    }

    pub(super) fn initdb(&self) -> PathBuf {
        self.dir.join("initdb")
    }

    pub(super) fn postgres(&self) -> PathBuf {
        self.dir.join("postgres")
    }

    fn in_dir(dir: &Path) -> Result<Self> {
        let postgres = dir.join("postgres");
        if !dir.join("initdb").is_file() || !postgres.is_file() {
            bail!("{} does not hold both postgres and initdb", dir.display());
        }
        let output = Command::new(&postgres)
            .arg("--version")
            .output()
            .with_context(|| format!("cannot run {}", postgres.display()))?;
        if !output.status.success() {
            bail!(
                "{} does not run: {}",
                postgres.display(),
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        // Where links lead: a link to the same server is not another one, and a
        // relative folder would mean nothing in the server's working folder.
        let real = postgres
            .canonicalize()
            .with_context(|| format!("cannot resolve {}", postgres.display()))?;
        let dir = real
            .parent()
            .filter(|dir| dir.join("initdb").is_file())
            .with_context(|| format!("there is no initdb beside {}", real.display()))?
            .to_path_buf();
        let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        Ok(Self { dir, version })
    }
}

/// Every usable set of binaries where packages put them, newest first, then on `PATH`.
pub fn installed_binaries() -> Vec<ServerBinaries> {
    let mut versioned: Vec<(f64, PathBuf)> = Path::new("/usr/lib/postgresql")
        .read_dir()
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let version = entry.file_name().to_str()?.parse().ok()?;
            Some((version, entry.path().join("bin")))
        })
        .collect();
    versioned.sort_by(|a, b| b.0.total_cmp(&a.0));
    let on_path = env::var_os("PATH").unwrap_or_default();
    let mut found: Vec<ServerBinaries> = Vec::new();
    let dirs = versioned.into_iter().map(|(_, dir)| dir);
    for dir in dirs.chain(env::split_paths(&on_path)) {
        if let Ok(binaries) = ServerBinaries::in_dir(&dir)
            && !found.contains(&binaries)
        {
            found.push(binaries);
        }
    }
    found
}
