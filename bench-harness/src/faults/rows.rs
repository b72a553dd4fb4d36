//! The rows of a cell, as the API sends them and as the table must hold them.
//!
//! They are given twice, in JSON here and in SQL, so that nothing of the engine has a part in what is
//! expected of it.

use std::fmt::Write as _;
use std::ops::RangeInclusive;

/// Rows of a page.
pub(super) const PAGE_ROWS: u64 = 50;

/// Pages with rows.
pub(super) const PAGES: u64 = 10;

/// The page at which faults happen: beyond the sample of a hundred rows, and before the last.
pub(super) const FAULTY_PAGE: u64 = 7;

/// Ids of the rows that a table has before, half of which a load has too.
pub(super) const OLD: RangeInclusive<u64> = 1..=50;

/// The first id that a load has.
pub(super) const FIRST: u64 = 26;

/// The last.
pub(super) const LAST: u64 = FIRST + PAGES * PAGE_ROWS - 1;

/// Above what the constraint of a table allows for `amount`.
pub(super) const TOO_MUCH: &str = "2000000.5";

/// The definition of the columns that a load fills.
pub(super) const COLUMNS: &str =
    "name text, amount double precision, created timestamptz, extra jsonb";

/// Ids of a page; none beyond the last.
pub(super) fn ids(page: u64) -> RangeInclusive<u64> {
    let first = FIRST + page.saturating_sub(1) * PAGE_ROWS;
    first..=(first + PAGE_ROWS - 1).min(LAST)
}

/// A page as a JSON array.
pub(super) fn page(page: u64) -> String {
    page_with(page, |_, row| row)
}

/// The same, with its rows changed, which count from 1.
pub(super) fn page_with(page: u64, change: impl Fn(usize, String) -> String) -> String {
    let rows: Vec<String> = ids(page)
        .zip(1..)
        .map(|(id, nth)| change(nth, row(id)))
        .collect();
    format!("[{}]", rows.join(","))
}

fn row(id: u64) -> String {
    let mut text = String::new();
    let (minute, second) = (id / 60, id % 60);
    // Writing into a string cannot fail.
    let _ = write!(
        text,
        r#"{{"id":{id},"name":"n{id} \u00fc \"x\" \\ \t","amount":{id}.25,"created":"2024-01-01T00:{minute:02}:{second:02}Z","extra":{{"k":{id}}}}}"#
    );
    text
}

/// The rows of such ids as a query, whose names begin with `prefix`.
pub(super) fn query(prefix: &str, ids: &RangeInclusive<u64>) -> String {
    let (from, to) = (ids.start(), ids.end());
    format!(
        "SELECT i::bigint AS id, '{prefix}' || i || E' \\u00fc \"x\" \\\\ \\t' AS name, i + 0.25::double precision AS amount, \
         timestamptz '2024-01-01 00:00:00+00' + i * interval '1 second' AS created, \
         jsonb_build_object('k', i) AS extra FROM generate_series({from}, {to}) AS i"
    )
}

/// The rows of a load as a query.
pub(super) fn loaded() -> String {
    query("n", &(FIRST..=LAST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_have_every_id_once_and_end() {
        let all: Vec<u64> = (1..=PAGES + 2).flat_map(ids).collect();
        assert_eq!(all, (FIRST..=LAST).collect::<Vec<_>>());
        assert_eq!(page(PAGES + 1), "[]");
        assert!(OLD.contains(&FIRST) && !OLD.contains(&LAST));
    }

    #[test]
    fn a_page_is_json() {
        let rows: serde_json::Value = serde_json::from_str(&page(1)).unwrap();
        assert_eq!(rows.as_array().unwrap().len() as u64, PAGE_ROWS);
        assert_eq!(rows[0]["name"], "n26 ü \"x\" \\ \t");
        assert_eq!(rows[0]["created"], "2024-01-01T00:00:26Z");
    }

    #[test]
    fn a_row_alone_is_changed() {
        let text = page_with(1, |nth, row| if nth == 2 { "null".to_owned() } else { row });
        let rows: serde_json::Value = serde_json::from_str(&text).unwrap();
        let nulls = rows.as_array().unwrap().iter().filter(|row| row.is_null());
        assert_eq!(nulls.count(), 1);
        assert!(rows[1].is_null());
    }
}
