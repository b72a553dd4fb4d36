//! What the command says on standard error: lines for people, or lines of JSON.
//!
//! Nobody may be there to read them: a full disk, or a pipe whose reader has gone, is no reason to
//! fail a run. What cannot be written is lost, without a word.

use std::io::{self, Write as _};

use chrono::{SecondsFormat, Utc};
use serde_json::{Map, Value, json};
use tracing_subscriber::fmt::MakeWriter;

use super::printable;
use crate::Error;

/// Standard error, and standard output for what was asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Console {
    json: bool,
}

impl Console {
    /// With `json`, each line is a JSON object like those of the log.
    pub(super) fn new(json: bool) -> Self {
        Self { json }
    }

    pub(super) fn is_json(self) -> bool {
        self.json
    }

    /// What failed, and what to do about it.
    pub(super) fn error(self, error: &Error) {
        let details = [
            ("kind", Some(error.kind().name())),
            ("stage", Some(error.stage().name())),
            ("help", error.next_step()),
        ];
        self.lines("ERROR", "error: ", &error.chain(), &details);
    }

    /// What failed outside of the engine.
    pub(super) fn failure(self, text: &str, help: Option<&str>) {
        self.lines("ERROR", "error: ", text, &[("help", help)]);
    }

    /// What went wrong without a consequence for the runs.
    pub(super) fn warning(self, text: &str) {
        self.lines("WARN", "warning: ", text, &[]);
    }

    /// What happened.
    pub(super) fn info(self, text: &str) {
        self.lines("INFO", "", text, &[]);
    }

    /// What is more than a line: lines for people, or one event with `text` and these fields.
    pub(super) fn table(self, lines: &[String], text: &str, fields: Map<String, Value>) {
        if self.json {
            return put(event("INFO", text, fields));
        }
        let lines = lines.iter().map(|line| printable::line(line) + "\n");
        put(lines.collect::<String>());
    }

    fn lines(self, level: &str, prefix: &str, text: &str, details: &[(&str, Option<&str>)]) {
        if self.json {
            let details = details
                .iter()
                .filter_map(|(name, value)| Some((*name, (*value)?)));
            let fields = details.map(|(name, value)| (name.to_owned(), value.into()));
            return put(event(level, text, fields.collect()));
        }
        let mut shown = format!("{prefix}{}\n", printable::line(text));
        for (name, value) in details {
            if let ("help", Some(value)) = (*name, value) {
                shown.push_str(&format!("  help: {}\n", printable::line(value)));
            }
        }
        put(shown);
    }

    /// Prints lines on standard output.
    ///
    /// # Errors
    /// Standard output is closed or full.
    pub(super) fn print(lines: &[String]) -> io::Result<()> {
        let mut out = io::stdout().lock();
        for line in lines {
            writeln!(out, "{}", printable::line(line))?;
        }
        out.flush()
    }
}

/// A line of JSON, like those of the log.
fn event(level: &str, text: &str, mut fields: Map<String, Value>) -> String {
    fields.insert("message".to_owned(), text.into());
    let line = json!({
        "timestamp": Utc::now().to_rfc3339_opts(SecondsFormat::Micros, true),
        "level": level,
        "fields": fields,
        "target": "apitap",
    });
    printable::json(&line.to_string()).into_owned() + "\n"
}

/// One write for all of it, so that lines of threads do not mix.
fn put(lines: impl AsRef<[u8]>) {
    let _ = io::stderr().write_all(lines.as_ref());
}

/// The log: an event is one line too.
impl MakeWriter<'_> for Console {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        *self
    }
}

impl io::Write for Console {
    /// Takes an event as a whole, as the subscriber writes it.
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        let text = text.strip_suffix('\n').unwrap_or(&text);
        let line = match self.json {
            true => printable::json(text),
            false => printable::line(text),
        };
        put(line.into_owned() + "\n");
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
