//! The model against a pipeline whose costs are known.

use apitap_core::config::{DecodePath, Observe, WriteCommand, WriteMethod};
use apitap_core::{Config, RunReport};
use chrono::DateTime;
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::json;

use super::*;
use crate::experiment::{ArmPlan, Experiment, ExperimentFiles, LoadPlan, Scale, configured};
use crate::profile::example::report;
use crate::run_record::{RoundTrip, Scenario};
use crate::samples::{Measurements, Outcome, Sample};

/// Blocks of each scenario.
const BLOCKS: usize = 4;

/// Standard deviation, about, of a figure.
const NOISE: f64 = 0.02;

/// Seconds before the first page is asked for, without round trips.
const START: f64 = 0.012;

/// Round trips to PostgreSQL before the rows, and after them.
const TRIPS: (f64, f64) = (9.0, 4.0);

/// The costs of the simulated engine and server.
struct World {
    config: Config,
    rows: f64,
    api_round_trip: f64,
    postgres_round_trip: f64,
}

impl World {
    fn sends_statements(&self) -> bool {
        let command = self.config.write.method.command();
        matches!(command, WriteCommand::Statement(_))
    }

    fn pages(&self) -> usize {
        (self.rows / self.config.source.page_rows.get() as f64).ceil() as usize
    }

    fn flushes(&self) -> usize {
        let most = match self.config.write.method {
            WriteMethod::Insert | WriteMethod::Prepared => 65_535 / 13,
            _ => usize::MAX,
        };
        let rows = self.config.write.batch_rows.get().min(most);
        (self.rows / rows as f64).ceil() as usize
    }

    fn decode(&self) -> f64 {
        let by_row = match self.config.decode.path {
            DecodePath::Tape => 0.6e-6,
            DecodePath::Rows => 5e-6,
        };
        self.rows * by_row
    }

    fn encode(&self) -> f64 {
        let by_row = match self.config.write.method {
            WriteMethod::Insert => 2e-6,
            WriteMethod::Prepared => 0.7e-6,
            WriteMethod::Unnest => 0.4e-6,
            WriteMethod::CopyCsv => 0.6e-6,
            WriteMethod::CopyText => 0.5e-6,
            WriteMethod::CopyBinary => 0.2e-6,
        };
        self.rows * by_row
    }

    fn server(&self) -> f64 {
        let (by_row, by_flush) = match self.config.write.method {
            WriteMethod::Insert => (10e-6, 1e-4),
            WriteMethod::Prepared => (5e-6, 1e-4),
            WriteMethod::Unnest => (4.5e-6, 1e-4),
            WriteMethod::CopyCsv => (4e-6, 0.0),
            WriteMethod::CopyText => (3.5e-6, 0.0),
            WriteMethod::CopyBinary => (2.7e-6, 0.0),
        };
        self.rows * by_row + self.flushes() as f64 * by_flush
    }

    /// Client's time for a page besides decoding.
    fn read_page(&self) -> f64 {
        5e-5 + self.rows / self.pages() as f64 * 0.3e-6
    }

    fn page(&self) -> f64 {
        let connects = if self.config.source.reuse_connections {
            0.0
        } else {
            2e-3
        };
        self.api_round_trip + 1e-4 + connects
    }

    /// When each page is there, each batch decoded, each flush encoded, done and answered. There are processors for all.
    fn wall(&self) -> f64 {
        let trip = self.postgres_round_trip;
        let begin = START + TRIPS.0 * trip;
        let pages = self.pages();
        let at_once = self.config.source.concurrency.get();
        let (mut there, mut decoded) = (Vec::new(), Vec::new());
        for page in 0..pages {
            let free = match page {
                0 => begin,
                // The first page is asked for alone.
                page if page < at_once => there[0],
                page => there[page - at_once],
            };
            there.push(free + self.page() + self.read_page());
            let before = decoded.last().copied().unwrap_or(0.0_f64);
            decoded.push(before.max(there[page]) + self.decode() / pages as f64);
        }
        let flushes = self.flushes();
        let in_flight = self.config.write.in_flight.get();
        let connections = self.config.write.connections.get();
        let (mut encoded, mut done): (Vec<f64>, Vec<f64>) = (Vec::new(), Vec::new());
        for flush in 0..flushes {
            // Its last rows are in this page.
            let page = ((flush + 1) * pages).div_ceil(flushes).min(pages) - 1;
            let rows_there = if self.config.transform.streaming {
                decoded[page]
            } else {
                decoded[pages - 1]
            };
            let earlier = flush.checked_sub(connections);
            let mut free = earlier.map_or(0.0, |earlier| encoded[earlier]);
            let window = in_flight * connections;
            if self.sends_statements() && flush >= window {
                free = free.max(done[flush - window] + trip / 2.0);
            }
            encoded.push(rows_there.max(free) + self.encode() / flushes as f64);
            let busy = earlier.map_or(0.0, |earlier| done[earlier]);
            done.push(busy.max(encoded[flush] + trip / 2.0) + self.server() / flushes as f64);
        }
        done.iter().copied().fold(0.0, f64::max) + trip / 2.0 + TRIPS.1 * trip
    }

    /// What the engine says of a load.
    fn report(&self, noise: &mut impl FnMut() -> f64) -> RunReport {
        let pages = self.pages() as f64;
        let is_observed = self.config.observe == Observe::On;
        let mut seconds = |seconds: f64| if is_observed { seconds * noise() } else { 0.0 };
        let cpu = [
            ("fetch", seconds(self.read_page() * pages / 2.0)),
            ("source", seconds(self.read_page() * pages / 2.0)),
            ("decode", seconds(self.decode())),
            ("encode", seconds(self.encode())),
        ];
        let wait = seconds(self.server() + self.flushes() as f64 * self.postgres_round_trip);
        let page = seconds(self.page());
        let mut report = report(&[], &cpu);
        report.http.pages = self.pages() as u64;
        report.http_latency.p50_ms = page * 1e3;
        report.flushes = self.flushes() as u64;
        report.stages.write.wait_seconds = if self.sends_statements() { wait } else { 0.0 };
        report
    }

    fn sample(&self, noise: &mut impl FnMut() -> f64) -> Measurements {
        let report = self.report(noise);
        let client = self.read_page() * self.pages() as f64 + self.decode() + self.encode();
        let first_pages =
            self.config.infer.sample_rows.get() as f64 / self.config.source.page_rows.get() as f64;
        let begin = START + TRIPS.0 * self.postgres_round_trip;
        let mut extra = serde_json::to_value(&report).unwrap();
        extra.as_object_mut().unwrap().remove("config");
        Measurements {
            wall_seconds: self.wall() * noise(),
            rows: self.rows as u64,
            first_row_seconds: Some(begin + first_pages.ceil() * self.page()),
            client_cpu_seconds: client * noise(),
            server_cpu_seconds: Some(self.server() * noise()),
            extra,
            ..Measurements::default()
        }
    }
}

/// A run of all experiments of the repository that one engine can do, in the simulated world.
fn run() -> (RunRecord, Samples) {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(19);
    let mut noise = || 1.0 + NOISE * random.random_range(-1.7..1.7);
    let mut record = crate::report::example::run_record();
    record.experiments.clear();
    record.scenarios.clear();
    record.fingerprint = json!({"machine": {"cores": 64}});
    let mut samples = Vec::new();
    for experiment in Experiment::all(&ExperimentFiles::BuiltIn).unwrap() {
        for plan in experiment.scenarios(Scale::Default) {
            let round_trip = |added_ms| RoundTrip {
                direct_ms: 0.1,
                relayed_ms: added_ms + 0.2,
            };
            let mut scenario = Scenario::planned(plan.clone());
            scenario.postgres_round_trip = plan.postgres_round_trip_ms.map(round_trip);
            scenario.api_round_trip = plan.api_round_trip_ms.map(round_trip);
            for block in 0..BLOCKS {
                for (position, arm) in plan.arms.iter().enumerate() {
                    let Some(world) = world(&scenario, arm) else {
                        continue;
                    };
                    samples.push(Sample {
                        scenario: plan.name.clone(),
                        arm: arm.name.clone(),
                        block,
                        position,
                        warm_up: false,
                        started_at: DateTime::from_timestamp(1_767_225_600, 0).unwrap().into(),
                        outcome: Outcome::Measured(world.sample(&mut noise)),
                    });
                }
            }
            record.scenarios.push(scenario);
        }
        record.experiments.push(experiment.definition);
    }
    let samples = Samples {
        samples,
        cut_line: None,
    };
    (record, samples)
}

/// Of loads of all columns of `orders`.
fn world(scenario: &Scenario, arm: &ArmPlan) -> Option<World> {
    let plan = &scenario.plan;
    let LoadPlan::Engine { preset, knobs, .. } = &arm.load else {
        return None;
    };
    let is_plain = plan.workload == "orders" && plan.query(arm).is_none() && plan.key.is_empty();
    let seconds =
        |round_trip: Option<RoundTrip>| round_trip.map_or(1e-4, |one| one.relayed_ms / 1e3);
    is_plain.then(|| World {
        config: configured(preset, knobs).unwrap(),
        rows: arm.rows as f64,
        api_round_trip: seconds(scenario.api_round_trip),
        postgres_round_trip: seconds(scenario.postgres_round_trip),
    })
}

/// Share of the measured gains that intervals hold, and the median error.
fn agreement(predictions: &[&Prediction]) -> (f64, f64) {
    let judged: Vec<bool> = predictions.iter().filter_map(|one| one.holds()).collect();
    let within = judged.iter().filter(|holds| **holds).count();
    let errors = predictions.iter().filter_map(|one| one.error());
    let errors: Vec<f64> = errors.map(f64::abs).collect();
    let median = crate::stats::sample::median(&errors).unwrap();
    (within as f64 / judged.len() as f64, median)
}

#[test]
fn intervals_hold_what_they_promise_in_a_world_with_known_costs() {
    let (run, samples) = run();
    let predictions = Predictions::new(&run, &samples);
    let known: Vec<&Prediction> = predictions
        .predictions
        .iter()
        .filter(|one| one.has_known_costs())
        .collect();
    assert!(known.len() > 200, "{}", known.len());
    let (within, median) = agreement(&known);
    // The promise is about experiments; those with many cells are the harder ones.
    let experiments = known.chunk_by(|a, b| a.experiment == b.experiment);
    let shares: Vec<f64> = experiments.map(|ones| agreement(ones).0).collect();
    let by_experiment = shares.iter().sum::<f64>() / shares.len() as f64;
    assert!(by_experiment >= COVERAGE, "{by_experiment}");
    assert!(within >= 0.87, "{within}");
    assert!(median < 0.05, "{median}");
    for kind in [
        Kind::Configuration,
        Kind::ApiRoundTrip,
        Kind::PostgresRoundTrip,
    ] {
        assert!(known.iter().any(|one| one.kind == kind), "{kind:?}");
    }
    let reasons: Vec<&str> = predictions
        .left_out
        .iter()
        .map(|one| one.reason.as_str())
        .collect();
    assert!(
        reasons.contains(&"an arm is not this engine"),
        "{reasons:?}"
    );
}

#[test]
fn what_is_predicted_about_an_experiment_does_not_know_its_candidates() {
    let (run, samples) = run();
    let before = Predictions::new(&run, &samples);
    let mut other = samples;
    for sample in &mut other.samples {
        let is_candidate = sample.scenario.starts_with("copy-vs-insert ") && sample.arm != "insert";
        if let (true, Outcome::Measured(figures)) = (is_candidate, &mut sample.outcome) {
            figures.wall_seconds *= 3.0;
            figures.client_cpu_seconds *= 2.0;
            figures.server_cpu_seconds = figures.server_cpu_seconds.map(|seconds| 5.0 * seconds);
        }
    }
    let after = Predictions::new(&run, &other);
    let of_baselines = |predictions: &Predictions| -> Vec<Prediction> {
        let all = predictions.predictions.iter().cloned();
        all.filter(|one| one.experiment == "copy-vs-insert" && one.arm == "insert")
            .collect()
    };
    let (before, after) = (of_baselines(&before), of_baselines(&after));
    assert!(before.len() > 12);
    for (before, after) in before.iter().zip(&after) {
        assert_eq!(before.gain, after.gain, "{}", before.scenario);
        assert_eq!(before.interval, after.interval, "{}", before.scenario);
        if before.kind == Kind::Configuration {
            assert!(after.measured < before.measured, "{}", before.scenario);
        }
    }
}

#[test]
fn a_knob_that_the_model_does_not_know_is_about_one_with_a_bound() {
    let (run, samples) = run();
    let predictions = Predictions::new(&run, &samples);
    let counter = predictions.predictions.iter();
    let counter: Vec<&Prediction> = counter.filter(|one| one.experiment == "counter").collect();
    assert_eq!(counter.len(), 2);
    for one in counter {
        assert_eq!(one.basis, Basis::NoDifference);
        assert!(
            (one.gain - 1.0).abs() < 1e-3 && one.at_most >= 1.0,
            "{one:?}"
        );
        assert!(one.interval.unwrap().contains(1.0));
    }
    // No other experiment has a client for each request.
    let mut reversed = run;
    let mut experiments = reversed.scenarios.iter_mut();
    let reuse = experiments
        .find(|one| one.plan.name == "connection-reuse on tuned")
        .unwrap();
    reuse.plan.arms.reverse();
    let predictions = Predictions::new(&reversed, &samples);
    let mut predictions = predictions.predictions.iter();
    let unknown = predictions
        .find(|one| one.scenario == "connection-reuse on tuned")
        .unwrap();
    assert!(
        matches!(unknown.basis, Basis::UnknownCosts(_)),
        "{unknown:?}"
    );
    assert_eq!(unknown.interval.unwrap().high, unknown.at_most);
}

#[test]
fn a_change_that_was_not_measured_has_an_interval_too() {
    let (run, samples) = run();
    let ask = |change: Change| Predictions::of_change(&run, &samples, "copy-vs-insert", &change);
    let farther = ask(Change {
        postgres_round_trip: Some("20ms".parse().unwrap()),
        ..Change::default()
    });
    let farther = farther.unwrap().predictions;
    let scenarios: Vec<&str> = farther.iter().map(|one| one.scenario.as_str()).collect();
    assert_eq!(
        scenarios,
        ["copy-vs-insert on before", "copy-vs-insert on tuned"]
    );
    // 200 statements of 100 rows, one at a time.
    assert!(farther[0].gain < 0.2, "{}", farther[0].gain);
    assert_eq!(farther[0].measured, None);
    assert!(farther[0].interval.unwrap().contains(farther[0].gain));
    let more = ask(Change {
        rows: Some("10x".parse().unwrap()),
        ..Change::default()
    });
    let gain = more.unwrap().predictions[0].gain;
    assert!((0.08..0.13).contains(&gain), "{gain}");
    let wrong = ask(Change {
        knobs: vec!["write.method=fax".to_owned()],
        ..Change::default()
    });
    assert!(wrong.unwrap_err().to_string().contains("write.method"));
    let absent = Predictions::of_change(&run, &samples, "nothing", &Change::default());
    assert!(absent.unwrap_err().to_string().contains("nothing"));
}

#[test]
fn quantities_are_read_as_they_are_written() {
    assert_eq!("2ms".parse::<Latency>().unwrap(), Latency::Seconds(0.002));
    assert_eq!("0.5x".parse::<Latency>().unwrap(), Latency::Times(0.5));
    assert_eq!("10x".parse::<Rows>().unwrap(), Rows::Times(10.0));
    assert!("5".parse::<Latency>().is_err() && "-1x".parse::<Latency>().is_err());
    assert!("0".parse::<Rows>().is_err() && "ten".parse::<Rows>().is_err());
    let change = Change {
        api_round_trip: Some(Latency::Times(0.5)),
        rows: Some("1000000".parse().unwrap()),
        knobs: vec!["write.connections=2".to_owned()],
        ..Change::default()
    };
    assert_eq!(
        change.to_string(),
        "round trip to the API ×0.5, rows 1,000,000, write.connections=2"
    );
}
