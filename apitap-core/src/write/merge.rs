//! The set-based statement that merges a stage into its table.

use super::table::{LoadColumn, TableName, overriding, quote, quoted_list};

/// The column of a stage that says in which order its rows came: a name that no other has.
fn order(columns: &[LoadColumn]) -> String {
    let mut name = "_apitap_row".to_owned();
    while columns.iter().any(|column| column.name == name) {
        name.push('_');
    }
    name
}

/// How existing rows are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Matching {
    /// By a unique index on the key: `INSERT … ON CONFLICT`, safe beside other writers.
    UniqueIndex,
    /// By comparison: `MERGE`, PostgreSQL 15 and later.
    Comparison,
}

/// A stage: the columns of the load as the table has them, and the order of arrival.
pub(super) fn create_stage(stage: &str, table: &TableName, columns: &[LoadColumn]) -> String {
    let names = quoted_list(columns.iter().map(|column| &column.name));
    format!(
        "CREATE TEMP TABLE {stage} ON COMMIT DROP AS SELECT {names} FROM {table} WITH NO DATA;
         ALTER TABLE {stage} ADD COLUMN {order} bigint GENERATED ALWAYS AS IDENTITY",
        stage = quote(stage),
        order = order(columns)
    )
}

/// Counts the staged rows that lack a part of the key: they would match nothing.
pub(super) fn count_null_keys(stage: &str, key: &[String]) -> String {
    let tests: Vec<_> = key
        .iter()
        .map(|name| format!("{} IS NULL", quote(name)))
        .collect();
    format!(
        "SELECT count(*) FROM {} WHERE {}",
        quote(stage),
        tests.join(" OR ")
    )
}

/// Merges the stage: of rows with the same key the last to arrive counts.
pub(super) fn statement(
    stage: &str,
    table: &TableName,
    columns: &[LoadColumn],
    key: &[String],
    matching: Matching,
) -> String {
    let names: Vec<_> = columns.iter().map(|column| quote(&column.name)).collect();
    let keys = quoted_list(key);
    let others: Vec<_> = columns
        .iter()
        .filter(|column| !key.contains(&column.name))
        .map(|column| quote(&column.name))
        .collect();
    let set = |from: &str| {
        let assignments: Vec<_> = others
            .iter()
            .map(|name| format!("{name} = {from}.{name}"))
            .collect();
        assignments.join(", ")
    };
    let list = names.join(", ");
    let given = overriding(columns);
    let last = format!(
        "SELECT DISTINCT ON ({keys}) {list} FROM {} ORDER BY {keys}, {} DESC",
        quote(stage),
        order(columns)
    );
    match matching {
        Matching::UniqueIndex => {
            let action = if others.is_empty() {
                "NOTHING".to_owned()
            } else {
                format!("UPDATE SET {}", set("EXCLUDED"))
            };
            format!("INSERT INTO {table} ({list}){given} {last} ON CONFLICT ({keys}) DO {action}")
        }
        Matching::Comparison => {
            let matches: Vec<_> = key
                .iter()
                .map(|name| format!("t.{0} = s.{0}", quote(name)))
                .collect();
            let update = if others.is_empty() {
                String::new()
            } else {
                format!(" WHEN MATCHED THEN UPDATE SET {}", set("s"))
            };
            let values: Vec<_> = names.iter().map(|name| format!("s.{name}")).collect();
            format!(
                "MERGE INTO {table} t USING ({last}) s ON {}{update} \
                 WHEN NOT MATCHED THEN INSERT ({list}){given} VALUES ({})",
                matches.join(" AND "),
                values.join(", ")
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::PgType;

    #[test]
    fn the_last_of_a_key_counts() {
        let columns = ["a", "b", "c"].map(|name| LoadColumn {
            name: name.into(),
            pg_type: PgType::Int8,
            cast: None,
            always_identity: false,
        });
        let table = TableName::parse("t").unwrap();
        let key = ["a".to_owned(), "b".to_owned()];
        let sql = |columns, matching| statement("s", &table, columns, &key, matching);
        insta::assert_snapshot!(sql(&columns, Matching::UniqueIndex), @r#"INSERT INTO "t" ("a", "b", "c") SELECT DISTINCT ON ("a", "b") "a", "b", "c" FROM "s" ORDER BY "a", "b", _apitap_row DESC ON CONFLICT ("a", "b") DO UPDATE SET "c" = EXCLUDED."c""#);
        insta::assert_snapshot!(sql(&columns[..2], Matching::UniqueIndex), @r#"INSERT INTO "t" ("a", "b") SELECT DISTINCT ON ("a", "b") "a", "b" FROM "s" ORDER BY "a", "b", _apitap_row DESC ON CONFLICT ("a", "b") DO NOTHING"#);
        insta::assert_snapshot!(sql(&columns, Matching::Comparison), @r#"MERGE INTO "t" t USING (SELECT DISTINCT ON ("a", "b") "a", "b", "c" FROM "s" ORDER BY "a", "b", _apitap_row DESC) s ON t."a" = s."a" AND t."b" = s."b" WHEN MATCHED THEN UPDATE SET "c" = s."c" WHEN NOT MATCHED THEN INSERT ("a", "b", "c") VALUES (s."a", s."b", s."c")"#);
    }
}
