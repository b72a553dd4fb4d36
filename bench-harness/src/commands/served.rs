//! What the arms load: pages behind a URL, and what a table must hold afterwards.

use std::path::Path;

use anyhow::Result;
use testkit::mock_api::{MockApiOptions, MockApiProcess};
use testkit::workload::Workload;

use crate::measure::expected::Expected;

/// A workload that is served.
pub(super) struct Served {
    api: MockApiProcess,
    workload: Workload,
    page_rows: u64,
    rows: u64,
}

impl Served {
    /// Serves the first `rows` rows of the workload of that name, or of the definition at that path.
    ///
    /// # Errors
    /// When there is none, or it cannot be served.
    pub(super) async fn start(program: &Path, workload: &str, rows: u64) -> Result<Self> {
        let options = MockApiOptions::new(workload, rows);
        Ok(Self {
            workload: options.workload()?,
            page_rows: options.page_rows.get(),
            rows,
            api: MockApiProcess::start_with(program, &options).await?,
        })
    }

    /// The table that every arm must fill, in the schema `public`.
    pub(super) fn table(&self) -> &str {
        self.workload.name()
    }

    /// What an arm finds in its environment about its work.
    pub(super) fn environment(&self) -> [(&'static str, String); 4] {
        [
            ("APITAP_API_URL", self.api.url().to_owned()),
            ("APITAP_PAGE_ROWS", self.page_rows.to_string()),
            ("APITAP_ROWS", self.rows.to_string()),
            ("APITAP_TABLE", self.table().to_owned()),
        ]
    }

    /// What the table must hold.
    ///
    /// # Errors
    /// When computing the checksum panics.
    pub(super) async fn expected(&self, empty_text_is_null: bool) -> Result<Expected> {
        let workload = self.workload.clone();
        let workload = match empty_text_is_null {
            true => workload.with_empty_text_as_null(),
            false => workload,
        };
        Expected::rows_of(&workload, self.rows).await
    }

    /// How `columns`, each with its type, differ from the workload's: `text as character varying`.
    pub(super) fn differences(&self, columns: &[(String, String)]) -> Vec<String> {
        differences(&self.workload, columns)
    }

    /// Ends the API.
    pub(super) async fn stop(self) {
        // Ctrl-C on a terminal reaches the mock API too, which may be gone by now.
        if let Err(error) = self.api.stop().await {
            tracing::debug!("{error:#}");
        }
    }
}

fn differences(workload: &Workload, columns: &[(String, String)]) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let own = workload.columns();
    for column in own {
        let expected = column.kind.postgres_type().to_lowercase();
        let landed = columns.iter().find(|(name, _)| *name == column.name);
        let other = landed.filter(|(_, kind)| *kind != expected);
        let text = other.map(|(_, kind)| format!("{expected} as {kind}"));
        found.extend(text.filter(|text| !found.contains(text)));
    }
    let is_more = |name: &&str| own.iter().all(|column| column.name != *name);
    let names = columns.iter().map(|(name, _)| name.as_str());
    let more: Vec<&str> = names.filter(is_more).collect();
    if !more.is_empty() {
        found.push(format!("more columns: {}", more.join(", ")));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_types_are_named_once_and_more_columns_all() {
        let orders = Workload::named("orders").unwrap();
        let own = orders.columns().iter().map(|column| {
            let kind = column.kind.postgres_type().to_lowercase();
            (column.name.clone(), kind)
        });
        let mut columns: Vec<(String, String)> = own.collect();
        assert_eq!(differences(&orders, &columns), Vec::<String>::new());
        for (_, kind) in &mut columns {
            if kind == "text" {
                *kind = "character varying".to_owned();
            }
        }
        columns.push(("_id".to_owned(), "text".to_owned()));
        columns.push(("_load".to_owned(), "text".to_owned()));
        assert_eq!(
            differences(&orders, &columns),
            ["text as character varying", "more columns: _id, _load"]
        );
    }
}
