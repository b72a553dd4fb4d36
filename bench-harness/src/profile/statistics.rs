//! What the server counted while a load ran: WAL, files, statements.

use anyhow::{Context, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio_postgres::Client;

/// Statements that are kept of those that took longest.
const STATEMENTS: i64 = 5;

/// Characters of a statement's text that are kept: an INSERT of thousands of rows has a long one.
const TEXT_CHARS: usize = 120;

/// Counts between two readings just before and after a load: WAL and files of the whole server,
/// statements of the database. The harness's own looks at the server are among them.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServerStatistics {
    /// WAL, from `pg_stat_wal`.
    pub wal: Option<Wal>,
    /// Files, from `pg_stat_io`, of PostgreSQL 16 and later.
    pub io: Option<Io>,
    /// The statements that took longest, from `pg_stat_statements` where it is loaded.
    pub statements: Vec<Statement>,
}

/// WAL that was made.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Wal {
    /// Records.
    pub records: f64,
    /// Images of whole pages.
    pub page_images: f64,
    /// Bytes.
    pub bytes: f64,
}

/// Reads and writes of files by backends.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Io {
    /// Blocks or calls that read.
    pub reads: f64,
    /// That wrote.
    pub writes: f64,
    /// That made a relation longer.
    pub extends: f64,
    /// Seconds in these; absent where `track_io_timing` is off.
    pub seconds: Option<f64>,
}

/// A statement by its normalised text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    /// Its beginning; constants are parameters in it.
    pub text: String,
    /// How often it ran.
    pub calls: f64,
    /// Seconds of execution.
    pub seconds: f64,
    /// Rows that it wrote or returned.
    pub rows: f64,
}

/// Readings before a load.
#[derive(Debug)]
pub(crate) struct Before {
    wal: Option<Wal>,
    io: Option<Io>,
    statements: bool,
}

impl Before {
    /// Reads the counters, and sets those of statements back.
    ///
    /// # Errors
    /// When the server cannot be asked.
    pub(crate) async fn read(client: &Client) -> Result<Self> {
        let statements = has_statements(client).await;
        if statements {
            let reset = client
                .batch_execute("SELECT pg_stat_statements_reset()")
                .await;
            reset.context("cannot reset pg_stat_statements")?;
        }
        Ok(Self {
            wal: wal(client).await?,
            io: io(client).await?,
            statements,
        })
    }

    /// What was counted since.
    ///
    /// # Errors
    /// When the server cannot be asked.
    pub(crate) async fn since(self, client: &Client) -> Result<ServerStatistics> {
        // What a session has read of the statistics it may keep.
        client
            .batch_execute("SELECT pg_stat_clear_snapshot()")
            .await?;
        let (wal, io) = (wal(client).await?, io(client).await?);
        Ok(ServerStatistics {
            wal: wal.zip(self.wal).map(|(now, before)| Wal {
                records: now.records - before.records,
                page_images: now.page_images - before.page_images,
                bytes: now.bytes - before.bytes,
            }),
            io: io.zip(self.io).map(|(now, before)| Io {
                reads: now.reads - before.reads,
                writes: now.writes - before.writes,
                extends: now.extends - before.extends,
                seconds: now
                    .seconds
                    .zip(before.seconds)
                    .map(|(now, before)| now - before),
            }),
            statements: match self.statements {
                true => statements(client).await?,
                false => Vec::new(),
            },
        })
    }
}

async fn has(client: &Client, view: &str) -> Result<bool> {
    let query = "SELECT to_regclass($1) IS NOT NULL";
    Ok(client.query_one(query, &[&view]).await?.try_get(0)?)
}

/// Whether statements are counted. The extension is made for it; where that is not allowed, or the
/// library is not loaded, they are not.
async fn has_statements(client: &Client) -> bool {
    let create = "CREATE EXTENSION IF NOT EXISTS pg_stat_statements";
    let probe = "SELECT 1 FROM pg_stat_statements LIMIT 1";
    client.batch_execute(create).await.is_ok() && client.batch_execute(probe).await.is_ok()
}

async fn wal(client: &Client) -> Result<Option<Wal>> {
    if !has(client, "pg_catalog.pg_stat_wal").await? {
        return Ok(None);
    }
    let query = "SELECT wal_records::float8, wal_fpi::float8, wal_bytes::float8 FROM pg_stat_wal";
    let row = client.query_one(query, &[]).await?;
    Ok(Some(Wal {
        records: row.try_get(0)?,
        page_images: row.try_get(1)?,
        bytes: row.try_get(2)?,
    }))
}

async fn io(client: &Client) -> Result<Option<Io>> {
    if !has(client, "pg_catalog.pg_stat_io").await? {
        return Ok(None);
    }
    let query = "SELECT coalesce(sum(reads), 0)::float8, coalesce(sum(writes), 0)::float8, \
                        coalesce(sum(extends), 0)::float8, \
                        CASE WHEN current_setting('track_io_timing')::boolean THEN \
                            (coalesce(sum(read_time), 0) + coalesce(sum(write_time), 0) \
                             + coalesce(sum(extend_time), 0) + coalesce(sum(fsync_time), 0))::float8 / 1e3 END \
                 FROM pg_stat_io WHERE backend_type = 'client backend'";
    let row = client.query_one(query, &[]).await?;
    Ok(Some(Io {
        reads: row.try_get(0)?,
        writes: row.try_get(1)?,
        extends: row.try_get(2)?,
        seconds: row.try_get(3)?,
    }))
}

async fn statements(client: &Client) -> Result<Vec<Statement>> {
    let query = "SELECT query, calls::float8, total_exec_time / 1e3, rows::float8 \
                 FROM pg_stat_statements \
                 WHERE query NOT LIKE '%pg_stat_%' AND dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) \
                 ORDER BY total_exec_time DESC LIMIT $1";
    let rows = client.query(query, &[&STATEMENTS]).await?;
    rows.iter()
        .map(|row| {
            let text: &str = row.try_get(0)?;
            Ok(Statement {
                text: text
                    .split_whitespace()
                    .collect::<Vec<_>>()
                    .join(" ")
                    .chars()
                    .take(TEXT_CHARS)
                    .collect(),
                calls: row.try_get(1)?,
                seconds: row.try_get(2)?,
                rows: row.try_get(3)?,
            })
        })
        .collect()
}
