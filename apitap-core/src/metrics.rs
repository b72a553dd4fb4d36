//! What a run counts and times, by stage.
//!
//! Everything here is updated once per page, batch or flush, never once per row, except
//! the row counter, whose cost is itself one of the things measured.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::channel::ChannelMetrics;
use crate::concurrency_time::{Activities, Activity, Wait};
use crate::config::{Counter, Observe};

/// Everything one run measures about itself.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Rows decoded so far, for progress.
    pub rows_decoded: AtomicU64,
    /// Rows from the parser to the decoder, on the rows path.
    pub rows_channel: Arc<ChannelMetrics>,
    /// Batches from the plan to the writers.
    pub batches_channel: Arc<ChannelMetrics>,
    /// Requests and bytes from the API.
    pub source: SourceMetrics,
    /// JSON to Arrow; on the rows path with the work for the channel of rows.
    pub decode: StageMetrics,
    /// Schema inference.
    pub infer: StageMetrics,
    /// Planning the query, and the polls of its lanes.
    pub sql: StageMetrics,
    /// Arrow to the wire format.
    pub encode: StageMetrics,
    /// Statements and bytes to PostgreSQL.
    pub write: WriteMetrics,
    /// What went on at the same time.
    pub activities: Activities,
    /// Whether times are not taken; see [`Observe`].
    unobserved: AtomicBool,
}

impl Metrics {
    /// Sets whether times are taken. By default they are.
    pub fn observe(&self, observe: Observe) {
        self.unobserved.store(observe == Observe::Off, Relaxed);
    }

    /// Whether times are taken.
    pub fn is_observed(&self) -> bool {
        !self.unobserved.load(Relaxed)
    }

    /// Notes a wait until the guard is dropped, if times are taken.
    pub(crate) fn wait(&self, activity: Activity) -> Option<Wait<'_>> {
        self.is_observed().then(|| self.activities.wait(activity))
    }
}

/// Busy time of one stage.
#[derive(Debug, Default)]
pub struct StageMetrics {
    busy_ns: AtomicU64,
    cpu_ns: AtomicU64,
    wait_ns: AtomicU64,
    rows: AtomicU64,
}

/// What one stage did in a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct StageReport {
    /// Seconds spent working, summed over lanes, without the stages inside it.
    pub busy_seconds: f64,
    /// Seconds on a processor among them, by the thread's own clock.
    pub cpu_seconds: f64,
    /// Seconds spent waiting for the stage before or after.
    pub wait_seconds: f64,
    /// Rows that passed.
    pub rows: u64,
}

thread_local! {
    /// Wall and processor time that stages on this thread have taken from the one around them.
    static WITHIN: Cell<(Duration, Duration)> = const { Cell::new((Duration::ZERO, Duration::ZERO)) };
}

impl StageMetrics {
    /// Runs `work` on the clock of this stage. Not for work that awaits.
    ///
    /// The work of another stage inside it, on the same thread, counts only for that stage.
    pub(crate) fn time<T>(&self, work: impl FnOnce() -> T) -> T {
        let around = WITHIN.take();
        let cpu = thread_cpu();
        let start = Instant::now();
        let result = work();
        let (wall, cpu) = (start.elapsed(), thread_cpu().saturating_sub(cpu));
        let within = WITHIN.replace((around.0 + wall, around.1 + cpu));
        let own = |all: Duration, within| nanoseconds(all.saturating_sub(within));
        self.busy_ns.fetch_add(own(wall, within.0), Relaxed);
        self.cpu_ns.fetch_add(own(cpu, within.1), Relaxed);
        result
    }

    /// Adds time spent waiting.
    pub fn waited(&self, duration: Duration) {
        self.wait_ns.fetch_add(nanoseconds(duration), Relaxed);
    }

    /// Adds rows that passed.
    pub fn passed(&self, rows: usize) {
        self.rows.fetch_add(rows as u64, Relaxed);
    }

    /// Rows that passed so far.
    pub fn rows(&self) -> u64 {
        self.rows.load(Relaxed)
    }

    /// The totals so far.
    pub fn report(&self) -> StageReport {
        StageReport {
            busy_seconds: seconds(&self.busy_ns),
            cpu_seconds: seconds(&self.cpu_ns),
            wait_seconds: seconds(&self.wait_ns),
            rows: self.rows.load(Relaxed),
        }
    }
}

/// Requests and bytes from the API.
#[derive(Debug, Default)]
pub struct SourceMetrics {
    /// Requests sent, retries included.
    pub requests: AtomicU64,
    /// Requests sent again after a failure.
    pub retries: AtomicU64,
    /// Pages accepted.
    pub pages: AtomicU64,
    /// Bytes of bodies after decompression.
    pub body_bytes: AtomicU64,
    /// From sending a request to the end of its body, per attempt.
    pub latency: Latency,
    /// The requests' own work, without that of the client's connections.
    pub fetch: StageMetrics,
    /// Looking through pages for rows and cursors.
    pub scan: StageMetrics,
}

/// Statements and bytes to PostgreSQL.
#[derive(Debug, Default)]
pub struct WriteMetrics {
    /// Flushes: statements, or buffers handed to a COPY.
    pub flushes: AtomicU64,
    /// Statements that hold rows, and what a load takes to begin and end them: the preparation of a
    /// statement, COPY, DDL and transaction control on the load's own connection. Look-ups, locks and
    /// the swap of tables are not among them, nor is transaction control on further connections.
    pub statements: AtomicU64,
    /// Requests to the server that waited for an answer, of every kind, without those of connecting.
    /// Requests that were under way together and answered together count as one.
    pub round_trips: AtomicU64,
    /// Bytes of rows sent, without protocol headers: exact for COPY; for statements the size of
    /// the values in Arrow.
    pub bytes: AtomicU64,
    /// From handing over a flush to its acknowledgement; for COPY, until the connection took it.
    pub latency: Latency,
    /// Rows handed to PostgreSQL.
    pub rows: AtomicU64,
    /// When the first of them was: set by the first flush with rows.
    pub first_rows: OnceLock<Instant>,
    /// When there was something to write: the first batch, or the whole result where it is collected.
    pub begun: OnceLock<Instant>,
    /// Driving the connections.
    pub send: StageMetrics,
    /// Who works for the run at the server.
    pub backends: Backends,
    /// Waiting for the server.
    pub wait: WaitMetrics,
}

impl WriteMetrics {
    /// Notes that there is something to write.
    pub(crate) fn begins(&self) {
        self.begun.get_or_init(Instant::now);
    }

    /// Notes that a flush with rows was handed over.
    pub fn handed_over(&self) {
        self.first_rows.get_or_init(Instant::now);
    }
}

/// The server's processes that work for a run.
#[derive(Debug, Default)]
pub struct Backends {
    processes: Mutex<Vec<i32>>,
    are_all: AtomicBool,
}

impl Backends {
    /// Their ids, in the order in which they began.
    pub fn processes(&self) -> Vec<i32> {
        self.locked().clone()
    }

    /// Whether the run has all the connections that it loads through.
    pub fn are_all(&self) -> bool {
        self.are_all.load(Relaxed)
    }

    pub(crate) fn add(&self, process: i32) {
        self.locked().push(process);
    }

    /// Notes that no connection will follow.
    pub(crate) fn set_all(&self) {
        self.are_all.store(true, Relaxed);
    }

    fn locked(&self) -> MutexGuard<'_, Vec<i32>> {
        self.processes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Time spent waiting.
#[derive(Debug, Default)]
pub struct WaitMetrics(AtomicU64);

impl WaitMetrics {
    /// Adds time.
    pub fn add(&self, duration: Duration) {
        self.0.fetch_add(nanoseconds(duration), Relaxed);
    }

    /// The total so far, in seconds.
    pub fn seconds(&self) -> f64 {
        seconds(&self.0)
    }
}

/// A latency distribution, 1 µs to an hour at three digits.
#[derive(Debug)]
pub struct Latency(Mutex<Histogram<u64>>);

/// Percentiles of a latency distribution, in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct LatencyReport {
    /// Values recorded.
    pub count: u64,
    /// Median.
    pub p50_ms: f64,
    /// 95th percentile.
    pub p95_ms: f64,
    /// 99th percentile.
    pub p99_ms: f64,
    /// Largest.
    pub max_ms: f64,
}

impl Default for Latency {
    fn default() -> Self {
        const HOUR_US: u64 = 3_600_000_000;
        // The bounds are constants that the histogram accepts; auto-resizing is the fallback.
        let histogram = Histogram::new_with_bounds(1, HOUR_US, 3)
            .or_else(|_| Histogram::new(3))
            .unwrap_or_else(|_| unreachable!("three significant digits are valid"));
        Self(Mutex::new(histogram))
    }
}

impl Latency {
    /// Adds one duration.
    pub fn record(&self, duration: Duration) {
        let mut histogram = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        histogram.saturating_record((duration.as_micros() as u64).max(1));
    }

    /// The percentiles so far.
    pub fn report(&self) -> LatencyReport {
        LatencyReport::from_histogram(&self.histogram())
    }

    /// The distribution so far, in microseconds.
    pub fn histogram(&self) -> Histogram<u64> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl LatencyReport {
    /// The percentiles of a distribution in microseconds.
    pub fn from_histogram(histogram: &Histogram<u64>) -> Self {
        let at = |quantile| histogram.value_at_quantile(quantile) as f64 / 1_000.0;
        if histogram.is_empty() {
            return Self::default();
        }
        Self {
            count: histogram.len(),
            p50_ms: at(0.5),
            p95_ms: at(0.95),
            p99_ms: at(0.99),
            max_ms: histogram.max() as f64 / 1_000.0,
        }
    }
}

/// Counts rows one by one, as the configuration says.
#[derive(Debug)]
pub enum RowCounter {
    /// See [`Counter::Mutex`].
    Mutex(tokio::sync::Mutex<u64>),
    /// See [`Counter::Atomic`].
    Atomic(AtomicU64),
}

impl RowCounter {
    /// A counter at zero.
    pub fn new(kind: Counter) -> Self {
        match kind {
            Counter::Mutex => Self::Mutex(tokio::sync::Mutex::new(0)),
            Counter::Atomic => Self::Atomic(AtomicU64::new(0)),
        }
    }

    /// Adds `rows`.
    pub async fn add(&self, rows: u64) {
        match self {
            Self::Mutex(count) => *count.lock().await += rows,
            Self::Atomic(count) => {
                count.fetch_add(rows, Relaxed);
            }
        }
    }

    /// The count so far.
    pub async fn total(&self) -> u64 {
        match self {
            Self::Mutex(count) => *count.lock().await,
            Self::Atomic(count) => count.load(Relaxed),
        }
    }
}

/// The processor time of the calling thread.
pub fn thread_cpu() -> Duration {
    cpu_time::ThreadTime::now().as_duration()
}

/// The processor time and the peak memory of this process, if the system says.
pub fn process_usage() -> ProcessUsage {
    ProcessUsage {
        cpu_seconds: cpu_time::ProcessTime::now().as_duration().as_secs_f64(),
        user_cpu_seconds: user_cpu_seconds(),
        peak_memory_bytes: own_status("VmHWM:"),
    }
}

/// `/proc/self/stat` has it in ticks of a hundredth of a second, whatever the kernel's own tick is
/// (`USER_HZ`, proc(5)): the twelfth field after the command, which is in parentheses.
fn user_cpu_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    let ticks: f64 = fields.split_ascii_whitespace().nth(11)?.parse().ok()?;
    Some(ticks / 100.0)
}

/// Memory of this process now, if the system says.
pub fn resident_memory_bytes() -> Option<u64> {
    own_status("VmRSS:")
}

/// A size from `/proc/self/status`, which has it in kB.
fn own_status(name: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let size = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kilobytes: u64 = size.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kilobytes * 1024)
}

/// What a process used so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct ProcessUsage {
    /// User and system time of all threads.
    pub cpu_seconds: f64,
    /// The user time among it, to a hundredth of a second; none if `/proc` does not say.
    #[serde(default)]
    pub user_cpu_seconds: Option<f64>,
    /// Peak resident memory; none if `/proc` does not say.
    pub peak_memory_bytes: Option<u64>,
}

fn nanoseconds(duration: Duration) -> u64 {
    duration.as_nanos() as u64
}

fn seconds(counter: &AtomicU64) -> f64 {
    counter.load(Relaxed) as f64 / 1e9
}
