//! `gate.json`: the results as they are, for programs. `reports/schema` has its layout.

use anyhow::{Context, Result};

use crate::gate::GateResults;

/// Name of the file in the gate's folder.
pub(super) const FILE: &str = "gate.json";

/// Renders `results` as indented JSON.
///
/// # Errors
/// If the fingerprint cannot be written as JSON.
pub(super) fn render(results: &GateResults) -> Result<String> {
    let mut text =
        serde_json::to_string_pretty(results).context("cannot serialise the gate's results")?;
    text.push('\n');
    Ok(text)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::gate::example;
    use crate::gate::results::SCHEMA_VERSION;
    use crate::report::schema::tests::{Validator, committed};
    use crate::report::schema::titled;

    fn written() -> Value {
        serde_json::from_str(&render(&example::results()).unwrap()).unwrap()
    }

    /// The layout of `gate.json` as a JSON Schema. It is committed in `reports/schema`.
    fn schema() -> Value {
        titled(
            schemars::schema_for!(GateResults),
            "Results of an ApiTap performance gate",
            SCHEMA_VERSION,
        )
    }

    #[test]
    fn the_committed_schema_of_the_gate_is_up_to_date() {
        committed("gate.schema.json", &schema());
    }

    #[test]
    fn a_gate_of_every_outcome_fits_the_schema() {
        assert_eq!(Validator::new(&schema()).errors(&written()), "");
    }

    #[test]
    fn a_gate_that_lacks_a_field_or_has_a_wrong_one_does_not_fit() {
        let validator = Validator::new(&schema());
        let refused = |change: &dyn Fn(&mut Value)| {
            let mut results = written();
            change(&mut results);
            assert!(!validator.errors(&results).is_empty());
        };
        refused(&|results| {
            results.as_object_mut().unwrap().remove("base");
        });
        refused(&|results| results["outcome"] = "great".into());
        refused(&|results| results["scenarios"][0]["checks"][0]["limit"] = "5%".into());
        refused(&|results| results["scenarios"][0]["checks"][0]["colour"] = "red".into());
        refused(&|results| results["scenarios"][3]["outcome"]["waived"]["expires"] = 7.into());
    }

    #[test]
    fn a_gate_comes_back_as_it_was_written() {
        let read: GateResults =
            serde_json::from_str(&render(&example::results()).unwrap()).unwrap();
        assert_eq!(read.scenarios.len(), 7);
        assert_eq!(read.outcome, example::results().outcome);
        for (read, written) in read.scenarios.iter().zip(&example::results().scenarios) {
            assert_eq!(
                (&read.name, &read.outcome),
                (&written.name, &written.outcome)
            );
            assert_eq!(read.explanation, written.explanation);
        }
    }
}
