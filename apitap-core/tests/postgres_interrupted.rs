//! Loads that do not come to their end: rows that are refused, sessions that are ended, runs that are dropped,
//! servers that keep silent, locks that others hold.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use apitap_core::config::{Config, WriteMethod, WriteMode};
use apitap_core::{Engine, ErrorKind, Job};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use wiremock::{Mock, MockServer, Request, ResponseTemplate, matchers};

use crate::fixture::{Fixture, api, connect, run, target};
use crate::project::{Project, USERS, users};

/// Longer than any test: what waits for it is stopped by something else.
const FOREVER: Duration = Duration::from_secs(3_600);

/// An API with two rows a page, whose fourth page never comes.
async fn stalling_api() -> MockServer {
    let server = MockServer::start().await;
    let pages = |request: &Request| {
        let mut pairs = request.url.query_pairs();
        let (_, page) = pairs.find(|(key, _)| key == "page").unwrap();
        let page: usize = page.parse().unwrap();
        let rows = json!([{"id": page * 2, "t": "a"}, {"id": page * 2 + 1, "t": "b"}]);
        let answer = ResponseTemplate::new(200).set_body_json(rows);
        if page < 4 {
            answer
        } else {
            answer.set_delay(FOREVER)
        }
    };
    Mock::given(matchers::any())
        .respond_with(pages)
        .mount(&server)
        .await;
    server
}

const MODES: [WriteMode; 3] = [WriteMode::Append, WriteMode::Replace, WriteMode::Merge];

/// Those of `asked` connections through which a table that exists is loaded.
fn used(mode: WriteMode, asked: usize) -> usize {
    match mode {
        WriteMode::Replace => asked,
        WriteMode::Append | WriteMode::Merge => 1,
    }
}

fn config(method: WriteMethod, connections: usize) -> Config {
    Config::default()
        .with(&format!("write.method={method}"))
        .and_then(|config| config.with(&format!("write.connections={connections}")))
        .and_then(|config| config.with("write.batch_rows=2"))
        .and_then(|config| config.with("source.page_rows=2"))
        .and_then(|config| config.with("infer.sample_rows=2"))
        .unwrap()
}

fn job(fixture: &Fixture, uri: &str, mode: WriteMode) -> Job {
    let mut job = fixture.job(&[("r", uri)], "SELECT id, t FROM r", "t");
    job.sink.mode = mode;
    if mode == WriteMode::Merge {
        job.sink.key = vec!["id".into()];
    }
    job
}

/// A table with one row of old.
async fn make(fixture: &Fixture, more: &str) {
    let sql = format!(
        "DROP TABLE IF EXISTS t; CREATE TABLE t (id bigint PRIMARY KEY, t text{more}); INSERT INTO t VALUES (1000, 'old')"
    );
    fixture.client.batch_execute(&sql).await.unwrap();
}

async fn is_as_it_was(fixture: &Fixture, what: &str) {
    assert_eq!(
        fixture.rows("t").await,
        json!([{"id": 1000, "t": "old"}]),
        "{what}"
    );
}

async fn own_tables(fixture: &Fixture) -> Value {
    let tables = "(SELECT relname FROM pg_class WHERE relname LIKE '\\_apitap%')";
    fixture.rows(tables).await
}

const SESSIONS: &str =
    "FROM pg_stat_activity WHERE application_name = 'apitap' AND datname = current_database()";

/// Waits until a query yields true.
async fn until(fixture: &Fixture, condition: &str) {
    for _ in 0..1_500 {
        let row = fixture.client.query_one(condition, &[]).await.unwrap();
        if row.get(0) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("never true: {condition}");
}

/// Waits until the writers of a load have begun.
async fn until_under_way(fixture: &Fixture, connections: usize) {
    let condition = match connections {
        1 => format!("SELECT count(*) = 1 {SESSIONS} AND query ~ '^(COPY|INSERT)'"),
        // One more holds the locks.
        _ => format!(
            "SELECT count(*) = {} {SESSIONS} AND state <> 'idle'",
            connections + 1
        ),
    };
    until(fixture, &condition).await;
}

#[tokio::test]
async fn postgres_a_refused_row_ends_a_load_that_waits_for_the_api() {
    let fixture = Fixture::new().await;
    let server = stalling_api().await;
    for mode in MODES {
        for method in WriteMethod::ALL {
            for connections in [1, 2] {
                make(&fixture, "").await;
                fixture
                    .client
                    .batch_execute("ALTER TABLE t ALTER t TYPE varchar(3)")
                    .await
                    .unwrap();
                let mut job = job(&fixture, &server.uri(), mode);
                job.sql = "SELECT id, CASE id WHEN 4 THEN 'secret' ELSE t END AS t FROM r".into();
                let error = run(&job, config(method, connections)).await.unwrap_err();
                let text = error.to_string();
                let what = format!("{mode:?} {method} {connections}: {text}");
                assert!(
                    text.contains("text longer than its column allows"),
                    "{what}"
                );
                assert!(text.contains("of the result, column t"), "{what}");
                assert!(
                    text.contains("loading table") && !text.contains("_apitap"),
                    "{what}"
                );
                is_as_it_was(&fixture, &what).await;
                assert_eq!(own_tables(&fixture).await, json!([]), "{what}");
            }
        }
    }
}

#[tokio::test]
async fn postgres_says_why_it_ended_a_session_and_the_next_load_is_whole() {
    let fixture = Fixture::new().await;
    let (stalling, good) = (
        stalling_api().await,
        api(json!([{"id": 1, "t": "new"}])).await,
    );
    for mode in MODES {
        for method in WriteMethod::ALL {
            let several = used(mode, 2);
            // All sessions, or only the one that holds the locks.
            for (connections, victims) in [
                (1, ""),
                (several, ""),
                (several, "ORDER BY backend_start LIMIT 1"),
            ] {
                make(&fixture, "").await;
                let job = job(&fixture, &stalling.uri(), mode);
                let config = config(method, connections);
                let kill = async {
                    until_under_way(&fixture, connections).await;
                    let kill = format!(
                        "SELECT pg_terminate_backend(pid) FROM (SELECT pid {SESSIONS} {victims}) AS v"
                    );
                    fixture.client.batch_execute(&kill).await.unwrap();
                };
                let (ended, ()) = tokio::join!(run(&job, config.clone()), kill);
                let text = ended.unwrap_err().chain();
                let what = format!("{mode:?} {method} {connections} {victims}: {text}");
                assert!(
                    text.contains("terminating connection due to administrator command"),
                    "{what}"
                );
                is_as_it_was(&fixture, &what).await;
                assert_eq!(own_tables(&fixture).await, json!([]), "{what}");
            }
            let job = job(&fixture, &good.uri(), mode);
            run(&job, config(method, several)).await.unwrap();
            let new = "(SELECT count(*) FROM t WHERE t = 'new')";
            assert_eq!(fixture.rows(new).await, json!([{"count": 1}]));
        }
    }
}

#[tokio::test]
async fn postgres_says_that_a_session_was_idle_for_too_long() {
    let fixture = Fixture::new().await;
    let server = stalling_api().await;
    make(&fixture, "").await;
    let database = target(fixture.database.url()).database;
    let limit =
        format!("ALTER DATABASE \"{database}\" SET idle_in_transaction_session_timeout = '100ms'");
    fixture.client.batch_execute(&limit).await.unwrap();
    for (method, mode, connections) in [
        (WriteMethod::Insert, WriteMode::Append, 1),
        (WriteMethod::Unnest, WriteMode::Replace, 2),
    ] {
        let job = job(&fixture, &server.uri(), mode);
        let error = run(&job, config(method, connections)).await.unwrap_err();
        assert!(
            error.chain().contains("idle-in-transaction timeout"),
            "{}",
            error.chain()
        );
        assert!(
            error
                .next_step()
                .unwrap()
                .contains("idle_in_transaction_session_timeout")
        );
        is_as_it_was(&fixture, "").await;
        assert_eq!(own_tables(&fixture).await, json!([]));
    }
}

#[tokio::test]
async fn postgres_keeps_nothing_of_a_run_that_is_dropped() {
    let fixture = Fixture::new().await;
    let server = stalling_api().await;
    for mode in MODES {
        for (method, connections) in [
            (WriteMethod::CopyBinary, 1),
            (WriteMethod::CopyText, 2),
            (WriteMethod::Insert, 2),
        ] {
            let connections = used(mode, connections);
            make(&fixture, "").await;
            let job = job(&fixture, &server.uri(), mode);
            let engine = Engine::new(config(method, connections));
            tokio::select! {
                ended = engine.run(&job, Arc::default()) => panic!("{ended:?}"),
                () = until_under_way(&fixture, connections) => {}
            }
            engine.tidied().await;
            let what = format!("{mode:?} {method} {connections}");
            assert_eq!(own_tables(&fixture).await, json!([]), "{what}");
            is_as_it_was(&fixture, &what).await;
            until(&fixture, &format!("SELECT count(*) = 0 {SESSIONS}")).await;
        }
    }
}

#[tokio::test]
async fn postgres_keeps_nothing_of_a_run_that_is_dropped_while_it_waits_for_a_lock() {
    let fixture = Fixture::new().await;
    let server = api(json!([{"id": 1, "t": "new"}])).await;
    make(&fixture, "").await;
    let holder = connect(fixture.database.url()).await;
    holder
        .batch_execute("BEGIN; SELECT * FROM t")
        .await
        .unwrap();
    for connections in [1, 2] {
        let job = job(&fixture, &server.uri(), WriteMode::Replace);
        let engine = Engine::new(config(WriteMethod::CopyText, connections));
        let waits = format!("SELECT count(*) = 1 {SESSIONS} AND wait_event_type = 'Lock'");
        tokio::select! {
            ended = engine.run(&job, Arc::default()) => panic!("{ended:?}"),
            () = until(&fixture, &waits) => {}
        }
        engine.tidied().await;
        assert_eq!(own_tables(&fixture).await, json!([]));
        until(&fixture, &format!("SELECT count(*) = 0 {SESSIONS}")).await;
        is_as_it_was(&fixture, "").await;
    }
}

/// What a process that was killed leaves behind.
async fn litter(fixture: &Fixture, job: &Job) {
    let server = stalling_api().await;
    let mut job = job.clone();
    job.sources = vec![Arc::new(crate::fixture::source("r", &server.uri()))];
    job.sink.mode = WriteMode::Replace;
    job.sink.key.clear();
    // A runtime of its own, which ends in the middle of a load as a process does.
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.spawn(async move { run(&job, config(WriteMethod::CopyText, 2)).await });
    until_under_way(fixture, 2).await;
    runtime.shutdown_background();
    until(fixture, &format!("SELECT count(*) = 0 {SESSIONS}")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_the_next_load_removes_what_a_crash_left() {
    let fixture = Fixture::new().await;
    let good = api(json!([{"id": 1, "t": "new"}])).await;
    for mode in MODES {
        for connections in [1, 2] {
            make(&fixture, "").await;
            let job = job(&fixture, &good.uri(), mode);
            litter(&fixture, &job).await;
            assert_ne!(
                own_tables(&fixture).await,
                json!([]),
                "nothing was left to remove"
            );
            run(&job, config(WriteMethod::CopyBinary, connections))
                .await
                .unwrap();
            let what = format!("{mode:?} {connections}");
            assert_eq!(own_tables(&fixture).await, json!([]), "{what}");
            let new = "(SELECT count(*) FROM t WHERE t = 'new')";
            assert_eq!(fixture.rows(new).await, json!([{"count": 1}]), "{what}");
        }
    }
}

#[tokio::test]
async fn postgres_nothing_is_named_after_the_table_that_was_filled() {
    let fixture = Fixture::new().await;
    let good = api(json!([{"id": 1, "t": "new"}])).await;
    for mode in MODES {
        for connections in [1, 2] {
            fixture
                .client
                .batch_execute("DROP TABLE IF EXISTS t")
                .await
                .unwrap();
            let mut job = job(&fixture, &good.uri(), mode);
            job.sink.key = vec!["id".into()];
            for _ in 0..2 {
                let _ = run(&job, config(WriteMethod::CopyBinary, connections)).await;
                assert_eq!(
                    own_tables(&fixture).await,
                    json!([]),
                    "{mode:?} {connections}"
                );
            }
            let key = "(SELECT conname FROM pg_constraint WHERE conrelid = 't'::regclass AND contype = 'p')";
            assert_eq!(fixture.rows(key).await, json!([{"conname": "t_pkey"}]));
        }
    }
}

#[tokio::test]
async fn postgres_a_table_cannot_be_altered_while_it_is_loaded() {
    let fixture = Fixture::new().await;
    let server = stalling_api().await;
    for mode in MODES {
        for connections in [1, 2] {
            make(&fixture, "").await;
            let job = job(&fixture, &server.uri(), mode);
            let connections = used(mode, connections);
            let engine = Engine::new(config(WriteMethod::CopyText, connections));
            let alter = async {
                until_under_way(&fixture, connections).await;
                let alter = "SET lock_timeout = '50ms'; ALTER TABLE t ALTER id TYPE int";
                fixture.client.batch_execute(alter).await.unwrap_err()
            };
            let error = tokio::select! {
                ended = engine.run(&job, Arc::default()) => panic!("{ended:?}"),
                error = alter => error,
            };
            assert_eq!(
                error.code().unwrap().code(),
                "55P03",
                "{mode:?} {connections}: {error}"
            );
            engine.tidied().await;
        }
    }
}

#[tokio::test]
async fn postgres_tables_of_one_name_are_loaded_side_by_side() {
    let fixture = Fixture::new().await;
    let server = stalling_api().await;
    let good = api(json!([{"id": 1, "t": "new"}])).await;
    fixture
        .client
        .batch_execute("CREATE SCHEMA a; CREATE SCHEMA b")
        .await
        .unwrap();
    let job = |uri: &str, table: &str| fixture.job(&[("r", uri)], "SELECT id, t FROM r", table);
    for connections in [1, 2] {
        let engine = Engine::new(config(WriteMethod::CopyText, connections));
        let slow = job(&server.uri(), "a.t");
        let others = async {
            until_under_way(&fixture, connections).await;
            for table in ["b.t", "t"] {
                run(
                    &job(&good.uri(), table),
                    config(WriteMethod::CopyText, connections),
                )
                .await
                .unwrap();
            }
            // The same table, whatever its name was resolved from.
            run(&job(&good.uri(), "a.t"), config(WriteMethod::CopyText, 1))
                .await
                .unwrap_err()
        };
        let error = tokio::select! {
            ended = engine.run(&slow, Arc::default()) => panic!("{ended:?}"),
            error = others => error,
        };
        assert!(
            error
                .to_string()
                .contains("another load of it is under way"),
            "{error}"
        );
        engine.tidied().await;
    }
}

#[tokio::test]
async fn postgres_a_lock_is_waited_for_no_longer_than_the_target_says() {
    let fixture = Fixture::new().await;
    let server = api(json!([{"id": 1, "t": "new"}])).await;
    make(&fixture, "").await;
    let holder = connect(fixture.database.url()).await;
    holder
        .batch_execute("BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE")
        .await
        .unwrap();
    for mode in MODES {
        for connections in [1, 2] {
            let mut job = job(&fixture, &server.uri(), mode);
            job.sink.target.lock_timeout = Some(Duration::from_millis(50));
            let error = run(&job, config(WriteMethod::CopyText, connections))
                .await
                .unwrap_err();
            assert!(error.chain().contains("lock timeout"), "{}", error.chain());
            assert!(error.next_step().unwrap().contains("lock_timeout"));
        }
    }
    holder.batch_execute("ROLLBACK").await.unwrap();
    is_as_it_was(&fixture, "").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_whoever_holds_a_lock_is_named() {
    let sql = USERS.replace("name=\"pg\"", "name=\"pg\", mode=\"replace\"");
    let project = Project::over(api(users(5)).await, &sql).await;
    let fixture = &project.fixture;
    fixture
        .client
        .batch_execute("CREATE TABLE users (id bigint, \"userName\" text)")
        .await
        .unwrap();
    let holder = connect(fixture.database.url()).await;
    holder
        .batch_execute("SET application_name = 'reader'; BEGIN; SELECT 'secret' FROM users")
        .await
        .unwrap();
    let pid = holder
        .query_one("SELECT pg_backend_pid()", &[])
        .await
        .unwrap()
        .get::<_, i32>(0);
    let mut child = project.command(&[]).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let line = lines
        .find(|line| line.as_ref().unwrap().contains("waiting for a lock"))
        .unwrap()
        .unwrap();
    for part in [&pid.to_string(), "reader", "idle in transaction", "SELECT"] {
        assert!(line.contains(part), "{line}");
    }
    assert!(!line.contains("secret"), "{line}");
    holder.batch_execute("COMMIT").await.unwrap();
    assert!(child.wait().unwrap().success());
    let count = "(SELECT count(*) FROM users)";
    assert_eq!(fixture.rows(count).await, json!([{"count": 5}]));
}

#[tokio::test]
async fn postgres_that_accepts_and_never_answers_is_an_error() {
    let fixture = Fixture::new().await;
    let server = api(json!([{"id": 1, "t": "new"}])).await;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut job = job(&fixture, &server.uri(), WriteMode::Append);
    job.sink.target.host = "127.0.0.1".into();
    job.sink.target.port = silent.local_addr().unwrap().port();
    job.sink.target.connect_timeout = Duration::from_millis(200);
    let error = run(&job, Config::default()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Connect);
    assert!(
        error.chain().contains("has not answered within 200ms"),
        "{}",
        error.chain()
    );
    assert!(error.next_step().unwrap().contains("connect_timeout"));
}

/// A relay to a server that falls silent as soon as a client says `word`.
async fn relay(host: String, port: u16, word: &'static [u8]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let own = listener.local_addr().unwrap().port();
    let silent = Arc::new(AtomicBool::new(false));
    tokio::spawn(async move {
        loop {
            let (mut client, _) = listener.accept().await.unwrap();
            let (host, silent) = (host.clone(), silent.clone());
            tokio::spawn(async move {
                let mut server = TcpStream::connect((host.as_str(), port)).await.unwrap();
                let (mut asked, mut answered) = (vec![0; 1 << 16], vec![0; 1 << 16]);
                loop {
                    tokio::select! {
                        count = client.read(&mut asked) => {
                            let Ok(count @ 1..) = count else { return };
                            if asked[..count].windows(word.len()).any(|bytes| bytes == word) {
                                silent.store(true, SeqCst);
                            }
                            if !silent.load(SeqCst) && server.write_all(&asked[..count]).await.is_err() {
                                return;
                            }
                        }
                        count = server.read(&mut answered) => {
                            let Ok(count @ 1..) = count else { return };
                            if !silent.load(SeqCst) && client.write_all(&answered[..count]).await.is_err() {
                                return;
                            }
                        }
                    }
                }
            });
        }
    });
    own
}

#[tokio::test]
async fn postgres_that_falls_silent_is_an_error() {
    let fixture = Fixture::new().await;
    let server = api(json!([{"id": 1, "t": "new"}])).await;
    make(&fixture, "").await;
    let real = target(fixture.database.url());
    for (method, word) in [
        (WriteMethod::CopyBinary, &b"COPY"[..]),
        (WriteMethod::Insert, b"INSERT"),
    ] {
        let mut job = job(&fixture, &server.uri(), WriteMode::Append);
        job.sink.target.host = "127.0.0.1".into();
        job.sink.target.port = relay(real.host.clone(), real.port, word).await;
        job.sink.target.connect_timeout = Duration::from_millis(200);
        job.sink.target.answer_timeout = Duration::from_millis(500);
        let error = run(&job, config(method, 1)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Connect, "{}", error.chain());
        assert!(
            error.to_string().contains("the server has not answered"),
            "{error}"
        );
        assert!(error.next_step().unwrap().contains("answer_timeout"));
        until(&fixture, &format!("SELECT count(*) = 0 {SESSIONS}")).await;
        is_as_it_was(&fixture, "").await;
    }
}

#[tokio::test]
async fn postgres_may_take_longer_than_the_answer_timeout() {
    let fixture = Fixture::new().await;
    let server = api(json!([{"id": 1, "t": "new"}])).await;
    make(&fixture, "").await;
    fixture
        .client
        .batch_execute(
            "CREATE FUNCTION slowly() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(4); RETURN NEW; END';
             CREATE TRIGGER slow BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION slowly()",
        )
        .await
        .unwrap();
    let mut job = job(&fixture, &server.uri(), WriteMode::Append);
    job.sink.target.answer_timeout = Duration::from_millis(300);
    run(&job, config(WriteMethod::Insert, 1)).await.unwrap();
}
