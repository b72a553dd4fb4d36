use std::sync::Mutex;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use futures::StreamExt;

use super::super::{Feed, Lane, Query, ScanRequest};
use super::*;
use crate::config::TransformConfig;
use crate::error::Error;

/// Rows in memory, and what was asked of them.
#[derive(Debug, Clone)]
struct Rows {
    batch: RecordBatch,
    asked: Arc<Mutex<Vec<ScanRequest>>>,
}

impl Rows {
    fn new<const COLUMNS: usize>(columns: [(&str, ArrayRef); COLUMNS]) -> Self {
        Self {
            batch: RecordBatch::try_from_iter(columns).unwrap(),
            asked: Arc::default(),
        }
    }

    fn orders() -> Self {
        let notes = [Some("orders"), None, Some("x"), Some("my orders")];
        Self::new([
            ("id", ints([1, 2, 3, 4])),
            ("orders", ints([10, 20, 30, 40])),
            ("customerId", ints([1, 2, 1, 2])),
            ("note", Arc::new(StringArray::from_iter(notes))),
        ])
    }

    fn table(&self, name: &str) -> ApiTable {
        ApiTable::new(name, self.batch.schema(), 1, Box::new(self.clone()))
    }
}

impl Feed for Rows {
    fn open(&self, request: ScanRequest) -> crate::Result<Vec<Lane>> {
        let names: Vec<_> = columns(&request);
        let schema = self.batch.schema();
        let positions: Vec<_> = names
            .iter()
            .map(|name| schema.index_of(name).unwrap())
            .collect();
        let batch = self.batch.project(&positions).unwrap();
        self.asked.lock().unwrap().push(request);
        Ok(vec![futures::stream::iter([Ok(batch)]).boxed()])
    }
}

fn columns(request: &ScanRequest) -> Vec<String> {
    let fields = request.schema.fields().iter();
    fields.map(|field| field.name().clone()).collect()
}

fn ints<const ROWS: usize>(values: [i64; ROWS]) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(values))
}

async fn plan(sql: &str, orders: &Rows, table_names: TableNames) -> crate::Result<Query> {
    let customers = Rows::new([
        ("customerId", ints([1, 2])),
        (
            "name",
            Arc::new(StringArray::from_iter_values(["one", "two"])),
        ),
    ]);
    let tables = vec![
        orders.table("orders"),
        orders.table("Order-Lines"),
        customers.table("customers"),
    ];
    let config = TransformConfig {
        table_names,
        ..TransformConfig::default()
    };
    Query::plan(sql, tables, &config).await
}

/// The rows of the result as JSON, sorted.
async fn rows(sql: &str, table_names: TableNames) -> Vec<String> {
    let query = plan(sql, &Rows::orders(), table_names).await;
    let query = query.unwrap_or_else(|error| panic!("{sql}: {}", error.chain()));
    let mut json = arrow_json::LineDelimitedWriter::new(Vec::new());
    for batch in query.collect().await.unwrap().iter().flatten() {
        json.write(batch).unwrap();
    }
    json.finish().unwrap();
    let text = String::from_utf8(json.into_inner()).unwrap();
    let mut rows: Vec<_> = text.lines().map(str::to_owned).collect();
    rows.sort();
    rows
}

#[tokio::test]
async fn a_query_means_the_same_under_both_names() {
    for (sql, expected) in [
        // Columns and literals of the source's name, and the name as a qualifier.
        (
            "SELECT orders.orders FROM orders WHERE orders.orders > 30",
            &[r#"{"orders":40}"#][..],
        ),
        (
            "SELECT id FROM orders WHERE note = 'orders' -- orders",
            &[r#"{"id":1}"#],
        ),
        (
            "SELECT 'orders' AS note, orders AS id FROM orders WHERE id = 2",
            &[r#"{"note":"orders","id":20}"#],
        ),
        (
            r#"SELECT "orders"."id" FROM "orders" WHERE "orders" = 10"#,
            &[r#"{"id":1}"#],
        ),
        (
            "SELECT public.orders.id FROM public.orders WHERE id = 1",
            &[r#"{"id":1}"#],
        ),
        (
            r#"SELECT "Order-Lines".id FROM "Order-Lines" WHERE id = 1"#,
            &[r#"{"id":1}"#],
        ),
        ("SELECT COUNT(*) AS n FROM orders", &[r#"{"n":4}"#]),
        (
            "SELECT orders.* FROM orders WHERE id = 2",
            &[r#"{"id":2,"orders":20,"customerId":2}"#],
        ),
        // Joins, with itself too, and aliases that are another source's name.
        (
            "SELECT a.id, b.id AS next FROM orders a JOIN orders b ON b.id = a.id + 3",
            &[r#"{"id":1,"next":4}"#],
        ),
        (
            "SELECT orders.id, b.id AS next FROM orders, orders b WHERE b.id = orders.id + 3",
            &[r#"{"id":1,"next":4}"#],
        ),
        (
            "SELECT id, name FROM orders JOIN customers USING (customerId) WHERE id < 3",
            &[r#"{"id":1,"name":"one"}"#, r#"{"id":2,"name":"two"}"#],
        ),
        (
            "SELECT customers.id, orders.name FROM orders AS customers \
             JOIN customers AS orders ON orders.customerId = customers.id",
            &[r#"{"id":1,"name":"one"}"#, r#"{"id":2,"name":"two"}"#],
        ),
        // CTEs: of the source's name, over it, within a subquery, recursive.
        (
            "WITH orders AS (SELECT id FROM orders WHERE id > 3) SELECT orders.id FROM orders",
            &[r#"{"id":4}"#],
        ),
        (
            "WITH orders AS (SELECT 9 AS id), more AS (SELECT id FROM orders) SELECT id FROM more",
            &[r#"{"id":9}"#],
        ),
        (
            "SELECT id FROM orders WHERE id IN \
             (WITH orders AS (SELECT 2 AS id) SELECT id FROM orders)",
            &[r#"{"id":2}"#],
        ),
        (
            "WITH RECURSIVE chain AS (SELECT id FROM orders WHERE id = 1 UNION ALL \
             SELECT orders.id FROM orders JOIN chain ON orders.id = chain.id * 2) \
             SELECT id FROM chain",
            &[r#"{"id":1}"#, r#"{"id":2}"#, r#"{"id":4}"#],
        ),
        // Unions and subqueries.
        (
            "WITH orders_old AS (SELECT * FROM orders WHERE id = 1) \
             SELECT id FROM orders_old UNION ALL SELECT id FROM orders WHERE id = 3",
            &[r#"{"id":1}"#, r#"{"id":3}"#],
        ),
        (
            "SELECT id FROM orders EXCEPT SELECT id FROM orders WHERE id > 1",
            &[r#"{"id":1}"#],
        ),
        (
            "SELECT name FROM customers WHERE EXISTS \
             (SELECT 1 FROM orders WHERE orders.customerId = customers.customerId AND orders.id = 4)",
            &[r#"{"name":"two"}"#],
        ),
        (
            "SELECT orders.id FROM (SELECT id FROM orders ORDER BY id DESC LIMIT 1) AS orders",
            &[r#"{"id":4}"#],
        ),
    ] {
        for names in [TableNames::Source, TableNames::Unique] {
            assert_eq!(rows(sql, names).await, expected, "{sql} {names:?}");
        }
    }
}

#[tokio::test]
async fn an_error_says_the_same_under_both_names() {
    for sql in [
        "SELECT nothing FROM orders",
        "SELECT orders.nothing FROM orders",
        "SELECT id FROM nowhere",
        "SELECT orders.id FROM orders AS o",
        "SELECT id FROM orders a JOIN orders b ON a.id = b.id",
        "SELECT id, COUNT(*) FROM orders",
        "SELECT id FROM orders WHERE note + 1",
        "SELECT id FROM orders WHERE (SELECT orders FROM orders) IN (1, 2",
    ] {
        let error_of = async |names| -> Error {
            let query = plan(sql, &Rows::orders(), names).await;
            query.err().unwrap_or_else(|| panic!("{sql} is planned"))
        };
        let expected = error_of(TableNames::Source).await.chain();
        assert_eq!(
            error_of(TableNames::Unique).await.chain(),
            expected,
            "{sql}"
        );
    }
}

#[tokio::test]
async fn columns_and_limits_reach_the_source_under_both_names() {
    for (sql, read, limit) in [
        ("SELECT id FROM orders LIMIT 2", &["id"][..], Some(2)),
        (
            "SELECT orders.note FROM orders WHERE id = 1",
            &["id", "note"],
            None,
        ),
        (
            "WITH few AS (SELECT * FROM orders LIMIT 3) SELECT orders FROM few",
            &["orders"],
            Some(3),
        ),
        ("SELECT COUNT(*) FROM orders", &[], None),
    ] {
        for names in [TableNames::Source, TableNames::Unique] {
            let orders = Rows::orders();
            let query = plan(sql, &orders, names).await.unwrap();
            query.collect().await.unwrap();
            let asked = orders.asked.lock().unwrap();
            assert_eq!(asked.len(), 1, "{sql} {names:?}");
            assert_eq!(columns(&asked[0]), read, "{sql} {names:?}");
            assert_eq!(asked[0].limit, limit, "{sql} {names:?}");
        }
    }
}

#[tokio::test]
async fn unique_names_are_what_the_plan_reads_and_new_each_time() {
    let mut seen = Vec::new();
    for _ in 0..2 {
        let context = SessionContext::new();
        let tables = [Arc::new(Rows::orders().table("orders"))];
        register(&context, &tables, TableNames::Unique)
            .await
            .unwrap();
        let frame = context.sql("SELECT id FROM orders").await.unwrap();
        let plan = frame.into_unoptimized_plan().display_indent().to_string();
        let name = plan.split("TableScan: ").nth(1).unwrap().to_owned();
        assert!(name.starts_with("orders_") && name.len() > 32, "{plan}");
        seen.push(name);
    }
    assert_ne!(seen[0], seen[1]);
}
