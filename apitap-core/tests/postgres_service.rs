//! The command in the hands of a scheduler: what it says cannot fail what it does.

use std::fs::File;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::fixture::{bodies, refusing_api, slow_api};
use crate::project::{Project, USERS, ended, users};

const BROKEN: &str = "{{ sink(name=\"pg\") }} SELECT nothing FROM {{ use_source(\"users\") }}";

fn full() -> Stdio {
    File::options()
        .write(true)
        .open("/dev/full")
        .unwrap()
        .into()
}

fn without_reader() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}

fn report(project: &Project, name: &str) -> Value {
    let text = std::fs::read(project.path().join(name)).unwrap();
    serde_json::from_slice(&text).unwrap()
}

async fn is_loaded(project: &Project) {
    let rows = project.fixture.rows("users").await;
    assert_eq!(rows.as_array().unwrap().len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_is_loaded_although_nobody_listens() {
    let project = Project::over(refusing_api(users(5)).await, USERS).await;
    let code = |mut command: Command| command.status().unwrap().code();
    for arguments in [&["--log-level", "trace"][..], &["--log-json"]] {
        for stderr in [full, without_reader] {
            let mut command = project.command(arguments);
            command.stderr(stderr());
            assert_eq!(code(command), Some(0));
            is_loaded(&project).await;
        }
        assert_eq!(
            code(project.command_after("exec 2>&- >&-", arguments)),
            Some(0)
        );
    }
    std::fs::write(project.path().join("sql/users.sql"), BROKEN).unwrap();
    for stderr in [full, without_reader] {
        let mut command = project.command(&[]);
        command.stderr(stderr());
        assert_eq!(code(command), Some(1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_is_loaded_although_its_report_is_lost() {
    let project = Project::new(USERS).await;
    for stdout in [full, without_reader] {
        let mut command = project.command(&["--report", "-"]);
        command.stdout(stdout());
        let (code, _, stderr) = ended(command);
        assert_eq!(code, 0, "{stderr}");
        assert!(
            stderr.contains("warning: the report cannot be written"),
            "{stderr}"
        );
        let mut command = project.command(&["--dry-run"]);
        command.stdout(stdout());
        let (code, _, stderr) = ended(command);
        assert_eq!(code, 1, "{stderr}");
        assert!(
            stderr.contains("cannot write to standard output"),
            "{stderr}"
        );
    }
    let (code, _, stderr) = project.apitap(&["--report", "/dev/full"]);
    assert_eq!(code, 0, "{stderr}");
    assert!(
        stderr.contains("warning: the report cannot be written"),
        "{stderr}"
    );
    is_loaded(&project).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_report_lists_each_module_with_its_outcome() {
    let project = Project::new(USERS).await;
    project.add("broken", BROKEN, "");
    // Longer than the new one.
    std::fs::write(project.path().join("report.json"), "x".repeat(1 << 16)).unwrap();
    let (code, _, stderr) = project.apitap(&["--report", "report.json"]);
    assert_eq!(code, 1, "{stderr}");
    let report = report(&project, "report.json");
    assert_eq!(report.as_array().unwrap().len(), 2);
    let (failed, loaded) = (&report[0], &report[1]);
    assert_eq!(failed["outcome"], "failed");
    assert_eq!(failed["module"], "broken");
    assert_eq!(failed["table"], "\"users\"");
    assert!(failed["wall_seconds"].as_f64().unwrap() > 0.0);
    let error = &failed["error"];
    assert_eq!(error["kind"], "sql");
    assert_eq!(error["stage"], "transform");
    let message = error["message"].as_str().unwrap();
    assert!(stderr.contains(&format!("error: {message}\n")), "{message}");
    assert!(stderr.contains(error["help"].as_str().unwrap()), "{error}");
    assert_eq!(loaded["outcome"], "succeeded");
    assert_eq!(loaded["rows_written"], 5);
    is_loaded(&project).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_modules_do_without_the_variables_of_others() {
    let project = Project::new(USERS).await;
    project.add(
        "other",
        "{{ sink(name=\"pg\") }}\nSELECT id FROM {{ use_source(\"other\") }}",
        "- name: other\n  url: https://h.test\n  auth: {type: bearer, token_env: APITAP_NOT_SET}\n",
    );
    let reason = "source other: token_env: environment variable APITAP_NOT_SET is not set";
    let (code, _, stderr) = project.apitap(&["--report", "report.json"]);
    assert_eq!(code, 1, "{stderr}");
    for part in [reason, "sql/other.sql:2", "pipelines.yaml: line 4", ".env"] {
        assert!(stderr.contains(part), "{part}: {stderr}");
    }
    is_loaded(&project).await;
    let report = report(&project, "report.json");
    assert_eq!(report[0]["error"]["kind"], "environment");
    assert_eq!(report[1]["outcome"], "succeeded");
    let (code, _, stderr) = project.apitap(&["users"]);
    assert_eq!(code, 0, "{stderr}");
    // Nothing could be run.
    for arguments in [&["other"][..], &["other", "--dry-run"]] {
        let (code, _, stderr) = project.apitap(arguments);
        assert_eq!(code, 2, "{stderr}");
        assert!(stderr.contains(reason), "{stderr}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_loads_are_logged_in_json_alone() {
    // Longer than it takes until progress is shown.
    let server = slow_api(users(2), Duration::from_millis(2_200)).await;
    let project = Project::over(server, USERS).await;
    let messages = |arguments: &[&str], expected: i32| {
        let (code, _, stderr) = project.apitap(&[&["--log-json"], arguments].concat());
        assert_eq!(code, expected, "{stderr}");
        assert!(!stderr.is_empty());
        stderr
            .lines()
            .map(|line| {
                let event: Value =
                    serde_json::from_str(line).unwrap_or_else(|_| panic!("{stderr}"));
                assert!(
                    event["timestamp"].is_string() && event["level"].is_string(),
                    "{line}"
                );
                event["fields"].clone()
            })
            .collect::<Vec<_>>()
    };
    let said = messages(&["--metrics-addr", "127.0.0.1:0"], 0);
    for part in [
        "metrics: http://127",
        "users: 0 pages",
        "users: 2 rows into",
    ] {
        let says = |event: &Value| event["message"].as_str().unwrap().starts_with(part);
        assert!(said.iter().any(says), "{part}: {said:?}");
    }
    let said = messages(&["--set", "write.speed=1"], 2);
    assert_eq!(said[0]["kind"], "config");
    assert!(said[0]["help"].is_string());
    for wrong in [
        &["--unknown"][..],
        &["--log-level", "x=y=z"],
        &["--trace", "no/such/file"],
        &["--report", "no/such/file"],
        &["--schedule"],
        &["nobody"],
    ] {
        messages(wrong, 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_and_the_api_cannot_speak_to_the_terminal() {
    let hostile = "\u{1b}[2J\u{9b}31m\u{202e}\r\u{7}\u{7f}";
    let page = |more: &str| json!([{"id": 1, "userName": "u", hostile: 1, more: 1}]).to_string();
    let all = "{{ sink(name=\"pg\", mode=\"append\") }} SELECT * FROM {{ use_source(\"users\") }}";
    let server = bodies(vec![page("a"), page(&format!("b{hostile}"))]).await;
    let project = Project::over(server, all).await;
    let obeyed = |text: &str| {
        let obeyed = |c: char| c != '\n' && (c.is_control() || c == '\u{202e}');
        assert!(!text.contains(obeyed), "{text:?}");
    };
    let sample = ["--set", "infer.sample_rows=1"];
    for arguments in [
        &["--dry-run"][..],
        &["--report", "-"],
        &["--log-json", "--log-level", "debug"],
        &["--log-level", "debug"],
    ] {
        let (code, stdout, stderr) = project.apitap(&[&sample, arguments].concat());
        assert_eq!(code, i32::from(arguments[0] != "--dry-run"), "{stderr}");
        obeyed(&stdout);
        obeyed(&stderr);
        assert!((stdout + &stderr).contains("[2J"), "{stderr}");
    }
    project
        .fixture
        .client
        .batch_execute(
            "CREATE TABLE users (id bigint, \"userName\" text);
             CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
               $$BEGIN RAISE EXCEPTION E'refused \\x1b[2J\\u009b\\r'; END$$;
             CREATE TRIGGER refuse BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION refuse()",
        )
        .await
        .unwrap();
    let append = USERS.replace("\"pg\"", "\"pg\", mode=\"append\"");
    std::fs::write(project.path().join("sql/users.sql"), append).unwrap();
    let (code, _, stderr) = project.apitap(&[]);
    assert_eq!(code, 1, "{stderr}");
    assert!(stderr.contains(r"refused \u{1b}[2J\u{9b}\r"), "{stderr}");
    obeyed(&stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_is_not_loaded_by_a_schedule_that_there_is_not() {
    let project = Project::new(USERS).await;
    let (code, _, stderr) = project.apitap(&["--schedule"]);
    assert_eq!(code, 2, "{stderr}");
    assert!(
        stderr.contains("--schedule: no module has a schedule"),
        "{stderr}"
    );
    assert!(!project.fixture.exists("users").await);
}
