//! Both ways of decoding agree on every input: equal batches to the byte, or the same error.
//!
//! `tests/corpus/decode` keeps inputs that once went wrong somewhere, or could. Add a file there for each
//! new one.

use std::collections::BTreeMap;

use bytes::Bytes;
use proptest::prelude::*;

use super::rows::{RowsDecoder, parse};
use super::*;
use crate::config::{BadText, InferConfig, UnknownFields};
use crate::infer::infer;
use crate::json::{Envelope, scan_lines};
use crate::schema::{ColumnType, arrow_schema};
use crate::source::{Page, PageFormat};

const BATCH_ROWS: usize = 3;

/// What a decoder makes of a page: batches and the place of the first NUL, or an error.
type Outcome = std::result::Result<(Vec<RecordBatch>, Option<String>), String>;

fn pages(body: &[u8]) -> Vec<Page> {
    let page = |rows, row_count, format| Page {
        index: 7,
        body: Bytes::copy_from_slice(body),
        rows,
        row_count,
        format,
    };
    let json = ["", "/data"].into_iter().filter_map(|data_path| {
        let envelope = Envelope::scan(body, data_path, &[]).ok()?;
        Some(page(envelope.rows, envelope.row_count, PageFormat::Json))
    });
    let lines = scan_lines(body).into_iter();
    json.chain(lines.map(|count| page(0..body.len(), count, PageFormat::Ndjson)))
        .filter(|page| page.row_count > 0)
        .collect()
}

fn outcome(error: Error) -> String {
    let hint = error.next_step().unwrap_or_default().to_owned();
    format!("{:?} {} {hint}", error.kind(), error.chain())
}

fn by_tape(schema: &SchemaRef, page: &Page, unknown: UnknownFields, bad_text: BadText) -> Outcome {
    let nuls = NulSighting::default();
    let mut decoder = TapeDecoder::new("s", schema.clone(), BATCH_ROWS, unknown, nuls.clone())
        .on_bad_text(bad_text);
    let batches = decoder.decode(page).map_err(outcome)?;
    Ok((batches, nuls.place().map(str::to_owned)))
}

fn by_rows(schema: &SchemaRef, page: &Page, unknown: UnknownFields, bad_text: BadText) -> Outcome {
    let nuls = NulSighting::default();
    let mut decoder = RowsDecoder::new("s", schema.clone(), unknown, nuls.clone())
        .map_err(outcome)?
        .on_bad_text(bad_text);
    let mut batches = Vec::new();
    for row in parse("s", page).map_err(outcome)? {
        decoder.push(&row).map_err(outcome)?;
        if decoder.len() == BATCH_ROWS {
            batches.push(decoder.flush().map_err(outcome)?);
        }
    }
    if !decoder.is_empty() {
        batches.push(decoder.flush().map_err(outcome)?);
    }
    Ok((batches, nuls.place().map(str::to_owned)))
}

/// Decodes `body` in every way and returns what the tape path made of it.
fn agree(body: &[u8], declared: &[(String, ColumnType)]) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    for page in pages(body) {
        let mut schemas = vec![arrow_schema(declared)];
        let inferred = infer(
            "s",
            std::slice::from_ref(&page),
            declared,
            &InferConfig::default(),
        );
        schemas.extend(inferred.ok().as_deref().map(arrow_schema));
        for schema in schemas {
            for unknown in [UnknownFields::Ignore, UnknownFields::Refuse] {
                for bad_text in [BadText::Fail, BadText::Replace] {
                    let tape = by_tape(&schema, &page, unknown, bad_text);
                    let rows = by_rows(&schema, &page, unknown, bad_text);
                    assert_eq!(tape, rows, "{schema:?}, {unknown:?}, {bad_text}");
                    outcomes.push(tape);
                }
            }
        }
    }
    outcomes
}

const TYPES: [ColumnType; 9] = [
    ColumnType::Boolean,
    ColumnType::BigInt,
    ColumnType::Double,
    ColumnType::Numeric(20, 4),
    ColumnType::Text,
    ColumnType::TimestampTz,
    ColumnType::Timestamp,
    ColumnType::Date,
    ColumnType::Jsonb,
];

fn all_of(column_type: ColumnType) -> Vec<(String, ColumnType)> {
    let names = ["a", "b", "c", "d", "\u{fffd}"];
    names.map(|name| (name.to_owned(), column_type)).into()
}

#[test]
fn both_ways_agree_on_the_corpus() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/corpus/decode");
    let mut decoded = BTreeMap::new();
    for file in std::fs::read_dir(folder).unwrap() {
        let file = file.unwrap();
        let body = std::fs::read(file.path()).unwrap();
        let outcomes: usize = TYPES
            .iter()
            .map(|column_type| {
                let outcomes = agree(&body, &all_of(*column_type));
                outcomes.iter().filter(|outcome| outcome.is_ok()).count()
            })
            .sum();
        decoded.insert(file.file_name(), outcomes);
    }
    // Not everything is refused before it is decoded.
    assert!(decoded.len() >= 20, "{decoded:?}");
    assert!(
        decoded.values().filter(|&&count| count > 0).count() >= 15,
        "{decoded:?}"
    );
}

#[test]
fn inputs_without_an_end_of_nesting_digits_or_keys_are_decoded_or_refused() {
    let deep = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
    let digits = "7".repeat(5_000_000);
    let keys: Vec<_> = (0..5_000).map(|key| format!("\"k{key}\":{key}")).collect();
    for (row, is_read) in [
        (format!("{{\"a\":{}}}", deep(127)), true),
        (format!("{{\"a\":{}}}", deep(128)), false),
        (format!("{{\"a\":{}}}", deep(10_000)), false),
        (format!("{{\"a\":{}", "{\"a\":".repeat(1_000_000)), false),
        (format!("{{\"a\":{}}}", &digits[..131_072]), true),
        (format!("{{\"a\":{digits}}}"), false),
        (format!("{{\"a\":-0.{digits}e-{digits}}}"), false),
        (format!("{{\"a\":\"{digits}\"}}"), true),
        (
            format!("{{\"a\":\"{}\"}}", "\\u00e9".repeat(1_000_000)),
            true,
        ),
        (format!("{{{}}}", keys.join(",")), true),
    ] {
        let body = format!("[{row}]");
        let outcomes = agree(body.as_bytes(), &all_of(ColumnType::Jsonb));
        let read = outcomes.iter().any(Outcome::is_ok);
        assert_eq!(read, is_read, "{}", &row[..20]);
    }
}

/// JSON as servers write it, which no library would: white space, escapes and digits in every form.
fn value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        Just("false".to_owned()),
        "-?(0|[1-9][0-9]{0,24})(\\.[0-9]{1,24})?([eE][+-]?[0-9]{1,4})?",
        "(0001|1969|2024|9999)-(02|12)-(29|31)[Tt ](00|23|24):59:(59|60)(\\.[0-9]{1,9})?(Z|[+-]05:?30)?"
            .prop_map(|text| format!("\"{text}\"")),
        text(),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        let members = prop::collection::vec((text(), inner.clone()), 0..4);
        prop_oneof![
            prop::collection::vec(inner, 0..4)
                .prop_map(|values| format!("[{}]", values.join(" ,\n"))),
            members.prop_map(|members| {
                let members: Vec<_> = members
                    .into_iter()
                    .map(|(key, value)| format!("{key} :\t{value}"))
                    .collect();
                format!("{{ {} }}", members.join(","))
            }),
        ]
    })
}

fn text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => "[a-zé😀/]{0,4}",
        1 => r#"\\["\\/bfnrt]"#,
        1 => "\\\\u[0-9a-fA-F]{4}",
        1 => r"\\u(0000|0041|d83d|DE00|d83d\\ude00)",
    ];
    prop::collection::vec(piece, 0..5).prop_map(|pieces| format!("\"{}\"", pieces.concat()))
}

fn page_of_rows() -> impl Strategy<Value = String> {
    let key = prop_oneof![
        8 => "[a-d]".prop_map(|key| format!("\"{key}\"")),
        1 => Just(r#""\u0061""#.to_owned()),
        1 => Just(r#""\ud800""#.to_owned()),
        1 => text(),
    ];
    let row = prop_oneof![
        20 => prop::collection::vec((key, value()), 0..5).prop_map(|members| {
            let members: Vec<_> = members
                .into_iter()
                .map(|(key, value)| format!("{key}:{value}"))
                .collect();
            format!("{{{}}}", members.join(","))
        }),
        1 => value(),
    ];
    prop::collection::vec(row, 1..8).prop_map(|rows| format!("[{}]", rows.join(",")))
}

fn declared() -> impl Strategy<Value = Vec<(String, ColumnType)>> {
    let columns = prop::collection::btree_map("[a-d]", prop::sample::select(&TYPES[..]), 0..5);
    columns.prop_map(|columns| columns.into_iter().collect())
}

proptest! {
    #[test]
    fn both_ways_agree_on_rows(body in page_of_rows(), declared in declared()) {
        agree(body.as_bytes(), &declared);
    }

    #[test]
    fn both_ways_agree_on_damaged_rows(
        body in page_of_rows(),
        declared in declared(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut body = body.into_bytes();
        for (at, byte) in damage {
            let at = at.index(body.len());
            body[at] = byte;
        }
        agree(&body, &declared);
    }

    #[test]
    fn no_bytes_make_a_decoder_panic(body in prop::collection::vec(any::<u8>(), 0..64)) {
        agree(&body, &all_of(ColumnType::Text));
    }
}
