//! What must be equal before two results may be compared.

use std::{collections::BTreeMap, fs, path::Path, process::Command};

use serde::{Deserialize, Serialize};

use testkit::postgres::{PgStorage, PostgresServer};

/// Machine, build and server of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// The machine that ran everything.
    pub machine: Machine,
    /// The build that was measured.
    pub build: Build,
    /// The server that was loaded; `None` for a run without one.
    pub server: Option<Server>,
}

/// The machine, as the kernel describes it; `unknown` where it does not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// Model name of the first core.
    pub cpu_model: String,
    /// Cores that this process may use, after affinity and cgroup limits, and those that only the server uses.
    pub cores: usize,
    /// Memory that the kernel manages.
    pub memory_bytes: u64,
    /// Kernel release.
    pub kernel: String,
    /// Name and version of the distribution.
    pub os: String,
}

/// How the measuring program was built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Build {
    /// What `rustc --version` printed.
    pub rustc: String,
    /// Cargo profile: `dev` builds are in a folder named `debug`.
    pub profile: String,
    /// Commit that was checked out during the build.
    pub git_commit: String,
    /// Whether the tree held uncommitted changes, or another commit, when this
    /// fingerprint was taken; `None` where the sources or git are not there.
    pub git_dirty: Option<bool>,
    /// Version of this harness.
    pub harness_version: String,
}

/// The server that was loaded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Server {
    /// `docker`, `local` or `url`.
    pub kind: String,
    /// `server_version` as the server states it.
    pub version: String,
    /// What holds the data folder; unknown for a server by URL.
    pub storage: Option<PgStorage>,
    /// Digest of a container's image.
    pub image_digest: Option<String>,
    /// The settings that change what a load costs.
    pub settings: BTreeMap<String, String>,
}

/// Two boots of one machine reserve a little more or less for the kernel.
const MEMORY_TOLERANCE: f64 = 0.02;

impl Fingerprint {
    /// The fingerprint of this process on this machine, with `server` where there is one.
    pub fn take(server: Option<&PostgresServer>) -> Self {
        let mut machine = Machine::this();
        machine.cores += server.map_or(0, PostgresServer::own_cores);
        Self {
            machine,
            build: Build::this(),
            server: server.map(Server::new),
        }
    }

    /// The fields that keep results of `self` and `other` from being compared,
    /// each as `field: mine, theirs`; empty when they may be.
    ///
    /// Commit, dirty flag and harness version are left out: those are what a
    /// comparison is about.
    pub fn incomparable_with(&self, other: &Self) -> Vec<String> {
        let mut differing = Differences::default();
        let (mine, theirs) = (&self.machine, &other.machine);
        differing.note("cpu model", &mine.cpu_model, &theirs.cpu_model);
        differing.note("cores", mine.cores, theirs.cores);
        if !nearly_equal(mine.memory_bytes, theirs.memory_bytes) {
            differing.note("memory bytes", mine.memory_bytes, theirs.memory_bytes);
        }
        differing.note("kernel", &mine.kernel, &theirs.kernel);
        differing.note("os", &mine.os, &theirs.os);
        differing.note("rustc", &self.build.rustc, &other.build.rustc);
        differing.note("build profile", &self.build.profile, &other.build.profile);
        match (&self.server, &other.server) {
            (Some(mine), Some(theirs)) => mine.note_differences(theirs, &mut differing),
            (None, None) => {}
            (mine, theirs) => {
                let presence =
                    |server: &Option<Server>| if server.is_some() { "there" } else { "none" };
                differing.note("server", presence(mine), presence(theirs));
            }
        }
        differing.0
    }
}

impl Machine {
    fn this() -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        Self {
            cpu_model: known(value_of(&read("/proc/cpuinfo"), "model name", ':')),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_bytes: memory_bytes(&read("/proc/meminfo")).unwrap_or(0),
            kernel: known(Some(read("/proc/sys/kernel/osrelease").trim().to_owned())),
            os: known(value_of(&read("/etc/os-release"), "PRETTY_NAME", '=')),
        }
    }
}

impl Build {
    /// That of this program.
    pub(crate) fn this() -> Self {
        let commit = env!("APITAP_BUILD_COMMIT");
        Self {
            rustc: known(Some(env!("APITAP_BUILD_RUSTC").to_owned())),
            profile: known(Some(env!("APITAP_BUILD_PROFILE").to_owned())),
            git_commit: known(Some(commit.to_owned())),
            git_dirty: is_dirty(Path::new(env!("CARGO_MANIFEST_DIR")), commit),
            harness_version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }
}

impl Server {
    fn new(server: &PostgresServer) -> Self {
        Self {
            kind: server.kind().to_owned(),
            version: server.version().to_owned(),
            storage: server.storage(),
            image_digest: server.image_digest().map(str::to_owned),
            settings: server.settings().clone(),
        }
    }

    fn note_differences(&self, other: &Self, differing: &mut Differences) {
        differing.note("server kind", &self.kind, &other.kind);
        differing.note("server version", &self.version, &other.version);
        let storage = |server: &Self| known(server.storage.map(|storage| storage.to_string()));
        differing.note("server storage", storage(self), storage(other));
        let digest = |server: &Self| server.image_digest.clone().unwrap_or("none".to_owned());
        differing.note("server image", digest(self), digest(other));
        let setting = |server: &Self, name: &str| {
            server
                .settings
                .get(name)
                .cloned()
                .unwrap_or("none".to_owned())
        };
        let mut names: Vec<&String> = self.settings.keys().chain(other.settings.keys()).collect();
        names.sort();
        names.dedup();
        for name in names {
            let label = format!("server setting {name}");
            differing.note(&label, setting(self, name), setting(other, name));
        }
    }
}

#[derive(Default)]
struct Differences(Vec<String>);

impl Differences {
    fn note<T: PartialEq + std::fmt::Display>(&mut self, field: &str, mine: T, theirs: T) {
        if mine != theirs {
            self.0.push(format!("{field}: {mine}, {theirs}"));
        }
    }
}

fn nearly_equal(a: u64, b: u64) -> bool {
    a.abs_diff(b) as f64 <= a.max(b) as f64 * MEMORY_TOLERANCE
}

fn known(value: Option<String>) -> String {
    value
        .filter(|value| !value.is_empty())
        .unwrap_or_else(|| "unknown".to_owned())
}

/// The value of the first `name <separator> value` line, without quotes.
fn value_of(text: &str, name: &str, separator: char) -> Option<String> {
    text.lines().find_map(|line| {
        let (key, value) = line.split_once(separator)?;
        (key.trim() == name).then(|| value.trim().trim_matches('"').to_owned())
    })
}

/// `MemTotal` of a `/proc/meminfo` text, which counts in KiB.
pub(super) fn memory_bytes(meminfo: &str) -> Option<u64> {
    let value = value_of(meminfo, "MemTotal", ':')?;
    let kibibytes: u64 = value.strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

/// Untracked files do not count: reports land in the tree too.
fn is_dirty(sources: &Path, built_commit: &str) -> Option<bool> {
    let git = |arguments: &[&str]| {
        let output = Command::new("git")
            .arg("-C")
            .arg(sources)
            .args(arguments)
            .output()
            .ok()?;
        output
            .status
            .success()
            .then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let head = git(&["rev-parse", "HEAD"])?;
    let changes = git(&["status", "--porcelain", "--untracked-files=no"])?;
    Some(head != built_commit || !changes.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fingerprint() -> Fingerprint {
        Fingerprint {
            machine: Machine {
                cpu_model: "Some CPU".to_owned(),
                cores: 2,
                memory_bytes: 8 << 30,
                kernel: "6.1".to_owned(),
                os: "Some OS 12".to_owned(),
            },
            build: Build {
                rustc: "rustc 1.95.0".to_owned(),
                profile: "release".to_owned(),
                git_commit: "aaaa".to_owned(),
                git_dirty: Some(false),
                harness_version: "0.1.0".to_owned(),
            },
            server: Some(Server {
                kind: "local".to_owned(),
                version: "17.2".to_owned(),
                storage: Some(PgStorage::Disk),
                image_digest: None,
                settings: [("fsync".to_owned(), "on".to_owned())].into(),
            }),
        }
    }

    #[test]
    fn another_commit_on_the_same_machine_is_comparable() {
        let mut other = fingerprint();
        other.build.git_commit = "bbbb".to_owned();
        other.build.git_dirty = Some(true);
        other.machine.memory_bytes -= 4096;
        assert_eq!(
            fingerprint().incomparable_with(&other),
            Vec::<String>::new()
        );
    }

    #[test]
    fn every_difference_that_matters_is_named() {
        let mut other = fingerprint();
        other.machine.cores = 4;
        other.machine.memory_bytes = 16 << 30;
        other.build.profile = "debug".to_owned();
        let server = other.server.as_mut().unwrap();
        server.storage = Some(PgStorage::Tmpfs);
        server.settings = [("jit".to_owned(), "on".to_owned())].into();
        assert_eq!(
            fingerprint().incomparable_with(&other),
            [
                "cores: 2, 4",
                "memory bytes: 8589934592, 17179869184",
                "build profile: release, debug",
                "server storage: disk, tmpfs",
                "server setting fsync: on, none",
                "server setting jit: none, on",
            ]
        );
    }

    #[test]
    fn a_run_without_a_server_compares_with_its_like_alone() {
        let mut other = fingerprint();
        other.server = None;
        assert_eq!(
            fingerprint().incomparable_with(&other),
            ["server: there, none"]
        );
        assert_eq!(other.incomparable_with(&other), Vec::<String>::new());
    }

    #[test]
    fn json_keeps_a_fingerprint_whole() {
        let json = serde_json::to_string(&fingerprint()).unwrap();
        assert_eq!(
            serde_json::from_str::<Fingerprint>(&json).unwrap(),
            fingerprint()
        );
    }

    #[test]
    fn this_machine_is_known() {
        let taken = Fingerprint::take(None);
        assert!(taken.machine.memory_bytes > 0);
        assert_ne!(taken.machine.kernel, "unknown");
        assert!(
            taken.build.rustc.starts_with("rustc "),
            "{}",
            taken.build.rustc
        );
        assert_ne!(taken.build.profile, "unknown");
    }
}
