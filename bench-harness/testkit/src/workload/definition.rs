//! What a workload's file may say. Definitions are data: adding a workload needs no code.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail, ensure};
use chrono::DateTime;
use serde::Deserialize;

/// A workload as its file states it. Unknown keys are errors.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Definition {
    pub(super) name: String,
    /// One line for `apitap-bench list`.
    pub(super) description: String,
    /// The default seed: golden hashes and published results use it.
    pub(super) seed: u64,
    pub(super) escapes: Escapes,
    pub(super) columns: Vec<Field>,
}

/// How texts are escaped on the wire. What lands is the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Escapes {
    /// Only what JSON demands, in its shortest form, as most servers do.
    Minimal,
    /// Every form that JSON allows, drawn per character.
    Varied,
}

/// A column, or a member of an object.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Field {
    pub(super) name: String,
    /// More than one makes columns `name_01`, `name_02` and so on.
    #[serde(default = "one")]
    pub(super) repeat: u32,
    /// Out of a thousand values, so many are JSON null.
    #[serde(default)]
    pub(super) null_per_mille: u64,
    /// Out of a thousand objects, so many lack the member altogether.
    #[serde(default)]
    pub(super) absent_per_mille: u64,
    pub(super) generate: Generate,
}

fn one() -> u32 {
    1
}

/// How a value is made. Every range includes both of its ends.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) enum Generate {
    /// The row's number, from 1: the key.
    Sequence,
    /// The row's number as text: `prefix`, then at least `digits` digits.
    Serial {
        prefix: String,
        digits: usize,
    },
    Integer {
        min: i64,
        max: i64,
    },
    /// `min` and `max` count units of the last place: 1999 with `scale` 2 is 19.99.
    Decimal {
        min: i64,
        max: i64,
        scale: u8,
    },
    /// Any finite double of a magnitude from 1e-100 to 1e100, so that 17 digits and exponents occur.
    Float,
    Boolean {
        true_per_mille: u64,
    },
    Timestamp(Timestamps),
    Pick(Vec<String>),
    Name,
    Email,
    /// Lower-case hexadecimal digits.
    Hex {
        chars: usize,
    },
    /// Words. Where `awkward_per_mille` is not 0, that share of the pieces is hard to quote, and
    /// one value in sixteen is short and easily mistaken for something else.
    Text {
        min_chars: u64,
        max_chars: u64,
        #[serde(default)]
        awkward_per_mille: u64,
    },
    Object(Shape),
    Array {
        min: u64,
        max: u64,
        of: Box<Generate>,
    },
}

/// Instants from `from` on, within `days` days.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, try_from = "RawTimestamps")]
pub(super) struct Timestamps {
    pub(super) from_micros: i64,
    pub(super) span_micros: u64,
    pub(super) precision: Precision,
}

/// Digits after the second, on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Precision {
    Millis,
    Micros,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTimestamps {
    from: String,
    days: u32,
    precision: Precision,
}

impl TryFrom<RawTimestamps> for Timestamps {
    type Error = anyhow::Error;

    fn try_from(raw: RawTimestamps) -> Result<Self> {
        let from = DateTime::parse_from_rfc3339(&raw.from)
            .with_context(|| format!("`from = \"{}\"` is not an RFC 3339 instant", raw.from))?;
        ensure!(raw.days > 0, "`days` must be at least 1");
        Ok(Self {
            from_micros: from.timestamp_micros(),
            span_micros: u64::from(raw.days) * 86_400_000_000,
            precision: raw.precision,
        })
    }
}

/// The members of an object in the order of the wire, and the order in which JSONB keeps them.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "Vec<Field>")]
pub(super) struct Shape {
    pub(super) fields: Vec<Field>,
    /// Indices into `fields`: shorter keys first, then by bytes (`lengthCompareJsonbString`).
    pub(super) jsonb_order: Vec<usize>,
}

impl TryFrom<Vec<Field>> for Shape {
    type Error = anyhow::Error;

    fn try_from(fields: Vec<Field>) -> Result<Self> {
        let fields = expand(fields)?;
        let mut jsonb_order: Vec<usize> = (0..fields.len()).collect();
        jsonb_order.sort_by_key(|&index| (fields[index].name.len(), &fields[index].name));
        Ok(Self {
            fields,
            jsonb_order,
        })
    }
}

impl Definition {
    /// Reads and checks a definition.
    pub(super) fn parse(toml: &str) -> Result<Self> {
        let mut definition: Self = toml::from_str(toml)?;
        check_name(&definition.name)?;
        definition.columns = expand(definition.columns)?;
        ensure!(!definition.columns.is_empty(), "`columns` is empty");
        Ok(definition)
    }
}

/// Writes out repeated fields, and checks every field.
fn expand(fields: Vec<Field>) -> Result<Vec<Field>> {
    let mut expanded = Vec::new();
    for field in fields {
        check_name(&field.name)?;
        check(&field.generate).with_context(|| format!("`{}`", field.name))?;
        ensure!(
            field.null_per_mille + field.absent_per_mille <= 1000,
            "`{}` is null or absent more than a thousand times in a thousand",
            field.name
        );
        match field.repeat {
            0 => bail!("`{}` is repeated 0 times", field.name),
            1 => expanded.push(field),
            repeat => expanded.extend((1..=repeat).map(|nth| Field {
                name: format!("{}_{nth:02}", field.name),
                repeat: 1,
                ..field.clone()
            })),
        }
    }
    let mut names = BTreeSet::new();
    for field in &expanded {
        ensure!(names.insert(&field.name), "`{}` occurs twice", field.name);
    }
    Ok(expanded)
}

fn check(generate: &Generate) -> Result<()> {
    match generate {
        Generate::Integer { min, max } => ensure!(min <= max, "min is above max"),
        Generate::Decimal { min, max, scale } => {
            ensure!(min <= max, "min is above max");
            // Below 2^53 and 10^22 one division yields the double nearest to the decimal text.
            let limit = 1 << 53;
            ensure!(
                -limit < *min && *max < limit,
                "a double cannot hold the bounds"
            );
            ensure!((1..=15).contains(scale), "scale must be 1 to 15");
        }
        Generate::Text {
            min_chars,
            max_chars,
            ..
        } => {
            ensure!(min_chars <= max_chars, "min_chars is above max_chars");
        }
        Generate::Pick(choices) => ensure!(!choices.is_empty(), "nothing to pick from"),
        Generate::Array { min, max, of } => {
            ensure!(min <= max, "min is above max");
            check(of)?;
            ensure!(
                !matches!(**of, Generate::Float),
                "a float has no certain text in JSONB: use decimal"
            );
        }
        Generate::Object(shape) => ensure!(
            shape
                .fields
                .iter()
                .all(|field| !matches!(field.generate, Generate::Float)),
            "a float has no certain text in JSONB: use decimal"
        ),
        _ => {}
    }
    Ok(())
}

/// Names go into SQL and JSON unescaped, so they are kept to letters, digits and underscores.
fn check_name(name: &str) -> Result<()> {
    let valid = name.len() <= 60
        && name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    ensure!(
        valid,
        "`{name}` is not a name: at most 60 letters, digits and underscores"
    );
    Ok(())
}
