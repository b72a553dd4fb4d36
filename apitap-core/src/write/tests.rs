//! Property round trip: whatever Arrow holds, every method writes it so that PostgreSQL has the
//! value that it reads itself from the value's text. PostgreSQL is the oracle.

use std::sync::Arc;

use arrow::array::*;
use arrow::datatypes::*;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use testkit::test_database::{TestDatabase, test_database};
use tokio_postgres::{Client, NoTls};

use super::*;
use crate::config::{WriteConfig, WriteMethod};
use crate::encode::PgType;

/// The target of a URL that the harness made.
fn target(url: &str) -> TargetSpec {
    TargetSpec {
        sslmode: SslMode::Disable,
        ..TargetSpec::from_url("test", url).unwrap()
    }
}

pub(super) async fn client(database: &TestDatabase) -> Client {
    let (client, connection) = tokio_postgres::connect(database.url(), NoTls)
        .await
        .unwrap();
    tokio::spawn(connection);
    client
}

pub(super) fn sink(database: &TestDatabase, table: &str, mode: WriteMode, key: &[&str]) -> Sink {
    Sink {
        target: target(database.url()),
        table: TableName::parse(table).unwrap(),
        mode,
        key: key.iter().map(|&name| name.to_owned()).collect(),
        empty: EmptyLoad::Usual,
    }
}

pub(super) async fn load(sink: Sink, config: WriteConfig, batches: &[RecordBatch]) -> Result<u64> {
    let load = Load::begin(sink, &batches[0].schema(), config, Arc::default()).await?;
    let mut writer = load.writer(1).await?;
    for batch in batches {
        if let Err(error) = writer.write(batch).await {
            drop(writer);
            load.end(false).await;
            return Err(error);
        }
    }
    let rows = match writer.finish().await {
        Ok(rows) => load.commit().await.map(|()| rows),
        Err(error) => Err(error),
    };
    load.end(rows.is_ok()).await;
    rows
}

#[tokio::test]
async fn postgres_receives_flushes_of_the_rows_that_were_asked_for() {
    const PAGE: usize = 1_000;
    const ROWS: usize = 60 * PAGE;
    let database = test_database().await.unwrap();
    let text = "x".repeat(300);
    let column: ArrayRef = Arc::new(StringArray::from_iter_values((0..ROWS).map(|_| &text)));
    let batch = RecordBatch::try_from_iter([("text", column)]).unwrap();
    // The last flush holds what is left and the trailer.
    for (batch_rows, flushes) in [(1_000, 61), (50_000, 2)] {
        let sink = sink(&database, "flushed", WriteMode::Replace, &[]);
        let metrics: Arc<Metrics> = Arc::default();
        let config = config(WriteMethod::CopyBinary, batch_rows);
        let load = Load::begin(sink, &batch.schema(), config, Arc::clone(&metrics))
            .await
            .unwrap();
        let mut writer = load.writer(1).await.unwrap();
        for page in 0..ROWS / PAGE {
            writer.write(&batch.slice(PAGE * page, PAGE)).await.unwrap();
        }
        assert_eq!(writer.finish().await.unwrap(), ROWS as u64);
        load.commit().await.unwrap();
        load.end(true).await;
        let flushed = metrics
            .write
            .flushes
            .load(std::sync::atomic::Ordering::Relaxed);
        assert_eq!(flushed, flushes);
    }
}

pub(super) fn config(method: WriteMethod, batch_rows: usize) -> WriteConfig {
    WriteConfig {
        method,
        batch_rows: batch_rows.try_into().unwrap(),
        ..WriteConfig::default()
    }
}

/// Values of every Arrow type that SQL can produce here, by the column's name.
fn columns(rows: usize, runner: &mut TestRunner) -> Vec<(&'static str, ArrayRef)> {
    macro_rules! column {
        ($array:ty, $strategy:expr) => {{
            let values = prop::collection::vec(prop::option::of($strategy), rows);
            let values = values.new_tree(runner).unwrap().current();
            values.into_iter().collect::<$array>()
        }};
    }
    // Without NUL, which PostgreSQL cannot store; it has a test of its own.
    let text = || "([^\\x00]|[\\\\\"'\t\n\r,])*|\\\\N|\\\\\\.||é😀";
    let decimal = -10i128.pow(37)..10i128.pow(37);
    // Years 1 to 9999, which the text form of the oracle can hold.
    let day = -719_162i32..2_932_896;
    let micros = -62_135_596_800_000_000i64..253_402_300_799_999_999;
    let timestamps = column!(TimestampMicrosecondArray, micros.clone());
    let intervals = (
        -1_000i32..1_000,
        -10_000i32..10_000,
        -86_400_000_000i64..86_400_000_000,
    )
        .prop_map(|(months, days, micros)| IntervalMonthDayNano::new(months, days, micros * 1_000));
    let uuid = any::<u128>().prop_map(|value| {
        let hex = format!("{value:032x}");
        [
            &hex[..8],
            &hex[8..12],
            &hex[12..16],
            &hex[16..20],
            &hex[20..],
        ]
        .join("-")
    });
    let json = (any::<i64>(), text()).prop_map(|(number, text)| {
        serde_json::json!({ "a": [number, null], "t": text }).to_string()
    });
    vec![
        ("bool", Arc::new(column!(BooleanArray, any::<bool>()))),
        ("int8", Arc::new(column!(Int8Array, any::<i8>()))),
        ("int16", Arc::new(column!(Int16Array, any::<i16>()))),
        ("int32", Arc::new(column!(Int32Array, any::<i32>()))),
        ("int64", Arc::new(column!(Int64Array, any::<i64>()))),
        ("uint8", Arc::new(column!(UInt8Array, any::<u8>()))),
        ("uint16", Arc::new(column!(UInt16Array, any::<u16>()))),
        ("uint32", Arc::new(column!(UInt32Array, any::<u32>()))),
        ("uint64", Arc::new(column!(UInt64Array, any::<u64>()))),
        (
            "float32",
            Arc::new(column!(Float32Array, prop::num::f32::ANY)),
        ),
        (
            "float64",
            Arc::new(column!(Float64Array, prop::num::f64::ANY)),
        ),
        (
            "decimal128",
            Arc::new(
                column!(Decimal128Array, decimal.clone())
                    .with_precision_and_scale(38, 7)
                    .unwrap(),
            ),
        ),
        (
            "decimal256",
            Arc::new(
                column!(
                    Decimal256Array,
                    decimal.prop_map(|value| {
                        i256::from_i128(value).wrapping_mul(i256::from_i128(10i128.pow(30)))
                    })
                )
                .with_precision_and_scale(76, 11)
                .unwrap(),
            ),
        ),
        ("utf8", Arc::new(column!(StringArray, text()))),
        ("large_utf8", Arc::new(column!(LargeStringArray, text()))),
        ("utf8_view", Arc::new(column!(StringViewArray, text()))),
        (
            "dictionary",
            Arc::new(
                column!(StringArray, "[ab]")
                    .iter()
                    .collect::<DictionaryArray<Int32Type>>(),
            ),
        ),
        (
            "binary",
            Arc::new(column!(
                BinaryArray,
                prop::collection::vec(any::<u8>(), 0..9)
            )),
        ),
        (
            "large_binary",
            Arc::new(column!(
                LargeBinaryArray,
                prop::collection::vec(any::<u8>(), 0..9)
            )),
        ),
        ("date32", Arc::new(column!(Date32Array, day.clone()))),
        (
            "date64",
            Arc::new(column!(
                Date64Array,
                day.prop_map(|day| i64::from(day) * 86_400_000)
            )),
        ),
        (
            "time64",
            Arc::new(column!(Time64MicrosecondArray, 0i64..86_400_000_000)),
        ),
        ("time32", Arc::new(column!(Time32SecondArray, 0i32..86_400))),
        ("timestamp", Arc::new(timestamps)),
        (
            "timestamptz",
            Arc::new(column!(TimestampMicrosecondArray, micros).with_timezone("+00:00")),
        ),
        (
            "timestamp_ns",
            Arc::new(
                column!(
                    TimestampNanosecondArray,
                    -9_000_000_000_000_000i64..9_000_000_000_000_000
                )
                .unary::<_, TimestampNanosecondType>(|micros| micros * 1_000),
            ),
        ),
        (
            "interval",
            Arc::new(column!(IntervalMonthDayNanoArray, intervals)),
        ),
        ("uuid_text", Arc::new(column!(StringArray, uuid))),
        ("json_text", Arc::new(column!(StringArray, json))),
        ("null", Arc::new(NullArray::new(rows))),
    ]
}

/// The text from which PostgreSQL itself reads the value.
fn texts(array: &ArrayRef) -> Vec<Option<String>> {
    let options = FormatOptions::new();
    let formatter = ArrayFormatter::try_new(array, &options).unwrap();
    let is_binary = matches!(array.data_type(), DataType::Binary | DataType::LargeBinary);
    (0..array.len())
        .map(|row| {
            let text = || formatter.value(row).to_string();
            match array.data_type() {
                _ if array.is_null(row) || array.data_type() == &DataType::Null => None,
                DataType::Float32 => Some(float(
                    f64::from(array.as_primitive::<Float32Type>().value(row)),
                    text(),
                )),
                DataType::Float64 => Some(float(
                    array.as_primitive::<Float64Type>().value(row),
                    text(),
                )),
                _ if is_binary => Some(format!("\\x{}", text())),
                _ => Some(text()),
            }
        })
        .collect()
}

fn float(value: f64, text: String) -> String {
    if value.is_nan() {
        "NaN".into()
    } else if value.is_infinite() {
        if value > 0.0 {
            "Infinity".into()
        } else {
            "-Infinity".into()
        }
    } else {
        text
    }
}

#[tokio::test]
async fn postgres_reads_what_every_method_writes() {
    const ROWS: usize = 60;
    let database = test_database().await.unwrap();
    let client = client(&database).await;
    let mut runner = TestRunner::deterministic();
    for round in 0..4 {
        let columns = columns(ROWS, &mut runner);
        let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(0..ROWS as i64));
        let arrays = std::iter::once(("id", ids)).chain(columns.iter().cloned());
        let batch = RecordBatch::try_from_iter_with_nullable(
            arrays.map(|(name, array)| (name, array, true)),
        )
        .unwrap();
        for method in WriteMethod::ALL {
            let table = format!("r{round}_{}", method.name().replace('-', "_"));
            // Columns that only an existing table gives these types.
            let existing = columns.iter().map(|(name, array)| {
                let pg_type = match *name {
                    "uuid_text" => "uuid".into(),
                    "json_text" => "jsonb".into(),
                    _ => PgType::of_field(&Field::new("x", array.data_type().clone(), true))
                        .unwrap()
                        .sql(),
                };
                format!("\"{name}\" {pg_type}")
            });
            let existing: Vec<_> = existing.collect();
            client
                .batch_execute(&format!(
                    "CREATE TABLE {table} (id bigint, {})",
                    existing.join(", ")
                ))
                .await
                .unwrap();
            // Batches and flushes of sizes that do not divide each other.
            let batches = [
                batch.slice(0, 13),
                batch.slice(13, 0),
                batch.slice(13, ROWS - 13),
            ];
            let sink = sink(&database, &table, WriteMode::Append, &[]);
            assert_eq!(
                load(sink, config(method, 17), &batches).await.unwrap(),
                ROWS as u64
            );
            for (name, array) in &columns {
                check(&client, &table, method, name, array).await;
            }
        }
    }
}

async fn check(client: &Client, table: &str, method: WriteMethod, name: &str, array: &ArrayRef) {
    let ids: Vec<i64> = (0..array.len() as i64).collect();
    let type_name: String = client
        .query_one(
            "SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = $1::text::regclass AND attname = $2",
            &[&table, &name],
        )
        .await
        .unwrap()
        .get(0);
    let differ = client
        .query(
            &format!(
                "SELECT e.id, t.\"{name}\"::text, e.v FROM unnest($1::bigint[], $2::text[]) AS e (id, v)
                 LEFT JOIN {table} t USING (id) WHERE t.\"{name}\" IS DISTINCT FROM e.v::{type_name}"
            ),
            &[&ids, &texts(array)],
        )
        .await
        .unwrap();
    let shown: Vec<_> = differ
        .iter()
        .take(3)
        .map(|row| {
            (
                row.get::<_, i64>(0),
                row.get::<_, Option<String>>(1),
                row.get::<_, Option<String>>(2),
            )
        })
        .collect();
    assert!(shown.is_empty(), "{method} {name} {type_name}: {shown:?}");
}

pub(super) fn ids(ids: &[i64], texts: &[&str]) -> RecordBatch {
    let ids: ArrayRef = Arc::new(Int64Array::from(ids.to_vec()));
    let texts: ArrayRef = Arc::new(StringArray::from(texts.to_vec()));
    RecordBatch::try_from_iter([("id", ids), ("t", texts)]).unwrap()
}

pub(super) async fn rows(client: &Client, table: &str) -> Vec<(i64, Option<String>)> {
    let rows = client
        .query(
            &format!("SELECT id::bigint, t FROM {table} ORDER BY id, t"),
            &[],
        )
        .await
        .unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

pub(super) fn row(id: i64, text: &str) -> (i64, Option<String>) {
    (id, Some(text.to_owned()))
}

#[tokio::test]
async fn postgres_keeps_the_last_of_a_loads_duplicates() {
    let database = test_database().await.unwrap();
    let client = client(&database).await;
    for (table, unique) in [("with_index", true), ("without_index", false)] {
        let key = if unique { "PRIMARY KEY" } else { "NOT NULL" };
        client
            .batch_execute(&format!(
                "CREATE TABLE {table} (id bigint {key}, t text, kept int DEFAULT 7);
                                     INSERT INTO {table} VALUES (1, 'old', 1), (2, 'old', 2)"
            ))
            .await
            .unwrap();
        for method in WriteMethod::ALL {
            let batches = [
                ids(&[2, 3, 2], &["a", "b", "c"]),
                ids(&[3], &[method.name()]),
            ];
            let sink = sink(&database, table, WriteMode::Merge, &["id"]);
            assert_eq!(load(sink, config(method, 3), &batches).await.unwrap(), 4);
            assert_eq!(
                rows(&client, table).await,
                [row(1, "old"), row(2, "c"), row(3, method.name())]
            );
        }
        let kept = client
            .query_one(&format!("SELECT sum(kept) FROM {table}"), &[])
            .await
            .unwrap();
        assert_eq!(
            kept.get::<_, i64>(0),
            10,
            "columns that the load lacks stay, or take their default"
        );
    }
}

#[tokio::test]
async fn postgres_merges_into_a_table_of_its_own_with_a_composite_key() {
    let database = test_database().await.unwrap();
    let client = client(&database).await;
    let sink = || sink(&database, "fresh", WriteMode::Merge, &["id", "t"]);
    let batch = ids(&[1, 1, 1], &["a", "b", "a"]);
    load(
        sink(),
        config(WriteMethod::CopyBinary, 10),
        std::slice::from_ref(&batch),
    )
    .await
    .unwrap();
    load(
        sink(),
        config(WriteMethod::CopyBinary, 10),
        std::slice::from_ref(&batch),
    )
    .await
    .unwrap();
    assert_eq!(rows(&client, "fresh").await, [row(1, "a"), row(1, "b")]);
}

#[tokio::test]
async fn postgres_refuses_rows_without_a_key() {
    let database = test_database().await.unwrap();
    let client = client(&database).await;
    client
        .batch_execute("CREATE TABLE k (id bigint, t text); CREATE UNIQUE INDEX ON k (id)")
        .await
        .unwrap();
    let ids: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None]));
    let batch = RecordBatch::try_from_iter_with_nullable([("id", ids, true)]).unwrap();
    let error = load(
        sink(&database, "k", WriteMode::Merge, &["id"]),
        config(WriteMethod::CopyText, 10),
        &[batch],
    )
    .await;
    let error = error.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("1 rows have NULL in the primary key (id)"),
        "{error}"
    );
    assert_eq!(rows(&client, "k").await, []);
}

#[tokio::test]
async fn postgres_swaps_a_replaced_table_with_all_that_belongs_to_it() {
    let database = test_database().await.unwrap();
    let client = client(&database).await;
    client
        .batch_execute(
            "CREATE SCHEMA \"My Schema\";
             CREATE TABLE \"My Schema\".t (id int PRIMARY KEY, t varchar(20) NOT NULL DEFAULT 'x' CHECK (t <> 'bad'), extra int DEFAULT 3);
             CREATE INDEX by_t ON \"My Schema\".t (lower(t)) WHERE id > 0;
             COMMENT ON TABLE \"My Schema\".t IS 'mine';
             GRANT SELECT ON \"My Schema\".t TO PUBLIC;
             INSERT INTO \"My Schema\".t VALUES (9, 'old')",
        )
        .await
        .unwrap();
    let describe = "SELECT string_agg(d, '; ' ORDER BY d) FROM (
        SELECT pg_get_constraintdef(oid) || conname AS d FROM pg_constraint WHERE conrelid = '\"My Schema\".t'::regclass
        UNION ALL SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = '\"My Schema\".t'::regclass
        UNION ALL SELECT concat(attname, format_type(atttypid, atttypmod), attnotnull) FROM pg_attribute
                  WHERE attrelid = '\"My Schema\".t'::regclass AND attnum > 0
        UNION ALL SELECT relacl::text FROM pg_class WHERE oid = '\"My Schema\".t'::regclass
        UNION ALL SELECT obj_description('\"My Schema\".t'::regclass)) AS all_of_it (d)";
    let before: String = client.query_one(describe, &[]).await.unwrap().get(0);
    for connections in [1, 3] {
        let sink = sink(&database, "\"My Schema\".t", WriteMode::Replace, &[]);
        let config = WriteConfig {
            connections: std::num::NonZeroUsize::new(connections).unwrap(),
            ..config(WriteMethod::CopyBinary, 10)
        };
        load(sink, config, &[ids(&[1, 2], &["a", "b"])])
            .await
            .unwrap();
        let rows = client
            .query("SELECT id, t, extra FROM \"My Schema\".t ORDER BY id", &[])
            .await
            .unwrap();
        let rows: Vec<(i32, String, i32)> = rows
            .iter()
            .map(|row| (row.get(0), row.get(1), row.get(2)))
            .collect();
        assert_eq!(rows, [(1, "a".into(), 3), (2, "b".into(), 3)]);
        let after: String = client.query_one(describe, &[]).await.unwrap().get(0);
        assert_eq!(before, after);
    }
}

#[tokio::test]
async fn postgres_tables_that_would_lose_something_are_not_replaced() {
    let database = test_database().await.unwrap();
    let client = client(&database).await;
    client
        .batch_execute(
            "CREATE TABLE t (id bigint PRIMARY KEY, t text); CREATE VIEW v AS SELECT * FROM t;
             CREATE TABLE p (id bigint, t text) PARTITION BY RANGE (id);
             CREATE TABLE r (id bigint PRIMARY KEY, t text); CREATE TABLE f (r bigint REFERENCES r)",
        )
        .await
        .unwrap();
    for (table, reason) in [
        ("t", "view v reads it"),
        ("p", "not an ordinary table"),
        ("r", "f refers to it"),
    ] {
        let sink = sink(&database, table, WriteMode::Replace, &[]);
        let error = load(
            sink,
            config(WriteMethod::CopyBinary, 10),
            &[ids(&[1], &["a"])],
        )
        .await
        .unwrap_err();
        assert!(error.to_string().contains(reason), "{error}");
        assert!(error.next_step().is_some());
    }
}

#[tokio::test]
async fn postgres_leaves_the_table_as_it_was_when_a_row_is_refused() {
    let database = test_database().await.unwrap();
    let client = client(&database).await;
    client
        .batch_execute("CREATE TABLE t (id int, t varchar(3)); INSERT INTO t VALUES (1, 'old')")
        .await
        .unwrap();
    for method in WriteMethod::ALL {
        for mode in [WriteMode::Append, WriteMode::Replace, WriteMode::Merge] {
            for connections in [1, 2] {
                for (batch, reason) in [
                    (
                        ids(&[5, 6], &["ok", "secret"]),
                        "text longer than its column allows",
                    ),
                    (ids(&[5, 1 << 40], &["ok", "ok"]), "does not fit integer"),
                    (ids(&[5, 6], &["ok", "a\0"]), "NUL character"),
                ] {
                    let sink = sink(
                        &database,
                        "t",
                        mode,
                        if mode == WriteMode::Merge {
                            &["id"]
                        } else {
                            &[]
                        },
                    );
                    let config = WriteConfig {
                        connections: std::num::NonZeroUsize::new(connections).unwrap(),
                        ..config(method, 1)
                    };
                    let error = load(sink, config, &[ids(&[4], &["ok"]), batch])
                        .await
                        .unwrap_err();
                    let text = error.chain();
                    assert!(text.contains(reason), "{method} {mode:?}: {text}");
                    assert!(!text.contains("secret"), "{text}");
                    assert!(text.contains("row 3 of the result"), "{method}: {text}");
                    assert!(text.contains("column "), "{method}: {text}");
                    assert!(!text.contains("_apitap"), "{method}: {text}");
                    assert_eq!(rows(&client, "t").await, [row(1, "old")]);
                }
            }
        }
    }
    let tables = client
        .query(
            "SELECT relname FROM pg_class WHERE relname LIKE '\\_apitap%'",
            &[],
        )
        .await
        .unwrap();
    assert!(tables.is_empty(), "{tables:?}");
}

/// Whatever a row is refused for, its place is named, as far as rows are looked at one by one.
#[tokio::test]
async fn postgres_names_the_row_that_a_constraint_refuses() {
    let database = test_database().await.unwrap();
    let client = client(&database).await;
    client
        .batch_execute(
            "CREATE DOMAIN short AS text CHECK (VALUE <> 'secret');
             CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN
                 IF NEW.t = ''ill'' THEN RAISE ''no ill rows''; END IF; RETURN NEW; END';",
        )
        .await
        .unwrap();
    for (columns, texts, reason) in [
        (
            "id bigint, t text CHECK (t <> 'bad')",
            ["a", "b", "bad"],
            "violates check constraint",
        ),
        ("id bigint, t text UNIQUE", ["a", "b", "a"], "duplicate key"),
        (
            "id bigint, t short",
            ["a", "b", "secret"],
            "violates check constraint",
        ),
        ("id bigint, t text", ["a", "b", "ill"], "no ill rows"),
        (
            "id bigint, t jsonb",
            ["{}", "[]", "{secret"],
            "PostgreSQL refused a value",
        ),
    ] {
        client
            .batch_execute(&format!(
                "DROP TABLE IF EXISTS t; CREATE TABLE t ({columns});
                 CREATE TRIGGER refuse BEFORE INSERT ON t FOR EACH ROW WHEN (NEW.t::text = 'ill')
                 EXECUTE FUNCTION refuse()"
            ))
            .await
            .unwrap();
        for method in WriteMethod::ALL {
            for (batch_rows, place) in [
                (10, "row 3 of the result"),
                // What two flushes do together, no row does by itself.
                (
                    2,
                    if reason == "duplicate key" {
                        "3 of the result"
                    } else {
                        "row 3 of the result"
                    },
                ),
            ] {
                let sink = sink(&database, "t", WriteMode::Append, &[]);
                let error =
                    load(sink, config(method, batch_rows), &[ids(&[1, 2, 3], &texts)]).await;
                let text = error.unwrap_err().to_string();
                let what = format!("{columns} {method} {batch_rows}: {text}");
                assert!(text.contains(reason) || text.contains("JSON"), "{what}");
                assert!(text.contains(place), "{what}");
                assert!(!text.contains("secret"), "{what}");
            }
        }
    }
}

#[tokio::test]
async fn postgres_appends_to_a_new_table_through_several_connections_at_once() {
    let database = test_database().await.unwrap();
    let client = client(&database).await;
    for exists in [false, true] {
        let sink = sink(&database, "several", WriteMode::Append, &[]);
        let config = WriteConfig {
            connections: 3.try_into().unwrap(),
            ..config(WriteMethod::CopyText, 2)
        };
        let load = Load::begin(sink, &ids(&[], &[]).schema(), config, Arc::default())
            .await
            .unwrap();
        // Into a table that exists, their transactions could not commit as one.
        assert_eq!(load.connections(), if exists { 1 } else { 3 });
        let mut writers = Vec::new();
        for id in 0..load.connections() as i64 {
            let mut writer = load.writer(1).await.unwrap();
            writer.write(&ids(&[id, id], &["x", "y"])).await.unwrap();
            writers.push(writer);
        }
        for writer in writers {
            writer.finish().await.unwrap();
        }
        let other = client
            .query_opt("SELECT to_regclass('several') IS NULL", &[])
            .await
            .unwrap()
            .unwrap();
        assert_eq!(
            other.get::<_, bool>(0),
            !exists,
            "nothing is seen before the commit"
        );
        load.commit().await.unwrap();
        load.end(true).await;
        let expected = if exists { 8 } else { 6 };
        assert_eq!(rows(&client, "several").await.len(), expected);
    }
}

#[tokio::test]
async fn postgres_lets_one_load_at_a_time_fill_a_table() {
    let database = test_database().await.unwrap();
    let sink = || sink(&database, "busy", WriteMode::Append, &[]);
    let schema = ids(&[], &[]).schema();
    let first = Load::begin(sink(), &schema, WriteConfig::default(), Arc::default())
        .await
        .unwrap();
    let second = Load::begin(sink(), &schema, WriteConfig::default(), Arc::default()).await;
    assert!(
        second
            .err()
            .unwrap()
            .to_string()
            .contains("another load of it is under way")
    );
    first.end(false).await;
}

#[tokio::test]
async fn postgres_takes_types_that_only_the_server_can_read() {
    let database = test_database().await.unwrap();
    let client = client(&database).await;
    client
        .batch_execute("CREATE TYPE mood AS ENUM ('good', 'bad'); CREATE DOMAIN short AS varchar(5);
                        CREATE SCHEMA types; CREATE DOMAIN types.\"Code\" AS char(4)[];
                        CREATE TABLE odd (a inet, b mood, c short, d char(4), e date, f time, g text[], h bit(3),
                                          i types.\"Code\")")
        .await
        .unwrap();
    let column = |text: &str| -> ArrayRef { Arc::new(StringArray::from(vec![Some(text), None])) };
    let all = |with_other: bool| {
        let mut columns = vec![
            ("b", column("bad")),
            ("c", column("short")),
            ("d", column("abcd")),
            ("e", column("2024-02-29")),
            ("f", column("23:59:59.5")),
        ];
        if with_other {
            columns.extend([
                ("a", column("10.0.0.1")),
                ("g", column("{x,\"y z\"}")),
                ("h", column("101")),
                ("i", column("{abcd,ef}")),
            ]);
        }
        RecordBatch::try_from_iter_with_nullable(
            columns.into_iter().map(|(name, array)| (name, array, true)),
        )
        .unwrap()
    };
    for method in WriteMethod::ALL {
        let with_other = method != WriteMethod::CopyBinary;
        let sink = sink(&database, "odd", WriteMode::Append, &[]);
        load(sink, config(method, 10), &[all(with_other)])
            .await
            .unwrap();
    }
    let count = client
        .query_one("SELECT count(*), count(*) FILTER (WHERE b = 'bad' AND c = 'short' AND d = 'abcd' AND e = '2024-02-29' AND f = '23:59:59.5'),
                           count(*) FILTER (WHERE a = '10.0.0.1' AND g[2] = 'y z' AND h = B'101' AND i[1] = 'abcd')
                    FROM odd", &[])
        .await
        .unwrap();
    assert_eq!(
        (
            count.get::<_, i64>(0),
            count.get::<_, i64>(1),
            count.get::<_, i64>(2)
        ),
        (12, 6, 5)
    );
    for (name, value) in [
        ("c", "shorts"),
        ("d", "abcde"),
        ("h", "1011"),
        ("i", "{abcde}"),
    ] {
        for method in WriteMethod::ALL {
            if method == WriteMethod::CopyBinary && ["h", "i"].contains(&name) {
                continue;
            }
            let batch = RecordBatch::try_from_iter([(name, column(value).slice(0, 1))]).unwrap();
            let sink = sink(&database, "odd", WriteMode::Append, &[]);
            let error = load(sink, config(method, 10), &[batch]).await.unwrap_err();
            assert!(
                error.chain().contains("PostgreSQL refused a value"),
                "{method} {name}: {error}"
            );
        }
    }
    let sink = sink(&database, "odd", WriteMode::Append, &[]);
    let error = load(sink, config(WriteMethod::CopyBinary, 10), &[all(true)])
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("column a: copy-binary cannot write type inet"),
        "{error}"
    );
}
