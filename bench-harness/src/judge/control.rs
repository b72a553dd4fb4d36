//! What identical arms say about all other verdicts.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::stats::{Comparison, Threshold, UNCALIBRATED, is_within};

/// What identical arms showed, over all sessions of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Control {
    /// How many comparisons of them were measured.
    pub measured: usize,
    /// Those that differ.
    pub differing: Vec<Differing>,
    /// Those that do not show that noise stays within ±5%.
    #[serde(default)]
    pub wide: Vec<Wide>,
}

/// How far apart identical arms may be, by the whole interval of the asked level, for a control to be
/// established: the difference that matters on a machine whose noise is not known.
pub(crate) const CONTROL_BOUND: Threshold = UNCALIBRATED;

impl Control {
    /// Whether noise was shown to stay within ±5% on every preset.
    #[must_use]
    pub fn is_established(&self) -> bool {
        self.measured > 0 && self.wide.is_empty()
    }

    /// By which factor identical arms may differ, where they do on one of these presets; 1 where they do not.
    pub(super) fn doubt<'a>(&self, presets: impl Iterator<Item = &'a str>) -> f64 {
        let presets: Vec<&str> = presets.collect();
        let concerned = self.differing.iter().filter(|one| {
            let on = one.on.as_deref();
            on.is_none_or(|on| presets.contains(&on))
        });
        concerned.map(|one| one.at_most).fold(1.0, f64::max)
    }

    /// Whether verdicts of a scenario with arms of these presets are indicative.
    pub(super) fn leaves_indicative<'a>(&self, mut presets: impl Iterator<Item = &'a str>) -> bool {
        let is_wide = |preset: &str| {
            let mut wide = self.wide.iter();
            wide.any(|one| one.on.as_deref().is_none_or(|on| on == preset))
        };
        self.measured == 0 || presets.any(is_wide)
    }
}

/// Arms that are the same, and of which the blocks do not show it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Wide {
    /// Scenario by name.
    pub scenario: String,
    /// Its preset.
    pub on: Option<String>,
}

/// Arms that are the same, and differ.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Differing {
    /// Scenario by name.
    pub scenario: String,
    /// Its preset.
    #[serde(default)]
    pub on: Option<String>,
    /// How many times less the second one cost.
    pub gain: f64,
    /// The farthest end of its interval, as a factor in either direction.
    #[serde(default = "unknown")]
    pub at_most: f64,
}

/// Of results that do not say how far they may differ.
fn unknown() -> f64 {
    f64::MAX
}

/// Whether the interval of identical arms shows that noise stays within [`CONTROL_BOUND`].
pub(crate) fn stays_within_bound(identical: &Comparison) -> bool {
    identical.is_confident() && is_within(identical, CONTROL_BOUND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wide_control_concerns_arms_of_its_preset_alone() {
        let mut control = Control {
            measured: 2,
            differing: Vec::new(),
            wide: vec![Wide {
                scenario: "a-a on before".to_owned(),
                on: Some("before".to_owned()),
            }],
        };
        let leaves = |control: &Control, presets: &[&str]| {
            control.leaves_indicative(presets.iter().copied())
        };
        assert!(leaves(&control, &["before", "tuned"]));
        assert!(!leaves(&control, &["tuned", "tuned"]));
        control.measured = 0;
        assert!(leaves(&control, &["tuned"]));
    }
}
