//! The file of a history: one entry a line, append-only.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::entry::{Entry, SCHEMA_VERSION};
use crate::samples::complete_lines;
use crate::{atomic_write, schema_version};

/// Where the history is kept unless a caller names another file.
pub(crate) const FILE: &str = "reports/history.ndjson";

/// Relative difference that writing and reading a value may cause: reading may miss its last bits.
const READ_AGAIN: f64 = 1e-9;

/// What a history holds.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Stored {
    /// All entries, in the order in which they were added.
    pub entries: Vec<Entry>,
    /// Number of the last line if it was cut short, as an interruption leaves it. It holds no entry.
    pub cut_line: Option<usize>,
}

/// What became of the entries of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Added {
    /// Entries that were appended.
    pub added: usize,
    /// Entries that were there already.
    pub known: usize,
}

impl Stored {
    /// Reads the history at `path`.
    ///
    /// # Errors
    /// If it cannot be read, or a complete line is not an entry; the message names the line.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        ensure!(
            path.exists(),
            "there is no history at {}: add a run with `apitap-bench history add RUN_DIR`",
            path.display()
        );
        let bytes = fs::read(path)
            .with_context(|| format!("cannot read the history {}", path.display()))?;
        Self::parse(&bytes).with_context(|| format!("in the history {}", path.display()))
    }

    /// Parses the bytes of a history. A line counts once its line feed is there.
    ///
    /// # Errors
    /// If a complete line is not an entry; the message names the line.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self> {
        let complete = complete_lines(bytes);
        let lines: Vec<&[u8]> = complete.split_inclusive(|byte| *byte == b'\n').collect();
        let entries = lines
            .iter()
            .enumerate()
            .map(|(index, line)| {
                entry(line).with_context(|| format!("line {} is not an entry", index + 1))
            })
            .collect::<Result<Vec<Entry>>>()?;
        let cut_line = (complete.len() < bytes.len()).then_some(lines.len() + 1);
        Ok(Self { entries, cut_line })
    }
}

fn entry(line: &[u8]) -> Result<Entry> {
    let line = std::str::from_utf8(line)?;
    let found = schema_version::read(line)?;
    ensure!(
        found == SCHEMA_VERSION,
        "schema version {found} is not the {SCHEMA_VERSION} that this program reads: use the version that wrote it"
    );
    Ok(serde_json::from_str(line)?)
}

/// Appends those of `entries` that the history at `path` does not hold yet, making file and folder
/// where there are none.
///
/// Each line goes to the kernel in one write. Others that add meanwhile wait, so that no entry is
/// there twice. A last line that was cut short is removed: it was never an entry, and what follows
/// must start a line.
///
/// # Errors
/// If the file cannot be opened, locked, read or written, holds something that is not an entry, or holds one of the
/// entries with another value; nothing is appended then, unless writing itself fails.
pub(crate) fn add(path: &Path, entries: &[Entry]) -> Result<Added> {
    atomic_write::make_folder(path)?;
    let mut file = OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .open(path)
        .with_context(|| format!("cannot open the history {}", path.display()))?;
    // Released as the file is closed.
    file.lock()
        .with_context(|| format!("cannot lock the history {}", path.display()))?;
    let stored =
        complete(&mut file).with_context(|| format!("in the history {}", path.display()))?;
    let unknown = unknown(&stored, entries)?;
    for entry in &unknown {
        let mut line = serde_json::to_vec(entry).context("cannot serialise an entry")?;
        line.push(b'\n');
        file.write_all(&line)
            .with_context(|| format!("cannot append to the history {}", path.display()))?;
    }
    Ok(Added {
        added: unknown.len(),
        known: entries.len() - unknown.len(),
    })
}

/// The entries of `file`, which ends with a complete line afterwards.
fn complete(file: &mut File) -> Result<Vec<Entry>> {
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    let stored = Stored::parse(&bytes)?;
    if stored.cut_line.is_some() {
        file.set_len(complete_lines(&bytes).len() as u64)?;
        file.seek(SeekFrom::End(0))?;
    }
    Ok(stored.entries)
}

/// Those of `entries` that are not `stored`.
fn unknown<'a>(stored: &[Entry], entries: &'a [Entry]) -> Result<Vec<&'a Entry>> {
    let stored: BTreeMap<_, &Entry> = stored.iter().map(|one| (one.identity(), one)).collect();
    let mut unknown = Vec::new();
    for entry in entries {
        let Some(known) = stored.get(&entry.identity()) else {
            unknown.push(entry);
            continue;
        };
        ensure!(
            (known.value - entry.value).abs() <= READ_AGAIN * entry.value.abs()
                && known.samples == entry.samples,
            "the history has other figures of this run, such as {} {} of {} in {:?}: it went on since it was added; \
             remove its lines from the history and add it again",
            known.value,
            known.unit,
            known.arm,
            known.scenario,
        );
    }
    Ok(unknown)
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::judge::history::example;

    fn added(added: usize, known: usize) -> Added {
        Added { added, known }
    }

    #[test]
    fn entries_come_back_as_they_were_written_and_are_added_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("reports/history.ndjson");
        let entries = example::entries(2, 9, 1.0);
        let half = entries.len() / 2;
        assert_eq!(add(&path, &entries[..half]).unwrap(), added(half, 0));
        assert_eq!(add(&path, &entries[..half]).unwrap(), added(0, half));
        assert_eq!(add(&path, &entries).unwrap(), added(half, half));
        let stored = Stored::read(&path).unwrap();
        assert_eq!(stored.cut_line, None);
        assert_eq!(stored.entries.len(), entries.len());
        for (read, written) in stored.entries.iter().zip(&entries) {
            assert!((read.value - written.value).abs() < 1e-9 * written.value);
            assert_eq!(read.identity(), written.identity());
            assert_eq!(
                (&read.machine, &read.load),
                (&written.machine, &written.load)
            );
        }
    }

    #[test]
    fn another_value_of_the_same_run_is_refused_and_nothing_is_appended() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history.ndjson");
        let mut entries = example::entries(1, 9, 1.0);
        add(&path, &entries[1..]).unwrap();
        let before = fs::read(&path).unwrap();
        if let Some(last) = entries.last_mut() {
            last.value *= 1.01;
        }
        let refused = add(&path, &entries).unwrap_err().to_string();
        assert!(refused.contains("add it again"), "{refused}");
        assert_eq!(fs::read(&path).unwrap(), before);
    }

    #[test]
    fn a_last_line_that_was_cut_is_no_entry_and_makes_room_for_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history.ndjson");
        let entries = example::entries(1, 9, 1.0);
        add(&path, &entries).unwrap();
        let whole = fs::read(&path).unwrap();
        fs::write(&path, &whole[..whole.len() - 10]).unwrap();
        let stored = Stored::read(&path).unwrap();
        assert_eq!(stored.cut_line, Some(entries.len()));
        assert_eq!(stored.entries.len(), entries.len() - 1);
        assert_eq!(add(&path, &entries).unwrap(), added(1, entries.len() - 1));
        assert_eq!(fs::read(&path).unwrap(), whole);
    }

    #[test]
    fn a_line_that_is_no_entry_is_named_by_its_number() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history.ndjson");
        add(&path, &example::entries(1, 9, 1.0)).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let mut lines: Vec<&str> = text.lines().collect();
        let newer = lines[2].replacen("\"schema_version\":1", "\"schema_version\":2", 1);
        for (wrong, why) in [("{}", "no schema_version"), (&newer, "schema version 2")] {
            lines[2] = wrong;
            fs::write(&path, lines.join("\n") + "\n").unwrap();
            let error = format!("{:#}", Stored::read(&path).unwrap_err());
            assert!(error.contains("line 3 is not an entry"), "{error}");
            assert!(error.contains(why), "{error}");
        }
        assert!(add(&path, &[]).is_err());
        let none = folder.path().join("none.ndjson");
        let error = Stored::read(&none).unwrap_err().to_string();
        assert!(error.contains("history add"), "{error}");
    }

    #[test]
    fn runs_added_at_the_same_time_are_all_there_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history.ndjson");
        let entries = example::entries(8, 99, 1.0);
        thread::scope(|scope| {
            for run in entries.chunks(entries.len() / 8) {
                for _ in 0..2 {
                    scope.spawn(|| add(&path, run).unwrap());
                }
            }
        });
        let stored = Stored::read(&path).unwrap();
        assert_eq!(stored.entries.len(), entries.len());
        assert_eq!(stored.cut_line, None);
    }
}
