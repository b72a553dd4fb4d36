//! Claims judged by constructed intervals, and the forms in which they are written.

use super::super::compare::{Interval, compare};
use super::super::verdict::UNCALIBRATED;
use super::*;
use crate::report::schema::tests::Validator;

/// A comparison whose gain has this interval.
fn gain(low: f64, high: f64) -> Comparison {
    Comparison {
        ratio: (low * high).sqrt(),
        interval: Interval { low, high },
        confidence: 0.96,
        asked_confidence: 0.95,
        p_value: 0.01,
        blocks: 16,
    }
    .inverted()
}

#[test]
fn verdicts_on_claims() {
    use ClaimVerdict::{Exceeded, Inconclusive, Refuted, Supported};
    let ten_to_hundred = Expected::Factor {
        low: 10.0,
        high: Some(100.0),
    };
    let at_least_ten = Expected::Factor {
        low: 10.0,
        high: None,
    };
    let table = [
        (ten_to_hundred, (12.0, 20.0), Supported),
        (ten_to_hundred, (50.0, 150.0), Supported),
        (ten_to_hundred, (110.0, 150.0), Exceeded),
        (ten_to_hundred, (8.0, 12.0), Inconclusive),
        (ten_to_hundred, (8.0, 150.0), Inconclusive),
        (ten_to_hundred, (5.0, 5.4), Refuted),
        (ten_to_hundred, (0.5, 0.9), Refuted),
        (at_least_ten, (110.0, 150.0), Supported),
        (at_least_ten, (9.0, 150.0), Inconclusive),
        (at_least_ten, (9.0, 9.9), Refuted),
        (Expected::Better, (1.06, 1.2), Supported),
        (Expected::Better, (1.02, 1.2), Inconclusive),
        (Expected::Better, (0.98, 1.03), Refuted),
        (Expected::Better, (0.7, 0.8), Refuted),
        (Expected::Negligible, (0.97, 1.03), Supported),
        (Expected::Negligible, (1.01, 1.04), Supported),
        (Expected::Negligible, (1.06, 1.2), Refuted),
        (Expected::Negligible, (0.8, 0.95), Refuted),
        (Expected::Negligible, (0.94, 1.0), Inconclusive),
        (Expected::Negligible, (0.9, 1.1), Inconclusive),
    ];
    for (expected, (low, high), verdict) in table {
        let found = claim_verdict(&expected, &gain(low, high), UNCALIBRATED);
        assert_eq!(found, verdict, "{expected:?}, gain {low} to {high}");
    }
}

#[test]
fn a_claim_met_to_the_digit_is_supported() {
    // Powers of two: the gain is exact.
    let expected = Expected::Factor {
        low: 4.0,
        high: Some(8.0),
    };
    let found = claim_verdict(&expected, &gain(4.0, 8.0), UNCALIBRATED);
    assert_eq!(found, ClaimVerdict::Supported);
    let found = claim_verdict(&expected, &gain(8.0, 8.0), UNCALIBRATED);
    assert_eq!(found, ClaimVerdict::Supported);
}

#[test]
fn four_blocks_leave_every_claim_open() {
    let few = compare(&[-3.0; 4], 0.95).unwrap();
    for expected in [
        Expected::Better,
        Expected::Negligible,
        Expected::Factor {
            low: 2.0,
            high: Some(3.0),
        },
    ] {
        let found = claim_verdict(&expected, &few, UNCALIBRATED);
        assert_eq!(found, ClaimVerdict::Inconclusive);
    }
}

#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Claim {
    expected: Expected,
}

const FORMS: [(&str, Expected); 5] = [
    (
        "expected = { low = 10, high = 100 }",
        Expected::Factor {
            low: 10.0,
            high: Some(100.0),
        },
    ),
    (
        "expected = { low = 1.1, high = 1.2 }",
        Expected::Factor {
            low: 1.1,
            high: Some(1.2),
        },
    ),
    (
        "expected = { low = 2.5 }",
        Expected::Factor {
            low: 2.5,
            high: None,
        },
    ),
    ("expected = \"better\"", Expected::Better),
    ("expected = \"negligible\"", Expected::Negligible),
];

#[test]
fn the_three_forms_are_read_from_toml_and_come_back_through_json() {
    for (text, expected) in FORMS {
        let claim: Claim = toml::from_str(text).unwrap();
        assert_eq!(claim, Claim { expected });
        let json = serde_json::to_string(&claim).unwrap();
        assert_eq!(serde_json::from_str::<Claim>(&json).unwrap(), claim);
        let value = serde_json::to_value(&claim).unwrap();
        assert_eq!(serde_json::from_value::<Claim>(value).unwrap(), claim);
        let toml = toml::to_string(&claim).unwrap();
        assert_eq!(toml::from_str::<Claim>(&toml).unwrap(), claim);
    }
}

#[test]
fn what_is_no_claim_is_refused() {
    for wrong in [
        "expected = { low = 0 }",
        "expected = { low = -1, high = 2 }",
        "expected = { low = 10, high = 9 }",
        "expected = { low = inf }",
        "expected = { low = 1, high = nan }",
        "expected = { low = nan, high = 2 }",
        "expected = { high = 2 }",
        "expected = { low = 1, factor = 2 }",
        "expected = {}",
        "expected = \"faster\"",
        "expected = 10",
    ] {
        assert!(toml::from_str::<Claim>(wrong).is_err(), "{wrong}");
    }
    let error = toml::from_str::<Claim>("expected = \"faster\"").unwrap_err();
    assert_eq!(
        error.message(),
        "invalid value: string \"faster\", expected { low = …, high = … }, \"better\" or \"negligible\""
    );
    let error = toml::from_str::<Claim>("expected = { low = 1, factor = 2 }").unwrap_err();
    assert_eq!(
        error.message(),
        "unknown field `factor`, expected `low` or `high`"
    );
}

#[test]
fn the_schema_takes_the_three_forms() {
    let schema = serde_json::to_value(schemars::schema_for!(Claim)).unwrap();
    let validator = Validator::new(&schema);
    for (text, _) in FORMS {
        let claim: Claim = toml::from_str(text).unwrap();
        assert_eq!(validator.errors(&serde_json::to_value(&claim).unwrap()), "");
    }
    for wrong in [
        serde_json::json!({"expected": "faster"}),
        serde_json::json!({"expected": {"low": 1, "factor": 2}}),
    ] {
        assert_ne!(validator.errors(&wrong), "", "{wrong}");
    }
}
