//! What a table asks of the rows behind it.

use std::fmt;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use futures::stream::BoxStream;

/// Batches of one lane, in order.
pub type Lane = BoxStream<'static, crate::Result<RecordBatch>>;

/// What a query needs from a source.
#[derive(Debug, Clone)]
pub struct ScanRequest {
    /// The columns, of the source's schema and in its order.
    pub schema: SchemaRef,
    /// Whether the query selects `*`: a key that the schema does not have would then be lost.
    pub wildcard: bool,
    /// Number of rows that suffice. A hint: lanes may yield more, and the plan drops the rest.
    pub limit: Option<usize>,
    /// How many lanes share the rows.
    pub lanes: usize,
}

/// Where the rows of a table come from.
pub trait Feed: fmt::Debug + Send + Sync {
    /// Opens the lanes of a scan.
    ///
    /// # Errors
    /// A feed that cannot be opened (again).
    fn open(&self, request: ScanRequest) -> crate::Result<Vec<Lane>>;
}
