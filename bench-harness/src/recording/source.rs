//! A source as its replay needs it: without host and credentials.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::time::Duration;

use anyhow::{Context as _, Result};
use apitap_core::config::BadText;
use apitap_core::schema::ColumnType;
use apitap_core::secret::Secret;
use apitap_core::source::pagination::Pagination;
use apitap_core::source::retry::RetryPolicy;
use apitap_core::source::{Auth, Limits, SourceSpec, TotalHint};
use serde::{Deserialize, Serialize};
use url::Url;

use super::secrets::Secrets;

/// One source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RecordedSource {
    /// Its name, which the query reads.
    pub(crate) name: String,
    /// Its server: one of several, by number.
    pub(crate) origin: usize,
    /// Path and query of its URL.
    pub(crate) target: String,
    /// Parameters of every request but those that follow a link.
    pub(crate) query: Vec<(String, String)>,
    /// The parameter of its key, with what takes the key's place.
    pub(crate) key: Option<(String, String)>,
    /// How its pages follow each other.
    pub(crate) pagination: Pagination,
    /// Where a page says how many rows there are.
    pub(crate) total_path: Option<String>,
    /// The header that says so.
    pub(crate) total_header: String,
    /// Whether it may end before them.
    pub(crate) allow_shortfall: bool,
    /// Where the rows of a page are.
    pub(crate) data_path: String,
    /// Declared types of columns.
    pub(crate) columns: BTreeMap<String, ColumnType>,
    /// What happens to texts that PostgreSQL cannot hold.
    pub(crate) on_bad_text: BadText,
    /// Limits of a page.
    pub(crate) limits: RecordedLimits,
    /// When requests are sent again.
    pub(crate) retry: RecordedRetry,
}

/// The most that a page may hold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RecordedLimits {
    body_bytes: Option<NonZeroUsize>,
    rows: NonZeroUsize,
    string_bytes: NonZeroUsize,
}

/// Attempts and delays.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RecordedRetry {
    max_attempts: u32,
    min_delay_seconds: f64,
    max_delay_seconds: f64,
}

impl RecordedSource {
    /// `spec`, whose server is number `origin`, without its `secrets`.
    pub(crate) fn new(spec: &SourceSpec, origin: usize, secrets: &Secrets) -> Self {
        let hidden = |name: &str, value: &Secret| {
            (name.to_owned(), secrets.hide_value(name, value.expose()))
        };
        let query = spec.query.iter();
        let key = match &spec.auth {
            Some(Auth::ApiKey {
                name,
                value,
                in_query: true,
            }) => Some(hidden(name, value)),
            _ => None,
        };
        Self {
            name: spec.name.clone(),
            origin,
            target: secrets.hide_target(&target(&spec.url)),
            query: query.map(|(name, value)| hidden(name, value)).collect(),
            key,
            pagination: spec.pagination.clone(),
            total_path: spec.total.path.clone(),
            total_header: spec.total.header.clone(),
            allow_shortfall: spec.total.allow_shortfall,
            data_path: spec.data_path.clone(),
            columns: spec.columns.clone(),
            on_bad_text: spec.on_bad_text,
            limits: RecordedLimits {
                body_bytes: spec.limits.body_bytes,
                rows: spec.limits.rows,
                string_bytes: spec.limits.string_bytes,
            },
            retry: RecordedRetry {
                max_attempts: spec.retry.max_attempts,
                min_delay_seconds: spec.retry.min_delay.as_secs_f64(),
                max_delay_seconds: spec.retry.max_delay.as_secs_f64(),
            },
        }
    }

    /// The source at a server with that URL, such as `http://127.0.0.1:40123`.
    ///
    /// # Errors
    /// When a part of it is not valid.
    pub(crate) fn at(&self, server: &str) -> Result<SourceSpec> {
        let url = Url::parse(&format!("{server}{}", self.target));
        let url = url.with_context(|| format!("the URL of source {} is not valid", self.name))?;
        let seconds = |seconds| Duration::try_from_secs_f64(seconds).context("a delay is no time");
        let mut spec = SourceSpec::new(&self.name, url);
        let query = self.query.iter().cloned();
        spec.query = query.map(|(name, value)| (name, Secret(value))).collect();
        spec.auth = self.key.clone().map(|(name, value)| Auth::ApiKey {
            name,
            value: Secret(value),
            in_query: true,
        });
        spec.pagination = self.pagination.clone();
        spec.total = TotalHint {
            path: self.total_path.clone(),
            header: self.total_header.clone(),
            allow_shortfall: self.allow_shortfall,
        };
        spec.data_path.clone_from(&self.data_path);
        spec.columns.clone_from(&self.columns);
        spec.on_bad_text = self.on_bad_text;
        spec.limits = Limits {
            body_bytes: self.limits.body_bytes,
            rows: self.limits.rows,
            string_bytes: self.limits.string_bytes,
        };
        spec.retry = RetryPolicy {
            max_attempts: self.retry.max_attempts,
            min_delay: seconds(self.retry.min_delay_seconds)?,
            max_delay: seconds(self.retry.max_delay_seconds)?,
        };
        Ok(spec)
    }

    /// The parameter that numbers its pages or rows, where it has one.
    pub(crate) fn number_parameter(&self) -> Option<&str> {
        match &self.pagination {
            Pagination::PageNumber { page_param, .. } => Some(page_param),
            Pagination::LimitOffset { offset_param, .. } => Some(offset_param),
            _ => None,
        }
    }

    /// Where its pages have the link to the next.
    pub(crate) fn link_paths(&self) -> &[String] {
        match &self.pagination {
            Pagination::NextLink { next_paths } => next_paths,
            _ => &[],
        }
    }

    /// The parameter that says how many rows a page is to have, where it has one.
    pub(crate) fn size_parameter(&self) -> Option<&str> {
        match &self.pagination {
            Pagination::PageNumber { per_page_param, .. } => per_page_param.as_deref(),
            Pagination::LimitOffset { limit_param, .. } => Some(limit_param),
            Pagination::Cursor {
                page_size_param, ..
            } => page_size_param.as_deref(),
            Pagination::None | Pagination::LinkHeader | Pagination::NextLink { .. } => None,
        }
    }
}

/// Path and query of a URL.
pub(super) fn target(url: &Url) -> String {
    match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    }
}
