//! What a terminal shows.

use super::super::text;
use super::*;

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
    insta::assert_snapshot!(text::render(&beside(&a, &b).unwrap()), @r#"
    A  2026-01-01T00:00:00.000Z, commit 01234567
    B  2026-01-01T00:00:00.000Z, commit fedcba98 with uncommitted changes

    Not compared:
      page-size on before: `1,000 rows` reads 50,000 rows in A and 5,000 in B
    Only in A: before-vs-tuned

    median time                     A       B  B ÷ A                 verdict
    counter on before
      mutex                    958 ms  958 ms  1.000× (0.992–1.008)  ~
        client processor time  575 ms  460 ms  0.800× (0.794–0.806)  improved
      atomic                   958 ms  958 ms  1.000× (0.992–1.008)  ~
    counter on tuned
      mutex                    907 ms  907 ms  1.000× (0.992–1.008)  ~
      atomic                   907 ms  1.09 s  1.20× (1.19–1.21)     regressed

    Time in B against A, of 4 arms: 1 regressed, 3 ~ (no difference that matters).

    Of 2 gains, 1 has in B another verdict than in A:
      counter on tuned: atomic
        A  0.998× (0.988–1.008)  ~
        B  0.832× (0.823–0.840)  regressed; the intervals lie apart

    Two runs at different times also differ by what the machine did between them: take a small
    difference here as a reason to alternate both on one host.
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
    let text = text::render(&across);
    assert!(text.contains("of 4 arms: 4 inconclusive."), "{text}");
    assert!(text.contains("each was judged alone"), "{text}");
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
    let text = text::render(&beside(&a, &b).unwrap());
    for line in text.lines() {
        assert!(line.chars().count() <= 100, "{line}");
    }
    assert!(
        text.contains("as that of no…") || text.contains('…'),
        "{text}"
    );
}
