//! `apitap-bench record`: loads of a real API, as a user's pipeline makes them, recorded and replayed.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::Output;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::Response;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde_json::Value;
use tempfile::TempDir;
use testkit::postgres::connect;
use testkit::test_database::{TestDatabase, test_database};
use tokio::process::Command;
use tokio_postgres::Client;
use url::Url;

const PROGRAM: &str = env!("CARGO_BIN_EXE_apitap-bench");

const KEY: &str = "k3y-in-the-query";
const TOKEN: &str = "t0ken-in-a-header";
const COOKIE: &str = "c00kie-of-a-session";
const PASSWORD: &str = "p4ss-in-the-url";
const SECRETS: [&str; 4] = [KEY, TOKEN, COOKIE, PASSWORD];

const PAGE_ROWS: usize = 10;
const ROWS: usize = 35;

/// Which requests came, with the status of their answers.
type Log = Arc<Mutex<Vec<(String, u16)>>>;

/// A row whose name comes again, and whose note has a secret in it now and then.
fn row(id: usize) -> String {
    let note = match id {
        7 => format!("\"sent by {TOKEN}\""),
        _ => "null".to_owned(),
    };
    format!(
        "{{\"id\":{id},\"name\":\"Customer {}\",\"seen\":\"2024-05-{:02}T12:00:00Z\",\"note\":{note}}}",
        id % 5,
        id % 28 + 1
    )
}

fn rows(from: usize, count: usize) -> String {
    let rows: Vec<String> = (from..ROWS.min(from + count)).map(row).collect();
    format!("[{}]", rows.join(","))
}

/// Answers by number, by cursor and by `Link` header, gzipped; refuses the third page of each once.
fn answer(log: &Log, uri: &Uri, headers: &HeaderMap) -> Response {
    let target = uri.to_string();
    let query = url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
    let query: BTreeMap<String, String> = query.into_owned().collect();
    let is_new = !log.lock().unwrap().iter().any(|(one, _)| *one == target);
    let number = |name: &str| -> usize { query.get(name).map_or(0, |text| text.parse().unwrap()) };
    let is_allowed = match uri.path() {
        "/linked" => query.get("api_key").is_some_and(|key| key == KEY),
        "/cursors" => {
            headers[header::AUTHORIZATION] == format!("Bearer {TOKEN}").as_str()
                && headers[header::COOKIE] == format!("session={COOKIE}").as_str()
        }
        _ => headers.get(header::AUTHORIZATION).is_some(),
    };
    // Cursors have the key of the API in them.
    let after = query.get("after").map_or(0, |cursor| {
        let number = cursor.strip_prefix(&format!("{TOKEN}:")).unwrap();
        number.parse().unwrap()
    });
    let first = match uri.path() {
        "/linked" => number("from"),
        "/cursors" => after,
        _ => (number("page") - 1) * PAGE_ROWS,
    };
    let mut response = Response::builder()
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::SET_COOKIE, format!("session={COOKIE}"));
    let next = first + PAGE_ROWS;
    let status = match (is_allowed, first == 2 * PAGE_ROWS && is_new) {
        (false, _) => StatusCode::UNAUTHORIZED,
        (true, true) => StatusCode::TOO_MANY_REQUESTS,
        (true, false) => StatusCode::OK,
    };
    log.lock().unwrap().push((target, status.as_u16()));
    response = response.status(status);
    if status == StatusCode::TOO_MANY_REQUESTS {
        response = response.header(header::RETRY_AFTER, "0.2");
    }
    let body = match uri.path() {
        _ if status != StatusCode::OK => String::new(),
        "/cursors" if next < ROWS => {
            let rows = rows(first, PAGE_ROWS);
            format!("{{\"data\":{rows},\"next_cursor\":\"{TOKEN}:{next}\"}}")
        }
        "/cursors" => format!(
            "{{\"data\":{},\"next_cursor\":null}}",
            rows(first, PAGE_ROWS)
        ),
        _ => rows(first, PAGE_ROWS),
    };
    if uri.path() == "/linked" && next < ROWS {
        let host = headers[header::HOST].to_str().unwrap();
        let link = format!("<http://{host}/linked?from={next}&api_key={KEY}>; rel=\"next\"");
        response = response.header(header::LINK, link);
    }
    let takes_gzip = headers
        .get(header::ACCEPT_ENCODING)
        .is_some_and(|one| one == "gzip");
    assert!(takes_gzip);
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(body.as_bytes()).unwrap();
    let packed = packed.finish().unwrap();
    let response = response.header(header::CONTENT_ENCODING, "gzip");
    response.body(Body::from(packed)).unwrap()
}

/// A project with a module for each way of paging.
struct Project {
    folder: TempDir,
    database: TestDatabase,
    client: Client,
    log: Log,
}

impl Project {
    async fn new() -> Self {
        let log = Log::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let answered = |State(log): State<Log>, uri: Uri, headers: HeaderMap| async move {
            answer(&log, &uri, &headers)
        };
        let router = Router::new().fallback(answered).with_state(log.clone());
        tokio::spawn(axum::serve(listener, router).into_future());

        let database = test_database().await.unwrap();
        let client = connect(database.url()).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let url = Url::parse(database.url()).unwrap();
        let yaml = format!(
            r#"
sources:
- name: linked
  url: http://{address}/linked
  auth: {{type: api_key, name: api_key, value_env: API_KEY, in: query}}
  pagination: {{kind: link_header}}
- name: cursors
  url: http://{address}/cursors
  auth: {{type: bearer, token: "${{API_TOKEN}}"}}
  headers:
  - {{key: Cookie, value: "session=${{API_COOKIE}}"}}
  data_path: /data
  pagination: {{kind: cursor, cursor_param: after, cursor_path: /next_cursor}}
- name: numbered
  url: http://user:{PASSWORD}@{address}/numbered
  pagination: {{kind: page_number, page_param: page, per_page_param: per_page}}
targets:
- type: postgres
  name: warehouse
  host: {}
  port: {}
  database: {}
  sslmode: disable
  auth: {{username: {}, password: "${{PG_PASSWORD}}"}}
"#,
            url.host_str().unwrap(),
            url.port().unwrap_or(5432),
            url.path().trim_start_matches('/'),
            url.username(),
        );
        std::fs::write(folder.path().join("pipelines.yaml"), yaml).unwrap();
        std::fs::create_dir(folder.path().join("sql")).unwrap();
        for (name, columns) in [
            ("linked", "*"),
            ("cursors", "*"),
            ("numbered", "id, name, seen, random() AS luck"),
        ] {
            let module = format!(
                "{{{{ sink(name=\"warehouse\", table=\"public.mine\") }}}}\n\
                 SELECT {columns} FROM {{{{ use_source(\"{name}\") }}}}\n"
            );
            std::fs::write(folder.path().join(format!("sql/{name}.sql")), module).unwrap();
        }
        Self {
            folder,
            database,
            client,
            log,
        }
    }

    async fn run(&self, arguments: &[&str]) -> Output {
        let url = Url::parse(self.database.url()).unwrap();
        Command::new(PROGRAM)
            .args(arguments)
            .current_dir(self.folder.path())
            .env("API_KEY", KEY)
            .env("API_TOKEN", TOKEN)
            .env("API_COOKIE", COOKIE)
            .env("PG_PASSWORD", url.password().unwrap_or_default())
            .kill_on_drop(true)
            .output()
            .await
            .unwrap()
    }

    /// Records a module; returns what was said of it.
    async fn record(&self, module: &str, more: &[&str]) -> String {
        let out = format!("{module}.rec");
        let arguments = ["record", "-m", "sql", module, "-o", &out];
        let output = self.run(&[&arguments[..], more].concat()).await;
        let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(0), "{module}: {stderr}");
        for secret in SECRETS {
            assert!(
                !stdout.contains(secret) && !stderr.contains(secret),
                "{secret}"
            );
        }
        stdout
    }

    /// Every table, which is none, and every file.
    async fn is_tidy(&self, files: &[&str]) -> bool {
        let query = "SELECT count(*) FROM pg_class WHERE relkind = 'r' \
                     AND relnamespace = 'public'::regnamespace";
        let tables: i64 = self.client.query_one(query, &[]).await.unwrap().get(0);
        let entries = std::fs::read_dir(self.folder.path()).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.contains(".rec"))
            .collect();
        names.sort();
        tables == 0 && names == files
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The lines of a recording. No secret is in them.
fn lines(path: &Path) -> Vec<Value> {
    let bytes = std::fs::read(path).unwrap();
    let mut lines = String::new();
    GzDecoder::new(&bytes[..])
        .read_to_string(&mut lines)
        .unwrap();
    for secret in SECRETS {
        assert!(!lines.contains(secret), "{secret} is in {}", path.display());
    }
    let lines = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    lines.collect()
}

fn count(log: &[(String, u16)], path: &str, status: u16) -> usize {
    let own = log.iter().filter(|(target, _)| target.starts_with(path));
    own.filter(|(_, one)| *one == status).count()
}

#[tokio::test]
async fn every_way_of_paging_is_recorded_and_verified_on_postgres_without_secrets() {
    let project = Project::new().await;
    for module in ["linked", "cursors", "numbered"] {
        let said = project.record(module, &[]).await;
        assert!(
            said.contains("35 rows") && said.contains("by checksum"),
            "{said}"
        );
        assert_eq!(said.contains("luck"), module == "numbered", "{said}");
        let log = std::mem::take(&mut *project.log.lock().unwrap());
        let lines = lines(&project.folder.path().join(format!("{module}.rec")));
        assert_eq!(lines[0]["content"]["rows"], 35);
        assert_eq!(lines[0]["table"], "public.mine");
        assert_eq!(lines[0]["content"]["columns"][0]["type"], "bigint");
        // Each answer of the API is there, and no other.
        for status in [200, 429, 401] {
            let recorded = lines[1..].iter().filter(|line| line["status"] == status);
            let path = format!("/{module}");
            assert_eq!(
                recorded.count(),
                count(&log, &path, status),
                "{module} {status}"
            );
        }
        let refused = lines.iter().find(|line| line["status"] == 429).unwrap();
        let headers = refused["headers"].to_string();
        assert!(headers.contains("[\"retry-after\",\"0.2\"]"), "{headers}");
    }
    assert!(
        project
            .is_tidy(&["cursors.rec", "linked.rec", "numbered.rec"])
            .await
    );
}

#[tokio::test]
async fn scrubbed_values_are_others_and_load_on_postgres() {
    let project = Project::new().await;
    let said = project.record("cursors", &["--scrub-values"]).await;
    assert!(said.contains("with other values"), "{said}");
    let lines = lines(&project.folder.path().join("cursors.rec"));
    let pages: Vec<Value> = lines[1..]
        .iter()
        .filter(|line| line["status"] == 200)
        .map(|line| serde_json::from_str(line["body"].as_str().unwrap()).unwrap())
        .collect();
    let rows: Vec<&Value> = pages
        .iter()
        .flat_map(|page| page["data"].as_array().unwrap())
        .collect();
    assert_eq!(rows.len(), ROWS);
    let names: std::collections::BTreeSet<&str> = rows
        .iter()
        .map(|row| row["name"].as_str().unwrap())
        .collect();
    assert_eq!(names.len(), 5);
    assert!(
        names
            .iter()
            .all(|name| name.len() == 10 && !name.starts_with("Customer"))
    );
    let ids: std::collections::BTreeSet<String> =
        rows.iter().map(|row| row["id"].to_string()).collect();
    assert_eq!(ids.len(), ROWS);
}

#[tokio::test]
async fn a_recording_is_a_workload_of_run_and_profile_on_postgres() {
    let project = Project::new().await;
    project.record("numbered", &[]).await;
    let requests = project.log.lock().unwrap().len();
    let server = ["--postgres", project.database.url()];
    let run = [
        "run",
        "--workload",
        "numbered.rec",
        "counter",
        "page-size",
        "--quick",
        "--blocks=2",
    ];
    let output = project.run(&[&run[..], &server].concat()).await;
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    assert!(
        stderr.contains("left out") && stderr.contains("page-size"),
        "{stderr}"
    );
    assert!(text(&output.stdout).contains("counter"));

    let profile = ["profile", "--workload", "numbered.rec", "--rounds=1"];
    let output = project.run(&[&profile[..], &server].concat()).await;
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    assert!(text(&output.stdout).contains("Profiles: "), "{stderr}");
    assert_eq!(
        project.log.lock().unwrap().len(),
        requests,
        "the API was asked again"
    );

    // A program that loads something else is found.
    let path = project.folder.path().join("numbered.rec");
    let bytes = std::fs::read(&path).unwrap();
    let mut text_of = String::new();
    GzDecoder::new(&bytes[..])
        .read_to_string(&mut text_of)
        .unwrap();
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed
        .write_all(text_of.replace("Customer 3", "Customer X").as_bytes())
        .unwrap();
    std::fs::write(&path, packed.finish().unwrap()).unwrap();
    let output = project.run(&[&run[..], &server].concat()).await;
    assert_eq!(output.status.code(), Some(6), "{}", text(&output.stderr));
}

#[tokio::test]
async fn a_recording_is_a_workload_of_tune_and_gate_on_postgres() {
    let project = Project::new().await;
    project.record("numbered", &[]).await;
    let requests = project.log.lock().unwrap().len();
    let tune = [
        "tune",
        "--workload=numbered.rec",
        "--minutes=0.3",
        "--postgres",
        project.database.url(),
    ];
    let output = project.run(&tune).await;
    let stdout = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(stdout.starts_with("numbered.rec, 35 rows: "), "{stdout}");
    assert!(
        stdout.contains("source.page_rows and write.connections were not tried"),
        "{stdout}"
    );
    let gate = [
        "gate",
        "--workload=numbered.rec",
        "--base-binary",
        PROGRAM,
        "--head-binary",
        PROGRAM,
        "--postgres=local",
        "--blocks=2",
        "--minutes=0",
        "--no-explanation",
        "--limit=client_cpu_seconds_per_million_rows=100%",
        "--limit=server_cpu_seconds_per_million_rows=100%",
        "--limit=rows_per_second=-50%",
    ];
    let output = project.run(&gate).await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(
        text(&output.stdout).contains("numbered"),
        "{}",
        text(&output.stdout)
    );
    assert_eq!(project.log.lock().unwrap().len(), requests);
}

/// The pipeline of a module, as an arm loads it from the replay.
const REPLAYED: &str = r#"
sources:
- name: numbered
  url: ${APITAP_API_URL_NUMBERED}
  pagination: {kind: page_number, page_param: page, per_page_param: per_page}
targets:
- type: postgres
  name: warehouse
  host: ${PGHOST}
  port: ${PGPORT}
  database: ${PGDATABASE}
  auth: {username_env: PGUSER, password_env: PGPASSWORD}
"#;

#[tokio::test]
async fn a_recording_is_a_workload_of_commands_on_postgres() {
    let project = Project::new().await;
    project.record("numbered", &[]).await;
    let requests = project.log.lock().unwrap().len();
    let folder = project.folder.path();
    std::fs::create_dir(folder.join("one")).unwrap();
    std::fs::copy(
        folder.join("sql/numbered.sql"),
        folder.join("one/numbered.sql"),
    )
    .unwrap();
    std::fs::write(folder.join("replayed.yaml"), REPLAYED).unwrap();
    let apitap = Path::new(PROGRAM).with_file_name("apitap");
    let apitap = format!("{} -m one -y replayed.yaml", apitap.display());
    let psql = |statement: &str| {
        format!(
            "{apitap} && psql -qc \"ALTER TABLE $APITAP_TABLE ALTER name TYPE varchar; {statement}\""
        )
    };
    let compare = async |second: &str, more: &[&str]| {
        let (first, second) = (format!("apitap={apitap}"), format!("altered={second}"));
        let arguments = [
            "compare",
            "--workload=numbered.rec",
            "--blocks=1",
            "--json",
            "--out=runs",
            "--arm",
            &first,
            "--arm",
            &second,
            "--postgres",
            project.database.url(),
        ];
        project.run(&[&arguments[..], more].concat()).await
    };
    let output = compare(&psql("ALTER TABLE $APITAP_TABLE DROP luck"), &[]).await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let results: Value = serde_json::from_slice(&output.stdout).unwrap();
    let record = &results["record"];
    assert_eq!(record["rows"], 35);
    assert_eq!(
        record["notes"][0],
        "not compared, other in every load: luck"
    );
    assert_eq!(record["arms"][0]["differences"], Value::Array(Vec::new()));
    assert_eq!(
        record["arms"][1]["differences"][0],
        "text as character varying"
    );

    let output = compare(
        &psql("UPDATE $APITAP_TABLE SET name = 'X' WHERE id = 3"),
        &[],
    )
    .await;
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(6), "{stderr}");
    assert!(stderr.contains("the expected 35 rows"), "{stderr}");
    assert_eq!(project.log.lock().unwrap().len(), requests);
    for (more, part) in [
        ("--rows=5", "the rows that it has"),
        ("--empty-as-null=altered", "an empty text from NULL"),
    ] {
        let output = compare(&apitap, &[more]).await;
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains(part), "{stderr}");
    }
}

#[tokio::test]
async fn what_cannot_be_recorded_leaves_nothing_in_postgres() {
    let project = Project::new().await;
    let output = project.run(&["record", "-m", "sql", "-o", "x.rec"]).await;
    assert_eq!(output.status.code(), Some(1));
    let stderr = text(&output.stderr);
    assert!(
        stderr.contains("name the module") && stderr.contains("cursors"),
        "{stderr}"
    );
    let output = project
        .run(&["record", "-m", "sql", "linked", "-o", "x.txt"])
        .await;
    assert_eq!(output.status.code(), Some(2));
    std::fs::write(project.folder.path().join("y.rec"), "none").unwrap();
    let output = project.run(&["run", "--workload", "y.rec"]).await;
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("it is no recording"));
    assert!(project.is_tidy(&["y.rec"]).await);
}
