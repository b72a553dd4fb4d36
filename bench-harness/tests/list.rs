//! `apitap-bench list`.

use std::process::Stdio;

use tokio::process::Command;

fn list() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_apitap-bench"));
    command.arg("list");
    command
}

#[tokio::test]
async fn every_experiment_is_listed_with_its_claim() {
    let output = list().output().await.unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.contains("copy-vs-insert: COPY instead of INSERT\n  claim     10-100x faster"),
        "{text}"
    );
}

#[tokio::test]
async fn a_reader_that_goes_away_is_no_error() {
    let mut child = list()
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().await.unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert!(output.status.success());
}
