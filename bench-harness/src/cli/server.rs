//! Which PostgreSQL, as arguments.

use std::path::PathBuf;

use testkit::postgres::{Cores, PgStorage, PostgresOptions};

/// Where the server comes from.
#[derive(Debug, clap::Args)]
pub(super) struct ServerArgs {
    /// auto, docker, local or a postgres:// URL; auto is APITAP_DATABASE_URL, else Docker, else the
    /// installed server
    #[arg(long, value_name = "WHERE", default_value = "auto")]
    postgres: Url,
    /// Image of the container [default: APITAP_PG_IMAGE, or postgres:17]
    #[arg(long, value_name = "IMAGE")]
    postgres_image: Option<String>,
    /// Folder of `postgres` and `initdb` [default: APITAP_PG_BIN, or the newest installed one]
    #[arg(long, value_name = "FOLDER")]
    pg_bin: Option<PathBuf>,
    /// Where the data is: disk, with realistic commits, or tmpfs [default: disk; for a gate tmpfs, because
    /// shared disks stall]
    #[arg(long, value_name = "STORAGE")]
    pg_storage: Option<PgStorage>,
    /// Cores of the server alone, such as 2-3, where the machine has four or more: all else takes the others [default:
    /// they share all]
    #[arg(long, value_name = "LIST")]
    server_cores: Option<Cores>,
}

/// Text that may contain a password: clap must not parse or quote it.
#[derive(Clone)]
struct Url(String);

impl std::str::FromStr for Url {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(text.to_owned()))
    }
}

impl std::fmt::Debug for Url {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[hidden]")
    }
}

impl ServerArgs {
    /// The options; ends the process if they are wrong.
    pub(super) fn options(&self) -> PostgresOptions {
        self.options_on(PgStorage::Disk)
    }

    /// The same, on `storage` if the command names none.
    pub(super) fn options_on(&self, storage: PgStorage) -> PostgresOptions {
        let choice = self.postgres.0.parse();
        let choice =
            choice.unwrap_or_else(|error| super::wrong_usage(format!("--postgres: {error}")));
        PostgresOptions {
            image: self.postgres_image.clone(),
            storage: self.pg_storage.unwrap_or(storage),
            bin_dir: self.pg_bin.clone(),
            cores: self.server_cores.clone(),
            ..PostgresOptions::new(choice)
        }
    }
}
