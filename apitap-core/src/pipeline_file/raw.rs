//! The shape of `pipelines.yaml`, before templates and checks.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use serde::Deserialize;
use serde_saphyr::{Error as YamlError, Location, Spanned};

use crate::config::{BadText, WriteMode};
use crate::error::{Error, ErrorKind, Result, Stage};
use crate::write::SslMode;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    #[serde(default)]
    pub(super) sources: Vec<Source>,
    #[serde(default)]
    pub(super) targets: Vec<Target>,
    #[serde(default)]
    pub(super) engine: Engine,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Engine {
    pub(super) preset: Option<String>,
    #[serde(default)]
    pub(super) settings: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Source {
    pub(super) name: Spanned<String>,
    pub(super) url: Spanned<String>,
    #[serde(default)]
    pub(super) retry: Retry,
    #[serde(default)]
    pub(super) limits: Limits,
    pub(super) table_destination_name: Option<String>,
    #[serde(default)]
    pub(super) headers: Vec<KeyValue>,
    #[serde(default)]
    pub(super) query_params: Vec<KeyValue>,
    pub(super) pagination: Option<Pagination>,
    pub(super) data_path: Option<Spanned<String>>,
    pub(super) primary_key_in_dest: Option<Names>,
    pub(super) auth: Option<Auth>,
    #[serde(default)]
    pub(super) columns: BTreeMap<String, Spanned<String>>,
    #[serde(default)]
    pub(super) on_bad_text: BadText,
    pub(super) mode: Option<WriteMode>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeyValue {
    pub(super) key: String,
    pub(super) value: Spanned<String>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Names {
    One(String),
    Many(Vec<String>),
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Retry {
    pub(super) max_attempts: Option<u32>,
    pub(super) max_delay_secs: Option<f64>,
    pub(super) min_delay_secs: Option<f64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Limits {
    pub(super) body_bytes: Option<NonZeroUsize>,
    pub(super) rows: Option<NonZeroUsize>,
    pub(super) string_bytes: Option<NonZeroUsize>,
}

/// Every kind's fields in one struct: a tagged enum would lose the lines of errors.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Pagination {
    pub(super) kind: Spanned<String>,
    pub(super) limit_param: Option<String>,
    pub(super) offset_param: Option<String>,
    pub(super) page_param: Option<String>,
    pub(super) per_page_param: Option<String>,
    pub(super) cursor_param: Option<String>,
    pub(super) page_size_param: Option<String>,
    pub(super) cursor_path: Option<String>,
    pub(super) next_path: Option<String>,
    pub(super) start: Option<u64>,
    pub(super) total_path: Option<String>,
    pub(super) total_header: Option<String>,
    #[serde(default)]
    pub(super) allow_shortfall: bool,
    #[serde(default)]
    pub(super) allowed_hosts: Vec<String>,
}

/// Every kind's fields in one struct, as [`Pagination`].
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Auth {
    #[serde(rename = "type")]
    pub(super) kind: Spanned<String>,
    pub(super) username: Option<String>,
    pub(super) username_env: Option<String>,
    pub(super) password: Option<String>,
    pub(super) password_env: Option<String>,
    pub(super) token: Option<String>,
    pub(super) token_env: Option<String>,
    pub(super) name: Option<String>,
    pub(super) value: Option<String>,
    pub(super) value_env: Option<String>,
    #[serde(rename = "in")]
    pub(super) place: Option<Place>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Place {
    Header,
    Query,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum TargetType {
    Postgres,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Target {
    /// Only one kind exists; the key is required, as it always was.
    #[serde(rename = "type")]
    #[expect(dead_code, reason = "read to be checked")]
    pub(super) kind: TargetType,
    pub(super) name: Spanned<String>,
    pub(super) host: String,
    /// A number, or a variable that holds one.
    pub(super) port: Option<String>,
    pub(super) database: String,
    pub(super) auth: Spanned<TargetAuth>,
    pub(super) sslmode: Option<SslMode>,
    pub(super) sslrootcert: Option<String>,
    pub(super) schema: Option<String>,
    pub(super) connect_timeout: Option<Spanned<f64>>,
    pub(super) answer_timeout: Option<Spanned<f64>>,
    pub(super) lock_timeout: Option<Spanned<f64>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TargetAuth {
    pub(super) username: Option<String>,
    pub(super) username_env: Option<String>,
    pub(super) password: Option<String>,
    pub(super) password_env: Option<String>,
}

/// YAML to the shape above.
pub(super) fn parse(text: &str) -> Result<File> {
    if text.trim().is_empty() {
        return Err(invalid("the file is empty"));
    }
    let options = serde_saphyr::options! {
        with_snippet: false,
        duplicate_keys: serde_saphyr::DuplicateKeyPolicy::Error,
    };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let error = error.without_snippet();
        let invalid = invalid(describe(error));
        let invalid = match error.location() {
            Some(location) => invalid.at(line(location)),
            None => invalid,
        };
        if error
            .location()
            .is_some_and(|location| is_bare_template(text, location))
        {
            return invalid.hint("put quotes around a value that begins with {{");
        }
        invalid
    })
}

/// A configuration error, to be placed by its caller.
pub(super) fn invalid(detail: impl Into<String>) -> Error {
    Error::new(ErrorKind::Config, Stage::Config, detail)
}

/// Where in the file something is.
pub(super) fn line(location: Location) -> String {
    format!("line {}, column {}", location.line(), location.column())
}

/// `value: {{ x }}` without quotes is a mapping to YAML; the message alone would not say so.
fn is_bare_template(text: &str, location: Location) -> bool {
    let index = usize::try_from(location.line()).unwrap_or(usize::MAX);
    // The parser may notice only on the line after.
    let lines = text.lines().skip(index.saturating_sub(2)).take(2);
    lines
        .filter_map(|line| line.split_once(':'))
        .any(|(_, value)| value.trim_start().starts_with("{{"))
}

/// What is wrong, without the values that the parser's own messages quote.
fn describe(error: &YamlError) -> String {
    let list = |names: &[&str]| names.join(", ");
    match error {
        YamlError::SerdeUnknownField {
            field, expected, ..
        } => {
            format!("unknown key `{field}`, expected one of {}", list(expected))
        }
        YamlError::SerdeMissingField { field, .. } => format!("key `{field}` is missing"),
        YamlError::SerdeUnknownVariant { expected, .. } => {
            format!("unknown value, expected one of {}", list(expected))
        }
        YamlError::SerdeInvalidType { expected, .. }
        | YamlError::SerdeInvalidValue { expected, .. } => format!("expected {expected}"),
        YamlError::DuplicateMappingKey { key: Some(key), .. } => {
            format!("key `{key}` appears twice")
        }
        YamlError::DuplicateMappingKey { .. } => "a key appears twice".to_owned(),
        YamlError::Unexpected { expected, .. } => format!("expected {expected}"),
        YamlError::Eof { .. } => "the file ends too early".to_owned(),
        YamlError::NullIntoString { .. } => "a value is missing".to_owned(),
        YamlError::MultipleDocuments { .. } => "more than one YAML document".to_owned(),
        _ => "not valid YAML for a pipeline file".to_owned(),
    }
}
