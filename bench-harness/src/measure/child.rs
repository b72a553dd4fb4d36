//! One process, from its start to its end, and what it cost.

use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::signal::{Signal, killpg};
use nix::sys::time::TimeVal;
use nix::unistd::Pid;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

/// Characters of a failed process's standard error that are kept.
const ERROR_CHARS: usize = 1_000;

/// A process that ended well.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) stdout: Vec<u8>,
    /// From before its start to after its end.
    pub(crate) wall: Duration,
    pub(crate) usage: Usage,
}

/// What a process used from its start to its exit, threads that ended before it included.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Usage {
    pub(crate) cpu_seconds: f64,
    pub(crate) involuntary_switches: u64,
}

impl Usage {
    /// Of all children that this process has waited for so far. Samples run one at a time, so the
    /// difference of two readings is that of the child between them.
    fn of_children() -> Result<Self> {
        Self::of(UsageWho::RUSAGE_CHILDREN)
    }

    /// Of this process too, so far.
    pub(crate) fn with_children() -> Result<Self> {
        let (own, children) = (Self::of(UsageWho::RUSAGE_SELF)?, Self::of_children()?);
        Ok(Self {
            cpu_seconds: own.cpu_seconds + children.cpu_seconds,
            involuntary_switches: own.involuntary_switches + children.involuntary_switches,
        })
    }

    /// What came after `before`.
    pub(crate) fn since(self, before: Self) -> Self {
        Self {
            cpu_seconds: self.cpu_seconds - before.cpu_seconds,
            involuntary_switches: self
                .involuntary_switches
                .saturating_sub(before.involuntary_switches),
        }
    }

    fn of(who: UsageWho) -> Result<Self> {
        let usage = getrusage(who).context("cannot read the usage")?;
        let seconds = |time: TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
        Ok(Self {
            cpu_seconds: seconds(usage.user_time()) + seconds(usage.system_time()),
            involuntary_switches: u64::try_from(usage.involuntary_context_switches())?,
        })
    }
}

/// Runs `command` with `input` on its standard input, and kills it after `limit` or on drop.
///
/// It runs in its own process group: Ctrl-C reaches only the harness, which decides about the sample.
///
/// # Errors
/// When it cannot be started, does not end in time, or does not exit with 0; the message then
/// holds what it wrote to standard error.
pub(crate) async fn run(command: &mut Command, input: &[u8], limit: Duration) -> Result<Ended> {
    let program = command.as_std().get_program().to_owned();
    let program = program.to_string_lossy();
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    let before = Usage::of_children()?;
    let start = Instant::now();
    let mut child = command
        .spawn()
        .with_context(|| format!("cannot start {program}"))?;
    let stdin = child.stdin.take();
    let _group = Group(child.id());
    let ended = async {
        if let Some(mut stdin) = stdin {
            // If a process ends without reading, its exit status says more than the broken pipe.
            let _ = stdin.write_all(input).await;
        }
        child.wait_with_output().await
    };
    let output = tokio::time::timeout(limit, ended)
        .await
        .map_err(|_| anyhow::anyhow!("{program} did not end within {limit:?}"))?
        .with_context(|| format!("cannot wait for {program}"))?;
    let wall = start.elapsed();
    let after = Usage::of_children()?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        let text: String = text.trim().chars().take(ERROR_CHARS).collect();
        bail!("{}: {text}", output.status);
    }
    Ok(Ended {
        stdout: output.stdout,
        wall,
        usage: after.since(before),
    })
}

/// The process group of a child. Drop kills it, because an abandoned profiler must not leave the
/// process that it ran.
struct Group(Option<u32>);

impl Drop for Group {
    fn drop(&mut self) {
        let Some(id) = self.0.and_then(|id| i32::try_from(id).ok()) else {
            return;
        };
        // Usually it is empty.
        let _ = killpg(Pid::from_raw(id), Signal::SIGKILL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    const LIMIT: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn a_process_gets_its_input_and_is_charged_for_its_work() {
        let script = "cat; i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done";
        let ended = run(&mut shell(script), b"job", LIMIT).await.unwrap();
        assert_eq!(ended.stdout, b"job");
        assert!(ended.usage.cpu_seconds > 0.0);
        assert!(ended.wall.as_secs_f64() > 0.0);
    }

    #[tokio::test]
    async fn a_failure_says_what_the_process_said() {
        let error = run(&mut shell("echo no such host >&2; exit 3"), b"", LIMIT)
            .await
            .unwrap_err();
        let message = error.to_string();
        assert!(
            message.contains("exit status: 3: no such host"),
            "{message}"
        );
    }

    #[tokio::test]
    async fn what_a_process_started_goes_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pid");
        let script = format!(
            "sleep 60 & echo $! >{0}.part; mv {0}.part {0}; wait",
            file.display()
        );
        let limit = Duration::from_millis(500);
        run(&mut shell(&script), b"", limit).await.unwrap_err();
        let pid: i32 = std::fs::read_to_string(&file)
            .unwrap()
            .trim()
            .parse()
            .unwrap();
        let is_gone = || {
            let state = std::fs::read_to_string(format!("/proc/{pid}/stat"));
            // One that nobody has waited for yet is dead too.
            state.map_or(true, |stat| stat.contains(") Z "))
        };
        for _ in 0..100 {
            if is_gone() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("process {pid} outlives the one that started it");
    }

    #[tokio::test]
    async fn a_process_that_hangs_is_given_up() {
        let limit = Duration::from_millis(50);
        let error = run(&mut shell("exec sleep 60"), b"", limit)
            .await
            .unwrap_err();
        assert!(error.to_string().contains("did not end within"), "{error}");
    }
}
