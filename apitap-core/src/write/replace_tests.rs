//! What existing tables keep: every digit that they take, and all that they have when they are
//! replaced.

use std::sync::Arc;

use arrow::array::*;
use arrow::datatypes::*;
use testkit::test_database::{TestDatabase, test_database};
use tokio_postgres::Client;

use super::tests::{client, config, ids, load, row, rows, sink};
use super::*;
use crate::config::WriteMethod;
use crate::secret::Secret;

fn one(name: &str, array: impl Array + 'static) -> RecordBatch {
    RecordBatch::try_from_iter([(name, Arc::new(array) as ArrayRef)]).unwrap()
}

async fn text(client: &Client, query: &str) -> String {
    client.query_one(query, &[]).await.unwrap().get(0)
}

/// Replaces the table's rows.
async fn replace(
    database: &TestDatabase,
    table: &str,
    connections: usize,
    batch: RecordBatch,
) -> Result<u64> {
    let config = WriteConfig {
        connections: connections.try_into().unwrap(),
        ..config(WriteMethod::CopyText, 10)
    };
    load(
        sink(database, table, WriteMode::Replace, &[]),
        config,
        &[batch],
    )
    .await
}

#[tokio::test]
async fn postgres_never_rounds_to_the_digits_of_a_column() {
    let database = test_database().await.unwrap();
    let client = client(&database).await;
    client
        .batch_execute(
            "CREATE DOMAIN price AS numeric(10,2); CREATE DOMAIN cheap AS price CHECK (VALUE < 100);
             CREATE DOMAIN moment AS timestamp(3);
             CREATE TABLE digits (cheap cheap, stamp timestamp(3), zoned timestamptz(0), day time(1),
                                  span interval(2), moment moment, minutes interval day to minute)",
        )
        .await
        .unwrap();
    let stamp = |micros: i64| TimestampMicrosecondArray::from(vec![1_700_000_000_000_000 + micros]);
    let decimal = |value| {
        Decimal128Array::from(vec![value])
            .with_precision_and_scale(10, 3)
            .unwrap()
    };
    let span = |micros: i64| {
        IntervalMonthDayNanoArray::from(vec![IntervalMonthDayNano::new(1, 2, micros * 1_000)])
    };
    let values = [
        (
            one("cheap", decimal(1_230)),
            one("cheap", decimal(1_239)),
            "1.23",
        ),
        (
            one("stamp", stamp(123_000)),
            one("stamp", stamp(123_900)),
            "2023-11-14 22:13:20.123",
        ),
        (
            one("moment", stamp(123_000)),
            one("moment", stamp(123_900)),
            "2023-11-14 22:13:20.123",
        ),
        (
            one("zoned", stamp(0).with_timezone("+00:00")),
            one("zoned", stamp(600_000).with_timezone("+00:00")),
            "2023-11-14 22:13:20",
        ),
        (
            one("day", Time64MicrosecondArray::from(vec![1_500_000])),
            one("day", Time64MicrosecondArray::from(vec![1_560_000])),
            "00:00:01.5",
        ),
        (
            one("span", span(1_250_000)),
            one("span", span(1_257_000)),
            "1 mon 2 days 00:00:01.25",
        ),
    ];
    for method in WriteMethod::ALL {
        for (exact, rounded, expected) in &values {
            let name = exact.schema().field(0).name().clone();
            client.batch_execute("TRUNCATE digits").await.unwrap();
            let sink = || sink(&database, "digits", WriteMode::Append, &[]);
            load(sink(), config(method, 10), std::slice::from_ref(exact))
                .await
                .unwrap();
            let stored = text(&client, &format!("SELECT {name}::text FROM digits")).await;
            assert!(stored.starts_with(expected), "{method} {name}: {stored}");
            let error = load(sink(), config(method, 10), std::slice::from_ref(rounded))
                .await
                .unwrap_err();
            assert!(
                error
                    .to_string()
                    .contains(&format!("column {name}, row 1 of the result")),
                "{error}"
            );
        }
    }
    let sink = sink(&database, "digits", WriteMode::Append, &[]);
    let error = load(
        sink,
        config(WriteMethod::CopyText, 10),
        &[one("minutes", span(0))],
    )
    .await
    .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("cannot be written to a column of type interval of some fields"),
        "{error}"
    );
}

#[tokio::test]
async fn postgres_reads_dates_and_times_from_text_to_the_letter() {
    let database = test_database().await.unwrap();
    let client = client(&database).await;
    client
        .batch_execute("CREATE TABLE days (day date, time time)")
        .await
        .unwrap();
    let sink = || sink(&database, "days", WriteMode::Append, &[]);
    let good = RecordBatch::try_from_iter([
        (
            "day",
            Arc::new(StringArray::from(vec!["2024-02-29"])) as ArrayRef,
        ),
        (
            "time",
            Arc::new(StringViewArray::from(vec!["23:59:59.123456"])) as ArrayRef,
        ),
    ])
    .unwrap();
    load(sink(), config(WriteMethod::CopyBinary, 10), &[good])
        .await
        .unwrap();
    assert_eq!(
        text(&client, "SELECT days::text FROM days").await,
        "(2024-02-29,23:59:59.123456)"
    );
    for (name, value) in [
        ("day", "2024-02-29T23:59:59"),
        ("day", "2024-02-29 10:00:00"),
        ("day", "2023-02-29"),
        ("time", "23:59:59.1234567"),
        ("time", "23:59:59+02:00"),
        ("time", "11:59:59 PM"),
        ("time", "2024-02-29T23:59:59"),
    ] {
        let values = StringArray::from(vec![None, Some(value)]);
        let values = [(name, Arc::new(values) as ArrayRef, true)];
        let batch = RecordBatch::try_from_iter_with_nullable(values).unwrap();
        let error = load(sink(), config(WriteMethod::CopyBinary, 10), &[batch]).await;
        let error = error.unwrap_err().to_string();
        assert!(
            error.contains(&format!("column {name}, row 2 of the result")),
            "{value}: {error}"
        );
        assert!(!error.contains(value), "{error}");
    }
}

#[tokio::test]
async fn postgres_serials_and_identities_go_on_after_a_replace() {
    let database = test_database().await.unwrap();
    let client = client(&database).await;
    client
        .batch_execute(
            "CREATE ROLE apitap_counter;
             CREATE TABLE \"Count's\" (n serial, id int, t text, a int GENERATED ALWAYS AS IDENTITY,
                                     b int GENERATED BY DEFAULT AS IDENTITY (INCREMENT 10));
             GRANT USAGE ON SEQUENCE \"Count's_a_seq\" TO apitap_counter;
             INSERT INTO \"Count's\" (id, t) SELECT 1, 'x' FROM generate_series(1, 5);
             ALTER SEQUENCE \"Count's_b_seq\" RESTART 1001",
        )
        .await
        .unwrap();
    for (round, connections) in [(1, 1), (2, 2), (3, 1)] {
        replace(&database, "\"Count's\"", connections, ids(&[1], &["new"]))
            .await
            .unwrap();
        let stored = text(&client, "SELECT concat_ws(' ', n, a, b) FROM \"Count's\"").await;
        assert_eq!(stored, format!("{0} {0} {1}", 5 + round, 991 + round * 10));
    }
    let rights = text(
        &client,
        "SELECT concat(has_sequence_privilege('apitap_counter', pg_get_serial_sequence('\"Count''s\"', 'a'), 'USAGE'),
                pg_get_serial_sequence('\"Count''s\"', 'n'), pg_get_serial_sequence('\"Count''s\"', 'a'))",
    );
    assert_eq!(
        rights.await,
        "tpublic.\"Count's_n_seq\"public.\"Count's_a_seq\""
    );
    client
        .batch_execute("DROP TABLE \"Count's\"; DROP ROLE apitap_counter")
        .await
        .unwrap();
}

/// Who may do what with the table and its columns, whose it is, and how it is stored.
const RIGHTS: &str = "
    SELECT string_agg(concat_ws(' ', what, pg_get_userbyid(grantee), privilege_type, is_grantable), '; '
                      ORDER BY what, pg_get_userbyid(grantee), privilege_type)
    FROM (SELECT '', g.* FROM pg_class, aclexplode(coalesce(relacl, acldefault('r', relowner))) g WHERE oid = 'rights'::regclass
          UNION ALL SELECT attname, g.* FROM pg_attribute, aclexplode(attacl) g WHERE attrelid = 'rights'::regclass
          UNION ALL SELECT concat(reloptions::text, (SELECT reloptions FROM pg_class t WHERE t.oid = c.reltoastrelid)::text),
                           relowner, relowner, NULL, NULL
                    FROM pg_class c WHERE oid = 'rights'::regclass) AS g (what)";

#[tokio::test]
async fn postgres_a_replaced_table_has_the_rights_that_it_had() {
    let database = test_database().await.unwrap();
    let client = client(&database).await;
    client
        .batch_execute(
            "CREATE ROLE apitap_owner; CREATE ROLE apitap_reader; CREATE ROLE apitap_spy;
             GRANT CREATE, USAGE ON SCHEMA public TO apitap_owner;
             ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC, apitap_spy",
        )
        .await
        .unwrap();
    for (name, setup) in [
        ("as made", ""),
        ("none to others", "REVOKE ALL ON rights FROM PUBLIC, apitap_spy"),
        (
            "some",
            "REVOKE ALL ON rights FROM PUBLIC, apitap_spy; GRANT SELECT ON rights TO apitap_reader WITH GRANT OPTION;
             GRANT UPDATE (t) ON rights TO apitap_reader; GRANT INSERT (id) ON rights TO PUBLIC;
             GRANT DELETE ON rights TO current_user",
        ),
        (
            "of another",
            "REVOKE ALL ON rights FROM PUBLIC, apitap_spy; GRANT SELECT, DELETE ON rights TO current_user;
             ALTER TABLE rights OWNER TO apitap_owner; REVOKE INSERT ON rights FROM apitap_owner;
             ALTER TABLE rights SET (fillfactor = 70, autovacuum_enabled = false, toast.autovacuum_enabled = false)",
        ),
    ] {
        client
            .batch_execute(&format!("DROP TABLE IF EXISTS rights; CREATE TABLE rights (s serial, id int, t text); {setup}"))
            .await
            .unwrap();
        let before = text(&client, RIGHTS).await;
        for connections in [1, 2] {
            replace(&database, "rights", connections, ids(&[1], &["a"])).await.unwrap();
            assert_eq!(text(&client, RIGHTS).await, before, "{name}");
        }
    }
    // Also where the loader is not the owner, but a member of it.
    client
        .batch_execute(
            "CREATE ROLE apitap_loader LOGIN PASSWORD 'load'; GRANT apitap_owner TO apitap_loader",
        )
        .await
        .unwrap();
    let before = text(&client, RIGHTS).await;
    let mut as_loader = sink(&database, "rights", WriteMode::Replace, &[]);
    as_loader.target.username = "apitap_loader".into();
    as_loader.target.password = Secret("load".into());
    load(
        as_loader,
        config(WriteMethod::CopyText, 10),
        &[ids(&[1], &["a"])],
    )
    .await
    .unwrap();
    assert_eq!(text(&client, RIGHTS).await, before);
    // Nor may anybody look at the rows before they are there.
    client
        .batch_execute("REVOKE ALL ON rights FROM PUBLIC, apitap_spy")
        .await
        .unwrap();
    let config = WriteConfig {
        connections: 2.try_into().unwrap(),
        ..config(WriteMethod::CopyText, 10)
    };
    let sink = sink(&database, "rights", WriteMode::Replace, &[]);
    let load = Load::begin(sink, &ids(&[], &[]).schema(), config, Arc::default())
        .await
        .unwrap();
    let open =
        "SELECT count(*)::text FROM pg_class WHERE relname LIKE '\\_apitap%' AND relkind = 'r'
                AND has_table_privilege('apitap_spy', oid, 'SELECT')";
    let open = text(&client, open).await;
    load.end(false).await;
    assert_eq!(open, "0");
    client
        .batch_execute(
            "DROP OWNED BY apitap_owner, apitap_reader, apitap_spy;
             DROP ROLE apitap_loader, apitap_owner, apitap_reader, apitap_spy",
        )
        .await
        .unwrap();
}

#[tokio::test]
async fn postgres_tables_with_more_than_can_be_copied_are_not_replaced() {
    let database = test_database().await.unwrap();
    let client = client(&database).await;
    for (table, setup, reason) in [
        (
            "secured",
            "ALTER TABLE secured ENABLE ROW LEVEL SECURITY",
            "it has row security",
        ),
        (
            "published",
            "CREATE PUBLICATION news FOR TABLE published",
            "publication news has it",
        ),
        (
            "replicated",
            "ALTER TABLE replicated REPLICA IDENTITY FULL",
            "it has a replica identity of its own",
        ),
        (
            "unlogged",
            "ALTER TABLE unlogged SET UNLOGGED",
            "it is unlogged or temporary",
        ),
    ] {
        client
            .batch_execute(&format!("CREATE TABLE {table} (id bigint, t text); INSERT INTO {table} VALUES (1, 'old'); {setup}"))
            .await
            .unwrap();
        let error = replace(&database, table, 1, ids(&[2], &["new"]))
            .await
            .unwrap_err();
        assert!(error.to_string().contains(reason), "{reason}: {error}");
        assert_eq!(rows(&client, table).await, [row(1, "old")]);
    }
    // Also what comes while the load is under way.
    client
        .batch_execute("CREATE TABLE special (id bigint, t text)")
        .await
        .unwrap();
    let config = WriteConfig {
        connections: 2.try_into().unwrap(),
        ..config(WriteMethod::CopyText, 10)
    };
    let sink = sink(&database, "special", WriteMode::Replace, &[]);
    let load = Load::begin(sink, &ids(&[], &[]).schema(), config, Arc::default())
        .await
        .unwrap();
    client
        .batch_execute("CREATE VIEW seen AS SELECT * FROM special")
        .await
        .unwrap();
    let error = load.commit().await.unwrap_err();
    load.end(false).await;
    assert!(error.to_string().contains("view seen reads it"), "{error}");
}

#[tokio::test]
async fn postgres_makes_what_belongs_to_a_table_in_the_order_in_which_it_is_needed() {
    let database = test_database().await.unwrap();
    let client = client(&database).await;
    client
        .batch_execute(
            "CREATE TABLE other (id int PRIMARY KEY); INSERT INTO other VALUES (1), (2);
             CREATE TABLE tree (id int NOT NULL, t text, parent int, u int, x int);
             ALTER TABLE tree ADD CONSTRAINT a_check CHECK (id > 0);
             CREATE UNIQUE INDEX by_id ON tree (id);
             ALTER TABLE tree ADD CONSTRAINT a_parent FOREIGN KEY (parent) REFERENCES tree (id) DEFERRABLE;
             ALTER TABLE tree ADD CONSTRAINT b_other FOREIGN KEY (id) REFERENCES other;
             ALTER TABLE tree ADD CONSTRAINT z_unique UNIQUE (u);
             ALTER TABLE tree ADD CONSTRAINT c_self FOREIGN KEY (x) REFERENCES tree (u) NOT VALID;
             COMMENT ON TABLE tree IS 'a tree'; COMMENT ON COLUMN tree.t IS 'its name';
             COMMENT ON CONSTRAINT a_check ON tree IS 'natural'; COMMENT ON INDEX by_id IS 'an index';
             COMMENT ON CONSTRAINT z_unique ON tree IS 'once'",
        )
        .await
        .unwrap();
    let describe = "SELECT string_agg(d, E'\\n' ORDER BY d) FROM (
        SELECT concat_ws(' ', conname, pg_get_constraintdef(oid), obj_description(oid, 'pg_constraint'))
        FROM pg_constraint WHERE conrelid = 'tree'::regclass
        UNION ALL SELECT concat_ws(' ', pg_get_indexdef(indexrelid), obj_description(indexrelid, 'pg_class'))
        FROM pg_index WHERE indrelid = 'tree'::regclass
        UNION ALL SELECT concat_ws(' ', obj_description('tree'::regclass, 'pg_class'), col_description('tree'::regclass, 2))
        ) AS all_of_it (d)";
    let before = text(&client, describe).await;
    for connections in [1, 2] {
        replace(&database, "tree", connections, ids(&[1, 2], &["a", "b"]))
            .await
            .unwrap();
        assert_eq!(text(&client, describe).await, before);
    }
}

#[tokio::test]
async fn postgres_writes_to_nothing_that_is_no_table() {
    let database = test_database().await.unwrap();
    let client = client(&database).await;
    client
        .batch_execute(
            "CREATE SEQUENCE counter; CREATE TABLE t (id int); CREATE INDEX some_index ON t (id);
             CREATE MATERIALIZED VIEW seen AS SELECT * FROM t; CREATE TYPE pair AS (a int)",
        )
        .await
        .unwrap();
    for (name, mode, kind) in [
        ("counter", WriteMode::Append, "a sequence"),
        ("some_index", WriteMode::Replace, "an index"),
        ("seen", WriteMode::Replace, "a materialized view"),
        ("pair", WriteMode::Append, "a composite type"),
    ] {
        let sink = sink(&database, name, mode, &[]);
        let error = load(
            sink,
            config(WriteMethod::CopyText, 10),
            &[ids(&[1], &["a"])],
        )
        .await
        .unwrap_err();
        assert!(
            error.to_string().contains(&format!("\"{name}\" is {kind}")),
            "{error}"
        );
        assert!(error.next_step().is_some());
    }
}
