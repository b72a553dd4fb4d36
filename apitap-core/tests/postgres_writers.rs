//! Differential: every writer loads the same table of every workload, on every server at hand,
//! and it is the table that the generator says.

use apitap_core::config::{Config, WriteMethod};
use testkit::mock_api::{MockApiOptions, serve};
use testkit::postgres::{PostgresChoice, PostgresOptions, PostgresServer};
use testkit::workload::{Expectation, Workload};

use crate::fixture::{Fixture, connect, run, source, target};

const ROWS: u64 = 1_500;

async fn load_all(url: &str, jobs: &Fixture) {
    let client = connect(url).await;
    for name in Workload::names() {
        let workload = Workload::named(name).unwrap();
        let api = serve(&MockApiOptions::new(name, ROWS)).await.unwrap();
        let expected = workload.expectation(ROWS);
        for method in WriteMethod::ALL {
            for (path, partitions) in [("tape", 1), ("rows", 2)] {
                let table = format!("{name}_{}_{path}", method.name().replace('-', "_"));
                let mut job = jobs.job(
                    &[(name, api.url())],
                    &format!("SELECT * FROM {name}"),
                    &table,
                );
                job.sink.target = target(url);
                job.sources = vec![source(name, api.url()).into()];
                let mut config = Config::default();
                for setting in [
                    format!("write.method={method}"),
                    format!("decode.path={path}"),
                    format!("transform.partitions={partitions}"),
                    // Sizes that divide neither each other nor the rows.
                    "write.batch_rows=701".into(),
                    "source.page_rows=97".into(),
                    "infer.sample_rows=1500".into(),
                ] {
                    config = config.with(&setting).unwrap();
                }
                let report = run(&job, config).await.unwrap();
                assert_eq!(
                    (report.rows_read, report.rows_written),
                    (ROWS, ROWS),
                    "{table}"
                );
                let first = report.first_row_seconds.unwrap();
                assert!(first > 0.0 && first <= report.wall_seconds, "{table}");
                let landed = Expectation::landed(&client, &workload, &table)
                    .await
                    .unwrap();
                assert_eq!(landed, expected, "{table}");
                check_types(&client, &workload, &table).await;
            }
        }
    }
}

/// The columns must have the types that the workload names, not merely equal values.
async fn check_types(client: &tokio_postgres::Client, workload: &Workload, table: &str) {
    let rows = client
        .query(
            "SELECT attname::text, upper(format_type(atttypid, atttypmod)) FROM pg_attribute
             WHERE attrelid = $1::text::regclass AND attnum > 0 ORDER BY attnum",
            &[&table],
        )
        .await
        .unwrap();
    let found: Vec<(String, String)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    for column in workload.columns() {
        let wanted = match column.kind.postgres_type() {
            "TIMESTAMPTZ" => "TIMESTAMP WITH TIME ZONE",
            other => other,
        };
        assert!(
            found
                .iter()
                .any(|(name, found)| *name == column.name && found == wanted),
            "{table}: {} {wanted} in {found:?}",
            column.name
        );
    }
}

#[tokio::test]
async fn postgres_holds_the_same_table_whoever_wrote_it() {
    let fixture = Fixture::new().await;
    load_all(fixture.database.url(), &fixture).await;
}

/// Runs where `scripts/setup --postgres 18` has put the binaries; `scripts/test` sees to it.
#[tokio::test]
async fn postgres_18_holds_the_same_table_whoever_wrote_it() {
    let Some(folder) = std::env::var_os("APITAP_PG18_BIN") else {
        eprintln!("APITAP_PG18_BIN is not set: no PostgreSQL 18 here");
        return;
    };
    let mut options = PostgresOptions::new(PostgresChoice::Local);
    options.bin_dir = Some(folder.into());
    options.durable = false;
    let server = PostgresServer::start(&options).await.unwrap();
    assert!(server.version().starts_with("18"), "{}", server.version());
    load_all(server.url(), &Fixture::new().await).await;
}
