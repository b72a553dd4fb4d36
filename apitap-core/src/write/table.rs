//! Tables: names, what the catalogue says of them, and the DDL that a load needs.

use std::fmt;

use super::session::Session;
use crate::encode::PgType;
use crate::error::{Error, ErrorKind, Result, Stage};

/// A table's name, with its schema where that was given.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TableName {
    schema: Option<String>,
    name: String,
}

impl TableName {
    /// Reads `table`, `schema.table` or either part in double quotes. Unlike SQL it keeps the
    /// case of unquoted parts: the name is that of the table as it will be seen.
    ///
    /// # Errors
    /// An empty part, one of more than 63 bytes, a quote that does not close, or more than two parts.
    pub fn parse(text: &str) -> Result<Self> {
        let invalid = || {
            Error::new(
                ErrorKind::Config,
                Stage::Write,
                format!("invalid table name `{text}`"),
            )
            .hint("write table, schema.table or \"Schema\".\"Table\"")
        };
        let mut parts = Vec::new();
        let mut rest = text.trim();
        loop {
            let part;
            if let Some(quoted) = rest.strip_prefix('"') {
                let mut name = String::new();
                let mut chars = quoted.char_indices();
                let end = loop {
                    match chars.next().ok_or_else(invalid)? {
                        (at, '"') if quoted[at + 1..].starts_with('"') => {
                            chars.next();
                            name.push('"');
                        }
                        (at, '"') => break at + 1,
                        (_, other) => name.push(other),
                    }
                };
                part = name;
                rest = &quoted[end..];
            } else {
                let end = rest.find('.').unwrap_or(rest.len());
                part = rest[..end].to_owned();
                rest = &rest[end..];
            }
            if part.is_empty() || part.contains('\0') {
                return Err(invalid());
            }
            if part.len() > MAX_NAME_BYTES {
                return Err(too_long("table name", &part));
            }
            parts.push(part);
            match rest.strip_prefix('.') {
                Some(next) => rest = next,
                None if rest.is_empty() => break,
                None => return Err(invalid()),
            }
        }
        let mut parts = parts.into_iter();
        match (parts.next(), parts.next(), parts.next()) {
            (Some(name), None, _) => Ok(Self { schema: None, name }),
            (Some(schema), Some(name), None) => Ok(Self {
                schema: Some(schema),
                name,
            }),
            _ => Err(invalid()),
        }
    }

    /// The name without its schema.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A table of the same schema.
    pub fn sibling(&self, name: String) -> Self {
        Self {
            schema: self.schema.clone(),
            name,
        }
    }

    /// The same name in `schema`, unless it has one.
    ///
    /// # Errors
    /// A schema whose name is empty or longer than 63 bytes.
    pub(crate) fn or_schema(self, schema: &str) -> Result<Self> {
        if self.schema.is_some() {
            return Ok(self);
        }
        if schema.len() > MAX_NAME_BYTES {
            return Err(too_long("schema", schema));
        }
        Ok(Self {
            schema: Some(schema.to_owned()),
            name: self.name,
        })
    }

    /// The name of its schema, where that was given.
    pub fn schema(&self) -> Option<&str> {
        self.schema.as_deref()
    }
}

impl fmt::Display for TableName {
    /// As SQL: each part quoted.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(schema) = &self.schema {
            write!(f, "{}.", quote(schema))?;
        }
        f.write_str(&quote(&self.name))
    }
}

/// `NAMEDATALEN` less one: PostgreSQL cuts a longer name without an error, and two tables become one.
pub(super) const MAX_NAME_BYTES: usize = 63;

fn too_long(what: &str, name: &str) -> Error {
    let detail = format!("{what} {name}: a name of more than {MAX_NAME_BYTES} bytes");
    Error::new(ErrorKind::Config, Stage::Write, detail)
        .hint("PostgreSQL would cut it without an error: choose a shorter name")
}

/// An identifier as SQL.
pub(crate) fn quote(identifier: &str) -> String {
    format!("\"{}\"", identifier.replace('"', "\"\""))
}

/// Identifiers as SQL, separated by commas.
pub(crate) fn quoted_list<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> String {
    let quoted: Vec<_> = names.into_iter().map(|name| quote(name.as_ref())).collect();
    quoted.join(", ")
}

/// A string as SQL, whatever `standard_conforming_strings` says.
pub(super) fn literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    if quoted.contains('\\') {
        format!("E'{}'", quoted.replace('\\', "\\\\"))
    } else {
        format!("'{quoted}'")
    }
}

/// A column that a load fills.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadColumn {
    /// Its name.
    pub name: String,
    /// Its type on the wire.
    pub pg_type: PgType,
    /// The type to which a parameter must be cast, where it does not have the column's own.
    pub cast: Option<String>,
    /// Whether it is `GENERATED ALWAYS AS IDENTITY`: a statement must say that its value counts.
    pub always_identity: bool,
}

/// What an INSERT says before its rows, so that the values given for an identity count.
pub(super) fn overriding(columns: &[LoadColumn]) -> &'static str {
    if columns.iter().any(|column| column.always_identity) {
        " OVERRIDING SYSTEM VALUE"
    } else {
        ""
    }
}

/// What the catalogue says of an existing table.
#[derive(Debug)]
pub(crate) struct ExistingTable {
    pub(crate) columns: Vec<LoadColumn>,
    /// Columns that the server computes from others.
    generated: Vec<String>,
    /// The columns of each unique index that an upsert can use.
    unique: Vec<Vec<String>>,
}

/// Of domains the type below counts, with the modifier that some domain on the way gives it. The
/// type to cast to has no modifier: `CAST(… AS character(4))` cuts what an assignment refuses.
const COLUMNS: &str = "
    SELECT a.attname, coalesce(base.oid, t.oid), coalesce(base.modifier, a.atttypmod),
           coalesce(base.typtype, t.typtype) = 'e', format_type(a.atttypid, a.atttypmod),
           coalesce(base.typname, t.typname)::text,
           (SELECT format('%I.%I', n.nspname, coalesce(base.typname, t.typname)) FROM pg_namespace n
            WHERE n.oid = coalesce(base.typnamespace, t.typnamespace)),
           a.attidentity = 'a', a.attgenerated <> ''
    FROM pg_attribute a
    JOIN pg_type t ON t.oid = a.atttypid
    LEFT JOIN LATERAL (
        WITH RECURSIVE domain AS (
            SELECT t.typbasetype AS oid, t.typtypmod AS modifier WHERE t.typtype = 'd'
            UNION ALL
            SELECT b.typbasetype, CASE b.typtypmod WHEN -1 THEN d.modifier ELSE b.typtypmod END
            FROM domain d JOIN pg_type b ON b.oid = d.oid WHERE b.typtype = 'd'
        )
        SELECT b.*, d.modifier FROM domain d JOIN pg_type b ON b.oid = d.oid WHERE b.typtype <> 'd'
    ) base ON true
    WHERE a.attrelid = $1::text::regclass AND a.attnum > 0 AND NOT a.attisdropped
    ORDER BY a.attnum";

/// What a name means, unless it is a table that can be written; and whether it can be locked.
const KIND: &str = "
    SELECT CASE WHEN relkind IN ('r', 'p', 'v', 'f') THEN NULL
                WHEN relkind IN ('i', 'I') THEN 'an index'
                WHEN relkind = 'S' THEN 'a sequence'
                WHEN relkind = 'm' THEN 'a materialized view'
                WHEN relkind = 'c' THEN 'a composite type'
                ELSE 'not a table' END,
           relkind IN ('r', 'p')
    FROM pg_class WHERE oid = to_regclass($1)";

const UNIQUE: &str = "
    SELECT ARRAY(SELECT a.attname::text FROM pg_attribute a
                 WHERE a.attrelid = i.indrelid AND a.attnum = ANY(i.indkey::int2[])
                 ORDER BY a.attname)
    FROM pg_index i
    WHERE i.indrelid = $1::text::regclass AND i.indisunique AND i.indisvalid AND i.indimmediate
      AND i.indpred IS NULL AND i.indexprs IS NULL AND i.indnkeyatts = i.indnatts";

/// The lock that a load takes before it reads what a table is like, and keeps to its end: whoever wants to
/// alter the table waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TableLock {
    /// None: nothing is written.
    None,
    /// That of INSERT and COPY.
    RowExclusive,
    /// That of SELECT. The table is exchanged later, by those who may.
    AccessShare,
}

impl TableLock {
    fn mode(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::RowExclusive => Some("ROW EXCLUSIVE"),
            Self::AccessShare => Some("ACCESS SHARE"),
        }
    }
}

impl ExistingTable {
    /// Looks a table up; none if it does not exist.
    pub(super) async fn find(
        session: &Session,
        table: &TableName,
        lock: TableLock,
    ) -> Result<Option<Self>> {
        let doing = format!("reading the columns of {table}");
        let name = table.to_string();
        let kinds = session.query(&doing, KIND, &[&name]).await?;
        let Some(kind) = kinds.first() else {
            return Ok(None);
        };
        if let Some(kind) = kind.get::<_, Option<&str>>(0) {
            let detail = format!("{table} is {kind}");
            return Err(Error::new(ErrorKind::Database, Stage::Write, detail)
                .hint("name a table, or a name that nothing has yet"));
        }
        if let (Some(mode), true) = (lock.mode(), kind.get(1)) {
            let lock = format!("LOCK TABLE {table} IN {mode} MODE");
            session
                .execute(&format!("locking table {table}"), &lock)
                .await?;
        }
        let rows = session.query(&doing, COLUMNS, &[&name]).await?;
        let columns = rows
            .iter()
            .map(|row| {
                let is_enum: bool = row.get(3);
                let written_name: String = row.get(4);
                let pg_type =
                    PgType::of_column(row.get(1), row.get(2), is_enum, &row.get::<_, String>(5));
                let pg_type = match pg_type {
                    PgType::Other(_) => PgType::Other(written_name),
                    known => known,
                };
                let own_parameter = pg_type.parameter().0.oid() == row.get::<_, u32>(1);
                LoadColumn {
                    name: row.get(0),
                    cast: (!own_parameter).then(|| row.get(6)),
                    pg_type,
                    always_identity: row.get(7),
                }
            })
            .collect();
        let generated = rows.iter().filter(|row| row.get(8));
        let unique = session.query(&doing, UNIQUE, &[&name]).await?;
        Ok(Some(Self {
            columns,
            generated: generated.map(|row| row.get(0)).collect(),
            unique: unique.iter().map(|row| row.get(0)).collect(),
        }))
    }

    /// Whether the server computes a column, so that nobody can write it.
    pub(super) fn computes(&self, column: &str) -> bool {
        self.generated.iter().any(|name| name == column)
    }

    /// Whether an upsert on `key` has a unique index to rely on.
    pub(crate) fn is_unique(&self, key: &[String]) -> bool {
        let mut key = key.to_vec();
        key.sort_unstable();
        self.unique.contains(&key)
    }
}

/// A new table's statement.
pub(crate) fn create(table: &TableName, columns: &[LoadColumn], key: &[String]) -> String {
    let mut parts: Vec<String> = columns
        .iter()
        .map(|column| format!("{} {}", quote(&column.name), column.pg_type.sql()))
        .collect();
    if !key.is_empty() {
        parts.push(format!("PRIMARY KEY ({})", quoted_list(key)));
    }
    format!("CREATE TABLE {table} ({})", parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_their_schema_and_case() {
        for (text, sql) in [
            ("t", "\"t\""),
            ("public.t", "\"public\".\"t\""),
            ("\"My Schema\".\"T\"", "\"My Schema\".\"T\""),
            ("\"a.b\"", "\"a.b\""),
            ("\"say \"\"hi\"\"\"", "\"say \"\"hi\"\"\""),
            ("Orders", "\"Orders\""),
        ] {
            assert_eq!(TableName::parse(text).unwrap().to_string(), sql);
        }
        for text in ["", "a.", ".a", "a.b.c", "\"a", "\"a\"b", "\"\""] {
            assert!(TableName::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn names_that_the_server_would_cut_are_refused() {
        let (fits, long) = ("ä".repeat(31) + "x", "ä".repeat(32));
        for text in [
            fits.clone(),
            format!("{fits}.{fits}"),
            format!("s.\"{fits}\""),
        ] {
            assert!(TableName::parse(&text).is_ok(), "{text}");
        }
        for text in [long.clone(), format!("{long}.t"), format!("s.\"{long}\"")] {
            let error = TableName::parse(&text).unwrap_err();
            assert!(error.is_config(), "{error}");
            assert!(error.to_string().contains("more than 63 bytes"), "{error}");
        }
        let table = || TableName::parse("t").unwrap();
        assert_eq!(
            table().or_schema(&fits).unwrap().schema(),
            Some(fits.as_str())
        );
        assert!(table().or_schema(&long).is_err());
        assert!(TableName::parse("s.t").unwrap().or_schema(&long).is_ok());
    }
}
