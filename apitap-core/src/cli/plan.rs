//! What the files and the command line ask for, and when.

use std::sync::Arc;

use crate::job::Job;
use crate::module::Module;
use crate::pipeline_file::PipelineFile;
use crate::prometheus::Exposition;
use crate::schedule::Schedule;
use crate::write::EmptyLoad;
use crate::{Config, Engine, Error, ErrorKind, Stage};
use chrono::{DateTime, Utc};

use super::arguments::Arguments;

/// Modules and the engine that runs them, all checked.
pub(super) struct Plan {
    pub(super) engine: Engine,
    pub(super) modules: Vec<Planned>,
    /// What the runs measure.
    pub(super) exposition: Arc<Exposition>,
    config: Config,
}

/// A module as the files have it.
pub(super) struct Planned {
    pub(super) name: String,
    /// Or why it cannot be run here: a variable is missing. That is none of the other modules'.
    pub(super) job: Result<Job, Error>,
    schedule: Option<Schedule>,
}

/// Modules that are due at one moment.
#[derive(Debug, PartialEq)]
pub(super) struct Round {
    pub(super) moment: DateTime<Utc>,
    pub(super) modules: Vec<String>,
}

impl Plan {
    pub(super) fn new(arguments: &Arguments) -> Result<Self, Error> {
        let file = PipelineFile::load(&arguments.yaml_config)?;
        let preset = arguments.preset.as_deref().or(file.preset.as_deref());
        let mut config = Config::preset(preset.unwrap_or("tuned"))?;
        for setting in file.settings.iter().chain(&arguments.settings) {
            config = config.with(setting)?;
        }
        let plan = Self {
            modules: modules(arguments, &file, &config)?,
            engine: Engine::new(config.clone()),
            exposition: Arc::default(),
            config,
        };
        let now = Utc::now();
        if arguments.schedule && plan.next_round(now, now).is_none() {
            let what = "--schedule: no module has a schedule that is ever due";
            return Err(Error::new(ErrorKind::Config, Stage::Config, what).hint(
                "give one to a module, as in {{ schedule(\"0 */5 * * * *\") }}, or leave out --schedule",
            ));
        }
        Ok(plan)
    }

    /// Reads the files again, with the dates of today. The engine keeps its settings and the schemas
    /// it knows. When a file is wrong, the modules stay as they were.
    pub(super) fn reload(&mut self, arguments: &Arguments) -> Result<(), Error> {
        let file = PipelineFile::load(&arguments.yaml_config)?;
        self.modules = modules(arguments, &file, &self.config)?;
        Ok(())
    }

    /// What is due next after `now` and after the `last` round. A clock that steps back does not
    /// repeat a round.
    pub(super) fn next_round(&self, now: DateTime<Utc>, last: DateTime<Utc>) -> Option<Round> {
        let after = now.max(last);
        let due: Vec<_> = self
            .modules
            .iter()
            .filter_map(|it| Some((it.schedule.as_ref()?.next_after(after)?, &it.name)))
            .collect();
        let moment = due.iter().map(|(moment, _)| *moment).min()?;
        let modules = due.into_iter().filter(|(when, _)| *when == moment);
        Some(Round {
            moment,
            modules: modules.map(|(_, name)| name.clone()).collect(),
        })
    }
}

/// The modules that the command line selects.
fn modules(
    arguments: &Arguments,
    file: &PipelineFile,
    config: &Config,
) -> Result<Vec<Planned>, Error> {
    let all = Module::load_all(&arguments.modules)?;
    if let Some(unknown) = arguments.unknown(&all) {
        let names: Vec<_> = all.iter().map(|module| module.name.as_str()).collect();
        let what = format!("no module has the name `{unknown}`, given on the command line");
        return Err(Error::new(ErrorKind::Config, Stage::Config, what)
            .hint(format!("the modules are {}", names.join(", "))));
    }
    let selected = all.iter().filter(|module| arguments.selects(&module.name));
    selected
        .map(|module| {
            let mut planned = planned(module, file, config)?;
            if let (true, Ok(job)) = (arguments.fail_on_empty, &mut planned.job) {
                job.sink.empty = EmptyLoad::Refused;
            }
            Ok(planned)
        })
        .collect()
}

fn planned(module: &Module, file: &PipelineFile, config: &Config) -> Result<Planned, Error> {
    let job = match Job::new(module, file, &config.write) {
        Err(error) if error.kind() != ErrorKind::Environment => return Err(error),
        job => job,
    };
    let schedule = module.schedule.as_deref();
    Ok(Planned {
        name: module.name.clone(),
        job,
        schedule: schedule.map(Schedule::parse).transpose()?,
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    struct Project(tempfile::TempDir);

    impl Project {
        fn new(modules: &[(&str, &str)]) -> Self {
            let project = Self(tempfile::tempdir().unwrap());
            project.write_file("http://h/old");
            for (name, schedule) in modules {
                let text = format!(
                    "{{{{ sink(name=\"pg\") }}}}{{{{ schedule(\"{schedule}\") }}}} SELECT * FROM {{{{ use_source(\"s\") }}}}"
                );
                std::fs::write(project.0.path().join(name), text).unwrap();
            }
            project
        }

        fn write_file(&self, url: &str) {
            let text = format!(
                "sources: [{{name: s, url: \"{url}\"}}]\ntargets: [{{type: postgres, name: pg, host: h, database: d, auth: {{username: u}}}}]\n"
            );
            std::fs::write(self.0.path().join("p.yaml"), text).unwrap();
        }

        fn arguments(&self) -> Arguments {
            let folder = self.0.path().to_str().unwrap();
            Arguments::parse_from(["apitap", "-m", folder, "-y", &format!("{folder}/p.yaml")])
        }
    }

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn files_are_read_again_and_wrong_ones_change_nothing() {
        let project = Project::new(&[("a.sql", "0 * * * * *")]);
        let arguments = project.arguments();
        let mut plan = Plan::new(&arguments).unwrap();
        let url = |plan: &Plan| {
            let job = plan.modules[0].job.as_ref().unwrap();
            job.sources[0].url.path().to_owned()
        };
        assert_eq!(url(&plan), "/old");
        project.write_file("http://h/new");
        plan.reload(&arguments).unwrap();
        assert_eq!(url(&plan), "/new");
        project.write_file("ftp://h/wrong");
        assert!(plan.reload(&arguments).unwrap_err().is_config());
        assert_eq!(url(&plan), "/new");
    }

    #[test]
    fn modules_due_at_once_are_one_round() {
        let project = Project::new(&[
            ("a.sql", "0 * * * * *"),
            ("b.sql", "30 * * * * *"),
            ("c.sql", "0 */2 * * * *"),
        ]);
        let plan = Plan::new(&project.arguments()).unwrap();
        let now = at("2024-01-01T00:01:30Z");
        let round = plan.next_round(now, now).unwrap();
        assert_eq!(round.moment, at("2024-01-01T00:02:00Z"));
        assert_eq!(round.modules, ["a", "c"]);
    }

    #[test]
    fn a_clock_that_steps_back_brings_no_moment_twice() {
        let project = Project::new(&[("a.sql", "*/10 * * * * *")]);
        let plan = Plan::new(&project.arguments()).unwrap();
        let last = at("2024-01-01T00:00:10Z");
        for now in [
            "2023-12-31T23:00:00Z",
            "2024-01-01T00:00:09.9Z",
            "2024-01-01T00:00:10Z",
        ] {
            let round = plan.next_round(at(now), last).unwrap();
            assert_eq!(round.moment, at("2024-01-01T00:00:20Z"));
        }
        let round = plan.next_round(at("2024-01-01T00:00:35Z"), last).unwrap();
        assert_eq!(round.moment, at("2024-01-01T00:00:40Z"));
    }
}
