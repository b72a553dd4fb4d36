//! `apitap-bench tune`, for seconds, on a real server.

use std::path::Path;
use std::process::{Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use apitap_core::pipeline_file::PipelineFile;
use tempfile::TempDir;
use testkit::mock_api::{MockApiOptions, MockApiProcess};
use testkit::postgres::connect;
use testkit::test_database::{TestDatabase, test_database};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio_postgres::Client;
use url::Url;

const PROGRAM: &str = env!("CARGO_BIN_EXE_apitap-bench");

fn tune(arguments: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.arg("tune").args(arguments).kill_on_drop(true);
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The settings of a block `engine` for `pipelines.yaml`.
fn settings(yaml: &str) -> Vec<String> {
    let file = PipelineFile::parse(yaml, &|_| None, chrono::NaiveDate::MIN).unwrap();
    assert_eq!(file.preset.as_deref(), Some("tuned"), "{yaml}");
    file.settings
}

#[tokio::test]
async fn a_workload_is_tuned_on_postgres_within_its_time() {
    let database = test_database().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("engine.yaml");
    let begun = std::time::Instant::now();
    let output = tune(&["--workload", "orders", "--rows=600", "--minutes=0.6"])
        .args(["--latency-ms=10", "--api-page-rows=20", "--seed=3"])
        .args(["--postgres", database.url(), "--out", out.to_str().unwrap()])
        .output()
        .await
        .unwrap();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    // A busy machine may take long to start and end.
    assert!(begun.elapsed() < Duration::from_secs(90));
    assert!(
        stdout.starts_with("orders, 600 rows, 10.0 ms to the API, pages of at most 20 rows: "),
        "{stdout}"
    );
    // 30 pages of 20 rows, and one to make sure.
    assert!(stdout.contains("sends 3"), "{stdout}");
    assert!(!stdout.contains("source.page_rows"), "{stdout}");
    assert!(
        stderr.contains("source.concurrency: 1, 2, 8, 16, 32 beside 4"),
        "{stderr}"
    );
    assert!(
        stderr.contains("seed 3\n") && stderr.contains(" left)"),
        "{stderr}"
    );
    let (_, block) = stdout.split_once("\nengine:\n").unwrap();
    let written = std::fs::read_to_string(&out).unwrap();
    assert_eq!(format!("engine:\n{block}"), written);
    settings(&written);
    assert!(
        ["\nUse ", "\nKeep what you have ("]
            .iter()
            .any(|part| stdout.contains(part)),
        "{stdout}"
    );
    let password = Url::parse(database.url()).unwrap();
    let password = password.password().unwrap_or("no password at all");
    assert!(!stdout.contains(password) && !stderr.contains(password));
}

/// A pipeline of one module that appends to `public.mine`, a table with a row of the user's.
struct Project {
    folder: TempDir,
    database: TestDatabase,
    client: Client,
    before: String,
}

impl Project {
    async fn new(api_url: &str, pagination: &str) -> Self {
        let database = test_database().await.unwrap();
        let client = connect(database.url()).await.unwrap();
        let mine =
            "CREATE TABLE public.mine (id bigint, note text); INSERT INTO mine VALUES (-1, 'kept')";
        client.batch_execute(mine).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let url = Url::parse(database.url()).unwrap();
        let yaml = format!(
            "sources:\n\
             - {{name: items, url: \"{api_url}\"{pagination}}}\n\
             targets:\n\
             - type: postgres\n\
             \x20 name: warehouse\n\
             \x20 host: {}\n\
             \x20 port: {}\n\
             \x20 database: {}\n\
             \x20 sslmode: disable\n\
             \x20 auth: {{username: {}, password: \"${{TUNED_PASSWORD}}\"}}\n\
             engine: {{settings: {{infer.sample_rows: 50}}}}\n",
            url.host_str().unwrap(),
            url.port().unwrap_or(5432),
            url.path().trim_start_matches('/'),
            url.username(),
        );
        let module = "{{ sink(name=\"warehouse\", table=\"public.mine\", mode=\"append\") }}\n\
                      SELECT * FROM {{ use_source(\"items\") }}\n";
        std::fs::write(folder.path().join("pipelines.yaml"), yaml).unwrap();
        std::fs::create_dir(folder.path().join("sql")).unwrap();
        std::fs::write(folder.path().join("sql/items.sql"), module).unwrap();
        let before = tables(&client).await;
        Self {
            folder,
            database,
            client,
            before,
        }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Tunes it, with the password in the environment.
    fn tune(&self, minutes: &str) -> Command {
        let url = Url::parse(self.database.url()).unwrap();
        let mut command = tune(&["-m", "sql", "-y", "pipelines.yaml", "--minutes", minutes]);
        command
            .current_dir(self.path())
            .env("TUNED_PASSWORD", url.password().unwrap_or_default());
        command
    }

    async fn is_untouched(&self) -> bool {
        tables(&self.client).await == self.before
    }
}

/// Every table with its file, and the rows of the user's: a table that was written or replaced has another
/// file or other rows.
async fn tables(client: &Client) -> String {
    let files = "SELECT string_agg(format('%s %s', oid::regclass, pg_relation_filenode(oid)), chr(10) ORDER BY oid) \
                 FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace";
    let rows = "SELECT string_agg(format('%s %s %s', ctid, xmin, mine), chr(10)) FROM mine";
    let mut all = Vec::new();
    for query in [files, rows] {
        let row = client.query_one(query, &[]).await.unwrap();
        all.push(row.get::<_, String>(0));
    }
    all.join("\n")
}

async fn orders(rows: u64) -> MockApiProcess {
    let options = MockApiOptions::new("orders", rows);
    MockApiProcess::start_with(Path::new(PROGRAM), &options)
        .await
        .unwrap()
}

const NUMBERED: &str =
    ", pagination: {kind: page_number, page_param: page, per_page_param: per_page}";

#[tokio::test]
async fn a_pipeline_is_tuned_beside_its_table_in_postgres() {
    let api = orders(3_000).await;
    let project = Project::new(api.url(), NUMBERED).await;
    let output: Output = project.tune("0.2").output().await.unwrap();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    assert!(
        stdout.starts_with("module items into \"public\".\"mine\": "),
        "{stdout}"
    );
    assert!(stdout.contains("for 3,000 rows"), "{stdout}");
    assert!(
        stdout.contains("write.connections was not tried"),
        "{stdout}"
    );
    assert!(
        stderr.contains(" and makes ") && stderr.contains(" requests; "),
        "{stderr}"
    );
    let (_, block) = stdout.split_once("\nengine:\n").unwrap();
    let settings = settings(&format!("engine:\n{block}"));
    assert!(
        settings.contains(&"infer.sample_rows=50".to_owned()),
        "{settings:?}"
    );
    assert!(
        project.is_untouched().await,
        "{}",
        tables(&project.client).await
    );
}

#[tokio::test]
async fn an_interrupted_tuning_leaves_nothing_in_postgres() {
    let api = orders(50_000).await;
    let project = Project::new(api.url(), NUMBERED).await;
    let mut child = project
        .tune("5")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    // In the middle of a contest: the scratch table is there.
    while let Some(line) = lines.next_line().await.unwrap() {
        if line.contains("beside") {
            break;
        }
    }
    assert!(
        !project.is_untouched().await,
        "there is no scratch table to drop"
    );
    let id = child.id().unwrap().try_into().unwrap();
    let pid = rustix::process::Pid::from_raw(id).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    assert_eq!(child.wait().await.unwrap().code(), Some(130));
    assert!(
        project.is_untouched().await,
        "{}",
        tables(&project.client).await
    );
}

/// An API that has a row more in every answer.
async fn growing_api() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/items", listener.local_addr().unwrap());
    let answered = Arc::new(AtomicUsize::new(0));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let rows = 5 + answered.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(async move {
                let mut request = [0; 4096];
                let _ = stream.read(&mut request).await;
                let body = format!("[{}]", vec!["{\"id\":1}"; rows].join(","));
                let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close";
                let answer = format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
                let _ = stream.write_all(answer.as_bytes()).await;
            });
        }
    });
    url
}

#[tokio::test]
async fn an_api_that_changes_cannot_be_tuned_and_postgres_is_as_before() {
    let project = Project::new(&growing_api().await, "").await;
    let output = project.tune("0.5").output().await.unwrap();
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(
        stderr.contains("the first load had 5 rows and a later one 6"),
        "{stderr}"
    );
    assert!(output.stdout.is_empty());
    assert!(
        project.is_untouched().await,
        "{}",
        tables(&project.client).await
    );
}

#[tokio::test]
async fn wrong_arguments_are_refused_before_anything_starts() {
    for (arguments, part) in [
        (&["--minutes=1"][..], "--workload"),
        (&["--workload=nothing"], "nothing"),
        (&["--workload=orders", "-m", "sql"], "cannot be used with"),
        (&["--workload=orders", "--minutes=0"], "--minutes"),
        (&["-m", "sql", "--latency-ms=3"], "--latency-ms"),
        (&["-m", "sql", "--postgres=local"], "--postgres"),
    ] {
        let output = tune(arguments).output().await.unwrap();
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {stderr}");
        assert!(stderr.contains(part), "{arguments:?}: {stderr}");
    }
}
