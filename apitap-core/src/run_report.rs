//! What a run did, how long each stage took, and the configuration that did it.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::channel::ChannelReport;
use crate::concurrency_time::ActivityTime;
use crate::config::{Config, DecodePath};
use crate::metrics::{LatencyReport, Metrics, ProcessUsage, StageReport, process_usage};

/// The report of one run, as JSON with stable names.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunReport {
    /// The module that ran.
    pub module: String,
    /// The table that it loaded.
    pub table: String,
    /// Rows that the sources delivered.
    pub rows_read: u64,
    /// Rows that PostgreSQL took.
    pub rows_written: u64,
    /// From the start of the run to its commit.
    pub wall_seconds: f64,
    /// From the start of the run until its first rows were handed to PostgreSQL: the first piece
    /// of a COPY, or the first statement with rows. None if there was no row.
    pub first_row_seconds: Option<f64>,
    /// From the first batch that was there to be written until the commit. With `transform.streaming=false` the
    /// whole result is there by then, and this is what writing alone takes. None if there was no row, and in
    /// reports of versions that did not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub write_seconds: Option<f64>,
    /// Rows written per second of wall time.
    pub rows_per_second: f64,
    /// Bytes of pages, after decompression.
    pub source_bytes: u64,
    /// Bytes of rows sent to PostgreSQL: exact for COPY; for statements the size of the values in
    /// Arrow.
    pub write_bytes: u64,
    /// Requests sent, those sent again, and pages accepted.
    pub http: HttpReport,
    /// From a request to the end of its body.
    pub http_latency: LatencyReport,
    /// From a flush to its acknowledgement; for COPY, until the connection took it.
    pub write_latency: LatencyReport,
    /// Statements sent to PostgreSQL; not those that only look something up or swap tables.
    pub statements: u64,
    /// Times that something was sent to PostgreSQL and its answer read before going on, look-ups
    /// included and connecting not. It repeats exactly where no statements are under way at once
    /// (COPY, or `write.in_flight` of 1), on one connection. 0 in reports of versions that did not
    /// count.
    #[serde(default)]
    pub round_trips: u64,
    /// Flushes to PostgreSQL.
    pub flushes: u64,
    /// Each stage.
    pub stages: StagesReport,
    /// Each channel.
    pub channels: ChannelsReport,
    /// What went on at the same time, and for how long: adds up to `wall_seconds`. Empty in reports
    /// of versions that did not say.
    #[serde(default)]
    pub activities: Vec<ActivityTime>,
    /// Processor time and peak memory of the process so far.
    pub process: ProcessUsage,
    /// The configuration.
    pub config: Config,
}

/// Requests to the APIs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct HttpReport {
    /// Sent, retries included.
    pub requests: u64,
    /// Sent again after a failure.
    pub retries: u64,
    /// Accepted as pages.
    pub pages: u64,
}

/// Busy, processor and waiting time of each stage.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct StagesReport {
    /// The requests' own work. Absent, like `send`, in reports of versions that did not say.
    #[serde(default)]
    pub fetch: StageReport,
    /// Looking through pages for rows and cursors.
    pub source: StageReport,
    /// JSON to Arrow.
    pub decode: StageReport,
    /// Schema inference.
    pub infer: StageReport,
    /// SQL.
    pub transform: StageReport,
    /// Arrow to the wire format.
    pub encode: StageReport,
    /// Driving the connections to PostgreSQL.
    #[serde(default)]
    pub send: StageReport,
    /// Waiting for PostgreSQL.
    pub write: StageReport,
}

/// The channels between stages.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ChannelsReport {
    /// Rows from the parser to the decoder; only the rows path has it.
    pub rows: Option<ChannelReport>,
    /// Batches from the plan to the writers.
    pub batches: ChannelReport,
}

impl RunReport {
    pub(crate) fn new(
        module: &str,
        table: String,
        rows_read: u64,
        start: Instant,
        metrics: &Metrics,
        config: &Config,
    ) -> Self {
        let end = Instant::now();
        let wall = end.duration_since(start).as_secs_f64();
        let first_rows = metrics.write.first_rows.get();
        let rows_written = metrics.write.rows.load(Relaxed);
        let capacity = config.channel.capacity.get();
        Self {
            module: module.to_owned(),
            table,
            rows_read,
            rows_written,
            wall_seconds: wall,
            first_row_seconds: first_rows.map(|at| at.duration_since(start).as_secs_f64()),
            write_seconds: metrics
                .write
                .begun
                .get()
                .map(|at| end.duration_since(*at).as_secs_f64()),
            rows_per_second: rows_written as f64 / wall,
            source_bytes: metrics.source.body_bytes.load(Relaxed),
            write_bytes: metrics.write.bytes.load(Relaxed),
            http: HttpReport {
                requests: metrics.source.requests.load(Relaxed),
                retries: metrics.source.retries.load(Relaxed),
                pages: metrics.source.pages.load(Relaxed),
            },
            http_latency: metrics.source.latency.report(),
            write_latency: metrics.write.latency.report(),
            statements: metrics.write.statements.load(Relaxed),
            round_trips: metrics.write.round_trips.load(Relaxed),
            flushes: metrics.write.flushes.load(Relaxed),
            stages: stages(metrics),
            channels: ChannelsReport {
                rows: (config.decode.path == DecodePath::Rows)
                    .then(|| metrics.rows_channel.report(capacity)),
                batches: metrics.batches_channel.report(capacity),
            },
            activities: metrics.activities.times(),
            process: process_usage(),
            config: config.clone(),
        }
    }
}

fn stages(metrics: &Metrics) -> StagesReport {
    StagesReport {
        fetch: metrics.source.fetch.report(),
        source: metrics.source.scan.report(),
        decode: metrics.decode.report(),
        infer: metrics.infer.report(),
        transform: metrics.sql.report(),
        encode: metrics.encode.report(),
        send: metrics.write.send.report(),
        write: StageReport {
            wait_seconds: metrics.write.wait.seconds(),
            rows: metrics.write.rows.load(Relaxed),
            ..StageReport::default()
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_the_same_after_its_way_through_json() {
        let start = Instant::now();
        let (empty, loaded) = (Metrics::default(), Metrics::default());
        loaded.write.handed_over();
        loaded.write.round_trips.store(7, Relaxed);
        let report = |metrics| {
            let config = Config::default();
            RunReport {
                // Whole numbers, because JSON may round the last digit of others.
                wall_seconds: 2.0,
                rows_per_second: 0.0,
                process: ProcessUsage::default(),
                activities: Vec::new(),
                ..RunReport::new("m", "t".into(), 0, start, metrics, &config)
            }
        };
        let (empty, mut loaded) = (report(&empty), report(&loaded));
        assert_eq!(empty.first_row_seconds, None);
        assert!(loaded.first_row_seconds.is_some());
        loaded.first_row_seconds = Some(0.5);
        for report in [empty, loaded] {
            let json = serde_json::to_string(&report).unwrap();
            assert_eq!(serde_json::from_str::<RunReport>(&json).unwrap(), report);
            // As it was written before the field was there.
            let mut older: serde_json::Value = serde_json::from_str(&json).unwrap();
            let fields = older.as_object_mut().unwrap();
            fields.remove("first_row_seconds");
            fields.remove("round_trips");
            let older: RunReport = serde_json::from_value(older).unwrap();
            assert_eq!((older.first_row_seconds, older.round_trips), (None, 0));
        }
    }
}
