use std::{path::Path, time::Duration};

use super::*;
use crate::cpu::{is_running, tree_cpu};

fn options(choice: PostgresChoice) -> PostgresOptions {
    PostgresOptions::new(choice)
}

async fn text(client: &Client, query: &str) -> String {
    client.query_one(query, &[]).await.unwrap().get(0)
}

#[tokio::test]
async fn local_server_runs_unprivileged_and_is_gone_after_drop() {
    let server = PostgresServer::start(&options(PostgresChoice::Local))
        .await
        .unwrap();
    let pid = server.postmaster_pid().unwrap();
    assert_eq!(server.kind(), "local");
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    assert!(status.contains("Name:\tpostgres"), "{status}");
    assert!(!status.contains("Uid:\t0\t"), "{status}");
    let client = connect(server.url()).await.unwrap();
    let folder = text(&client, "SELECT current_setting('data_directory')").await;
    assert!(Path::new(&folder).exists());
    assert!(!server.url().contains("@localhost"));

    drop(server);
    assert!(!is_running(pid));
    assert!(!Path::new(&folder).parent().unwrap().exists());
    assert!(client.simple_query("SELECT 1").await.is_err());
}

#[tokio::test]
async fn local_server_honours_durability_storage_and_settings() {
    let mut options = options(PostgresChoice::Local);
    options.storage = PgStorage::Tmpfs;
    options.durable = false;
    options.extra_settings = vec![("max_wal_size".to_owned(), "3GB".to_owned())];
    let server = PostgresServer::start(&options).await.unwrap();
    let setting = |name: &str| server.settings().get(name).unwrap().as_str();
    assert_eq!(setting("fsync"), "off");
    assert_eq!(setting("synchronous_commit"), "off");
    assert_eq!(setting("full_page_writes"), "off");
    assert_eq!(setting("max_wal_size"), "3GB");
    let client = connect(server.url()).await.unwrap();
    let folder = text(&client, "SELECT current_setting('data_directory')").await;
    assert!(folder.starts_with("/dev/shm/"), "{folder}");
    assert_eq!(server.storage(), Some(PgStorage::Tmpfs));
}

#[tokio::test]
async fn local_server_is_durable_unless_asked() {
    let server = PostgresServer::start(&options(PostgresChoice::Local))
        .await
        .unwrap();
    assert_eq!(server.settings()["fsync"], "on");
    assert_eq!(server.settings()["synchronous_commit"], "on");
    assert_eq!(server.settings()["full_page_writes"], "on");
}

#[tokio::test]
async fn local_server_asks_for_its_password() {
    let server = PostgresServer::start(&options(PostgresChoice::Local))
        .await
        .unwrap();
    let mut url = url::Url::parse(server.url()).unwrap();
    url.set_password(Some("wrong")).unwrap();
    let error = connect(url.as_str()).await.err().unwrap();
    assert!(
        format!("{error:#}").contains("password authentication failed"),
        "{error:#}"
    );
    assert!(!format!("{error:#}").contains("wrong"), "{error:#}");
}

#[tokio::test]
async fn local_server_recovers_what_was_committed_before_a_crash() {
    let mut server = PostgresServer::start(&options(PostgresChoice::Local))
        .await
        .unwrap();
    let client = connect(server.url()).await.unwrap();
    for statements in ["CREATE TABLE kept ()", "BEGIN; CREATE TABLE lost ()"] {
        client.batch_execute(statements).await.unwrap();
    }
    let pid = server.postmaster_pid().unwrap();
    server.crash().await.unwrap();
    assert_ne!(server.postmaster_pid(), Some(pid));
    assert!(client.simple_query("COMMIT").await.is_err());
    let client = connect(server.url()).await.unwrap();
    let tables = "SELECT to_regclass('kept')::text || coalesce(to_regclass('lost')::text, '')";
    assert_eq!(text(&client, tables).await, "kept");
}

#[tokio::test]
async fn cpu_time_of_ended_backends_still_counts() {
    let server = PostgresServer::start(&options(PostgresChoice::Local))
        .await
        .unwrap();
    let pid = server.postmaster_pid().unwrap();
    let before = tree_cpu(pid).unwrap();
    let client = connect(server.url()).await.unwrap();
    let query = "SELECT sum(sqrt(n))::text FROM generate_series(1, 2000000) n";
    text(&client, query).await;
    drop(client);
    tokio::time::sleep(Duration::from_millis(200)).await;
    let spent = tree_cpu(pid).unwrap() - before;
    assert!(spent > Duration::from_millis(50), "{spent:?}");
}

#[tokio::test]
async fn local_server_that_cannot_start_says_why() {
    let mut options = options(PostgresChoice::Local);
    options.extra_settings = vec![("shared_buffers".to_owned(), "lots".to_owned())];
    let error = PostgresServer::start(&options).await.err().unwrap();
    let message = format!("{error:#}");
    assert!(
        message.contains("invalid value for parameter \"shared_buffers\""),
        "{message}"
    );
}

#[tokio::test]
async fn a_folder_without_binaries_is_named() {
    let mut options = options(PostgresChoice::Local);
    options.bin_dir = Some("/nowhere".into());
    let error = PostgresServer::start(&options).await.err().unwrap();
    assert!(format!("{error:#}").contains("/nowhere"), "{error:#}");
}

#[tokio::test]
async fn a_url_is_used_as_it_is_and_never_stopped() {
    let owner = PostgresServer::start(&options(PostgresChoice::Local))
        .await
        .unwrap();
    let choice = owner.url().parse().unwrap();
    let server = PostgresServer::start(&options(choice)).await.unwrap();
    assert_eq!((server.kind(), server.postmaster_pid()), ("url", None));
    assert_eq!(server.version(), owner.version());
    drop(server);
    let url = owner.create_database("another one").await.unwrap();
    let client = connect(&url).await.unwrap();
    assert_eq!(
        text(&client, "SELECT current_database()::text").await,
        "another one"
    );
}

#[tokio::test]
async fn an_unreachable_url_is_named_without_its_password() {
    let choice = "postgres://u:secret@127.0.0.1:1/d".parse().unwrap();
    let error = PostgresServer::start(&options(choice)).await.err().unwrap();
    let message = format!("{error:#}");
    assert!(
        message.contains("127.0.0.1:1/d") && !message.contains("secret"),
        "{message}"
    );
}

/// Also the newest server that `scripts/setup --postgres 18` can fetch, where it is.
#[tokio::test]
async fn other_binaries_are_used_when_their_folder_is_given() {
    let newest = std::env::var_os("APITAP_PG18_BIN").map(Into::into);
    let installed = || {
        installed_binaries()
            .into_iter()
            .next()
            .map(|found| found.dir)
    };
    let mut options = options(PostgresChoice::Local);
    options.bin_dir = newest.or_else(installed);
    let server = PostgresServer::start(&options).await.unwrap();
    if std::env::var_os("APITAP_PG18_BIN").is_some() {
        assert!(server.version().starts_with("18"), "{}", server.version());
    }
}

/// Run by `scripts/test --docker` alone: see `.config/nextest.toml`.
#[tokio::test]
async fn docker_server_is_measured_like_any_other_and_gone_after_drop() {
    let mut options = options(PostgresChoice::Docker);
    options.storage = PgStorage::Tmpfs;
    options.extra_settings = vec![("max_wal_size".to_owned(), "3GB".to_owned())];
    let server = PostgresServer::start(&options).await.unwrap();
    assert_eq!(server.kind(), "docker");
    assert_eq!(server.settings()["fsync"], "on");
    assert_eq!(server.settings()["max_wal_size"], "3GB");
    assert!(server.image_digest().unwrap().contains("sha256:"));
    let pid = server.postmaster_pid().unwrap();
    assert!(tree_cpu(pid).unwrap() > Duration::ZERO);
    let client = connect(server.url()).await.unwrap();
    let folder = text(&client, "SELECT current_setting('data_directory')").await;
    assert_eq!(folder, "/var/lib/apitap/data");

    drop(server);
    assert!(!is_running(pid));
    assert!(client.simple_query("SELECT 1").await.is_err());
}

#[tokio::test]
async fn docker_server_that_cannot_start_says_why_and_leaves_nothing() {
    let mut options = options(PostgresChoice::Docker);
    options.extra_settings = vec![("shared_buffers".to_owned(), "lots".to_owned())];
    let error = PostgresServer::start(&options).await.err().unwrap();
    let message = format!("{error:#}");
    assert!(
        message.contains("invalid value for parameter \"shared_buffers\""),
        "{message}"
    );
}
