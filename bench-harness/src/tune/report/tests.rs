use std::time::Duration;

use apitap_core::pipeline_file::PipelineFile;

use super::super::bench::Load;
use super::super::candidates::{Asking, CONCURRENCY, Candidate, Facts};
use super::super::contest::Rules;
use super::super::search::Found;
use super::*;
use crate::stats::{Summary, judge_family};

fn far() -> Candidate {
    Candidate::tuned()
        .with(CONCURRENCY, "32")
        .with("write.method", "copy-text")
}

fn finalist(candidate: Candidate, seconds: &[f64], tuned: &[f64]) -> Finalist {
    let ratios: Vec<f64> = seconds
        .iter()
        .zip(tuned)
        .map(|(a, b)| (a / b).ln())
        .collect();
    let is_tuned = candidate == Candidate::tuned();
    let (judged, _) = judge_family(&[ratios], &[UNCALIBRATED], CONFIDENCE_LEVEL);
    Finalist {
        candidate,
        seconds: Summary::new(seconds),
        against_tuned: judged[0].filter(|_| !is_tuned),
        given_up: None,
    }
}

fn tuned(recommended: usize, reason: Reason) -> Tuned {
    let slow: Vec<f64> = (0..8).map(|nth| 5.0 + 0.01 * f64::from(nth)).collect();
    let fast: Vec<f64> = slow.iter().rev().map(|seconds| seconds / 5.0).collect();
    let asking = Asking {
        says_page_rows: true,
        ahead: true,
        alone: true,
    };
    let value = |value: &str, ratio, given_up: Option<&str>| TriedValue {
        value: value.to_owned(),
        ratio,
        given_up: given_up.map(str::to_owned),
    };
    Tuned {
        subject: "orders, 100,000 rows".to_owned(),
        found: Found {
            first: Load {
                requests: 101,
                rows: 100_000,
                ..Load::default()
            },
            facts: Facts::new(asking, true),
            rules: Rules {
                usual: Duration::from_secs(1),
                gives_up: true,
                minds_retries: true,
            },
            first_whole: Duration::from_secs(5),
            best: far(),
            trials: vec![Trial {
                knob: CONCURRENCY,
                before: "4".to_owned(),
                tried: vec![
                    value("1", None, Some("over 2 times as long")),
                    value("32", Some(0.2), None),
                ],
                taken: "32".to_owned(),
            }],
            cut_short: false,
        },
        confirmation: Confirmation {
            finalists: vec![
                finalist(Candidate::tuned(), &slow, &slow),
                finalist(far(), &fast, &slow),
            ],
            recommended,
            reason,
            current: 0,
            spoiled: 1,
        },
        kept: vec!["infer.cache=file:/var/a b".to_owned()],
        left_out: None,
        elapsed: Duration::from_secs(290),
    }
}

#[test]
fn the_text_has_evidence_recommendation_and_yaml() {
    let expected = "\
orders, 100,000 rows: tuned for 4 min 50 s; a load of tuned sends 101 requests for 100,000 rows

What was tried, in this order: times as multiples of the value before
  source.concurrency  4 → 32  1 over 2 times as long, 32 0.200×

The confirmation, in fresh blocks: times as multiples of that of tuned
  configuration                                 median  ratio   interval     loads
  tuned (as now)                                5.04 s  -       -            8
  source.concurrency=32 write.method=copy-text  1.01 s  0.200×  0.198–0.202  8      recommended
The host took the processor away from 1 load, which is left out.

Use source.concurrency=32 write.method=copy-text: it takes 0.200× the time of tuned (0.198–0.202, 8 blocks).

engine:
  preset: tuned
  settings:
    infer.cache: \"file:/var/a b\"
    source.concurrency: 32
    write.method: copy-text";
    let text = text(&tuned(1, Reason::Faster));
    assert_eq!(text, expected, "{text}");
}

#[test]
fn to_change_nothing_is_a_recommendation_too() {
    for (reason, part) in [
        (Reason::NothingFaster, "nothing that was tried is faster"),
        (Reason::NotDistinguished, "by more than 5%"),
        (Reason::TooFewBlocks, "give more --minutes"),
    ] {
        let text = text(&tuned(0, reason));
        assert!(text.contains("Keep what you have (tuned)"), "{text}");
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn the_block_is_read_as_it_was_meant() {
    let mut tuned = tuned(1, Reason::Faster);
    tuned.kept.push("infer.timestamps=false".to_owned());
    tuned.kept.push("source.total_timeout=2.5".to_owned());
    let file = PipelineFile::parse(&yaml(&tuned), &|_| None, chrono::NaiveDate::MIN).unwrap();
    assert_eq!(file.preset.as_deref(), Some("tuned"));
    assert_eq!(
        file.settings,
        [
            "infer.cache=file:/var/a b",
            "infer.timestamps=false",
            "source.concurrency=32",
            "source.total_timeout=2.5",
            "write.method=copy-text"
        ]
    );
    tuned.kept.clear();
    tuned.confirmation.recommended = 0;
    assert_eq!(yaml(&tuned), "engine:\n  preset: tuned\n");
}
