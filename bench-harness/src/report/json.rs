//! `results.json`: the results as they are, for programs.

use anyhow::Context;

use crate::results::Results;

/// Name of the file in the folder of a run.
pub const FILE: &str = "results.json";

/// Renders `results` as indented JSON.
///
/// # Errors
/// If a fingerprint cannot be written as JSON.
pub fn render(results: &Results) -> anyhow::Result<String> {
    let mut text = serde_json::to_string_pretty(results).context("cannot serialise the results")?;
    text.push('\n');
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::example;

    #[test]
    fn results_of_a_constructed_run() {
        insta::assert_snapshot!(render(&example::results()).unwrap());
    }

    #[test]
    fn results_come_back_as_they_were_written() {
        let results = example::results();
        let read: Results = serde_json::from_str(&render(&results).unwrap()).unwrap();
        // Compared as text: reading a float may miss its last bit, printing it again shows the same
        // figures.
        assert_eq!(read.scenarios.len(), results.scenarios.len());
        assert_eq!(read.warnings, results.warnings);
        assert_eq!(
            crate::report::markdown::render(&read),
            crate::report::markdown::render(&results)
        );
    }
}
