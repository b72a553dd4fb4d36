//! `apitap --explain`, and the last line of a run that took long.

use std::time::Duration;

use serde_json::Value;

use crate::fixture::{api, slow_api, target};
use crate::project::{Project, USERS, users};

/// A function that keeps the server's processor busy for as long as it takes to be seen.
const SPIN: &str = "
    CREATE FUNCTION spin() RETURNS boolean LANGUAGE plpgsql AS $$
    DECLARE begun timestamptz := clock_timestamp();
    BEGIN
        WHILE clock_timestamp() < begun + interval '60 microseconds' LOOP END LOOP;
        RETURN true;
    END $$;
    CREATE TABLE users (id bigint, \"userName\" text, CHECK (spin()));";

/// The module that loads every user, in a mode.
fn in_mode(mode: &str) -> String {
    USERS.replace("name=\"pg\"", &format!("name=\"pg\", mode=\"{mode}\""))
}

/// A project whose server takes 60 µs for every row, which is more than a second in all.
async fn slow_server() -> Project {
    let project = Project::over(api(users(20_000)).await, &in_mode("append")).await;
    let made = project.fixture.client.batch_execute(SPIN).await;
    made.unwrap();
    project
}

/// What `--explain --report -` says, as text for people and as JSON.
fn explained(project: &Project, arguments: &[&str]) -> (String, Value) {
    let all = [&["--explain", "--report", "-"][..], arguments].concat();
    let (code, stdout, stderr) = project.apitap(&all);
    assert_eq!(code, 0, "{stderr}");
    let report: Value = serde_json::from_str(&stdout).unwrap();
    (stderr, report[0].clone())
}

fn change(report: &Value) -> Vec<&str> {
    let change = report["explanation"]["advice"]["change"].as_array();
    let change = change.map_or(&[][..], Vec::as_slice);
    change.iter().filter_map(Value::as_str).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_into_postgres_that_waits_for_its_api_is_to_ask_for_more_pages_at_once() {
    let api = slow_api(users(50_000), Duration::from_millis(50)).await;
    let project = Project::over(api, &in_mode("replace")).await;
    let (code, stdout, stderr) = project.apitap(&["--set", "source.concurrency=1"]);
    assert_eq!((code, stdout.as_str()), (0, ""), "{stderr}");
    let last = stderr.lines().last().unwrap();
    for part in [
        "users: HTTP wait ",
        "bound by HTTP wait; source.concurrency=",
        "engine: { preset: tuned, settings: { source.concurrency: ",
    ] {
        assert!(last.contains(part), "{stderr}");
    }

    let (stderr, slow) = explained(&project, &["--set", "source.concurrency=1"]);
    let advised = change(&slow);
    assert!(advised[0].starts_with("source.concurrency="), "{slow}");
    let explanation = &slow["explanation"];
    assert_eq!(explanation["bound_by"], "http_wait");
    assert!(
        explanation["server"]["seen"]["answered"].as_u64() > Some(5),
        "{explanation}"
    );
    let parts = explanation["parts"].as_array().unwrap();
    let seconds: f64 = parts
        .iter()
        .filter_map(|part| part["seconds"].as_f64())
        .sum();
    let wall = slow["wall_seconds"].as_f64().unwrap();
    assert!((seconds / wall - 1.0).abs() < 0.02, "{explanation}");
    assert!(stderr.contains("\n  HTTP wait "), "{stderr}");

    // The block is pasted, and is not advised again.
    let file = project.path().join("pipelines.yaml");
    let text = std::fs::read_to_string(&file).unwrap();
    let (_, block) = stderr.split_once("\nengine:\n").unwrap();
    std::fs::write(&file, format!("{text}engine:\n{block}")).unwrap();
    let (_, fast) = explained(&project, &[]);
    assert_ne!(change(&fast), advised);
    let gain = wall / fast["wall_seconds"].as_f64().unwrap();
    let at_most = explanation["advice"]["gain"]["at_most"].as_f64().unwrap();
    assert!(gain > 2.0 && gain < 1.5 * at_most, "{gain}: {explanation}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_into_postgres_by_insert_and_rows_is_to_have_a_faster_way_of_either() {
    let project = Project::over(api(users(20_000)).await, USERS).await;
    let before = ["--preset", "before", "--set", "source.page_rows=1000"];
    let (stderr, report) = explained(&project, &before);
    let advised = change(&report);
    let known = ["write.method=copy-binary", "decode.path=tape"];
    assert!(
        advised.len() == 1 && known.contains(&advised[0]),
        "{stderr}"
    );
    assert!(
        stderr.contains("\nengine:\n  preset: before\n  settings:\n"),
        "{stderr}"
    );
    assert!(stderr.contains("The suite measured "), "{stderr}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_that_postgres_itself_bounds_has_no_knob() {
    let project = slow_server().await;
    let (stderr, report) = explained(&project, &[]);
    let explanation = &report["explanation"];
    assert_eq!(explanation["bound_by"], "server_cpu", "{stderr}");
    assert_eq!(explanation["advice"], Value::Null, "{stderr}");
    assert!(
        stderr.contains("no knob helps, but fewer indexes"),
        "{stderr}"
    );

    let (code, _, stderr) = project.apitap(&["--explain", "--log-json"]);
    assert_eq!(code, 0, "{stderr}");
    let events: Vec<Value> = stderr
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let explained: Vec<&Value> = events
        .iter()
        .filter(|event| event["fields"]["explanation"].is_object())
        .collect();
    assert_eq!(explained.len(), 1, "{stderr}");
    let fields = &explained[0]["fields"];
    assert_eq!(fields["module"], "users");
    assert_eq!(fields["explanation"]["bound_by"], "server_cpu");
    assert!(
        fields["message"]
            .as_str()
            .unwrap()
            .contains("no knob helps")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_that_cannot_be_looked_at_is_no_error() {
    let project = slow_server().await;
    let client = &project.fixture.client;
    let target = target(project.fixture.database.url());
    let role = format!("limited_{}", target.database);
    let password = target.password.expose();
    let limited = format!(
        "CREATE ROLE {role} LOGIN PASSWORD '{password}' CONNECTION LIMIT 1;
         GRANT ALL ON TABLE users TO {role}; GRANT ALL ON SCHEMA public TO {role};
         ALTER TABLE users OWNER TO {role}"
    );
    client.batch_execute(&limited).await.unwrap();
    let file = project.path().join("pipelines.yaml");
    let text = std::fs::read_to_string(&file).unwrap();
    let user = format!("username: {},", target.username);
    std::fs::write(&file, text.replace(&user, &format!("username: {role},"))).unwrap();
    let (stderr, report) = explained(&project, &[]);
    assert!(stderr.contains("The server was not seen: "), "{stderr}");
    let why = &report["explanation"]["server"]["not_seen"];
    assert!(
        why.as_str().unwrap().contains("too many connections"),
        "{why}"
    );
    assert_eq!(report["explanation"]["bound_by"], "send_wait");

    std::fs::write(&file, text).unwrap();
    let hidden = format!(
        "REASSIGN OWNED BY {role} TO CURRENT_USER; DROP OWNED BY {role}; DROP ROLE {role};
         ALTER DATABASE {} SET track_activities = off",
        target.database
    );
    client.batch_execute(&hidden).await.unwrap();
    let (stderr, _) = explained(&project, &[]);
    assert!(stderr.contains("track_activities is off"), "{stderr}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_into_postgres_that_is_short_or_not_observed_says_no_more_than_before() {
    let project = Project::new(USERS).await;
    let (code, _, stderr) = project.apitap(&[]);
    assert_eq!((code, stderr.lines().count()), (0, 1), "{stderr}");
    let (stderr, report) = explained(&project, &["--set", "observe=off"]);
    assert!(stderr.contains("because of observe=off"), "{stderr}");
    assert_eq!(report["explanation"], Value::Null);
    let (code, _, stderr) = project.apitap(&["--explain", "--dry-run"]);
    assert_eq!(code, 2, "{stderr}");
}
