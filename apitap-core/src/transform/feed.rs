//! What a table asks of the rows behind it.

use std::fmt;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use futures::stream::BoxStream;

/// Batches of one lane, in order.
pub type Lane = BoxStream<'static, crate::Result<RecordBatch>>;

/// What a query needs of a source.
#[derive(Debug, Clone)]
pub struct ScanRequest {
    /// The columns, of the source's schema and in its order.
    pub schema: SchemaRef,
    /// Whether the query asks for every column there is, by `*`: a key that the schema lacks
    /// would then be lost.
    pub wildcard: bool,
    /// Rows after which no more are needed. A hint: lanes may yield more, and the plan cuts them.
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
