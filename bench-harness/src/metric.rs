//! What a gate judges, in the order in which it is believed.

use std::fmt;
use std::str::FromStr;

use anyhow::bail;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::samples::Metric;

/// A quantity that a gate judges.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum GateMetric {
    /// SQL statements of a load.
    Statements,
    /// Times that the engine sent something to PostgreSQL and then read its answer, in a load.
    RoundTrips,
    /// Bytes of rows sent to PostgreSQL by a load.
    BytesToServer,
    /// Body bytes of the API's responses in a load.
    BytesFromApi,
    /// Allocations of a load, by row.
    AllocationsPerRow,
    /// Their bytes, by row.
    AllocatedBytesPerRow,
    /// Instructions of decoding a row, under valgrind.
    DecodeInstructionsPerRow,
    /// Instructions of encoding a row, under valgrind.
    EncodeInstructionsPerRow,
    /// Processor time of the engine, by million rows that it reads.
    ClientCpuSecondsPerMillionRows,
    /// Processor time of PostgreSQL, likewise.
    ServerCpuSecondsPerMillionRows,
    /// Rows read in a second of wall time.
    RowsPerSecond,
}

/// How much a quantity can be believed, the most first.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Tier {
    /// Counted: the same in every run of one program.
    Counter,
    /// Processor time: survives a host that gives the processor to others.
    Cpu,
    /// Wall time: what users wait for, and the least certain.
    Wall,
}

impl GateMetric {
    /// All there are, in the order in which they are judged and shown.
    pub const ALL: [Self; 11] = [
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

    /// Its name in files and on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Statements => "statements",
            Self::RoundTrips => "round_trips",
            Self::BytesToServer => "bytes_to_server",
            Self::BytesFromApi => "bytes_from_api",
            Self::AllocationsPerRow => "allocations_per_row",
            Self::AllocatedBytesPerRow => "allocated_bytes_per_row",
            Self::DecodeInstructionsPerRow => "decode_instructions_per_row",
            Self::EncodeInstructionsPerRow => "encode_instructions_per_row",
            Self::ClientCpuSecondsPerMillionRows => "client_cpu_seconds_per_million_rows",
            Self::ServerCpuSecondsPerMillionRows => "server_cpu_seconds_per_million_rows",
            Self::RowsPerSecond => "rows_per_second",
        }
    }

    /// What stands behind its values.
    #[must_use]
    pub fn unit(self) -> &'static str {
        match self {
            Self::Statements => "statements",
            Self::RoundTrips => "round trips",
            Self::BytesToServer | Self::BytesFromApi => "B",
            Self::AllocationsPerRow => "allocations/row",
            Self::AllocatedBytesPerRow => "B/row",
            Self::DecodeInstructionsPerRow | Self::EncodeInstructionsPerRow => "instructions/row",
            Self::ClientCpuSecondsPerMillionRows | Self::ServerCpuSecondsPerMillionRows => {
                "s/million rows"
            }
            Self::RowsPerSecond => "rows/s",
        }
    }

    /// How much it can be believed.
    #[must_use]
    pub fn tier(self) -> Tier {
        match self {
            Self::ClientCpuSecondsPerMillionRows | Self::ServerCpuSecondsPerMillionRows => {
                Tier::Cpu
            }
            Self::RowsPerSecond => Tier::Wall,
            _ => Tier::Counter,
        }
    }

    /// Whether more of it is better. Of all others less is.
    #[must_use]
    pub fn more_is_better(self) -> bool {
        self == Self::RowsPerSecond
    }

    /// The cost that is measured for it, block by block; none for counters.
    #[must_use]
    pub fn timed(self) -> Option<Metric> {
        match self {
            Self::ClientCpuSecondsPerMillionRows => Some(Metric::ClientCpuSeconds),
            Self::ServerCpuSecondsPerMillionRows => Some(Metric::ServerCpuSeconds),
            Self::RowsPerSecond => Some(Metric::WallSeconds),
            _ => None,
        }
    }
}

impl fmt::Display for GateMetric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for GateMetric {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> anyhow::Result<Self> {
        match Self::ALL.into_iter().find(|one| one.name() == name) {
            Some(metric) => Ok(metric),
            None => {
                let names = Self::ALL.map(Self::name).join(", ");
                bail!("there is no metric {name:?}; there are {names}")
            }
        }
    }
}
