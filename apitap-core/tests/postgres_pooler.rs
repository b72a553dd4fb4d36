//! Loads through a pooler, by pgbouncer.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use apitap_core::config::{Config, WriteMethod, WriteMode};
use apitap_core::metrics::Metrics;
use apitap_core::server_watch::{Opened, ServerWatch};
use apitap_core::write::TargetSpec;
use apitap_core::{Engine, Job};
use serde_json::{Value, json};

use crate::fixture::{Fixture, api, connect, run, target};

/// A pgbouncer in front of a database; it ends with the test.
struct Pooler {
    child: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Pooler {
    async fn start(fixture: &Fixture, mode: &str, connections: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let server = target(fixture.database.url());
        let file = folder.path().join("pgbouncer.ini");
        let settings = format!(
            "[databases]\n* = host={} port={} user={} password={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
             listen_port = {port}\nauth_type = any\nunix_socket_dir =\npool_mode = {mode}\n\
             default_pool_size = {connections}\nquery_wait_timeout = 20\n",
            server.host,
            server.port,
            server.username,
            server.password.expose()
        );
        std::fs::write(&file, settings).unwrap();
        // Debian keeps it where not everybody looks.
        let debian = std::path::Path::new("/usr/sbin/pgbouncer");
        let program = if debian.exists() {
            debian
        } else {
            "pgbouncer".as_ref()
        };
        let mut command = Command::new(program);
        command
            .arg("-q")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        #[cfg(unix)]
        if std::fs::metadata("/proc/self")
            .is_ok_and(|me| std::os::unix::fs::MetadataExt::uid(&me) == 0)
        {
            // It refuses to run as root, and then reads its file as somebody else.
            use std::os::unix::fs::PermissionsExt as _;
            std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755))
                .unwrap();
            command.args(["-u", "nobody"]);
        }
        let child = command
            .arg(&file)
            .spawn()
            .expect("pgbouncer, which `scripts/setup --pgbouncer` installs");
        let pooler = Self {
            child,
            port,
            _folder: folder,
        };
        for _ in 0..500 {
            if tokio::net::TcpStream::connect(("127.0.0.1", port))
                .await
                .is_ok()
            {
                return pooler;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("pgbouncer does not listen");
    }

    fn target(&self, fixture: &Fixture) -> TargetSpec {
        let mut target = target(fixture.database.url());
        target.host = "127.0.0.1".into();
        target.port = self.port;
        target
    }
}

const ROWS: i64 = 25;

fn rows() -> Value {
    (0..ROWS)
        .map(|id| json!({"id": id, "v": format!("r{id}")}))
        .collect()
}

fn config(method: WriteMethod, connections: usize) -> Config {
    Config::default()
        .with(&format!("write.method={method}"))
        .and_then(|config| config.with(&format!("write.connections={connections}")))
        .and_then(|config| config.with("write.batch_rows=4"))
        .unwrap()
}

fn job(fixture: &Fixture, pooler: &Pooler, uri: &str, table: &str, mode: WriteMode) -> Job {
    let mut job = fixture.job(&[("r", uri)], "SELECT * FROM r", table);
    job.sink.target = pooler.target(fixture);
    job.sink.mode = mode;
    if mode == WriteMode::Merge {
        job.sink.key = vec!["id".into()];
    }
    job
}

/// Nobody holds a lock, and nothing is left but the tables.
async fn nothing_is_left(fixture: &Fixture) {
    let locks = "(SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database
                  WHERE locktype = 'advisory' AND datname = current_database())";
    assert_eq!(fixture.rows(locks).await, json!([{"count": 0}]));
    let own = "(SELECT relname FROM pg_class WHERE relname LIKE '\\_apitap%')";
    assert_eq!(fixture.rows(own).await, json!([]));
}

#[tokio::test]
async fn postgres_behind_a_pooler_is_loaded_in_every_way() {
    let fixture = Fixture::new().await;
    let server = api(rows()).await;
    for pool_mode in ["transaction", "session"] {
        let pooler = Pooler::start(&fixture, pool_mode, 4).await;
        for mode in [WriteMode::Append, WriteMode::Replace, WriteMode::Merge] {
            for method in WriteMethod::ALL {
                for connections in [1, 2] {
                    fixture
                        .client
                        .batch_execute("DROP TABLE IF EXISTS t")
                        .await
                        .unwrap();
                    let job = job(&fixture, &pooler, &server.uri(), "t", mode);
                    for round in 1..=2 {
                        let config = config(method, connections);
                        run(&job, config).await.unwrap_or_else(|error| {
                            panic!(
                                "{pool_mode} {mode:?} {method} {connections}: {}",
                                error.chain()
                            )
                        });
                        let count = if mode == WriteMode::Append {
                            round * ROWS
                        } else {
                            ROWS
                        };
                        let count = json!([{"count": count}]);
                        assert_eq!(fixture.rows("(SELECT count(*) FROM t)").await, count);
                    }
                }
            }
        }
        nothing_is_left(&fixture).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_behind_a_pooler_is_loaded_by_many_at_once() {
    let fixture = Fixture::new().await;
    let server = api(rows()).await;
    // Fewer connections than loads: they use those of each other.
    let pooler = Pooler::start(&fixture, "transaction", 3).await;
    let through = format!(
        "postgres://{}:x@127.0.0.1:{}/{}",
        pooler.target(&fixture).username,
        pooler.port,
        pooler.target(&fixture).database
    );
    // Names that the client uses too, left by somebody who did not know that there is a pooler.
    let careless = connect(&through).await;
    let prepare = "DO $$BEGIN FOR i IN 0..999 LOOP EXECUTE format('PREPARE s%s AS SELECT 1', i); END LOOP; END$$";
    careless.batch_execute(prepare).await.unwrap();
    for round in 0..4 {
        let loads = WriteMethod::ALL.into_iter().map(|method| {
            let table = format!("many_{}", method.name().replace('-', "_"));
            let job = job(&fixture, &pooler, &server.uri(), &table, WriteMode::Merge);
            async move { run(&job, config(method, 1)).await }
        });
        for loaded in futures::future::join_all(loads).await {
            loaded.unwrap_or_else(|error| panic!("round {round}: {}", error.chain()));
        }
    }
    nothing_is_left(&fixture).await;
}

/// Looks take no connection from a run that needs the last one, and see it where there is another.
#[tokio::test(flavor = "multi_thread")]
async fn postgres_behind_a_pooler_is_looked_at_where_there_is_room() {
    let fixture = Fixture::new().await;
    let server = api(rows()).await;
    // Half a second for all rows.
    let slow = "CREATE FUNCTION slow() RETURNS boolean LANGUAGE plpgsql AS
                $$ BEGIN PERFORM pg_sleep(0.02); RETURN true; END $$;
                CREATE TABLE t (id bigint, v text, CHECK (slow()))";
    fixture.client.batch_execute(slow).await.unwrap();
    for (pool_mode, connections) in [("transaction", 1), ("session", 1), ("transaction", 2)] {
        let pooler = Pooler::start(&fixture, pool_mode, connections).await;
        let job = job(&fixture, &pooler, &server.uri(), "t", WriteMode::Append);
        let metrics = Arc::new(Metrics::default());
        let every = Duration::from_millis(20);
        let target = job.sink.target.clone();
        let watch = ServerWatch::start(target, metrics.clone(), every, Opened::BehindTheRun).await;
        let engine = Engine::new(config(WriteMethod::CopyBinary, 1));
        let loaded = engine.run(&job, metrics).await;
        loaded.unwrap_or_else(|error| panic!("{pool_mode} {connections}: {}", error.chain()));
        let looks = watch.stop().unwrap();
        assert_eq!(
            looks.answered > 3,
            connections > 1,
            "{pool_mode}: {looks:?}"
        );
        let slept = looks.waits.iter().any(|wait| wait.event == "PgSleep");
        assert_eq!(slept, connections > 1, "{pool_mode}: {looks:?}");
    }
}

#[tokio::test]
async fn postgres_behind_a_pooler_of_statements_is_refused_before_anything_is_written() {
    let fixture = Fixture::new().await;
    let server = api(rows()).await;
    let pooler = Pooler::start(&fixture, "statement", 3).await;
    for connections in [1, 2] {
        for mode in [WriteMode::Append, WriteMode::Replace, WriteMode::Merge] {
            let job = job(&fixture, &pooler, &server.uri(), "t", mode);
            let error = run(&job, config(WriteMethod::CopyBinary, connections))
                .await
                .unwrap_err();
            let text = error.chain();
            assert!(text.contains("statement pooling mode"), "{text}");
            assert!(
                error
                    .next_step()
                    .unwrap()
                    .contains("transaction or session mode")
            );
            assert!(!fixture.exists("t").await);
        }
    }
    nothing_is_left(&fixture).await;
}
