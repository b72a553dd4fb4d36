//! The "before" way: an owned value per row.
//!
//! [`parse`] makes the rows of a page, each key and value a string of its own; the pipeline sends them
//! one by one through a channel, and [`RowsDecoder`] gathers what arrives into batches. A value keeps the
//! text that it was written with, so that both ways yield the same bytes.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use super::column::ColumnBuilder;
use super::layout::Layout;
use super::{Fault, NulSighting, PageRows, finish_batch};
use crate::config::{BadText, UnknownFields};
use crate::error::Result;
use crate::json::{RawStr, Scanner};
use crate::source::Page;

/// One row on its way, with the place it came from.
#[derive(Debug)]
pub struct Row {
    /// Its page, from 1.
    pub page: u64,
    /// Its place in the page, from 1.
    pub index: usize,
    /// Its members in order, as they are written; none for a row that is no object.
    members: Option<Vec<Member>>,
}

#[derive(Debug)]
struct Member {
    key: String,
    /// Whether the key has escapes.
    escaped: bool,
    value: String,
}

/// The rows of a page.
///
/// # Errors
/// Text that is not JSON.
pub fn parse(source: &str, page: &Page) -> Result<Vec<Row>> {
    let mut rows = Vec::with_capacity(page.row_count);
    let parsed = parse_rows(page, &mut rows);
    parsed.map_err(|fault| fault.in_page(source, page, rows.len() + 1))?;
    Ok(rows)
}

fn parse_rows(page: &Page, parsed: &mut Vec<Row>) -> Result<(), Fault> {
    let mut rows = PageRows::new(page)?;
    for index in 1..=page.row_count {
        let members = members(rows.scanner())?;
        rows.leave()?;
        parsed.push(Row {
            page: page.index,
            index,
            members,
        });
    }
    Ok(())
}

fn members(scanner: &mut Scanner<'_>) -> Result<Option<Vec<Member>>, Fault> {
    if scanner.peek()? != b'{' {
        scanner.skip()?;
        return Ok(None);
    }
    scanner.enter_row()?;
    let mut members = Vec::new();
    if scanner.eat(b'}')? {
        return Ok(Some(members));
    }
    loop {
        let RawStr { raw, escaped } = scanner.key()?;
        let (_, value) = scanner.value_and_text()?;
        members.push(Member {
            key: raw.to_owned(),
            escaped,
            value: value.to_owned(),
        });
        if !scanner.more(b'}')? {
            return Ok(Some(members));
        }
    }
}

/// Gathers rows into batches of one schema.
pub struct RowsDecoder {
    layout: Layout,
    columns: Vec<ColumnBuilder>,
    /// The row in which each column was last filled, counted over all batches.
    filled: Vec<u64>,
    row: u64,
    rows: usize,
    bytes: usize,
}

impl RowsDecoder {
    /// A decoder of `source` that reads the columns of `schema` and no others.
    ///
    /// # Errors
    /// A type that JSON never becomes.
    pub fn new(
        source: &str,
        schema: SchemaRef,
        unknown: UnknownFields,
        nuls: NulSighting,
    ) -> Result<Self> {
        let filled = vec![0; schema.fields().len()];
        let layout = Layout::new(source, schema, unknown, nuls);
        Ok(Self {
            columns: layout.builders(0)?,
            layout,
            filled,
            row: 0,
            rows: 0,
            bytes: 0,
        })
    }

    /// What happens to escapes that PostgreSQL cannot hold. Default [`BadText::Fail`].
    #[must_use]
    pub fn on_bad_text(mut self, bad_text: BadText) -> Self {
        self.layout.bad_text = bad_text;
        self
    }

    /// Rows gathered since the last [`flush`](Self::flush).
    pub fn len(&self) -> usize {
        self.rows
    }

    /// The size of their values as they were written.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether no row was gathered since the last [`flush`](Self::flush).
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Adds a row.
    ///
    /// # Errors
    /// A row that is no object, or a value that does not fit its column: names source, page,
    /// row and column.
    pub fn push(&mut self, row: &Row) -> Result<()> {
        self.append(row)
            .map_err(|fault| fault.into_error(&self.layout.source, row.page, row.index))?;
        self.rows += 1;
        Ok(())
    }

    fn append(&mut self, row: &Row) -> Result<(), Fault> {
        let members = row.members.as_ref().ok_or(Fault::NotAnObject)?;
        self.row += 1;
        let mut nul = None;
        for member in members {
            let key = RawStr {
                raw: &member.key,
                escaped: member.escaped,
            };
            let Some(index) = self.layout.column(key)? else {
                continue;
            };
            if std::mem::replace(&mut self.filled[index], self.row) == self.row {
                return Err(Fault::KeyTwice(self.layout.name(index)));
            }
            self.bytes += member.value.len();
            let mut scanner = Scanner::new(&member.value, 0);
            let column = &mut self.columns[index];
            if self.layout.cell(&mut scanner, index, column)? {
                nul = nul.or(Some(index));
            }
        }
        for (column, &filled) in self.columns.iter_mut().zip(&self.filled) {
            if filled != self.row {
                column.append_null();
            }
        }
        if let Some(column) = nul {
            self.layout.note_nul(row.page, row.index, column);
        }
        Ok(())
    }

    /// The rows gathered so far as a batch.
    ///
    /// # Errors
    /// Only faults of the engine.
    pub fn flush(&mut self) -> Result<RecordBatch> {
        let arrays = self.columns.iter_mut().map(ColumnBuilder::finish).collect();
        self.bytes = 0;
        finish_batch(&self.layout.schema, arrays, std::mem::take(&mut self.rows))
    }
}
