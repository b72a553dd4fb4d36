//! `apitap-bench supervise`: runs a command to its end, and says what its whole process tree used.
//!
//! It is a process of its own because the kernel tells only a parent exactly what its children used, and adds what
//! they were told of theirs. Descendants whose parent has ended become its children too, so a program that puts
//! itself into the background is counted. Only a parent that ignores SIGCHLD hides its children.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, kill_process, wait};
use serde::{Deserialize, Serialize};

use testkit::cpu::{children, descendants_memory};

/// Pause between two readings of the memory of the tree: a multiple of what the last one took, so that readings take
/// 2% of one processor, within bounds. On a busy machine a reading mostly waits.
const POLL_PAUSE: u32 = 50;
const SHORTEST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// The kernel's two ways to tell a process's own memory differ by less.
const MEMORY_SLACK_BYTES: u64 = 1 << 20;

/// What to run.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct SupervisorJob {
    /// For `sh -c`.
    pub(super) command: String,
    /// The file that both its outputs go to.
    pub(super) output: PathBuf,
}

/// What a process tree used, from the start of its first process to the end of its last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct TreeUsage {
    /// How the command ended, where that was not exit status 0.
    pub(super) failure: Option<String>,
    /// From before the start of the command to its end. What it left running was killed then.
    pub(super) wall_seconds: f64,
    /// User and system time.
    pub(super) cpu_seconds: f64,
    /// Times that one of the processes was taken off a processor against its will.
    pub(super) involuntary_switches: u64,
    /// The largest sum of what the processes held at once, as it was polled, or what the largest of them held
    /// at any time, where that is more. Absent where both are too small to be told.
    pub(super) peak_memory_bytes: Option<u64>,
    /// Absent where the kernel does not say.
    pub(super) disk: Option<Disk>,
}

/// What a process tree made the disk do. What is in memory already, or stays there, does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Disk {
    /// Bytes that were read.
    pub(crate) read_bytes: u64,
    /// Bytes that were to be written, files included that were removed before they were.
    pub(crate) written_bytes: u64,
}

/// Runs the job on standard input, and prints its [`TreeUsage`].
///
/// # Errors
/// When the command cannot be started. One that fails is no error.
pub(crate) fn run() -> Result<()> {
    let mut job = Vec::new();
    std::io::stdin().read_to_end(&mut job)?;
    let job: SupervisorJob = serde_json::from_slice(&job).context("that is no job")?;
    let usage = serde_json::to_vec(&supervise(&job)?)?;
    std::io::stdout().write_all(&usage)?;
    Ok(())
}

fn supervise(job: &SupervisorJob) -> Result<TreeUsage> {
    adopt_orphans()?;
    let output = File::create(&job.output).context("cannot make the file for the output")?;
    let disk_before = Disk::of_this_process();
    let begun = Instant::now();
    let mut child = Command::new("sh")
        .args(["-c", &job.command])
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output)
        .spawn()
        .context("cannot start sh")?;
    // Until it ran `sh`, the child had the memory of this process, which the kernel takes for its own.
    let inherited_bytes = peak_memory_of_this_process()?;
    let (stop, stopped) = mpsc::channel();
    let (status, wall, at_once_bytes) = thread::scope(|scope| {
        let polling = scope.spawn(move || largest_sum_bytes(&stopped));
        let status = child.wait();
        let wall = begun.elapsed();
        drop(stop);
        (status, wall, polling.join().unwrap_or(0))
    });
    let status = status.context("cannot wait for the command")?;
    end_the_rest()?;
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).context("cannot read the usage")?;
    let seconds = |time: TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    let largest_process_bytes = u64::try_from(usage.max_rss())? * 1024;
    let is_its_own = largest_process_bytes > inherited_bytes + MEMORY_SLACK_BYTES;
    let peak = at_once_bytes.max(if is_its_own { largest_process_bytes } else { 0 });
    Ok(TreeUsage {
        failure: failure(status),
        wall_seconds: wall.as_secs_f64(),
        cpu_seconds: seconds(usage.user_time()) + seconds(usage.system_time()),
        involuntary_switches: u64::try_from(usage.involuntary_context_switches())?,
        peak_memory_bytes: (peak > 0).then_some(peak),
        disk: Disk::since(disk_before),
    })
}

fn failure(status: ExitStatus) -> Option<String> {
    (!status.success()).then(|| status.to_string())
}

/// Makes this process the parent of its descendants whose own parent ends.
#[cfg(target_os = "linux")]
fn adopt_orphans() -> Result<()> {
    let adopted = rustix::process::set_child_subreaper(Some(rustix::process::getpid()));
    adopted.context("cannot adopt what the command leaves behind")
}

#[cfg(not(target_os = "linux"))]
fn adopt_orphans() -> Result<()> {
    anyhow::bail!("only Linux can tell what a process tree uses")
}

/// Polls the memory of all descendants until `stopped` has no sender any more.
fn largest_sum_bytes(stopped: &Receiver<()>) -> u64 {
    let own = std::process::id();
    let mut largest = 0;
    loop {
        let begun = Instant::now();
        largest = largest.max(descendants_memory(own).unwrap_or(0));
        let pause = (begun.elapsed() * POLL_PAUSE).clamp(SHORTEST_PAUSE, LONGEST_PAUSE);
        if stopped.recv_timeout(pause) != Err(RecvTimeoutError::Timeout) {
            return largest;
        }
    }
}

/// Kills what the command left running, and waits for it, so that its usage counts and the next command finds
/// nothing of it.
fn end_the_rest() -> Result<()> {
    loop {
        for child in children(std::process::id())? {
            let pid = i32::try_from(child).ok().and_then(Pid::from_raw);
            if let Some(pid) = pid {
                // It may have ended by itself.
                let _ = kill_process(pid, Signal::KILL);
            }
        }
        loop {
            match wait(WaitOptions::NOHANG) {
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(Errno::CHILD) => return Ok(()),
                Err(error) => return Err(error).context("cannot wait for what the command left"),
            }
        }
        // What was killed may have children, which are ours now.
        thread::sleep(Duration::from_millis(1));
    }
}

fn peak_memory_of_this_process() -> Result<u64> {
    let status =
        fs::read_to_string("/proc/self/status").context("cannot read /proc/self/status")?;
    let kibibytes = figure(&status, "VmHWM:").context("/proc/self/status has no VmHWM")?;
    Ok(kibibytes * 1024)
}

impl Disk {
    /// With what it was told of its children.
    fn of_this_process() -> Option<Self> {
        let io = fs::read_to_string("/proc/self/io").ok()?;
        Some(Self {
            read_bytes: figure(&io, "read_bytes:")?,
            written_bytes: figure(&io, "write_bytes:")?,
        })
    }

    fn since(before: Option<Self>) -> Option<Self> {
        let (before, now) = (before?, Self::of_this_process()?);
        Some(Self {
            read_bytes: now.read_bytes.saturating_sub(before.read_bytes),
            written_bytes: now.written_bytes.saturating_sub(before.written_bytes),
        })
    }
}

/// The number after `name` at the start of a line.
fn figure(text: &str, name: &str) -> Option<u64> {
    let mut lines = text.lines();
    let rest = lines.find_map(|line| line.strip_prefix(name))?;
    rest.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_of_proc_are_found_by_the_whole_name() {
        let io = "rchar: 5\nread_bytes: 4096\nwrite_bytes: 8192\ncancelled_write_bytes: 1\n";
        assert_eq!(figure(io, "write_bytes:"), Some(8192));
        assert_eq!(
            figure("VmPeak:\t 9 kB\nVmHWM:\t  14480 kB\n", "VmHWM:"),
            Some(14_480)
        );
        assert_eq!(figure(io, "VmHWM:"), None);
    }
}
