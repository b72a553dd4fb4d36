//! `pipelines.yaml`: where rows come from and where they go.
//!
//! [`PipelineFile::parse`] reads text and environment, and checks everything that can be
//! checked without a network. Errors name the line; they never quote the file, because it may
//! hold passwords.

mod build;
mod raw;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use chrono::NaiveDate;
use url::Url;
use xxhash_rust::xxh3::Xxh3;

use crate::config::WriteMode;
use crate::error::{Error, ErrorKind, Result, Stage};
use crate::schema::ColumnType;
pub use crate::source::pagination::Pagination;
pub use crate::source::retry::RetryPolicy;

/// A checked pipeline file.
#[derive(Debug, Clone)]
pub struct PipelineFile {
    /// APIs, in the file's order; names are unique.
    pub sources: Vec<SourceSpec>,
    /// Databases, in the file's order; names are unique.
    pub targets: Vec<TargetSpec>,
    /// The preset that `engine.preset` names.
    pub preset: Option<String>,
    /// `engine.settings` as `stage.knob=value`, to be applied to the preset.
    pub settings: Vec<String>,
}

/// A text that must not be shown; its `Debug` hides it.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secret(pub String);

impl Secret {
    /// The text itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hidden]")
    }
}

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
    /// Attempts and delays.
    pub retry: RetryPolicy,
    /// The destination table, `table` or `schema.table`.
    pub table_destination_name: Option<String>,
    /// Key columns for `merge`, in order.
    pub primary_key: Vec<String>,
    /// Declared types by column, instead of inferred ones.
    pub columns: BTreeMap<String, ColumnType>,
    /// What happens to rows already there, where the file says.
    pub mode: Option<WriteMode>,
    /// See [`SourceSpec::fingerprint`].
    identity: u64,
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

/// One database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetSpec {
    /// Its name, as `sink` refers to it.
    pub name: String,
    /// Host name, address, or the folder of a Unix socket.
    pub host: String,
    /// Port. Default 5432.
    pub port: u16,
    /// Database.
    pub database: String,
    /// User.
    pub username: String,
    /// Password; empty for none.
    pub password: Secret,
    /// Whether to use TLS. Default `prefer`.
    pub sslmode: SslMode,
    /// A PEM file of authorities to trust instead of the system's.
    pub sslrootcert: Option<PathBuf>,
    /// Schema of tables whose name has none; without it, the server's `search_path` decides.
    pub schema: Option<String>,
}

/// libpq's `sslmode`, less its deprecated middle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SslMode {
    /// Never TLS.
    Disable,
    /// TLS where the server offers it; the certificate is not checked.
    #[default]
    Prefer,
    /// TLS or nothing; the certificate is not checked unless `sslrootcert` is set.
    Require,
    /// TLS, with certificate and host name checked.
    VerifyFull,
}

impl PipelineFile {
    /// Reads a file, with the process's environment and today's date in UTC.
    ///
    /// # Errors
    /// As [`PipelineFile::parse`], and a file that cannot be read.
    pub fn load(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|cause| {
            Error::new(ErrorKind::Config, Stage::Config, "the file cannot be read")
                .at(path.display())
                .hint("name the pipeline file with --yaml-config")
                .caused_by(cause)
        })?;
        let env = |name: &str| std::env::var(name).ok();
        Self::parse(&text, &env, chrono::Utc::now().date_naive())
            .map_err(|error| error.at(path.display()))
    }

    /// Reads text; `env` looks up `${VAR}` and `today` is what `current_date()` stands for.
    ///
    /// # Errors
    /// Anything that is not as documented, with its line: YAML, an unknown or duplicate key, a
    /// duplicate name, an unset variable, a malformed URL, pointer or header.
    pub fn parse(
        text: &str,
        env: &dyn Fn(&str) -> Option<String>,
        today: NaiveDate,
    ) -> Result<Self> {
        let file = raw::parse(text)?;
        build::file(file, crate::template::Context { env, today })
    }

    /// The source of that name.
    ///
    /// # Errors
    /// An unknown name; the error lists the known ones.
    pub fn source(&self, name: &str) -> Result<&SourceSpec> {
        let found = self.sources.iter().find(|source| source.name == name);
        found.ok_or_else(|| unknown("source", name, self.sources.iter().map(|it| &it.name)))
    }

    /// The target of that name.
    ///
    /// # Errors
    /// An unknown name; the error lists the known ones.
    pub fn target(&self, name: &str) -> Result<&TargetSpec> {
        let found = self.targets.iter().find(|target| target.name == name);
        found.ok_or_else(|| unknown("target", name, self.targets.iter().map(|it| &it.name)))
    }
}

fn unknown<'a>(what: &str, name: &str, known: impl Iterator<Item = &'a String>) -> Error {
    let known: Vec<_> = known.map(String::as_str).collect();
    let hint = match known.is_empty() {
        true => format!("the pipeline file has no {what}s"),
        false => format!("the pipeline file has {}", known.join(", ")),
    };
    Error::new(
        ErrorKind::Config,
        Stage::Config,
        format!("unknown {what} `{name}`"),
    )
    .hint(hint)
}

impl TargetSpec {
    /// The target of a `postgres://` URL with host and user; TLS as its `sslmode` says.
    ///
    /// # Errors
    /// What is no such URL. The URL, which may hold a password, is never quoted.
    pub fn from_url(name: &str, url: &str) -> Result<Self> {
        use tokio_postgres::config::{Host, SslMode as UrlSslMode};
        let invalid = |what: &str| {
            let detail = format!("target {name}: {what}");
            Error::new(ErrorKind::Config, Stage::Config, detail)
        };
        let config: tokio_postgres::Config = url
            .parse()
            .map_err(|cause| invalid("the database URL is not valid").caused_by(cause))?;
        let host = match config.get_hosts().first() {
            Some(Host::Tcp(host)) => host.clone(),
            Some(Host::Unix(folder)) => folder.to_string_lossy().into_owned(),
            None => return Err(invalid("the database URL names no host")),
        };
        let username = config
            .get_user()
            .ok_or_else(|| invalid("the database URL names no user"))?;
        let password = config.get_password().unwrap_or_default().to_vec();
        let password =
            String::from_utf8(password).map_err(|_| invalid("the password is not UTF-8"))?;
        Ok(Self {
            name: name.to_owned(),
            host,
            port: config.get_ports().first().copied().unwrap_or(5432),
            database: config.get_dbname().unwrap_or(username).to_owned(),
            username: username.to_owned(),
            password: Secret(password),
            sslmode: match config.get_ssl_mode() {
                UrlSslMode::Disable => SslMode::Disable,
                UrlSslMode::Require => SslMode::Require,
                _ => SslMode::Prefer,
            },
            sslrootcert: None,
            schema: None,
        })
    }
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
            retry: RetryPolicy::default(),
            table_destination_name: None,
            primary_key: Vec::new(),
            columns: BTreeMap::new(),
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

    fn identify(&self, query_as_written: &[(String, String)], accept: &[&str]) -> u64 {
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
pub(crate) fn shown_url(url: &Url) -> String {
    format!("{}{}", url.origin().ascii_serialization(), url.path())
}
