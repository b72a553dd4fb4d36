//! What the arms load: pages behind a URL, and what a table must hold afterwards.

use std::path::Path;

use anyhow::{Context, Result};
use testkit::mock_api::{MockApiOptions, MockApiProcess};
use testkit::workload::Workload;

use crate::measure::expected::Expected;
use crate::recording::replay::ReplayProcess;
use crate::recording::{Content, Header, is_recording};

/// A workload or a recording that is served.
pub(super) struct Served {
    api: Api,
    table: String,
    environment: Vec<(String, String)>,
    /// The columns that are compared, each with its type as the catalogue spells it.
    columns: Vec<(String, String)>,
    content: Landing,
}

/// What answers.
enum Api {
    Mock(MockApiProcess),
    Replay(ReplayProcess),
}

/// What must land.
enum Landing {
    /// So many rows of a workload.
    Rows(Workload, u64),
    /// The same as from a recorded load.
    Recorded(Content),
}

impl Served {
    /// Serves the recording at that path; else the first `rows` rows of the workload of that name, or of the
    /// definition at that path.
    ///
    /// # Errors
    /// When there is none, or it cannot be served.
    pub(super) async fn start(program: &Path, workload: &str, rows: u64) -> Result<Self> {
        match is_recording(workload) {
            true => Self::replay(program, Path::new(workload)).await,
            false => Self::mock(program, workload, rows).await,
        }
    }

    async fn mock(program: &Path, workload: &str, rows: u64) -> Result<Self> {
        let options = MockApiOptions::new(workload, rows);
        let workload = options.workload()?;
        let api = MockApiProcess::start_with(program, &options).await?;
        let page_rows = options.page_rows.get().to_string();
        let table = workload.name().to_owned();
        let columns = workload.columns().iter();
        Ok(Self {
            environment: environment(api.url(), &page_rows, rows, &table),
            table,
            columns: columns
                .map(|column| {
                    let kind = column.kind.postgres_type().to_lowercase();
                    (column.name.clone(), kind)
                })
                .collect(),
            content: Landing::Rows(workload, rows),
            api: Api::Mock(api),
        })
    }

    async fn replay(program: &Path, file: &Path) -> Result<Self> {
        let header = Header::read(file)?;
        let page_rows = header.page_rows()?;
        let api = ReplayProcess::start(program, file).await?;
        let url = |name: &str| {
            let url = api.sources().get(name);
            url.with_context(|| format!("source {name} of the recording has no server"))
        };
        let first = header.sources.first();
        let first = first.context("the recording has no source")?;
        let rows = header.content.rows;
        let mut environment = environment(url(&first.name)?, page_rows, rows, &header.table);
        for source in &header.sources {
            environment.push((variable(&source.name), url(&source.name)?.clone()));
        }
        let columns = header.content.columns.iter();
        Ok(Self {
            environment,
            columns: columns
                .map(|column| (column.name.clone(), column.kind.clone()))
                .collect(),
            table: header.table,
            content: Landing::Recorded(header.content),
            api: Api::Replay(api),
        })
    }

    /// The table that every arm must fill, in the schema `public` unless it names one.
    pub(super) fn table(&self) -> &str {
        &self.table
    }

    /// What an arm finds in its environment about its work.
    pub(super) fn environment(&self) -> &[(String, String)] {
        &self.environment
    }

    /// What the table must hold. The rows of a recording are known with an empty text as what it is.
    ///
    /// # Errors
    /// When computing the checksum panics.
    pub(super) async fn expected(&self, empty_text_is_null: bool) -> Result<Expected> {
        match &self.content {
            Landing::Recorded(content) => Ok(Expected::recorded(content)),
            Landing::Rows(workload, rows) => {
                let workload = workload.clone();
                let workload = match empty_text_is_null {
                    true => workload.with_empty_text_as_null(),
                    false => workload,
                };
                Expected::rows_of(&workload, *rows).await
            }
        }
    }

    /// How `columns`, each with its type, differ from those that are compared: `text as character varying`.
    pub(super) fn differences(&self, columns: &[(String, String)]) -> Vec<String> {
        let not_compared: &[String] = match &self.content {
            Landing::Recorded(content) => &content.changing,
            Landing::Rows(..) => &[],
        };
        differences(&self.columns, not_compared, columns)
    }

    /// Ends the API.
    pub(super) async fn stop(self) {
        let stopped = match self.api {
            Api::Mock(api) => api.stop().await,
            Api::Replay(api) => api.stop().await,
        };
        // Ctrl-C on a terminal reaches the API too, which may be gone by now.
        if let Err(error) = stopped {
            tracing::debug!("{error:#}");
        }
    }
}

fn environment(url: &str, page_rows: &str, rows: u64, table: &str) -> Vec<(String, String)> {
    let rows = rows.to_string();
    [
        ("APITAP_API_URL", url),
        ("APITAP_PAGE_ROWS", page_rows),
        ("APITAP_ROWS", &rows),
        ("APITAP_TABLE", table),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec()
}

/// The variable with the URL of that source: `APITAP_API_URL_LINE_ITEMS` for `line-items`.
fn variable(source: &str) -> String {
    let sign = |sign: char| match sign.is_ascii_alphanumeric() {
        true => sign.to_ascii_uppercase(),
        false => '_',
    };
    let name: String = source.chars().map(sign).collect();
    format!("APITAP_API_URL_{name}")
}

/// How `landed` differs from `own`, without the columns that are not compared.
fn differences(
    own: &[(String, String)],
    not_compared: &[String],
    landed: &[(String, String)],
) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for (name, expected) in own {
        let landed = landed.iter().find(|(other, _)| other == name);
        let other = landed.filter(|(_, kind)| kind != expected);
        let text = other.map(|(_, kind)| format!("{expected} as {kind}"));
        found.extend(text.filter(|text| !found.contains(text)));
    }
    let is_more = |name: &&str| {
        own.iter().all(|(known, _)| known != name) && not_compared.iter().all(|one| one != name)
    };
    let names = landed.iter().map(|(name, _)| name.as_str());
    let more: Vec<&str> = names.filter(is_more).collect();
    if !more.is_empty() {
        found.push(format!("more columns: {}", more.join(", ")));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(texts: &[(&str, &str)]) -> Vec<(String, String)> {
        let owned = |(name, kind): &(&str, &str)| ((*name).to_owned(), (*kind).to_owned());
        texts.iter().map(owned).collect()
    }

    #[test]
    fn other_types_are_named_once_and_more_columns_all() {
        let own = columns(&[("id", "bigint"), ("name", "text"), ("note", "text")]);
        assert_eq!(differences(&own, &[], &own), Vec::<String>::new());
        let landed = columns(&[
            ("id", "bigint"),
            ("name", "character varying"),
            ("note", "character varying"),
            ("_id", "text"),
            ("_load", "text"),
            ("luck", "double precision"),
        ]);
        assert_eq!(
            differences(&own, &["luck".to_owned()], &landed),
            ["text as character varying", "more columns: _id, _load"]
        );
    }

    #[test]
    fn a_source_has_a_variable_that_a_shell_can_name() {
        assert_eq!(variable("line-items.v2"), "APITAP_API_URL_LINE_ITEMS_V2");
    }
}
