//! What a run measured: raw samples, one JSON object a line, in `samples.ndjson`.
//!
//! The file is append-only and holds every sample that was begun, the failed and the void ones too.
//! It holds no derived value: medians and ratios are computed from it again for every report, so a
//! better method can be applied to an old run.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use anyhow::Context;
use chrono::{DateTime, SecondsFormat, Utc};
use flate2::read::GzDecoder;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Name of the journal in the folder of a run.
pub const SAMPLES_FILE: &str = "samples.ndjson";

/// Extension of the journal where it is compressed.
const COMPRESSED: &str = "gz";

/// A moment in UTC, written as RFC 3339 to the millisecond.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct Timestamp(DateTime<Utc>);

impl Timestamp {
    /// The current time.
    #[must_use]
    pub fn now() -> Self {
        Self(Utc::now())
    }

    /// Seconds from `earlier` to this.
    #[must_use]
    pub fn seconds_since(self, earlier: Self) -> f64 {
        (self.0 - earlier.0).as_seconds_f64()
    }
}

impl From<DateTime<Utc>> for Timestamp {
    fn from(time: DateTime<Utc>) -> Self {
        Self(time)
    }
}

impl From<Timestamp> for String {
    fn from(time: Timestamp) -> Self {
        time.to_string()
    }
}

impl TryFrom<String> for Timestamp {
    type Error = chrono::ParseError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Ok(Self(DateTime::parse_from_rfc3339(&text)?.to_utc()))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.to_rfc3339_opts(SecondsFormat::Millis, true))
    }
}

/// One complete run of one arm in a process of its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sample {
    /// Scenario that it belongs to, by name.
    pub scenario: String,
    /// Arm that ran, by name.
    pub arm: String,
    /// Block of the schedule, from 0. A sample that was taken again keeps its block.
    pub block: usize,
    /// Place within the block, from 0.
    pub position: usize,
    /// Whether this is the untimed run that precedes the blocks. It enters no estimate; its
    /// first-run cost is reported apart. Its `block` and `position` mean nothing.
    pub warm_up: bool,
    /// When the sample began.
    pub started_at: Timestamp,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of a sample.
///
/// Externally tagged: the other forms of enum go through a buffer in serde, which breaks numbers
/// when `serde_json` keeps them at arbitrary precision, as this workspace does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It ran, and what it loaded was verified.
    Measured(Measurements),
    /// It did not finish.
    Failed {
        /// What went wrong, in one line.
        reason: String,
    },
    /// It finished, and the table does not hold the rows that it must.
    WrongData {
        /// What the table should hold and what it does, in one line.
        reason: String,
    },
    /// It finished, and something outside of it (steal, a timed checkpoint, autovacuum) spoiled the
    /// figures.
    Void {
        /// What spoiled it, in one line.
        reason: String,
    },
}

impl Outcome {
    /// Whether something outside of the sample spoiled it.
    #[must_use]
    pub fn is_void(&self) -> bool {
        matches!(self, Self::Void { .. })
    }
}

/// The figures of one sample.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measurements {
    /// Wall time that is judged: of a pipeline the engine's own, from the start of its run to its
    /// commit; of `psql` the whole process, as the parent saw it.
    pub wall_seconds: f64,
    /// Wall time of the whole process, as the parent saw it: with start, connection and exit.
    pub process_wall_seconds: f64,
    /// Rows that landed, as verified in the table.
    pub rows: u64,
    /// From the start of the run to the first rows that leave for the server; absent for an arm that
    /// does not report it.
    pub first_row_seconds: Option<f64>,
    /// User and system time of the process, from its start to its exit.
    pub client_cpu_seconds: f64,
    /// User and system time of the PostgreSQL server; absent where it cannot be seen, as with a
    /// server by URL.
    pub server_cpu_seconds: Option<f64>,
    /// Largest resident size of the worker; absent where the system does not report it.
    pub peak_memory_bytes: Option<u64>,
    /// Share of all processors' time that the host gave to others while the sample ran, 0 to 1.
    pub steal_share: f64,
    /// Times that the process was taken off a processor against its will.
    pub involuntary_switches: u64,
    /// Body bytes received from the API, after decompression; 0 for an arm that does not use it.
    pub bytes_from_api: u64,
    /// Bytes sent to the server.
    pub bytes_to_server: u64,
    /// SQL statements executed.
    pub statements: u64,
    /// Times that something was sent to the server and its answer read before going on; absent for an
    /// arm that does not report them, and in runs of versions that did not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub round_trips: Option<u64>,
    /// The engine's own report, without the configuration; null for an arm that has none.
    pub extra: serde_json::Value,
}

/// Writes `samples.ndjson`, one complete line at a time.
#[derive(Debug)]
pub struct Journal {
    file: File,
}

impl Journal {
    /// Opens the journal at `path` to append to, creating it if there is none.
    ///
    /// A last line that was cut short is removed: it was never a sample, and what follows must
    /// start a line.
    ///
    /// # Errors
    /// If the file cannot be opened, read or cut, or is compressed.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let compressed = path.with_added_extension(COMPRESSED);
        anyhow::ensure!(
            path.exists() || !compressed.exists(),
            "{} is compressed, as published runs are: unpack it with gunzip first",
            compressed.display()
        );
        let journal = || -> std::io::Result<Self> {
            let mut file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .open(path)?;
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            file.set_len(complete_lines(&bytes).len() as u64)?;
            file.seek(SeekFrom::End(0))?;
            Ok(Self { file })
        };
        journal().with_context(|| format!("cannot open the samples file {}", path.display()))
    }

    /// Appends a sample. When this returns, the sample outlives this process.
    ///
    /// The line goes to the kernel in one write and is not forced to the disk: a sync here would
    /// make the next sample's server wait for it.
    ///
    /// # Errors
    /// If the sample cannot be written; the journal may then end in a cut line, which
    /// [`Samples::read`] reports.
    pub fn append(&mut self, sample: &Sample) -> anyhow::Result<()> {
        let mut line = serde_json::to_vec(sample).context("cannot serialise a sample")?;
        line.push(b'\n');
        self.file
            .write_all(&line)
            .context("cannot append to the samples file")
    }
}

/// What a journal holds.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Samples {
    /// All samples, in the order in which they were taken.
    pub samples: Vec<Sample>,
    /// Number of the last line if it was cut short, as an interruption leaves it. It holds no
    /// sample.
    pub cut_line: Option<usize>,
}

impl Samples {
    /// Reads the journal at `path`, or, where there is none, the same compressed by gzip at
    /// `path.gz`, as runs are published.
    ///
    /// # Errors
    /// If the file cannot be read, or a complete line is not a sample; the message names the line.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let compressed = path.with_added_extension(COMPRESSED);
        let read = || -> std::io::Result<Vec<u8>> {
            if path.exists() || !compressed.exists() {
                return std::fs::read(path);
            }
            let mut bytes = Vec::new();
            GzDecoder::new(File::open(&compressed)?).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        let bytes =
            read().with_context(|| format!("cannot read the samples file {}", path.display()))?;
        Self::parse(&bytes).with_context(|| format!("in the samples file {}", path.display()))
    }

    /// Parses the bytes of a journal. A line counts once its line feed is there.
    ///
    /// # Errors
    /// If a complete line is not a sample; the message names the line.
    pub fn parse(bytes: &[u8]) -> anyhow::Result<Self> {
        let complete = complete_lines(bytes);
        let lines: Vec<&[u8]> = complete.split_inclusive(|byte| *byte == b'\n').collect();
        let samples = lines
            .iter()
            .enumerate()
            .map(|(index, line)| {
                serde_json::from_slice(line)
                    .with_context(|| format!("line {} is not a sample", index + 1))
            })
            .collect::<anyhow::Result<Vec<Sample>>>()?;
        let cut_line = (complete.len() < bytes.len()).then_some(lines.len() + 1);
        Ok(Self { samples, cut_line })
    }
}

/// The part of a file of lines up to and with its last line feed.
pub(crate) fn complete_lines(bytes: &[u8]) -> &[u8] {
    let end = bytes
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |position| position + 1);
    &bytes[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(block: usize, outcome: Outcome) -> Sample {
        Sample {
            scenario: "orders".into(),
            arm: "copy-binary @ 10,000".into(),
            block,
            position: 1,
            warm_up: false,
            started_at: DateTime::from_timestamp_millis(1_767_225_600_250)
                .unwrap()
                .into(),
            outcome,
        }
    }

    fn measured() -> Outcome {
        Outcome::Measured(Measurements {
            wall_seconds: 0.6125,
            process_wall_seconds: 0.75,
            rows: 200_000,
            first_row_seconds: Some(0.0125),
            client_cpu_seconds: 0.5,
            server_cpu_seconds: None,
            peak_memory_bytes: Some(61_400_000),
            steal_share: 0.001,
            involuntary_switches: 12,
            bytes_from_api: 70_000_000,
            bytes_to_server: 50_000_000,
            statements: 3,
            round_trips: None,
            // More digits than an f64 holds: the engine's report must come back as it was.
            extra: serde_json::from_str(
                r#"{"p99_ms": 1.2345678901234567890123, "stages": [1, 2]}"#,
            )
            .unwrap(),
        })
    }

    #[test]
    fn every_outcome_comes_back_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(SAMPLES_FILE);
        let written = vec![
            sample(0, measured()),
            sample(
                1,
                Outcome::Failed {
                    reason: "worker exited with 1:\nno such host".into(),
                },
            ),
            sample(
                2,
                Outcome::Void {
                    reason: "steal 12%".into(),
                },
            ),
            sample(
                3,
                Outcome::WrongData {
                    reason: "9 rows instead of 10".into(),
                },
            ),
        ];
        let mut journal = Journal::open(&path).unwrap();
        for sample in &written {
            journal.append(sample).unwrap();
        }
        assert_eq!(
            Samples::read(&path).unwrap(),
            Samples {
                samples: written,
                cut_line: None
            }
        );
    }

    #[test]
    fn a_compressed_journal_is_read_where_there_is_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(SAMPLES_FILE);
        let mut line = serde_json::to_vec(&sample(0, measured())).unwrap();
        line.push(b'\n');
        let compressed = File::create(path.with_added_extension(COMPRESSED)).unwrap();
        let mut encoder = flate2::write::GzEncoder::new(compressed, flate2::Compression::fast());
        encoder.write_all(&line).unwrap();
        encoder.finish().unwrap();
        assert_eq!(Samples::read(&path).unwrap().samples.len(), 1);
        let refused = Journal::open(&path).unwrap_err().to_string();
        assert!(refused.contains("gunzip"), "{refused}");
        assert!(!path.exists());
        std::fs::write(&path, "").unwrap();
        assert!(Samples::read(&path).unwrap().samples.is_empty());
    }

    #[test]
    fn the_line_is_what_readers_of_the_file_rely_on() {
        insta::assert_snapshot!(serde_json::to_string(&sample(0, measured())).unwrap(), @r#"{"scenario":"orders","arm":"copy-binary @ 10,000","block":0,"position":1,"warm_up":false,"started_at":"2026-01-01T00:00:00.250Z","outcome":{"measured":{"wall_seconds":0.6125,"process_wall_seconds":0.75,"rows":200000,"first_row_seconds":0.0125,"client_cpu_seconds":0.5,"server_cpu_seconds":null,"peak_memory_bytes":61400000,"steal_share":0.001,"involuntary_switches":12,"bytes_from_api":70000000,"bytes_to_server":50000000,"statements":3,"extra":{"p99_ms":1.2345678901234567890123,"stages":[1,2]}}}}"#);
    }

    #[test]
    fn a_cut_last_line_is_reported_and_replaced_by_the_next_sample() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(SAMPLES_FILE);
        Journal::open(&path)
            .unwrap()
            .append(&sample(0, measured()))
            .unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        let whole = bytes.len();
        bytes.extend_from_within(..whole - 1);
        for cut in [whole + 1, whole + 40, 2 * whole - 1] {
            std::fs::write(&path, &bytes[..cut]).unwrap();
            let read = Samples::read(&path).unwrap();
            assert_eq!((read.samples.len(), read.cut_line), (1, Some(2)));
        }

        Journal::open(&path)
            .unwrap()
            .append(&sample(1, measured()))
            .unwrap();
        let read = Samples::read(&path).unwrap();
        assert_eq!(
            (read.samples.len(), read.samples[1].block, read.cut_line),
            (2, 1, None)
        );
    }

    #[test]
    fn a_complete_line_that_is_no_sample_is_an_error_naming_it() {
        let mut bytes = serde_json::to_vec(&sample(0, measured())).unwrap();
        bytes.extend_from_slice(b"\n{\"scenario\":\n");
        let error = Samples::parse(&bytes).unwrap_err();
        assert_eq!(error.to_string(), "line 2 is not a sample");
    }

    #[test]
    fn an_empty_journal_has_no_samples() {
        assert_eq!(Samples::parse(b"").unwrap(), Samples::default());
    }

    #[test]
    fn timestamps_are_rfc_3339() {
        let time = Timestamp::try_from("2026-01-01T02:00:00.25+02:00".to_owned()).unwrap();
        assert_eq!(time.to_string(), "2026-01-01T00:00:00.250Z");
        assert!(Timestamp::try_from("yesterday".to_owned()).is_err());
    }
}
