//! Property: whatever a table, its schema and its columns are called, a load reaches that table and no other.
//! PostgreSQL's own quoting is the oracle.

use std::sync::Arc;

use arrow::array::*;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use testkit::test_database::test_database;

use super::tests::{client, config, load, sink};
use super::*;
use crate::config::WriteMethod;

/// Names that somebody could use to break out of a statement, or that are merely unusual.
fn hostile() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "t\"; DROP TABLE victim; --",
        "'; DROP TABLE victim; --",
        "a'b\"c",
        "back\\slash\\'",
        "new\nline\r\ttab",
        "select",
        "order",
        "user",
        "a.b.c",
        "$1",
        "$$body$$",
        "%I%s",
        " leading and trailing ",
        "CamelCase",
        "ünïcödé 表 🐘",
        "null",
        "_apitap_row",
        "{{ sink }}",
        "E'\\\\x41'",
    ]);
    let made = "[^\\x00]{1,40}|[\"'\\\\$.%; a-zA-Z\n]{1,63}|[a-z]{63}|[é]{31}";
    prop_oneof![known.prop_map(str::to_owned), made.prop_map(fit)]
}

/// As much as a name may have.
fn fit(name: String) -> String {
    let mut end = name.len().min(63);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    name[..end].to_owned()
}

#[tokio::test]
async fn postgres_hostile_names_are_names() {
    let database = test_database().await.unwrap();
    let client = client(&database).await;
    client
        .batch_execute("CREATE TABLE victim (id int); INSERT INTO victim VALUES (1)")
        .await
        .unwrap();
    let mut runner = TestRunner::deterministic();
    let names = (hostile(), hostile(), hostile(), hostile());
    // Some names belong to PostgreSQL: schemas pg_*, and columns of the system.
    let names = names.prop_filter("of the system", |(schema, _, key, value)| {
        let system = ["tableoid", "cmax", "xmax", "cmin", "xmin", "ctid"];
        !schema.starts_with("pg_")
            && key != value
            && !system.contains(&key.as_str())
            && !system.contains(&value.as_str())
    });
    for round in 0..12 {
        let (schema, table, key, value) = names.new_tree(&mut runner).unwrap().current();
        let text = format!("{}.{}", table::quote(&schema), table::quote(&table));
        let sql = |statement: &'static str| {
            let (client, names) = (&client, [&schema, &table, &key, &value]);
            async move {
                let row = client
                    .query_one(
                        &format!(
                            "SELECT format('{statement}', $1::text, $2::text, $3::text, $4::text)"
                        ),
                        &names.map(|name| name as _),
                    )
                    .await
                    .unwrap();
                row.get::<_, String>(0)
            }
        };
        let make = sql("CREATE SCHEMA IF NOT EXISTS %1$I").await;
        client.batch_execute(&make).await.unwrap();
        for (mode, methods) in [
            (WriteMode::Append, WriteMethod::ALL),
            (WriteMode::Replace, WriteMethod::ALL),
            (WriteMode::Merge, WriteMethod::ALL),
        ] {
            for method in methods {
                for connections in [1 + round % 2] {
                    let drop = sql("DROP TABLE IF EXISTS %1$I.%2$I").await;
                    client.batch_execute(&drop).await.unwrap();
                    for loads in 1..=2_i64 {
                        let ids: ArrayRef = Arc::new(Int64Array::from(vec![loads, 7]));
                        let texts: ArrayRef = Arc::new(StringArray::from(vec!["a", "b"]));
                        let batch = RecordBatch::try_from_iter([(&key, ids), (&value, texts)]);
                        let keys: &[&str] = match mode {
                            WriteMode::Merge => &[&key],
                            WriteMode::Append | WriteMode::Replace => &[],
                        };
                        let config = WriteConfig {
                            connections: connections.try_into().unwrap(),
                            ..config(method, 1)
                        };
                        let loaded = load(
                            sink(&database, &text, mode, keys),
                            config,
                            &[batch.unwrap()],
                        )
                        .await;
                        let what =
                            format!("round {round}: {text} {key:?} {value:?} {mode:?} {method}");
                        loaded.unwrap_or_else(|error| panic!("{what}: {}", error.chain()));
                        let count =
                            sql("SELECT count(%3$I)::text || max(%4$I) FROM %1$I.%2$I").await;
                        let count: String = client.query_one(&count, &[]).await.unwrap().get(0);
                        let expected = match mode {
                            WriteMode::Append => loads * 2,
                            WriteMode::Replace => 2,
                            WriteMode::Merge => loads + 1,
                        };
                        assert_eq!(count, format!("{expected}b"), "{what}");
                    }
                }
            }
        }
    }
    let left = "SELECT (SELECT count(*) FROM victim) + (SELECT count(*) FROM pg_class WHERE relname ~ '^_apitap_[0-9a-f]{16}')";
    assert_eq!(
        client.query_one(left, &[]).await.unwrap().get::<_, i64>(0),
        1
    );
}
