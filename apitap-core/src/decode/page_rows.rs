//! The rows of a page, one after the other.

use crate::json::{self, JsonError, Scanner};
use crate::source::{Page, PageFormat};

/// A cursor that stands at a row of a page, or behind the last.
pub(crate) struct PageRows<'a> {
    scanner: Scanner<'a>,
    separator: Separator,
}

#[derive(Clone, Copy)]
enum Separator {
    /// A comma, or the bracket that ends the array.
    Comma,
    Line,
    /// One object is the only row.
    Nothing,
}

impl<'a> PageRows<'a> {
    /// Stands at the first row.
    pub(crate) fn new(page: &'a Page) -> Result<Self, JsonError> {
        let text = json::utf8(&page.body[..page.rows.end])?;
        let mut scanner = Scanner::new(text, page.rows.start);
        let separator = match page.format {
            PageFormat::Ndjson => Separator::Line,
            PageFormat::Json if scanner.peek() == Ok(b'[') => {
                scanner.expect(b'[', "expected `[`")?;
                Separator::Comma
            }
            PageFormat::Json => Separator::Nothing,
        };
        Ok(Self { scanner, separator })
    }

    /// What reads the row. It must be behind the row when [`leave`](Self::leave) is called.
    #[inline]
    pub(crate) fn scanner(&mut self) -> &mut Scanner<'a> {
        &mut self.scanner
    }

    /// Goes from the end of a row to the next.
    #[inline]
    pub(crate) fn leave(&mut self) -> Result<(), JsonError> {
        self.scanner.leave_row();
        match self.separator {
            Separator::Comma => self.scanner.more(b']').map(drop),
            Separator::Line => json::line_end(&mut self.scanner),
            Separator::Nothing => Ok(()),
        }
    }
}
