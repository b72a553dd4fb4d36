//! The series of a run: their names, and where in [`Metrics`] their values are.
//!
//! Names are OpenTelemetry's, in the form that Prometheus gives them, where its conventions have one.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use hdrhistogram::Histogram;
use prometheus::proto::{self, LabelPair, Metric, MetricFamily, MetricType};

use crate::channel::ChannelMetrics;
use crate::metrics::{Latency, Metrics, StageReport};
use crate::stage;

/// Upper bounds of buckets, in seconds: those that OpenTelemetry recommends for
/// `http.client.request.duration`, and two below them, because an API or a server nearby answers within
/// the first.
const BOUNDS_SECONDS: [f64; 16] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];

/// Those of the run report.
const QUANTILES: [f64; 3] = [0.5, 0.95, 0.99];

/// Series of one name.
pub(super) struct Family {
    pub(super) name: &'static str,
    pub(super) help: &'static str,
    read: Read,
}

/// Where the values are.
enum Read {
    Counter(fn(&Metrics) -> Numbers),
    Gauge(fn(&Metrics) -> Numbers),
    Histogram(fn(&Metrics) -> &Latency),
    Summary(fn(&Metrics) -> &Latency),
}

/// Values, each with a label (name and value) beside the module.
type Numbers = Vec<(Option<(&'static str, &'static str)>, f64)>;

/// What a family says of a run, or of several.
#[derive(Debug, Clone)]
pub(super) enum Reading {
    Numbers(Numbers),
    Times(Histogram<u64>),
}

impl Reading {
    /// Adds a reading of the same family.
    pub(super) fn add(&mut self, other: Self) {
        match (self, other) {
            (Self::Numbers(all), Self::Numbers(others)) => {
                for (one, other) in all.iter_mut().zip(others) {
                    one.1 += other.1;
                }
            }
            (Self::Times(all), Self::Times(other)) => {
                // They have the same bounds, so what one holds the other can.
                let _ = all.add(other);
            }
            _ => {}
        }
    }
}

pub(super) const FAMILIES: &[Family] = &[
    Family {
        name: "apitap_records_total",
        help: "Rows decoded from pages, encoded for PostgreSQL, and written. A connection counts its written rows when it ends.",
        read: Read::Counter(|metrics| {
            [
                ("read", metrics.rows_decoded.load(Relaxed)),
                ("encoded", metrics.encode.rows()),
                ("written", metrics.write.rows.load(Relaxed)),
            ]
            .map(|(stage, rows)| (Some(("stage", stage)), rows as f64))
            .to_vec()
        }),
    },
    Family {
        name: "apitap_http_requests_total",
        help: "Requests sent to APIs, retries included.",
        read: Read::Counter(|metrics| one(&metrics.source.requests)),
    },
    Family {
        name: "apitap_http_retries_total",
        help: "Requests sent again after a failure.",
        read: Read::Counter(|metrics| one(&metrics.source.retries)),
    },
    Family {
        name: "apitap_pages_total",
        help: "Pages accepted.",
        read: Read::Counter(|metrics| one(&metrics.source.pages)),
    },
    Family {
        name: "apitap_source_bytes_total",
        help: "Bytes of pages, after decompression.",
        read: Read::Counter(|metrics| one(&metrics.source.body_bytes)),
    },
    Family {
        name: "apitap_write_bytes_total",
        help: "Bytes of rows sent to PostgreSQL, without protocol headers.",
        read: Read::Counter(|metrics| one(&metrics.write.bytes)),
    },
    Family {
        name: "apitap_round_trips_total",
        help: "Round trips to PostgreSQL: something was sent, and the run waited for the answer.",
        read: Read::Counter(|metrics| one(&metrics.write.round_trips)),
    },
    Family {
        name: "http_client_request_duration_seconds",
        help: "From a request to the end of its body, per attempt.",
        read: Read::Histogram(|metrics| &metrics.source.latency),
    },
    Family {
        name: "apitap_http_latency_seconds",
        help: "From a request to the end of its body; quantiles of the run that started last.",
        read: Read::Summary(|metrics| &metrics.source.latency),
    },
    Family {
        name: "db_client_operation_duration_seconds",
        help: "From a flush to its acknowledgement; for COPY, until the connection took it.",
        read: Read::Histogram(|metrics| &metrics.write.latency),
    },
    Family {
        name: "apitap_write_latency_seconds",
        help: "From a flush to its acknowledgement; quantiles of the run that started last.",
        read: Read::Summary(|metrics| &metrics.write.latency),
    },
    Family {
        name: "apitap_channel_send_wait_seconds_total",
        help: "Time that senders waited for room in a channel (back-pressure).",
        read: Read::Counter(|metrics| edges(metrics, |edge| edge.send_wait().as_secs_f64())),
    },
    Family {
        name: "apitap_channel_receive_wait_seconds_total",
        help: "Time that receivers waited for rows in a channel (starvation).",
        read: Read::Counter(|metrics| edges(metrics, |edge| edge.receive_wait().as_secs_f64())),
    },
    Family {
        name: "apitap_channel_depth",
        help: "Rows that wait in a channel now. Rows larger than a KiB count by the KiB.",
        read: Read::Gauge(|metrics| edges(metrics, |edge| edge.depth_rows() as f64)),
    },
    Family {
        name: "apitap_channel_capacity",
        help: "Rows that may wait in the channels that are open now.",
        read: Read::Gauge(|metrics| edges(metrics, |edge| edge.capacity_rows() as f64)),
    },
    Family {
        name: "apitap_stage_busy_seconds_total",
        help: "Time that a stage worked, summed over lanes, without the stages inside it.",
        read: Read::Counter(|metrics| stages(metrics, |report| report.busy_seconds)),
    },
    Family {
        name: "apitap_stage_cpu_seconds_total",
        help: "Processor time of a stage, summed over lanes, without the stages inside it.",
        read: Read::Counter(|metrics| stages(metrics, |report| report.cpu_seconds)),
    },
    Family {
        name: "apitap_server_wait_seconds_total",
        help: "Time that the load waited for PostgreSQL.",
        read: Read::Counter(|metrics| vec![(None, metrics.write.wait.seconds())]),
    },
];

fn one(counter: &AtomicU64) -> Numbers {
    vec![(None, counter.load(Relaxed) as f64)]
}

fn edges(metrics: &Metrics, value: fn(&ChannelMetrics) -> f64) -> Numbers {
    let edges = [
        ("rows", &metrics.rows_channel),
        ("batches", &metrics.batches_channel),
    ];
    edges
        .map(|(name, edge)| (Some(("edge", name)), value(edge)))
        .to_vec()
}

fn stages(metrics: &Metrics, value: fn(&StageReport) -> f64) -> Numbers {
    stage::reports(metrics)
        .map(|(name, report)| (Some(("stage", name)), value(&report)))
        .collect()
}

impl Family {
    pub(super) fn kind(&self) -> MetricType {
        match self.read {
            Read::Counter(_) => MetricType::COUNTER,
            Read::Gauge(_) => MetricType::GAUGE,
            Read::Histogram(_) => MetricType::HISTOGRAM,
            Read::Summary(_) => MetricType::SUMMARY,
        }
    }

    /// Whether what a run adds stays when it has ended.
    pub(super) fn is_total(&self) -> bool {
        !matches!(self.read, Read::Gauge(_))
    }

    pub(super) fn read(&self, metrics: &Metrics) -> Reading {
        match self.read {
            Read::Counter(numbers) | Read::Gauge(numbers) => Reading::Numbers(numbers(metrics)),
            Read::Histogram(latency) | Read::Summary(latency) => {
                Reading::Times(latency(metrics).histogram())
            }
        }
    }

    /// The series of a module. Quantiles are those of its `latest` run: over all runs they would hide
    /// what happens now.
    pub(super) fn series(&self, module: &str, all: &Reading, latest: &Metrics) -> Vec<Metric> {
        let module = ("module", module);
        match (all, &self.read) {
            (Reading::Numbers(numbers), _) => numbers
                .iter()
                .map(|(label, value)| {
                    let labels: Vec<_> = [module].into_iter().chain(*label).collect();
                    number(self.kind(), &labels, *value)
                })
                .collect(),
            (Reading::Times(times), Read::Summary(latency)) => {
                let mut metric = Metric::from_label(pairs(&[module]));
                metric.set_summary(summary(times, &latency(latest).histogram()));
                vec![metric]
            }
            (Reading::Times(times), _) => {
                let mut metric = Metric::from_label(pairs(&[module]));
                metric.set_histogram(histogram(times));
                vec![metric]
            }
        }
    }
}

fn histogram(times: &Histogram<u64>) -> proto::Histogram {
    let buckets = BOUNDS_SECONDS.map(|bound| {
        let mut bucket = proto::Bucket::default();
        bucket.set_upper_bound(bound);
        bucket.set_cumulative_count(times.count_between(0, (bound * 1e6).round() as u64));
        bucket
    });
    let mut histogram = proto::Histogram::default();
    histogram.set_bucket(buckets.to_vec());
    histogram.set_sample_count(times.len());
    histogram.set_sample_sum(sum_seconds(times));
    histogram
}

fn summary(all: &Histogram<u64>, latest: &Histogram<u64>) -> proto::Summary {
    let quantiles = QUANTILES.map(|quantile| {
        let mut at = proto::Quantile::default();
        at.set_quantile(quantile);
        // As Prometheus's own clients say it of no observation.
        at.set_value(match latest.is_empty() {
            true => f64::NAN,
            false => latest.value_at_quantile(quantile) as f64 / 1e6,
        });
        at
    });
    let mut summary = proto::Summary::default();
    summary.set_quantile(quantiles.to_vec());
    summary.set_sample_count(all.len());
    summary.set_sample_sum(sum_seconds(all));
    summary
}

/// As exact as the distribution: to three digits.
fn sum_seconds(times: &Histogram<u64>) -> f64 {
    times.mean() * times.len() as f64 / 1e6
}

/// A series with one value.
pub(super) fn number(kind: MetricType, labels: &[(&str, &str)], value: f64) -> Metric {
    let mut metric = Metric::from_label(pairs(labels));
    if kind == MetricType::COUNTER {
        let mut counter = proto::Counter::default();
        counter.set_value(value);
        metric.set_counter(counter);
    } else {
        let mut gauge = proto::Gauge::default();
        gauge.set_value(value);
        metric.set_gauge(gauge);
    }
    metric
}

/// All series of a name.
pub(super) fn family(
    name: &str,
    help: &str,
    kind: MetricType,
    series: Vec<Metric>,
) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(name.into());
    family.set_help(help.into());
    family.set_field_type(kind);
    family.set_metric(series);
    family
}

fn pairs(labels: &[(&str, &str)]) -> Vec<LabelPair> {
    let pair = |(name, value): &(&str, &str)| {
        let mut pair = LabelPair::default();
        pair.set_name((*name).into());
        pair.set_value((*value).into());
        pair
    };
    labels.iter().map(pair).collect()
}
