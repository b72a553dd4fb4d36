use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};

use super::reference_file::Psql;
use super::*;
use crate::test_database::test_database;

const GOLDEN: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../fixtures/workloads/golden.sha256"
);

fn page(workload: &Workload, first_row: u64, rows: u64) -> Vec<u8> {
    let mut page = Vec::new();
    workload.render_page(first_row, rows, &mut page);
    page
}

/// A change here makes every earlier measurement incomparable. `UPDATE_GOLDEN=1` accepts it.
#[test]
fn the_first_thousand_rows_are_golden() {
    let mut actual = String::new();
    for name in Workload::names() {
        let hash = Sha256::digest(page(&Workload::named(name).unwrap(), 0, 1_000));
        let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        actual.push_str(&format!("{hash}  {name}\n"));
    }
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(GOLDEN, &actual).unwrap();
    }
    assert_eq!(actual, std::fs::read_to_string(GOLDEN).unwrap());
}

#[test]
fn rows_do_not_depend_on_their_page() {
    for name in Workload::names() {
        let workload = Workload::named(name).unwrap();
        let rows: Vec<Vec<u8>> = (0..50)
            .rev()
            .map(|row| {
                let mut alone = Vec::new();
                workload.render_row(row, &mut alone);
                alone
            })
            .collect();
        let rows: Vec<Vec<u8>> = rows.into_iter().rev().collect();
        let joined = [b"[".as_slice(), &rows.join(b",".as_slice()), b"]"].concat();
        assert_eq!(page(&workload, 0, 50), joined, "{name}");
        let mut lines = Vec::new();
        workload.render_ndjson(10, 2, &mut lines);
        assert_eq!(
            lines,
            [rows[10].as_slice(), b"\n", &rows[11], b"\n"].concat(),
            "{name}"
        );
    }
}

#[test]
fn seeds_and_workloads_differ_but_keys_do_not() {
    let orders = Workload::named("orders").unwrap();
    let other = orders.clone().with_seed(orders.seed() + 1);
    assert_ne!(page(&orders, 0, 5), page(&other, 0, 5));
    assert_ne!(orders.expectation(5), other.expectation(5));
    let rows: Vec<BTreeMap<String, serde_json::Value>> =
        serde_json::from_slice(&page(&other, 7, 3)).unwrap();
    let ids: Vec<_> = rows.iter().map(|row| row["id"].to_string()).collect();
    assert_eq!(ids, ["8", "9", "10"]);
}

/// The spelling on the wire is varied; a JSON reader of good repute must see the same values in
/// both, or the checksum would ask of the engine what was never sent.
#[test]
fn varied_escapes_mean_the_same_as_minimal_ones() {
    let varied = Workload::named("text").unwrap();
    let mut minimal = varied.clone();
    minimal.definition.escapes = definition::Escapes::Minimal;
    let (varied, minimal) = (page(&varied, 0, 500), page(&minimal, 0, 500));
    assert_ne!(varied, minimal);
    let read = |json: &[u8]| serde_json::from_slice::<serde_json::Value>(json).unwrap();
    assert_eq!(read(&varied), read(&minimal));

    let json = String::from_utf8(varied).unwrap().to_lowercase();
    for form in [
        "\\/",
        "\\u000a",
        "\\n",
        "\\\\n",
        "\\ud83d\\ude00",
        "😀",
        "\\u2028",
        "\u{2028}",
    ] {
        assert!(json.contains(form), "{form:?} does not occur");
    }
}

#[test]
fn shapes_are_as_announced() {
    let kinds = |name: &str| -> Vec<ColumnKind> {
        Workload::named(name)
            .unwrap()
            .columns()
            .iter()
            .map(|column| column.kind)
            .collect()
    };
    assert_eq!(kinds("orders").len(), 13);
    assert_eq!(kinds("wide").len(), 100);
    assert_eq!(kinds("narrow").len(), 2);
    assert!(
        kinds("events")
            .iter()
            .filter(|kind| **kind == ColumnKind::Json)
            .count()
            >= 3
    );
    assert!(
        kinds("text")
            .iter()
            .skip(1)
            .all(|kind| *kind == ColumnKind::Text)
    );
}

#[test]
fn unknown_keys_and_clashing_columns_are_errors() {
    let head = "name = 'x'\ndescription = ''\nseed = 1\nescapes = 'minimal'\n";
    for (columns, complaint) in [
        ("columns = []", "is empty"),
        ("rows = 3\ncolumns = []", "unknown field"),
        (
            "columns = [{ name = 'a', generate = 'name', size = 3 }]",
            "unknown field",
        ),
        (
            "columns = [{ name = 'a b', generate = 'name' }]",
            "is not a name",
        ),
        (
            "columns = [{ name = 'a', generate = 'name' }, { name = 'a', generate = 'name' }]",
            "occurs twice",
        ),
    ] {
        let error = Workload::parse(&format!("{head}{columns}")).unwrap_err();
        assert!(format!("{error:#}").contains(complaint), "{error:#}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_computes_the_same_checksum() {
    let database = test_database().await.unwrap();
    let psql = Psql::new(database.url()).unwrap();
    for name in Workload::names() {
        let workload = Workload::named(name).unwrap();
        psql.run(&workload.create_table_sql(name)).await.unwrap();
        psql.copy_in(&workload, 2_000, name).await.unwrap();
        let expected = workload.expectation(2_000);
        assert_eq!(
            psql.checksum(&workload, name).await.unwrap(),
            expected,
            "{name}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_agrees_on_an_empty_text_that_counts_as_null() {
    let database = test_database().await.unwrap();
    let psql = Psql::new(database.url()).unwrap();
    let text = Workload::named("text").unwrap();
    let lenient = text.clone().with_empty_text_as_null();
    psql.run(&text.create_table_sql("text")).await.unwrap();
    psql.copy_in(&text, 500, "text").await.unwrap();
    let expected = lenient.expectation(500);
    assert_ne!(expected, text.expectation(500), "there is no empty text");
    assert_eq!(psql.checksum(&lenient, "text").await.unwrap(), expected);
    let texts = text
        .columns()
        .iter()
        .filter(|one| one.kind == ColumnKind::Text);
    for column in texts {
        let name = &column.name;
        let update = format!("UPDATE text SET \"{name}\" = NULL WHERE \"{name}\" = ''");
        psql.run(&update).await.unwrap();
    }
    assert_eq!(psql.checksum(&lenient, "text").await.unwrap(), expected);
    assert_ne!(
        psql.checksum(&text, "text").await.unwrap(),
        text.expectation(500)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_damage_changes_the_checksum() {
    let database = test_database().await.unwrap();
    let psql = Psql::new(database.url()).unwrap();
    let orders = Workload::named("orders").unwrap();
    psql.run(&orders.create_table_sql("orders")).await.unwrap();
    psql.copy_in(&orders, 200, "orders").await.unwrap();
    let expected = orders.expectation(200);
    assert_eq!(psql.checksum(&orders, "orders").await.unwrap(), expected);

    let swap = "UPDATE t SET customer = o.customer FROM orders o \
                WHERE (t.id, o.id) IN ((1, 2), (2, 1))";
    for damage in [
        "UPDATE t SET price = price + 1e-9 WHERE id = 7",
        "UPDATE t SET created_at = created_at + interval '1 microsecond' WHERE id = 7",
        "UPDATE t SET note = '' WHERE id = (SELECT min(id) FROM t WHERE note IS NULL)",
        "UPDATE t SET tags = 'null' WHERE id = 7",
        "UPDATE t SET \"shippingAddress\" = \"shippingAddress\" - 'city' WHERE id = 7",
        "UPDATE t SET number = number || email, email = '' WHERE id = 7",
        "INSERT INTO t SELECT * FROM t WHERE id = 7",
        "DELETE FROM t WHERE id = 7",
        swap,
    ] {
        psql.run("DROP TABLE IF EXISTS t; CREATE TABLE t AS SELECT * FROM orders ORDER BY id DESC")
            .await
            .unwrap();
        assert_eq!(
            psql.checksum(&orders, "t").await.unwrap(),
            expected,
            "order matters"
        );
        psql.run(damage).await.unwrap();
        assert_ne!(
            psql.checksum(&orders, "t").await.unwrap(),
            expected,
            "{damage}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reference_file_loads_again() {
    let database = test_database().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("it's orders.bin");
    let orders = Workload::named("orders").unwrap();
    let file = make_reference_file(database.url(), &orders, 1_500, "public.reference", &path)
        .await
        .unwrap();
    let psql = Psql::new(database.url()).unwrap();
    psql.run(&orders.create_table_sql("again")).await.unwrap();
    let quoted = path.to_str().unwrap().replace('\'', "''");
    psql.run(&format!(
        "\\copy again FROM '{quoted}' WITH (FORMAT binary)"
    ))
    .await
    .unwrap();
    assert_eq!(
        psql.checksum(&orders, "again").await.unwrap(),
        file.expectation
    );
}
