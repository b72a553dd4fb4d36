use arrow::array::AsArray;
use arrow::compute::concat_batches;
use arrow::datatypes::{Int64Type, SchemaRef};
use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::rows::{RowsDecoder, parse};
use super::*;
use crate::config::{BadText, InferConfig, UnknownFields};
use crate::infer::infer;
use crate::json::{self, Envelope};
use crate::schema::{ColumnType, arrow_schema};
use crate::source::{Page, PageFormat};

fn page(body: &str) -> Page {
    let envelope = Envelope::scan(body.as_bytes(), "", &[]).unwrap();
    Page {
        index: 7,
        body: Bytes::copy_from_slice(body.as_bytes()),
        rows: envelope.rows,
        row_count: envelope.row_count,
        format: PageFormat::Json,
    }
}

fn schema(columns: &[(&str, ColumnType)]) -> SchemaRef {
    let columns: Vec<_> = columns
        .iter()
        .map(|(name, ty)| ((*name).to_owned(), *ty))
        .collect();
    arrow_schema(&columns)
}

fn tape(schema: &SchemaRef, page: &Page, unknown: UnknownFields) -> Result<RecordBatch> {
    let batches = TapeDecoder::new("orders", schema.clone(), 3, unknown, NulSighting::default())
        .decode(page)?;
    Ok(concat_batches(schema, &batches).unwrap())
}

fn by_rows(schema: &SchemaRef, page: &Page, unknown: UnknownFields) -> Result<RecordBatch> {
    let mut decoder = RowsDecoder::new("orders", schema.clone(), unknown, NulSighting::default())?;
    for row in parse("orders", page)? {
        decoder.push(&row)?;
    }
    decoder.flush()
}

#[test]
fn a_key_may_be_missing_null_or_in_another_place() {
    let schema = schema(&[
        ("a", ColumnType::BigInt),
        ("b", ColumnType::Text),
        ("c", ColumnType::Jsonb),
    ]);
    let page = page(
        r#"[{"a":1,"b":"x","c":{"k": [1, "\u00e9"]}}, {"b":"y\n","a":2}, {}, {"c":null,"a":null},
            {"\u0061":5,"c":"text"}]"#,
    );
    let batch = tape(&schema, &page, UnknownFields::Refuse).unwrap();
    let ids: Vec<_> = batch.column(0).as_primitive::<Int64Type>().iter().collect();
    assert_eq!(ids, [Some(1), Some(2), None, None, Some(5)]);
    let texts: Vec<_> = batch.column(1).as_string::<i32>().iter().collect();
    assert_eq!(texts, [Some("x"), Some("y\n"), None, None, None]);
    let nested: Vec<_> = batch.column(2).as_string::<i32>().iter().collect();
    assert_eq!(
        nested,
        [
            Some(r#"{"k": [1, "\u00e9"]}"#),
            None,
            None,
            None,
            Some("\"text\"")
        ]
    );
    assert_eq!(
        batch,
        by_rows(&schema, &page, UnknownFields::Refuse).unwrap()
    );
}

#[test]
fn columns_that_are_not_read_are_not_decoded_but_still_counted() {
    let page = page(r#"[{"a":1,"b":"x"},{"a":"not a number","b":"y"}]"#);
    let batch = tape(
        &schema(&[("b", ColumnType::Text)]),
        &page,
        UnknownFields::Ignore,
    )
    .unwrap();
    assert_eq!(batch.num_rows(), 2);
    let none = tape(&schema(&[]), &page, UnknownFields::Ignore).unwrap();
    assert_eq!((none.num_rows(), none.num_columns()), (2, 0));
}

#[test]
fn faults_name_source_page_row_and_column_but_not_the_value() {
    let schema = schema(&[
        ("id", ColumnType::BigInt),
        ("paid", ColumnType::Boolean),
        ("at", ColumnType::TimestampTz),
        ("rate", ColumnType::Double),
        ("cents", ColumnType::Numeric(4, 2)),
    ]);
    for (row, column, reason) in [
        (
            r#"{"id":"secret"}"#,
            "id",
            "a string where bigint is expected",
        ),
        (
            r#"{"id":1.5}"#,
            "id",
            "a number with a fraction or exponent where bigint is expected",
        ),
        (
            r#"{"id":9223372036854775808}"#,
            "id",
            "a number outside bigint",
        ),
        (
            r#"{"paid":"true"}"#,
            "paid",
            "a string where boolean is expected",
        ),
        (
            r#"{"at":"2024-01-01"}"#,
            "at",
            "a string that is no RFC 3339 timestamp",
        ),
        (
            r#"{"rate":0.1234567890123456789}"#,
            "rate",
            "double precision cannot hold",
        ),
        (
            r#"{"rate":{"secret":1}}"#,
            "rate",
            "an object where double precision is expected",
        ),
        (
            r#"{"cents":1.234}"#,
            "cents",
            "a number outside numeric(4,2)",
        ),
        (r#"{"coupon":1}"#, "coupon", "not in the schema"),
    ] {
        let page = page(&format!(r#"[{{"id":1}},{row}]"#));
        for decode in [tape, by_rows] {
            let error = decode(&schema, &page, UnknownFields::Refuse).unwrap_err();
            let text = error.chain();
            assert!(
                text.starts_with(&format!(
                    "decode: source orders, page 7, row 2, column {column}: "
                )),
                "{text}"
            );
            assert!(text.contains(reason), "{text}");
            assert!(!text.contains("secret"), "{text}");
            assert!(error.next_step().is_some());
        }
    }
}

#[test]
fn a_key_that_appears_twice_is_refused() {
    for decode in [tape, by_rows] {
        let error = decode(
            &schema(&[("a", ColumnType::BigInt)]),
            &page(r#"[{"a":1,"a":2}]"#),
            UnknownFields::Ignore,
        );
        assert_eq!(
            error.unwrap_err().to_string(),
            "decode: source orders, page 7, row 1, column a: the key appears twice in the row"
        );
    }
}

#[test]
fn a_lone_surrogate_does_no_harm_where_it_is_not_read() {
    let page = page(r#"[{"a":1,"b":"\ud800","\udc00":2}]"#);
    for decode in [tape, by_rows] {
        let batch = decode(
            &schema(&[("a", ColumnType::BigInt)]),
            &page,
            UnknownFields::Ignore,
        );
        assert_eq!(batch.unwrap().num_rows(), 1);
        for column in ["b", "\u{fffd}"] {
            let error = decode(
                &schema(&[(column, ColumnType::Jsonb)]),
                &page,
                UnknownFields::Ignore,
            );
            let error = error.unwrap_err();
            assert!(
                error.to_string().starts_with(&format!(
                    "decode: source orders, page 7, row 1, column {column}: "
                )),
                "{error}"
            );
            let hint = error.next_step().unwrap();
            assert!(hint.contains("on_bad_text: replace"), "{hint}");
        }
    }
}

#[test]
fn bad_text_is_replaced_where_the_source_says_so() {
    let schema = schema(&[("t", ColumnType::Text), ("o", ColumnType::Jsonb)]);
    let page = page(r#"[{"t":"a\ud800b\u0000","o":{"\u0000":["\udc00 \\ud800", 1e22]}}]"#);
    let nuls = NulSighting::default();
    let mut decoder = TapeDecoder::new(
        "orders",
        schema.clone(),
        3,
        UnknownFields::Refuse,
        nuls.clone(),
    )
    .on_bad_text(BadText::Replace);
    let batch = &decoder.decode(&page).unwrap()[0];
    let text = |column: usize| batch.column(column).as_string::<i32>().value(0).to_owned();
    assert_eq!(text(0), "a\u{fffd}b\u{fffd}");
    assert_eq!(text(1), "{\"\u{fffd}\":[\"\u{fffd} \\\\ud800\", 1e22]}");
    assert_eq!(nuls.place(), None);
}

#[test]
fn lines_and_single_objects_are_rows() {
    let schema = schema(&[("a", ColumnType::BigInt)]);
    let single = tape(&schema, &page(r#"{"a":1}"#), UnknownFields::Refuse).unwrap();
    assert_eq!(single.num_rows(), 1);
    let body = "{\"a\":1}\n\n{\"a\":2}\r\n";
    let lines = Page {
        index: 1,
        body: Bytes::from(body),
        rows: 0..body.len(),
        row_count: json::scan_lines(body.as_bytes()).unwrap(),
        format: PageFormat::Ndjson,
    };
    let batch = tape(&schema, &lines, UnknownFields::Refuse).unwrap();
    assert_eq!(batch.num_rows(), 2);
    assert_eq!(
        batch,
        by_rows(&schema, &lines, UnknownFields::Refuse).unwrap()
    );
}

fn cell() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        "[0-9]{1,25}\\.[0-9]{1,12}".prop_map(|text| serde_json::from_str(text.trim_start_matches('0'))
            .unwrap_or(json!(0))),
        ".*".prop_map(Value::from),
        "2024-0[1-9]-1[0-9]T00:00:00\\.[0-9]{3}Z".prop_map(Value::from),
        prop::collection::vec(any::<i32>(), 0..3).prop_map(|numbers| json!({ "list": numbers, "é": "\u{0}\"" })),
    ]
}

proptest! {
    /// Whatever the rows, the schema inferred from all of them holds them, both ways alike.
    #[test]
    fn both_ways_yield_equal_batches(
        rows in prop::collection::vec(prop::collection::btree_map("[a-d]", cell(), 0..4), 1..12),
        pretty: bool,
    ) {
        let rows = json!(rows);
        let body = if pretty { serde_json::to_string_pretty(&rows) } else { serde_json::to_string(&rows) }.unwrap();
        let page = page(&body);
        let columns = infer("orders", std::slice::from_ref(&page), &[], &InferConfig::default()).unwrap();
        let schema = arrow_schema(&columns);
        let one = tape(&schema, &page, UnknownFields::Refuse).unwrap();
        let other = by_rows(&schema, &page, UnknownFields::Refuse).unwrap();
        prop_assert_eq!(&one, &other);
        prop_assert_eq!(one.num_rows(), page.row_count);
    }
}
