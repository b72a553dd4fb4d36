//! Which PostgreSQL to measure on, as a caller states it.

use std::{env, fmt, path::PathBuf, str::FromStr};

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};

use super::Cores;

/// Image used when neither the caller nor `APITAP_PG_IMAGE` names one.
const DEFAULT_IMAGE: &str = "postgres:17";

/// Where the server comes from: `auto`, `docker`, `local` or a `postgres://` URL.
#[derive(Clone, PartialEq, Eq)]
pub enum PostgresChoice {
    /// `APITAP_DATABASE_URL` if set, else Docker if its daemon answers and has
    /// or can pull the image, else installed server binaries.
    Auto,
    /// A container, started for this run and removed after it.
    Docker,
    /// A throw-away cluster from installed server binaries.
    Local,
    /// A server that somebody else runs; nothing of it is started or stopped.
    Url(String),
}

impl FromStr for PostgresChoice {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "auto" => Ok(Self::Auto),
            "docker" => Ok(Self::Docker),
            "local" => Ok(Self::Local),
            url if url.starts_with("postgres://") || url.starts_with("postgresql://") => {
                Ok(Self::Url(url.to_owned()))
            }
            // Not quoted in the message: a mistyped URL may hold a password.
            _ => bail!("expected auto, docker, local or a postgres:// URL"),
        }
    }
}

impl fmt::Display for PostgresChoice {
    /// As it is written on a command line, without a URL's password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Docker => f.write_str("docker"),
            Self::Local => f.write_str("local"),
            Self::Url(url) => f.write_str(&without_password(url)),
        }
    }
}

impl fmt::Debug for PostgresChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What holds the data folder. Results of the two are incomparable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PgStorage {
    /// A file system on a disk: commits cost what a user pays there.
    Disk,
    /// Memory: free of the stalls of a shared disk.
    Tmpfs,
}

impl FromStr for PgStorage {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "disk" => Ok(Self::Disk),
            "tmpfs" => Ok(Self::Tmpfs),
            other => bail!("expected disk or tmpfs, not {other:?}"),
        }
    }
}

impl fmt::Display for PgStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Disk => "disk",
            Self::Tmpfs => "tmpfs",
        })
    }
}

/// How to start or reach the server.
#[derive(Debug, Clone)]
pub struct PostgresOptions {
    /// Where the server comes from.
    pub choice: PostgresChoice,
    /// Image of a container; `None` takes `APITAP_PG_IMAGE`, then `postgres:17`.
    pub image: Option<String>,
    /// What holds the data folder of a server that is started here.
    pub storage: PgStorage,
    /// Folder of `postgres` and `initdb`; `None` takes `APITAP_PG_BIN`, then the
    /// newest under `/usr/lib/postgresql`, then `PATH`.
    pub bin_dir: Option<PathBuf>,
    /// Whether a commit survives a crash (`fsync`, `synchronous_commit`,
    /// `full_page_writes`): what a user pays, and so the default.
    pub durable: bool,
    /// Cores of a server that is started here, which this process and all that it starts then leave to it.
    pub cores: Option<Cores>,
    /// Further server settings, by name; they win over those above.
    pub extra_settings: Vec<(String, String)>,
}

impl PostgresOptions {
    /// A durable server on disk with the server's own defaults.
    pub fn new(choice: PostgresChoice) -> Self {
        Self {
            choice,
            image: None,
            storage: PgStorage::Disk,
            bin_dir: None,
            durable: true,
            cores: None,
            extra_settings: Vec::new(),
        }
    }

    /// The image that a container would be started from.
    pub fn image(&self) -> String {
        self.image
            .clone()
            .or_else(|| {
                env::var("APITAP_PG_IMAGE")
                    .ok()
                    .filter(|image| !image.is_empty())
            })
            .unwrap_or_else(|| DEFAULT_IMAGE.to_owned())
    }

    /// Arguments for the `postgres` program, alike for every kind of server.
    pub(super) fn server_arguments(&self) -> Vec<String> {
        let switch = if self.durable { "on" } else { "off" };
        let durability = ["fsync", "synchronous_commit", "full_page_writes"]
            .map(|name| (name.to_owned(), switch.to_owned()));
        durability
            .iter()
            .chain(&self.extra_settings)
            .flat_map(|(name, value)| ["-c".to_owned(), format!("{name}={value}")])
            .collect()
    }
}

/// `url` as it may be shown: anything that cannot be parsed is not shown at all.
pub fn without_password(url: &str) -> String {
    let Ok(mut url) = url::Url::parse(url) else {
        return "a URL that cannot be parsed".to_owned();
    };
    // libpq takes a password as a query parameter too.
    url.set_query(None);
    if url.password().is_some() && url.set_password(Some("***")).is_err() {
        return "a URL without a host".to_owned();
    }
    url.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_are_read_as_typed() {
        assert_eq!(
            "auto".parse::<PostgresChoice>().unwrap(),
            PostgresChoice::Auto
        );
        assert_eq!(
            "docker".parse::<PostgresChoice>().unwrap(),
            PostgresChoice::Docker
        );
        assert_eq!(
            "local".parse::<PostgresChoice>().unwrap(),
            PostgresChoice::Local
        );
        let url = "postgresql://a@h/d";
        assert_eq!(
            url.parse::<PostgresChoice>().unwrap(),
            PostgresChoice::Url(url.to_owned())
        );
        assert!("mysql://a:secret@h".parse::<PostgresChoice>().is_err());
        assert_eq!("tmpfs".parse::<PgStorage>().unwrap(), PgStorage::Tmpfs);
        assert!("ram".parse::<PgStorage>().is_err());
    }

    #[test]
    fn passwords_are_never_shown() {
        let options =
            PostgresOptions::new("postgres://u:secret@h:1/d?password=secret".parse().unwrap());
        let shown = format!("{options:?} {}", options.choice);
        assert!(!shown.contains("secret"), "{shown}");
        assert!(shown.contains("u:***@h:1/d"), "{shown}");
        let error = "mysql://u:secret@h".parse::<PostgresChoice>().unwrap_err();
        assert!(!format!("{error:?}").contains("secret"));
    }

    #[test]
    fn extra_settings_come_last_and_so_win() {
        let mut options = PostgresOptions::new(PostgresChoice::Local);
        options.durable = false;
        options.extra_settings = vec![("fsync".to_owned(), "on".to_owned())];
        assert_eq!(
            options.server_arguments(),
            [
                "-c",
                "fsync=off",
                "-c",
                "synchronous_commit=off",
                "-c",
                "full_page_writes=off",
                "-c",
                "fsync=on",
            ]
        );
    }
}
