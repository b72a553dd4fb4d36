//! Secrets and data that a run is given are in nothing that it writes.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::Stdio;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use wiremock::{Mock, MockServer, Request, ResponseTemplate, matchers};

use crate::fixture::target;
use crate::project::Project;

/// Each with what is percent-encoded.
const PASSWORD: &str = "Zk1 pass/word";
const BEARER: &str = "Zk2-bearer+token";
const HEADER_KEY: &str = "Zk3=header/key";
const QUERY_KEY: &str = "Zk4 query&key";
const BASIC: &str = "Zk5:basic+pass";
const IN_URL: &str = "Zk6urlpass";
const PARAMETER: &str = "Zk7 parameter?";
/// What is in a cell.
const CELL: &str = "Zk8cell";

const VARIABLES: [(&str, &str); 7] = [
    ("T_PASSWORD", PASSWORD),
    ("T_BEARER", BEARER),
    ("T_HEADER_KEY", HEADER_KEY),
    ("T_QUERY_KEY", QUERY_KEY),
    ("T_BASIC", BASIC),
    ("T_IN_URL", IN_URL),
    ("T_PARAMETER", PARAMETER),
];

/// Ways of giving a source its secrets: fields, and what comes before the host.
const SOURCES: [(&str, &str); 5] = [
    ("auth: {type: bearer, token_env: T_BEARER}", ""),
    (
        "auth: {type: api_key, name: X-Key, value_env: T_HEADER_KEY}",
        "",
    ),
    (
        "auth: {type: api_key, name: key, value_env: T_QUERY_KEY, in: query}",
        "",
    ),
    (
        "auth: {type: basic, username: me, password_env: T_BASIC}",
        "",
    ),
    (
        "headers: [{key: X-Token, value: \"${T_HEADER_KEY}\"}]\n  query_params: [{key: q, value: \"${T_PARAMETER}\"}]",
        "me:${T_IN_URL}@",
    ),
];

const METHODS: [&str; 6] = [
    "insert",
    "prepared",
    "unnest",
    "copy-csv",
    "copy-text",
    "copy-binary",
];

/// How a text may show a secret.
fn forms(secret: &str) -> Vec<String> {
    let query: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    let percent = query.replace('+', "%20");
    let debug = format!("{secret:?}").trim_matches('"').to_owned();
    let base64 = STANDARD.encode(format!("me:{secret}"));
    vec![secret.to_owned(), query, percent, debug, base64]
}

fn is_silent(place: &str, text: &[u8]) {
    let text = String::from_utf8_lossy(text);
    let secrets = VARIABLES.iter().map(|(_, secret)| *secret).chain([CELL]);
    for form in secrets.flat_map(forms) {
        if let Some(at) = text.find(&form) {
            let line = text[..at].lines().last().unwrap_or_default();
            panic!("{place} shows {form} after: {line}");
        }
    }
}

fn files_are_silent(place: &str, folder: &Path) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => files_are_silent(place, &path),
            false => is_silent(
                &format!("{place}: {}", path.display()),
                &std::fs::read(&path).unwrap(),
            ),
        }
    }
}

/// The project's file with one source, whose URL is `url`, and the target as it is but for `change`.
fn write(project: &Project, source: &str, url: &str, change: (&str, &str)) {
    let at = target(project.fixture.database.url());
    let text = format!(
        "sources:\n- name: users\n  url: \"{url}\"\n  {source}\n  primary_key_in_dest: id\n  \
         pagination: {{kind: page_only, page_param: page}}\n  \
         retry: {{max_attempts: 2, max_delay_secs: 0, min_delay_secs: 0}}\n\
         targets:\n- type: postgres\n  name: pg\n  host: {}\n  port: {}\n  database: {}\n  sslmode: disable\n  \
         auth: {{username: {}, password_env: APITAP_TEST_PASSWORD}}\n",
        at.host, at.port, at.database, at.username
    );
    std::fs::write(
        project.path().join("pipelines.yaml"),
        text.replace(change.0, change.1),
    )
    .unwrap();
}

/// An API whose path says what it answers.
async fn api() -> MockServer {
    let server = MockServer::start().await;
    let answer = |request: &Request| {
        let page = request
            .url
            .query_pairs()
            .find(|(key, _)| key == "page")
            .unwrap()
            .1;
        let json = |text: String| ResponseTemplate::new(200).set_body_raw(text, "application/json");
        match (request.url.path(), page.as_ref()) {
            ("/401", _) => ResponseTemplate::new(401).set_body_string(CELL),
            ("/500", _) => ResponseTemplate::new(500).set_body_string(CELL),
            ("/elsewhere", _) => ResponseTemplate::new(302).insert_header(
                "location",
                format!("http://me:{IN_URL}@other.test/?k={BEARER}").as_str(),
            ),
            ("/loop", _) => ResponseTemplate::new(302)
                .insert_header("location", format!("/loop?page=1&again={BEARER}").as_str()),
            ("/html", _) => {
                // Only the first words of a page are shown.
                let text = "word ".repeat(100);
                ResponseTemplate::new(200).set_body_raw(format!("<p>{text}{CELL}"), "text/html")
            }
            ("/broken", _) => json(format!("[{{\"id\": 1, \"userName\": \"{CELL}\",]")),
            ("/value", "2") => json(format!("[{{\"id\": \"{CELL}\", \"userName\": \"a\"}}]")),
            ("/nul", "2") => json(format!("[{{\"id\": 2, \"userName\": \"{CELL}\\u0000\"}}]")),
            ("/repeats", _) | (_, "1") => {
                json(format!("[{{\"id\": 1, \"userName\": \"{CELL}1\"}}]"))
            }
            (_, "2") => json(format!("[{{\"id\": 2, \"userName\": \"{CELL}2\"}}]")),
            _ => json("[]".to_owned()),
        }
    };
    Mock::given(matchers::any())
        .respond_with(answer)
        .mount(&server)
        .await;
    server
}

/// Runs with every output at its most verbose, and looks at each.
fn run(project: &Project, place: &str, more: &[&str], expected: Option<i32>) {
    for json in [false, true] {
        let mut arguments = vec![
            "--log-level",
            "trace",
            "--report",
            "report.json",
            "--trace",
            "trace.json",
            "--metrics-addr",
            "127.0.0.1:0",
            "--set",
            "infer.cache=file:cache",
            "--set",
            "infer.sample_rows=1",
        ];
        arguments.extend(json.then_some("--log-json"));
        let is_run = !more.contains(&"--dry-run");
        arguments.extend(is_run.then_some("--explain"));
        arguments.extend(more);
        let mut command = project.command(&arguments);
        command.envs(VARIABLES).env("RUST_BACKTRACE", "0");
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut said = String::new();
        while stderr.read_line(&mut said).unwrap() > 0 {
            let line = said.lines().last().unwrap();
            if let Some((_, address)) = line.split_once("metrics: http://") {
                let address = address.split('/').next().unwrap();
                // It may have ended already.
                if let Ok(mut stream) = TcpStream::connect(address) {
                    let mut metrics = Vec::new();
                    let _ = write!(stream, "GET /metrics HTTP/1.0\r\n\r\n");
                    let _ = stream.read_to_end(&mut metrics);
                    is_silent(&format!("{place}: metrics"), &metrics);
                }
                break;
            }
        }
        stderr.read_to_string(&mut said).unwrap();
        let output = child.wait_with_output().unwrap();
        if let Some(expected) = expected {
            assert_eq!(output.status.code(), Some(expected), "{place}: {said}");
        }
        assert!(said.contains("TRACE"), "{place}: {said}");
        is_silent(&format!("{place}: stderr"), said.as_bytes());
        is_silent(&format!("{place}: stdout"), &output.stdout);
        files_are_silent(place, project.path());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_and_api_secrets_are_in_nothing_that_a_run_writes() {
    let server = api().await;
    let uri = server.uri();
    let sql = "{{ sink(name=\"pg\") }}\nSELECT id, userName FROM {{ use_source(\"users\") }}";
    let project = Project::new(sql).await;
    let url = |user: &str, path: &str| uri.replace("http://", &format!("http://{user}")) + path;
    for (source, user) in SOURCES {
        write(&project, source, &url(user, "/rows"), ("", ""));
        run(&project, source, &[], Some(0));
        run(&project, source, &["--dry-run"], Some(0));
        for path in [
            "/401",
            "/500",
            "/elsewhere",
            "/loop",
            "/html",
            "/broken",
            "/value",
            "/nul",
            "/repeats",
        ] {
            write(&project, source, &url(user, path), ("", ""));
            run(&project, &format!("{source}, {path}"), &[], Some(1));
        }
        // A server without TLS, and a port without a server.
        for other in [
            url(user, "/rows").replace("http:", "https:"),
            format!("http://{user}127.0.0.1:9/"),
        ] {
            write(&project, source, &other, ("", ""));
            run(&project, &format!("{source}, {other}"), &[], Some(1));
        }
    }
    write(&project, SOURCES[0].0, &url("", "/rows"), ("", ""));
    for method in METHODS {
        run(
            &project,
            method,
            &["--set", &format!("write.method={method}")],
            Some(0),
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_secrets_are_in_no_error_of_the_target() {
    let server = api().await;
    let sql = "{{ sink(name=\"pg\", mode=\"append\") }}\nSELECT id, userName FROM {{ use_source(\"users\") }}";
    let project = Project::new(sql).await;
    let url = format!("{}/rows", server.uri());
    for change in [
        ("username: ", "username: apitap_nobody_"),
        ("sslmode: disable", "sslmode: verify-full"),
        ("  database: ", "  database: no_"),
        ("host: ", "host: no-such-host-"),
    ] {
        write(&project, SOURCES[0].0, &url, change);
        let file = project.path().join("pipelines.yaml");
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, text.replace("APITAP_TEST_PASSWORD", "T_PASSWORD")).unwrap();
        run(&project, change.1, &[], Some(1));
    }
    // What a server says of data quotes it.
    for table in [
        "CREATE TABLE users (id bigint PRIMARY KEY, \"userName\" text); INSERT INTO users VALUES (2, 'x')",
        "CREATE TABLE users (id bigint, \"userName\" varchar(3))",
        "CREATE TABLE users (id bigint, \"userName\" text CHECK (\"userName\" NOT LIKE '%2'))",
        "CREATE TABLE users (id bigint, \"userName\" jsonb)",
    ] {
        let table = format!("DROP TABLE IF EXISTS users; {table}");
        project.fixture.client.batch_execute(&table).await.unwrap();
        write(&project, SOURCES[0].0, &url, ("", ""));
        for method in METHODS {
            run(
                &project,
                &table,
                &["--set", &format!("write.method={method}")],
                Some(1),
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_secrets_are_in_no_error_of_a_file() {
    let project = Project::new("").await;
    for (module, source, url) in [
        (
            "SELECT",
            SOURCES[0].0,
            "ftp://me:${T_IN_URL}@h/${T_PARAMETER}",
        ),
        ("SELECT", SOURCES[0].0, "http://me:${T_IN_URL}@h:port/"),
        ("SELECT", SOURCES[0].0, "${T_BEARER}"),
        (
            "SELECT",
            "headers: [{key: \"X Y\", value: \"${T_BEARER}\"}]",
            "http://h",
        ),
        (
            "SELECT",
            "headers: [{key: X, value: \"${T_BEARER}\\n\"}]",
            "http://h",
        ),
        (
            "SELECT",
            "auth: {type: bearer, token: \"${T_BEARER\"}",
            "http://h",
        ),
        (
            "SELECT",
            "auth: {type: nothing, token: \"${T_BEARER}\"}",
            "http://h",
        ),
        (
            "SELECT",
            "retry: {max_attempts: \"Zk2-bearer+token\"}",
            "http://h",
        ),
        ("SELECT", "auth: Zk2-bearer+token", "http://h"),
    ] {
        let sql = format!("{{{{ sink(\"pg\") }}}} {module} FROM {{{{ use_source(\"users\") }}}}");
        std::fs::write(project.path().join("sql/users.sql"), sql).unwrap();
        write(&project, source, url, ("", ""));
        let mut command = project.command(&["--log-level", "trace"]);
        let output = command.envs(VARIABLES).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{url} {source}: {output:?}");
        is_silent(source, &output.stderr);
    }
}
