//! `--report`: how each module ended, as a JSON array.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek as _, Write as _};
use std::path::Path;

use super::printable;
use crate::run_outcome::RunOutcome;

/// Where the report goes; opened before the first run, because afterwards it is too late to complain.
pub(super) enum ReportFile {
    StandardOutput,
    /// A regular file, which can be written again.
    Regular(File),
    /// A pipe or a device.
    Stream(File),
}

impl ReportFile {
    /// Opens or creates the file. A regular one holds an empty report from now on, not that of runs
    /// before.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        if path.as_os_str() == "-" {
            return Ok(Self::StandardOutput);
        }
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        if !file.metadata()?.is_file() {
            return Ok(Self::Stream(file));
        }
        let mut report = Self::Regular(file);
        report.write(&[])?;
        Ok(report)
    }

    /// Replaces what a regular file holds; a stream gets one array after the other.
    ///
    /// # Errors
    /// A full disk, or a reader that has gone.
    pub(super) fn write(&mut self, outcomes: &[RunOutcome]) -> io::Result<()> {
        let text = serde_json::to_string_pretty(outcomes)?;
        // Its own line ends are no part of a string.
        let lines: Vec<_> = text.lines().map(printable::json).collect();
        let text = lines.join("\n") + "\n";
        match self {
            Self::StandardOutput => {
                let mut out = io::stdout().lock();
                out.write_all(text.as_bytes())?;
                out.flush()
            }
            Self::Regular(file) => {
                file.rewind()?;
                file.set_len(0)?;
                file.write_all(text.as_bytes())
            }
            Self::Stream(file) => file.write_all(text.as_bytes()),
        }
    }
}
