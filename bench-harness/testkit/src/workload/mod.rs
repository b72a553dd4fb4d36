//! Workloads: seeded rows, rendered as an API would send them, and the checksum of what must land.
//!
//! Row `i` is a function of the workload's definition, the seed and `i`, and of nothing else, so
//! pages can be rendered in any order and on any number of threads, and five million rows need no
//! more memory than one.
//!
//! ```
//! use testkit::workload::Workload;
//!
//! let orders = Workload::named("orders")?;
//! let mut page = Vec::new();
//! orders.render_page(0, 100, &mut page);
//! assert!(page.starts_with(br#"[{"id":1,"#));
//! # anyhow::Ok(())
//! ```

mod checksum;
mod copy_text;
mod definition;
mod generate;
mod json;
mod random;
mod reference_file;
mod vocabulary;

use std::fmt;
use std::path::Path;

use anyhow::{Context, Result, bail};

pub use checksum::{Expectation, checksum_expression, checksum_sql};
pub use reference_file::Psql;
pub use reference_file::{ReferenceFile, make_reference_file};

use definition::{Definition, Generate};
use generate::Value;
use json::WireWriter;
use random::SplitMix64;

/// The definitions that are compiled in, by name.
const BUILT_IN: [(&str, &str); 5] = [
    (
        "orders",
        include_str!("../../../../fixtures/workloads/orders.toml"),
    ),
    (
        "events",
        include_str!("../../../../fixtures/workloads/events.toml"),
    ),
    (
        "wide",
        include_str!("../../../../fixtures/workloads/wide.toml"),
    ),
    (
        "narrow",
        include_str!("../../../../fixtures/workloads/narrow.toml"),
    ),
    (
        "text",
        include_str!("../../../../fixtures/workloads/text.toml"),
    ),
];

/// Keeps the spelling of texts apart from their content: changing one leaves the other.
const ESCAPE_STREAM: u64 = 0x6573_6361_7065_7321;

/// A workload with its seed.
#[derive(Debug, Clone)]
pub struct Workload {
    definition: Definition,
    columns: Vec<Column>,
    seed: u64,
    stream: u64,
    empty_text_is_null: bool,
}

/// A column of the table in which a workload lands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// The name, in JSON and in the table: letters, digits and underscores, case kept.
    pub name: String,
    /// What it holds.
    pub kind: ColumnKind,
}

/// The types of columns, in the engine's mapping from JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnKind {
    /// 64-bit integers.
    BigInt,
    /// 64-bit floating point numbers.
    Double,
    /// Booleans.
    Bool,
    /// Texts.
    Text,
    /// Instants, sent as RFC 3339 with `Z`.
    Timestamp,
    /// Objects and arrays.
    Json,
}

impl ColumnKind {
    /// The PostgreSQL type in which the column lands.
    pub fn postgres_type(self) -> &'static str {
        match self {
            Self::BigInt => "BIGINT",
            Self::Double => "DOUBLE PRECISION",
            Self::Bool => "BOOLEAN",
            Self::Text => "TEXT",
            Self::Timestamp => "TIMESTAMP WITH TIME ZONE",
            Self::Json => "JSONB",
        }
    }

    /// The type's OID (`pg_type.dat`).
    fn oid(self) -> u32 {
        match self {
            Self::BigInt => 20,
            Self::Double => 701,
            Self::Bool => 16,
            Self::Text => 25,
            Self::Timestamp => 1184,
            Self::Json => 3802,
        }
    }
}

impl Workload {
    /// The names of the workloads that are compiled in.
    pub fn names() -> impl Iterator<Item = &'static str> {
        BUILT_IN.iter().map(|(name, _)| *name)
    }

    /// A compiled-in workload with its default seed.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn named(name: &str) -> Result<Self> {
        match BUILT_IN.iter().find(|(known, _)| *known == name) {
            Some((_, toml)) => Self::parse(toml).with_context(|| format!("workload {name}")),
            None => {
                let known: Vec<_> = Self::names().collect();
                bail!(
                    "there is no workload `{name}`: known are {}",
                    known.join(", ")
                )
            }
        }
    }

    /// A workload from a definition of one's own.
    ///
    /// # Errors
    /// When the file cannot be read, or is no valid definition.
    pub fn load(path: &Path) -> Result<Self> {
        std::fs::read_to_string(path)
            .map_err(anyhow::Error::from)
            .and_then(|toml| Self::parse(&toml))
            .with_context(|| format!("cannot load the workload {}", path.display()))
    }

    fn parse(toml: &str) -> Result<Self> {
        let definition = Definition::parse(toml)?;
        let columns = definition
            .columns
            .iter()
            .map(|field| Column {
                name: field.name.clone(),
                kind: kind_of(&field.generate),
            })
            .collect();
        let (seed, stream) = (definition.seed, stream_of(&definition.name));
        Ok(Self {
            definition,
            columns,
            seed,
            stream,
            empty_text_is_null: false,
        })
    }

    /// The same workload with other values.
    #[must_use]
    pub fn with_seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// The same workload with an empty text counting as NULL, in what is expected and in what landed: for
    /// loaders that have one form for both.
    #[must_use]
    pub fn with_empty_text_as_null(self) -> Self {
        Self {
            empty_text_is_null: true,
            ..self
        }
    }

    /// The name: also that of its endpoint in the mock API, and of its table.
    pub fn name(&self) -> &str {
        &self.definition.name
    }

    /// One line about what it is for.
    pub fn description(&self) -> &str {
        &self.definition.description
    }

    /// The seed of its values.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The columns, in the order of the JSON.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// Appends a JSON array of `rows` rows from `first_row` on, counted from 0, with no white space.
    pub fn render_page(&self, first_row: u64, rows: u64, out: &mut Vec<u8>) {
        out.push(b'[');
        let mut values = Vec::new();
        for row in first_row..first_row + rows {
            if row > first_row {
                out.push(b',');
            }
            self.render(row, &mut values, out);
        }
        out.push(b']');
    }

    /// Appends the same rows as NDJSON: one per line, each line ended.
    pub fn render_ndjson(&self, first_row: u64, rows: u64, out: &mut Vec<u8>) {
        let mut values = Vec::new();
        for row in first_row..first_row + rows {
            self.render(row, &mut values, out);
            out.push(b'\n');
        }
    }

    /// Appends one row as a JSON object.
    pub fn render_row(&self, row: u64, out: &mut Vec<u8>) {
        self.render(row, &mut Vec::new(), out);
    }

    /// The statement that creates a table for the rows, without a key: what a load needs, no more.
    pub fn create_table_sql(&self, table: &str) -> String {
        let columns: Vec<String> = self
            .columns
            .iter()
            .map(|column| format!("\"{}\" {}", column.name, column.kind.postgres_type()))
            .collect();
        format!(
            "CREATE TABLE {} ({})",
            quote_table(table),
            columns.join(", ")
        )
    }

    fn render<'w>(&'w self, row: u64, values: &mut Vec<Value<'w>>, out: &mut Vec<u8>) {
        self.fill(row, values);
        WireWriter {
            out,
            escapes: self.definition.escapes,
            random: SplitMix64::for_row(self.stream ^ ESCAPE_STREAM, self.seed, row),
        }
        .object(&self.definition.columns, values);
    }

    /// Replaces `values` by those of `row`.
    fn fill<'w>(&'w self, row: u64, values: &mut Vec<Value<'w>>) {
        let mut random = SplitMix64::for_row(self.stream, self.seed, row);
        values.clear();
        values.extend(
            self.definition
                .columns
                .iter()
                .map(|field| generate::field(field, row, &mut random)),
        );
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

fn kind_of(generate: &Generate) -> ColumnKind {
    match generate {
        Generate::Sequence | Generate::Integer { .. } => ColumnKind::BigInt,
        Generate::Decimal { .. } | Generate::Float => ColumnKind::Double,
        Generate::Boolean { .. } => ColumnKind::Bool,
        Generate::Timestamp(_) => ColumnKind::Timestamp,
        Generate::Object(_) | Generate::Array { .. } => ColumnKind::Json,
        Generate::Serial { .. }
        | Generate::Pick(_)
        | Generate::Name
        | Generate::Email
        | Generate::Hex { .. }
        | Generate::Text { .. } => ColumnKind::Text,
    }
}

/// FNV-1a of the name, so that two workloads with one seed differ.
fn stream_of(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Quotes `table` or `schema.table`.
pub fn quote_table(table: &str) -> String {
    let parts: Vec<String> = table
        .split('.')
        .map(|part| format!("\"{}\"", part.replace('"', "\"\"")))
        .collect();
    parts.join(".")
}

#[cfg(test)]
mod tests;
