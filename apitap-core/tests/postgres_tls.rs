//! TLS to PostgreSQL: every `sslmode`, against a server with a certificate of its own.

use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;
use std::process::Command;

use apitap_core::ErrorKind;
use apitap_core::config::Config;
use apitap_core::write::SslMode;
use serde_json::json;
use testkit::postgres::{PostgresChoice, PostgresOptions, PostgresServer};

use crate::fixture::{Fixture, api, connect, run, target};

/// A server whose certificate is for `localhost` and signed by itself.
async fn tls_server(folder: &Path) -> PostgresServer {
    let certified = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    let (certificate, key) = (folder.join("server.crt"), folder.join("server.key"));
    std::fs::write(&certificate, certified.cert.pem()).unwrap();
    std::fs::write(&key, certified.signing_key.serialize_pem()).unwrap();
    std::fs::set_permissions(folder, PermissionsExt::from_mode(0o755)).unwrap();
    std::fs::set_permissions(&key, PermissionsExt::from_mode(0o600)).unwrap();
    if std::fs::metadata(folder).unwrap().uid() == 0 {
        // The server runs as `postgres` then, and wants the key to be its own.
        let id = Command::new("id")
            .args(["-u", "postgres"])
            .output()
            .unwrap();
        let id = String::from_utf8(id.stdout)
            .unwrap()
            .trim()
            .parse()
            .unwrap();
        chown(&key, Some(id), None).unwrap();
    }
    let mut options = PostgresOptions::new(PostgresChoice::Local);
    options.durable = false;
    options.extra_settings = vec![
        ("ssl".into(), "on".into()),
        ("ssl_cert_file".into(), certificate.display().to_string()),
        ("ssl_key_file".into(), key.display().to_string()),
    ];
    PostgresServer::start(&options).await.unwrap()
}

#[tokio::test]
async fn postgres_is_spoken_to_as_sslmode_says() {
    let folder = tempfile::tempdir().unwrap();
    let server = tls_server(folder.path()).await;
    let fixture = Fixture::new().await;
    let source = api(json!([{"id": 1}])).await;
    let uri = source.uri();
    // The load leaves behind what the server says of its own connection.
    let client = connect(server.url()).await;
    client
        .batch_execute(
            "CREATE TABLE t (id bigint, tls boolean);
             CREATE FUNCTION tls() RETURNS trigger LANGUAGE plpgsql AS
               'BEGIN NEW.tls := (SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()); RETURN NEW; END';
             CREATE TRIGGER tls BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION tls()",
        )
        .await
        .unwrap();
    let certificate = folder.path().join("server.crt");
    let mut round_trips = Vec::new();
    for (sslmode, host, root, outcome) in [
        (SslMode::Disable, "127.0.0.1", None, Ok(false)),
        (SslMode::Prefer, "127.0.0.1", None, Ok(true)),
        (SslMode::Require, "127.0.0.1", None, Ok(true)),
        (
            SslMode::VerifyFull,
            "localhost",
            Some(&certificate),
            Ok(true),
        ),
        // Nobody vouches for the certificate, or it is for another name.
        (SslMode::VerifyFull, "localhost", None, Err(())),
        (
            SslMode::VerifyFull,
            "127.0.0.1",
            Some(&certificate),
            Err(()),
        ),
    ] {
        client.batch_execute("TRUNCATE t").await.unwrap();
        let mut job = fixture.job(&[("s", &uri)], "SELECT id FROM s", "t");
        job.sink.target = target(server.url());
        job.sink.target.sslmode = sslmode;
        job.sink.target.host = host.into();
        job.sink.target.sslrootcert = root.cloned();
        job.sink.mode = apitap_core::config::WriteMode::Append;
        let result = run(&job, Config::default()).await;
        match outcome {
            Ok(encrypted) => {
                round_trips.push(result.unwrap().round_trips);
                let row = client.query_one("SELECT tls FROM t", &[]).await.unwrap();
                assert_eq!(row.get::<_, bool>(0), encrypted, "{sslmode:?}");
            }
            Err(()) => {
                let error = result.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Connect, "{error:?}");
                assert!(error.chain().contains("certificate"), "{}", error.chain());
            }
        }
    }
    // They are counted above TLS.
    assert!(round_trips[0] > 0 && round_trips.iter().all(|one| *one == round_trips[0]));
    // A server without TLS: `prefer` goes on without, `require` does not.
    for (sslmode, works) in [(SslMode::Prefer, true), (SslMode::Require, false)] {
        let mut job = fixture.job(&[("s", &uri)], "SELECT id FROM s", "t");
        job.sink.target.sslmode = sslmode;
        assert_eq!(
            run(&job, Config::default()).await.is_ok(),
            works,
            "{sslmode:?}"
        );
    }
}
