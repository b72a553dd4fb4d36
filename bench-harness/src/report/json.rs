//! `results.json`: the results as they are, for programs. [`super::schema`] has its layout.

use anyhow::Context;

use crate::judge::Results;

/// Name of the file in the folder of a run.
pub(crate) const FILE: &str = "results.json";

/// Renders `results` as indented JSON.
///
/// # Errors
/// If a fingerprint cannot be written as JSON.
pub(crate) fn render(results: &Results) -> anyhow::Result<String> {
    let mut text = serde_json::to_string_pretty(results).context("cannot serialise the results")?;
    text.push('\n');
    Ok(text)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::report::example;

    /// Whether both hold the same, floats to within the last bits, which reading one may miss.
    fn alike(written: &Value, read: &Value) -> bool {
        match (written, read) {
            (Value::Number(a), Value::Number(b)) => match (a.as_f64(), b.as_f64()) {
                (Some(a), Some(b)) => (a - b).abs() <= 1e-14 * a.abs(),
                _ => false,
            },
            (Value::Array(a), Value::Array(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| alike(a, b))
            }
            (Value::Object(a), Value::Object(b)) => {
                let same = |(name, a): (&String, &Value)| b.get(name).is_some_and(|b| alike(a, b));
                a.len() == b.len() && a.iter().all(same)
            }
            _ => written == read,
        }
    }

    #[test]
    fn results_come_back_as_they_were_written() {
        for results in [example::results(), example::results_without_samples()] {
            let read: Results = serde_json::from_str(&render(&results).unwrap()).unwrap();
            let [written, again] = [&results, &read].map(|one| serde_json::to_value(one).unwrap());
            assert!(alike(&written, &again));
            assert_eq!((read.seed, read.warnings), (results.seed, results.warnings));
        }
    }
}
