//! A load that is interrupted: the table stays, nothing stays behind, and the next run completes once.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::fixture::held_api;
use crate::project::{Project, USERS, users};

/// After this, what is awaited will not come.
const PATIENCE: Duration = Duration::from_secs(60);

/// The backends of this database's loads; those that load, if `loading`.
const BACKENDS: &str = "SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'apitap'";
const LOADING: &str = "SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'apitap'
      AND (query LIKE 'COPY %' OR query LIKE 'INSERT %')";
const OWN_TABLES: &str = "SELECT count(*) FROM pg_class WHERE relname LIKE '\\_apitap%'";
const LOCKS: &str = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";

/// Killed when a test fails.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    fn send(&self, signal: Signal) {
        let pid = Pid::from_raw(self.0.id().try_into().unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// The exit code, none after a signal, and what was on standard error.
    async fn ended(&mut self) -> (Option<i32>, String) {
        let since = Instant::now();
        let status = loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                break status;
            }
            assert!(since.elapsed() < PATIENCE, "it does not end");
            tokio::time::sleep(Duration::from_millis(10)).await;
        };
        let mut stderr = String::new();
        self.0
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut stderr)
            .unwrap();
        (status.code(), stderr)
    }
}

/// A project whose API holds the third page back, and a table of one row.
struct Held {
    project: Project,
    open: Arc<AtomicBool>,
    settings: Vec<String>,
}

impl Held {
    async fn new(mode: &str, connections: usize, method: &str) -> Self {
        let open = Arc::new(AtomicBool::new(false));
        let server = held_api(users(5), 2, open.clone()).await;
        let sink = format!("\"pg\", mode=\"{mode}\", key=[\"id\"]");
        let project = Project::over(server, &USERS.replace("\"pg\"", &sink)).await;
        let table = "CREATE TABLE users (id bigint PRIMARY KEY, \"userName\" text);
                     INSERT INTO users VALUES (0, 'old')";
        project.fixture.client.batch_execute(table).await.unwrap();
        let settings = [
            "source.page_rows=1".to_owned(),
            "source.concurrency=1".to_owned(),
            "infer.sample_rows=1".to_owned(),
            "decode.batch_rows=1".to_owned(),
            "transform.batch_rows=1".to_owned(),
            "write.batch_rows=1".to_owned(),
            format!("write.connections={connections}"),
            format!("write.method={method}"),
        ];
        Self {
            project,
            open,
            settings: settings
                .into_iter()
                .flat_map(|it| ["--set".to_owned(), it])
                .collect(),
        }
    }

    fn start(&self, arguments: &[&str]) -> Running {
        let mut command = self.project.command(arguments);
        command.args(&self.settings).stderr(Stdio::piped());
        Running(command.spawn().unwrap())
    }

    async fn count(&self, query: &str) -> i64 {
        self.project
            .fixture
            .client
            .query_one(query, &[])
            .await
            .unwrap()
            .get(0)
    }

    async fn until(&self, query: &str, wanted: impl Fn(i64) -> bool) {
        let since = Instant::now();
        while !wanted(self.count(query).await) {
            assert!(since.elapsed() < PATIENCE, "{query}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn rows(&self) -> usize {
        self.project
            .fixture
            .rows("users")
            .await
            .as_array()
            .unwrap()
            .len()
    }

    fn report(&self) -> Value {
        let text = std::fs::read(self.project.path().join("report.json")).unwrap();
        serde_json::from_slice(&text).unwrap()
    }

    /// Nothing of the load is left, and another one completes.
    async fn completes(&self, rows: usize) {
        self.open.store(true, SeqCst);
        let (code, stderr) = self.start(&[]).ended().await;
        assert_eq!(code, Some(0), "{stderr}");
        assert_eq!(self.rows().await, rows);
        self.until(BACKENDS, |count| count == 0).await;
        for left in [OWN_TABLES, LOCKS] {
            assert_eq!(self.count(left).await, 0, "{left}");
        }
    }
}

const LOADS: [(&str, usize, &str, usize); 6] = [
    ("append", 1, "copy-binary", 6),
    ("append", 2, "copy-binary", 6),
    ("append", 2, "insert", 6),
    ("replace", 1, "copy-binary", 5),
    ("replace", 2, "unnest", 5),
    ("merge", 1, "prepared", 6),
];

async fn is_rolled_back_after(signal: Signal, name: &str, code: i32) {
    for (mode, connections, method, rows) in LOADS {
        let held = Held::new(mode, connections, method).await;
        held.project.add("zebra", USERS, "");
        let mut run = held.start(&["--report", "report.json", "--trace", "trace.json"]);
        held.until(LOADING, |count| count > 0).await;
        run.send(signal);
        let (ended, stderr) = run.ended().await;
        let load = format!("{mode} {connections} {method}: {stderr}");
        assert_eq!(ended, Some(code), "{load}");
        assert!(stderr.contains(&format!("warning: {name}: ")), "{load}");
        assert!(
            stderr.contains("interrupted; table \"users\" is as it was"),
            "{load}"
        );
        assert_eq!(held.rows().await, 1, "{load}");
        assert_eq!(held.count(OWN_TABLES).await, 0, "{load}");
        held.until(BACKENDS, |count| count == 0).await;
        assert_eq!(held.count(LOCKS).await, 0, "{load}");
        let report = held.report();
        assert_eq!(report[0]["error"]["kind"], "cancelled", "{report}");
        assert_eq!(report[1]["outcome"], "not_run", "{report}");
        let trace = std::fs::read(held.project.path().join("trace.json")).unwrap();
        serde_json::from_slice::<Value>(&trace).unwrap();
        std::fs::remove_file(held.project.path().join("sql/zebra.sql")).unwrap();
        held.completes(rows).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_is_as_it_was_after_sigint() {
    is_rolled_back_after(Signal::INT, "SIGINT", 130).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_is_as_it_was_after_sigterm() {
    is_rolled_back_after(Signal::TERM, "SIGTERM", 143).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_is_as_it_was_after_sigkill() {
    for (mode, connections, method, rows) in LOADS {
        let held = Held::new(mode, connections, method).await;
        let mut run = held.start(&[]);
        held.until(LOADING, |count| count > 0).await;
        run.send(Signal::KILL);
        let (code, stderr) = run.ended().await;
        assert_eq!(code, None, "{stderr}");
        assert_eq!(held.rows().await, 1, "{mode} {connections} {method}");
        held.until(BACKENDS, |count| count == 0).await;
        held.completes(rows).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_statement_under_way_is_cancelled() {
    let held = Held::new("replace", 2, "copy-binary").await;
    held.open.store(true, SeqCst);
    // The swap waits for it.
    let reader = crate::fixture::connect(held.project.fixture.database.url()).await;
    reader
        .batch_execute("BEGIN; SELECT * FROM users")
        .await
        .unwrap();
    let mut run = held.start(&[]);
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
        AND application_name = 'apitap' AND wait_event_type = 'Lock'";
    held.until(waiting, |count| count > 0).await;
    run.send(Signal::TERM);
    let (code, stderr) = run.ended().await;
    assert_eq!(code, Some(143), "{stderr}");
    assert_eq!(held.count(OWN_TABLES).await, 0);
    reader.batch_execute("ROLLBACK").await.unwrap();
    assert_eq!(held.rows().await, 1);
    held.completes(5).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_that_is_silent_is_left_by_a_second_signal() {
    let held = Held::new("append", 1, "insert").await;
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let file = held.project.path().join("pipelines.yaml");
    let text = std::fs::read_to_string(&file).unwrap();
    let port = text
        .lines()
        .find(|line| line.starts_with("  port: "))
        .unwrap();
    let other = format!("  port: {}", silent.local_addr().unwrap().port());
    std::fs::write(&file, text.replace(port, &other)).unwrap();
    let mut run = held.start(&[]);
    let _connection = silent.accept().await.unwrap();
    run.send(Signal::TERM);
    let mut stderr = BufReader::new(run.0.stderr.take().unwrap());
    let mut line = String::new();
    stderr.read_line(&mut line).unwrap();
    assert!(line.starts_with("warning: SIGTERM"), "{line}");
    run.send(Signal::INT);
    run.0.stderr = Some(stderr.into_inner());
    // Had it not been heard, the code would be that of the first.
    assert_eq!(run.ended().await.0, Some(130));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_that_waits_ends_with_a_signal_after_postgres_is_loaded() {
    let held = Held::new("append", 1, "insert").await;
    held.open.store(true, SeqCst);
    let path = held.project.path().join("sql/users.sql");
    let sql = std::fs::read_to_string(&path).unwrap();
    // On New Year's Eve.
    std::fs::write(&path, format!("{{{{ schedule(\"0 0 0 31 12 *\") }}}}{sql}")).unwrap();
    let mut run = held.start(&["--schedule", "--report", "report.json"]);
    held.until("SELECT count(*) FROM users", |count| count == 6)
        .await;
    held.until(BACKENDS, |count| count == 0).await;
    run.send(Signal::TERM);
    let (code, stderr) = run.ended().await;
    assert_eq!(code, Some(143), "{stderr}");
    assert_eq!(held.report()[0]["outcome"], "succeeded", "{stderr}");
}
