//! Where in a grid of one parameter the gain crosses what the claim promises.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ExperimentResults;
use crate::stats::{Expected, Threshold, UNCALIBRATED};

/// A crossing, interpolated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Crossing {
    /// The parameter, by name.
    pub parameter: String,
    /// Its value there.
    pub at: f64,
    /// The gain there: the least that the claim allows.
    pub gain: f64,
}

impl Crossing {
    /// The first crossing; absent where there is none, where the values are texts, or more parameters than one.
    pub(super) fn new(experiment: &ExperimentResults) -> Option<Self> {
        let vary = experiment.definition.vary.as_ref()?;
        let [parameter] = vary.parameters.as_slice() else {
            return None;
        };
        let mut threshold = None;
        let mut points: Vec<(f64, f64)> = Vec::new();
        for value in &parameter.values {
            let number = value.number()?;
            let mut cells = experiment.cells();
            let cell = cells.find(|cell| cell.cell.iter().any(|at| at.value == *value));
            if let Some((cell, gain)) = cell.and_then(|cell| Some((cell, cell.gain()?))) {
                threshold = threshold.or(cell.measures.first().map(|one| one.threshold));
                points.push((number, gain));
            }
        }
        let threshold = threshold.unwrap_or(UNCALIBRATED);
        let gain = promised_floor(experiment.definition.expected, threshold)?;
        Some(Self {
            parameter: parameter.name.clone(),
            at: crossing(&points, gain)?,
            gain,
        })
    }
}

/// The smallest gain that a claim allows; none if it promises none.
pub(super) fn promised_floor(expected: Expected, threshold: Threshold) -> Option<f64> {
    match expected {
        Expected::Factor { low, .. } => Some(low),
        Expected::Better => Some(threshold.factor()),
        Expected::Negligible => None,
    }
}

/// Where points of value and gain first cross `floor`. Between two points the gain is taken to grow
/// or fall exponentially.
fn crossing(points: &[(f64, f64)], floor: f64) -> Option<f64> {
    let is_above = |gain: f64| gain >= floor;
    let between = points
        .windows(2)
        .find(|two| is_above(two[0].1) != is_above(two[1].1))?;
    let distance = |gain: f64| gain.ln() - floor.ln();
    let ((from, first), (to, second)) = (between[0], between[1]);
    let share = distance(first) / (distance(first) - distance(second));
    Some(from + share * (to - from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_crossing_is_where_the_logarithm_crosses() {
        let points = [(0.0, 1.0), (2.0, 1.0), (10.0, 4.0)];
        let at = crossing(&points, 2.0).unwrap();
        assert!((at - 6.0).abs() < 1e-9, "{at}");
        let falling = [(0.0, 4.0), (10.0, 1.0)];
        assert!((crossing(&falling, 2.0).unwrap() - 5.0).abs() < 1e-9);
        assert_eq!(crossing(&points, 5.0), None);
        assert_eq!(crossing(&points[..1], 1.0), None);
    }
}
