//! Instructions of a kernel, counted by valgrind's callgrind.
//!
//! Callgrind counts what the program's own thread executes, whatever else the machine does. It starts
//! with an empty environment, because where the stack begins depends on it.

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use super::kernel::Kernel;

/// What a kernel works on, and how.
#[derive(Debug, Clone, Copy)]
pub struct KernelLoad<'a> {
    /// The work.
    pub kernel: Kernel,
    /// Workload by name.
    pub workload: &'a str,
    /// Preset of the engine.
    pub preset: &'a str,
    /// Changes to it, as `stage.knob=value`.
    pub settings: &'a [String],
}

/// Instructions that `program`, an `apitap-bench`, executes for each row that its kernel does.
///
/// It is the difference between a run of `rows` and one of twice as many, so that starting the
/// program and making its input are left out. Both run at once, on two threads of the calling process.
/// Most of the time goes into valgrind's reading of a large program, a second or two of processor
/// time; a thousand rows are enough.
///
/// # Errors
/// When valgrind is not to be had, or the program fails: it must know the kernel, the preset and the
/// settings.
pub fn instructions_per_row(program: &Path, load: KernelLoad<'_>, rows: u64) -> Result<f64> {
    let (few, many) = std::thread::scope(|scope| {
        let few = scope.spawn(|| count(program, load, rows));
        let many = count(program, load, 2 * rows);
        let few = few.join().unwrap_or_else(|e| std::panic::resume_unwind(e));
        (few, many)
    });
    let (few, many) = (few?, many?);
    ensure!(
        many.rows > few.rows && many.instructions >= few.instructions,
        "the {} kernel needs no more instructions for {} rows than for {rows}: use more rows",
        load.kernel,
        2 * rows
    );
    Ok((many.instructions - few.instructions) as f64 / (many.rows - few.rows) as f64)
}

/// Whether valgrind is here. Where it is not, a warning says how to get it.
#[must_use]
pub(crate) fn can_count_instructions() -> bool {
    let available = availability_of(OsStr::new("valgrind"));
    if let Err(error) = &available {
        eprintln!("warning: instructions are not counted: {error:#}");
    }
    available.is_ok()
}

fn availability_of(valgrind: &OsStr) -> Result<()> {
    let asked = Command::new(valgrind)
        .arg("--version")
        .stdin(Stdio::null())
        .output();
    match asked {
        Ok(output) if output.status.success() => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            bail!("valgrind is not installed\nhint: scripts/setup --valgrind, or Debian's valgrind")
        }
        Err(error) => Err(error).context("cannot run valgrind"),
        Ok(output) => bail!("valgrind --version failed: {}", output.status),
    }
}

/// A run of a kernel.
struct KernelRun {
    rows: u64,
    instructions: u64,
}

fn count(program: &Path, load: KernelLoad<'_>, rows: u64) -> Result<KernelRun> {
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    let file = folder.path().join("callgrind.out");
    let mut command = Command::new("valgrind");
    command.arg("--tool=callgrind").arg("--quiet").arg({
        let mut argument = OsStr::new("--callgrind-out-file=").to_owned();
        argument.push(&file);
        argument
    });
    command
        .arg(program)
        .args(["kernel", &load.kernel.to_string()]);
    command.args(["--workload", load.workload]);
    command.args(["--preset", load.preset]);
    command.args(["--rows", &rows.to_string()]);
    for setting in load.settings {
        command.args(["--set", setting]);
    }
    command.env_clear();
    if let Some(path) = std::env::var_os("PATH") {
        command.env("PATH", path);
    }
    let output = command.stdin(Stdio::null()).output();
    let output = output.context("cannot run valgrind")?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        bail!("{} under valgrind: {}", output.status, stderr.trim());
    }
    let done = String::from_utf8_lossy(&output.stdout);
    let rows = done.trim().parse();
    let profile = std::fs::read_to_string(&file).context("callgrind wrote no file")?;
    Ok(KernelRun {
        rows: rows.with_context(|| format!("the kernel printed {done:?} for its rows"))?,
        instructions: total(&profile).context("callgrind's file has no total")?,
    })
}

/// The total of a callgrind file, in which instructions come first.
fn total(profile: &str) -> Option<u64> {
    let mut lines = profile.lines();
    let total = lines.find_map(|line| line.strip_prefix("totals:"))?;
    total.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_of_a_file_is_found() {
        let file = "version: 1\npositions: line\nevents: Ir\nsummary: 7\n\nfn=(1) main\n3 4\n\ntotals: 3952605\n";
        assert_eq!(total(file), Some(3_952_605));
        assert_eq!(total("events: Ir\n"), None);
    }

    #[test]
    fn without_valgrind_the_error_says_how_to_get_it() {
        let error = availability_of(OsStr::new("no-such-valgrind")).unwrap_err();
        let message = format!("{error:#}");
        assert!(message.contains("scripts/setup --valgrind"), "{message}");
        assert!(availability_of(OsStr::new("false")).is_err());
    }
}
