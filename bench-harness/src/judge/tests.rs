//! Results of constructed samples.

mod arms;
pub(crate) mod bound;
mod doubt;

use super::*;
use crate::metric::Metric;
use crate::report::example;
use crate::stats::{Correction, Verdict};

const COPY: &str = "copy-vs-insert";

fn results_of(samples: Vec<Sample>) -> Results {
    let cut_line = None;
    Results::new(&example::run_record(), &Samples { samples, cut_line })
}

/// The results after a change to the figures of some samples.
fn with(is_it: impl Fn(&Sample) -> bool, change: impl Fn(&mut Measurements)) -> Results {
    let mut samples = example::samples().samples;
    let mut changed = 0;
    for sample in samples.iter_mut().filter(|sample| is_it(sample)) {
        if let Outcome::Measured(figures) = &mut sample.outcome {
            change(figures);
            changed += 1;
        }
    }
    assert!(changed > 0);
    results_of(samples)
}

fn is(scenario: &'static str, arm: &'static str) -> impl Fn(&Sample) -> bool {
    move |sample| sample.scenario == scenario && sample.arm == arm && !sample.warm_up
}

fn finding<'a>(results: &'a Results, experiment: &str, on: &str) -> &'a Finding {
    results
        .experiment(experiment)
        .unwrap()
        .on(Some(on))
        .unwrap()
}

#[test]
fn a_gain_is_large_and_still_less_than_was_claimed() {
    let results = example::results();
    let copy = results.experiment(COPY).unwrap();
    for (on, expected) in [("before", 0.019 / 0.006), ("tuned", 0.0116 / 0.0036)] {
        let finding = copy.on(Some(on)).unwrap();
        let gain = finding.gain().unwrap();
        assert!((gain / expected - 1.0).abs() < 0.01, "{gain} on {on}");
        assert_eq!(finding.verdict, Verdict::Improved);
        assert_eq!(finding.claim, ClaimVerdict::Refuted);
        assert_eq!(finding.candidate, "copy-binary");
    }
    assert_eq!(copy.verdict, ClaimVerdict::Refuted);
    assert_eq!(copy.deciding(), copy.on(Some("before")));
}

#[test]
fn the_cells_of_a_grid_are_found_and_judged_by_themselves() {
    let results = example::results();
    let copy = results.experiment(COPY).unwrap();
    let holding: Vec<Vec<f64>> = copy
        .cells()
        .filter(|cell| cell.claim == ClaimVerdict::Supported)
        .map(|cell| {
            let settings = cell.cell.iter();
            settings.filter_map(|at| at.value.number()).collect()
        })
        .collect();
    assert_eq!(copy.cells().count(), 6);
    assert_eq!(holding, [[10.0, 100.0]]);
    assert!(
        copy.cells()
            .all(|cell| cell.is_headline && cell.candidate == "copy-binary")
    );
}

#[test]
fn a_change_without_effect_is_equivalent_and_its_claim_refuted() {
    let results = example::results();
    let counter = finding(&results, "counter", "tuned");
    assert_eq!(counter.verdict, Verdict::Equivalent);
    assert_eq!(counter.claim, ClaimVerdict::Refuted);
    assert!(!counter.is_flagged());
}

#[test]
fn learned_thresholds_are_used_where_there_are_some() {
    let results = example::results();
    let threshold = |on| {
        let measures = &finding(&results, "counter", on).measures;
        measures
            .iter()
            .map(|one| one.threshold.share())
            .collect::<Vec<_>>()
    };
    assert_eq!(threshold("before"), [0.018, 0.05, 0.05]);
    assert_eq!(threshold("tuned"), [0.05; 3]);
}

#[test]
fn steps_are_sorted_by_gain_and_know_whether_tuned_takes_them() {
    let results = example::results();
    let steps: Vec<(&str, PartOf)> = results
        .steps
        .iter()
        .map(|step| (step.experiment.as_str(), step.part_of))
        .collect();
    assert_eq!(
        steps[..3],
        [
            (COPY, PartOf::Tuned),
            ("sample-size", PartOf::Neither),
            ("page-size", PartOf::Tuned)
        ]
    );
    assert_eq!(steps.last(), Some(&("partitions", PartOf::Neither)));
    assert!(steps.contains(&("counter", PartOf::Tuned)));
    assert!(steps.contains(&("concurrency", PartOf::Neither)));
    assert!(
        !steps
            .iter()
            .any(|(id, _)| [IDENTICAL, "before-vs-tuned"].contains(id))
    );
    let page_size = results
        .steps
        .iter()
        .find(|step| step.experiment == "page-size");
    let (added, taken_out) = page_size.map(|step| (step.added, step.taken_out)).unwrap();
    assert!((added.unwrap().gain - 19.0 / 17.0).abs() < 0.01);
    assert_eq!(taken_out.unwrap().verdict, Verdict::Improved);
}

#[test]
fn what_to_do_follows_from_the_findings() {
    let results = example::results();
    let headline = &results.headline;
    assert_eq!(headline.pay, [COPY, "sample-size", "page-size"]);
    assert_eq!(headline.do_not, ["partitions"]);
    let one = |id: &str| results.experiment(id).unwrap();
    for (id, expected) in [
        (COPY, Some(Recommendation::Do)),
        ("concurrency", Some(Recommendation::DoElsewhere)),
        ("partitions", Some(Recommendation::Dont)),
        ("pipelining", Some(Recommendation::Inconclusive)),
        ("before-vs-tuned", None),
        (IDENTICAL, None),
    ] {
        assert_eq!(one(id).recommendation, expected, "{id}");
    }
    let why = one("pipelining").inconclusive;
    assert!(
        matches!(why, Some(Reason::Resolution(share)) if share > 0.4),
        "{why:?}"
    );
    assert_eq!(one(COPY).inconclusive, None);
}

#[test]
fn a_grid_says_where_its_claim_holds() {
    let results = example::results();
    let one = |id: &str| results.experiment(id).unwrap();
    let part = one("concurrency").gains.grid.as_ref().unwrap();
    assert_eq!((part.cells, part.measured), (3, 4));
    assert_eq!(part.ranges[0].values, Values::From(0.5));
    let whole = one(COPY).gains.grid.as_ref().unwrap();
    assert_eq!((whole.cells, whole.ranges.len()), (whole.measured, 0));
    let crossing = one("concurrency").crossing.as_ref().unwrap();
    assert!((crossing.gain - 1.05).abs() < 1e-9);
    assert!((0.0..0.5).contains(&crossing.at), "{crossing:?}");
    assert_eq!(one(COPY).crossing, None);
}

#[test]
fn the_waterfall_ends_at_the_whole() {
    let results = example::results();
    let waterfall = results.waterfall.as_ref().unwrap();
    let whole = waterfall.whole.as_ref().unwrap();
    assert_eq!(whole.experiment, "before-vs-tuned");
    assert_eq!(whole.interaction, Interaction::More);
    let last = waterfall.changes.last().unwrap();
    assert!((last.so_far - waterfall.product).abs() < 1e-9);
    assert!((waterfall.product * whole.rest - whole.gain).abs() < 1e-9);
}

#[test]
fn families_are_what_is_read_together() {
    let results = example::results();
    let sizes: Vec<(&str, usize)> = results
        .families
        .iter()
        .map(|family| match family.correction {
            Correction::Holm { family: size } => (family.name.as_str(), size),
            other => panic!("{} is corrected by {other:?}", family.name),
        })
        .collect();
    assert_eq!(
        sizes,
        [
            ("claims on before", 7),
            ("claims on tuned", 7),
            ("claims with presets of their own", 1),
            ("confirmations on before", 1),
            ("grid of concurrency", 4),
            ("grid of copy-vs-insert", 6),
            ("grid of page-size", 4),
            ("identical arms on before", 1),
            ("identical arms on tuned", 1),
            ("variants on before", 1),
            ("variants on tuned", 1),
        ]
    );
}

#[test]
fn sessions_are_judged_together_and_say_how_many_more_would_decide() {
    let mut record = example::run_record();
    record.blocks_per_session = NonZero::new(2);
    // In half of the sessions the second server is a tenth slower.
    let mut samples = example::samples();
    let slower = is("copy-vs-insert on tuned", "copy-binary");
    for sample in samples.samples.iter_mut().filter(|sample| slower(sample)) {
        if let (Outcome::Measured(figures), 0) = (&mut sample.outcome, sample.block / 2 % 2) {
            figures.wall_seconds *= 1.1;
        }
    }
    let results = Results::new(&record, &samples);
    let all = results
        .families
        .iter()
        .find(|one| one.name == "all comparisons")
        .unwrap();
    assert!(matches!(all.correction, Correction::FalseDiscovery { family } if family > 20));

    let copy = finding(&results, COPY, "tuned");
    let judged = copy.leading().unwrap();
    let sessions = judged.sessions.unwrap();
    assert_eq!(sessions.count, record.scenarios[0].plan.blocks / 2);
    assert!(sessions.disjoint, "{sessions:?}");
    assert!(results.warnings.iter().any(
        |one| matches!(one, Warning::SessionsDisagree { scenarios } if scenarios.contains(&copy.scenario))
    ));
    // The interval over blocks is narrower.
    let by_blocks = example::results();
    let by_blocks = &finding(&by_blocks, COPY, "tuned")
        .leading()
        .unwrap()
        .comparison;
    let width = |one: &crate::stats::Comparison| (one.interval.high / one.interval.low).ln();
    assert!(width(&judged.comparison) > width(by_blocks));
    let is_open =
        |one: &&Finding| one.claim == ClaimVerdict::Inconclusive && one.weakened.is_none();
    let findings = results.experiments.iter().flat_map(|one| &one.findings);
    for open in findings.filter(is_open) {
        assert!(
            open.blocks_to_decide.is_none_or(|blocks| blocks % 2 == 0),
            "{open:?}"
        );
    }
}

#[test]
fn a_claim_leads_with_its_own_quantity() {
    let results = example::results();
    let sample_size = finding(&results, "sample-size", "before");
    let metrics: Vec<Metric> = sample_size.measures.iter().map(|one| one.metric).collect();
    assert_eq!(
        metrics,
        [
            Metric::FirstRowSeconds,
            Metric::WallSeconds,
            Metric::ClientCpuSeconds,
            Metric::ServerCpuSeconds
        ]
    );
    assert!((sample_size.gain().unwrap() - 1.2).abs() < 0.01);
    assert_eq!(
        sample_size.judged(Metric::WallSeconds).unwrap().verdict,
        Verdict::Equivalent
    );

    let mut run = example::run_record();
    for definition in &mut run.experiments {
        definition.metric = Metric::PeakMemoryBytes;
    }
    let mut samples = example::samples();
    for sample in &mut samples.samples {
        if let Outcome::Measured(figures) = &mut sample.outcome
            && sample.arm == "tuned"
        {
            figures.peak_memory_bytes = Some(30_700_000);
        }
    }
    let results = Results::new(&run, &samples);
    let whole = results
        .experiment("before-vs-tuned")
        .unwrap()
        .on(None)
        .unwrap();
    assert!((whole.gain().unwrap() - 2.0).abs() < 0.01);
    assert_eq!(whole.measures[0].metric, Metric::PeakMemoryBytes);
}

#[test]
fn the_same_files_give_the_same_results() {
    assert_eq!(example::results(), example::results());
}
