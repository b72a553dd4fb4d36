//! What `apitap` prints about itself.

use std::process::Output;

use testkit::program;

fn run(arguments: &[&str]) -> Output {
    program::run(env!("CARGO_BIN_EXE_apitap"), arguments).unwrap()
}

fn stdout(arguments: &[&str]) -> String {
    program::stdout(env!("CARGO_BIN_EXE_apitap"), arguments).unwrap()
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

#[test]
fn it_has_no_colours_where_there_is_no_terminal() {
    let wrong = run(&["--no-such-option"]);
    for text in [stdout(&["--help"]).into_bytes(), wrong.stderr] {
        assert!(
            !text.contains(&b'\x1b'),
            "{}",
            String::from_utf8_lossy(&text)
        );
    }
}
