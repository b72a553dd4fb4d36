//! The table of metrics: everything that loads are compared by, each described once.
//!
//! A new metric is a variant of [`Metric`] with its [`Description`], and an entry in
//! [`Metric::COMPARED`] or [`Metric::GATED`]. Its figure, if it is a new one, is a field of
//! [`Measurements`], or one of the engine's report, which a sample keeps.

mod determinism;

use std::fmt;

use anyhow::bail;
use apitap_core::Config;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::format::{Bytes, Number, Seconds, Whole};
use crate::samples::Measurements;

/// Something that loads are compared by.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Wall time of a load.
    WallSeconds,
    /// CPU time of the engine.
    ClientCpuSeconds,
    /// CPU time of PostgreSQL.
    ServerCpuSeconds,
    /// Time until the first rows leave for PostgreSQL.
    FirstRowSeconds,
    /// Time from the first batch that is there to be written until the commit.
    WriteSeconds,
    /// Largest resident size of the engine.
    PeakMemoryBytes,
    /// SQL statements of a load.
    Statements,
    /// Times that the engine sent something to PostgreSQL and waited for its answer, in a load.
    RoundTrips,
    /// Bytes of rows sent to PostgreSQL by a load.
    BytesToServer,
    /// Body bytes of the API's responses in a load.
    BytesFromApi,
    /// Allocations of a load, by row.
    AllocationsPerRow,
    /// Bytes of these allocations, by row.
    AllocatedBytesPerRow,
    /// Instructions of decoding a row, under valgrind.
    DecodeInstructionsPerRow,
    /// Instructions of encoding a row, under valgrind.
    EncodeInstructionsPerRow,
    /// CPU time of the engine, by million rows that it reads.
    ClientCpuSecondsPerMillionRows,
    /// CPU time of PostgreSQL, by million rows that the engine reads.
    ServerCpuSecondsPerMillionRows,
    /// Rows read in a second of wall time.
    RowsPerSecond,
}

/// How repeatable a metric is, the most repeatable first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tier {
    /// Counted: the same in every run of one program.
    Counter,
    /// CPU time: hardly affected by other work on the host.
    Cpu,
    /// Wall time and memory: what users notice, and the least repeatable.
    Wall,
}

/// Everything there is to know about a metric.
struct Description {
    /// In files and on the command line.
    name: &'static str,
    /// In tables and sentences.
    label: &'static str,
    unit: &'static str,
    tier: Tier,
    source: Source,
    /// By how much it may be worse in a gate, unless the caller says otherwise. What is counted on
    /// the wire does not move by itself. Allocations and instructions move a little with any update
    /// of compiler or dependencies: 1% allows that. Limits of times are a multiple of their noise
    /// (METHODOLOGY.md has it).
    limit: f64,
    /// By how much it may vary, as `determinism` says.
    tolerance: fn(&Config) -> Option<f64>,
}

/// Where its values come from.
enum Source {
    /// A figure of a sample, less is better.
    Sample(fn(&Measurements) -> Option<f64>),
    /// Such a figure, by million rows.
    PerMillionRows(Metric),
    /// Rows by such a figure: the only metrics of which more is better.
    RowsPer(Metric),
    /// A run of its own: samples do not have it.
    OwnRun,
}

/// The limit of what no gate judges.
const NO_LIMIT: f64 = f64::INFINITY;

impl Metric {
    /// Those that experiments compare arms by. Of each, less is better.
    pub const COMPARED: [Self; 6] = [
        Self::WallSeconds,
        Self::ClientCpuSeconds,
        Self::ServerCpuSeconds,
        Self::FirstRowSeconds,
        Self::WriteSeconds,
        Self::PeakMemoryBytes,
    ];

    /// Those that every comparison is judged by, whatever its claim is about.
    pub const ALWAYS: [Self; 3] = [
        Self::WallSeconds,
        Self::ClientCpuSeconds,
        Self::ServerCpuSeconds,
    ];

    /// Those that a gate judges, in the order in which they are judged and shown.
    pub const GATED: [Self; 11] = [
        Self::Statements,
        Self::RoundTrips,
        Self::BytesToServer,
        Self::BytesFromApi,
        Self::AllocationsPerRow,
        Self::AllocatedBytesPerRow,
        Self::DecodeInstructionsPerRow,
        Self::EncodeInstructionsPerRow,
        Self::ClientCpuSecondsPerMillionRows,
        Self::ServerCpuSecondsPerMillionRows,
        Self::RowsPerSecond,
    ];

    #[rustfmt::skip]
    fn description(self) -> Description {
        use Source::{OwnRun, PerMillionRows, RowsPer, Sample};
        use Tier::{Counter, Cpu, Wall};
        let row = |name, label, unit, tier, source, limit, tolerance| Description {
            name,
            label,
            unit,
            tier,
            source,
            limit,
            tolerance,
        };
        match self {
            Self::WallSeconds                    => row("wall_seconds",                        "time",                    "s",                Wall,    Sample(|one| Some(one.wall_seconds)),              NO_LIMIT, determinism::varies),
            Self::ClientCpuSeconds               => row("client_cpu_seconds",                  "client CPU",              "s",                Cpu,     Sample(|one| Some(one.client_cpu_seconds)),        NO_LIMIT, determinism::varies),
            Self::ServerCpuSeconds               => row("server_cpu_seconds",                  "server CPU",              "s",                Cpu,     Sample(|one| one.server_cpu_seconds),              NO_LIMIT, determinism::varies),
            Self::FirstRowSeconds                => row("first_row_seconds",                   "first-row time",          "s",                Wall,    Sample(|one| one.first_row_seconds),               NO_LIMIT, determinism::varies),
            Self::WriteSeconds                   => row("write_seconds",                       "write time",              "s",                Wall,    Sample(|one| one.extra["write_seconds"].as_f64()), NO_LIMIT, determinism::varies),
            Self::PeakMemoryBytes                => row("peak_memory_bytes",                   "peak memory",             "B",                Wall,    Sample(|one| Some(one.peak_memory_bytes? as f64)), NO_LIMIT, determinism::varies),
            Self::Statements                     => row("statements",                          "statements",              "statements",       Counter, Sample(|one| Some(one.statements as f64)),         0.0,      determinism::statements),
            Self::RoundTrips                     => row("round_trips",                         "round trips",             "round trips",      Counter, Sample(|one| Some(one.round_trips? as f64)),       0.0,      determinism::round_trips),
            Self::BytesToServer                  => row("bytes_to_server",                     "bytes to server",         "B",                Counter, Sample(|one| Some(one.bytes_to_server as f64)),    0.0,      determinism::bytes_to_server),
            Self::BytesFromApi                   => row("bytes_from_api",                      "bytes from API",          "B",                Counter, Sample(|one| Some(one.bytes_from_api as f64)),     0.0,      determinism::bytes_from_api),
            Self::AllocationsPerRow              => row("allocations_per_row",                 "allocations/row",         "allocations/row",  Counter, OwnRun,                                            0.01,     determinism::allocations),
            Self::AllocatedBytesPerRow           => row("allocated_bytes_per_row",             "allocated bytes/row",     "B/row",            Counter, OwnRun,                                            0.01,     determinism::allocations),
            Self::DecodeInstructionsPerRow       => row("decode_instructions_per_row",         "decode instructions/row", "instructions/row", Counter, OwnRun,                                            0.01,     determinism::instructions),
            Self::EncodeInstructionsPerRow       => row("encode_instructions_per_row",         "encode instructions/row", "instructions/row", Counter, OwnRun,                                            0.01,     determinism::instructions),
            Self::ClientCpuSecondsPerMillionRows => row("client_cpu_seconds_per_million_rows", "client CPU s/M rows",     "s/million rows",   Cpu,     PerMillionRows(Self::ClientCpuSeconds),            0.02,     determinism::varies),
            Self::ServerCpuSecondsPerMillionRows => row("server_cpu_seconds_per_million_rows", "server CPU s/M rows",     "s/million rows",   Cpu,     PerMillionRows(Self::ServerCpuSeconds),            0.10,     determinism::varies),
            Self::RowsPerSecond                  => row("rows_per_second",                     "rows/s",                  "rows/s",           Wall,    RowsPer(Self::WallSeconds),                        0.05,     determinism::varies),
        }
    }

    /// Its name in files and on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.description().name
    }

    /// The metric of a gate with that name.
    ///
    /// # Errors
    /// If there is none; the message names those there are.
    pub(crate) fn gated(name: &str) -> anyhow::Result<Self> {
        match Self::GATED.into_iter().find(|one| one.name() == name) {
            Some(metric) => Ok(metric),
            None => {
                let names = Self::GATED.map(Self::name).join(", ");
                bail!("a gate has no metric {name:?}; it has {names}")
            }
        }
    }

    /// Its name in tables, sometimes with its unit: `client CPU`, `rows/s`.
    #[must_use]
    pub(crate) fn label(self) -> &'static str {
        self.description().label
    }

    /// The label as the heading of a column: `Client CPU`.
    #[must_use]
    pub(crate) fn heading(self) -> String {
        let label = self.label();
        let (first, rest) = label.split_at(1);
        first.to_uppercase() + rest
    }

    /// The unit of its values.
    #[must_use]
    pub fn unit(self) -> &'static str {
        self.description().unit
    }

    /// How repeatable it is.
    #[must_use]
    pub fn tier(self) -> Tier {
        self.description().tier
    }

    /// Whether more of it is better.
    #[must_use]
    pub(crate) fn more_is_better(self) -> bool {
        matches!(self.description().source, Source::RowsPer(_))
    }

    /// By how much it may be worse in a gate: a share of what the base has.
    #[must_use]
    pub(crate) fn default_limit(self) -> f64 {
        self.description().limit
    }

    /// By how much of itself it may differ between two runs of one program; none for what varies too
    /// much to say, and for times.
    #[must_use]
    pub(crate) fn tolerance(self, config: &Config) -> Option<f64> {
        (self.description().tolerance)(config)
    }

    /// What a sample costs in it, without regard to rows; less is better. Absent where the sample
    /// does not have it.
    #[must_use]
    pub(crate) fn cost(self, sample: &Measurements) -> Option<f64> {
        match self.description().source {
            Source::Sample(figure) => figure(sample),
            Source::PerMillionRows(cost) | Source::RowsPer(cost) => cost.cost(sample),
            Source::OwnRun => None,
        }
    }

    /// Its value in a sample of a load that reads `rows`; absent where the sample does not have it.
    #[must_use]
    pub(crate) fn value(self, sample: &Measurements, rows: u64) -> Option<f64> {
        let cost = self.cost(sample)?;
        Some(match self.description().source {
            Source::Sample(_) | Source::OwnRun => cost,
            Source::PerMillionRows(_) => 1e6 * cost / rows as f64,
            Source::RowsPer(_) => rows as f64 / cost,
        })
    }

    /// A value as it is printed beside the label, which has the unit of what is not bytes or seconds.
    #[must_use]
    pub(crate) fn shown(self, value: f64) -> String {
        // What is counted differs in its last digit, which rounding would hide.
        let is_count = self.tier() == Tier::Counter && value.fract() == 0.0;
        match self.unit() {
            "s" => Seconds(value).to_string(),
            "B" | "B/row" => Bytes(value).to_string(),
            _ if is_count && (0.0..1e12).contains(&value) => Whole(value as u64).to_string(),
            _ => Number(value).to_string(),
        }
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.label())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> impl Iterator<Item = Metric> {
        Metric::COMPARED.into_iter().chain(Metric::GATED)
    }

    #[test]
    fn names_in_files_are_those_of_the_table() {
        for metric in all() {
            let written = serde_json::to_value(metric).unwrap();
            assert_eq!(written, metric.name());
        }
    }

    #[test]
    fn every_label_is_short_and_its_own() {
        let mut labels: Vec<&str> = all().map(Metric::label).collect();
        assert!(labels.iter().all(|label| label.len() <= 23), "{labels:?}");
        labels.sort_unstable();
        labels.dedup();
        assert_eq!(labels.len(), all().count());
    }

    #[test]
    fn only_gated_metrics_have_limits_and_only_compared_ones_are_costs() {
        assert!(
            Metric::GATED
                .iter()
                .all(|one| one.default_limit().is_finite())
        );
        for metric in Metric::COMPARED {
            assert!(!metric.default_limit().is_finite() && !metric.more_is_better());
        }
    }

    #[test]
    fn counts_keep_their_last_digit_and_measures_three() {
        assert_eq!(Metric::Statements.shown(200_017.0), "200,017");
        assert_eq!(Metric::AllocationsPerRow.shown(3.2468), "3.25");
        assert_eq!(Metric::RowsPerSecond.shown(328_412.0), "328,000");
        assert_eq!(Metric::BytesToServer.shown(61_400_000.0), "61.4 MB");
        assert_eq!(Metric::WallSeconds.shown(0.6125), "612 ms");
    }
}
