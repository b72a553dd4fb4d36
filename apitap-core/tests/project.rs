//! A project of the `apitap` command.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use wiremock::MockServer;

use crate::fixture::{Fixture, api, target};

/// A module that loads every user.
pub(crate) const USERS: &str =
    "{{ sink(name=\"pg\") }}\nSELECT id, userName FROM {{ use_source(\"users\") }}";

/// Users 1 to `count`.
pub(crate) fn users(count: usize) -> Value {
    (1..=count)
        .map(|id| json!({"id": id, "userName": format!("u{id}")}))
        .collect()
}

/// Modules and a pipeline file, between an API and a database.
pub(crate) struct Project {
    folder: tempfile::TempDir,
    _server: MockServer,
    pub(crate) fixture: Fixture,
}

impl Project {
    /// A module `users` over five users.
    pub(crate) async fn new(sql: &str) -> Self {
        Self::over(api(users(5)).await, sql).await
    }

    /// A module `users` over an API of users.
    pub(crate) async fn over(server: MockServer, sql: &str) -> Self {
        let fixture = Fixture::new().await;
        let target = target(fixture.database.url());
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("sql")).unwrap();
        std::fs::write(folder.path().join("sql/users.sql"), sql).unwrap();
        let yaml = format!(
            "sources:\n- name: users\n  url: {}\n  table_destination_name: users\n  primary_key_in_dest: id\n  \
             pagination: {{kind: page_number, page_param: page, per_page_param: per_page}}\n  \
             retry: {{max_attempts: 2, max_delay_secs: 1, min_delay_secs: 1}}\n\
             targets:\n- type: postgres\n  name: pg\n  host: {}\n  port: {}\n  database: {}\n  \
             auth: {{username: {}, password_env: APITAP_TEST_PASSWORD}}\n",
            server.uri(),
            target.host,
            target.port,
            target.database,
            target.username
        );
        std::fs::write(folder.path().join("pipelines.yaml"), yaml).unwrap();
        Self {
            folder,
            _server: server,
            fixture,
        }
    }

    /// The command over this project.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let password = target(self.fixture.database.url()).password;
        let mut command = Command::new(env!("CARGO_BIN_EXE_apitap"));
        command
            .args(["-m", "sql", "-y", "pipelines.yaml"])
            .args(arguments)
            .current_dir(self.path())
            .env("APITAP_TEST_PASSWORD", password.expose())
            .env_remove("RUST_LOG");
        command
    }

    /// The same, started by a shell after `setup`, as in `ulimit -n 32` or `exec 2>&-`.
    pub(crate) fn command_after(&self, setup: &str, arguments: &[&str]) -> Command {
        let own = self.command(arguments);
        let mut command = Command::new("sh");
        command
            .args(["-c", &format!("{setup}; exec \"$0\" \"$@\"")])
            .arg(own.get_program())
            .args(own.get_args())
            .current_dir(self.path());
        for (name, value) in own.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command
    }

    /// Adds a module and, if `source` has text, a source that comes first.
    pub(crate) fn add(&self, module: &str, sql: &str, source: &str) {
        std::fs::write(self.path().join(format!("sql/{module}.sql")), sql).unwrap();
        let file = self.path().join("pipelines.yaml");
        let text = std::fs::read_to_string(&file).unwrap();
        let text = text.replacen("sources:\n", &format!("sources:\n{source}"), 1);
        std::fs::write(file, text).unwrap();
    }

    /// Exit code, standard output, standard error.
    pub(crate) fn apitap(&self, arguments: &[&str]) -> (i32, String, String) {
        ended(self.command(arguments))
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// Exit code, standard output and standard error of a command.
pub(crate) fn ended(mut command: Command) -> (i32, String, String) {
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let code = output.status.code();
    let (stdout, stderr) = (text(output.stdout), text(output.stderr));
    (code.unwrap_or_else(|| panic!("{stderr}")), stdout, stderr)
}
