//! `apitap-bench faults`: every fault once, and programs that must not pass.
//!
//! It starts servers of its own, because it kills some. So `scripts/test --docker` leaves these tests out.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

fn faults(arguments: &[&str]) -> Output {
    let output = Command::new(env!("CARGO_BIN_EXE_apitap-bench"))
        .arg("faults")
        .args(arguments)
        .output();
    output.unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Every fault of a group meets a method and a mode.
fn all_pass(group: &str) {
    let output = faults(&["--group", group]);
    assert!(output.status.success(), "{}", text(&output.stdout));
}

#[test]
fn nothing_is_lost_by_faults_of_the_apis_connections() {
    all_pass("api-connection");
}

#[test]
fn nothing_is_lost_by_faults_of_the_apis_answers() {
    all_pass("api-answer");
}

#[test]
fn nothing_is_lost_by_faults_of_the_apis_data() {
    all_pass("api-data");
}

#[test]
fn nothing_is_lost_by_faults_of_the_database() {
    all_pass("postgres");
}

#[test]
fn nothing_is_lost_by_faults_of_the_process() {
    all_pass("process");
}

#[test]
fn every_fault_is_in_a_group_that_is_tested() {
    let count = |arguments: &[&str]| text(&faults(arguments).stdout).lines().count();
    let groups = [
        "api-connection",
        "api-answer",
        "api-data",
        "postgres",
        "process",
    ];
    let tested: usize = groups
        .iter()
        .map(|group| count(&["--list", "--group", group]))
        .sum();
    assert_eq!(tested, count(&["--list"]));
    assert!(tested > 40, "{tested}");
}

/// A script in the place of `apitap`, with `psql` at the database of the pipeline file.
fn impostor(folder: &Path, script: &str) -> PathBuf {
    let path = folder.join("apitap");
    let head = r#"#!/bin/sh
value() { sed -n "s/^ *$1: *//p" pipelines.yaml | tail -n 1; }
auth=$(value auth)
export PGHOST=$(value host) PGPORT=$(value port) PGDATABASE=$(value database)
export PGUSER=$(echo "$auth" | sed 's/.*username: \([^,]*\),.*/\1/') PGPASSWORD=$(echo "$auth" | sed 's/.*password: "\(.*\)".*/\1/')
sql() { psql -q -v ON_ERROR_STOP=1 -c "$1" >&2; }
"#;
    fs::write(&path, format!("{head}{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

/// What is found wrong with an impostor, whose message for page 7 is right.
fn wrong(script: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let program = impostor(folder.path(), script);
    let cell = [
        "--exact", "api-500", "--full", "--method", "insert", "--mode", "append",
    ];
    let more = [
        "--connections",
        "1",
        "--json",
        "--apitap",
        program.to_str().unwrap(),
    ];
    let output = faults(&[&cell[..], &more].concat());
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    let cells: Value = serde_json::from_slice(&output.stdout).unwrap();
    let wrong = cells[0]["wrong"].as_array().unwrap();
    let wrong: Vec<&str> = wrong.iter().map(|one| one.as_str().unwrap()).collect();
    wrong.join("\n")
}

const FAILS: &str = "echo 'error: source items, page 7: 500' >&2; exit 1";
const HALF: &str = "sql \"CREATE TABLE IF NOT EXISTS items (id bigint, name text, amount float8, created timestamptz, extra jsonb); \
                    INSERT INTO items (id) SELECT generate_series(26, 300)\"";

#[test]
fn a_program_that_loads_half_of_the_rows_does_not_pass() {
    let ends_well = wrong(&format!("{HALF}; exit 0"));
    assert!(
        ends_well.contains("neither as before nor complete: there are"),
        "{ends_well}"
    );
    assert!(ends_well.contains("exit code 0"), "{ends_well}");
    let fails = wrong(&format!("{HALF}; {FAILS}"));
    assert!(
        fails.contains("neither as before nor complete: there are"),
        "{fails}"
    );
}

#[test]
fn a_program_that_does_nothing_does_not_pass() {
    let fails = wrong(FAILS);
    assert!(!fails.contains("does not name"), "{fails}");
    assert!(
        fails.contains("the run after it: it ended with exit code 1"),
        "{fails}"
    );
    let mute = wrong("exit 0");
    assert!(mute.contains("it ended with exit code 0"), "{mute}");
    assert!(
        mute.contains("the message does not name `page 7`"),
        "{mute}"
    );
    assert!(mute.contains("the run after it: there are"), "{mute}");
}

#[test]
fn a_program_that_leaves_something_behind_does_not_pass() {
    let table = wrong(&format!(
        "sql 'CREATE TABLE IF NOT EXISTS _apitap_1 ()'; {FAILS}"
    ));
    assert!(
        table.contains("tables of the engine are left: _apitap_1"),
        "{table}"
    );
    let session = "setsid psql -c 'SELECT pg_advisory_lock(1), pg_sleep(60)' >/dev/null 2>&1 &
until psql -Atc \"SELECT 'held' FROM pg_locks WHERE locktype = 'advisory'\" | grep -q held; do sleep 0.1; done;";
    let session = wrong(&format!("{session} {FAILS}"));
    for part in [
        "sessions of the load are left: 1",
        "advisory locks are left: 1",
    ] {
        assert!(session.contains(part), "{session}");
    }
}

#[test]
fn a_program_that_tells_secrets_does_not_pass() {
    let told = wrong(&format!(
        "echo \"$PGPASSWORD\" >report.json; cat pipelines.yaml; {FAILS}"
    ));
    assert!(told.contains("the API's token is in its log"), "{told}");
    assert!(
        told.contains("the database's password is in report.json"),
        "{told}"
    );
}
