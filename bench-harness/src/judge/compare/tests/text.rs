//! What a terminal shows.

use super::*;
use crate::report::compare::render;

#[test]
fn the_comparison_on_a_terminal() {
    let scenarios = [
        "counter on before",
        "counter on tuned",
        "page-size on before",
    ];
    let a = run_of(&[&scenarios[..], &["before-vs-tuned"]].concat());
    let b = changed(run_of(&scenarios), "counter on tuned", "atomic", slower);
    let mut b = changed(b, "counter on before", "mutex", |figures| {
        figures.client_cpu_seconds *= 0.8;
    });
    plan_of(&mut b, "page-size on before").plan.arms[1].rows = 5_000;
    b.0.fingerprint["build"]["git_commit"] = "fedcba9876543210".into();
    b.0.fingerprint["build"]["git_dirty"] = true.into();
    insta::assert_snapshot!(render(&beside(&a, &b).unwrap()), @r#"
      - A: 2026-01-01T00:00:00.000Z, commit 01234567
      - B: 2026-01-01T00:00:00.000Z, commit fedcba98 with uncommitted changes

      - Not compared: page-size on before: `1,000 rows` reads 50,000 rows in A and 5,000 in B
      - Only in A: before-vs-tuned

      counter on before
      Arm                     A       B                 B ÷ A  Verdict
      mutex              958 ms  958 ms  1.000× (0.992–1.008)  ~
      mutex, client CPU  575 ms  460 ms  0.800× (0.794–0.806)  improved
      atomic             958 ms  958 ms  1.000× (0.992–1.008)  ~

      counter on tuned
      Arm          A       B                 B ÷ A  Verdict
      mutex   907 ms  907 ms  1.000× (0.992–1.008)  ~
      atomic  907 ms  1.09 s     1.20× (1.19–1.21)  regressed

      Time of 4 arms in B against A: 1 regressed, 3 ~ (no difference that matters).

      2 gains compared: 1 with another verdict in B than in A.

      - counter on tuned: atomic: 0.998× (0.988–1.008) ~ in A, 0.832× (0.823–0.840) regressed in B; the
        intervals do not overlap

      The runs were made at different times, so they also differ by what else the machine did. Before
      you believe a small difference, measure both revisions alternately on one host, as `apitap-bench
      gate` does.
    "#);
}

#[test]
fn arms_that_were_judged_alone_are_said_to_be() {
    let stored = || {
        let (record, mut samples) = run_of(&["counter on before", "counter on tuned"]);
        samples.samples.retain(|sample| sample.block < 2);
        (record, samples)
    };
    let across = beside(&stored(), &stored()).unwrap();
    let text = render(&across);
    assert!(
        text.contains("of 4 arms in B against A: 4 inconclusive."),
        "{text}"
    );
    assert!(text.contains("was judged alone"), "{text}");
}

#[test]
fn every_line_fits_the_terminal() {
    let mut b = changed(run(), "counter on tuned", "atomic", slower);
    b.0.scenarios.truncate(12);
    for scenario in &mut b.0.scenarios {
        if scenario.plan.name.starts_with("page-size") {
            scenario.verification[0].checksum = "9".repeat(60);
        }
    }
    let mut a = run();
    for stored in [&mut a, &mut b] {
        let long =
            "an arm whose name is as long as that of no other one in this whole world".to_owned();
        for sample in &mut stored.1.samples {
            if sample.scenario == "a-a on before" && sample.arm == "a" {
                sample.arm.clone_from(&long);
            }
        }
        plan_of(stored, "a-a on before").plan.arms[0].name = long;
    }
    let text = render(&beside(&a, &b).unwrap());
    for line in text.lines() {
        assert!(line.chars().count() <= 100, "{line}");
    }
    assert!(
        text.contains("as that of no…") || text.contains('…'),
        "{text}"
    );
}
