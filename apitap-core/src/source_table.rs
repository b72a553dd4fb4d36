//! A source as the feed of a table: pages from the paginator, shared by lanes that decode them.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use arrow::array::RecordBatch;
use futures::stream::{self, BoxStream, Stream, StreamExt};
use tokio::task::JoinSet;

use crate::channel::{self, Receiver};
use crate::concurrency_time::Activity;
use crate::config::{Config, DecodePath, UnknownFields};
use crate::decode::rows::{self, Row, RowsDecoder};
use crate::decode::{NulSighting, TapeDecoder};
use crate::error::{Error, ErrorKind, Result, Stage};
use crate::infer::Columns;
use crate::metrics::{Metrics, RowCounter};
use crate::source::SourceSpec;
use crate::source::{self, Page, RowBudget};
use crate::stage::{self, PolledStream};
use crate::transform::{Feed, Lane, ScanRequest};

/// The pages of one source in a run: first those of the sample, then the others.
pub(crate) struct SourceFeed {
    spec: Arc<SourceSpec>,
    config: Config,
    metrics: Arc<Metrics>,
    nuls: NulSighting,
    counter: Arc<RowCounter>,
    budget: RowBudget,
    pages: Mutex<Option<BoxStream<'static, Result<Page>>>>,
}

impl fmt::Debug for SourceFeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SourceFeed({})", self.spec.name)
    }
}

/// A source that has begun: the pages already fetched, and the rest.
pub(crate) struct Begun {
    spec: Arc<SourceSpec>,
    pages: BoxStream<'static, Result<Page>>,
    metrics: Arc<Metrics>,
    budget: RowBudget,
    /// The first pages, as many as the sample needs.
    pub(crate) sample: Vec<Page>,
    is_sampled: bool,
}

impl Begun {
    /// The source's name.
    pub(crate) fn name(&self) -> &str {
        &self.spec.name
    }

    /// Begins a source without fetching anything.
    pub(crate) fn new(spec: Arc<SourceSpec>, config: &Config, metrics: Arc<Metrics>) -> Self {
        let budget = RowBudget::unlimited();
        let pages = source::pages(
            spec.clone(),
            config.source.clone(),
            metrics.clone(),
            budget.clone(),
        );
        Self {
            spec,
            pages: pages.boxed(),
            metrics,
            budget,
            sample: Vec::new(),
            is_sampled: false,
        }
    }

    /// Whether the source has ended without a row, as far as the sample says.
    pub(crate) fn has_no_rows(&self) -> bool {
        self.is_sampled && self.sample.iter().all(|page| page.row_count == 0)
    }

    /// Fetches pages until they hold `rows`, and no more.
    pub(crate) async fn fetch_sample(&mut self, rows: usize) -> Result<()> {
        let mut missing = rows;
        self.budget.set(Some(rows as u64));
        while missing > 0 {
            let wait = self.metrics.wait(Activity::PageWait);
            let Some(page) = self.pages.next().await else {
                break;
            };
            drop(wait);
            let page = page?;
            missing -= page.row_count.min(missing);
            self.sample.push(page);
        }
        self.is_sampled = true;
        Ok(())
    }

    /// Checks that the sample's rows, if there are any, have columns.
    pub(crate) fn check_columns(&self, columns: &Columns) -> Result<()> {
        let rows: usize = self.sample.iter().map(|page| page.row_count).sum();
        if rows == 0 || !columns.is_empty() {
            return Ok(());
        }
        let what = format!(
            "source {}: the first {rows} rows have no columns: they are empty objects",
            self.spec.name
        );
        Err(Error::new(ErrorKind::Value, Stage::Infer, what).hint(
            "declare the columns under the source's `columns`, raise infer.sample_rows, or check data_path",
        ))
    }

    /// The feed of the source's table.
    pub(crate) fn into_feed(
        self,
        config: &Config,
        nuls: NulSighting,
        counter: Arc<RowCounter>,
    ) -> SourceFeed {
        let sample = stream::iter(self.sample.into_iter().map(Ok));
        SourceFeed {
            spec: self.spec,
            config: config.clone(),
            metrics: self.metrics,
            nuls,
            counter,
            budget: self.budget,
            pages: Mutex::new(Some(sample.chain(self.pages).boxed())),
        }
    }
}

impl Feed for SourceFeed {
    fn open(&self, request: ScanRequest) -> Result<Vec<Lane>> {
        let pages = self
            .pages
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let pages = pages.ok_or_else(|| {
            Error::new(
                ErrorKind::Internal,
                Stage::Transform,
                format!("source {} was opened twice in one run", self.spec.name),
            )
        })?;
        self.budget.set(request.limit.map(|rows| rows as u64));
        let unknown = if request.wildcard {
            self.config.decode.unknown_fields
        } else {
            UnknownFields::Ignore
        };
        let pages = SharedPages {
            pages: Arc::new(tokio::sync::Mutex::new(pages)),
            metrics: self.metrics.clone(),
        };
        (0..request.lanes)
            .map(|_| match self.config.decode.path {
                DecodePath::Tape => Ok(self.tape_lane(pages.clone(), &request, unknown)),
                DecodePath::Rows => self.rows_lane(pages.clone(), &request, unknown),
            })
            .collect()
    }
}

impl SourceFeed {
    fn tape_lane(&self, pages: SharedPages, request: &ScanRequest, unknown: UnknownFields) -> Lane {
        let lane = TapeLane {
            decoder: TapeDecoder::new(
                &self.spec.name,
                request.schema.clone(),
                self.config.decode.batch_rows.get(),
                unknown,
                self.nuls.clone(),
            )
            .on_bad_text(self.spec.on_bad_text),
            ready: VecDeque::new(),
            pages,
            counter: self.counter.clone(),
        };
        self.staged(stream::try_unfold(lane, |mut lane| async move {
            let batch = lane.next().await?;
            Ok(batch.map(|batch| (batch, lane)))
        }))
    }

    /// A lane whose polls count as decoding.
    fn staged(&self, batches: impl Stream<Item = Result<RecordBatch>> + Send + 'static) -> Lane {
        let lane = PolledStream {
            stage: Activity::Decode,
            metrics: self.metrics.clone(),
            stream: Box::pin(batches),
        };
        lane.boxed()
    }

    fn rows_lane(
        &self,
        pages: SharedPages,
        request: &ScanRequest,
        unknown: UnknownFields,
    ) -> Result<Lane> {
        let capacity = self.config.channel.capacity.get();
        let (sender, receiver) = channel::bounded(capacity, self.metrics.rows_channel.clone());
        let decoder = RowsDecoder::new(
            &self.spec.name,
            request.schema.clone(),
            unknown,
            self.nuls.clone(),
        )?
        .on_bad_text(self.spec.on_bad_text);
        let (source, counter) = (self.spec.name.clone(), self.counter.clone());
        let metrics = self.metrics.clone();
        let parse = async move {
            loop {
                let rows = match pages.next().await {
                    Ok(None) => return,
                    Ok(Some(page)) => rows::parse(&source, &page),
                    Err(error) => Err(error),
                };
                match rows {
                    Ok(rows) => {
                        for row in rows {
                            counter.add(1).await;
                            if sender.send(Ok(row), 1, 0).await.is_err() {
                                return;
                            }
                        }
                    }
                    Err(error) => {
                        // If the receiver is gone, nobody needs the error.
                        let _ = sender.send(Err(error), 1, 0).await;
                        return;
                    }
                }
            }
        };
        let mut parser = JoinSet::new();
        parser.spawn(async move { stage::polled(Activity::Decode, &metrics, parse).await });
        let lane = RowsLane {
            decoder,
            rows: receiver,
            batch_rows: self.config.decode.batch_rows.get(),
            metrics: self.metrics.clone(),
            parser,
        };
        let batches = stream::try_unfold(lane, |mut lane| async move {
            let batch = lane.next().await?;
            Ok(batch.map(|batch| (batch, lane)))
        });
        Ok(self.staged(batches))
    }
}

/// The pages of a source, each given to one lane.
#[derive(Clone)]
struct SharedPages {
    pages: Arc<tokio::sync::Mutex<BoxStream<'static, Result<Page>>>>,
    metrics: Arc<Metrics>,
}

impl SharedPages {
    async fn next(&self) -> Result<Option<Page>> {
        let _wait = self.metrics.wait(Activity::PageWait);
        let start = Instant::now();
        let page = self.pages.lock().await.next().await.transpose();
        self.metrics.decode.waited(start.elapsed());
        page
    }
}

struct TapeLane {
    decoder: TapeDecoder,
    ready: VecDeque<RecordBatch>,
    pages: SharedPages,
    counter: Arc<RowCounter>,
}

impl TapeLane {
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        let metrics = self.pages.metrics.clone();
        loop {
            if let Some(batch) = self.ready.pop_front() {
                self.counter.add(batch.num_rows() as u64).await;
                metrics.decode.passed(batch.num_rows());
                metrics
                    .rows_decoded
                    .fetch_add(batch.num_rows() as u64, Relaxed);
                return Ok(Some(batch));
            }
            let Some(page) = self.pages.next().await? else {
                return Ok(None);
            };
            self.ready.extend(self.decoder.decode(&page)?);
        }
    }
}

/// Where a batch ends that spans pages: the offsets of its texts reach 2 GiB.
const BATCH_BYTES: usize = 64 << 20;

struct RowsLane {
    decoder: RowsDecoder,
    rows: Receiver<Result<Row>>,
    batch_rows: usize,
    metrics: Arc<Metrics>,
    /// Aborted when the lane is dropped.
    parser: JoinSet<()>,
}

impl RowsLane {
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        let Self {
            decoder,
            rows,
            batch_rows,
            metrics,
            parser,
        } = self;
        while decoder.len() < *batch_rows && decoder.bytes() < BATCH_BYTES {
            let Some(first) = rows.receive().await else {
                // A parser that panicked closes the channel like one that is done.
                while let Some(ended) = parser.join_next().await {
                    ended.map_err(panicked)?;
                }
                break;
            };
            decoder.push(&first?)?;
            while decoder.len() < *batch_rows
                && decoder.bytes() < BATCH_BYTES
                && let Some(row) = rows.receive_now()
            {
                decoder.push(&row?)?;
            }
        }
        if decoder.is_empty() {
            return Ok(None);
        }
        let count = decoder.len();
        let batch = decoder.flush()?;
        metrics.decode.passed(count);
        metrics.rows_decoded.fetch_add(count as u64, Relaxed);
        Ok(Some(batch))
    }
}

fn panicked(error: tokio::task::JoinError) -> Error {
    Error::new(ErrorKind::Internal, Stage::Decode, "the parser panicked").caused_by(error)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::schema::ColumnType;
    use crate::source::PageFormat;

    #[tokio::test]
    async fn rows_without_columns_are_called_that() {
        let url = "http://127.0.0.1/".parse().unwrap();
        let spec = Arc::new(SourceSpec::new("orders", url));
        let mut begun = Begun::new(spec, &Config::default(), Arc::default());
        assert!(begun.check_columns(&Vec::new()).is_ok(), "no rows at all");
        begun.sample.push(Page {
            index: 1,
            body: Bytes::from_static(b"[{},{}]"),
            rows: 0..7,
            row_count: 2,
            format: PageFormat::Json,
        });
        let error = begun.check_columns(&Vec::new()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "infer: source orders: the first 2 rows have no columns: they are empty objects"
        );
        let declared = vec![("a".to_owned(), ColumnType::Text)];
        assert!(begun.check_columns(&declared).is_ok());
    }
}
