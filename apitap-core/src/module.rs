//! SQL modules: files of SQL with a little minijinja.
//!
//! `{{ use_source("x") }}` renders to the quoted name of the source's table;
//! `{{ sink(name="x") }}` and `{{ schedule("cron") }}` say where and when, and render to nothing.

use std::fmt::Display;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use minijinja::value::Kwargs;
use minijinja::{Environment, Error as TemplateError, ErrorKind as TemplateFault};
use minijinja::{UndefinedBehavior, context};

use crate::config::WriteMode;
use crate::error::{Error, ErrorKind, Result, Stage};
use crate::pipeline_file::PipelineFile;
use crate::schedule::Schedule;

/// One SQL file, rendered.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Module {
    /// Its path below the folder, with `/`, without `.sql`.
    pub name: String,
    /// Its path.
    pub path: PathBuf,
    /// The SQL after rendering; every line keeps its number in the file.
    pub sql: String,
    /// The target that `sink` names.
    pub sink: Option<String>,
    /// The table that `sink(table=…)` names.
    pub table: Option<String>,
    /// What `sink(mode=…)` says about rows already there.
    pub mode: Option<WriteMode>,
    /// The key columns that `sink(key=[…])` names.
    pub key: Vec<String>,
    /// Whether `sink(allow_empty=true)` lets a source without rows empty the table.
    pub allow_empty: bool,
    /// The cron expression of `schedule`, checked.
    pub schedule: Option<String>,
    /// The sources used, in order of their first use.
    pub sources: Vec<String>,
    /// The text before rendering, to find lines in.
    text: String,
}

/// Where the rows of a module go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// Name of the target.
    pub target: String,
    /// `table` or `schema.table`, unquoted.
    pub table: String,
    /// What happens to rows already there; none leaves it to the configuration.
    pub mode: Option<WriteMode>,
    /// Key columns for `merge`.
    pub key: Vec<String>,
    /// Whether a source without rows may empty the table.
    pub allow_empty: bool,
}

impl Module {
    /// Every `*.sql` below `folder`, sorted by relative path.
    ///
    /// # Errors
    /// A folder without modules or that cannot be read, and as [`Module::parse`].
    pub fn load_all(folder: &Path) -> Result<Vec<Self>> {
        let mut paths = Vec::new();
        collect(folder, &mut paths)?;
        paths.sort();
        if paths.is_empty() {
            return Err(invalid("no *.sql file in this folder")
                .at(folder.display())
                .hint("name the folder of the SQL modules with --modules"));
        }
        paths
            .into_iter()
            .map(|path| {
                let text = fs::read_to_string(&path).map_err(|cause| unreadable(&path, cause))?;
                let name = path
                    .strip_prefix(folder)
                    .unwrap_or(&path)
                    .with_extension("");
                let parts: Vec<_> = name.iter().map(|part| part.to_string_lossy()).collect();
                Self::parse(&parts.join("/"), &path, &text)
            })
            .collect()
    }

    /// Renders the text of one module.
    ///
    /// # Errors
    /// Names the file and, where known, the line: a template that does not render, a second
    /// `sink` or `schedule`, a schedule that is no cron expression, a module without `sink` or
    /// `use_source`.
    pub fn parse(name: &str, path: &Path, text: &str) -> Result<Self> {
        let captured = Arc::new(Mutex::new(Self {
            name: name.to_owned(),
            path: path.to_owned(),
            text: text.to_owned(),
            ..Self::default()
        }));
        let sql = environment(&captured)
            .render_named_str(name, text, context! {})
            .map_err(|error| {
                let what = error
                    .detail()
                    .map_or_else(|| error.kind().to_string(), str::to_owned);
                let place = match error.line() {
                    Some(line) => format!("{}:{line}", path.display()),
                    None => path.display().to_string(),
                };
                invalid(what).at(place)
            })?;
        let mut module = captured
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        module.sql = sql;
        if module.sources.is_empty() {
            return Err(invalid("the module uses no source")
                .at(path.display())
                .hint(r#"read from a source with {{ use_source("name") }}"#));
        }
        if module.sink.is_none() {
            return Err(invalid("the module has no sink")
                .at(path.display())
                .hint(r#"name a target with {{ sink(name="name") }}"#));
        }
        Ok(module)
    }

    /// Checks the module against a pipeline file and says where its rows go.
    ///
    /// The table is that of `sink(table=…)`, else `table_destination_name` of the source used
    /// first, else that source's name. Mode and key come from `sink`, else from the same
    /// source.
    ///
    /// # Errors
    /// A source or target that the file does not have; the error names the line.
    pub fn destination(&self, file: &PipelineFile) -> Result<Destination> {
        for name in &self.sources {
            file.source(name)
                .map_err(|error| error.at(self.place_of(name)))?;
        }
        let (Some(target), Some(first)) = (&self.sink, self.sources.first()) else {
            return Err(invalid("the module has no sink or no source").at(self.path.display()));
        };
        file.target(target)
            .map_err(|error| error.at(self.place_of(target)))?;
        let source = file.source(first)?;
        let table = self
            .table
            .clone()
            .or_else(|| source.table_destination_name.clone());
        Ok(Destination {
            target: target.clone(),
            table: table.unwrap_or_else(|| source.name.clone()),
            mode: self.mode.or(source.mode),
            key: match self.key.is_empty() {
                true => source.primary_key.clone(),
                false => self.key.clone(),
            },
            allow_empty: self.allow_empty,
        })
    }

    /// The file, and the first line that holds `name` in quotes.
    fn place_of(&self, name: &str) -> String {
        let quoted = [format!("\"{name}\""), format!("'{name}'")];
        let holds = |line: &str| quoted.iter().any(|quoted| line.contains(quoted));
        match self.text.lines().position(holds) {
            Some(index) => format!("{}:{}", self.path.display(), index + 1),
            None => self.path.display().to_string(),
        }
    }
}

/// An SQL identifier in quotes; it keeps its case.
pub fn quoted(identifier: &str) -> String {
    format!("\"{}\"", identifier.replace('"', "\"\""))
}

fn environment(captured: &Arc<Mutex<Module>>) -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    let module = Arc::clone(captured);
    environment.add_function("use_source", move |name: String| {
        let mut module = module.lock().unwrap_or_else(PoisonError::into_inner);
        let table = quoted(&name);
        if !module.sources.contains(&name) {
            module.sources.push(name);
        }
        table
    });
    let module = Arc::clone(captured);
    environment.add_function("sink", move |first: Option<String>, named: Kwargs| {
        let mut module = module.lock().unwrap_or_else(PoisonError::into_inner);
        sink(&mut module, first, &named).map(|()| "")
    });
    let module = Arc::clone(captured);
    environment.add_function("schedule", move |expression: String| {
        let mut module = module.lock().unwrap_or_else(PoisonError::into_inner);
        Schedule::parse(&expression).map_err(fault)?;
        match module.schedule.replace(expression) {
            Some(_) => Err(fault("schedule is set twice")),
            None => Ok(""),
        }
    });
    environment
}

fn sink(
    module: &mut Module,
    first: Option<String>,
    named: &Kwargs,
) -> std::result::Result<(), TemplateError> {
    let name = match first {
        Some(name) => name,
        None => named
            .get::<Option<String>>("name")?
            .ok_or_else(|| fault("sink needs the name of a target: sink(name=\"…\")"))?,
    };
    if module.sink.replace(name).is_some() {
        return Err(fault("sink is set twice"));
    }
    module.table = named.get("table")?;
    module.mode = match named.get::<Option<&str>>("mode")? {
        None => None,
        Some("append") => Some(WriteMode::Append),
        Some("replace") => Some(WriteMode::Replace),
        Some("merge") => Some(WriteMode::Merge),
        Some(_) => return Err(fault("mode of sink is one of append, replace, merge")),
    };
    module.key = named.get::<Option<Vec<String>>>("key")?.unwrap_or_default();
    module.allow_empty = named
        .get::<Option<bool>>("allow_empty")?
        .unwrap_or_default();
    named.assert_all_used()
}

fn fault(what: impl Display) -> TemplateError {
    TemplateError::new(TemplateFault::InvalidOperation, what.to_string())
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).map_err(|cause| unreadable(folder, cause))? {
        let entry = entry.map_err(|cause| unreadable(folder, cause))?;
        let kind = entry
            .file_type()
            .map_err(|cause| unreadable(folder, cause))?;
        let path = entry.path();
        // Links to folders are not followed: they may lead in a circle.
        if kind.is_dir() {
            collect(&path, paths)?;
        } else if path.extension().is_some_and(|extension| extension == "sql") {
            paths.push(path);
        }
    }
    Ok(())
}

fn unreadable(path: &Path, cause: std::io::Error) -> Error {
    invalid("it cannot be read")
        .at(path.display())
        .caused_by(cause)
}

fn invalid(detail: impl Into<String>) -> Error {
    Error::new(ErrorKind::Config, Stage::Config, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Module> {
        Module::parse("m", Path::new("m.sql"), text)
    }

    fn file() -> PipelineFile {
        let text = r#"
sources:
  - {name: orders, url: "http://h/o", table_destination_name: public.orders_raw, primary_key_in_dest: id}
  - {name: users, url: "http://h/u"}
targets:
  - {type: postgres, name: pg, host: h, database: d, auth: {username: u, password: p}}
"#;
        PipelineFile::parse(text, &|_| None, chrono::NaiveDate::MIN).unwrap()
    }

    #[test]
    fn renders_what_it_captures() {
        let module = parse(
            "{{ sink(name=\"pg\") }}\n{{ schedule(\"0 */5 * * * *\") }}\nSELECT u.users_id FROM {{ use_source(\"users\") }} u\nJOIN {{ use_source(\"orders\") }} o ON true JOIN {{ use_source('users') }} w ON true\n",
        )
        .unwrap();
        assert_eq!(
            module.sql,
            "\n\nSELECT u.users_id FROM \"users\" u\nJOIN \"orders\" o ON true JOIN \"users\" w ON true"
        );
        assert_eq!(module.sources, ["users", "orders"]);
        assert_eq!(module.schedule.as_deref(), Some("0 */5 * * * *"));
        let destination = module.destination(&file()).unwrap();
        assert_eq!(
            (destination.target.as_str(), destination.table.as_str()),
            ("pg", "users")
        );
    }

    #[test]
    fn sink_overrides_the_source() {
        let from = r#"SELECT * FROM {{ use_source("orders") }}"#;
        let plain = parse(&format!("{{{{ sink(\"pg\") }}}}{from}")).unwrap();
        let plain = plain.destination(&file()).unwrap();
        assert_eq!(
            (plain.table.as_str(), &plain.key, plain.mode),
            ("public.orders_raw", &vec!["id".to_owned()], None)
        );
        assert!(!plain.allow_empty);
        let sink = r#"{{ sink(name="pg", table="public.t", mode="replace", key=["a", "b"], allow_empty=true) }}"#;
        let module = parse(&format!("{sink}{from}"))
            .unwrap()
            .destination(&file())
            .unwrap();
        assert_eq!(
            (module.table.as_str(), module.key.len(), module.mode),
            ("public.t", 2, Some(WriteMode::Replace))
        );
        assert!(module.allow_empty);
    }

    #[test]
    fn odd_names_are_quoted() {
        let module = parse(r#"{{ sink(name="pg") }}SELECT * FROM {{ use_source('My"API <x>') }}"#);
        assert_eq!(module.unwrap().sql, r#"SELECT * FROM "My""API <x>""#);
    }

    #[test]
    fn faults_name_file_and_line() {
        let cases = [
            ("SELECT 1", "m.sql: the module uses no source"),
            ("{{ use_source('a') }}", "m.sql: the module has no sink"),
            ("\n\n{{ unknown('a') }}", "m.sql:3"),
            ("\n{{ use_source('a' }}", "m.sql:2"),
            ("\n{{ schedule('soon') }}", "m.sql:2"),
            (
                "{{ sink(name='a') }}\n{{ sink(name='b') }}",
                "m.sql:2: sink is set twice",
            ),
            (
                "{{ sink(name='a', mode='upsert') }}",
                "append, replace, merge",
            ),
            ("{{ sink(nam='a') }}", "m.sql:1"),
            ("{{ sink(name='a', tabel='b') }}", "tabel"),
            ("{{ table }}", "m.sql:1"),
        ];
        for (text, part) in cases {
            let error = parse(text).unwrap_err();
            assert!(
                error.is_config() && error.to_string().contains(part),
                "{text}: {error}"
            );
        }
    }

    #[test]
    fn unknown_names_list_the_known_ones() {
        let unknown = |text: &str| parse(text).unwrap().destination(&file()).unwrap_err();
        let error = unknown("{{ sink(name='pg') }}\nSELECT * FROM {{ use_source('order') }}");
        assert!(
            error
                .to_string()
                .contains("m.sql:2: unknown source `order`"),
            "{error}"
        );
        assert!(error.next_step().unwrap().contains("orders, users"));
        let error = unknown("{{ sink(name='x') }} SELECT * FROM {{ use_source('users') }}");
        assert!(error.to_string().contains("unknown target `x`"), "{error}");
    }

    #[test]
    fn loads_a_folder_sorted() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("a")).unwrap();
        for name in ["b.sql", "a/z.sql", "a.txt"] {
            fs::write(
                folder.path().join(name),
                "{{ sink('pg') }}{{ use_source('x') }}",
            )
            .unwrap();
        }
        let modules = Module::load_all(folder.path()).unwrap();
        let names: Vec<_> = modules.iter().map(|module| module.name.as_str()).collect();
        assert_eq!(names, ["a/z", "b"]);
        assert!(Module::load_all(&folder.path().join("none")).is_err());
    }
}
