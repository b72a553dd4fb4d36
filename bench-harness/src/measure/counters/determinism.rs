//! Which counters can be relied on, and by how much they vary where they are not exact.
//!
//! Measured by `apitap-bench dev counters`, release build, six runs of each; METHODOLOGY.md has the spreads under
//! "Which counters vary".
//!
//! Allocated bytes jump by powers of two: a buffer of a response doubles or does not, as its pieces
//! happen to arrive. Pages of 50 rows never fill one.

use std::num::NonZero;

use apitap_core::Config;
use apitap_core::config::{WriteCommand, WriteConfig};

use crate::metric::GateMetric;

/// Of counts that depend on nothing but the program and its input.
const EXACT: f64 = 0.0;

/// Of bytes from an API whose pages are asked for ahead: one beyond the last may be answered or given
/// up. It is empty, a few bytes in a megabyte.
const AHEAD: f64 = 1e-4;

/// Of allocations by row, at 5,000 rows or more, with small pages: a fiftieth of that was seen. With larger
/// ones some ten come and go with the moments at which responses arrive, which is 2.7% of all where a row
/// takes a tenth of one, as `narrow` does through `prepared`.
const ALLOCATIONS: f64 = 0.01;

/// Of instructions by row: none varied, and what valgrind lets through from outside, such as the seeds
/// of hash tables, may yet change some at the start.
const INSTRUCTIONS: f64 = 1e-4;

/// Rows of a page up to which no buffer of a response grows.
const SMALL_PAGE_ROWS: usize = 100;

/// By how much of itself a counter may differ between two runs of one program, where a larger
/// difference means that the program is another; none for what varies too much to say, and for times.
#[must_use]
pub(crate) fn tolerance(metric: GateMetric, config: &Config) -> Option<f64> {
    let write = &config.write;
    let is_one_connection = write.connections == NonZero::<usize>::MIN;
    let is_one_lane = config.transform.partitions == NonZero::<usize>::MIN;
    let is_in_order = is_one_connection && is_one_lane;
    match metric {
        // A COPY is one statement, whatever goes through it. Others share the rows out as connections
        // happen to take batches.
        GateMetric::Statements => (copies(write) || is_one_connection).then_some(EXACT),
        // Of statements under way at once as many are answered together as timing wants.
        GateMetric::RoundTrips => {
            let is_one_at_a_time = is_one_connection && write.in_flight == NonZero::<usize>::MIN;
            (copies(write) || is_one_at_a_time).then_some(EXACT)
        }
        // Statements count their rows in Arrow, where a batch has a size of its own.
        GateMetric::BytesToServer => (copies(write) || is_in_order).then_some(EXACT),
        GateMetric::BytesFromApi => Some(match config.source.concurrency.get() {
            1 => EXACT,
            _ => AHEAD,
        }),
        GateMetric::AllocationsPerRow | GateMetric::AllocatedBytesPerRow => {
            let is_small = config.source.page_rows.get() <= SMALL_PAGE_ROWS;
            (is_in_order && is_small).then_some(ALLOCATIONS)
        }
        GateMetric::DecodeInstructionsPerRow | GateMetric::EncodeInstructionsPerRow => {
            Some(INSTRUCTIONS)
        }
        GateMetric::ClientCpuSecondsPerMillionRows
        | GateMetric::ServerCpuSecondsPerMillionRows
        | GateMetric::RowsPerSecond => None,
    }
}

fn copies(write: &WriteConfig) -> bool {
    matches!(write.method.command(), WriteCommand::Copy(_))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hard(preset: &str, settings: &[&str]) -> Vec<GateMetric> {
        let config = settings
            .iter()
            .try_fold(Config::preset(preset).unwrap(), |config, setting| {
                config.with(setting)
            });
        let config = config.unwrap();
        let counters = GateMetric::ALL.into_iter();
        counters
            .filter(|one| tolerance(*one, &config).is_some())
            .collect()
    }

    #[test]
    fn presets_have_hard_counters_and_times_are_none() {
        assert_eq!(hard("before", &[]), GateMetric::ALL[..8]);
        let mut tuned = GateMetric::ALL[..8].to_vec();
        let varying = [
            GateMetric::AllocationsPerRow,
            GateMetric::AllocatedBytesPerRow,
        ];
        tuned.retain(|one| !varying.contains(one));
        assert_eq!(hard("tuned", &[]), tuned);
    }

    #[test]
    fn what_timing_decides_is_not_hard() {
        let pipelined = hard("before", &["write.in_flight=2"]);
        assert!(!pipelined.contains(&GateMetric::RoundTrips));
        assert!(pipelined.contains(&GateMetric::Statements));
        let several = hard("before", &["write.connections=2"]);
        assert!(!several.contains(&GateMetric::Statements));
        assert!(!several.contains(&GateMetric::AllocationsPerRow));
        let copies = hard("tuned", &["write.connections=2"]);
        assert!(copies.contains(&GateMetric::RoundTrips));
    }
}
