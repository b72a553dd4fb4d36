//! Entries as series, with the points at which they changed.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::entry::Entry;
use super::machine::Machine;
use crate::samples::Timestamp;
use crate::stats::sample::median;
use crate::stats::{MIN_SEGMENT, change_points, compare_unpaired};

/// Version of the layout of what `history show --json` prints.
pub(crate) const SCHEMA_VERSION: u32 = 1;

/// Confidence of the interval of a change.
const CONFIDENCE_LEVEL: f64 = 0.95;

/// Most entries on either side of a change that its size is estimated from, the nearest ones: the time
/// to compare two sides grows with the fourth power of their length, and old entries say little about
/// a change.
const NEAREST: usize = 30;

/// A history in series.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct History {
    /// `SCHEMA_VERSION` of the program that wrote it.
    pub schema_version: u32,
    /// The share of unchanging series in which a change is found by chance.
    pub significance: f64,
    /// Fewest entries before, between and after changes.
    pub min_segment: usize,
    /// Confidence of the intervals of changes.
    pub confidence_level: f64,
    /// Those that became worse first, the most at the top; then those that only became better; then
    /// the rest, by name.
    pub series: Vec<Series>,
}

/// One metric of one arm on one machine, over time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Series {
    /// Scenario by name.
    pub scenario: String,
    /// Arm by name.
    pub arm: String,
    /// The metric by name.
    pub metric: String,
    /// Unit of its values.
    pub unit: String,
    /// Whether more of it is better.
    pub more_is_better: bool,
    /// Where it was measured.
    #[serde(rename = "place")]
    pub machine: Machine,
    /// Rows that the arm reads.
    pub rows: u64,
    /// Digest of what was loaded and how.
    pub load: String,
    /// Its results, the oldest first. Never empty.
    pub points: Vec<Point>,
    /// Where it changed, in order.
    pub changes: Vec<Change>,
}

/// The result of one run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Point {
    /// When the run began.
    pub started_at: Timestamp,
    /// Commit that was measured.
    pub commit: String,
    /// Whether the tree held more than that commit; absent where that is not known.
    pub git_dirty: Option<bool>,
    /// Median over blocks, in the series' unit.
    pub value: f64,
    /// Lower quartile.
    pub lower_quartile: f64,
    /// Upper quartile.
    pub upper_quartile: f64,
    /// Blocks that have a figure.
    pub samples: usize,
}

/// A change of a series.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// Index of the first point after it.
    pub index: usize,
    /// When the run of that point began. What changed lies between the commit before and this one.
    pub started_at: Timestamp,
    /// Its commit.
    pub commit: String,
    /// Commit of the last point before it.
    pub commit_before: String,
    /// Median of the points from the change before to this one.
    pub before: f64,
    /// Median of the points from here to the next change.
    pub after: f64,
    /// After against before: 0.05 is 5% more. The change was looked for where it is largest, so this is
    /// rather too large than too small; the interval does not account for that.
    pub relative: Relative,
    /// p of "no change here".
    pub p_value: f64,
    /// What it means.
    pub direction: Direction,
}

/// A relative change with its interval, as shares above or below 0.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Relative {
    /// The Hodges–Lehmann estimate.
    pub estimate: f64,
    /// Lower end of its interval.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// What a change means for users.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// It became worse.
    Worse,
    /// It became better.
    Better,
    /// The values changed, perhaps only in their spread; their level may be the same.
    Unclear,
}

impl History {
    /// The series of `entries` that hold every one of `filters` in scenario, arm, metric or the
    /// digest of the place, in any case of letters, with their changes at `significance`.
    #[must_use]
    pub fn new(entries: &[Entry], filters: &[String], significance: f64) -> Self {
        let filters: Vec<String> = filters.iter().map(|text| text.to_lowercase()).collect();
        let mut by_series: BTreeMap<_, Vec<&Entry>> = BTreeMap::new();
        for entry in entries.iter().filter(|entry| fits(entry, &filters)) {
            let of_series = by_series.entry(key(entry)).or_default();
            of_series.push(entry);
        }
        let series = by_series.into_values();
        let mut series: Vec<Series> = series
            .filter_map(|entries| Series::new(entries, significance))
            .collect();
        // Stable: series of one rank stay sorted by name.
        series.sort_by(|a, b| {
            a.rank()
                .cmp(&b.rank())
                .then(b.worst().total_cmp(&a.worst()))
        });
        Self {
            schema_version: SCHEMA_VERSION,
            significance,
            min_segment: MIN_SEGMENT,
            confidence_level: CONFIDENCE_LEVEL,
            series,
        }
    }

    /// The series of a run, which its `own` entries end, with those `stored` of earlier runs before them.
    #[must_use]
    pub fn up_to(own: &[Entry], stored: &[Entry], significance: f64) -> Self {
        let keys: BTreeSet<_> = own.iter().map(key).collect();
        let started_at = own.iter().map(|one| one.started_at).min();
        let is_earlier = |entry: &&Entry| Some(entry.started_at) < started_at;
        let before = stored.iter().filter(is_earlier);
        let before = before.filter(|entry| keys.contains(&key(entry)));
        let entries: Vec<Entry> = before.chain(own).cloned().collect();
        Self::new(&entries, &[], significance)
    }

    /// Runs that it holds, by when they began.
    #[must_use]
    pub fn runs(&self) -> BTreeSet<Timestamp> {
        let points = self.series.iter().flat_map(|series| &series.points);
        points.map(|point| point.started_at).collect()
    }

    /// Places of its results, by digest.
    #[must_use]
    pub fn machines(&self) -> BTreeSet<&Machine> {
        self.series.iter().map(|series| &series.machine).collect()
    }

    /// Series that are long enough to show a change.
    #[must_use]
    pub fn long_enough(&self) -> usize {
        let series = self.series.iter();
        series
            .filter(|series| series.points.len() >= 2 * MIN_SEGMENT)
            .count()
    }
}

/// Entries with the same key are one series.
fn key(entry: &Entry) -> (&str, &str, u64, &Machine, &str, &str, &str, bool) {
    (
        &entry.scenario,
        &entry.arm,
        entry.rows,
        &entry.machine,
        &entry.load,
        &entry.metric,
        &entry.unit,
        entry.more_is_better,
    )
}

/// Whether the entry holds every one of `filters`, which are in small letters.
fn fits(entry: &Entry, filters: &[String]) -> bool {
    let texts = [
        &entry.scenario,
        &entry.arm,
        &entry.metric,
        &entry.machine.digest,
    ];
    let texts = texts.map(|text| text.to_lowercase());
    let holds = |filter: &String| texts.iter().any(|text| text.contains(filter));
    filters.iter().all(holds)
}

impl Series {
    fn new(mut entries: Vec<&Entry>, significance: f64) -> Option<Self> {
        // Runs may be added in any order.
        entries.sort_by_key(|entry| entry.started_at);
        let points: Vec<Point> = entries.iter().map(|entry| Point::new(entry)).collect();
        let one = entries.first()?;
        let changes = changes(&points, one.more_is_better, significance);
        Some(Self {
            scenario: one.scenario.clone(),
            arm: one.arm.clone(),
            metric: one.metric.clone(),
            unit: one.unit.clone(),
            more_is_better: one.more_is_better,
            machine: one.machine.clone(),
            rows: one.rows,
            load: one.load.clone(),
            points,
            changes,
        })
    }

    /// The worst of its changes; `None` where there is none.
    #[must_use]
    pub fn direction(&self) -> Option<Direction> {
        self.changes.iter().map(|change| change.direction).min()
    }

    /// What comes first in a history.
    fn rank(&self) -> (bool, Option<Direction>) {
        let direction = self.direction();
        (direction.is_none(), direction)
    }

    /// The size of its worst change, as a logarithm; 0 without changes.
    fn worst(&self) -> f64 {
        let direction = self.direction();
        let of_it = self
            .changes
            .iter()
            .filter(|change| Some(change.direction) == direction);
        let sizes = of_it.map(|change| change.relative.estimate.ln_1p().abs());
        sizes.fold(0.0, f64::max)
    }
}

impl Point {
    fn new(entry: &Entry) -> Self {
        Self {
            started_at: entry.started_at,
            commit: entry.commit.clone(),
            git_dirty: entry.git_dirty,
            value: entry.value,
            lower_quartile: entry.lower_quartile,
            upper_quartile: entry.upper_quartile,
            samples: entry.samples,
        }
    }
}

fn changes(points: &[Point], more_is_better: bool, significance: f64) -> Vec<Change> {
    let values: Vec<f64> = points.iter().map(|point| point.value).collect();
    let found = change_points(&values, significance);
    let starts = || std::iter::once(0).chain(found.iter().map(|change| change.index));
    let ends = found.iter().skip(1).map(|change| change.index);
    found
        .iter()
        .zip(starts())
        .zip(ends.chain([values.len()]))
        .filter_map(|((change, start), end)| {
            let at = change.index;
            let (before, after) = (values.get(start..at)?, values.get(at..end)?);
            let comparison = compare_unpaired(
                &after[..after.len().min(NEAREST)],
                &before[before.len().saturating_sub(NEAREST)..],
                CONFIDENCE_LEVEL,
            )?;
            let (first, last) = (points.get(at)?, points.get(at - 1)?);
            Some(Change {
                index: at,
                started_at: first.started_at,
                commit: first.commit.clone(),
                commit_before: last.commit.clone(),
                before: median(before)?,
                after: median(after)?,
                relative: Relative {
                    estimate: comparison.ratio - 1.0,
                    low: comparison.interval.low - 1.0,
                    high: comparison.interval.high - 1.0,
                },
                p_value: change.p_value,
                direction: if comparison.includes_one() {
                    Direction::Unclear
                } else if (comparison.ratio > 1.0) == more_is_better {
                    Direction::Better
                } else {
                    Direction::Worse
                },
            })
        })
        .collect()
}

#[cfg(test)]
mod tests;
