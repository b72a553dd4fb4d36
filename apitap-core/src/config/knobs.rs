//! The table of knobs: their names, what they may be set to, and what each does.

use std::fmt;
use std::ops::RangeInclusive;

use serde_json::{Value, json};

use super::{Config, MAX_BODY_BYTES, WriteMethod, invalid};
use crate::error::{Error, ErrorKind, Result, Stage};

/// One setting of [`Config`].
#[derive(Debug)]
pub struct Knob {
    /// Its name, such as `write.batch_rows`.
    pub name: &'static str,
    /// What it may be set to.
    pub values: Values,
    /// What it does, in one line.
    pub about: &'static str,
    /// What else is worth knowing; may be empty.
    pub detail: &'static str,
}

/// What a knob may be set to.
#[derive(Debug)]
pub enum Values {
    /// A whole number within these limits.
    Count(RangeInclusive<u64>),
    /// A number of seconds, whole or not.
    Seconds,
    /// A number of seconds, or `none`.
    SecondsOrNone,
    /// One of these words.
    OneOf(&'static [&'static str]),
}

const POSITIVE: Values = Values::Count(1..=u64::MAX);
const SWITCH: Values = Values::OneOf(&["true", "false"]);

const fn knob(
    name: &'static str,
    values: Values,
    about: &'static str,
    detail: &'static str,
) -> Knob {
    Knob {
        name,
        values,
        about,
        detail,
    }
}

/// Every knob, in the order of the stages.
pub const KNOBS: &[Knob] = &[
    knob(
        "source.concurrency",
        Values::Count(1..=1_024),
        "requests in flight for one source",
        "",
    ),
    knob(
        "source.page_rows",
        POSITIVE,
        "rows to ask for per page",
        "used when the pagination has a parameter for it",
    ),
    knob(
        "source.reuse_connections",
        SWITCH,
        "one client and its connections for all requests",
        "",
    ),
    knob(
        "source.pool_idle_per_host",
        Values::Count(0..=u64::MAX),
        "idle connections to keep",
        "with fewer than `source.concurrency` + 1, some are closed that would be used again",
    ),
    knob(
        "source.connect_timeout",
        Values::Seconds,
        "limit for setting up a connection",
        "",
    ),
    knob(
        "source.read_timeout",
        Values::Seconds,
        "limit for silence, before an answer and while its body is read",
        "",
    ),
    knob(
        "source.total_timeout",
        Values::SecondsOrNone,
        "limit for a request and its body",
        "",
    ),
    knob(
        "source.max_body_bytes",
        Values::Count(1_024..=MAX_BODY_BYTES as u64),
        "most bytes of a page, as sent and decompressed",
        "a larger page is an error; `limits.body_bytes` says otherwise for one source",
    ),
    knob(
        "decode.path",
        Values::OneOf(&["tape", "rows"]),
        "how JSON becomes columns",
        "`tape` puts bytes straight into columns; `rows` sends an owned value per row through a channel",
    ),
    knob("decode.batch_rows", POSITIVE, "most rows of a batch", ""),
    knob(
        "decode.unknown_fields",
        Values::OneOf(&["refuse", "ignore"]),
        "what happens to keys that the sampled rows did not have",
        "`refuse` is an error, and applies only when the query selects `*`",
    ),
    knob(
        "infer.sample_rows",
        POSITIVE,
        "rows from which the schema is inferred",
        "",
    ),
    knob(
        "infer.cache",
        Values::OneOf(&["off", "memory", "file:FOLDER"]),
        "where inferred schemas are kept",
        "an entry is dropped when the source's configuration changes or its data no longer decodes",
    ),
    knob(
        "infer.timestamps",
        SWITCH,
        "RFC 3339 strings become timestamps",
        "",
    ),
    knob(
        "channel.capacity",
        Values::Count(1..=u32::MAX as u64),
        "rows that may wait between stages",
        "rows larger than a KiB count by the KiB",
    ),
    knob(
        "counter",
        Values::OneOf(&["atomic", "mutex"]),
        "how rows are counted",
        "",
    ),
    knob("transform.partitions", POSITIVE, "lanes of the plan", ""),
    knob(
        "transform.batch_rows",
        POSITIVE,
        "rows of the batches that the plan makes",
        "",
    ),
    knob(
        "transform.memory_limit_bytes",
        Values::Count(1 << 20..=u64::MAX),
        "memory for sorts, joins, aggregates and shared sources",
        "divided between lanes; sorts, groups and shared sources spill the rest to disk; one side of a join \
         must fit, and so must the values that a group gathers (`count(DISTINCT …)`, `array_agg`)",
    ),
    knob(
        "transform.streaming",
        SWITCH,
        "write while the plan runs",
        "`false` holds the whole result in memory",
    ),
    knob(
        "transform.table_names",
        Values::OneOf(&["source", "unique"]),
        "the names under which SQL finds the sources",
        "`unique` puts random names behind them, new in every run",
    ),
    knob(
        "write.method",
        Values::OneOf(&WriteMethod::NAMES),
        "how rows are sent",
        "see [How rows are written](writing.md#methods)",
    ),
    knob(
        "write.batch_rows",
        Values::Count(1..=1_000_000),
        "rows per flush",
        "COPY also sends when it has gathered 32 MiB",
    ),
    knob(
        "write.in_flight",
        POSITIVE,
        "statements under way on a connection",
        "no effect on COPY",
    ),
    knob(
        "write.connections",
        Values::Count(1..=64),
        "connections that load",
        "`merge`, and `append` to a table that exists, use one",
    ),
    knob(
        "write.commit",
        Values::OneOf(&["load", "batch"]),
        "what is committed together",
        "`load` is all rows or none; `batch` commits each statement by itself, so **a load that fails leaves the rows \
         before**; see [How rows are written](writing.md#commits)",
    ),
    knob(
        "write.mode",
        Values::OneOf(&["none", "append", "replace", "merge"]),
        "the mode of modules and sources that name none",
        "`none` is `merge` with a primary key, and `append` without one",
    ),
    knob(
        "observe",
        Values::OneOf(&["on", "off"]),
        "take the times of stages, latencies and activities",
        "`off` leaves them at zero, to measure what they cost",
    ),
];

impl Knob {
    /// Its value in `config`, as it is written in a setting.
    #[must_use]
    pub fn value(&self, config: &Config) -> String {
        let tree = serde_json::to_value(config).unwrap_or_default();
        match tree.pointer(&self.pointer()) {
            None | Some(Value::Null) => "none".to_owned(),
            Some(Value::String(word)) => word.clone(),
            Some(Value::Object(cache)) => format!("file:{}", text_of(cache.get("file"))),
            // Seconds are floating point numbers: 10.0 is written as 10.
            Some(number) => number.to_string().trim_end_matches(".0").to_owned(),
        }
    }

    /// Its place in a serialised [`Config`].
    fn pointer(&self) -> String {
        format!("/{}", self.name.replace('.', "/"))
    }

    fn parse(&self, value: &str) -> Value {
        if self.name == "infer.cache"
            && let Some(folder) = value.strip_prefix("file:")
        {
            return json!({ "file": folder });
        }
        if value == "none" {
            return Value::Null;
        }
        match serde_json::from_str(&value.replace('_', "")) {
            Ok(parsed @ (Value::Number(_) | Value::Bool(_))) => parsed,
            _ => Value::String(value.to_owned()),
        }
    }

    fn check(&self, tree: &Value) -> Result<()> {
        let (Values::Count(limits), Some(count)) = (
            &self.values,
            tree.pointer(&self.pointer()).and_then(Value::as_u64),
        ) else {
            return Ok(());
        };
        let name = self.name;
        if count > *limits.end() {
            return Err(invalid(format!("{name} must be at most {}", limits.end())));
        }
        if count < *limits.start() {
            return Err(invalid(format!(
                "{name} must be at least {}",
                limits.start()
            )));
        }
        Ok(())
    }
}

fn text_of(value: Option<&Value>) -> &str {
    value.and_then(Value::as_str).unwrap_or_default()
}

impl fmt::Display for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(limits) if *limits.end() == u64::MAX => {
                write!(f, "{} or more", limits.start())
            }
            Self::Count(limits) => write!(f, "{} to {}", limits.start(), limits.end()),
            Self::Seconds => f.write_str("seconds"),
            Self::SecondsOrNone => f.write_str("seconds, none"),
            Self::OneOf(words) => f.write_str(&words.join(", ")),
        }
    }
}

/// The knobs for `apitap --help`: each with its default, what it does and its values.
#[cfg(feature = "cli")]
pub(crate) fn help() -> String {
    let tuned = Config::default();
    let line = |knob: &Knob| {
        let setting = format!("{}={}", knob.name, knob.value(&tuned));
        let about = format!("  {setting:<38} {}", knob.about);
        let values = knob.values.to_string();
        if about.len() + values.len() < 80 {
            format!("{about} ({values})\n")
        } else {
            format!("{about}\n{:41}({values})\n", "")
        }
    };
    KNOBS.iter().map(line).collect()
}

impl Config {
    /// Changes one knob by its dotted name, as in `write.batch_rows=1000`.
    ///
    /// # Errors
    /// A knob that does not exist, or a value that does not fit it.
    ///
    /// ```
    /// # use apitap_core::Config;
    /// let config = Config::default().with("write.method=copy-text")?.with("counter=mutex")?;
    /// assert_eq!(config.write.method.name(), "copy-text");
    /// # Ok::<(), apitap_core::Error>(())
    /// ```
    pub fn with(self, setting: &str) -> Result<Self> {
        let (name, value) = setting.split_once('=').ok_or_else(|| {
            invalid(format!("setting `{setting}` has no `=`"))
                .hint("write it as stage.knob=value, for example write.batch_rows=1000")
        })?;
        let name = name.trim();
        let mut tree = self.tree()?;
        let knob = KNOBS.iter().find(|knob| knob.name == name);
        let slot = knob.and_then(|knob| Some((knob, tree.pointer_mut(&knob.pointer())?)));
        let Some((knob, slot)) = slot else {
            return Err(invalid(format!("unknown knob `{name}`")).hint(
                "`apitap --help` lists the knobs, for example write.method or source.concurrency",
            ));
        };
        *slot = knob.parse(value.trim());
        serde_json::from_value(tree)
            .map_err(|e| invalid(format!("knob `{name}`: {e}")))
            .and_then(Self::validated)
    }

    /// Checks the limits of numbers, which their types do not know.
    ///
    /// # Errors
    /// Names the knob and its limit.
    pub fn validated(self) -> Result<Self> {
        let tree = self.tree()?;
        KNOBS.iter().try_for_each(|knob| knob.check(&tree))?;
        Ok(self)
    }

    fn tree(&self) -> Result<Value> {
        serde_json::to_value(self).map_err(|e| {
            Error::new(ErrorKind::Internal, Stage::Config, "configuration").caused_by(e)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::{DecodePath, SchemaCacheMode, TableNames};
    use super::*;

    #[test]
    fn settings_change_one_knob() {
        let config = Config::default()
            .with("write.batch_rows=50_000")
            .unwrap()
            .with("decode.path=rows")
            .unwrap()
            .with("source.total_timeout=1.5")
            .unwrap()
            .with("infer.cache=file:/tmp/schemas")
            .unwrap()
            .with("transform.table_names=unique")
            .unwrap();
        assert_eq!(config.write.batch_rows.get(), 50_000);
        assert_eq!(config.decode.path, DecodePath::Rows);
        assert_eq!(
            config.source.total_timeout,
            Some(Duration::from_millis(1_500))
        );
        assert_eq!(
            config.infer.cache,
            SchemaCacheMode::File("/tmp/schemas".into())
        );
        assert_eq!(config.transform.table_names, TableNames::Unique);
        assert_eq!(
            config.with("infer.cache=off").unwrap().infer.cache,
            SchemaCacheMode::Off
        );
    }

    #[test]
    fn wrong_settings_name_the_knob() {
        for (setting, part) in [
            ("write.batch_rows=0", "write.batch_rows"),
            ("write.batch_rows=2000000", "at most 1000000"),
            ("source.max_body_bytes=1023", "at least 1024"),
            ("write.methods=insert", "unknown knob `write.methods`"),
            ("write=insert", "unknown knob `write`"),
            ("write.method=upsert", "write.method"),
            ("transform.table_names=random", "transform.table_names"),
            ("write.method", "no `=`"),
        ] {
            let error = Config::default().with(setting).unwrap_err();
            assert!(error.is_config());
            assert!(error.to_string().contains(part), "{setting}: {error}");
        }
    }

    #[test]
    fn the_table_has_every_field_of_the_configuration() {
        let tree = serde_json::to_value(Config::default()).unwrap();
        let mut fields = Vec::new();
        for (stage, value) in tree.as_object().unwrap() {
            match value.as_object() {
                Some(knobs) => fields.extend(knobs.keys().map(|knob| format!("{stage}.{knob}"))),
                None => fields.push(stage.clone()),
            }
        }
        let mut names: Vec<_> = KNOBS.iter().map(|knob| knob.name).collect();
        fields.sort_unstable();
        names.sort_unstable();
        assert_eq!(names, fields);
    }

    #[test]
    fn the_table_has_every_value_of_a_knob() {
        for knob in KNOBS {
            let Values::OneOf(words) = knob.values else {
                continue;
            };
            for word in words {
                let setting = format!("{}={word}", knob.name);
                let config = Config::default().with(&setting).unwrap();
                assert_eq!(knob.value(&config), *word, "{setting}");
            }
            let wrong = format!("{}=wrong", knob.name);
            let error = Config::default().with(&wrong).unwrap_err().to_string();
            if let Some((_, expected)) = error.split_once("expected ") {
                let known = expected.matches('`').count() / 2;
                let none = words.iter().filter(|word| **word == "none").count();
                assert!(known == 0 || known == words.len() - none, "{error}");
            }
        }
    }

    #[test]
    fn values_are_shown_as_they_are_written() {
        let config = Config::default();
        let value = |name| {
            let knob = KNOBS.iter().find(|knob| knob.name == name).unwrap();
            knob.value(&config)
        };
        assert_eq!(value("source.connect_timeout"), "10");
        assert_eq!(value("source.total_timeout"), "none");
        assert_eq!(value("write.batch_rows"), "1000");
        assert_eq!(value("infer.timestamps"), "true");
    }
}
