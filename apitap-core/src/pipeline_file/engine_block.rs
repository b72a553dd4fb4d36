//! The block `engine` of a pipeline file, to be pasted.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::config::Config;
use crate::config::knobs::KNOBS;

/// The block `engine` of a pipeline file: a preset, and what differs from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineBlock {
    preset: String,
    /// Knobs with their values.
    settings: Vec<(String, String)>,
}

impl EngineBlock {
    /// A preset, changed by settings of the form `stage.knob=value`.
    #[must_use]
    pub fn new(preset: &str, settings: &[String]) -> Self {
        let settings = settings.iter().filter_map(|one| one.split_once('='));
        Self {
            preset: preset.to_owned(),
            settings: settings
                .map(|(knob, value)| (knob.to_owned(), value.to_owned()))
                .collect(),
        }
    }

    /// The shortest block that comes to `config`.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        let [before, tuned] = Config::PRESETS.map(|name| {
            let preset = Config::preset(name).unwrap_or_default();
            let changes = KNOBS.iter().map(|knob| (knob, knob.value(config)));
            let settings = changes
                .filter(|(knob, value)| *value != knob.value(&preset))
                .map(|(knob, value)| (knob.name.to_owned(), value));
            Self {
                preset: name.to_owned(),
                settings: settings.collect(),
            }
        });
        match before.settings.len() < tuned.settings.len() {
            true => before,
            false => tuned,
        }
    }

    /// The block on one line.
    #[must_use]
    pub fn line(&self) -> String {
        let preset = &self.preset;
        if self.settings.is_empty() {
            return format!("engine: {{ preset: {preset} }}");
        }
        let settings: Vec<String> = self.lines().collect();
        let settings = settings.join(", ");
        format!("engine: {{ preset: {preset}, settings: {{ {settings} }} }}")
    }

    fn lines(&self) -> impl Iterator<Item = String> {
        let settings = self.settings.iter();
        settings.map(|(knob, value)| format!("{knob}: {}", scalar(value)))
    }
}

impl fmt::Display for EngineBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "engine:\n  preset: {}", self.preset)?;
        if !self.settings.is_empty() {
            f.write_str("  settings:\n")?;
        }
        self.lines().try_for_each(|line| writeln!(f, "    {line}"))
    }
}

impl Serialize for EngineBlock {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

/// A text as YAML writes it. In quotes it is the same in every version of YAML; `off` is not.
fn scalar(value: &str) -> String {
    let is_number = value.bytes().all(|byte| byte.is_ascii_digit());
    match is_number || value.contains('-') && is_plain(value) {
        true => value.to_owned(),
        // JSON is YAML.
        false => serde_json::Value::from(value).to_string(),
    }
}

fn is_plain(value: &str) -> bool {
    value.starts_with(|first: char| first.is_ascii_lowercase())
        && value
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline_file::PipelineFile;

    fn read(text: &str) -> Config {
        let file = PipelineFile::parse(text, &|_| None, chrono::NaiveDate::MIN).unwrap();
        let preset = Config::preset(file.preset.as_deref().unwrap()).unwrap();
        let settings = file.settings.iter();
        settings.fold(preset, |config, setting| config.with(setting).unwrap())
    }

    #[test]
    fn both_forms_are_read_as_they_were_meant() {
        for (preset, settings) in [
            ("tuned", vec![]),
            ("before", vec!["write.method=copy-text"]),
            (
                "tuned",
                vec![
                    "infer.cache=file:/var/a, b: {c}",
                    "infer.timestamps=false",
                    "source.total_timeout=2.5",
                    "source.concurrency=32",
                    "write.mode=replace",
                ],
            ),
        ] {
            let preset = Config::preset(preset).unwrap();
            let changed = settings.iter();
            let config = changed.fold(preset, |config, one| config.with(one).unwrap());
            let block = EngineBlock::of(&config);
            assert_eq!(read(&block.to_string()), config, "{block}");
            assert_eq!(read(&block.line()), config, "{}", block.line());
            assert_eq!(block.settings.len(), settings.len(), "{block}");
        }
    }
}
