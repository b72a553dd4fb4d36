//! What `apitap-bench` prints about itself, and where it runs.

use std::process::Output;

use testkit::program;

fn run(arguments: &[&str]) -> Output {
    program::run(env!("CARGO_BIN_EXE_apitap-bench"), arguments).unwrap()
}

fn stdout(arguments: &[&str]) -> String {
    program::stdout(env!("CARGO_BIN_EXE_apitap-bench"), arguments).unwrap()
}

#[test]
fn it_lists_its_own_experiments_in_an_empty_folder() {
    let text = stdout(&["list"]);
    for part in [
        "a-a: ",
        "copy-vs-insert: ",
        "experiments are from this program",
        "  orders ",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let text = stdout(&["gate", "--list"]);
    assert!(text.contains("tuned"), "{text}");
}

#[test]
fn a_named_folder_of_experiments_wins() {
    let output = run(&["list", "--experiments", "nowhere"]);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(
        !output.status.success() && stderr.contains("nowhere"),
        "{stderr}"
    );
}

#[test]
fn help_names_the_commands_in_the_order_of_their_use() {
    let text = stdout(&["--help"]);
    let names = [
        "run", "gate", "profile", "compare", "report", "doctor", "list", "history", "mock-api",
        "dev",
    ];
    let places: Vec<usize> = names
        .iter()
        .map(|name| text.find(&format!("\n  {name} ")).unwrap())
        .collect();
    assert!(places.is_sorted(), "{text}");
    assert!(!text.contains("\n  worker ") && !text.contains("\n  kernel "));
}

#[test]
fn it_prints_completions_and_its_man_page() {
    for (shell, part) in [
        ("bash", "complete -F"),
        ("fish", "complete -c apitap-bench"),
        ("zsh", "#compdef apitap-bench"),
    ] {
        assert!(stdout(&["completions", shell]).contains(part), "{shell}");
    }
    assert!(stdout(&["man"]).contains(".TH apitap-bench 1"));
}

#[test]
fn the_version_ends_its_line() {
    let version = concat!("apitap-bench ", env!("CARGO_PKG_VERSION"), "\n");
    assert_eq!(stdout(&["--version"]), version);
}
