//! What a comparison of commands found, from its record and its samples.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZero;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::arm::Arm;
use crate::format::one_line;
use crate::judge::{Blocks, blocks, by_session, judge_together};
use crate::measure::supervise::Disk;
use crate::metric::Metric;
use crate::samples::{Measurements, Outcome, Sample, Samples, Timestamp};
use crate::stats::sample::median;
use crate::stats::{
    CONFIDENCE_LEVEL, Correction, Judged, Limits, SMALLEST_EFFECT, Summary, UNCALIBRATED,
};

/// Version of the layout of `compare.json`.
pub(crate) const SCHEMA_VERSION: u32 = 1;

/// What was to be compared, and where.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Record {
    /// When measuring began.
    pub(crate) started_at: Timestamp,
    /// The command as it was typed, without passwords.
    pub(crate) command: Vec<String>,
    /// Seed of the order of samples.
    pub(crate) seed: u64,
    /// The workload, as it was named.
    pub(crate) workload: String,
    /// Rows of a load.
    pub(crate) rows: u64,
    /// Blocks, each with a sample of every arm.
    pub(crate) blocks: usize,
    /// Blocks after which the server was started anew; absent where the whole run is one session.
    pub(crate) blocks_per_session: Option<NonZero<usize>>,
    /// The arms; ratios are to the first.
    pub(crate) arms: Vec<Arm>,
    /// What ran before each sample, untimed.
    pub(crate) prepare: Option<String>,
    /// What else a reader is to know, such as versions.
    pub(crate) notes: Vec<String>,
    /// Machine, server and versions.
    pub(crate) fingerprint: serde_json::Value,
}

/// The findings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CommandResults {
    /// [`SCHEMA_VERSION`] of the program that wrote it.
    pub(crate) schema_version: u32,
    /// What was to be compared.
    pub(crate) record: Record,
    /// Confidence asked of all intervals of a quantity together.
    pub(crate) confidence_level: f64,
    /// The arms, in their order.
    pub(crate) arms: Vec<ArmFigures>,
    /// How the comparisons of times were corrected for their number; those of CPU likewise.
    pub(crate) correction: Correction,
    /// Blocks that count for no arm, because something outside spoiled a sample.
    pub(crate) void_blocks: usize,
    /// Samples that failed or loaded wrong data, and so have no figure.
    pub(crate) faults: Vec<Fault>,
}

/// What an arm took: medians over blocks, where nothing else is said. Absent where no sample, or not every one,
/// knows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ArmFigures {
    /// Its name.
    pub(crate) name: String,
    /// Wall time of the whole command, its start included.
    pub(crate) wall_seconds: Option<Summary>,
    /// Wall time of the warm-up, which pays for cold caches.
    pub(crate) first_run_seconds: Option<f64>,
    /// Rows that landed ÷ wall time.
    pub(crate) rows_per_second: Option<f64>,
    /// Processor time of the process tree.
    pub(crate) cpu_seconds: Option<f64>,
    /// Processor time of PostgreSQL.
    pub(crate) server_cpu_seconds: Option<f64>,
    /// Resident memory of the process tree: the largest of all samples.
    pub(crate) peak_memory_bytes: Option<u64>,
    /// Bytes that the process tree read from a disk.
    pub(crate) disk_read_bytes: Option<f64>,
    /// Bytes that the process tree wrote for a disk.
    pub(crate) disk_written_bytes: Option<f64>,
    /// Wall time as a multiple of the first arm's.
    pub(crate) time_against_first: Option<Judged>,
    /// Processor time of the process tree, likewise.
    pub(crate) cpu_against_first: Option<Judged>,
}

/// A sample without a figure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Fault {
    /// The arm, by name.
    pub(crate) arm: String,
    /// The block, from 0.
    pub(crate) block: usize,
    /// Whether it loaded wrong data; else it failed.
    pub(crate) is_wrong_data: bool,
    /// How, in one line.
    pub(crate) reason: String,
}

impl CommandResults {
    /// Computes the results of what was taken.
    #[must_use]
    pub(crate) fn new(record: &Record, samples: &Samples) -> Self {
        let names: Vec<&str> = record.arms.iter().map(|arm| arm.name.as_str()).collect();
        let Figures {
            arms,
            correction,
            void_blocks,
        } = Figures::new(&names, samples, record.blocks_per_session);
        Self {
            schema_version: SCHEMA_VERSION,
            record: record.clone(),
            confidence_level: CONFIDENCE_LEVEL,
            arms,
            correction,
            void_blocks,
            faults: samples.samples.iter().filter_map(fault).collect(),
        }
    }

    /// Whether any arm has a figure.
    #[must_use]
    pub(crate) fn has_figures(&self) -> bool {
        self.arms.iter().any(|arm| arm.wall_seconds.is_some())
    }
}

/// What samples of interleaved blocks say of arms.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Figures {
    /// The arms, in their order.
    pub(crate) arms: Vec<ArmFigures>,
    /// How the comparisons of times were corrected for their number; those of CPU likewise.
    pub(crate) correction: Correction,
    /// Blocks that count for no arm.
    pub(crate) void_blocks: usize,
}

impl Figures {
    /// Computes the figures of the arms of these `names`, the first as the measure of the others. Where there are no
    /// sessions, intervals are over blocks.
    #[must_use]
    pub(crate) fn new(
        names: &[&str],
        samples: &Samples,
        blocks_per_session: Option<NonZero<usize>>,
    ) -> Self {
        let samples: Vec<&Sample> = samples.samples.iter().collect();
        let arms: Vec<Blocks<'_>> = names.iter().map(|name| blocks(&samples, name)).collect();
        let compared = |metric| against_first(&arms, metric, blocks_per_session);
        let (times, correction) = compared(Metric::WallSeconds);
        let (cpu, _) = compared(Metric::ClientCpuSeconds);
        let figures = names.iter().zip(&arms).enumerate();
        let figures = figures.map(|(index, (name, blocks))| ArmFigures {
            first_run_seconds: first_run_seconds(&samples, name),
            time_against_first: further(&times, index),
            cpu_against_first: further(&cpu, index),
            ..ArmFigures::of_blocks(name, blocks)
        });
        Self {
            arms: figures.collect(),
            correction,
            void_blocks: void_blocks(&samples),
        }
    }
}

impl ArmFigures {
    fn of_blocks(name: &str, blocks: &Blocks<'_>) -> Self {
        let median = |figure: &dyn Fn(&Measurements) -> Option<f64>| {
            let values: Option<Vec<f64>> = blocks.values().map(|sample| figure(sample)).collect();
            median(&values?)
        };
        let walls: Vec<f64> = blocks.values().map(|sample| sample.wall_seconds).collect();
        let mut peaks = blocks.values().map(|sample| sample.peak_memory_bytes);
        Self {
            name: name.to_owned(),
            wall_seconds: Summary::new(&walls),
            first_run_seconds: None,
            rows_per_second: median(&|sample| Some(sample.rows as f64 / sample.wall_seconds)),
            cpu_seconds: median(&|sample| Some(sample.client_cpu_seconds)),
            server_cpu_seconds: median(&|sample| sample.server_cpu_seconds),
            peak_memory_bytes: peaks
                .try_fold(0, |largest, peak| Some(peak?.max(largest)))
                .filter(|largest| *largest > 0),
            disk_read_bytes: median(&|sample| Some(disk(sample)?.read_bytes as f64)),
            disk_written_bytes: median(&|sample| Some(disk(sample)?.written_bytes as f64)),
            time_against_first: None,
            cpu_against_first: None,
        }
    }
}

fn disk(sample: &Measurements) -> Option<Disk> {
    Option::deserialize(&sample.extra).ok().flatten()
}

/// Each further arm compared with the first.
fn against_first(
    arms: &[Blocks<'_>],
    metric: Metric,
    blocks_per_session: Option<NonZero<usize>>,
) -> (Vec<Option<Judged>>, Correction) {
    let per_session = blocks_per_session.map_or(usize::MAX, NonZero::get);
    let further = arms.iter().skip(1);
    let members: Vec<Vec<Vec<f64>>> = further
        .map(|arm| by_session(arm, &arms[0], metric, per_session))
        .collect();
    let limits = Limits {
        smallest: SMALLEST_EFFECT,
        noise: UNCALIBRATED,
    };
    let limits = vec![limits; members.len()];
    judge_together(
        &members,
        &limits,
        blocks_per_session.is_some(),
        CONFIDENCE_LEVEL,
    )
}

/// What was found of the arm at `index`; nothing of the first.
fn further(judged: &[Option<Judged>], index: usize) -> Option<Judged> {
    *judged.get(index.checked_sub(1)?)?
}

fn first_run_seconds(samples: &[&Sample], arm: &str) -> Option<f64> {
    let mut warm_ups = samples.iter().filter(|one| one.warm_up && one.arm == arm);
    match &warm_ups.next()?.outcome {
        Outcome::Measured(figures) => Some(figures.wall_seconds),
        _ => None,
    }
}

/// Blocks in which an arm stayed void when it was measured again.
fn void_blocks(samples: &[&Sample]) -> usize {
    let of_blocks = samples.iter().filter(|sample| !sample.warm_up);
    let last: BTreeMap<(usize, &str), bool> = of_blocks
        .map(|sample| {
            (
                (sample.block, sample.arm.as_str()),
                sample.outcome.is_void(),
            )
        })
        .collect();
    let void = last.iter().filter(|(_, is_void)| **is_void);
    void.map(|((block, _), _)| *block)
        .collect::<BTreeSet<_>>()
        .len()
}

fn fault(sample: &Sample) -> Option<Fault> {
    let (reason, is_wrong_data) = match &sample.outcome {
        Outcome::Failed { reason } => (reason, false),
        Outcome::WrongData { reason } => (reason, true),
        Outcome::Measured(_) | Outcome::Void { .. } => return None,
    };
    (!sample.warm_up).then(|| Fault {
        arm: sample.arm.clone(),
        block: sample.block,
        is_wrong_data,
        reason: one_line(reason),
    })
}

#[cfg(test)]
mod tests {
    use super::super::example;
    use super::*;
    use crate::stats::Verdict;

    #[test]
    fn ratios_are_to_the_first_arm_and_over_sessions() {
        let results = example::results();
        let [apitap, psql, dlt, twin] = &results.arms[..] else {
            panic!("{:?}", results.arms);
        };
        assert_eq!(apitap.time_against_first, None);
        let of = |arm: &ArmFigures| arm.time_against_first.unwrap();
        let ratio = of(dlt).comparison.ratio;
        assert!((17.0..19.0).contains(&ratio), "{ratio}");
        // One of its five lost both blocks.
        assert_eq!(of(dlt).sessions.unwrap().count, 4);
        assert_eq!(
            [psql, dlt, twin].map(|arm| of(arm).verdict),
            [Verdict::Improved, Verdict::Regressed, Verdict::Equivalent]
        );
        assert_eq!(results.correction, Correction::FalseDiscovery { family: 3 });
    }

    #[test]
    fn figures_are_absent_unless_every_sample_knows_them() {
        let results = example::results();
        let [apitap, psql, dlt, _] = &results.arms[..] else {
            panic!("{:?}", results.arms);
        };
        assert_eq!(apitap.peak_memory_bytes, Some(61_000_009));
        assert_eq!(dlt.disk_written_bytes, Some(152e6));
        assert_eq!((psql.peak_memory_bytes, psql.disk_read_bytes), (None, None));
        assert_eq!(apitap.first_run_seconds, Some(0.7));
    }

    #[test]
    fn what_went_wrong_is_named_and_counts_for_no_figure() {
        let results = example::results();
        let faults = results.faults.iter();
        let faults: Vec<(&str, usize, bool)> = faults
            .map(|fault| (fault.arm.as_str(), fault.block, fault.is_wrong_data))
            .collect();
        assert_eq!(faults, [("dlt", 3, false), ("dlt", 4, true)]);
        assert_eq!(results.void_blocks, 1);
        let counts = results
            .arms
            .iter()
            .map(|arm| arm.wall_seconds.unwrap().count);
        assert_eq!(counts.collect::<Vec<_>>(), [9, 9, 7, 9]);
    }

    #[test]
    fn nothing_taken_has_no_figures() {
        let results = CommandResults::new(&example::record(), &Samples::default());
        assert!(!results.has_figures() && example::results().has_figures());
    }
}
