//! Tables: names, what the catalogue says of them, and the DDL that a load needs.

use std::fmt;

use tokio_postgres::Client;

use super::connect::database;
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
    /// An empty part, a quote that does not close, or more than two parts.
    pub fn parse(text: &str) -> Result<Self> {
        let invalid = || {
            Error::new(ErrorKind::Config, Stage::Write, format!("invalid table name `{text}`"))
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
    pub(crate) fn sibling(&self, name: String) -> Self {
        Self {
            schema: self.schema.clone(),
            name,
        }
    }

    /// The same name in `schema`, unless it has one.
    pub(crate) fn or_schema(self, schema: &str) -> Self {
        Self {
            schema: self.schema.or_else(|| Some(schema.to_owned())),
            name: self.name,
        }
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

/// An identifier as SQL.
pub(crate) fn quote(identifier: &str) -> String {
    format!("\"{}\"", identifier.replace('"', "\"\""))
}

/// Identifiers as SQL, separated by commas.
pub(crate) fn quoted_list<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> String {
    let quoted: Vec<_> = names.into_iter().map(|name| quote(name.as_ref())).collect();
    quoted.join(", ")
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
}

/// What the catalogue says of an existing table.
#[derive(Debug)]
pub(crate) struct ExistingTable {
    pub(crate) columns: Vec<LoadColumn>,
    /// The columns of each unique index that an upsert can use.
    unique: Vec<Vec<String>>,
}

const COLUMNS: &str = "
    SELECT a.attname, coalesce(base.oid, t.oid), a.atttypmod,
           coalesce(base.typtype, t.typtype) = 'e', format_type(a.atttypid, NULL),
           coalesce(base.typname, t.typname)::text
    FROM pg_attribute a
    JOIN pg_type t ON t.oid = a.atttypid
    LEFT JOIN LATERAL (
        WITH RECURSIVE domain AS (
            SELECT t.typbasetype AS oid WHERE t.typtype = 'd'
            UNION ALL
            SELECT b.typbasetype FROM domain d JOIN pg_type b ON b.oid = d.oid WHERE b.typtype = 'd'
        )
        SELECT b.* FROM domain d JOIN pg_type b ON b.oid = d.oid WHERE b.typtype <> 'd'
    ) base ON true
    WHERE a.attrelid = $1::text::regclass AND a.attnum > 0 AND NOT a.attisdropped
    ORDER BY a.attnum";

const UNIQUE: &str = "
    SELECT ARRAY(SELECT a.attname::text FROM pg_attribute a
                 WHERE a.attrelid = i.indrelid AND a.attnum = ANY(i.indkey::int2[])
                 ORDER BY a.attname)
    FROM pg_index i
    WHERE i.indrelid = $1::text::regclass AND i.indisunique AND i.indisvalid AND i.indimmediate
      AND i.indpred IS NULL AND i.indexprs IS NULL AND i.indnkeyatts = i.indnatts";

impl ExistingTable {
    /// Looks a table up; none if it does not exist.
    pub(crate) async fn find(client: &Client, table: &TableName) -> Result<Option<Self>> {
        let fault = |error| database(&format!("reading the columns of {table}"), error);
        let name = table.to_string();
        let exists = client
            .query_one("SELECT to_regclass($1) IS NOT NULL", &[&name])
            .await
            .map_err(fault)?;
        if !exists.get::<_, bool>(0) {
            return Ok(None);
        }
        let rows = client.query(COLUMNS, &[&name]).await.map_err(fault)?;
        let columns = rows
            .iter()
            .map(|row| {
                let is_enum: bool = row.get(3);
                let written_name: String = row.get(4);
                let pg_type = PgType::of_column(row.get(1), row.get(2), is_enum, &row.get::<_, String>(5));
                let pg_type = match pg_type {
                    PgType::Other(_) => PgType::Other(written_name.clone()),
                    known => known,
                };
                let own_parameter = pg_type.parameter().0.oid() == row.get::<_, u32>(1);
                LoadColumn {
                    name: row.get(0),
                    cast: (!own_parameter).then_some(written_name),
                    pg_type,
                }
            })
            .collect();
        let unique = client.query(UNIQUE, &[&name]).await.map_err(fault)?;
        Ok(Some(Self {
            columns,
            unique: unique.iter().map(|row| row.get(0)).collect(),
        }))
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

/// What stands in the way of putting a new table in the place of `table`: things that would be
/// lost with the old one and that cannot be made again from the catalogue.
const OBSTACLES: &str = "
    SELECT 'it is not an ordinary table' FROM pg_class
    WHERE oid = $1::text::regclass AND (relkind <> 'r' OR relispartition)
    UNION ALL
    SELECT 'it has trigger ' || tgname FROM pg_trigger
    WHERE tgrelid = $1::text::regclass AND NOT tgisinternal
    UNION ALL
    SELECT 'it has policy ' || polname FROM pg_policy WHERE polrelid = $1::text::regclass
    UNION ALL
    SELECT 'it has rule ' || rulename FROM pg_rewrite WHERE ev_class = $1::text::regclass
    UNION ALL
    SELECT 'it is part of an inheritance tree' FROM pg_inherits
    WHERE inhrelid = $1::text::regclass OR inhparent = $1::text::regclass
    UNION ALL
    SELECT format('%s refers to it', conrelid::regclass) FROM pg_constraint
    WHERE confrelid = $1::text::regclass AND conrelid <> confrelid
    UNION ALL
    SELECT format('view %s reads it', v.oid::regclass)
    FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid JOIN pg_class v ON v.oid = r.ev_class
    WHERE d.refobjid = $1::text::regclass AND d.classid = 'pg_rewrite'::regclass
    LIMIT 1";

/// The statements that give a new table what the old one had beside its columns.
const HERITAGE: &str = "
    SELECT format('ALTER TABLE %s ADD CONSTRAINT %I %s', $1::text, conname, pg_get_constraintdef(oid))
    FROM pg_constraint WHERE conrelid = $1::text::regclass AND contype IN ('p', 'u', 'x', 'c', 'f')
    UNION ALL
    SELECT pg_get_indexdef(indexrelid) FROM pg_index
    WHERE indrelid = $1::text::regclass
      AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid AND conrelid = indrelid)
    UNION ALL
    SELECT format('GRANT %s ON %s TO %s%s', g.privilege_type, $1::text,
                  CASE g.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(g.grantee)) END,
                  CASE WHEN g.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
    FROM pg_class, aclexplode(relacl) g
    WHERE oid = $1::text::regclass AND g.grantee <> relowner
    UNION ALL
    SELECT format('ALTER TABLE %s OWNER TO %I', $1::text, pg_get_userbyid(relowner))
    FROM pg_class WHERE oid = $1::text::regclass AND pg_get_userbyid(relowner) <> current_user
    UNION ALL
    SELECT format('COMMENT ON TABLE %s IS %L', $1::text, obj_description($1::text::regclass))
    WHERE obj_description($1::text::regclass) IS NOT NULL";

/// Refuses tables that cannot be replaced without losing something.
pub(crate) async fn check_replaceable(client: &Client, table: &TableName) -> Result<()> {
    let obstacle = client
        .query_opt(OBSTACLES, &[&table.to_string()])
        .await
        .map_err(|error| database(&format!("looking at {table}"), error))?;
    match obstacle {
        None => Ok(()),
        Some(row) => Err(Error::new(
            ErrorKind::Database,
            Stage::Write,
            format!("table {table} cannot be replaced: {}", row.get::<_, String>(0)),
        )
        .hint("use mode append or merge, or drop what depends on the table")),
    }
}

/// An empty table with the columns of `old`; its indexes come after the rows, with [`swap`].
pub(crate) fn create_like(new: &TableName, old: &TableName) -> String {
    format!(
        "CREATE TABLE {new} (LIKE {old} INCLUDING ALL EXCLUDING INDEXES EXCLUDING CONSTRAINTS)"
    )
}

/// Puts `new` in the place of `old`, with the constraints, indexes and rights that it had.
/// The caller has opened a transaction and commits it.
pub(crate) async fn swap(
    client: &Client,
    old: &TableName,
    new: &TableName,
    old_exists: bool,
) -> Result<()> {
    let fault = |error| database(&format!("putting the new table in the place of {old}"), error);
    let mut heritage = Vec::new();
    if old_exists {
        let lock = format!("LOCK TABLE {old} IN ACCESS EXCLUSIVE MODE");
        client.batch_execute(&lock).await.map_err(fault)?;
        heritage = client.query(HERITAGE, &[&old.to_string()]).await.map_err(fault)?;
        client.batch_execute(&format!("DROP TABLE {old}")).await.map_err(fault)?;
    }
    let rename = format!("ALTER TABLE {new} RENAME TO {}", quote(old.name()));
    client.batch_execute(&rename).await.map_err(fault)?;
    for statement in heritage {
        client
            .batch_execute(statement.get::<_, &str>(0))
            .await
            .map_err(fault)?;
    }
    Ok(())
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
}
