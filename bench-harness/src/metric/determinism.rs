//! By how much of itself a metric may differ between two runs of one program. A larger difference
//! means that the program changed. Each function gives none where the metric varies too much to say.
//!
//! Measured by `apitap-bench dev counters`, release build, six runs of each; METHODOLOGY.md has the
//! spreads under "Which counters vary".
//!
//! Allocated bytes jump by powers of two: a buffer of a response doubles or does not, as its pieces
//! happen to arrive. Pages of 50 rows never fill one.

use std::num::NonZero;

use apitap_core::Config;
use apitap_core::config::WriteCommand;

/// Counts that depend on nothing but the program and its input.
const EXACT: f64 = 0.0;

/// Bytes from an API whose pages are requested ahead: a page beyond the last one may be answered or
/// cancelled. It is empty, a few bytes in a megabyte.
const AHEAD: f64 = 1e-4;

/// Allocations by row, at 5,000 rows or more, with small pages: a fiftieth of this was seen. With larger
/// pages about ten allocations depend on when responses arrive. Where a row takes a tenth of an
/// allocation, as `narrow` does through `prepared`, that is 2.7% of all.
const ALLOCATIONS: f64 = 0.01;

/// Instructions by row: none varied, but what valgrind does not control, such as the seeds of hash
/// tables, may change some at the start.
const INSTRUCTIONS: f64 = 1e-4;

/// Rows of a page up to which no buffer of a response grows.
const SMALL_PAGE_ROWS: usize = 100;

/// Times and memory.
pub(super) fn varies(_: &Config) -> Option<f64> {
    None
}

/// A COPY is one statement, whatever goes through it. Other statements split the rows as connections
/// happen to take batches.
pub(super) fn statements(config: &Config) -> Option<f64> {
    (copies(config) || is_one_connection(config)).then_some(EXACT)
}

/// Of statements in flight together, timing decides how many are answered together.
pub(super) fn round_trips(config: &Config) -> Option<f64> {
    let is_one_at_a_time = config.write.in_flight == NonZero::<usize>::MIN;
    (copies(config) || (is_one_connection(config) && is_one_at_a_time)).then_some(EXACT)
}

/// Statements count their rows in Arrow, where a batch has a size of its own.
pub(super) fn bytes_to_server(config: &Config) -> Option<f64> {
    (copies(config) || is_in_order(config)).then_some(EXACT)
}

/// Exact where no page is requested ahead.
pub(super) fn bytes_from_api(config: &Config) -> Option<f64> {
    Some(match config.source.concurrency.get() {
        1 => EXACT,
        _ => AHEAD,
    })
}

/// Allocations and their bytes.
pub(super) fn allocations(config: &Config) -> Option<f64> {
    let is_small = config.source.page_rows.get() <= SMALL_PAGE_ROWS;
    (is_in_order(config) && is_small).then_some(ALLOCATIONS)
}

/// Instructions of decoding and encoding.
pub(super) fn instructions(_: &Config) -> Option<f64> {
    Some(INSTRUCTIONS)
}

fn copies(config: &Config) -> bool {
    matches!(config.write.method.command(), WriteCommand::Copy(_))
}

fn is_one_connection(config: &Config) -> bool {
    config.write.connections == NonZero::<usize>::MIN
}

fn is_in_order(config: &Config) -> bool {
    is_one_connection(config) && config.transform.partitions == NonZero::<usize>::MIN
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::Metric;

    fn hard(preset: &str, settings: &[&str]) -> Vec<Metric> {
        let config = settings
            .iter()
            .try_fold(Config::preset(preset).unwrap(), |config, setting| {
                config.with(setting)
            });
        let config = config.unwrap();
        let counters = Metric::GATED.into_iter();
        counters
            .filter(|one| one.tolerance(&config).is_some())
            .collect()
    }

    #[test]
    fn presets_have_hard_counters_and_times_are_none() {
        assert_eq!(hard("before", &[]), Metric::GATED[..8]);
        let mut tuned = Metric::GATED[..8].to_vec();
        let varying = [Metric::AllocationsPerRow, Metric::AllocatedBytesPerRow];
        tuned.retain(|one| !varying.contains(one));
        assert_eq!(hard("tuned", &[]), tuned);
    }

    #[test]
    fn what_timing_decides_is_not_hard() {
        let pipelined = hard("before", &["write.in_flight=2"]);
        assert!(!pipelined.contains(&Metric::RoundTrips));
        assert!(pipelined.contains(&Metric::Statements));
        let several = hard("before", &["write.connections=2"]);
        assert!(!several.contains(&Metric::Statements));
        assert!(!several.contains(&Metric::AllocationsPerRow));
        let copies = hard("tuned", &["write.connections=2"]);
        assert!(copies.contains(&Metric::RoundTrips));
    }
}
