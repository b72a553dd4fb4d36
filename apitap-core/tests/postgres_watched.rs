//! A run as it is watched: its metrics while it goes, its trace, its logs.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::fixture::{refusing_api, slow_api};
use crate::project::{Project, USERS, users};

/// Stopped when a test fails.
struct Watched {
    child: Child,
    address: String,
}

impl Drop for Watched {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Watched {
    fn start(project: &Project, arguments: &[&str]) -> Self {
        let mut command = project.command(&["--metrics-addr", "127.0.0.1:0"]);
        let mut child = command
            .args(arguments)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stderr.as_mut().unwrap())
            .read_line(&mut line)
            .unwrap();
        let address = line
            .trim()
            .strip_prefix("metrics: http://")
            .and_then(|line| line.strip_suffix("/metrics"));
        let address = address.unwrap_or_else(|| panic!("{line}")).to_owned();
        Self { child, address }
    }

    /// Head and body of an answer.
    fn get(&self, path: &str) -> (String, String) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        write!(stream, "GET {path} HTTP/1.0\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.to_owned(), body.to_owned())
    }

    /// The metrics once `series` has a value above `floor`.
    async fn metrics_above(&self, series: &str, floor: f64) -> String {
        for _ in 0..200 {
            let (_, body) = self.get("/metrics");
            if value(&body, series).is_some_and(|value| value > floor) {
                return body;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("{series} does not grow beyond {floor}");
    }
}

fn value(metrics: &str, series: &str) -> Option<f64> {
    let mut lines = metrics.lines();
    let value = lines.find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))?;
    value.parse().ok()
}

/// What Prometheus's own checker says of an exposition.
fn promtool(metrics: &str) -> (bool, String) {
    let mut child = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool, which `scripts/setup --promtool` installs");
    child
        .stdin
        .take()
        .unwrap()
        .write_all(metrics.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_show_a_load_while_it_runs() {
    let server = slow_api(users(2_000), Duration::from_millis(100)).await;
    let project = Project::over(server, USERS).await;
    let small = [
        "--set",
        "source.page_rows=20",
        "--set",
        "source.concurrency=1",
    ];
    let mut watched = Watched::start(
        &project,
        &[&small[..], &["--set", "write.batch_rows=20"]].concat(),
    );
    let (head, _) = watched.get("/other");
    assert!(head.starts_with("HTTP/1.0 404"), "{head}");
    let read = r#"apitap_records_total{module="users",stage="read"}"#;
    let encoded = r#"apitap_records_total{module="users",stage="encoded"}"#;
    let first = watched.metrics_above(encoded, 0.0).await;
    let rows = value(&first, read).unwrap();
    let second = watched.metrics_above(read, rows).await;
    assert!(rows < 2_000.0, "{first}");
    assert!(watched.child.try_wait().unwrap().is_none());

    let at_least = |series: &str, floor: f64| {
        let value = value(&second, series).unwrap_or_else(|| panic!("no {series}:\n{second}"));
        assert!(value >= floor, "{series} is {value}");
    };
    for quantile in ["0.5", "0.95", "0.99"] {
        let of = format!(r#"{{module="users",quantile="{quantile}"}}"#);
        at_least(&format!("apitap_http_latency_seconds{of}"), 0.1);
        at_least(&format!("apitap_write_latency_seconds{of}"), 0.000_001);
    }
    let slow = r#"http_client_request_duration_seconds_bucket{module="users",le="0.075"}"#;
    assert_eq!(value(&second, slow), Some(0.0));
    at_least(
        r#"http_client_request_duration_seconds_count{module="users"}"#,
        2.0,
    );
    at_least(
        r#"db_client_operation_duration_seconds_count{module="users"}"#,
        1.0,
    );
    at_least("process_resident_memory_bytes", 1e6);
    at_least("process_peak_resident_memory_bytes", 1e6);
    at_least(
        r#"apitap_channel_send_wait_seconds_total{module="users",edge="batches"}"#,
        0.0,
    );
    at_least(
        r#"apitap_channel_receive_wait_seconds_total{module="users",edge="batches"}"#,
        0.1,
    );
    at_least(
        r#"apitap_channel_capacity{module="users",edge="batches"}"#,
        8_192.0,
    );
    at_least(
        r#"apitap_channel_depth{module="users",edge="batches"}"#,
        0.0,
    );
    at_least(
        r#"apitap_stage_cpu_seconds_total{module="users",stage="decode"}"#,
        1e-9,
    );
    at_least(r#"apitap_runs_total{module="users",outcome="failed"}"#, 0.0);

    let (head, body) = watched.get("/metrics");
    assert!(
        head.contains("content-type: text/plain; version=0.0.4"),
        "{head}"
    );
    assert_eq!(promtool(&body), (true, String::new()), "{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_and_files_that_cannot_be_had_are_wrong_usage() {
    let project = Project::new(USERS).await;
    for arguments in [
        ["--metrics-addr", "192.0.2.1:1"],
        ["--trace", "no/such/folder/trace.json"],
        ["--report", "no/such/folder/report.json"],
        ["--report", "sql"],
    ] {
        let (code, stdout, stderr) = project.apitap(&arguments);
        assert_eq!((code, stdout.as_str()), (2, ""), "{stderr}");
        assert!(stderr.starts_with("error: cannot "), "{stderr}");
    }
    assert!(!project.fixture.exists("users").await);
    let (code, _, stderr) = project.apitap(&["--trace", "/dev/full"]);
    // A caller that sees a failure would load again.
    assert_eq!(code, 0, "{stderr}");
    assert!(stderr.contains("5 rows into"), "{stderr}");
    assert!(
        stderr.contains("warning: the trace is not complete"),
        "{stderr}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_has_work_on_threads_and_waits_as_bars() {
    let project = Project::new(USERS).await;
    let arguments = ["--trace", "trace.json", "--set", "source.page_rows=2"];
    let (code, _, stderr) = project.apitap(&arguments);
    assert_eq!(code, 0, "{stderr}");
    let trace = std::fs::read(project.path().join("trace.json")).unwrap();
    let trace: Value = serde_json::from_slice(&trace).unwrap();
    let events = trace["traceEvents"].as_array().unwrap();

    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    let mut stacks: BTreeMap<u64, Vec<&str>> = BTreeMap::new();
    let mut open: BTreeMap<u64, &str> = BTreeMap::new();
    let mut pages = Vec::new();
    for event in events {
        let name = event["name"].as_str().unwrap();
        let stack = stacks
            .entry(event["tid"].as_u64().unwrap_or(0))
            .or_default();
        let id = event["id"].as_u64();
        match event["ph"].as_str().unwrap() {
            "M" => continue,
            "B" => {
                if name == "decode" {
                    assert!(stack.contains(&"sql"), "decode within {stack:?}");
                }
                stack.push(name);
            }
            "E" => assert_eq!(stack.pop(), Some(name)),
            "b" => {
                assert_eq!(open.insert(id.unwrap(), name), None);
                let args = &event["args"];
                if name != "source" && name != "run" {
                    assert_eq!(args["module"], "users", "{event}");
                }
                if name == "page" {
                    assert_eq!(args["source"], "users");
                    pages.push(args["page"].as_u64().unwrap());
                }
            }
            "e" => assert_eq!(open.remove(&id.unwrap()), Some(name)),
            other => panic!("{other}: {event}"),
        }
        *kinds.entry(name).or_default() += 1;
    }
    assert!(stacks.values().all(Vec::is_empty), "{stacks:?}");
    assert!(open.is_empty(), "{open:?}");
    assert!(pages.starts_with(&[1, 2, 3]), "{pages:?}");
    for kind in [
        "run", "source", "page", "fetch", "scan", "decode", "infer", "sql", "encode", "send",
        "write",
    ] {
        assert!(kinds.contains_key(kind), "{kind} is not among {kinds:?}");
    }
    assert!(
        !stderr.contains("DEBUG") && !stderr.contains("INFO"),
        "{stderr}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn log_events_say_in_which_run_source_and_page() {
    let project = Project::over(refusing_api(users(5)).await, USERS).await;
    let (code, _, stderr) = project.apitap(&["--log-json", "--log-level", "debug"]);
    assert_eq!(code, 0, "{stderr}");
    let events: Vec<Value> = stderr
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    let saying = |text: &str| {
        let says = |event: &&Value| {
            let message = event["fields"]["message"].as_str();
            message.is_some_and(|message| message.starts_with(text))
        };
        events
            .iter()
            .find(says)
            .unwrap_or_else(|| panic!("{stderr}"))
    };
    let spans = &saying("request failed")["spans"];
    let span = |name: &str| {
        let spans = spans.as_array().unwrap();
        spans.iter().find(|span| span["name"] == name).unwrap()
    };
    assert_eq!(span("run")["module"], "users");
    assert_eq!(span("source")["source"], "users");
    assert_eq!(span("page")["page"], 1);
    let committed = saying("the load is committed");
    assert_eq!(committed["span"]["module"], "users");
    assert_eq!(committed["fields"]["rows_written"], 5);
}
