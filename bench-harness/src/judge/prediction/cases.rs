//! Changes whose gains were measured in a run.

use std::collections::BTreeMap;

use super::Kind;
use super::load::{Load, Unusable};
use super::setting::Setting;
use crate::experiment::IDENTICAL;
use crate::judge::SamplesByScenario;
use crate::judge::arm::{blocks, log_ratios};
use crate::metric::Metric;
use crate::run_record::{RunRecord, Scenario};
use crate::stats::{CONFIDENCE_LEVEL, location};

/// A load, another setting of it, and how it was there.
#[derive(Debug)]
pub(super) struct Case<'a> {
    pub(super) load: &'a Load,
    pub(super) to: &'a Load,
    pub(super) kind: Kind,
    /// How many times as fast.
    pub(super) measured: f64,
}

/// What a run has to learn from, and to be held against.
#[derive(Debug)]
pub(super) struct Measured {
    pub(super) loads: Vec<Load>,
    /// Baselines and candidates, by their places, and the gains.
    changes: Vec<(usize, usize, f64)>,
    /// Comparisons that cannot be predicted.
    pub(super) left_out: Vec<(String, Unusable)>,
}

/// Round trips that differ by less are the same one measured twice, in seconds.
const LEAST_DIFFERENCE: f64 = 2e-4;

/// Difference of two round trips from which other trips can be counted, in seconds.
const COUNTABLE_DIFFERENCE: f64 = 5e-3;

impl Measured {
    /// Identical arms are left out: they are predicted well by anything.
    pub(super) fn new(run: &RunRecord, samples: &SamplesByScenario<'_>) -> Self {
        let cores = run.fingerprint["machine"]["cores"].as_u64().unwrap_or(1) as f64;
        let mut measured = Self {
            loads: Vec::new(),
            changes: Vec::new(),
            left_out: Vec::new(),
        };
        let scenarios = run.scenarios.iter().filter(|one| {
            let is_again = one.plan.confirms.is_some();
            !is_again && one.plan.experiment != IDENTICAL
        });
        for scenario in scenarios {
            measured.add(scenario, samples, cores);
        }
        let trips: Vec<Option<f64>> = measured
            .loads
            .iter()
            .map(|far| other_trips(far, &measured.loads))
            .collect();
        for (load, trips) in measured.loads.iter_mut().zip(trips) {
            load.other_trips = trips;
        }
        measured
    }

    fn add(&mut self, scenario: &Scenario, samples: &SamplesByScenario<'_>, cores: f64) {
        let plan = &scenario.plan;
        let samples = samples.scenario(&plan.name);
        let baseline = blocks(samples, &plan.baseline().name);
        let mut from = Err(Unusable::NotMeasured);
        for (nth, arm) in plan.arms.iter().enumerate() {
            let own = blocks(samples, &arm.name);
            let place = Load::new(scenario, arm, &own, cores).map(|load| {
                self.loads.push(load);
                self.loads.len() - 1
            });
            if nth == 0 {
                from = place;
                continue;
            }
            let ratios = log_ratios(&own, &baseline, Metric::WallSeconds);
            let gain = location(&ratios, CONFIDENCE_LEVEL).map(|one| (-one.estimate).exp());
            match self.change(from, place, gain) {
                Ok(change) => self.changes.push(change),
                Err(reason) => {
                    let name = format!("{}, {}", plan.name, arm.name);
                    self.left_out.push((name, reason));
                }
            }
        }
    }

    fn change(
        &self,
        from: Result<usize, Unusable>,
        to: Result<usize, Unusable>,
        gain: Option<f64>,
    ) -> Result<(usize, usize, f64), Unusable> {
        let (from, to) = (from?, to?);
        if self.loads[from].setting.work != self.loads[to].setting.work {
            return Err(Unusable::OtherWork);
        }
        Ok((from, to, gain.ok_or(Unusable::NotMeasured)?))
    }

    /// Loads of all experiments but these.
    pub(super) fn without<'a>(&'a self, experiments: &'a [&str]) -> impl Iterator<Item = &'a Load> {
        let loads = self.loads.iter();
        loads.filter(move |one| !experiments.contains(&one.experiment.as_str()))
    }

    /// All changes by experiment: of candidates against baselines, and of round trips between the cells of a grid.
    pub(super) fn cases(&self) -> BTreeMap<&str, Vec<Case<'_>>> {
        let changes = self.changes.iter().map(|(from, to, measured)| {
            let (load, to) = (&self.loads[*from], &self.loads[*to]);
            let rows_alone = Setting {
                rows: load.setting.rows,
                ..to.setting.clone()
            };
            let kind = if to.setting.rows != load.setting.rows && rows_alone == load.setting {
                Kind::Rows
            } else {
                Kind::Configuration
            };
            Case {
                load,
                to,
                kind,
                measured: *measured,
            }
        });
        let round_trips = self.loads.iter().flat_map(|to| {
            let kinds = [Kind::ApiRoundTrip, Kind::PostgresRoundTrip].into_iter();
            kinds.filter_map(move |kind| {
                let load = nearest(kind, to, &self.loads)?;
                let longer = round_trip(kind, to) - round_trip(kind, load);
                (longer >= LEAST_DIFFERENCE).then(|| Case {
                    load,
                    to,
                    kind,
                    measured: load.wall_seconds / to.wall_seconds,
                })
            })
        });
        let mut cases: BTreeMap<&str, Vec<Case<'_>>> = BTreeMap::new();
        for case in changes.chain(round_trips) {
            let of_experiment = cases.entry(case.load.experiment.as_str());
            of_experiment.or_default().push(case);
        }
        cases
    }
}

fn round_trip(kind: Kind, load: &Load) -> f64 {
    match kind {
        Kind::ApiRoundTrip => load.setting.api_round_trip,
        _ => load.setting.postgres_round_trip,
    }
}

/// The same arm of the experiment in the same setting, but for the round trip: that with the shortest one.
fn nearest<'a>(kind: Kind, to: &Load, loads: &'a [Load]) -> Option<&'a Load> {
    let is_same = |one: &&Load| {
        if (&one.experiment, &one.arm) != (&to.experiment, &to.arm) {
            return false;
        }
        let mut setting = to.setting.clone();
        // It is measured for each scenario.
        setting.api_cpu_by_row = one.setting.api_cpu_by_row;
        match kind {
            Kind::ApiRoundTrip => setting.api_round_trip = one.setting.api_round_trip,
            _ => setting.postgres_round_trip = one.setting.postgres_round_trip,
        }
        one.setting == setting
    };
    let same = loads.iter().filter(is_same);
    same.min_by(|a, b| round_trip(kind, a).total_cmp(&round_trip(kind, b)))
}

/// By how many round trips a load grew, less those that flushes wait for.
fn other_trips(far: &Load, loads: &[Load]) -> Option<f64> {
    let near = nearest(Kind::PostgresRoundTrip, far, loads)?;
    let longer = far.setting.postgres_round_trip - near.setting.postgres_round_trip;
    let trips = (far.wall_seconds - near.wall_seconds) / longer;
    (longer >= COUNTABLE_DIFFERENCE)
        .then_some((trips - far.setting.flush_trips(far.flushes)).max(0.0))
}
