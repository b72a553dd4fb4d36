//! A recording as a file: gzipped lines of JSON, the first about the load, and one for each request.
//!
//! So `zcat orders.rec | head -1` shows what it is about, and `zgrep` finds what is in its pages.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, BufWriter, Write as _};
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use flate2::Compression;
use flate2::bufread::GzDecoder;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};
use testkit::postgres::quoted;

use super::source::RecordedSource;
use crate::samples::Timestamp;
use crate::schema_version;

/// The version of the file's layout. 2 has the table and the types of its columns.
pub(crate) const SCHEMA_VERSION: u32 = 2;

/// The setting among the pinned ones that says how many rows a request asks for.
pub(crate) const PAGE_ROWS: &str = "source.page_rows=";

/// How the names of recordings end.
const EXTENSION: &str = ".rec";

/// Whether a workload's name is that of a recording.
#[must_use]
pub(crate) fn is_recording(workload: &str) -> bool {
    workload.ends_with(EXTENSION)
}

/// A load of a pipeline, as its API answered it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Recording {
    /// What was loaded.
    pub(crate) header: Header,
    /// What was asked and answered, in the order of the requests.
    pub(crate) exchanges: Vec<Exchange>,
}

/// What was loaded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Header {
    /// [`SCHEMA_VERSION`].
    pub(crate) schema_version: u32,
    /// When.
    pub(crate) recorded_at: Timestamp,
    /// Version of the program that recorded it.
    pub(crate) recorded_by: String,
    /// The module.
    pub(crate) module: String,
    /// Its query.
    pub(crate) sql: String,
    /// Its table, with the schema if it names one.
    pub(crate) table: String,
    /// The sources that it reads.
    pub(crate) sources: Vec<RecordedSource>,
    /// How many servers they have.
    pub(crate) origins: usize,
    /// The preset of the pipeline.
    pub(crate) preset: String,
    /// Its changes to the preset, as `stage.knob=value`.
    pub(crate) settings: Vec<String>,
    /// Settings that every replay keeps: with others the requests or the rows would be others.
    pub(crate) pinned: Vec<String>,
    /// Rows that the sources delivered.
    pub(crate) rows_read: u64,
    /// What the recorded load took.
    pub(crate) wall_seconds: f64,
    /// What a replay must load.
    pub(crate) content: Content,
    /// Whether the module replaces its table, as every replay does.
    pub(crate) replaces: bool,
    /// Whether values were replaced.
    pub(crate) is_scrubbed: bool,
    /// How many exchanges follow.
    pub(crate) exchanges: usize,
}

/// What a load of the recording leaves in its table.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Content {
    /// Number of rows.
    pub(crate) rows: u64,
    /// The columns that are compared.
    pub(crate) columns: Vec<Column>,
    /// Columns that differ from load to load.
    pub(crate) changing: Vec<String>,
    /// Checksum of the compared columns, which no order of rows changes.
    pub(crate) checksum: String,
}

/// A column of that table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Column {
    /// Its name.
    pub(crate) name: String,
    /// Its type, as PostgreSQL spells it.
    #[serde(rename = "type")]
    pub(crate) kind: String,
}

/// A request and its answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Exchange {
    /// The server, by number.
    pub(crate) origin: usize,
    /// Such as `GET`.
    pub(crate) method: String,
    /// Path and query.
    pub(crate) target: String,
    /// When the request came, from the beginning of the load.
    pub(crate) started_ms: f64,
    /// Of the answer; 502 where none came.
    pub(crate) status: u16,
    /// Of the answer.
    pub(crate) headers: Vec<(String, String)>,
    /// From the request to the answer's head.
    pub(crate) first_byte_ms: f64,
    /// From the request to the end of the body.
    pub(crate) end_ms: f64,
    /// Size of the body as it was sent.
    pub(crate) sent_bytes: u64,
    /// Whether the body was sent compressed by gzip. Here it is not.
    pub(crate) is_gzipped: bool,
    /// Whether the connection broke within the body.
    pub(crate) is_cut: bool,
    /// Whether it lies behind the last page that has rows.
    pub(crate) is_behind: bool,
    /// The body, up to where it broke.
    pub(crate) body: String,
}

impl Column {
    /// Its cells as SQL, cast to the type, because another loader may choose one of its own.
    pub(crate) fn cell(&self) -> String {
        format!("{}::{}", quoted(&self.name), self.kind)
    }

    /// Whether the type is words, a size and brackets, as of every type of the engine. A file from elsewhere could hold
    /// other SQL there.
    fn is_plain(&self) -> bool {
        let words = |text: &str| {
            text.bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b" _".contains(&byte))
        };
        let size = |text: &str| {
            text.bytes()
                .all(|byte| byte.is_ascii_digit() || byte == b',')
        };
        let kind = self.kind.replace("[]", "");
        let Some((before, rest)) = kind.split_once('(') else {
            return words(&kind);
        };
        let parts = rest.split_once(')');
        parts.is_some_and(|(within, after)| words(before) && size(within) && words(after))
    }
}

impl Header {
    /// The number of rows that its requests ask for.
    ///
    /// # Errors
    /// When the file does not say.
    pub(crate) fn page_rows(&self) -> Result<&str> {
        let mut pinned = self.pinned.iter();
        let page_rows = pinned.find_map(|setting| setting.strip_prefix(PAGE_ROWS));
        page_rows.context("the recording does not say how large its pages are")
    }

    /// Reads what a file is about.
    ///
    /// # Errors
    /// When it cannot be read, is no recording, or one of another version.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        Lines::open(path)?.header().with_context(|| in_file(path))
    }
}

impl Recording {
    /// Writes the file, over one that is there. It is there as a whole or not at all.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let unfinished = path.with_added_extension("tmp");
        self.write_to(&unfinished)
            .and_then(|()| Ok(fs::rename(&unfinished, path)?))
            .with_context(|| format!("cannot write {}", path.display()))
    }

    fn write_to(&self, path: &Path) -> Result<()> {
        let file = BufWriter::new(File::create(path)?);
        let mut lines = GzEncoder::new(file, Compression::default());
        serde_json::to_writer(&mut lines, &self.header)?;
        lines.write_all(b"\n")?;
        for exchange in &self.exchanges {
            serde_json::to_writer(&mut lines, exchange)?;
            lines.write_all(b"\n")?;
        }
        lines.finish()?.flush()?;
        Ok(())
    }

    /// Reads the file.
    ///
    /// # Errors
    /// Those of [`Header::read`], and when a part of it is damaged or missing.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let mut lines = Lines::open(path)?;
        let mut read = || -> Result<Self> {
            let header = lines.header()?;
            let mut exchanges = Vec::new();
            while let Some(line) = lines.line()? {
                let exchange = serde_json::from_str(&line);
                exchanges.push(exchange.with_context(|| damaged("a line is no exchange"))?);
            }
            ensure!(
                exchanges.len() == header.exchanges,
                damaged("exchanges are missing")
            );
            Ok(Self { header, exchanges })
        };
        read().with_context(|| in_file(path))
    }
}

fn in_file(path: &Path) -> String {
    format!("in the recording {}", path.display())
}

fn damaged(what: &str) -> String {
    format!("it is damaged, {what}: record it again, or copy it again in binary")
}

struct Lines(BufReader<GzDecoder<BufReader<File>>>);

impl Lines {
    fn open(path: &Path) -> Result<Self> {
        let file = File::open(path);
        let file = file.with_context(|| format!("cannot read {}", path.display()))?;
        Ok(Self(BufReader::new(GzDecoder::new(BufReader::new(file)))))
    }

    fn line(&mut self) -> Result<Option<String>> {
        let mut line = String::new();
        let read = self.0.read_line(&mut line);
        let bytes = read.with_context(|| damaged("it cannot be unpacked"))?;
        Ok((bytes > 0).then_some(line))
    }

    fn header(&mut self) -> Result<Header> {
        let not_one = "it is no recording, or a damaged one: `apitap-bench record` makes one";
        let line = self.line().context(not_one)?.context(not_one)?;
        let found = schema_version::read(&line).context(not_one)?;
        ensure!(
            found == SCHEMA_VERSION,
            "it has layout {found}, and this program reads {SCHEMA_VERSION}: use the version of apitap-bench that \
             recorded it, or record it again"
        );
        let header: Header = serde_json::from_str(&line).context(not_one)?;
        ensure!(header.content.columns.iter().all(Column::is_plain), not_one);
        Ok(header)
    }
}

#[cfg(test)]
mod tests {
    use super::super::example;
    use super::*;

    #[test]
    fn a_recording_comes_back_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("orders.rec");
        let recording = example::recording();
        recording.write(&path).unwrap();
        assert_eq!(Recording::read(&path).unwrap(), recording);
        assert_eq!(Header::read(&path).unwrap(), recording.header);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(is_recording("a/orders.rec") && !is_recording("orders"));
    }

    #[test]
    fn types_are_words_sizes_and_brackets() {
        let is_plain = |kind: &str| {
            let (name, kind) = ("id".to_owned(), kind.to_owned());
            Column { name, kind }.is_plain()
        };
        for kind in [
            "bigint",
            "numeric(10,2)",
            "timestamp(3) with time zone",
            "text[]",
        ] {
            assert!(is_plain(kind), "{kind}");
        }
        for other in [
            "text, 1",
            "text)",
            "f(x)",
            "text(1",
            "text; SELECT 1",
            "a'b",
        ] {
            assert!(!is_plain(other), "{other}");
        }
    }

    #[test]
    fn damaged_newer_and_other_files_are_refused_with_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("orders.rec");
        let error = |path: &Path| format!("{:#}", Recording::read(path).unwrap_err());
        assert!(error(&path).starts_with("cannot read "), "{}", error(&path));

        let mut recording = example::recording();
        recording.write(&path).unwrap();
        let whole = fs::read(&path).unwrap();
        fs::write(&path, &whole[..whole.len() - 9]).unwrap();
        assert!(error(&path).contains("it is damaged"), "{}", error(&path));
        let mut changed = whole.clone();
        let middle = changed.len() / 2;
        changed[middle] ^= 0x55;
        fs::write(&path, changed).unwrap();
        assert!(error(&path).contains("damaged"), "{}", error(&path));

        recording.header.exchanges += 1;
        recording.write(&path).unwrap();
        assert!(
            error(&path).contains("exchanges are missing"),
            "{}",
            error(&path)
        );
        recording.header.schema_version = SCHEMA_VERSION + 1;
        recording.write(&path).unwrap();
        let newer = error(&path);
        assert!(
            newer.contains("it has layout 3, and this program reads 2")
                && newer.contains("orders.rec"),
            "{newer}"
        );
        recording = example::recording();
        recording.header.content.columns[0].kind = "text, pg_read_file('x')".to_owned();
        recording.write(&path).unwrap();
        assert!(
            error(&path).contains("it is no recording"),
            "{}",
            error(&path)
        );
        fs::write(&path, "{\"schema_version\":2}").unwrap();
        assert!(
            error(&path).contains("it is no recording"),
            "{}",
            error(&path)
        );
    }
}
