//! What the keys and values of a source's rows become: the same on both ways.

use arrow::datatypes::SchemaRef;

use super::column::{ColumnBuilder, Misfit};
use super::{ByName, Fault, NulSighting};
use crate::config::{BadText, UnknownFields};
use crate::error::Result;
use crate::json::{RawStr, Scanner, Unstorable, replace_unstorable};

const LONE_SURROGATE: &str = "half of a surrogate pair (\\ud800 to \\udfff), which is no character";
const KEY: &str = "the key has \\u0000 or half of a surrogate pair, which no name can hold";

/// The columns that are read of a source.
pub(super) struct Layout {
    pub(super) source: String,
    pub(super) schema: SchemaRef,
    pub(super) unknown: UnknownFields,
    pub(super) bad_text: BadText,
    by_name: ByName,
    nuls: NulSighting,
    scratch: String,
}

impl Layout {
    pub(super) fn new(
        source: &str,
        schema: SchemaRef,
        unknown: UnknownFields,
        nuls: NulSighting,
    ) -> Self {
        let names = schema.fields().iter().map(|field| field.name().clone());
        Self {
            source: source.to_owned(),
            by_name: names.zip(0..).collect(),
            schema,
            unknown,
            bad_text: BadText::default(),
            nuls,
            scratch: String::new(),
        }
    }

    /// Builders for the columns, with room for `rows`.
    pub(super) fn builders(&self, rows: usize) -> Result<Vec<ColumnBuilder>> {
        let fields = self.schema.fields().iter();
        fields
            .map(|field| ColumnBuilder::new(field, rows))
            .collect()
    }

    /// The column of a key, none for one that is not read.
    pub(super) fn column(&self, key: RawStr<'_>) -> Result<Option<usize>, Fault> {
        let name = key.name();
        let column = self.by_name.get(name.as_ref()).copied();
        if column.is_none() && self.unknown == UnknownFields::Refuse {
            return Err(Fault::UnknownKey(name.into_owned()));
        }
        if column.is_some() && self.bad_text == BadText::Fail && key.unstorable().any() {
            return Err(Fault::BadText(name.into_owned(), KEY));
        }
        Ok(column)
    }

    /// Reads the value of column `index` into its builder. Says whether it has a NUL, which is no fault
    /// yet: the query may remove it.
    #[inline]
    pub(super) fn cell(
        &mut self,
        scanner: &mut Scanner<'_>,
        index: usize,
        column: &mut ColumnBuilder,
    ) -> Result<bool, Fault> {
        scanner.peek()?;
        if let Some(fit) = column.append_plain(scanner, &mut self.scratch) {
            return self.fitted(index, fit).map(|()| false);
        }
        scanner.take_unstorable();
        let (value, raw) = scanner.value_and_text()?;
        let found = scanner.take_unstorable();
        if found.any() {
            return self.unstorable(raw, found, index, column);
        }
        let fit = column.append(value, raw, &mut self.scratch);
        self.fitted(index, fit).map(|()| false)
    }

    /// A value that does not fit is a fault of its column.
    #[inline]
    fn fitted(&self, index: usize, fit: Result<(), Misfit>) -> Result<(), Fault> {
        fit.map_err(|misfit| Fault::Misfit(self.name(index), misfit))
    }

    #[cold]
    fn unstorable(
        &mut self,
        raw: &str,
        found: Unstorable,
        index: usize,
        column: &mut ColumnBuilder,
    ) -> Result<bool, Fault> {
        let replaced;
        let raw = match self.bad_text {
            BadText::Fail if found.lone_surrogate => {
                return Err(Fault::BadText(self.name(index), LONE_SURROGATE));
            }
            BadText::Fail => raw,
            BadText::Replace => {
                replaced = replace_unstorable(raw);
                &replaced
            }
        };
        let (value, raw) = Scanner::new(raw, 0).value_and_text()?;
        let fit = column.append(value, raw, &mut self.scratch);
        self.fitted(index, fit)?;
        Ok(self.bad_text == BadText::Fail)
    }

    /// Keeps the place of a NUL for the error that it may lead to.
    #[cold]
    pub(super) fn note_nul(&self, page: u64, row: usize, column: usize) {
        self.nuls
            .note(&self.source, page, row, self.schema.field(column).name());
    }

    #[cold]
    pub(super) fn name(&self, column: usize) -> String {
        self.schema.field(column).name().clone()
    }
}
