//! What is done to the database, before a load and while it is under way.

use std::path::Path;

use anyhow::{Context as _, Result};
use testkit::postgres::{PostgresChoice, PostgresOptions, PostgresServer, quoted};
use tokio_postgres::Client;
use url::Url;

use super::fault::ServerFault;
use super::table::{TABLE, Table};

/// A throw-away server: what is committed survives its processes, and not the machine.
pub(crate) async fn start(bin_dir: Option<&Path>) -> Result<PostgresServer> {
    let options = PostgresOptions {
        durable: false,
        // Servers are killed here, and what was committed before must be there afterwards.
        extra_settings: vec![("synchronous_commit".to_owned(), "on".to_owned())],
        bin_dir: bin_dir.map(Path::to_owned),
        ..PostgresOptions::new(PostgresChoice::Local)
    };
    PostgresServer::start(&options).await
}

impl ServerFault {
    /// Whether it would harm other cells on the same server.
    pub(super) fn needs_its_own_server(self) -> bool {
        matches!(self, Self::Crash | Self::DiskFull)
    }

    /// Settings of the database.
    fn settings(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::LockTimeout => &[("lock_timeout", "500ms")],
            Self::StatementTimeout => &[("statement_timeout", "500ms")],
            Self::IdleTimeout => &[("idle_in_transaction_session_timeout", "300ms")],
            Self::ReadOnly => &[("default_transaction_read_only", "on")],
            Self::Refused
            | Self::WrongPassword
            | Self::TerminateOne
            | Self::TerminateAll
            | Self::Crash
            | Self::DiskFull
            | Self::ColumnMissing
            | Self::TypeDiffers
            | Self::Constraint
            | Self::Serialization => &[],
        }
    }

    /// Whether another session has the table locked meanwhile.
    fn locks(self) -> bool {
        matches!(self, Self::LockTimeout | Self::StatementTimeout)
    }
}

/// Sets the database of `table` up for the fault; what it returns lasts as long as the fault does.
pub(super) async fn prepare(
    fault: ServerFault,
    table: &Table,
    database: &Url,
) -> Result<Option<Client>> {
    let client = table.client().await?;
    let blocks = fault.locks().then(|| format!("BEGIN; LOCK TABLE {TABLE}"));
    if let Some(statements) = &blocks {
        let locked = client.batch_execute(statements).await;
        locked.context("cannot lock the table")?;
    }
    for (name, value) in fault.settings() {
        let set = format!("SET {name} = '{value}'");
        alter(table, database, &set).await?;
    }
    Ok(blocks.map(|_| client))
}

/// Takes the settings back.
pub(super) async fn restore(table: &Table, database: &Url) -> Result<()> {
    alter(table, database, "RESET ALL").await
}

async fn alter(table: &Table, database: &Url, what: &str) -> Result<()> {
    let name = quoted(database.path().trim_start_matches('/'));
    let client = table.client().await?;
    // Where transactions are read-only, ours must not be.
    let writable = client.batch_execute("SET default_transaction_read_only = off");
    writable.await.context("cannot change a session")?;
    let altered = format!("ALTER DATABASE {name} {what}");
    let altered = client.batch_execute(&altered).await;
    altered.context("cannot change the settings of the database")
}
