//! Where a load goes: the table that its name means, the lock that keeps others out, and the table that
//! it fills meanwhile.

use tokio_postgres::types::{ToSql, Type};

use super::session::Session;
use super::table::{TableName, literal, quote};
use crate::error::{Error, ErrorKind, Result, Stage};

/// The schema that the name means; the key of the lock; whether it is ours now; the server's version; and
/// the statements that others left on this side of a pooler, under names that the client uses too.
///
/// The key is that of the name with its schema, so that tables of one name in two schemas are loaded side by
/// side. The lock ends with the transaction. So it needs no session of its own, and nothing can be left behind.
const PLACE: &str = "
    WITH place (schema) AS MATERIALIZED (
        SELECT coalesce($3, (SELECT nspname FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
                             WHERE c.oid = to_regclass($1)), current_schema())::text
    ), lock (schema, key) AS MATERIALIZED (
        SELECT schema, hashtextextended(format('%I.%I', coalesce(schema, ''), $2), 4702114417) FROM place
    )
    SELECT schema, key, CASE WHEN $4 THEN pg_try_advisory_xact_lock(key) ELSE true END,
           current_setting('server_version_num')::int,
           ARRAY(SELECT name FROM pg_prepared_statements WHERE name ~ '^s[0-9]+$')::text[]
    FROM lock";

/// Where a load goes.
#[derive(Debug)]
pub(super) struct Place {
    /// The table with its schema.
    pub(super) table: TableName,
    /// The key of its advisory lock.
    pub(super) key: i64,
    /// `server_version_num`.
    pub(super) server_version: u32,
}

impl Place {
    /// Finds out what `table` means, and keeps other loads from it until the transaction ends.
    ///
    /// # Errors
    /// Another load of the table is under way.
    pub(super) async fn lock(session: &Session, table: &TableName) -> Result<Self> {
        Self::look(session, table, true).await
    }

    /// Finds out what `table` means.
    ///
    /// # Errors
    /// No schema to create tables in.
    pub(super) async fn find(session: &Session, table: &TableName) -> Result<Self> {
        Self::look(session, table, false).await
    }

    async fn look(session: &Session, table: &TableName, lock: bool) -> Result<Self> {
        let doing = format!("looking for table {table}");
        let (text, name, schema) = (table.to_string(), table.name(), table.schema());
        let parameters: [(&(dyn ToSql + Sync), Type); 4] = [
            (&text, Type::TEXT),
            (&name, Type::TEXT),
            (&schema, Type::TEXT),
            (&lock, Type::BOOL),
        ];
        let answer = session.client().query_typed_one(PLACE, &parameters);
        let row = session.answer(&doing, answer).await?;
        let schema: Option<String> = row.get(0);
        let schema = schema.ok_or_else(|| {
            Error::new(
                ErrorKind::Database,
                Stage::Write,
                "no schema to create tables in",
            )
            .hint("name the schema in the table's name, or set search_path for the user")
        })?;
        let place = Self {
            table: table.clone().or_schema(&schema)?,
            key: row.get(1),
            server_version: row.get::<_, i32>(3).unsigned_abs(),
        };
        if !row.get::<_, bool>(2) {
            return Err(place.is_busy());
        }
        // Whoever prepared them cannot use them any more: a pooler that keeps statements gives them names
        // of its own. They would collide with those of this load.
        let forgotten: Vec<String> = row.get(4);
        if lock && !forgotten.is_empty() {
            let statements = forgotten.iter();
            let statements: Vec<_> = statements
                .map(|name| format!("DEALLOCATE {}", quote(name)))
                .collect();
            session.execute(&doing, &statements.join(";")).await?;
        }
        Ok(place)
    }

    /// The table that a load of this one fills. Always the same, so that the next load finds what a crash left.
    pub(super) fn own_table(&self) -> TableName {
        self.table.sibling(format!("_apitap_{:016x}", self.key))
    }

    fn is_busy(&self) -> Error {
        let detail = format!("table {}: another load of it is under way", self.table);
        Error::new(ErrorKind::Database, Stage::Write, detail).hint(
            "wait for it to end, or end its session (application_name apitap in pg_stat_activity)",
        )
    }

    /// What removes the load's own table, unless another load has the table meanwhile. It is a whole
    /// transaction.
    ///
    /// A session that the server ended says so before it lets go of its locks, so both are waited for.
    pub(super) fn removal(&self) -> String {
        let block = format!(
            "BEGIN PERFORM set_config('lock_timeout', '5s', true); \
             BEGIN PERFORM pg_advisory_xact_lock({}); EXCEPTION WHEN lock_not_available THEN RETURN; END; \
             DROP TABLE IF EXISTS {}; END",
            self.key,
            self.own_table()
        );
        format!("DO {}", literal(&block))
    }
}
