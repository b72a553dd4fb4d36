//! `benchmark.txt`: both sides in Go's benchmark format, for `benchstat -col /rev benchmark.txt`.
//!
//! The format is golang.org/design/14313-benchmark-format with the `Unit` lines of
//! golang.org/x/perf/benchfmt. There is a line for each sample of a side; what is counted once stands
//! in the first.

use std::fmt::Write as _;

use super::{believed, text};
use crate::gate::{Check, GateResults, GatedScenario};
use crate::metric::{GateMetric, Tier};

/// Name of the file in the gate's folder.
pub(super) const FILE: &str = "benchmark.txt";

/// Renders the figures of both sides.
pub(super) fn render(results: &GateResults) -> String {
    let mut page = String::new();
    let configuration = [
        ("suite", "apitap-bench gate"),
        ("started", &results.started_at.to_string()),
        ("base-rev", &text::clean(&results.base.named)),
        ("base-commit", &text::clean(&results.base.commit)),
        ("head-rev", &text::clean(&results.head.named)),
        ("head-commit", &text::clean(&results.head.commit)),
    ];
    // Writing to a string cannot fail.
    for (key, value) in configuration {
        let _ = writeln!(page, "{key}: {value}");
    }
    page.push('\n');
    for metric in GateMetric::ALL {
        let _ = writeln!(page, "{}", unit_line(metric));
    }
    page.push('\n');
    for scenario in &results.scenarios {
        page += &side(scenario, "base", |check| (check.base, &check.base_samples));
        page += &side(scenario, "head", |check| (check.head, &check.head_samples));
    }
    page
}

/// What benchstat cannot know of a unit: which way is better, and whether it varies at all.
fn unit_line(metric: GateMetric) -> String {
    let better = if metric.more_is_better() {
        "higher"
    } else {
        "lower"
    };
    let exact = if metric.tier() == Tier::Counter {
        " assume=exact"
    } else {
        ""
    };
    format!("Unit {} better={better}{exact}", unit(metric))
}

/// In this format a unit is also the name of what it measures.
fn unit(metric: GateMetric) -> String {
    text::label(metric).replace(' ', "-")
}

/// The figures of one side, `of` which a check has a median or count, and samples: a line for each
/// sample.
fn side(
    scenario: &GatedScenario,
    rev: &str,
    of: impl Fn(&Check) -> (Option<f64>, &Vec<f64>),
) -> String {
    let name = escaped(&text::clean(&scenario.name));
    let value = |check: &Check, nth: usize| match of(check) {
        (Some(once), samples) if samples.is_empty() && nth == 0 => Some(once),
        (_, samples) => samples.get(nth).copied(),
    };
    let line = |nth: usize| {
        let values: String = believed(scenario)
            .iter()
            .filter_map(|check| Some((check, value(check, nth).filter(|one| one.is_finite())?)))
            .map(|(check, value)| format!(" {value} {}", unit(check.metric)))
            .collect();
        // A load is an iteration, and values are of one.
        (!values.is_empty()).then(|| format!("BenchmarkGate/scenario={name}/rev={rev} 1{values}\n"))
    };
    (0..).map_while(line).collect()
}

/// `name` as a part of a benchmark's name, in which blanks end it and `/` and `=` divide it. Blanks
/// become `_`, as Go writes them; whatever else could be mistaken is written as in URLs, so that no
/// two names become one.
fn escaped(name: &str) -> String {
    let mut escaped = String::with_capacity(name.len());
    for character in name.chars() {
        match character {
            ' ' => escaped.push('_'),
            c if c.is_alphanumeric() || "-.+:,()".contains(c) => escaped.push(c),
            other => {
                for byte in other.encode_utf8(&mut [0; 4]).bytes() {
                    let _ = write!(escaped, "%{byte:02X}");
                }
            }
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::gate::example;

    /// A benchmark line by the grammar of the format's proposal.
    struct Line {
        parts: BTreeMap<String, String>,
        values: BTreeMap<String, f64>,
    }

    /// What the text holds, or the line that the grammar refuses.
    #[derive(Default)]
    struct Parsed {
        configuration: BTreeMap<String, String>,
        units: BTreeMap<String, BTreeMap<String, String>>,
        lines: Vec<Line>,
    }

    fn parse(text: &str) -> Result<Parsed, String> {
        let mut parsed = Parsed::default();
        for line in text.lines().filter(|line| !line.is_empty()) {
            let refused = || line.to_owned();
            if line.starts_with("Benchmark") {
                parsed.lines.push(benchmark(line).ok_or_else(refused)?);
            } else if let Some(unit) = line.strip_prefix("Unit ") {
                let mut words = unit.split(' ');
                let name = words.next().ok_or_else(refused)?.to_owned();
                let pairs: Option<_> = words.map(pair).collect();
                parsed.units.insert(name, pairs.ok_or_else(refused)?);
            } else {
                // "a key begins with a lower case letter and contains no space or upper case".
                let (key, value) = line.split_once(':').ok_or_else(refused)?;
                let is_key = key.starts_with(char::is_lowercase)
                    && !key.contains(|c: char| c.is_whitespace() || c.is_uppercase());
                if !is_key {
                    return Err(refused());
                }
                parsed
                    .configuration
                    .insert(key.to_owned(), value.trim().to_owned());
            }
        }
        Ok(parsed)
    }

    fn pair(text: &str) -> Option<(String, String)> {
        let (key, value) = text.split_once('=')?;
        Some((key.to_owned(), value.to_owned()))
    }

    fn benchmark(line: &str) -> Option<Line> {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [name, iterations, pairs @ ..] = fields.as_slice() else {
            return None;
        };
        let rest = name.strip_prefix("Benchmark")?;
        if rest.starts_with(char::is_lowercase) || iterations.parse::<u64>().ok()? == 0 {
            return None;
        }
        if pairs.is_empty() || pairs.len() % 2 != 0 {
            return None;
        }
        let values = pairs
            .chunks(2)
            .map(|pair| Some((pair[1].to_owned(), pair[0].parse().ok()?)));
        Some(Line {
            parts: rest.split('/').skip(1).map(pair).collect::<Option<_>>()?,
            values: values.collect::<Option<_>>()?,
        })
    }

    #[test]
    fn every_line_follows_the_grammar_of_the_format() {
        let text = render(&example::results());
        let parsed = parse(&text).unwrap();
        assert_eq!(parsed.configuration["base-rev"], "main");
        assert_eq!(parsed.units.len(), GateMetric::ALL.len());
        assert_eq!(parsed.units["rows/s"]["better"], "higher");
        assert_eq!(parsed.units["statements"]["assume"], "exact");
        let keys = |line: &Line| line.parts.keys().cloned().collect::<Vec<_>>();
        assert!(
            parsed
                .lines
                .iter()
                .all(|line| keys(line) == ["rev", "scenario"])
        );
        let known = |unit: &String| parsed.units.contains_key(unit);
        assert!(
            parsed
                .lines
                .iter()
                .all(|line| line.values.keys().all(known))
        );
    }

    #[test]
    fn the_grammar_refuses_what_is_none() {
        for wrong in [
            "BenchmarkGate/scenario=a b/rev=base 1 2 rows/s",
            "Benchmarkgate 1 2 rows/s",
            "BenchmarkGate 1 2",
            "BenchmarkGate x 2 rows/s",
            "Base: main",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn both_sides_of_a_scenario_differ_by_their_revision_alone() {
        let parsed = parse(&render(&example::results())).unwrap();
        let of = |rev: &str| -> Vec<&Line> {
            let lines = parsed.lines.iter();
            lines
                .filter(|line| line.parts["scenario"] == "copy-binary" && line.parts["rev"] == rev)
                .collect()
        };
        let rows_per_second =
            |rev: &str| -> Vec<f64> { of(rev).iter().map(|line| line.values["rows/s"]).collect() };
        assert_eq!(
            rows_per_second("base"),
            [0.99, 1.0, 1.01].map(|times| times * 328_000.0)
        );
        assert_eq!(rows_per_second("head").len(), 3);
        for (base, head) in of("base").iter().zip(of("head")) {
            assert!(base.values.keys().eq(head.values.keys()));
        }
        let statements = |line: &&Line| line.values.contains_key("statements");
        let counted: Vec<bool> = of("base").iter().map(statements).collect();
        assert_eq!(counted, [true, false, false]);
    }

    #[test]
    fn names_stay_apart_and_hold_nothing_that_divides_them() {
        let names = [
            "a b",
            "a_b",
            "a/b",
            "a=b",
            "a%2Fb",
            "a\u{3000}b",
            "é|<x>",
            "a-8",
        ];
        let escaped: BTreeSet<String> = names.iter().map(|name| escaped(name)).collect();
        assert_eq!(escaped.len(), names.len());
        for name in &escaped {
            assert!(
                !name.contains(|c: char| c.is_whitespace() || c == '/' || c == '='),
                "{name}"
            );
        }
    }
}
