//! `apitap-bench compare --arm`: commands of any kind, on a real server.

use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::Value;
use tempfile::TempDir;
use testkit::test_database::test_database;
use tokio::process::Command;

const PROGRAM: &str = env!("CARGO_BIN_EXE_apitap-bench");

/// A workload whose rows psql can make itself.
const NUMBERS: &str = r#"
name = "numbers"
description = "1, 2, 3 and so on"
seed = 1
escapes = "minimal"
columns = [{ name = "id", generate = "sequence" }]
"#;

const CREATE: &str = r#"psql -qc "CREATE TABLE $APITAP_TABLE (id bigint)""#;
const INSERT: &str =
    r#"psql -qc "INSERT INTO $APITAP_TABLE SELECT generate_series(1, $APITAP_ROWS)""#;
const COPY: &str = r#"seq 1 "$APITAP_ROWS" | psql -qc "\copy $APITAP_TABLE FROM pstdin""#;

/// A folder with the workload, in which the commands run.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("numbers.toml"), NUMBERS).unwrap();
    folder
}

/// Compares `arms`, given by name and command, in `folder`.
fn compare(folder: &Path, arms: &[(&str, &str)], more: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(["compare", "--out=runs", "--seed=7"]);
    for (name, arm) in arms {
        command.arg("--arm").arg(format!("{name}={arm}"));
    }
    command.args(more).current_dir(folder).kill_on_drop(true);
    command
}

/// The same with the workload of numbers, a table that is there, and a server for a test.
async fn numbers(folder: &Path, arms: &[(&str, &str)], more: &[&str]) -> Output {
    let database = test_database().await.unwrap();
    let mut command = compare(folder, arms, &["--workload=numbers.toml", "--rows=500"]);
    let command = command.args(["--prepare", CREATE, "--postgres", database.url()]);
    command.args(more).output().await.unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn only_run(folder: &Path) -> PathBuf {
    let mut runs = std::fs::read_dir(folder.join("runs")).unwrap();
    let run = runs.next().unwrap().unwrap().path();
    assert!(runs.next().is_none());
    run
}

#[tokio::test]
async fn two_commands_are_compared_on_postgres_and_verified() {
    let folder = folder();
    let arms = [("insert", INSERT), ("copy", COPY)];
    let output = numbers(folder.path(), &arms, &["--blocks=2", "--note=psql 15"]).await;
    let (stdout, stderr) = (stdout(&output), stderr(&output));
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    for part in [
        "500 rows of numbers.toml, loaded by 2 commands",
        "Time ÷ insert",
        "insert",
        "copy",
        "too few blocks",
        "compare.md",
    ] {
        assert!(stdout.contains(part), "{part}: {stdout}");
    }
    let run = only_run(folder.path());
    let lines = std::fs::read_to_string(run.join("samples.ndjson")).unwrap();
    assert!(lines.lines().count() >= 6, "{lines}");
    let samples = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    for sample in samples.collect::<Vec<Value>>() {
        let outcome = &sample["outcome"];
        // The host may void one, but none may fail or be wrong.
        assert!(
            outcome["measured"]["rows"] == 500 || outcome["void"].is_object(),
            "{sample}"
        );
    }
    // The report is computed again from the samples.
    let markdown = std::fs::read_to_string(run.join("compare.md")).unwrap();
    assert!(
        markdown.contains("psql 15") && markdown.contains(r"\copy"),
        "{markdown}"
    );
    std::fs::remove_file(run.join("compare.md")).unwrap();
    let again = Command::new(PROGRAM).arg("report").arg(&run).output();
    assert_eq!(again.await.unwrap().status.code(), Some(0));
    assert_eq!(
        std::fs::read_to_string(run.join("compare.md")).unwrap(),
        markdown
    );
}

#[tokio::test]
async fn the_server_is_started_anew_and_intervals_are_over_postgres_sessions() {
    let folder = folder();
    let more = [
        "--workload=numbers.toml",
        "--rows=500",
        "--blocks=8",
        "--json",
    ];
    let mut command = compare(folder.path(), &[("insert", INSERT), ("copy", COPY)], &more);
    command.args(["--prepare", CREATE, "--postgres=local"]);
    let output = command.output().await.unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let results: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(results["record"]["blocks_per_session"], 2);
    let compared = &results["arms"][1]["time_against_first"];
    // The host may void a block, and a session with it.
    assert!(
        compared["sessions"]["count"] == 4 || results["void_blocks"] != 0,
        "{results:#}"
    );
    for figure in ["cpu_seconds", "server_cpu_seconds", "rows_per_second"] {
        assert!(
            results["arms"][0][figure].is_number(),
            "{figure}: {results:#}"
        );
    }
}

#[tokio::test]
async fn a_wrong_cell_is_named_and_nothing_is_measured_on_postgres() {
    let folder = folder();
    let wrong = format!(r#"{INSERT} && psql -qc "UPDATE numbers SET id = 0 WHERE id = 77""#);
    let arms = [("right", INSERT), ("off-by-one", &wrong)];
    let output = numbers(folder.path(), &arms, &["--blocks=2"]).await;
    let stderr = stderr(&output);
    assert_eq!(output.status.code(), Some(6), "{stderr}");
    let said = "off-by-one loaded wrong data in its warm-up: the table holds the expected 500 rows, \
                but their checksum is";
    assert!(
        stderr.contains(said) && stderr.contains("--empty-as-null"),
        "{stderr}"
    );
    assert_eq!(stdout(&output), "");

    let lacking = r#"psql -qc "INSERT INTO $APITAP_TABLE VALUES (1)""#;
    let elsewhere = r#"psql -qc "ALTER TABLE $APITAP_TABLE RENAME TO other""#;
    for (arm, part) in [
        (lacking, "the table holds 1 rows instead of 500"),
        (elsewhere, "\"numbers\" does not exist"),
    ] {
        let output = numbers(folder.path(), &[("right", INSERT), ("wrong", arm)], &[]).await;
        assert_eq!(output.status.code(), Some(6));
        assert!(
            self::stderr(&output).contains(part),
            "{}",
            self::stderr(&output)
        );
    }
}

#[tokio::test]
async fn a_command_that_fails_on_postgres_shows_its_last_lines() {
    let folder = folder();
    let failing =
        r#"for n in $(seq 30); do echo "line $n."; done; echo "got $PGPASSWORD" >&2; exit 3"#;
    let arms = [("right", INSERT), ("failing", failing)];
    let output = numbers(folder.path(), &arms, &["--blocks=2"]).await;
    let stderr = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(
        stderr.contains("failing failed in its warm-up: exit status: 3; the last that it said:"),
        "{stderr}"
    );
    assert!(
        stderr.contains("  line 12.\n") && stderr.contains("  got ***\n"),
        "{stderr}"
    );
    assert!(!stderr.contains("line 11."), "{stderr}");
    assert!(stderr.contains("compare --help"), "{stderr}");

    let hanging = [("right", INSERT), ("hanging", "sleep 60")];
    let output = numbers(folder.path(), &hanging, &["--timeout=1"]).await;
    let stderr = self::stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(
        stderr.contains("did not end within 1s, and it said nothing"),
        "{stderr}"
    );
}

#[tokio::test]
async fn a_failure_in_a_block_is_counted_beside_what_postgres_took() {
    let folder = folder();
    // The second run of the warm-up and two blocks fails.
    let second = format!("echo >>runs-of-it; [ $(wc -l <runs-of-it) != 2 ] && {INSERT}");
    let arms = [("right", INSERT), ("second", &second)];
    let output = numbers(folder.path(), &arms, &["--blocks=2"]).await;
    let stdout = stdout(&output);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(
        stdout.contains("1 sample failed; the first, of second in block 1"),
        "{stdout}"
    );
}

#[tokio::test]
async fn the_environment_has_the_api_and_the_postgres_database() {
    let folder = folder();
    let seen = format!(r#"env >"$APITAP_ARM.env"; {INSERT}"#);
    let output = numbers(
        folder.path(),
        &[("seen", &seen), ("copy", COPY)],
        &["--blocks=1"],
    )
    .await;
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let environment = std::fs::read_to_string(folder.path().join("seen.env")).unwrap();
    let lines: Vec<&str> = environment.lines().collect();
    for line in [
        "APITAP_ARM=seen",
        "APITAP_ROWS=500",
        "APITAP_PAGE_ROWS=1000",
        "APITAP_TABLE=numbers",
    ] {
        assert!(lines.contains(&line), "{line}: {environment}");
    }
    for start in [
        "APITAP_API_URL=http://127.0.0.1:",
        "APITAP_DATABASE_URL=postgres",
        "PGHOST=",
        "PGPORT=",
        "PGUSER=",
        "PGDATABASE=apitap_compare_",
    ] {
        let is_there = lines.iter().any(|line| line.starts_with(start));
        assert!(is_there, "{start}: {environment}");
    }
}

/// As the help has it.
const PIPELINES: &str = r#"
sources:
  - name: orders
    url: ${APITAP_API_URL}
    pagination: { kind: page_number, page_param: page, per_page_param: per_page }
targets:
  - name: warehouse
    type: postgres
    host: ${PGHOST}
    port: ${PGPORT}
    database: ${PGDATABASE}
    auth: { username_env: PGUSER, password_env: PGPASSWORD }
"#;

#[tokio::test]
async fn a_pipeline_is_an_arm_and_postgres_sees_what_differs() {
    let database = test_database().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let module = "{{ sink(name=\"warehouse\", table=\"orders\") }}\n\
                  SELECT * FROM {{ use_source(\"orders\") }}\n";
    std::fs::create_dir(folder.path().join("sql")).unwrap();
    std::fs::write(folder.path().join("sql/orders.sql"), module).unwrap();
    std::fs::write(folder.path().join("pipelines.yaml"), PIPELINES).unwrap();
    let apitap = Path::new(PROGRAM).with_file_name("apitap");
    let apitap = format!("{} -m sql -y pipelines.yaml", apitap.display());
    let alter = r#"psql -qc "ALTER TABLE orders ALTER status TYPE varchar, ADD loaded_at date""#;
    let altered =
        format!("{apitap} && {alter} && psql -qc \"UPDATE orders SET note = nullif(note, '')\"");
    let arms = [("apitap", apitap.as_str()), ("altered", &altered)];
    let more = [
        "--rows=2000",
        "--blocks=1",
        "--empty-as-null=altered",
        "--json",
    ];
    let mut command = compare(folder.path(), &arms, &more);
    let output = command
        .args(["--postgres", database.url()])
        .output()
        .await
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let results: Value = serde_json::from_slice(&output.stdout).unwrap();
    let arms = &results["record"]["arms"];
    assert_eq!(arms[0]["differences"], Value::Array(Vec::new()));
    let differences: Vec<String> = serde_json::from_value(arms[1]["differences"].clone()).unwrap();
    assert_eq!(
        differences,
        ["text as character varying", "more columns: loaded_at"]
    );
    let memory = results["arms"][0]["peak_memory_bytes"].as_u64().unwrap();
    assert!(memory > 10_000_000, "{memory}");
}

#[tokio::test]
async fn stored_runs_and_commands_are_not_mixed() {
    let folder = folder();
    for (arguments, part) in [
        (&["a", "b", "--arm=x", "--arm=y"][..], "cannot be used with"),
        (&["a", "b", "--rows=5"], "cannot be used with"),
        (&["a", "b", "--postgres=local"], "cannot be used with"),
        (&["a"], "<RUN_B>"),
        (&[], "--arm"),
        (&["--rows=5"], "--arm"),
        (&["--arm=x"], "two or more"),
        (&["--arm=a=x", "--arm=a=y"], "two are called a"),
        (
            &["--arm=x", "--arm=y", "--empty-as-null=z"],
            "no arm is called z",
        ),
        (&["--arm=x", "--arm=y", "--workload=nothing"], "nothing"),
    ] {
        let mut command = Command::new(PROGRAM);
        command
            .arg("compare")
            .args(arguments)
            .current_dir(folder.path());
        let output = command.output().await.unwrap();
        let stderr = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {stderr}");
        assert!(stderr.contains(part), "{arguments:?}: {stderr}");
    }
}
