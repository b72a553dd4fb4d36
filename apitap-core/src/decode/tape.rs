//! The fast way: the bytes of a page straight into column builders, in one pass.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use super::column::ColumnBuilder;
use super::layout::Layout;
use super::{Fault, NulSighting, PageRows, finish_batch};
use crate::config::{BadText, UnknownFields};
use crate::error::Result;
use crate::json::{RawStr, Scanner};
use crate::source::Page;

/// Decodes pages of one source into batches of one schema.
///
/// It does no I/O and keeps nothing between pages but the order of the keys.
pub struct TapeDecoder {
    layout: Layout,
    batch_rows: usize,
    /// The keys of the last row: rows of one source mostly agree in the order of their keys, so the
    /// next key is compared instead of read and hashed.
    expected: Vec<ExpectedKey>,
    /// The row in which each column was last filled, counted over all pages.
    filled: Vec<u64>,
    row: u64,
}

/// A key of the last row.
struct ExpectedKey {
    /// With its quotes and its colon, as a row without white space has it.
    text: String,
    column: Option<usize>,
}

impl ExpectedKey {
    /// As it is written between its quotes.
    fn name(&self) -> &str {
        &self.text[1..self.text.len() - "\":".len()]
    }
}

impl TapeDecoder {
    /// A decoder of `source` that reads the columns of `schema` and no others.
    pub fn new(
        source: &str,
        schema: SchemaRef,
        batch_rows: usize,
        unknown: UnknownFields,
        nuls: NulSighting,
    ) -> Self {
        Self {
            filled: vec![0; schema.fields().len()],
            layout: Layout::new(source, schema, unknown, nuls),
            batch_rows,
            expected: Vec::new(),
            row: 0,
        }
    }

    /// What happens to escapes that PostgreSQL cannot hold. Default [`BadText::Fail`].
    #[must_use]
    pub fn on_bad_text(mut self, bad_text: BadText) -> Self {
        self.layout.bad_text = bad_text;
        self
    }

    /// The batches of a page, in order.
    ///
    /// # Errors
    /// Text that is not JSON, a row that is no object, a value that does not fit its column:
    /// each names source, page, row and column.
    pub fn decode(&mut self, page: &Page) -> Result<Vec<RecordBatch>> {
        let mut batches = Vec::with_capacity(page.row_count.div_ceil(self.batch_rows));
        let mut row = 0;
        self.rows(page, &mut row, &mut batches)
            .map_err(|fault| fault.in_page(&self.layout.source, page, row))?;
        Ok(batches)
    }

    fn rows(
        &mut self,
        page: &Page,
        row: &mut usize,
        batches: &mut Vec<RecordBatch>,
    ) -> Result<(), Fault> {
        let mut rows = PageRows::new(page)?;
        while *row < page.row_count {
            let size = self.batch_rows.min(page.row_count - *row);
            let mut columns = self.layout.builders(size)?;
            for _ in 0..size {
                *row += 1;
                if let Some(column) = self.row(rows.scanner(), &mut columns)? {
                    self.layout.note_nul(page.index, *row, column);
                }
                rows.leave()?;
            }
            let arrays = columns.iter_mut().map(ColumnBuilder::finish).collect();
            batches.push(finish_batch(&self.layout.schema, arrays, size)?);
        }
        Ok(())
    }

    /// Reads a row; returns the first column in which it has a NUL character.
    fn row(
        &mut self,
        scanner: &mut Scanner<'_>,
        columns: &mut [ColumnBuilder],
    ) -> Result<Option<usize>, Fault> {
        self.row += 1;
        if scanner.peek()? != b'{' {
            return Err(Fault::NotAnObject);
        }
        scanner.enter_row()?;
        let mut filled = 0;
        let mut nul = None;
        if !scanner.eat(b'}')? {
            let mut position = 0;
            loop {
                let column = self.column(scanner, position)?;
                position += 1;
                match column {
                    None => {
                        scanner.skip()?;
                    }
                    Some(index) => {
                        filled += 1;
                        if std::mem::replace(&mut self.filled[index], self.row) == self.row {
                            return Err(Fault::KeyTwice(self.layout.name(index)));
                        }
                        if self.layout.cell(scanner, index, &mut columns[index])? {
                            nul = nul.or(Some(index));
                        }
                    }
                }
                if !scanner.more(b'}')? {
                    break;
                }
            }
        }
        if filled < columns.len() {
            for (column, &row) in columns.iter_mut().zip(&self.filled) {
                if row != self.row {
                    column.append_null();
                }
            }
        }
        Ok(nul)
    }

    /// Reads a key and says which column it is.
    #[inline]
    fn column(
        &mut self,
        scanner: &mut Scanner<'_>,
        position: usize,
    ) -> Result<Option<usize>, Fault> {
        match self.expected.get(position) {
            Some(key) if scanner.eat_text(&key.text)? => Ok(key.column),
            known => {
                // There is white space before the colon, or it is another key.
                let key = scanner.key()?;
                match known {
                    Some(known) if known.name() == key.raw => Ok(known.column),
                    _ => self.learn(key, position),
                }
            }
        }
    }

    #[cold]
    fn learn(&mut self, key: RawStr<'_>, position: usize) -> Result<Option<usize>, Fault> {
        let column = self.layout.column(key)?;
        self.expected.truncate(position);
        let text = format!("\"{}\":", key.raw);
        self.expected.push(ExpectedKey { text, column });
        Ok(column)
    }
}
