//! How much could be seen, in a run whose samples have the engine's reports.

use apitap_core::concurrency_time::Activity;
use serde_json::json;

use super::*;
use crate::experiment::Touched;
use crate::profile;

/// The constructed run: COPY touches the writer, which waits for the server nearly all the time. Decoding takes half of
/// the time on `before` and outside of grids, and a fiftieth in the cells.
pub(crate) fn results() -> Results {
    let mut run = example::run_record();
    let copy = run.experiments.iter_mut().find(|one| one.id == COPY);
    copy.unwrap().touches = Some(Touched::Write);
    let mut samples = example::samples();
    for sample in &mut samples.samples {
        let Outcome::Measured(figures) = &mut sample.outcome else {
            continue;
        };
        let wall = figures.wall_seconds;
        let is_cell = sample.scenario.contains(" at ");
        let decode = if is_cell { 0.02 } else { 0.5 } * wall;
        let report =
            profile::example::report(&[(&[Activity::Decode], wall)], &[("decode", decode)]);
        figures.extra = serde_json::to_value(report).unwrap();
        figures.extra["stages"]["write"]["wait_seconds"] = json!(0.99 * wall);
        figures.extra.as_object_mut().unwrap().remove("config");
    }
    Results::new(&run, &samples)
}

#[test]
fn a_claim_of_more_than_could_be_seen_is_not_testable() {
    let results = results();
    let copy = results.experiment(COPY).unwrap();
    let before = copy.on(Some("before")).unwrap();
    let cores = 2.0;
    // On the rows path two tasks decode, on as many processors.
    assert!((before.at_most.unwrap() - 2.0 * cores).abs() < 0.01);
    assert_eq!(before.claim, ClaimVerdict::NotTestable);
    assert_eq!(copy.verdict, ClaimVerdict::NotTestable);
    assert_eq!(copy.inconclusive, None);
    // The difference itself is as it was, and so is what was seen or could have been.
    assert_eq!(before.verdict, Verdict::Improved);
    let of_cells = |claim| copy.cells().filter(move |cell| cell.claim == claim).count();
    assert_eq!(of_cells(ClaimVerdict::Supported), 1);
    assert_eq!(of_cells(ClaimVerdict::NotTestable), 0);
}

#[test]
fn a_claim_without_a_stage_or_without_reports_has_no_bound() {
    let counter = |results: &Results| finding(results, "counter", "before").at_most;
    assert_eq!(counter(&results()), None);
    let plain = example::results();
    assert_eq!(finding(&plain, COPY, "before").at_most, None);
}
