//! A run over time: what it has done and how it fares, ten times a second.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::metrics::{LatencyReport, Metrics, resident_memory_bytes};

/// How often a [`Timeline`] looks by default.
pub const INTERVAL: Duration = Duration::from_millis(100);

/// A run at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Moment {
    /// Since the timeline began.
    pub seconds: f64,
    /// Rows decoded so far.
    pub rows_read: u64,
    /// Rows encoded for PostgreSQL so far.
    pub rows_encoded: u64,
    /// Requests that ended since the moment before, with their retries.
    pub http_latency: LatencyReport,
    /// Flushes that ended since the moment before.
    pub write_latency: LatencyReport,
    /// Memory that the process holds; none if the system does not say.
    pub memory_bytes: Option<u64>,
    /// Rows that wait between the plan and the writers.
    pub depth_rows: u64,
    /// Seconds that senders have waited for room so far, in all channels.
    pub send_wait_seconds: f64,
}

/// Looks at a run from a thread of its own until it is stopped.
#[derive(Debug)]
pub struct Timeline {
    stop: Sender<()>,
    thread: JoinHandle<Vec<Moment>>,
}

impl Timeline {
    /// Begins to look at a run, every `interval`.
    pub fn start(metrics: Arc<Metrics>, interval: Duration) -> Self {
        let (stop, stopped) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            let begun = Instant::now();
            let mut observer = Observer::default();
            let mut moments = Vec::new();
            loop {
                let ended = stopped.recv_timeout(interval) != Err(RecvTimeoutError::Timeout);
                moments.push(observer.look(&metrics, begun.elapsed()));
                if ended {
                    return moments;
                }
            }
        });
        Self { stop, thread }
    }

    /// Looks once more and returns every moment, in order.
    pub fn stop(self) -> Vec<Moment> {
        // Fails only where the thread has ended already.
        let _ = self.stop.send(());
        self.thread.join().unwrap_or_default()
    }
}

/// What was known at the moment before.
#[derive(Default)]
struct Observer {
    http: Option<Histogram<u64>>,
    write: Option<Histogram<u64>>,
}

impl Observer {
    fn look(&mut self, metrics: &Metrics, since: Duration) -> Moment {
        let (rows, batches) = (&metrics.rows_channel, &metrics.batches_channel);
        Moment {
            seconds: since.as_secs_f64(),
            rows_read: metrics.rows_decoded.load(Relaxed),
            rows_encoded: metrics.encode.rows(),
            http_latency: news(&mut self.http, metrics.source.latency.histogram()),
            write_latency: news(&mut self.write, metrics.write.latency.histogram()),
            memory_bytes: resident_memory_bytes(),
            depth_rows: batches.depth_rows(),
            send_wait_seconds: rows.send_wait().as_secs_f64() + batches.send_wait().as_secs_f64(),
        }
    }
}

/// What is in `now` and was not in `before`, which then becomes `now`.
fn news(before: &mut Option<Histogram<u64>>, now: Histogram<u64>) -> LatencyReport {
    let mut fresh = now.clone();
    if let Some(known) = before.replace(now) {
        // It holds no more than its successor does.
        let _ = fresh.subtract(known);
    }
    LatencyReport::from_histogram(&fresh)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_have_what_is_new_and_what_is_so_far() {
        let metrics = Arc::new(Metrics::default());
        let mut observer = Observer::default();
        metrics.source.latency.record(Duration::from_millis(2));
        metrics.rows_decoded.store(10, Relaxed);
        let first = observer.look(&metrics, Duration::from_secs(1));
        metrics.source.latency.record(Duration::from_millis(40));
        let second = observer.look(&metrics, Duration::from_secs(2));
        let third = observer.look(&metrics, Duration::from_secs(3));
        assert_eq!((first.rows_read, third.rows_read), (10, 10));
        assert_eq!(first.http_latency.count, 1);
        assert_eq!(second.http_latency.count, 1);
        assert!((second.http_latency.p50_ms - 40.0).abs() < 0.1);
        assert_eq!(third.http_latency, LatencyReport::default());
    }

    #[test]
    fn a_timeline_ends_with_the_last_moment() {
        let metrics = Arc::new(Metrics::default());
        let timeline = Timeline::start(metrics.clone(), Duration::from_millis(5));
        std::thread::sleep(Duration::from_millis(30));
        metrics.rows_decoded.store(7, Relaxed);
        let moments = timeline.stop();
        assert!(moments.len() >= 2, "{moments:?}");
        assert_eq!(moments.last().map(|moment| moment.rows_read), Some(7));
        assert!(moments.is_sorted_by(|a, b| a.seconds <= b.seconds));
    }
}
