//! docs/template: an experiment of one's own in a repository of one's own, whose benchmark is compiled and run here.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;
use testkit::test_database::test_database;

const PROGRAM: &str = env!("CARGO_BIN_EXE_apitap-bench");

/// The crate of the template, under its name.
#[path = "../../docs/template/src/lib.rs"]
#[allow(unreachable_pub)]
mod my_load;

mod benchmark {
    use super::my_load;

    include!("../../docs/template/benches/own.rs");

    #[test]
    fn the_benchmark_of_the_template_finds_the_faster_way() {
        main().unwrap();
    }
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A copy of the template, as its user makes one.
fn copied() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let template = repository().join("docs/template/.");
    let mut copy = Command::new("cp");
    succeeded(copy.arg("-r").arg(template).arg(folder.path()));
    folder
}

fn succeeded(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {stderr}");
    output
}

#[test]
fn cargo_finds_the_benchmark_of_the_template() {
    let folder = copied();
    let mut metadata = Command::new(env!("CARGO"));
    metadata.args(["metadata", "--no-deps", "--offline", "--format-version=1"]);
    let output = succeeded(metadata.current_dir(folder.path()));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let package = &metadata["packages"][0];
    let targets = package["targets"].as_array().unwrap().iter();
    let kinds: Vec<(&Value, &Value)> = targets.map(|one| (&one["name"], &one["kind"][0])).collect();
    assert!(
        kinds
            .iter()
            .any(|(name, kind)| *name == "my_load" && *kind == "lib")
            && kinds
                .iter()
                .any(|(name, kind)| *name == "own" && *kind == "bench"),
        "{kinds:?}"
    );
    let mut needs = package["dependencies"].as_array().unwrap().iter();
    let harness = needs.find(|one| one["name"] == env!("CARGO_PKG_NAME"));
    let path = harness.unwrap()["path"].as_str().unwrap();
    assert!(path.ends_with("apitap/bench-harness"), "{path}");
}

#[test]
fn the_template_has_a_claim_and_the_control() {
    let folder = copied();
    let experiments = folder.path().join("experiments");
    let mut list = Command::new(PROGRAM);
    let output = succeeded(list.arg("list").arg("--experiments").arg(&experiments));
    let listed = String::from_utf8_lossy(&output.stdout);
    assert!(listed.contains("own: Larger flushes"), "{listed}");
    let control = |folder: &Path| fs::read_to_string(folder.join("a-a.toml")).unwrap();
    let built_in = repository().join("fixtures/experiments");
    assert_eq!(control(&experiments), control(&built_in));
}

#[tokio::test]
async fn the_pipeline_of_the_template_loads_into_postgres() {
    let database = test_database().await.unwrap();
    let folder = copied();
    let apitap = Path::new(PROGRAM).with_file_name("apitap");
    let arm = format!("{} -m sql -y pipelines.yaml", apitap.display());
    let mut compare = Command::new(PROGRAM);
    compare.args(["compare", "--rows=200", "--blocks=1", "--out=runs"]);
    compare.args(["--arm", &format!("tuned={arm}")]);
    compare.args(["--arm", &format!("before={arm} --preset before")]);
    compare.args(["--postgres", database.url()]);
    succeeded(compare.current_dir(folder.path()));
}
