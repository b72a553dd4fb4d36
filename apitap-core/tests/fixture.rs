//! What the tests share: a database, an API of given pages, and jobs between them.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use apitap_core::config::{Config, WriteMode};
use apitap_core::source::SourceSpec;
use apitap_core::source::pagination::Pagination;
use apitap_core::source::retry::RetryPolicy;
use apitap_core::write::{EmptyLoad, Sink, SslMode, TableName, TargetSpec};
use apitap_core::{Engine, Job, Result, RunReport};
use serde_json::Value;
use testkit::test_database::{TestDatabase, test_database};
use tokio_postgres::{Client, NoTls};
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate, matchers};

pub(crate) struct Fixture {
    pub(crate) database: TestDatabase,
    pub(crate) client: Client,
}

impl Fixture {
    pub(crate) async fn new() -> Self {
        let database = test_database().await.unwrap();
        let client = connect(database.url()).await;
        Self { database, client }
    }

    /// A job over sources of the given names and addresses.
    pub(crate) fn job(&self, sources: &[(&str, &str)], sql: &str, table: &str) -> Job {
        let sources = sources
            .iter()
            .map(|(name, url)| Arc::new(source(name, url)));
        Job {
            name: "test".into(),
            sources: sources.collect(),
            sql: sql.into(),
            sink: Sink {
                target: target(self.database.url()),
                table: TableName::parse(table).unwrap(),
                mode: WriteMode::Replace,
                key: Vec::new(),
                empty: EmptyLoad::Usual,
            },
        }
    }

    /// The rows of a table (or of any relation in parentheses) as one JSON array, ordered.
    pub(crate) async fn rows(&self, table: &str) -> Value {
        let sql = format!(
            "SELECT coalesce(json_agg(everything ORDER BY everything::text), '[]')::text FROM {table} AS everything"
        );
        let text: String = self.client.query_one(&sql, &[]).await.unwrap().get(0);
        serde_json::from_str(&text).unwrap()
    }

    pub(crate) async fn exists(&self, table: &str) -> bool {
        let row = self
            .client
            .query_one("SELECT to_regclass($1) IS NOT NULL", &[&table])
            .await;
        row.unwrap().get(0)
    }
}

pub(crate) async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

pub(crate) async fn run(job: &Job, config: Config) -> Result<RunReport> {
    Engine::new(config).run(job, Arc::default()).await
}

/// Both ways of decoding: what holds for one must hold for the other.
pub(crate) fn both_paths() -> [Config; 2] {
    let small = |preset: &str| {
        Config::preset(preset)
            .unwrap()
            .with("source.page_rows=3")
            .unwrap()
    };
    [small("before"), small("tuned")]
}

/// A source that is paged by number and gives up at once.
pub(crate) fn source(name: &str, url: &str) -> SourceSpec {
    let mut spec = SourceSpec::new(name, url.parse().unwrap());
    spec.pagination = Pagination::PageNumber {
        page_param: "page".into(),
        per_page_param: Some("per_page".into()),
        start: 1,
    };
    spec.retry = RetryPolicy {
        max_attempts: 1,
        ..RetryPolicy::default()
    };
    spec
}

/// The target of a URL that the harness made.
pub(crate) fn target(url: &str) -> TargetSpec {
    TargetSpec {
        sslmode: SslMode::Disable,
        ..TargetSpec::from_url("pg", url).unwrap()
    }
}

/// An API that serves `rows` in pages of what is asked for.
pub(crate) async fn api(rows: Value) -> MockServer {
    serve(pages_of(rows)).await
}

/// The same, with each answer late.
pub(crate) async fn slow_api(rows: Value, delay: Duration) -> MockServer {
    let pages = pages_of(rows);
    serve(move |request: &Request| pages(request).set_delay(delay)).await
}

/// The same, but what comes after `page` waits until it is opened.
pub(crate) async fn held_api(rows: Value, page: usize, open: Arc<AtomicBool>) -> MockServer {
    let pages = pages_of(rows);
    let answer = move |request: &Request| {
        let mut pairs = request.url.query_pairs();
        let number = pairs.find(|(key, _)| key == "page").unwrap().1;
        match number.parse::<usize>().unwrap() > page && !open.load(SeqCst) {
            true => pages(request).set_delay(Duration::from_secs(600)),
            false => pages(request),
        }
    };
    serve(answer).await
}

/// The same, but each page is refused before it is served.
pub(crate) async fn refusing_api(rows: Value) -> MockServer {
    let (pages, refused) = (pages_of(rows), Mutex::new(HashSet::new()));
    let answer = move |request: &Request| match refused.lock().unwrap().insert(request.url.clone())
    {
        true => ResponseTemplate::new(503),
        false => pages(request),
    };
    serve(answer).await
}

fn pages_of(rows: Value) -> impl Fn(&Request) -> ResponseTemplate + Send + Sync {
    let Value::Array(rows) = rows else {
        panic!("rows are an array");
    };
    move |request: &Request| {
        let parameter = |name: &str| {
            let mut pairs = request.url.query_pairs();
            pairs
                .find(|(key, _)| key == name)
                .unwrap()
                .1
                .parse::<usize>()
                .unwrap()
        };
        let (page, size) = (parameter("page"), parameter("per_page"));
        let page: Vec<_> = rows.iter().skip((page - 1) * size).take(size).collect();
        ResponseTemplate::new(200).set_body_json(page)
    }
}

/// An API with exactly these bodies as its pages, and empty ones after them.
pub(crate) async fn bodies(bodies: Vec<String>) -> MockServer {
    let pages = move |request: &Request| {
        let mut pairs = request.url.query_pairs();
        let page: usize = pairs
            .find(|(key, _)| key == "page")
            .unwrap()
            .1
            .parse()
            .unwrap();
        let body = bodies.get(page - 1).map_or("[]", String::as_str);
        ResponseTemplate::new(200).set_body_raw(body, "application/json")
    };
    serve(pages).await
}

async fn serve(pages: impl Respond + 'static) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(matchers::any())
        .respond_with(pages)
        .mount(&server)
        .await;
    server
}
