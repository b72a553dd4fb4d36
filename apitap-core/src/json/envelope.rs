//! Where the rows of a page are.

use std::ops::Range;

use super::{JsonError, Result, Scanner, line_end, utf8};

/// Where the rows of a page are, and the values beside them that pagination needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// The bytes of the array of rows with its brackets, or of one object that is the only row.
    pub rows: Range<usize>,
    /// How many rows there are.
    pub row_count: usize,
    /// The raw JSON of each wanted pointer, in the order asked for.
    pub values: Vec<Option<Range<usize>>>,
}

impl Envelope {
    /// Finds the rows at `data_path` and the `wanted` values, all RFC 6901 pointers, and validates all of `body` but the
    /// rows, of which only the brackets are looked at.
    ///
    /// # Errors
    /// Anything else that is not JSON, or nothing at `data_path`.
    pub fn scan(body: &[u8], data_path: &str, wanted: &[&str]) -> Result<Self> {
        let text = utf8(body)?;
        let mut scanner = Scanner::new(text, 0);
        let mut search = Search {
            data_path: tokens(data_path),
            wanted: wanted.iter().map(|pointer| tokens(pointer)).collect(),
            rows: None,
            row_count: 0,
            values: vec![None; wanted.len()],
        };
        search.value(&mut scanner, &mut Vec::new())?;
        scanner.end()?;
        let rows = search.rows.ok_or(JsonError {
            offset: 0,
            what: "nothing at data_path",
        })?;
        Ok(Self {
            rows,
            row_count: search.row_count,
            values: search.values,
        })
    }
}

/// Counts the rows of newline-delimited JSON, empty lines aside. Whether each is JSON shows when it is read.
///
/// # Errors
/// A line that is no value.
pub fn scan_lines(body: &[u8]) -> Result<usize> {
    count(&mut Scanner::new(utf8(body)?, 0), count_lines)
}

/// Where a string of more than `limit` bytes begins, in a body known to be valid.
pub fn longer_string(body: &[u8], limit: usize) -> Option<usize> {
    let text = utf8(body).ok()?;
    let mut at = 0;
    // Outside of strings there are no quotes.
    while let Some(quote) = memchr::memchr(b'"', &body[at..]) {
        let mut scanner = Scanner::new(text, at + quote);
        let string = scanner.string().ok()?;
        if string.raw.len() > limit {
            return Some(at + quote);
        }
        at = scanner.offset();
    }
    None
}

fn tokens(pointer: &str) -> Vec<String> {
    pointer
        .split('/')
        .skip(1)
        .map(|token| token.replace("~1", "/").replace("~0", "~"))
        .collect()
}

struct Search {
    data_path: Vec<String>,
    wanted: Vec<Vec<String>>,
    rows: Option<Range<usize>>,
    row_count: usize,
    values: Vec<Option<Range<usize>>>,
}

impl Search {
    /// Goes down only where a pointer leads, so its depth is that of the longest pointer.
    fn value(&mut self, scanner: &mut Scanner<'_>, path: &mut Vec<String>) -> Result<()> {
        let first = scanner.peek()?;
        let start = scanner.offset();
        let is_rows = *path == self.data_path;
        let leads_on =
            |pointer: &Vec<String>| pointer.len() > path.len() && pointer.starts_with(path);
        let leads_on = leads_on(&self.data_path) || self.wanted.iter().any(leads_on);
        if is_rows && first == b'[' {
            self.row_count = count(scanner, count_elements)?;
        } else if leads_on && first == b'{' {
            self.object(scanner, path)?;
        } else if leads_on && first == b'[' {
            self.array(scanner, path)?;
        } else {
            scanner.skip()?;
        }
        let span = start..scanner.offset();
        let twice = |offset| JsonError {
            offset,
            what: "a key on the way to the rows or to pagination comes twice",
        };
        if is_rows {
            if self.rows.is_some() {
                return Err(twice(start));
            }
            match first {
                b'[' => {}
                b'{' => self.row_count = 1,
                b'n' => self.row_count = 0,
                _ => {
                    return Err(JsonError {
                        offset: start,
                        what: "data_path leads to neither an array nor an object",
                    });
                }
            }
            self.rows = Some(if first == b'n' {
                start..start
            } else {
                span.clone()
            });
        }
        for (pointer, value) in self.wanted.iter().zip(&mut self.values) {
            if pointer == path && value.replace(span.clone()).is_some() {
                return Err(twice(start));
            }
        }
        Ok(())
    }

    fn object(&mut self, scanner: &mut Scanner<'_>, path: &mut Vec<String>) -> Result<()> {
        scanner.expect(b'{', "expected `{`")?;
        if scanner.eat(b'}')? {
            return Ok(());
        }
        loop {
            path.push(scanner.key()?.decoded().into_owned());
            self.value(scanner, path)?;
            path.pop();
            if !scanner.more(b'}')? {
                return Ok(());
            }
        }
    }

    fn array(&mut self, scanner: &mut Scanner<'_>, path: &mut Vec<String>) -> Result<()> {
        scanner.expect(b'[', "expected `[`")?;
        if scanner.eat(b']')? {
            return Ok(());
        }
        for index in 0.. {
            path.push(index.to_string());
            self.value(scanner, path)?;
            path.pop();
            if !scanner.more(b']')? {
                break;
            }
        }
        Ok(())
    }
}

/// How a row is passed over.
type PassOver = fn(&mut Scanner<'_>) -> Result<()>;

/// Counts rows by their brackets: each is checked when it is decoded. Where that fails, they are checked at once, to say
/// exactly what is wrong.
fn count(
    scanner: &mut Scanner<'_>,
    rows: fn(&mut Scanner<'_>, PassOver) -> Result<usize>,
) -> Result<usize> {
    let start = scanner.clone();
    rows(scanner, |scanner| scanner.skip_unchecked()).or_else(|_| {
        *scanner = start;
        rows(scanner, |scanner| scanner.skip().map(drop))
    })
}

fn count_elements(scanner: &mut Scanner<'_>, pass_over: PassOver) -> Result<usize> {
    scanner.expect(b'[', "expected `[`")?;
    if scanner.eat(b']')? {
        return Ok(0);
    }
    let mut count = 0;
    loop {
        pass_over(scanner)?;
        count += 1;
        if !scanner.more(b']')? {
            return Ok(count);
        }
    }
}

fn count_lines(scanner: &mut Scanner<'_>, pass_over: PassOver) -> Result<usize> {
    let mut count = 0;
    while scanner.peek().is_ok() {
        pass_over(scanner)?;
        line_end(scanner)?;
        count += 1;
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn envelope_finds_rows_and_values() {
        let body = br#"{"meta":{"total":3,"next":"abc"},"data":{"items":[{"a":1},{"a":[2]},null]},"x":{}}"#;
        let envelope = Envelope::scan(
            body,
            "/data/items",
            &["/meta/total", "/meta/next", "/meta/none"],
        )
        .unwrap();
        assert_eq!(envelope.row_count, 3);
        assert_eq!(&body[envelope.rows.clone()], br#"[{"a":1},{"a":[2]},null]"#);
        let text = |index: usize| envelope.values[index].clone().map(|span| &body[span]);
        assert_eq!(text(0), Some(&b"3"[..]));
        assert_eq!(text(1), Some(&br#""abc""#[..]));
        assert_eq!(text(2), None);
    }

    #[test]
    fn one_object_is_one_row_and_null_is_none() {
        assert_eq!(
            Envelope::scan(b" {\"a\":1} ", "", &[]).unwrap().row_count,
            1
        );
        assert_eq!(
            Envelope::scan(b"{\"d\":null}", "/d", &[])
                .unwrap()
                .row_count,
            0
        );
        assert_eq!(
            Envelope::scan(b"{\"d\":1}", "/e", &[]).unwrap_err().what,
            "nothing at data_path"
        );
    }

    #[test]
    fn a_place_that_comes_twice_is_an_error() {
        for body in [
            r#"{"d":[{"a":1}],"d":[{"a":2}]}"#,
            r#"{"d":[],"next":"a","next":null}"#,
            r#"{"d":[],"m":{"t":1},"m":{"t":2}}"#,
        ] {
            let error = Envelope::scan(body.as_bytes(), "/d", &["/next", "/m/t"]).unwrap_err();
            assert!(error.what.contains("twice"), "{body}: {error}");
        }
    }

    #[test]
    fn long_strings_are_found() {
        let body = r#"{"key":"ab\"c","longer":["abcdefgh"]}"#.as_bytes();
        assert_eq!(longer_string(body, 8), None);
        assert_eq!(longer_string(body, 7), Some(25));
        assert_eq!(longer_string(body, 5), Some(15));
    }

    #[test]
    fn lines_are_rows() {
        assert_eq!(scan_lines(b"{\"a\":1}\n\n{\"a\":2}\r\n").unwrap(), 2);
        assert!(scan_lines(b"{\"a\":1} {\"a\":2}\n").is_err());
        assert!(scan_lines(b"{\"a\":1}\n{\"a\":").is_err());
    }
}
