//! What `apitap` prints about itself.

use std::process::{Command, Output};

fn run(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_apitap"));
    let folder = tempfile::tempdir().unwrap();
    command
        .args(arguments)
        .current_dir(folder.path())
        .output()
        .unwrap()
}

fn stdout(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn it_prints_completions_and_its_man_page() {
    for (shell, part) in [
        ("bash", "_apitap()"),
        ("fish", "complete -c apitap"),
        ("zsh", "#compdef apitap"),
    ] {
        assert!(stdout(&["completions", shell]).contains(part), "{shell}");
    }
    assert!(stdout(&["man"]).contains(".TH apitap 1"));
}

#[test]
fn the_version_ends_its_line() {
    let version = concat!("apitap ", env!("CARGO_PKG_VERSION"), "\n");
    assert_eq!(stdout(&["--version"]), version);
}

#[test]
fn help_lists_the_knobs() {
    let text = stdout(&["--help"]);
    for part in [
        "write.method=copy-binary",
        "source.concurrency=4",
        "1 to 1024",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn a_module_may_have_the_name_of_a_command() {
    let output = run(&["-m", "sql", "man"]);
    assert_eq!(output.status.code(), Some(2));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("pipelines.yaml"), "{stderr}");
}
