//! The largest gain that could be seen in a setting, whatever a change does to the stage that it touches.
//!
//! After Amdahl (*Validity of the single processor approach*, AFIPS 1967) it is 1 ÷ (1 - share), where the share is
//! what the stage can give back of the baseline's wall time. Stages overlap, so that is neither their busy time nor
//! the time in which nothing else goes on. What surely stays without the stage is the larger one of
//!
//! - the time in which it was not at work, by the stages' own clocks;
//! - what the other stages need of processors, which are few, one after the other in their lanes.
//!
//! Both err on the side of the claim: waits for the API, which the samples of a plain run do not tell apart from
//! work, processor time of no known stage, and the server's own work for others are left out.

use apitap_core::RunReport;
use apitap_core::budget::{Needs, Part, Watched};
use apitap_core::metrics::ProcessUsage;

use super::arm::{blocks, run_report};
use super::{Finding, SamplesByScenario};
use crate::experiment::{ArmPlan, Definition, Touched};
use crate::metric::Metric;
use crate::run_record::RunRecord;
use crate::samples::Measurements;
use crate::stats::{ClaimVerdict, Expected, sample};

/// Notes in each finding the largest gain that could be seen, and whether its claim could be tested at all.
pub(super) fn note(findings: &mut [Finding], run: &RunRecord, samples: &SamplesByScenario<'_>) {
    let cores = run.fingerprint["machine"]["cores"].as_u64().unwrap_or(1) as usize;
    for finding in findings {
        let definition = run
            .experiments
            .iter()
            .find(|one| one.id == finding.experiment);
        let scenario = run
            .scenarios
            .iter()
            .find(|one| one.plan.name == finding.scenario);
        let (Some(definition), Some(scenario)) = (definition, scenario) else {
            continue;
        };
        let Expected::Factor { low, .. } = definition.expected_of(&finding.candidate) else {
            continue;
        };
        let baseline = scenario.plan.baseline();
        let samples = blocks(samples.scenario(&finding.scenario), &baseline.name);
        let shares: Option<Vec<f64>> = samples
            .values()
            .map(|sample| share_of(definition, baseline, sample, cores))
            .collect();
        finding.at_most = shares.and_then(|shares| Some(gain_at_most(sample::median(&shares)?)));
        // One that was weakened says nothing of the claim, whatever could have been seen.
        if let (Some(at_most), None) = (finding.at_most, finding.weakened) {
            finding.claim = testable(finding.claim, low, at_most);
        }
    }
}

/// The largest gain if `share` of the time could be saved.
fn gain_at_most(share: f64) -> f64 {
    1.0 / (1.0 - share)
}

/// The verdict on a claim of at least `low` where at most a gain of `at_most` could be seen. What was seen stays seen.
fn testable(claim: ClaimVerdict, low: f64, at_most: f64) -> ClaimVerdict {
    match claim {
        ClaimVerdict::Refuted | ClaimVerdict::Inconclusive if low > at_most => {
            ClaimVerdict::NotTestable
        }
        other => other,
    }
}

/// The share of a sample's time that the touched stage can give back; absent where the sample does not say, and
/// where the claim is not about wall time.
fn share_of(
    definition: &Definition,
    arm: &ArmPlan,
    sample: &Measurements,
    cores: usize,
) -> Option<f64> {
    if definition.metric != Metric::WallSeconds {
        return None;
    }
    let mut report = run_report(arm, sample)?;
    // What belongs to no known stage could belong to the one that is touched.
    report.process = ProcessUsage::default();
    Some(share(&report, definition.touches?, cores))
}

/// The share of a load's time that a stage can give back: from 0 to less than 1.
fn share(report: &RunReport, touched: Touched, cores: usize) -> f64 {
    let stages = &report.stages;
    let (parts, at_work) = match touched {
        Touched::Write => (
            [
                Part::Encode,
                Part::Send,
                Part::SendWait,
                Part::ServerCpu,
                Part::ServerIo,
            ],
            stages.encode.busy_seconds + stages.send.busy_seconds + stages.write.wait_seconds,
        ),
    };
    let load = Watched {
        report,
        seen: &[],
        server_cpu_seconds: None,
    };
    let needed = Needs::new(&[load], &|_| 0.0, cores).without(&parts);
    let wall = report.wall_seconds;
    // Clocks of stages and of the run are not the same: something always stays.
    let least = wall * LEAST_REST;
    1.0 - needed.max(wall - at_work).clamp(least, wall) / wall
}

/// What stays of any load at least, so that a gain has a bound.
const LEAST_REST: f64 = 0.001;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::example::report;
    use apitap_core::concurrency_time::Activity::{Decode, ServerWait};
    use proptest::prelude::*;

    /// A load of two seconds: its stages' processor seconds, and its wait for the server.
    fn load(cpu: &[(&str, f64)], wait: f64) -> RunReport {
        let mut report = report(&[(&[Decode, ServerWait], 2.0)], cpu);
        report.process = ProcessUsage::default();
        report.stages.write.wait_seconds = wait;
        report
    }

    fn bound(report: &RunReport) -> f64 {
        gain_at_most(share(report, Touched::Write, 2))
    }

    #[test]
    fn a_stage_that_never_overlaps_gives_back_its_own_time() {
        let report = load(&[("decode", 1.0), ("encode", 0.2)], 0.8);
        assert!((bound(&report) - 2.0).abs() < 1e-9);
    }

    #[test]
    fn what_others_need_meanwhile_stays() {
        // At work all the time, beside a decoder that is busy for half of it.
        let report = load(&[("decode", 1.0), ("encode", 0.4)], 1.6);
        assert!((bound(&report) - 2.0).abs() < 1e-9);
        // Four requests at once, one lane: two processors have 1.4 s of work.
        let busy = load(&[("decode", 1.0), ("fetch", 1.8)], 2.0);
        assert!((bound(&busy) - 2.0 / 1.4).abs() < 1e-9);
        assert!(share(&busy, Touched::Write, 4) > share(&busy, Touched::Write, 2));
    }

    #[test]
    fn a_load_that_only_writes_has_a_bound_that_no_claim_reaches() {
        assert!((bound(&load(&[], 2.5)) - 1_000.0).abs() < 1e-6);
    }

    #[test]
    fn only_what_was_not_seen_is_not_testable() {
        use ClaimVerdict::{Exceeded, Inconclusive, NotTestable, Refuted, Supported};
        for (claim, at_most, expected) in [
            (Refuted, 2.0, NotTestable),
            (Inconclusive, 2.0, NotTestable),
            (Supported, 2.0, Supported),
            (Exceeded, 2.0, Exceeded),
            (Refuted, 10.0, Refuted),
            (Inconclusive, 12.0, Inconclusive),
        ] {
            assert_eq!(
                testable(claim, 10.0, at_most),
                expected,
                "{claim} {at_most}"
            );
        }
    }

    proptest! {
        /// A pipeline whose stages overlap as they like, and then run without the writer: the gain is never
        /// beyond the bound.
        #[test]
        fn no_pipeline_gains_more(
            decode in 0.0..2.0f64,
            encode in 0.0..1.0f64,
            server in 0.0..2.0f64,
            overlap in 0.0..1.0f64,
        ) {
            let write = encode + server;
            let apart = decode + write;
            let wall = apart - overlap * decode.min(write);
            prop_assume!(wall > 0.1 && decode > 0.01);
            let mut report = load(&[("decode", decode), ("encode", encode)], server);
            report.wall_seconds = wall;
            // Without the writer only decoding is left.
            prop_assert!(wall / decode <= bound(&report) * (1.0 + 1e-9));
        }
    }
}
