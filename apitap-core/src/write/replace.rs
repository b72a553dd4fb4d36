//! How a new table takes the place of an old one.

use super::session::Session;
use super::table::{TableName, literal, quote, quoted_list};
use crate::error::{Error, ErrorKind, Result, Stage};

/// What prevents a new table from replacing `table`: things that would be lost with the old one, and
/// that the catalogue cannot restore.
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

/// What must be done while both tables exist: the new one gets the owner of the old one, and its
/// sequences, which would be dropped with it.
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

/// The statements that give a new table everything of the old one except its columns, in the order in
/// which they depend on each other. They run when the old table is gone and the new one has its name.
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
pub(super) async fn check_replaceable(session: &Session, table: &TableName) -> Result<()> {
    let doing = format!("looking at {table}");
    let obstacles = session
        .query(&doing, OBSTACLES, &[&table.to_string()])
        .await?;
    match obstacles.first() {
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
/// It has the old one's storage parameters, its identities continue from the old ones, and nobody
/// else may read it yet, whatever rights new tables have by default.
pub(super) fn create_like(new: &TableName, old: &TableName) -> String {
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

/// Puts the new table in the place of the old one, which gives it its constraints, indexes and rights. Without an
/// old one, `key` becomes its primary key. The caller has opened a transaction and commits it.
pub(super) async fn swap(
    session: &Session,
    old: &TableName,
    new: &TableName,
    old_exists: bool,
    key: &[String],
) -> Result<()> {
    let doing = format!("putting the new table in the place of {old}");
    let rename = format!("ALTER TABLE {new} RENAME TO {}", quote(old.name()));
    if !old_exists {
        session.execute(&doing, &rename).await?;
        if !key.is_empty() {
            // Now that its name is right, the key's is too.
            let key = format!("ALTER TABLE {old} ADD PRIMARY KEY ({})", quoted_list(key));
            session.execute(&doing, &key).await?;
        }
        return Ok(());
    }
    let lock = format!("LOCK TABLE {old} IN ACCESS EXCLUSIVE MODE");
    session.execute(&doing, &lock).await?;
    // Again, now that nobody can add anything to it.
    check_replaceable(session, old).await?;
    let names = [old.to_string(), new.to_string()];
    let names = names.each_ref().map(String::as_str);
    for statement in session.query(&doing, BEQUEST, &names).await? {
        session.execute(&doing, statement.get(0)).await?;
    }
    let heritage = session.query(&doing, HERITAGE, &names).await?;
    let drop = format!("DROP TABLE {old}");
    session.execute(&doing, &drop).await?;
    session.execute(&doing, &rename).await?;
    for statement in heritage {
        session.execute(&doing, statement.get(0)).await?;
    }
    Ok(())
}
