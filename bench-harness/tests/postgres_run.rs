//! `apitap-bench run`, small, on a real server.

use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use bench_harness::{Outcome, Results, SAMPLES_FILE, Sample, Samples};
use testkit::test_database::{TestDatabase, test_database};
use tokio::process::Command;

fn apitap_bench(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_apitap-bench"));
    command.args(arguments).kill_on_drop(true);
    command
}

/// A run of `more` with few rows, on `database`, into `out`.
fn run(database: &TestDatabase, out: &Path, more: &[&str]) -> Command {
    let out = out.to_str().unwrap();
    let mut command = apitap_bench(&["run", "--postgres", database.url(), "--out", out]);
    command.args(more);
    command
}

async fn output(command: &mut Command) -> Output {
    command.output().await.unwrap()
}

fn only_folder(out: &Path) -> PathBuf {
    let mut folders = std::fs::read_dir(out).unwrap();
    let folder = folders.next().unwrap().unwrap().path();
    assert!(folders.next().is_none());
    folder
}

fn samples(folder: &Path) -> Vec<Sample> {
    Samples::read(&folder.join(SAMPLES_FILE)).unwrap().samples
}

fn results(folder: &Path) -> Results {
    let text = std::fs::read_to_string(folder.join("results.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Between them: a query with PostgreSQL's own answer, for all arms and for one; an arm of psql; arms with a
/// folder of their own; arms of different rows; rows that exist, appended to and merged into; and a relay.
const MECHANISMS: [&str; 8] = [
    "aggregate-memory",
    "ceiling-aggregate",
    "ceiling-append",
    "ceiling-merge",
    "memory-growth",
    "pipelining",
    "psql-ceiling",
    "schema-cache",
];

#[tokio::test]
async fn every_kind_of_experiment_runs_on_postgres_verified_and_reported() {
    let database = test_database().await.unwrap();
    let out = tempfile::tempdir().unwrap();
    // One block of few rows: whether everything runs, and not how fast.
    let mut command = run(&database, out.path(), &MECHANISMS);
    command.args(["--quick", "--blocks=1", "--rows=300", "--seed=7"]);
    let output = output(&mut command).await;
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));

    let folder = only_folder(out.path());
    let measured = |sample: &Sample| match &sample.outcome {
        Outcome::Measured(figures) if sample.arm == "ten times the rows" => figures.rows == 3_000,
        // Five statuses, paid or not.
        Outcome::Measured(figures) if sample.arm == "aggregate" => figures.rows == 10,
        Outcome::Measured(figures) => figures.rows == 300,
        _ => false,
    };
    // Steal may void a sample, but none may fail or be wrong.
    for sample in samples(&folder) {
        let is_void = matches!(sample.outcome, Outcome::Void { .. });
        assert!(measured(&sample) || is_void, "{sample:?}");
    }
    let results = results(&folder);
    assert_eq!(results.experiments.len(), 1 + MECHANISMS.len());
    for experiment in &results.experiments {
        assert!(
            !experiment.findings.is_empty(),
            "{}",
            experiment.definition.id
        );
    }
    // Both arms of the three experiments whose baseline is psql.
    assert_eq!(results.floors.len(), 6);
    let stdout = String::from_utf8(output.stdout).unwrap();
    for id in MECHANISMS {
        assert!(stdout.contains(id), "{stdout}");
    }
    let page = folder.join("report.html");
    assert!(
        stdout.ends_with(&format!("Report: {}\n", page.display())),
        "{stdout}"
    );

    let record = std::fs::read_to_string(folder.join("run.json")).unwrap();
    let password = url::Url::parse(database.url()).unwrap();
    assert!(!record.contains(password.password().unwrap_or("no password at all")));
}

/// What is compared where rows are appended or merged, into tables of three kinds.
const TEXT_GRID: &str = r#"
id = "tables"
title = "COPY by mode and table"
claim = "faster"
section = "test"
expected = "better"
metric = "wall_seconds"
workload = "orders"
key = ["id"]
rows = 300
baseline = { name = "insert", preset = "tuned", knobs = ["write.method=insert"] }
candidates = [{ name = "copy", preset = "tuned", knobs = ["write.method=copy-binary"] }]
vary = { rows = 300, parameters = [
    { name = "mode", values = ["append", "merge"] },
    { name = "table", values = ["plain", "primary key", "unlogged"] },
] }
"#;

#[tokio::test]
async fn a_grid_of_texts_runs_on_postgres_and_is_a_table_of_the_report() {
    let database = test_database().await.unwrap();
    let (experiments, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/experiments");
    let control = experiments.path().join("a-a.toml");
    std::fs::copy(fixtures.join("a-a.toml"), control).unwrap();
    std::fs::write(experiments.path().join("tables.toml"), TEXT_GRID).unwrap();
    let mut command = run(&database, out.path(), &["tables", "--experiments"]);
    command.arg(experiments.path());
    command.args(["--blocks=2", "--rows=300", "--no-confirmation"]);
    let output = output(&mut command).await;
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));

    let folder = only_folder(out.path());
    let results = results(&folder);
    let tables = results.experiment("tables").unwrap();
    let cells: Vec<String> = tables
        .cells()
        .map(|one| {
            let values = one.cell.iter().map(|at| at.value.to_string());
            values.collect::<Vec<_>>().join(" ")
        })
        .collect();
    let expected = ["append plain", "append primary key", "append unlogged"];
    assert_eq!(cells[..3], expected);
    assert_eq!(cells.len(), 6);
    let report = std::fs::read_to_string(folder.join("report.md")).unwrap();
    let (_, grid) = report
        .split_once("The gain by mode and by table before the load:")
        .unwrap();
    let lines: Vec<&str> = grid.trim_start().lines().take(5).collect();
    assert_eq!(
        lines[0],
        "| table before the load | mode = append | mode = merge |"
    );
    for (line, form) in lines[2..].iter().zip(["plain", "primary key", "unlogged"]) {
        assert!(line.starts_with(&format!("| {form} | ")), "{line}");
        assert_eq!(
            line.matches('×').count() + line.matches('~').count(),
            2,
            "{line}"
        );
    }
}

#[tokio::test]
async fn a_report_is_rendered_again_from_what_a_run_on_postgres_left() {
    let database = test_database().await.unwrap();
    let out = tempfile::tempdir().unwrap();
    let small = ["counter", "--scenario=before", "--blocks=2", "--rows=200"];
    let first = output(&mut run(&database, out.path(), &small)).await;
    assert_eq!(first.status.code(), Some(0), "{}", stderr(&first));
    let folder = only_folder(out.path());
    let files = ["report.html", "report.md", "results.json"].map(|name| folder.join(name));
    let read = |path: &PathBuf| std::fs::read_to_string(path).unwrap();
    let before: Vec<String> = files.iter().map(read).collect();
    for file in &files {
        std::fs::remove_file(file).unwrap();
    }
    let again = output(&mut apitap_bench(&["report", folder.to_str().unwrap()])).await;
    assert_eq!(again.status.code(), Some(0), "{}", stderr(&again));
    assert_eq!(files.iter().map(read).collect::<Vec<_>>(), before);
}

#[tokio::test]
async fn one_wrong_cell_in_postgres_is_an_error_that_names_the_sample() {
    let database = test_database().await.unwrap();
    let out = tempfile::tempdir().unwrap();
    let small = [
        "counter",
        "--scenario=counter on tuned",
        "--blocks=2",
        "--rows=500",
    ];
    let mut command = run(&database, out.path(), &small);
    let output = output(command.arg("--tamper=counter on tuned/1/1")).await;
    let stderr = stderr(&output);
    assert_eq!(output.status.code(), Some(6), "{stderr}");
    assert!(
        stderr.contains(
            "1 sample loaded wrong data; the first: counter on tuned, atomic, block 2: \
             the table holds the expected 500 rows, but their checksum is"
        ),
        "{stderr}"
    );
    let samples = samples(&only_folder(out.path()));
    let wrong = |one: &&Sample| matches!(one.outcome, Outcome::WrongData { .. });
    assert_eq!(samples.iter().filter(wrong).count(), 1);
}

#[tokio::test]
async fn an_interrupted_run_on_postgres_goes_on_where_it_was() {
    let database = test_database().await.unwrap();
    let out = tempfile::tempdir().unwrap();
    let small = [
        "counter",
        "--scenario=on tuned",
        "--blocks=4",
        "--rows=2000",
    ];
    let mut child = run(&database, out.path(), &small)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let taken = || {
        let folder = std::fs::read_dir(out.path()).ok()?.next()?.ok()?.path();
        Some(
            Samples::read(&folder.join(SAMPLES_FILE))
                .ok()?
                .samples
                .len(),
        )
    };
    // In the middle of the first scenario: after its warm-ups and some blocks.
    while taken().unwrap_or(0) < 6 {
        assert!(
            child.try_wait().unwrap().is_none(),
            "it ended before it could be interrupted"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let id = child.id().unwrap().try_into().unwrap();
    let pid = rustix::process::Pid::from_raw(id).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    assert_eq!(child.wait().await.unwrap().code(), Some(130));
    let folder = only_folder(out.path());
    let before = samples(&folder);

    let path = folder.to_str().unwrap();
    let resumed = ["run", "--resume", path, "--postgres", database.url()];
    let resumed = output(&mut apitap_bench(&resumed)).await;
    assert_eq!(resumed.status.code(), Some(0), "{}", stderr(&resumed));
    let after = samples(&folder);
    assert_eq!(after[..before.len()], before[..]);
    let results = results(&folder);
    for scenario in &results.scenarios {
        for arm in &scenario.arms {
            let void = scenario.excluded.len();
            let count = arm.wall_seconds.map_or(0, |wall| wall.count);
            assert!(count + void >= 4, "{} {}", scenario.plan.name, arm.name);
        }
    }
    let complete = |block: usize| {
        let of_block = before
            .iter()
            .filter(|one| one.scenario == "a-a on before" && one.block == block && !one.warm_up);
        of_block.count() >= 2
    };
    assert!(complete(0));
    let taken_again = after[before.len()..]
        .iter()
        .any(|one| one.scenario == "a-a on before" && one.block == 0 && !one.warm_up);
    assert!(!taken_again);
}

#[tokio::test]
async fn noise_that_was_measured_on_postgres_sets_the_thresholds_of_later_runs() {
    let database = test_database().await.unwrap();
    let out = tempfile::tempdir().unwrap();
    let file = out.path().join("calibration.json");
    let file = file.to_str().unwrap();
    let small = [
        "counter",
        "--scenario=on tuned",
        "--rows=300",
        "--postgres",
        database.url(),
    ];
    let runs = out.path().join("runs");
    let runs = runs.to_str().unwrap();
    let mut calibrate = apitap_bench(&["dev", "calibrate", "--blocks=12", "--calibration", file]);
    let output = output(calibrate.args(small).args(["--out", runs])).await;
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        stdout.contains("counter on tuned: differences of time below"),
        "{stdout}"
    );

    let runs = out.path().join("later");
    let mut later = apitap_bench(&[
        "run",
        "--blocks=2",
        "--no-confirmation",
        "--calibration",
        file,
    ]);
    let later = self::output(later.args(small).args(["--out", runs.to_str().unwrap()])).await;
    assert_eq!(later.status.code(), Some(0), "{}", stderr(&later));
    let results = results(&only_folder(&runs));
    assert!(results.calibrated_at.is_some());
    let counter = results.experiment("counter").unwrap();
    let learned = counter.findings[0].measures[0].threshold;
    assert_ne!(learned, bench_harness::UNCALIBRATED);
}

/// The server of a run is started anew after every two blocks, and blocks are added to what is not decided.
#[tokio::test]
async fn sessions_of_postgres_are_in_the_interval() {
    let out = tempfile::tempdir().unwrap();
    let mut command = apitap_bench(&["run", "counter", "--scenario=counter on tuned"]);
    command.args(["--postgres=local", "--rows=300", "--blocks=12", "--seed=7"]);
    command.args(["--until-decided", "--minutes=1", "--out"]);
    let output = output(command.arg(out.path())).await;
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let starts = stderr(&output);
    assert!(
        starts.contains("session 6 of 6, on a newly started server"),
        "{starts}"
    );

    let results = results(&only_folder(out.path()));
    assert_eq!(results.blocks_per_session.map(usize::from), Some(2));
    assert_eq!(results.looks.map(usize::from), Some(4));
    let counter = results
        .experiments
        .iter()
        .find(|one| one.definition.id == "counter");
    let finding = counter.unwrap().on(Some("tuned")).unwrap();
    let judged = finding.leading().unwrap();
    // Void samples may take a session, and added blocks make more.
    assert!(judged.sessions.unwrap().count >= 4, "{judged:?}");
    // Whatever is not decided, the control too, may have more blocks.
    let is_extended = results.scenarios.iter().any(|one| one.plan.blocks > 12);
    let was_said = starts.contains("for claims that are not decided");
    assert_eq!(is_extended, was_said, "{starts}");
}

#[tokio::test]
async fn postgres_may_have_a_core_of_its_own() {
    let status = "cat /proc/self/status && psql -Atc \"SELECT pg_read_file('/proc/self/status')\"";
    let arguments = [
        "dev",
        "with-postgres",
        "--postgres=local",
        "--server-cores=0",
    ];
    let mut command = apitap_bench(&arguments);
    let output = output(command.args(["--", "sh", "-c", status])).await;
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    let allowed = stdout
        .lines()
        .filter_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    let allowed: Vec<&str> = allowed.map(str::trim).collect();
    let [command, server] = allowed[..] else {
        panic!("{stdout} {}", stderr(&output))
    };
    assert_eq!(server, "0");
    let mut others = command.split([',', '-']);
    assert!(others.all(|core| core != "0"), "{command}");
}

#[tokio::test]
async fn an_unreachable_postgres_is_an_error_without_its_password() {
    let out = tempfile::tempdir().unwrap();
    let folder = out.path().to_str().unwrap();
    let url = "postgres://u:secret@127.0.0.1:1/d";
    let unreachable = ["run", "--quick", "--postgres", url, "--out", folder];
    let output = output(&mut apitap_bench(&unreachable)).await;
    let stderr = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(
        stderr.starts_with("error: cannot connect to postgres://u:***@127.0.0.1:1/d"),
        "{stderr}"
    );

    let output = self::output(&mut apitap_bench(&[
        "run",
        "--postgres",
        "mysql://u:secret@h",
    ]))
    .await;
    assert_eq!(output.status.code(), Some(2));
    assert!(!self::stderr(&output).contains("secret"));
}
