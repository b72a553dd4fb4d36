//! The database that a load goes to.

use std::path::PathBuf;
use std::time::Duration;

use crate::error::{Error, ErrorKind, Result, Stage};
use crate::secret::Secret;

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
    /// Limit for an address to accept, and then for the server to greet. Default 30 s.
    pub connect_timeout: Duration,
    /// How long an answer may be missing while the server does not answer anybody else either. It does not
    /// limit how long a statement takes. Default 60 s.
    pub answer_timeout: Duration,
    /// How long a statement may wait for somebody's lock. Default: what the server says, usually without limit.
    pub lock_timeout: Option<Duration>,
}

/// Far longer than a server that is well takes to greet, even under load.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// As long as many proxies wait.
pub(crate) const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// libpq's `sslmode`, without its deprecated values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SslMode {
    /// Never TLS.
    Disable,
    /// TLS if the server offers it; the certificate is not checked.
    #[default]
    Prefer,
    /// TLS or nothing; the certificate is not checked unless `sslrootcert` is set.
    Require,
    /// TLS, with certificate and host name checked.
    VerifyFull,
}

impl TargetSpec {
    /// The target of a `postgres://` URL with host and user; TLS as its `sslmode` says.
    ///
    /// # Errors
    /// Another kind of URL. The URL is never quoted, because it may contain a password.
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
            connect_timeout: CONNECT_TIMEOUT,
            answer_timeout: ANSWER_TIMEOUT,
            lock_timeout: None,
        })
    }
}
