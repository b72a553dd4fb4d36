//! The fast way: the bytes of a page straight into column builders, in one pass.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use super::column::{ColumnBuilder, HasNul};
use super::{ByName, Fault, NulSighting, finish_batch};
use crate::config::UnknownFields;
use crate::error::Result;
use crate::json::{self, RawStr, Scanner};
use crate::source::{Page, PageFormat};

/// Decodes pages of one source into batches of one schema.
///
/// It does no I/O and keeps nothing between pages but the order of the keys.
pub struct TapeDecoder {
    source: String,
    schema: SchemaRef,
    batch_rows: usize,
    unknown: UnknownFields,
    by_name: ByName,
    /// The keys of the last row and their columns: rows of one source mostly agree in the
    /// order of their keys, so the next key is compared instead of hashed.
    expected: Vec<(String, Option<usize>)>,
    /// The row in which each column was last filled, counted over all pages.
    filled: Vec<u64>,
    row: u64,
    nuls: NulSighting,
    scratch: String,
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
        let names = schema.fields().iter().map(|field| field.name().clone());
        Self {
            source: source.to_owned(),
            by_name: names.zip(0..).collect(),
            filled: vec![0; schema.fields().len()],
            schema,
            batch_rows,
            unknown,
            expected: Vec::new(),
            row: 0,
            nuls,
            scratch: String::new(),
        }
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
            .map_err(|fault| fault.into_error(&self.source, page.index, row))?;
        Ok(batches)
    }

    fn rows(
        &mut self,
        page: &Page,
        row: &mut usize,
        batches: &mut Vec<RecordBatch>,
    ) -> Result<(), Fault> {
        let text = json::utf8(&page.body[..page.rows.end])?;
        let mut scanner = Scanner::new(text, page.rows.start);
        let array = page.format == PageFormat::Json && scanner.peek() == Ok(b'[');
        if array {
            scanner.expect(b'[', "expected `[`")?;
        }
        while *row < page.row_count {
            let size = self.batch_rows.min(page.row_count - *row);
            let mut columns = self.builders(size)?;
            for _ in 0..size {
                *row += 1;
                if let Some(column) = self.row(&mut scanner, &mut columns)? {
                    let column = self.schema.field(column).name();
                    self.nuls.note(&self.source, page.index, *row, column);
                }
                match page.format {
                    PageFormat::Ndjson => json::line_end(&mut scanner)?,
                    PageFormat::Json if array => {
                        scanner.more(b']')?;
                    }
                    PageFormat::Json => {}
                }
            }
            let arrays = columns.iter_mut().map(ColumnBuilder::finish).collect();
            batches.push(finish_batch(&self.schema, arrays, size)?);
        }
        Ok(())
    }

    fn builders(&self, rows: usize) -> Result<Vec<ColumnBuilder>> {
        let fields = self.schema.fields().iter();
        fields
            .map(|field| ColumnBuilder::new(field, rows))
            .collect()
    }

    /// Reads a row; returns a column in which it has a NUL character.
    fn row(
        &mut self,
        scanner: &mut Scanner<'_>,
        columns: &mut [ColumnBuilder],
    ) -> Result<Option<usize>, Fault> {
        self.row += 1;
        if scanner.peek()? != b'{' {
            return Err(Fault::NotAnObject);
        }
        scanner.expect(b'{', "expected `{`")?;
        let mut filled = 0;
        let mut nul = None;
        if !scanner.eat(b'}')? {
            let mut position = 0;
            loop {
                let key = scanner.key()?;
                let column = self.column(key, position)?;
                position += 1;
                match column {
                    None => {
                        scanner.skip()?;
                    }
                    Some(index) => {
                        filled += 1;
                        if self.cell(scanner, index, columns)? {
                            nul = Some(index);
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

    /// Reads the value of a column.
    #[inline]
    fn cell(
        &mut self,
        scanner: &mut Scanner<'_>,
        index: usize,
        columns: &mut [ColumnBuilder],
    ) -> Result<HasNul, Fault> {
        if std::mem::replace(&mut self.filled[index], self.row) == self.row {
            return Err(Fault::KeyTwice(self.schema.field(index).name().clone()));
        }
        let (value, raw) = scanner.value_and_text()?;
        columns[index]
            .append(value, raw, &mut self.scratch)
            .map_err(|misfit| Fault::Misfit(self.schema.field(index).name().clone(), misfit))
    }

    #[inline]
    fn column(&mut self, key: RawStr<'_>, position: usize) -> Result<Option<usize>, Fault> {
        match self.expected.get(position) {
            Some((name, column)) if !key.escaped && name == key.raw => Ok(*column),
            _ => self.learn(key, position),
        }
    }

    #[cold]
    fn learn(&mut self, key: RawStr<'_>, position: usize) -> Result<Option<usize>, Fault> {
        let name = key.decoded();
        let column = self.by_name.get(name.as_ref()).copied();
        if column.is_none() && self.unknown == UnknownFields::Refuse {
            return Err(Fault::UnknownKey(name.into_owned()));
        }
        self.expected.truncate(position);
        self.expected.push((name.into_owned(), column));
        Ok(column)
    }
}
