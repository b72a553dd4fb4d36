//! How much could be seen of what a claim promises, and where.

use super::format::{listed, on, setting};
use crate::format::{Times, one_line};
use crate::judge::{ExperimentResults, Finding, Results};
use crate::metric::Metric;
use crate::stats::{ClaimVerdict, Expected};

/// Settings that are named, those outside of grids first: one is enough to go on.
const MOST_PLACES: usize = 3;

/// What could be seen at most outside of the grid and, if a claim could not be tested there, where it can be.
pub(super) fn sentences(results: &Results, experiment: &ExperimentResults) -> Vec<String> {
    let bounds: Vec<String> = experiment
        .outside_grid()
        .filter_map(|one| Some(format!("{}{}", Times(one.at_most?), on(one.on.as_deref()))))
        .collect();
    if bounds.is_empty() {
        return Vec::new();
    }
    let mut sentences = vec![format!(
        "At most {} could be seen, if what the change touches took no time at all.",
        listed(&bounds)
    )];
    if experiment.verdict == ClaimVerdict::NotTestable {
        let places = places(results, experiment);
        sentences.push(if places.is_empty() {
            "Nothing in this run could have shown more.".to_owned()
        } else {
            format!("It can be tested with {}.", listed(&places))
        });
    }
    sentences
}

/// Where a claim of the same section about the same stage could be seen.
fn places(results: &Results, experiment: &ExperimentResults) -> Vec<String> {
    let Expected::Factor { low, .. } = experiment.definition.expected else {
        return Vec::new();
    };
    let own = &experiment.definition;
    let others = results.experiments.iter().filter(|one| {
        let other = &one.definition;
        other.touches == own.touches && other.section == own.section
    });
    let findings = others.flat_map(|one| one.findings.iter().map(move |finding| (one, finding)));
    let mut findings: Vec<(&ExperimentResults, &Finding)> = findings
        .filter(|(_, finding)| finding.is_headline && finding.leading().is_some())
        .collect();
    findings.sort_by_key(|(_, finding)| !finding.cell.is_empty());
    findings
        .into_iter()
        .filter_map(|(one, finding)| match finding.at_most {
            Some(at_most) if at_most >= low => Some(format!(
                "{} (at most {})",
                place(one, finding),
                Times(at_most)
            )),
            // The stage alone is measured.
            None if one.definition.metric == Metric::WriteSeconds => Some(place(one, finding)),
            _ => None,
        })
        .take(MOST_PLACES)
        .collect()
}

fn place(experiment: &ExperimentResults, finding: &Finding) -> String {
    let cell: Vec<String> = finding.cell.iter().map(setting).collect();
    let at = match cell.as_slice() {
        [] => String::new(),
        cell => format!(" at {}", cell.join(", ")),
    };
    let title = one_line(&experiment.definition.title);
    format!("“{title}”{at}{}", on(finding.on.as_deref()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::tests::bound;

    #[test]
    fn a_claim_that_is_not_testable_says_where_it_is() {
        let results = bound::results();
        let sentences = |id| sentences(&results, results.experiment(id).unwrap()).join(" ");
        let copy = sentences("copy-vs-insert");
        insta::assert_snapshot!(copy, @"At most 4.00× on before and 2.00× on tuned could be seen, if what the change touches took no time at all. It can be tested with “COPY instead of INSERT” at 0 ms to PostgreSQL, write.batch_rows = 100 on tuned (at most 50.0×), “COPY instead of INSERT” at 0 ms to PostgreSQL, write.batch_rows = 1,000 on tuned (at most 50.0×) and “COPY instead of INSERT” at 2 ms to PostgreSQL, write.batch_rows = 100 on tuned (at most 50.0×).");
        assert_eq!(sentences("counter"), "");
    }
}
