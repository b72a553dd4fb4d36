//! Linux's `perf` as the sampler: commands for the caller to run, and stacks from what they print.
//!
//! It is outside of the process, so that it needs no signal handler and sees leaves well, and it
//! samples any program. It costs disk and the time to unwind afterwards.

use std::ffi::{OsStr, OsString};
use std::io::ErrorKind;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use backtrace::SymbolName;

use super::stacks::{Stack, Stacks, frame_name};

/// Samples for a second of processor time: as many as the sampler within the process takes.
pub(crate) const FREQUENCY_HZ: u32 = super::sampler::FREQUENCY_HZ;

/// Processor time by a timer of the kernel, as virtual machines often have no hardware counters;
/// of the user's side, which needs no privilege.
const EVENT: &str = "cpu-clock:u";

/// Code is built without frame pointers, so that perf keeps a copy of the top of the stack with each
/// sample and unwinds it later. In bytes, and as many as perf takes: of 16 KiB, half of the stacks
/// of a dev build had lost their outermost frames.
const CALL_GRAPH: &str = "dwarf,65528";

/// Where the kernel says whom it lets sample.
const PARANOID: &str = "/proc/sys/kernel/perf_event_paranoid";

/// The command that runs `program` and writes its samples to `data`. It ends with the exit code of
/// the program, whose input and output it leaves alone.
pub(crate) fn record(data: &Path, program: &OsStr, arguments: &[OsString]) -> Command {
    record_by(OsStr::new("perf"), data, program, arguments)
}

fn record_by(perf: &OsStr, data: &Path, program: &OsStr, arguments: &[OsString]) -> Command {
    let mut command = Command::new(perf);
    command.args(["record", "--quiet", "-F", &FREQUENCY_HZ.to_string()]);
    command.args(["-e", EVENT, "--call-graph", CALL_GRAPH, "-o"]);
    command.arg(data).arg("--").arg(program).args(arguments);
    command
}

/// The command that prints the samples in `data` for [`stacks`].
///
/// Inlined functions count to those that they are inlined into: perf 6.1 asks `addr2line`, which
/// takes seconds to read a program of this size.
fn script(data: &Path) -> Command {
    let mut command = Command::new("perf");
    command.args(["script", "--no-inline", "-F", "ip,sym", "-i"]);
    command.arg(data);
    command
}

/// Longest that perf may take to print its samples: it unwinds some hundred a second.
const SCRIPT_TIMEOUT: Duration = Duration::from_secs(300);

/// The stacks in `data`.
///
/// # Errors
/// When perf cannot print them, or not in time.
pub(crate) async fn read(data: &Path) -> Result<Stacks> {
    let mut command = tokio::process::Command::from(script(data));
    let printed = command.kill_on_drop(true).output();
    let printed = tokio::time::timeout(SCRIPT_TIMEOUT, printed)
        .await
        .with_context(|| format!("perf script did not end within {SCRIPT_TIMEOUT:?}"))?
        .context("cannot run perf script")?;
    if !printed.status.success() {
        let printed = String::from_utf8_lossy(&printed.stderr);
        bail!("perf script failed: {}", printed.trim());
    }
    Ok(stacks(&String::from_utf8_lossy(&printed.stdout)))
}

/// Checks that perf is here and may sample.
///
/// # Errors
/// When it is not or may not; the message says what to do.
pub(crate) fn availability() -> Result<()> {
    availability_of(OsStr::new("perf"))
}

fn availability_of(perf: &OsStr) -> Result<()> {
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    let data = folder.path().join("perf.data");
    let mut command = record_by(perf, &data, OsStr::new("true"), &[]);
    let output = match command.stdin(Stdio::null()).output() {
        Ok(output) => output,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            bail!("perf is not installed\nhint: scripts/setup --perf, or Debian's linux-perf")
        }
        Err(error) => return Err(error).context("cannot run perf"),
    };
    if output.status.success() {
        return Ok(());
    }
    let paranoid = std::fs::read_to_string(PARANOID);
    let paranoid = paranoid.as_deref().unwrap_or("unknown").trim();
    bail!(
        "perf may not sample here (kernel.perf_event_paranoid is {paranoid}): {}\n\
         hint: sudo sysctl kernel.perf_event_paranoid=2; a container also needs a seccomp profile \
         that allows perf_event_open",
        String::from_utf8_lossy(&output.stderr).trim()
    )
}

/// The stacks of what [`script`] prints: for each sample a line per frame, the innermost first, as
/// an address and a name; an empty line between two samples.
///
/// Not by inferno, which would take `fn() -> T` in a name for an inlined call, and put the name of
/// the thread before the stack.
#[must_use]
fn stacks(script: &str) -> Stacks {
    let mut stacks = Stacks::default();
    let mut stack = Stack::new();
    for line in script.lines().chain([""]) {
        if let Some((_, name)) = line.trim_start().split_once(' ') {
            stack.push(name_of(name));
        } else {
            stack.reverse();
            stacks.add(std::mem::take(&mut stack), 1);
        }
    }
    stacks
}

/// What perf could not demangle, demangled; without the hash.
fn name_of(symbol: &str) -> String {
    frame_name(&format!("{:#}", SymbolName::new(symbol.trim().as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Recorded by perf 6.1 and trimmed. The last sample is of names that perf left mangled, which
    /// this one does not.
    const SCRIPT: &str = include_str!("perf/script.txt");

    #[test]
    fn samples_become_stacks_with_names_alone() {
        let folded = stacks(SCRIPT).folded(1.0);
        insta::assert_snapshot!(folded.replace(';', "\n  "));
    }

    #[test]
    fn no_samples_are_no_stacks() {
        assert_eq!(stacks(""), Stacks::default());
        assert_eq!(stacks("\n\n"), Stacks::default());
    }

    #[test]
    fn perf_samples_here() {
        availability().unwrap();
    }

    #[test]
    fn without_perf_the_error_says_how_to_get_it() {
        let error = availability_of(OsStr::new("no-such-perf")).unwrap_err();
        assert!(
            error.to_string().contains("scripts/setup --perf"),
            "{error:#}"
        );
    }

    #[test]
    fn where_perf_is_refused_the_error_says_how_to_allow_it() {
        let error = availability_of(OsStr::new("false")).unwrap_err();
        assert!(
            error.to_string().contains("perf_event_paranoid"),
            "{error:#}"
        );
    }

    #[test]
    fn a_program_keeps_its_exit_code_and_its_loop_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("perf.data");
        let busy = "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; exit 7";
        let arguments = ["-c", busy].map(OsString::from);
        let ended = record(&data, OsStr::new("sh"), &arguments)
            .status()
            .unwrap();
        assert_eq!(ended.code(), Some(7));
        let printed = script(&data).output().unwrap();
        let printed = String::from_utf8(printed.stdout).unwrap();
        assert!(stacks(&printed).total() > 5, "{printed}");
    }
}
