//! The table of a cell: what it holds before, what it must hold after, and what a load leaves around it.

use std::time::Duration;

use anyhow::{Context as _, Result};
use apitap_core::config::WriteMode;
use testkit::postgres::connect;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use super::fault::{Cell, Inject, ServerFault};
use super::rows::{self, COLUMNS, OLD};

/// What the cells load.
pub(super) const TABLE: &str = "items";

/// The names that the engine gives to tables of its own begin so.
pub(super) const OWN_PREFIX: &str = "_apitap_";

/// How long sessions may take to end once their client is gone.
const SESSION_LIMIT: Duration = Duration::from_secs(5);

const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// How our own sessions are distinct from those of loads.
const OUR_NAME: &str = "apitap-bench-faults";

/// A row count and the sum of the rows' hashes; no order of rows changes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Content {
    pub(super) rows: i64,
    sum: String,
}

/// What a table holds after a load, compared with what it held before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Landed {
    pub(super) is_before: bool,
    pub(super) is_complete: bool,
    /// None where there is no table.
    pub(super) rows: Option<i64>,
    /// How many rows there would be.
    pub(super) complete_rows: Option<i64>,
}

/// What a load left on the server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Left {
    pub(super) sessions: i64,
    pub(super) locks: i64,
    /// Tables of the engine's own.
    pub(super) tables: Vec<String>,
}

/// The database of a cell. It opens a connection for each look: faults break connections.
#[derive(Debug)]
pub(super) struct Table {
    url: String,
    mode: WriteMode,
}

impl Table {
    /// The table of `cell` in the database of `url`: made, with its old rows, unless it is to be absent.
    pub(super) async fn create(url: &str, cell: &Cell) -> Result<Self> {
        let table = Self {
            url: url.to_owned(),
            mode: cell.mode,
        };
        if cell.exists {
            let statements = definition(cell);
            let client = table.client().await?;
            let made = client.batch_execute(&statements).await;
            made.context("cannot make the table of the cell")?;
        }
        Ok(table)
    }

    pub(super) async fn client(&self) -> Result<Client> {
        let mut url = url::Url::parse(&self.url).context("the database's URL cannot be parsed")?;
        url.query_pairs_mut()
            .append_pair("application_name", OUR_NAME);
        connect(url.as_str()).await
    }

    /// Keeps what the table holds now, to compare the next load with.
    pub(super) async fn keep(&self) -> Result<Option<Content>> {
        let client = self.client().await?;
        let before = content(&client, &format!("TABLE {TABLE}")).await?;
        let kept = match &before {
            Some(_) => format!("TABLE {TABLE}"),
            None => rows::loaded() + " LIMIT 0",
        };
        let keep = format!(
            "CREATE SCHEMA IF NOT EXISTS kept; DROP TABLE IF EXISTS kept.old; CREATE TABLE kept.old AS {kept}"
        );
        client
            .batch_execute(&keep)
            .await
            .context("cannot keep the table's rows")?;
        Ok(before)
    }

    /// Compares the table with what it held before.
    pub(super) async fn landed(&self, before: &Option<Content>) -> Result<Landed> {
        let client = self.client().await?;
        let now = content(&client, &format!("TABLE {TABLE}")).await?;
        // Where a column differs, no load can complete.
        let complete = content(&client, &self.complete()).await.unwrap_or(None);
        Ok(Landed {
            is_before: now == *before,
            is_complete: now.is_some() && now == complete,
            rows: now.map(|content| content.rows),
            complete_rows: complete.map(|content| content.rows),
        })
    }

    /// The rows that the table must hold after a load, as a query.
    fn complete(&self) -> String {
        let loaded = rows::loaded();
        match self.mode {
            WriteMode::Append => format!("TABLE kept.old UNION ALL {loaded}"),
            WriteMode::Replace => loaded,
            WriteMode::Merge => format!(
                "SELECT * FROM kept.old WHERE id NOT BETWEEN {} AND {} UNION ALL {loaded}",
                rows::FIRST,
                rows::LAST
            ),
        }
    }

    /// What a load left behind, after a while for its sessions to end.
    pub(super) async fn left(&self) -> Result<Left> {
        let client = self.client().await?;
        let give_up = tokio::time::Instant::now() + SESSION_LIMIT;
        loop {
            let left = left(&client).await?;
            let is_quiet = left.sessions == 0 && left.locks == 0;
            if is_quiet || tokio::time::Instant::now() > give_up {
                return Ok(left);
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// Waits until a load has begun a transaction, or gives up.
    pub(super) async fn is_being_loaded(&self) -> Result<bool> {
        self.becomes("xact_start IS NOT NULL", true).await
    }

    /// Waits until a load has no transaction any more, or gives up.
    pub(super) async fn is_left_alone(&self) -> Result<bool> {
        self.becomes("xact_start IS NOT NULL", false).await
    }

    /// Waits until there is a session with such a state, or none.
    async fn becomes(&self, state: &str, wanted: bool) -> Result<bool> {
        let client = self.client().await?;
        let sql = format!("SELECT EXISTS ({} AND {state})", sessions("1"));
        let give_up = tokio::time::Instant::now() + SESSION_LIMIT;
        while tokio::time::Instant::now() < give_up {
            let row = client.query_one(&sql, &[]).await;
            if row
                .context("cannot look at the sessions")?
                .get::<_, bool>(0)
                == wanted
            {
                return Ok(true);
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        Ok(false)
    }

    /// Terminates the newest session of the load, or all.
    pub(super) async fn terminate(&self, all: bool) -> Result<()> {
        let limit = if all { "ALL" } else { "1" };
        let newest = sessions("pid");
        let sql = format!(
            "SELECT pg_terminate_backend(pid) FROM ({newest} ORDER BY backend_start DESC LIMIT {limit}) AS newest"
        );
        let done = self.client().await?.batch_execute(&sql).await;
        done.context("cannot terminate the sessions of the load")
    }
}

/// The client sessions of this database that are not ours, as a query.
pub(crate) fn sessions(columns: &str) -> String {
    format!(
        "SELECT {columns} FROM pg_stat_activity WHERE datname = current_database() \
         AND backend_type = 'client backend' AND application_name <> '{OUR_NAME}' AND pid <> pg_backend_pid()"
    )
}

/// What makes the table, and its old rows.
fn definition(cell: &Cell) -> String {
    let key = match cell.mode {
        // The same rows may come twice.
        WriteMode::Append => "",
        WriteMode::Replace | WriteMode::Merge => " PRIMARY KEY",
    };
    let old = rows::query("old", &OLD);
    let id = format!("id bigint{key}");
    let fill = format!("INSERT INTO {TABLE} {old}");
    match cell.fault.inject {
        Inject::Server(ServerFault::ColumnMissing) => format!(
            "CREATE TABLE {TABLE} ({id}, name text); INSERT INTO {TABLE} SELECT id, name FROM ({old}) AS old"
        ),
        Inject::Server(ServerFault::TypeDiffers) => {
            let columns = COLUMNS.replacen("text", "integer", 1);
            format!(
                "CREATE TABLE {TABLE} ({id}, {columns}); \
                 INSERT INTO {TABLE} SELECT id, id, amount, created, extra FROM ({old}) AS old"
            )
        }
        Inject::Server(ServerFault::Constraint) => format!(
            "CREATE TABLE {TABLE} ({id}, {COLUMNS}, CONSTRAINT amount_limit CHECK (amount < 1000000)); {fill}"
        ),
        Inject::Server(ServerFault::Serialization) => format!(
            "{}; CREATE TABLE {TABLE} ({id}, {COLUMNS}, CHECK (guard(id))); {fill}",
            guard(&format!(
                "IF id = {} THEN RAISE 'could not serialize access due to concurrent update' \
                 USING ERRCODE = 'serialization_failure'; END IF;",
                rows::ids(rows::FAULTY_PAGE).start()
            ))
        ),
        _ => format!("CREATE TABLE {TABLE} ({id}, {COLUMNS}); {fill}"),
    }
}

/// The function that the table's constraint asks.
fn guard(statements: &str) -> String {
    format!(
        "CREATE OR REPLACE FUNCTION guard(id bigint) RETURNS boolean LANGUAGE plpgsql AS \
         $$ BEGIN {statements} RETURN true; END $$"
    )
}

/// What takes the fault out of the table.
pub(super) fn mending(fault: ServerFault) -> Option<String> {
    match fault {
        ServerFault::ColumnMissing => Some(format!(
            "ALTER TABLE {TABLE} ADD amount double precision, ADD created timestamptz, ADD extra jsonb"
        )),
        ServerFault::TypeDiffers => Some(format!("ALTER TABLE {TABLE} ALTER name TYPE text")),
        ServerFault::Serialization => Some(guard("")),
        _ => None,
    }
}

/// What a query returns; none where its table does not exist.
async fn content(client: &Client, query: &str) -> Result<Option<Content>> {
    let sql = format!(
        "SELECT count(*), coalesce(sum(hashtextextended(one::text, 0)), 0)::text FROM ({query}) AS one"
    );
    match client.query_one(&sql, &[]).await {
        Ok(row) => Ok(Some(Content {
            rows: row.get(0),
            sum: row.get(1),
        })),
        Err(error) if error.code() == Some(&SqlState::UNDEFINED_TABLE) => Ok(None),
        Err(error) => Err(error).context("cannot compute a checksum"),
    }
}

async fn left(client: &Client) -> Result<Left> {
    let counts = format!(
        "SELECT ({}), (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' \
         AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))",
        sessions("count(*)")
    );
    let counts = client.query_one(&counts, &[]).await;
    let counts = counts.context("cannot look at sessions and locks")?;
    let tables = "SELECT relname::text FROM pg_class WHERE starts_with(relname, $1) AND relkind = 'r' ORDER BY 1";
    let tables = client.query(tables, &[&OWN_PREFIX]).await;
    let tables = tables.context("cannot look for tables")?;
    Ok(Left {
        sessions: counts.get(0),
        locks: counts.get(1),
        tables: tables.iter().map(|row| row.get(0)).collect(),
    })
}
