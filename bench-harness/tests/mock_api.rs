//! The mock API as a process.

use std::path::Path;
use std::time::Duration;

use testkit::mock_api::{MockApiOptions, MockApiProcess, measure_ceiling};
use testkit::workload::Workload;

fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_apitap-bench"))
}

#[tokio::test]
async fn a_process_serves_the_rows_of_its_workload_and_ends() {
    let options = MockApiOptions::new("orders", 2_500);
    let api = MockApiProcess::start_with(program(), &options)
        .await
        .unwrap();
    assert_eq!(api.ready().rows, 2_500);
    let ceiling = measure_ceiling(api.url(), 2_500, 1_000, 2).await.unwrap();
    let mut expected = Vec::new();
    let orders = Workload::named("orders").unwrap();
    for (first, rows) in [(0, 1_000), (1_000, 1_000), (2_000, 500)] {
        orders.render_page(first, rows, &mut expected);
    }
    assert_eq!(ceiling.bytes, expected.len() as u64);

    let url = api.url().to_owned();
    api.stop().await.unwrap();
    assert!(measure_ceiling(&url, 1, 1, 1).await.is_err());
}

#[tokio::test]
async fn a_workload_that_is_not_there_is_an_error_and_no_hang() {
    let options = MockApiOptions::new("nonsense", 1);
    let started = MockApiProcess::start_with(program(), &options);
    let error = tokio::time::timeout(Duration::from_secs(30), started)
        .await
        .unwrap()
        .unwrap_err();
    assert!(error.to_string().contains("nonsense"), "{error:#}");
}
