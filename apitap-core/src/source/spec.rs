//! What there is to know about an API before the first request.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroUsize;

use url::Url;
use xxhash_rust::xxh3::Xxh3;

use super::pagination::Pagination;
use super::retry::RetryPolicy;
use crate::config::{BadText, WriteMode};
use crate::schema::ColumnType;
use crate::secret::Secret;

/// One API.
#[derive(Clone)]
pub struct SourceSpec {
    /// Its name, as `use_source` refers to it.
    pub name: String,
    /// Where the first request goes, without `query`.
    pub url: Url,
    /// Headers of every request. Any value may be a secret.
    pub headers: Vec<(String, Secret)>,
    /// Query parameters of every request but those whose URL a page named.
    pub query: Vec<(String, Secret)>,
    /// How to prove who is asking.
    pub auth: Option<Auth>,
    /// How pages follow each other.
    pub pagination: Pagination,
    /// Where a page says how many rows there are in all.
    pub total: TotalHint,
    /// Other hosts that next links and redirects may lead to, with the credentials.
    pub allowed_hosts: Vec<String>,
    /// RFC 6901 pointer to the rows; empty for the whole body.
    pub data_path: String,
    /// The most that one page may hold.
    pub limits: Limits,
    /// Attempts and delays.
    pub retry: RetryPolicy,
    /// The destination table, `table` or `schema.table`.
    pub table_destination_name: Option<String>,
    /// Key columns for `merge`, in order.
    pub primary_key: Vec<String>,
    /// Declared types by column, instead of inferred ones.
    pub columns: BTreeMap<String, ColumnType>,
    /// What happens to escapes in texts that PostgreSQL cannot hold.
    pub on_bad_text: BadText,
    /// What happens to rows already there, where the file says.
    pub mode: Option<WriteMode>,
    /// See [`SourceSpec::fingerprint`].
    pub(crate) identity: u64,
}

/// Where a page says how many rows there are in all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TotalHint {
    /// RFC 6901 pointer into the body.
    pub path: Option<String>,
    /// A response header. Default `X-Total-Count`.
    pub header: String,
    /// Whether a source that ends before that total is fine. Default false.
    pub allow_shortfall: bool,
}

/// The most that one page may hold. A page beyond a limit is an error.
///
/// Values may be nested 128 deep, and a number may have as many digits as PostgreSQL's `numeric`:
/// neither can be raised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the body, both as sent and decompressed. By default what `source.max_body_bytes` says.
    pub body_bytes: Option<NonZeroUsize>,
    /// Rows. Default 5,000,000: rows of 50 bytes reach the default limit of a body before. Empty rows, of
    /// which many more fit a body, still take room in every column.
    pub rows: NonZeroUsize,
    /// Bytes of one string, as written. Default 64 MiB: PostgreSQL stores up to 1 GB, but a row must pass
    /// through memory several times.
    pub string_bytes: NonZeroUsize,
}

impl Default for Limits {
    fn default() -> Self {
        let count = |count| NonZeroUsize::new(count).unwrap_or(NonZeroUsize::MIN);
        Self {
            body_bytes: None,
            rows: count(5_000_000),
            string_bytes: count(64 << 20),
        }
    }
}

/// How to prove who is asking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Auth {
    /// HTTP basic.
    Basic {
        /// User.
        username: String,
        /// Password.
        password: Secret,
    },
    /// `Authorization: Bearer`.
    Bearer {
        /// Token.
        token: Secret,
    },
    /// A key in a header or a query parameter.
    ApiKey {
        /// Name of the header or parameter.
        name: String,
        /// The key.
        value: Secret,
        /// Whether it goes into the query instead of a header.
        in_query: bool,
    },
}

impl SourceSpec {
    /// A source with everything but name and URL at its default.
    pub fn new(name: impl Into<String>, url: Url) -> Self {
        let mut spec = Self {
            name: name.into(),
            url,
            headers: Vec::new(),
            query: Vec::new(),
            auth: None,
            pagination: Pagination::None,
            total: TotalHint::default(),
            allowed_hosts: Vec::new(),
            data_path: String::new(),
            limits: Limits::default(),
            retry: RetryPolicy::default(),
            table_destination_name: None,
            primary_key: Vec::new(),
            columns: BTreeMap::new(),
            on_bad_text: BadText::default(),
            mode: None,
            identity: 0,
        };
        spec.identity = spec.identify(&[], &[]);
        spec
    }

    /// A number that changes when the configuration that decides the data's shape changes:
    /// name, URL, query as written in the file (so that dates and `${VAR}` do not count),
    /// header names, `data_path`, pagination and declared columns. No secret goes into it.
    pub fn fingerprint(&self) -> u64 {
        self.identity
    }

    /// The URL without user, password, query and fragment, for messages.
    pub fn shown_url(&self) -> String {
        shown_url(&self.url)
    }

    /// The first setting that points into the body of an answer, beside its rows or to them.
    pub(crate) fn body_pointer(&self) -> Option<&'static str> {
        match self.pagination {
            Pagination::Cursor { .. } => Some("cursor_path"),
            Pagination::NextLink { .. } => Some("next_path"),
            Pagination::None
            | Pagination::PageNumber { .. }
            | Pagination::LimitOffset { .. }
            | Pagination::LinkHeader => match &self.total.path {
                Some(_) => Some("total_path"),
                None => Some("data_path").filter(|_| !self.data_path.is_empty()),
            },
        }
    }

    /// Text of the API without the secrets of this source, should it repeat them.
    pub(super) fn hide(&self, text: &str) -> String {
        let auth = match &self.auth {
            None => None,
            Some(
                Auth::Basic {
                    password: secret, ..
                }
                | Auth::Bearer { token: secret }
                | Auth::ApiKey { value: secret, .. },
            ) => Some(secret),
        };
        let named = self.headers.iter().chain(&self.query);
        let secrets = named.map(|(_, value)| value).chain(auth);
        let secrets = secrets.map(Secret::expose).filter(|it| !it.is_empty());
        secrets.fold(text.to_owned(), |text, secret| {
            text.replace(secret, "[hidden]")
        })
    }

    pub(crate) fn identify(&self, query_as_written: &[(String, String)], accept: &[&str]) -> u64 {
        let mut hash = Xxh3::new();
        let mut add = |text: &str| {
            hash.update(&(text.len() as u64).to_le_bytes());
            hash.update(text.as_bytes());
        };
        add(&self.name);
        add(&self.shown_url());
        add(&self.data_path);
        add(&format!("{:?}", self.pagination));
        add(&format!("{:?}", self.columns));
        add(&format!("{query_as_written:?}"));
        for (name, _) in &self.headers {
            add(&name.to_ascii_lowercase());
        }
        add(&format!("{accept:?}"));
        hash.digest()
    }
}

impl fmt::Debug for SourceSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SourceSpec")
            .field("name", &self.name)
            .field("url", &self.shown_url())
            .field("pagination", &self.pagination)
            .field("data_path", &self.data_path)
            .finish_non_exhaustive()
    }
}

impl Default for TotalHint {
    fn default() -> Self {
        Self {
            path: None,
            header: "X-Total-Count".to_owned(),
            allow_shortfall: false,
        }
    }
}

/// A URL without the parts that may hold secrets.
pub(super) fn shown_url(url: &Url) -> String {
    format!("{}{}", url.origin().ascii_serialization(), url.path())
}
