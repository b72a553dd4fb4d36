//! What profiling two arms found, computed from the raw loads. Pure.

use apitap_core::RunReport;
use apitap_core::budget::{Budget, Watched};
use apitap_core::timeline::Moment;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::advice::Advice;
use super::attribution::Attribution;
use super::delta::{self, Delta, Load};
use super::per_thousand;
use super::record::{
    HeapLoad, Observed, ProfileRecord, ProfiledLoad, Subject, WatchedLoad, folder_name,
};
use super::sampler::Sampled;
use super::stacks::Stacks;
use super::statistics::ServerStatistics;
use crate::experiment::{Experiment, LoadPlan, configured};
use crate::judge::Step;
use crate::run_record::RunRecord;
use crate::stats::sample::median;

/// Coverage below which functions are not ranked: what was missed may be of one kind.
pub(crate) const LEAST_COVERAGE: f64 = 0.9;

/// Functions that are listed.
const FUNCTIONS: usize = 10;

/// Crates that are listed; those beyond have a few samples each.
const CRATES: usize = 10;

/// What was found about one scenario.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProfileResults {
    /// What was profiled.
    pub subject: Subject,
    /// Folder of its files, from that of the run.
    pub folder: String,
    /// Baseline and candidate.
    pub arms: [ArmProfile; 2],
    /// Functions whose inclusive processor time differs most; empty where coverage is too low.
    pub functions: Vec<Delta>,
    /// Functions by the processor time that they are charged with themselves; empty in the same case.
    pub own_functions: Vec<Delta>,
    /// Crates by the processor time that they are charged with; empty in the same case.
    pub crates: Vec<Delta>,
    /// What to try next on the candidate, the most promising part first.
    #[serde(default)]
    pub advice: Vec<Advice>,
}

/// One arm.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ArmProfile {
    /// Its name.
    pub name: String,
    /// What sampling saw; absent without a sampled load.
    pub sampling: Option<Sampling>,
    /// Processor time by stage, in two ways.
    pub attribution: Option<Attribution>,
    /// Wall time by part; absent without a watched load.
    pub budget: Option<Budget>,
    /// Processor time of the server in µs per 1,000 rows; absent where it cannot be seen.
    pub server_cpu: Option<f64>,
    /// The five figures; absent without a watched load.
    pub figures: Option<Figures>,
    /// What the server counted in the watched load of median wall time.
    pub server: Option<ServerStatistics>,
    /// That load over time.
    pub timeline: Vec<TimelinePoint>,
    /// Where memory is allocated.
    pub heap: Option<HeapLoad>,
}

/// How good a profile is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sampling {
    /// Sampled loads.
    pub loads: usize,
    /// Samples in all of them.
    pub samples: u64,
    /// Samples ÷ what processor time and frequency call for.
    pub coverage: f64,
    /// Frames without a name ÷ all frames.
    pub unknown_share: f64,
    /// Samples that lack their outermost frames ÷ all samples; absent where the sampler does not say.
    pub truncated_share: Option<f64>,
    /// Processor time of the engine in µs per 1,000 rows.
    pub cpu: f64,
    /// Median wall time of the sampled loads ÷ that of the watched ones: what sampling costs.
    pub overhead: Option<f64>,
}

/// The figures that the optimization report asks to be monitored: medians over watched loads.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Figures {
    /// Rows written per second.
    pub rows_per_second: f64,
    /// Latency of requests: p50, p95, p99 in seconds.
    pub http_seconds: [f64; 3],
    /// Latency of flushes: p50, p95, p99 in seconds.
    pub write_seconds: [f64; 3],
    /// Largest resident size.
    pub peak_memory_bytes: Option<f64>,
    /// Seconds that senders waited for room in a channel.
    pub send_wait_seconds: f64,
}

/// A load at one moment, with rates since the moment before.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TimelinePoint {
    /// Since the load began.
    pub seconds: f64,
    /// Rows encoded per second.
    pub rows_per_second: f64,
    /// 95th percentile of requests that ended, in seconds; absent where none did.
    pub http_p95_seconds: Option<f64>,
    /// The same of flushes.
    pub write_p95_seconds: Option<f64>,
    /// Resident size.
    pub memory_bytes: Option<u64>,
    /// Share of the time that a sender waited for room. Several senders may make it more than 1.
    pub send_wait_share: f64,
}

impl ProfileResults {
    /// The findings of a record, with intervals of `confidence`.
    #[must_use]
    pub fn new(record: &ProfileRecord, confidence: f64) -> Self {
        let subject = record.subject.clone();
        let arms = [0, 1].map(|arm| ArmProfile::new(&subject.arms[arm], record, arm));
        let is_covered = arms.iter().all(ArmProfile::is_covered);
        let pairs = if is_covered {
            pairs(record)
        } else {
            Vec::new()
        };
        Self {
            folder: folder_name(&subject.scenario),
            functions: delta::functions(&pairs, confidence, FUNCTIONS),
            own_functions: delta::own_functions(&pairs, confidence, FUNCTIONS),
            crates: delta::crates(&pairs, confidence, CRATES),
            subject,
            arms,
            advice: Vec::new(),
        }
    }

    /// With what to try next on the candidate, as `run` configures it, given what changes gained
    /// where they were measured.
    #[must_use]
    pub(crate) fn with_advice(
        mut self,
        run: &RunRecord,
        experiments: &[Experiment],
        measured: &[Step],
    ) -> Self {
        let mut scenarios = run.scenarios.iter();
        let scenario = scenarios.find(|one| one.plan.name == self.subject.scenario);
        let candidate = scenario.and_then(|one| one.plan.arms.get(1));
        if let Some(LoadPlan::Engine { preset, knobs, .. }) = candidate.map(|arm| &arm.load)
            && let Some(config) = configured(preset, knobs).ok()
            && let Some(budget) = &self.arms[1].budget
        {
            self.advice = Advice::new(budget, (preset, &config), experiments, measured);
        }
        self
    }

    /// Arms whose samples are too few to rank functions by.
    #[must_use]
    pub fn uncovered(&self) -> Vec<&ArmProfile> {
        self.arms.iter().filter(|arm| !arm.is_covered()).collect()
    }
}

impl ArmProfile {
    fn new(name: &str, record: &ProfileRecord, arm: usize) -> Self {
        let loads = || record.loads.iter().filter(|load| load.arm == arm);
        let sampled: Vec<(&RunReport, &Sampled)> = loads().filter_map(sampled).collect();
        let mut watched: Vec<(&ProfiledLoad, &WatchedLoad)> = loads().filter_map(watched).collect();
        watched.sort_by(|(a, _), (b, _)| a.report.wall_seconds.total_cmp(&b.report.wall_seconds));
        let for_budget: Vec<Watched<'_>> = watched
            .iter()
            .map(|(load, seen)| Watched {
                report: &load.report,
                seen: &seen.looks,
                server_cpu_seconds: load.server_cpu_seconds,
            })
            .collect();
        let middle = watched.get(watched.len() / 2);
        let server_cpu: Option<Vec<f64>> = watched
            .iter()
            .map(|(load, _)| {
                Some(per_thousand(
                    load.server_cpu_seconds?,
                    load.report.rows_read,
                ))
            })
            .collect();
        Self {
            name: name.to_owned(),
            sampling: Sampling::new(&sampled, &watched),
            attribution: Attribution::new(&sampled),
            budget: Budget::new(&for_budget, record.subject.cores),
            server_cpu: server_cpu.and_then(|values| median(&values)),
            figures: Figures::new(&watched),
            server: middle.map(|(_, seen)| seen.server.clone()),
            timeline: middle.map_or_else(Vec::new, |(_, seen)| timeline(&seen.timeline)),
            heap: loads().find_map(|load| match &load.seen {
                Observed::Heap(heap) => Some(heap.clone()),
                Observed::Sampled(_) | Observed::Watched(_) => None,
            }),
        }
    }

    /// Whether its samples cover its processor time.
    #[must_use]
    pub fn is_covered(&self) -> bool {
        self.sampling
            .is_some_and(|sampling| sampling.coverage >= LEAST_COVERAGE)
    }
}

fn sampled(load: &ProfiledLoad) -> Option<(&RunReport, &Sampled)> {
    match &load.seen {
        Observed::Sampled(sampled) => Some((&load.report, sampled)),
        Observed::Watched(_) | Observed::Heap(_) => None,
    }
}

fn watched(load: &ProfiledLoad) -> Option<(&ProfiledLoad, &WatchedLoad)> {
    match &load.seen {
        Observed::Watched(watched) => Some((load, watched)),
        Observed::Sampled(_) | Observed::Heap(_) => None,
    }
}

impl Sampling {
    fn new(
        sampled: &[(&RunReport, &Sampled)],
        watched: &[(&ProfiledLoad, &WatchedLoad)],
    ) -> Option<Self> {
        let sum =
            |of: &dyn Fn(&Sampled) -> f64| sampled.iter().map(|(_, one)| of(one)).sum::<f64>();
        let samples = sum(&|one| one.stacks.total() as f64);
        let called_for = sum(&|one| one.cpu_seconds * f64::from(one.frequency_hz));
        if samples == 0.0 || called_for == 0.0 {
            return None;
        }
        let rows = sampled.iter().map(|(report, _)| report.rows_read).sum();
        let walls = sampled.iter().map(|(report, _)| report.wall_seconds);
        let plain = watched.iter().map(|(load, _)| load.report.wall_seconds);
        Some(Self {
            loads: sampled.len(),
            samples: samples as u64,
            coverage: samples / called_for,
            unknown_share: sum(&|one| one.unknown_frames as f64)
                / sum(&|one| one.frames as f64).max(1.0),
            truncated_share: sampled
                .iter()
                .map(|(_, one)| one.truncated)
                .sum::<Option<u64>>()
                .map(|truncated| truncated as f64 / samples),
            cpu: per_thousand(sum(&|one| one.cpu_seconds), rows),
            overhead: median(&walls.collect::<Vec<_>>())
                .zip(median(&plain.collect::<Vec<_>>()))
                .map(|(sampled, plain)| sampled / plain),
        })
    }
}

impl Figures {
    fn new(watched: &[(&ProfiledLoad, &WatchedLoad)]) -> Option<Self> {
        let figure = |of: &dyn Fn(&RunReport) -> Option<f64>| {
            let values: Option<Vec<f64>> =
                watched.iter().map(|(load, _)| of(&load.report)).collect();
            median(&values?)
        };
        let latency = |of: fn(&RunReport) -> apitap_core::metrics::LatencyReport| {
            Some([
                figure(&|report| Some(of(report).p50_ms / 1e3))?,
                figure(&|report| Some(of(report).p95_ms / 1e3))?,
                figure(&|report| Some(of(report).p99_ms / 1e3))?,
            ])
        };
        Some(Self {
            rows_per_second: figure(&|report| Some(report.rows_per_second))?,
            http_seconds: latency(|report| report.http_latency)?,
            write_seconds: latency(|report| report.write_latency)?,
            peak_memory_bytes: figure(&|report| Some(report.process.peak_memory_bytes? as f64)),
            send_wait_seconds: figure(&|report| {
                let rows = report
                    .channels
                    .rows
                    .map_or(0.0, |rows| rows.send_wait_seconds);
                Some(rows + report.channels.batches.send_wait_seconds)
            })?,
        })
    }
}

fn timeline(moments: &[Moment]) -> Vec<TimelinePoint> {
    let mut before = Moment::default();
    moments
        .iter()
        .map(|now| {
            let elapsed = (now.seconds - before.seconds).max(f64::MIN_POSITIVE);
            let seconds = |latency: apitap_core::metrics::LatencyReport| {
                (latency.count > 0).then_some(latency.p95_ms / 1e3)
            };
            let point = TimelinePoint {
                seconds: now.seconds,
                rows_per_second: (now.rows_encoded - before.rows_encoded) as f64 / elapsed,
                http_p95_seconds: seconds(now.http_latency),
                write_p95_seconds: seconds(now.write_latency),
                memory_bytes: now.memory_bytes,
                send_wait_share: (now.send_wait_seconds - before.send_wait_seconds) / elapsed,
            };
            before = *now;
            point
        })
        .collect()
}

/// The sampled loads of both arms by round, without the frames that only run others.
fn pairs(record: &ProfileRecord) -> Vec<(Load, Load)> {
    let of_round = |round: usize, arm: usize| {
        let loads = record.loads.iter();
        let of_arm = loads.filter(|load| load.round == round && load.arm == arm);
        let (report, seen) = of_arm.filter_map(sampled).next()?;
        let stacks = seen.stacks.readable();
        Some(Load::new(stacks, seen.cpu_seconds, report.rows_read))
    };
    let rounds = record.loads.iter().map(|load| load.round + 1).max();
    (0..rounds.unwrap_or_default())
        .filter_map(|round| Some((of_round(round, 0)?, of_round(round, 1)?)))
        .collect()
}

/// All sampled loads of an arm as one.
#[must_use]
pub(crate) fn merged(record: &ProfileRecord, arm: usize) -> Load {
    let mut all = Stacks::default();
    let (mut cpu_seconds, mut rows) = (0.0, 0);
    let of_arm = record.loads.iter().filter(|load| load.arm == arm);
    for (report, seen) in of_arm.filter_map(sampled) {
        all.merge(&seen.stacks);
        cpu_seconds += seen.cpu_seconds;
        rows += report.rows_read;
    }
    Load::new(all, cpu_seconds, rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::example;
    use apitap_core::budget::Part;

    #[test]
    fn both_ways_of_telling_stages_agree_and_the_saving_is_found() {
        let results = ProfileResults::new(&example::record(), 0.95);
        for arm in &results.arms {
            let attribution = arm.attribution.as_ref().unwrap();
            assert!(attribution.disagreeing().is_empty(), "{attribution:?}");
            let budget = arm.budget.as_ref().unwrap();
            let parts: f64 = budget.parts.iter().map(|part| part.seconds).sum();
            assert!((parts - budget.wall_seconds).abs() < 1e-9);
        }
        let encode = |arm: usize| {
            let budget = results.arms[arm].budget.as_ref().unwrap();
            budget.part(Part::Encode).unwrap().seconds
        };
        assert!((encode(0) - 0.3).abs() < 1e-9 && (encode(1) - 0.1).abs() < 1e-9);
        let names: Vec<&str> = results
            .functions
            .iter()
            .map(|one| one.name.as_str())
            .collect();
        assert!(
            names[..3].contains(&"apitap_core::encode::row"),
            "{names:?}"
        );
        let largest = &results.crates[0];
        // 200 ms of 10,000 rows are 20 ms of 1,000.
        assert_eq!(largest.name, "apitap_core");
        assert!((largest.difference + 20_000.0).abs() < 500.0, "{largest:?}");
        assert!(!largest.is_noise());
        let figures = results.arms[0].figures.unwrap();
        assert!((figures.rows_per_second - 10_000.0 / 0.66).abs() < 1.0);
        assert_eq!(
            results.arms[0].timeline[1].rows_per_second.round(),
            50_000.0
        );
        assert!(results.arms[0].heap.is_some() && results.arms[1].heap.is_none());
    }

    #[test]
    fn what_was_half_seen_is_not_ranked() {
        let mut record = example::record();
        for load in &mut record.loads {
            if let (1, Observed::Sampled(sampled)) = (load.arm, &mut load.seen) {
                sampled.cpu_seconds *= 2.0;
            }
        }
        let results = ProfileResults::new(&record, 0.95);
        assert!(results.functions.is_empty() && results.crates.is_empty());
        assert_eq!(results.uncovered()[0].name, "copy-binary");
        // The samples now cover twice the time that the clocks saw.
        let attribution = results.arms[1].attribution.as_ref().unwrap();
        assert!(!attribution.disagreeing().is_empty());
    }

    #[test]
    fn a_profile_without_loads_says_nothing() {
        let record = ProfileRecord {
            loads: Vec::new(),
            ..example::record()
        };
        let results = ProfileResults::new(&record, 0.95);
        assert!(
            results
                .arms
                .iter()
                .all(|arm| arm.budget.is_none() && arm.sampling.is_none())
        );
        assert!(merged(&record, 0).stacks.is_empty());
    }
}
