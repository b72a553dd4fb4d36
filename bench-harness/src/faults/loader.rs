//! Who loads: the `apitap` program, or whoever takes its part.

use std::fmt;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::Command;
use tokio::task::JoinHandle;

use super::project::{MODULES, PIPELINE_FILE};

/// How long a load with a fault may take. The longest of them wait some seconds for a timeout.
pub(super) const LOAD_LIMIT: Duration = Duration::from_secs(40);

/// What is logged, so that secrets are looked for in what a user may see.
const LOG: &str = "warn,apitap=debug,apitap_core=debug,reqwest=debug,hyper_util=debug";

/// Loads projects.
pub(crate) trait Loader: Send + Sync + 'static {
    /// A load under way.
    type Load: Load;

    /// Begins a load.
    fn start(&self, order: &Order<'_>) -> impl Future<Output = Result<Self::Load>> + Send;
}

/// A load under way. Dropping it ends it.
pub(crate) trait Load: Send {
    /// Asks it to stop.
    fn signal(&self, signal: Signal) -> Result<()>;

    /// Waits until it has ended; it may be asked again.
    fn ended(&mut self) -> impl Future<Output = Result<Ended>> + Send;
}

/// What to load.
#[derive(Debug)]
pub(crate) struct Order<'a> {
    /// The folder of a pipeline file and its modules.
    pub(crate) folder: &'a Path,
    /// Changes to the engine's configuration, as `stage.knob=value`.
    pub(crate) settings: &'a [String],
    /// What the process may not exceed.
    pub(crate) limit: Option<Limit>,
}

/// A limit of the operating system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Limit {
    Descriptors(u32),
    /// Of the address space.
    MemoryKib(u32),
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Descriptors(count) => write!(f, "{count} descriptors"),
            Self::MemoryKib(kib) => write!(f, "{kib} KiB of address space"),
        }
    }
}

/// How a load ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) exit: Exit,
    /// All that it wrote.
    pub(crate) written: String,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    Code(i32),
    /// By a signal.
    Signal(i32),
    /// Not in time.
    Never,
}

impl Ended {
    /// What it said to the user, without its log, whose lines begin with the time.
    pub(super) fn said(&self) -> String {
        let lines = self.written.lines().filter(|line| !is_logged(line));
        lines.collect::<Vec<_>>().join("\n")
    }
}

fn is_logged(line: &str) -> bool {
    let stamp = line.trim_start_matches("\u{1b}[2m").as_bytes();
    stamp.len() > 10
        && stamp[..4].iter().all(u8::is_ascii_digit)
        && stamp[4] == b'-'
        && stamp[10] == b'T'
}

/// The `apitap` program.
#[derive(Debug, Clone)]
pub(crate) struct Program(PathBuf);

impl Program {
    /// The program at `path`, or else the one beside this program.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) fn find(path: Option<PathBuf>) -> Result<Self> {
        let path = match path {
            Some(path) => path,
            None => {
                let own = std::env::current_exe().context("cannot find this program's own path")?;
                own.with_file_name("apitap")
            }
        };
        let path = std::path::absolute(&path).unwrap_or(path);
        anyhow::ensure!(
            path.is_file(),
            "there is no {}: build it (cargo build --release --workspace), or name it with --apitap",
            path.display()
        );
        Ok(Self(path))
    }

    fn command(&self, limit: Option<Limit>) -> Command {
        let limit = match limit {
            None => return Command::new(&self.0),
            Some(Limit::Descriptors(count)) => format!("ulimit -n {count}"),
            Some(Limit::MemoryKib(kib)) => format!("ulimit -v {kib}"),
        };
        // Setting it between fork and exec would take unsafe code.
        let mut command = Command::new("sh");
        command.args(["-c", &format!("{limit} && exec \"$0\" \"$@\"")]);
        command.arg(&self.0);
        command
    }
}

impl Loader for Program {
    type Load = Process;

    async fn start(&self, order: &Order<'_>) -> Result<Process> {
        let mut command = self.command(order.limit);
        command.args(["-m", MODULES, "-y", PIPELINE_FILE]);
        command.args(["--report", "report.json", "--trace", "trace.json"]);
        for setting in order.settings {
            command.args(["--set", setting]);
        }
        command
            .current_dir(order.folder)
            .env("RUST_LOG", LOG)
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        let child = command
            .spawn()
            .with_context(|| format!("cannot start {}", self.0.display()))?;
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
        Ok(Process {
            pid: pid.map(Pid::from_raw),
            output: tokio::spawn(child.wait_with_output()),
            ended: None,
        })
    }
}

/// A running `apitap`.
#[derive(Debug)]
pub(crate) struct Process {
    pid: Option<Pid>,
    output: JoinHandle<std::io::Result<std::process::Output>>,
    ended: Option<Ended>,
}

impl Load for Process {
    fn signal(&self, signal: Signal) -> Result<()> {
        let pid = self.pid.context("the load has no process")?;
        kill(pid, signal).context("cannot send a signal to the load")
    }

    async fn ended(&mut self) -> Result<Ended> {
        if let Some(ended) = &self.ended {
            return Ok(ended.clone());
        }
        let output = (&mut self.output)
            .await
            .context("waiting for the load failed")?
            .context("cannot wait for the load")?;
        let exit = match (output.status.code(), output.status.signal()) {
            (Some(code), _) => Exit::Code(code),
            (None, signal) => Exit::Signal(signal.unwrap_or_default()),
        };
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let ended = Ended {
            exit,
            written: text(&output.stdout) + &text(&output.stderr),
        };
        Ok(self.ended.insert(ended).clone())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The child is killed with the task that waits for it.
        self.output.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_not_what_it_said() {
        let ended = Ended {
            exit: Exit::Code(1),
            written: "2026-01-01T00:00:00.1Z  WARN apitap: page 7\nerror: source\n  help: x\n\u{1b}[2m2026-01-01T00:00:00Z\u{1b}[0m y".into(),
        };
        assert_eq!(ended.said(), "error: source\n  help: x");
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_is_named() {
        let error = Program::find(Some("nowhere/apitap".into())).unwrap_err();
        assert!(
            error.to_string().contains("nowhere/apitap: build it"),
            "{error}"
        );
    }
}
