//! What a comparison says about a gain that somebody expects.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::compare::Comparison;
use super::verdict::{Threshold, is_beyond, is_within};

/// The gain that a change is said to bring.
///
/// Written as `{ low = 10, high = 100 }` (or without `high`), `"better"` or `"negligible"`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Expected {
    /// A gain between two factors: the baseline's cost ÷ the candidate's.
    Factor {
        /// The smallest that the claim allows.
        low: f64,
        /// The largest, if it names one.
        high: Option<f64>,
    },
    /// A gain that matters, of no stated size: at least 1 + δ.
    Better,
    /// No gain or loss that matters.
    Negligible,
}

/// What became of a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClaimVerdict {
    /// The gain is at least the claim's lowest.
    Supported,
    /// The gain is above the claim's highest.
    Exceeded,
    /// The gain is below the claim's lowest.
    Refuted,
    /// The blocks do not decide it.
    Inconclusive,
    /// The gain is below the claim's lowest, or undecided, and could not be as large here whatever the change does.
    NotTestable,
}

impl ClaimVerdict {
    /// Whether the gain is at least what was promised.
    #[must_use]
    pub fn is_kept(self) -> bool {
        matches!(self, Self::Supported | Self::Exceeded)
    }
}

impl fmt::Display for ClaimVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Supported => "supported",
            Self::Exceeded => "exceeded",
            Self::Refuted => "refuted",
            Self::Inconclusive => "inconclusive",
            Self::NotTestable => "not testable here",
        })
    }
}

/// Judges a claim by the interval of the gain, at the family's level.
///
/// - A factor is supported if the whole interval lies at or above its lowest, exceeded if above its
///   highest too, refuted if below its lowest. A supported claim may reach beyond its highest.
/// - `Better` is a factor of at least 1 + δ.
/// - `Negligible` is supported if the whole interval is within ±δ, refuted if it is beyond ±δ
///   on one side.
///
/// Else, or with less confidence than was asked for, it is inconclusive.
#[must_use]
pub(crate) fn claim_verdict(
    expected: &Expected,
    adjusted: &Comparison,
    threshold: Threshold,
) -> ClaimVerdict {
    if !adjusted.is_confident() {
        return ClaimVerdict::Inconclusive;
    }
    match *expected {
        Expected::Factor { low, high } => factor_verdict(low, high, adjusted),
        Expected::Better => factor_verdict(threshold.factor(), None, adjusted),
        Expected::Negligible if is_within(adjusted, threshold) => ClaimVerdict::Supported,
        Expected::Negligible if is_beyond(adjusted, threshold) => ClaimVerdict::Refuted,
        Expected::Negligible => ClaimVerdict::Inconclusive,
    }
}

fn factor_verdict(low: f64, high: Option<f64>, adjusted: &Comparison) -> ClaimVerdict {
    let gain = adjusted.inverted().interval;
    if high.is_some_and(|high| gain.low > high) {
        ClaimVerdict::Exceeded
    } else if gain.low >= low {
        ClaimVerdict::Supported
    } else if gain.high < low {
        ClaimVerdict::Refuted
    } else {
        ClaimVerdict::Inconclusive
    }
}

const BETTER: &str = "better";
const NEGLIGIBLE: &str = "negligible";

/// The form of a factor.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Factor {
    /// The smallest gain that the claim allows, above 0.
    low: f64,
    /// The largest, not below `low`; absent if the claim names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    high: Option<f64>,
}

impl Factor {
    fn is_valid(&self) -> bool {
        let high = self.high.unwrap_or(self.low);
        self.low > 0.0 && self.low.is_finite() && high >= self.low && high.is_finite()
    }
}

impl Serialize for Expected {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match *self {
            Self::Factor { low, high } => Factor { low, high }.serialize(serializer),
            Self::Better => serializer.serialize_str(BETTER),
            Self::Negligible => serializer.serialize_str(NEGLIGIBLE),
        }
    }
}

impl<'de> Deserialize<'de> for Expected {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ExpectedVisitor)
    }
}

/// By hand, because an untagged enum reads through a buffer, which breaks numbers when `serde_json`
/// keeps them at arbitrary precision, as this workspace does.
struct ExpectedVisitor;

impl<'de> Visitor<'de> for ExpectedVisitor {
    type Value = Expected;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{{ low = …, high = … }}, \"{BETTER}\" or \"{NEGLIGIBLE}\""
        )
    }

    fn visit_str<E: Error>(self, word: &str) -> Result<Expected, E> {
        match word {
            BETTER => Ok(Expected::Better),
            NEGLIGIBLE => Ok(Expected::Negligible),
            other => Err(E::invalid_value(Unexpected::Str(other), &self)),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Expected, A::Error> {
        let factor = Factor::deserialize(MapAccessDeserializer::new(map))?;
        if !factor.is_valid() {
            return Err(A::Error::custom(
                "low must be above 0, and high not below low",
            ));
        }
        let Factor { low, high } = factor;
        Ok(Expected::Factor { low, high })
    }
}

impl JsonSchema for Expected {
    fn schema_name() -> Cow<'static, str> {
        "Expected".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "The gain that a change is said to bring, as the baseline's cost ÷ the candidate's.",
            "anyOf": [
                generator.subschema_for::<Factor>(),
                { "enum": [BETTER, NEGLIGIBLE] },
            ],
        })
    }
}

#[cfg(test)]
mod tests;
