//! The layout of `run.json`, `results.json` and a history as JSON Schemas, for programs that read them.
//!
//! They are committed in `reports/schema`; a test keeps them up to date. That of `gate.json` is there
//! too, and comes from `gate::export`.

use schemars::Schema;
use serde_json::Value;

use crate::judge::Results;
use crate::judge::history::entry::{self, Entry};
use crate::run_record::{RunRecord, SCHEMA_VERSION};

/// The schema of `results.json`.
#[must_use]
pub(crate) fn results_schema() -> Value {
    titled(
        schemars::schema_for!(Results),
        "Results of an ApiTap benchmark run",
        SCHEMA_VERSION,
    )
}

/// The schema of `run.json`.
#[must_use]
pub(crate) fn run_record_schema() -> Value {
    titled(
        schemars::schema_for!(RunRecord),
        "Record of an ApiTap benchmark run",
        SCHEMA_VERSION,
    )
}

/// The schema of a line of a history.
#[must_use]
pub(crate) fn history_entry_schema() -> Value {
    titled(
        schemars::schema_for!(Entry),
        "Line of a history of ApiTap benchmark results",
        entry::SCHEMA_VERSION,
    )
}

/// `schema` under a title that names the version of the layout.
pub(crate) fn titled(mut schema: Schema, title: &str, version: u32) -> Value {
    let title = format!("{title}, version {version}");
    schema.insert("title".to_owned(), title.into());
    schema.to_value()
}

#[cfg(test)]
pub(crate) mod tests {
    use std::path::Path;

    use boon::{Compiler, SchemaIndex, Schemas};

    use super::*;
    use crate::report::example;
    use crate::report::json;

    /// Set to write the schemas anew.
    const UPDATE: &str = "UPDATE_SCHEMAS";

    /// Fails where `reports/schema` holds another schema under the name `file`.
    pub(crate) fn committed(file: &str, schema: &Value) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../reports/schema")
            .join(file);
        let mut text = serde_json::to_string_pretty(schema).unwrap();
        text.push('\n');
        if std::env::var_os(UPDATE).is_some() {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, &text).unwrap();
        }
        let found: Value =
            serde_json::from_str(&std::fs::read_to_string(&path).unwrap_or("null".into())).unwrap();
        assert!(
            found == *schema,
            "reports/schema/{file} is out of date: run the tests with {UPDATE}=1, and raise SCHEMA_VERSION \
             if a field changed its meaning or went"
        );
    }

    pub(crate) struct Validator {
        schemas: Schemas,
        index: SchemaIndex,
    }

    impl Validator {
        pub(crate) fn new(schema: &Value) -> Self {
            const NAME: &str = "schema.json";
            let mut schemas = Schemas::new();
            let mut compiler = Compiler::new();
            compiler.add_resource(NAME, schema.clone()).unwrap();
            let index = compiler.compile(NAME, &mut schemas).unwrap();
            Self { schemas, index }
        }

        /// What does not fit, a line each; empty where all does.
        pub(crate) fn errors(&self, instance: &Value) -> String {
            match self.schemas.validate(instance, self.index) {
                Ok(()) => String::new(),
                Err(error) => error.to_string(),
            }
        }
    }

    fn results() -> Value {
        serde_json::from_str(&json::render(&example::results()).unwrap()).unwrap()
    }

    #[test]
    fn the_committed_schemas_are_up_to_date() {
        committed("results.schema.json", &results_schema());
        committed("run.schema.json", &run_record_schema());
        committed("history-entry.schema.json", &history_entry_schema());
    }

    #[test]
    fn what_is_written_fits_its_schema() {
        assert_eq!(Validator::new(&results_schema()).errors(&results()), "");
        let record = serde_json::to_value(example::run_record()).unwrap();
        assert_eq!(Validator::new(&run_record_schema()).errors(&record), "");
        let empty = serde_json::to_value(example::results_without_samples()).unwrap();
        assert_eq!(Validator::new(&results_schema()).errors(&empty), "");
    }

    #[test]
    fn every_line_of_a_history_fits_its_schema() {
        let validator = Validator::new(&history_entry_schema());
        for entry in crate::judge::history::example::entries(1, 9, 1.0) {
            let mut entry = serde_json::to_value(entry).unwrap();
            assert_eq!(validator.errors(&entry), "");
            entry["value"] = "much".into();
            assert!(!validator.errors(&entry).is_empty());
        }
    }

    #[test]
    fn what_lacks_a_field_or_has_one_too_many_does_not_fit() {
        let validator = Validator::new(&results_schema());
        let refused = |change: &dyn Fn(&mut Value)| {
            let mut results = results();
            change(&mut results);
            assert!(!validator.errors(&results).is_empty());
        };
        refused(&|results| {
            results.as_object_mut().unwrap().remove("seed");
        });
        refused(&|results| results["colour"] = "red".into());
        refused(&|results| results["experiments"][0]["findings"][0]["verdict"] = "great".into());
        refused(&|results| {
            let finding = &mut results["experiments"][1]["findings"][0];
            finding.as_object_mut().unwrap().remove("claim");
        });
        refused(&|results| results["scenarios"][0]["plan"]["rows"] = 7.into());
        refused(&|results| results["confidence_level"] = "0.95".into());
    }
}
