//! Cores that are the server's alone.

use std::{
    collections::BTreeSet,
    fmt, fs,
    process::{self, Command},
    str::FromStr,
};

use anyhow::{Context, Result, bail, ensure};

/// More than any machine has that this is for.
const MOST_CORES: usize = 4096;

/// Some cores of this machine, by number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cores(BTreeSet<usize>);

impl FromStr for Cores {
    type Err = anyhow::Error;

    /// As the kernel writes and `taskset` takes them: `0,2-3`.
    fn from_str(text: &str) -> Result<Self> {
        let mut cores = BTreeSet::new();
        for part in text.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            match (first.parse::<usize>(), last.parse::<usize>()) {
                (Ok(first), Ok(last)) if first <= last && last < MOST_CORES => {
                    cores.extend(first..=last);
                }
                _ => bail!("expected numbers of cores, such as 2,3 or 2-3"),
            }
        }
        Ok(Self(cores))
    }
}

impl fmt::Display for Cores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cores: Vec<String> = self.0.iter().map(usize::to_string).collect();
        f.write_str(&cores.join(","))
    }
}

impl Cores {
    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    /// Moves this process, with all that it starts from now on, to its other cores.
    ///
    /// # Errors
    /// When it has no others, or the machine has no `taskset`.
    pub(super) fn leave(&self) -> Result<()> {
        let status = fs::read_to_string("/proc/self/status").context("only Linux can do that")?;
        let mut lines = status.lines();
        let allowed = lines.find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
        let allowed: Self = allowed.context("the kernel does not say")?.trim().parse()?;
        let others = Self(&allowed.0 - &self.0);
        ensure!(
            !others.0.is_empty(),
            "of the cores {allowed}, none would be left for the rest"
        );
        let moved = Command::new("taskset")
            .args(["--all-tasks", "--pid", "--cpu-list"])
            .args([others.to_string(), process::id().to_string()])
            .output()
            .context("cannot run taskset")?;
        let reason = String::from_utf8_lossy(&moved.stderr);
        ensure!(moved.status.success(), "{}", reason.trim());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_are_read_as_the_kernel_writes_them() {
        let read = |text: &str| text.parse::<Cores>().map(|cores| cores.to_string());
        assert_eq!(read("3").unwrap(), "3");
        assert_eq!(read("4,0-2").unwrap(), "0,1,2,4");
        for wrong in ["", "a", "2-1", "1,", "-1", "0-99999999"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
