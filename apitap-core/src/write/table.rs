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

/// Of domains the type below counts, with the modifier that some domain on the way gives it. The
/// type to cast to has no modifier: `CAST(… AS character(4))` cuts what an assignment refuses.
const COLUMNS: &str = "
    SELECT a.attname, coalesce(base.oid, t.oid), coalesce(base.modifier, a.atttypmod),
           coalesce(base.typtype, t.typtype) = 'e', format_type(a.atttypid, a.atttypmod),
           coalesce(base.typname, t.typname)::text,
           (SELECT format('%I.%I', n.nspname, coalesce(base.typname, t.typname)) FROM pg_namespace n
            WHERE n.oid = coalesce(base.typnamespace, t.typnamespace))
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

/// What a name stands for, unless it is something that has rows to write.
const KIND: &str = "
    SELECT CASE WHEN relkind IN ('r', 'p', 'v', 'f') THEN NULL
                WHEN relkind IN ('i', 'I') THEN 'an index'
                WHEN relkind = 'S' THEN 'a sequence'
                WHEN relkind = 'm' THEN 'a materialized view'
                WHEN relkind = 'c' THEN 'a composite type'
                ELSE 'not a table' END
    FROM pg_class WHERE oid = to_regclass($1)";

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
        let Some(kind) = client.query_opt(KIND, &[&name]).await.map_err(fault)? else {
            return Ok(None);
        };
        if let Some(kind) = kind.get::<_, Option<&str>>(0) {
            let detail = format!("{table} is {kind}");
            return Err(Error::new(ErrorKind::Database, Stage::Write, detail)
                .hint("name a table, or a name that nothing has yet"));
        }
        let rows = client.query(COLUMNS, &[&name]).await.map_err(fault)?;
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
    WHERE oid = $1::text::regclass AND (relkind <> 'r' OR relispartition OR reloftype <> 0)
    UNION ALL
    SELECT 'it is unlogged or temporary' FROM pg_class
    WHERE oid = $1::text::regclass AND relpersistence <> 'p'
    UNION ALL
    SELECT 'it has row security' FROM pg_class
    WHERE oid = $1::text::regclass AND (relrowsecurity OR relforcerowsecurity)
    UNION ALL
    SELECT 'it has a replica identity of its own' FROM pg_class
    WHERE oid = $1::text::regclass AND relreplident <> 'd'
    UNION ALL
    SELECT 'publication ' || pubname || ' has it' FROM pg_publication p JOIN pg_publication_rel r ON r.prpubid = p.oid
    WHERE r.prrelid = $1::text::regclass
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
    WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = $1::text::regclass
      AND d.classid = 'pg_rewrite'::regclass
    LIMIT 1";

/// What must be done while both tables are there: the new one's owner, which must be that of the
/// sequences that become its own, and those sequences, which would go with the old one.
const BEQUEST: &str = "
    SELECT statement FROM (
        SELECT 1, format('ALTER TABLE %s OWNER TO %I', $2::text, pg_get_userbyid(o.relowner))
        FROM pg_class o JOIN pg_class n ON n.relowner <> o.relowner
        WHERE o.oid = $1::text::regclass AND n.oid = $2::text::regclass
        UNION ALL
        SELECT 2, format('ALTER SEQUENCE %s OWNED BY %s.%I', s.oid::regclass, $2::text, a.attname)
        FROM pg_depend d
        JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S'
        JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
        WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass
          AND d.refobjid = $1::text::regclass AND d.deptype = 'a'
    ) AS step (place, statement)
    ORDER BY place";

/// The statements that give a new table what the old one had beside its columns, in the order in
/// which they need each other. They are run when the old one is gone and the new one has its name.
const HERITAGE: &str = "
    WITH identity AS (
        SELECT o.oid AS old, o.relname, n.nspname,
               pg_get_serial_sequence($2::text, a.attname)::regclass AS new
        FROM pg_depend d
        JOIN pg_class o ON o.oid = d.objid AND o.relkind = 'S'
        JOIN pg_namespace n ON n.oid = o.relnamespace
        JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
        WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass
          AND d.refobjid = $1::text::regclass AND d.deptype = 'i'
    ),
    pair (kind, name, old, new, by_default) AS (
        SELECT 'TABLE', $1::text, $1::text::regclass, $2::text::regclass, 'r'
        UNION ALL
        SELECT 'SEQUENCE', format('%I.%I', nspname, relname), old, new, 's' FROM identity
    ),
    rights AS (
        SELECT p.kind, p.name, coalesce(o.relacl, acldefault(p.by_default::\"char\", o.relowner)) AS old,
               coalesce(n.relacl, acldefault(p.by_default::\"char\", n.relowner)) AS new
        FROM pair p JOIN pg_class o ON o.oid = p.old JOIN pg_class n ON n.oid = p.new
        WHERE o.relacl IS NOT NULL OR n.relacl IS NOT NULL
    )
    SELECT statement FROM (
        SELECT 1, format('ALTER SEQUENCE %s RENAME TO %I', new, relname) FROM identity
        UNION ALL
        SELECT CASE WHEN contype IN ('p', 'u', 'x') THEN 2 WHEN contype = 'c' THEN 4 ELSE 5 END,
               format('ALTER TABLE %s ADD CONSTRAINT %I %s', $1::text, conname, pg_get_constraintdef(oid))
        FROM pg_constraint
        WHERE conrelid = $1::text::regclass AND contype IN ('p', 'u', 'x', 'c', 'f')
        UNION ALL
        SELECT 3, pg_get_indexdef(indexrelid) FROM pg_index
        WHERE indrelid = $1::text::regclass
          AND NOT EXISTS (SELECT FROM pg_constraint
                          WHERE conindid = indexrelid AND conrelid = indrelid AND contype IN ('p', 'u', 'x'))
        UNION ALL
        SELECT 6, format('COMMENT ON TABLE %s IS %L', $1::text, description)
        FROM obj_description($1::text::regclass, 'pg_class') AS description
        WHERE description IS NOT NULL
        UNION ALL
        SELECT 6, format('COMMENT ON CONSTRAINT %I ON %s IS %L', conname, $1::text, obj_description(oid, 'pg_constraint'))
        FROM pg_constraint
        WHERE conrelid = $1::text::regclass AND contype IN ('p', 'u', 'x', 'c', 'f')
          AND obj_description(oid, 'pg_constraint') IS NOT NULL
        UNION ALL
        SELECT 6, format('COMMENT ON INDEX %s IS %L', indexrelid::regclass, obj_description(indexrelid, 'pg_class'))
        FROM pg_index
        WHERE indrelid = $1::text::regclass AND obj_description(indexrelid, 'pg_class') IS NOT NULL
        UNION ALL
        SELECT 7, format('REVOKE ALL ON %s %s FROM %s', r.kind, r.name,
                         CASE g.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(g.grantee)) END)
        FROM rights r, aclexplode(r.new) g
        GROUP BY r.kind, r.name, g.grantee
        UNION ALL
        SELECT 8, format('GRANT %s ON %s %s TO %s%s', g.privilege_type, r.kind, r.name,
                         CASE g.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(g.grantee)) END,
                         CASE WHEN g.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
        FROM rights r, aclexplode(r.old) g
        UNION ALL
        SELECT 9, format('GRANT %s (%I) ON %s TO %s%s', g.privilege_type, a.attname, $1::text,
                         CASE g.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(g.grantee)) END,
                         CASE WHEN g.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
        FROM pg_attribute a, aclexplode(a.attacl) g
        WHERE a.attrelid = $1::text::regclass AND a.attnum > 0 AND NOT a.attisdropped
    ) AS step (place, statement)
    ORDER BY place";

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
            format!(
                "table {table} cannot be replaced: {}",
                row.get::<_, String>(0)
            ),
        )
        .hint("use mode append or merge, or drop what depends on the table")),
    }
}

/// An empty table with the columns of `old`; its indexes come after the rows, with [`swap`].
/// It has the old one's storage parameters, its identities go on where the old ones are, and
/// nobody else may read it yet, whatever rights new tables have by default.
pub(crate) fn create_like(new: &TableName, old: &TableName) -> String {
    let (old_name, new_name) = (literal(&old.to_string()), literal(&new.to_string()));
    let block = format!(
        "DECLARE
             identity record;
             state record;
             statement text;
         BEGIN
             FOR identity IN
                 SELECT s.oid::regclass AS old, pg_get_serial_sequence({new_name}, a.attname) AS new
                 FROM pg_depend d
                 JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S'
                 JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
                 WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass
                   AND d.refobjid = {old_name}::regclass AND d.deptype = 'i'
             LOOP
                 EXECUTE format('SELECT last_value, is_called FROM %s', identity.old) INTO state;
                 PERFORM setval(identity.new, state.last_value, state.is_called);
             END LOOP;
             FOR statement IN
                 SELECT format('ALTER TABLE %s SET (%s%I = %L)', {new_name}, place,
                               split_part(option, '=', 1), substr(option, strpos(option, '=') + 1))
                 FROM (SELECT '', unnest(reloptions) FROM pg_class WHERE oid = {old_name}::regclass
                       UNION ALL
                       SELECT 'toast.', unnest(toast.reloptions)
                       FROM pg_class JOIN pg_class toast ON toast.oid = pg_class.reltoastrelid
                       WHERE pg_class.oid = {old_name}::regclass) AS parameter (place, option)
                 UNION ALL
                 SELECT format('REVOKE ALL ON %s FROM %s', {new_name},
                               CASE g.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(g.grantee)) END)
                 FROM pg_class, aclexplode(relacl) g
                 WHERE oid = {new_name}::regclass AND g.grantee <> relowner
             LOOP
                 EXECUTE statement;
             END LOOP;
         END"
    );
    format!(
        "CREATE TABLE {new} (LIKE {old} INCLUDING ALL EXCLUDING INDEXES EXCLUDING CONSTRAINTS);\nDO {}",
        literal(&block)
    )
}

/// A string as SQL, whatever `standard_conforming_strings` says.
fn literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    if quoted.contains('\\') {
        format!("E'{}'", quoted.replace('\\', "\\\\"))
    } else {
        format!("'{quoted}'")
    }
}

/// Puts `new` in the place of `old`, with the constraints, indexes and rights that it had.
/// The caller has opened a transaction and commits it.
pub(crate) async fn swap(
    client: &Client,
    old: &TableName,
    new: &TableName,
    old_exists: bool,
) -> Result<()> {
    let fault = |error| {
        database(
            &format!("putting the new table in the place of {old}"),
            error,
        )
    };
    let mut heritage = Vec::new();
    if old_exists {
        let lock = format!("LOCK TABLE {old} IN ACCESS EXCLUSIVE MODE");
        client.batch_execute(&lock).await.map_err(fault)?;
        // Again, now that nobody can add anything to it.
        check_replaceable(client, old).await?;
        let names = [old.to_string(), new.to_string()];
        let bequest = client
            .query(BEQUEST, &[&names[0], &names[1]])
            .await
            .map_err(fault)?;
        for statement in bequest {
            client
                .batch_execute(statement.get(0))
                .await
                .map_err(fault)?;
        }
        heritage = client
            .query(HERITAGE, &[&names[0], &names[1]])
            .await
            .map_err(fault)?;
        client
            .batch_execute(&format!("DROP TABLE {old}"))
            .await
            .map_err(fault)?;
    }
    let rename = format!("ALTER TABLE {new} RENAME TO {}", quote(old.name()));
    client.batch_execute(&rename).await.map_err(fault)?;
    for statement in heritage {
        client
            .batch_execute(statement.get(0))
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
