//! What does not compare, and why.

use apitap_core::config::WriteMode;

use super::*;
use crate::experiment::LoadPlan;
use crate::judge::compare::refusal::Reason;

#[test]
fn another_place_is_refused_with_every_field() {
    let (mut record, samples) = run();
    record.fingerprint["machine"]["cores"] = 4.into();
    record.fingerprint["server"]["settings"]["fsync"] = "off".into();
    let refusal = beside(&run(), &(record.clone(), samples.clone())).unwrap_err();
    insta::assert_snapshot!(refusal, @r"
    the runs do not compare (A's value, then B's):
      cores: 2, 4
      server setting fsync: on, off
    to compare, measure both commits on one machine, with the same toolchain, build profile and server
    ");

    record.scenarios.clear();
    let refusal = beside(&run(), &(record, samples)).unwrap_err();
    assert_eq!(refusal.reasons.len(), 3);
    assert_eq!(refusal.reasons[2], Reason::NoSharedScenario);
    assert_eq!(refusal.advice().len(), 2);
}

#[test]
fn a_run_that_does_not_say_where_it_was_made_is_refused() {
    let (mut record, samples) = run();
    record.fingerprint["machine"].take();
    let refusal = beside(&(record, samples), &run()).unwrap_err();
    assert!(
        matches!(
            refusal.reasons[..],
            [Reason::NoFingerprint { run: Run::A, .. }]
        ),
        "{refusal}"
    );
}

#[test]
fn each_difference_of_a_scenario_refuses_it_alone() {
    const NAME: &str = "counter on tuned";
    let refused = |change: &dyn Fn(&mut Stored)| {
        let both = || run_of(&["counter on before", NAME]);
        let mut b = both();
        change(&mut b);
        let across = beside(&both(), &b).unwrap();
        let places = across.arms.iter().map(|arm| arm.scenario.as_str());
        assert_eq!(places.collect::<Vec<_>>(), ["counter on before"; 2]);
        let places = across.gains.iter().map(|gain| gain.scenario.as_str());
        assert_eq!(places.collect::<Vec<_>>(), ["counter on before"]);
        assert_eq!(across.refused.len(), 1, "{:?}", across.refused);
        across.refused[0].to_string()
    };
    let of_plan = |change: fn(&mut Scenario)| refused(&|b| change(plan_of(b, NAME)));
    let lines = [
        of_plan(|scenario| scenario.plan.workload = "events".to_owned()),
        of_plan(|scenario| scenario.plan.sql = Some("select id from orders".to_owned())),
        of_plan(|scenario| scenario.plan.arms[1].sql = Some("select id from orders".to_owned())),
        of_plan(|scenario| scenario.plan.existing = Some(0.5)),
        of_plan(|scenario| scenario.plan.postgres_round_trip_ms = Some(0.5)),
        of_plan(|scenario| scenario.plan.arms.swap(0, 1)),
        of_plan(|scenario| scenario.plan.arms[1].rows = 25_000),
        of_plan(|scenario| scenario.plan.arms[0].load = LoadPlan::PsqlCopy),
        of_plan(|scenario| {
            if let LoadPlan::Engine { mode, .. } = &mut scenario.plan.arms[0].load {
                *mode = Some(WriteMode::Append);
            }
        }),
        of_plan(|scenario| scenario.verification[0].rows = 249_999),
        of_plan(|scenario| scenario.verification[1].checksum = "77".to_owned()),
        of_plan(|scenario| scenario.verification.clear()),
        refused(&|b| {
            b.1.samples
                .retain(|sample| sample.scenario != NAME || sample.arm == "mutex");
        }),
    ];
    insta::assert_snapshot!(lines.join("\n"), @r#"
    counter on tuned: the workload is orders in A and events in B
    counter on tuned: the queries differ
    counter on tuned: the queries differ
    counter on tuned: the table before a load, or its key, differs
    counter on tuned: the added round trip to PostgreSQL is none in A and 0.5 ms in B
    counter on tuned: the arms are mutex, atomic in A and atomic, mutex in B
    counter on tuned: `atomic` reads 250,000 rows in A and 25,000 in B
    counter on tuned: `mutex` is tuned with counter=mutex in A and psql \copy in B
    counter on tuned: `mutex` is tuned with counter=mutex in A and tuned with counter=mutex in mode append in B
    counter on tuned: `mutex` loads 250,000 rows in A and 249,999 in B
    counter on tuned: `atomic` loads other rows: their checksum is -8730160531498760 in A and 77 in B
    counter on tuned: B has no expected rows
    counter on tuned: B has no measured sample of `atomic`
    "#);
}

#[test]
fn runs_without_a_scenario_that_compares_are_refused() {
    let (a, mut b) = (
        run_of(&["counter on before"]),
        run_of(&["counter on before"]),
    );
    let other = run_of(&["counter on tuned"]);
    let refusal = beside(&a, &other).unwrap_err();
    assert_eq!(refusal.reasons, [Reason::NoSharedScenario]);

    plan_of(&mut b, "counter on before").plan.arms[0].rows = 7;
    let refusal = beside(&a, &b).unwrap_err();
    insta::assert_snapshot!(refusal, @r#"
    the runs do not compare (A's value, then B's):
      counter on before: `mutex` reads 50,000 rows in A and 7 in B
    to compare, measure both commits with the same experiments at the same scale, and let both runs finish
    "#);
}
