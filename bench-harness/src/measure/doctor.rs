//! Checks whether this machine can measure, and says what to fix.

use std::{env, fmt::Write as _, fs, path::Path, process::Command, time::Duration};

use serde::Serialize;

use testkit::cpu::CpuTimes;
use testkit::postgres::{
    DockerState, PostgresChoice, PostgresOptions, docker_state, installed_binaries,
};

use crate::fingerprint::{Fingerprint, memory_bytes};

const GIB: u64 = 1 << 30;

/// What the largest scenario needs for the table, its WAL and the sort files.
const FREE_DISK_BYTES: u64 = 20 * GIB;
const SHARED_MEMORY_BYTES: u64 = 4 * GIB;
const MEMORY_BYTES: u64 = 4 * GIB;

/// Engine, mock API and server each need a core.
const CORES: usize = 4;

/// Connections to the API and the server, files of a local cluster, and room.
const OPEN_FILES: u64 = 4096;

const STEAL_READING: Duration = Duration::from_secs(1);

/// Shares of stolen time above which results suffer, and above which they are worthless.
const STEAL_WARN: f64 = 0.02;
const STEAL_FAIL: f64 = 0.20;

/// What a check found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Outcome {
    /// Nothing to do.
    Ok,
    /// Measuring works, but something is missing or adds noise.
    Warn,
    /// Measuring will fail, or its results will be worthless.
    Fail,
}

/// One check.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Check {
    /// What was looked at.
    pub name: &'static str,
    /// The result.
    pub outcome: Outcome,
    /// What was found.
    pub detail: String,
    /// What to do about it, where the outcome is not [`Outcome::Ok`].
    pub fix: Option<String>,
}

impl Check {
    fn ok(name: &'static str, detail: impl Into<String>) -> Self {
        Self {
            name,
            outcome: Outcome::Ok,
            detail: detail.into(),
            fix: None,
        }
    }

    fn warn(name: &'static str, detail: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            name,
            outcome: Outcome::Warn,
            detail: detail.into(),
            fix: Some(fix.into()),
        }
    }

    fn fail(name: &'static str, detail: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            outcome: Outcome::Fail,
            ..Self::warn(name, detail, fix)
        }
    }
}

/// Runs all checks; takes a little over a second, because it measures steal.
pub(crate) async fn checks() -> Vec<Check> {
    let image = PostgresOptions::new(PostgresChoice::Docker).image();
    let (docker, steal) = tokio::join!(docker_state(&image), measured_steal());
    let fingerprint = Fingerprint::take(None);
    vec![
        cores(fingerprint.machine.cores, &fingerprint.machine.cpu_model),
        memory(&read("/proc/meminfo")),
        steal,
        governor(&read(
            "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor",
        )),
        postgres_binaries(),
        container(docker, &image),
        psql(),
        free_space(
            "disk",
            &env::temp_dir(),
            FREE_DISK_BYTES,
            "free space there or set TMPDIR",
        ),
        free_space(
            "shared memory",
            Path::new("/dev/shm"),
            SHARED_MEMORY_BYTES,
            "mount -o remount,size=8G /dev/shm, or measure with --pg-storage disk",
        ),
        open_files(),
        perf_events(&read("/proc/sys/kernel/perf_event_paranoid")),
        build_profile(&fingerprint.build.profile),
    ]
}

/// The checks for a person: a line for each, and below it what to do.
pub(crate) fn render_text(checks: &[Check]) -> String {
    let width = checks
        .iter()
        .map(|check| check.name.len())
        .max()
        .unwrap_or(0);
    let mut text = String::new();
    for check in checks {
        let mark = match check.outcome {
            Outcome::Ok => "ok  ",
            Outcome::Warn => "warn",
            Outcome::Fail => "FAIL",
        };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{mark}  {:width$}  {}", check.name, check.detail);
        if let Some(fix) = &check.fix {
            let _ = writeln!(text, "      {:width$}  -> {fix}", "");
        }
    }
    let count = |outcome| {
        checks
            .iter()
            .filter(|check| check.outcome == outcome)
            .count()
    };
    let (warnings, failures) = (count(Outcome::Warn), count(Outcome::Fail));
    let _ = writeln!(
        text,
        "\n{} checks: {warnings} with a warning, {failures} failed",
        checks.len()
    );
    text
}

/// The checks for a program: an array of objects with the fields of [`Check`].
///
/// # Errors
/// Never for checks that [`checks`] returned.
pub(crate) fn render_json(checks: &[Check]) -> serde_json::Result<String> {
    serde_json::to_string_pretty(checks)
}

fn cores(cores: usize, model: &str) -> Check {
    let detail = format!("{cores} x {model}");
    if cores < CORES {
        let fix = format!(
            "engine, mock API and server share these; wall times are more reliable on {CORES} cores or more"
        );
        return Check::warn("cores", detail, fix);
    }
    Check::ok("cores", detail)
}

fn memory(meminfo: &str) -> Check {
    match memory_bytes(meminfo) {
        None => Check::warn("memory", "unknown", "needs a readable /proc/meminfo"),
        Some(bytes) if bytes < MEMORY_BYTES => Check::warn(
            "memory",
            gib(bytes),
            format!("use a machine with at least {}", gib(MEMORY_BYTES)),
        ),
        Some(bytes) => Check::ok("memory", gib(bytes)),
    }
}

async fn measured_steal() -> Check {
    let reading = async {
        let before = CpuTimes::now()?;
        tokio::time::sleep(STEAL_READING).await;
        Ok::<_, anyhow::Error>(before.steal_share(&CpuTimes::now()?))
    };
    match reading.await {
        Ok(share) => steal(share),
        Err(error) => Check::warn("steal", format!("{error:#}"), "needs a readable /proc/stat"),
    }
}

fn steal(share: f64) -> Check {
    let detail = format!("{:.1} % over {STEAL_READING:?}", share * 100.0);
    let fix = "another guest uses the processor: wait, or use a machine of your own; \
                samples with too much steal are repeated";
    match share {
        share if share >= STEAL_FAIL => Check::fail("steal", detail, fix),
        share if share >= STEAL_WARN => Check::warn("steal", detail, fix),
        _ => Check::ok("steal", detail),
    }
}

fn governor(text: &str) -> Check {
    match text.trim() {
        "" => Check::ok("cpu governor", "not visible, as usual in a virtual machine"),
        "performance" => Check::ok("cpu governor", "performance"),
        other => Check::warn(
            "cpu governor",
            other,
            "cpupower frequency-set -g performance",
        ),
    }
}

fn postgres_binaries() -> Check {
    let found = installed_binaries();
    if found.is_empty() {
        let fix = "scripts/setup installs them; or set APITAP_PG_BIN to their folder";
        return Check::warn("server binaries", "none found", fix);
    }
    let listed = found
        .iter()
        .map(|found| format!("{} in {}", found.version, found.dir.display()));
    Check::ok("server binaries", listed.collect::<Vec<_>>().join("; "))
}

fn container(state: DockerState, image: &str) -> Check {
    match state {
        DockerState::Ready(version) => Check::ok("docker", format!("{version} with {image}")),
        DockerState::ImageMissing(version) => Check::warn(
            "docker",
            format!("{version}, but {image} is not here"),
            format!(
                "docker pull {image}, or without a registry: \
                 export APITAP_PG_IMAGE=$(scripts/postgres-image)"
            ),
        ),
        DockerState::Absent(reason) => Check::warn(
            "docker",
            reason,
            "scripts/setup --docker, or measure with --postgres local",
        ),
    }
}

fn psql() -> Check {
    let version = Command::new("psql").arg("--version").output();
    match version {
        Ok(output) if output.status.success() => {
            Check::ok("psql", String::from_utf8_lossy(&output.stdout).trim())
        }
        _ => Check::fail(
            "psql",
            "not found",
            "scripts/setup installs it; the reference arm is psql's \\copy",
        ),
    }
}

fn free_space(name: &'static str, path: &Path, wanted_bytes: u64, fix: &str) -> Check {
    match rustix::fs::statvfs(path) {
        Err(error) => Check::warn(name, format!("{}: {error}", path.display()), fix),
        Ok(found) => {
            let bytes = found.f_bavail.saturating_mul(found.f_frsize);
            let detail = format!("{} free in {}", gib(bytes), path.display());
            if bytes < wanted_bytes {
                Check::warn(name, detail, format!("needs {}: {fix}", gib(wanted_bytes)))
            } else {
                Check::ok(name, detail)
            }
        }
    }
}

fn open_files() -> Check {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    match limit.current {
        Some(files) if files < OPEN_FILES => {
            let fix = format!("ulimit -n {OPEN_FILES}");
            Check::warn("open files", files.to_string(), fix)
        }
        Some(files) => Check::ok("open files", files.to_string()),
        None => Check::ok("open files", "unlimited"),
    }
}

/// perf(1) without privileges needs 2 or less; Debian's kernels start at 3.
fn perf_events(text: &str) -> Check {
    match text.trim().parse::<i32>() {
        Err(_) => Check::warn(
            "perf events",
            "not in this kernel",
            "profile without --sampler perf",
        ),
        Ok(level) if level > 2 && !rustix::process::geteuid().is_root() => Check::warn(
            "perf events",
            format!("perf_event_paranoid is {level}"),
            "sysctl kernel.perf_event_paranoid=2, or profile without --sampler perf",
        ),
        Ok(level) => Check::ok("perf events", format!("perf_event_paranoid is {level}")),
    }
}

fn build_profile(profile: &str) -> Check {
    match profile {
        "release" | "profiling" => Check::ok("build", profile),
        other => Check::warn(
            "build",
            format!("profile {other}"),
            "measure a release build: scripts/bench, or cargo run --release",
        ),
    }
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn gib(bytes: u64) -> String {
    format!("{:.1} GiB", bytes as f64 / GIB as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steal_is_judged_by_its_share() {
        assert_eq!(steal(0.0).outcome, Outcome::Ok);
        assert_eq!(steal(0.05).outcome, Outcome::Warn);
        assert_eq!(steal(0.65).outcome, Outcome::Fail);
        assert!(steal(0.65).detail.starts_with("65.0 %"));
    }

    #[test]
    fn a_governor_that_cannot_be_seen_is_no_warning() {
        assert_eq!(governor("").outcome, Outcome::Ok);
        assert_eq!(governor("performance\n").outcome, Outcome::Ok);
        assert_eq!(governor("powersave\n").outcome, Outcome::Warn);
    }

    #[test]
    fn memory_counts_in_bytes() {
        assert_eq!(memory("MemTotal:       16777216 kB\n").detail, "16.0 GiB");
        assert_eq!(
            memory("MemTotal:        1048576 kB\n").outcome,
            Outcome::Warn
        );
        assert_eq!(memory("").outcome, Outcome::Warn);
    }

    #[test]
    fn text_says_what_to_do_below_each_complaint() {
        let checks = [
            Check::ok("memory", "16.0 GiB"),
            Check::fail("psql", "not found", "scripts/setup"),
        ];
        let expected = "ok    memory  16.0 GiB\n\
                        FAIL  psql    not found\n      \
                        \x20       -> scripts/setup\n\
                        \n2 checks: 0 with a warning, 1 failed\n";
        assert_eq!(render_text(&checks), expected);
        let json: serde_json::Value = serde_json::from_str(&render_json(&checks).unwrap()).unwrap();
        assert_eq!(json[1]["outcome"], "fail");
        assert_eq!(json[0]["fix"], serde_json::Value::Null);
    }

    #[tokio::test]
    async fn this_machine_can_be_examined() {
        let checks = checks().await;
        assert_eq!(checks.len(), 12);
        for check in &checks {
            assert_eq!(
                check.outcome == Outcome::Ok,
                check.fix.is_none(),
                "{check:?}"
            );
        }
    }
}
