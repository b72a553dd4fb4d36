//! `docs/cli.md` and `docs/knobs.md` show what the programs say of themselves.

use std::fmt::Write as _;
use std::path::Path;

use apitap_core::Config;
use apitap_core::config::knobs::KNOBS;
use clap::Command;

const BEGIN: &str = "<!-- generated:begin -->\n";
const END: &str = "<!-- generated:end -->";

/// The width of help in the documentation, in characters.
const WIDTH: usize = 100;

#[test]
fn the_documentation_has_the_command_lines() {
    let commands = [apitap_core::cli::command(), bench_harness::command()];
    check("cli.md", &commands.map(command_text));
}

#[test]
fn the_documentation_has_the_knobs() {
    check("knobs.md", &[knobs()]);
}

/// Compares the generated parts of a file, or with `UPDATE_DOCS` writes them.
fn check(file: &str, parts: &[String]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../docs")
        .join(file);
    let text = std::fs::read_to_string(&path).unwrap();
    let mut pieces = text.split(BEGIN);
    let mut expected = pieces.next().unwrap().to_owned();
    let mut parts = parts.iter();
    for piece in pieces {
        let (_, after) = piece.split_once(END).unwrap();
        let part = parts.next().unwrap();
        expected += &format!("{BEGIN}{part}{END}{after}");
    }
    assert_eq!(parts.next(), None, "{file} has too few generated parts");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, expected).unwrap();
    } else {
        assert!(
            text == expected,
            "docs/{file} is not up to date: run UPDATE_DOCS=1 cargo test --workspace --test main docs::"
        );
    }
}

/// The help of a command and of its subcommands.
fn command_text(command: Command) -> String {
    let mut command = without_environment(command).term_width(WIDTH);
    command.build();
    let mut text = String::new();
    describe(&mut command, &mut text);
    text
}

/// Without the values that variables happen to have.
fn without_environment(command: Command) -> Command {
    let command = command.mut_args(|argument| argument.hide_env_values(true));
    command.mut_subcommands(without_environment)
}

fn describe(command: &mut Command, text: &mut String) {
    let name = command.get_bin_name().unwrap_or(command.get_name());
    let _ = writeln!(text, "### `{name}`\n");
    if let Some(about) = command.get_long_about().or(command.get_about()) {
        let _ = writeln!(text, "{about}\n");
    }
    let help = command.clone().about("").render_help().to_string();
    let lines: Vec<&str> = help.trim().lines().map(str::trim_end).collect();
    let _ = writeln!(text, "```text\n{}\n```\n", lines.join("\n"));
    for subcommand in command.get_subcommands_mut() {
        if !subcommand.is_hide_set() && subcommand.get_name() != "help" {
            describe(subcommand, text);
        }
    }
    while text.ends_with("\n\n") {
        text.pop();
    }
    text.push('\n');
}

fn knobs() -> String {
    let presets = ["tuned", "before"].map(|name| Config::preset(name).unwrap());
    let mut text =
        "| knob | values | `tuned` | `before` | what it does |\n|---|---|---|---|---|\n".to_owned();
    for knob in KNOBS {
        let [tuned, before] = presets
            .each_ref()
            .map(|preset| grouped(&knob.value(preset)));
        let before = if before == tuned { "" } else { &before };
        let about = match knob.detail {
            "" => knob.about.to_owned(),
            detail => format!("{}; {detail}", knob.about),
        };
        let values = grouped(&knob.values.to_string());
        let _ = writeln!(
            text,
            "| `{}` | {values} | {tuned} | {before} | {about} |",
            knob.name
        );
    }
    text
}

/// With a comma between every three digits of its numbers.
fn grouped(text: &str) -> String {
    let words = text.split(' ').map(|word| {
        if !word.bytes().all(|byte| byte.is_ascii_digit()) {
            return word.to_owned();
        }
        let digits = word.bytes().enumerate();
        let with_commas = digits.flat_map(|(at, digit)| {
            let comma = at > 0 && (word.len() - at) % 3 == 0;
            comma.then_some(',').into_iter().chain([char::from(digit)])
        });
        with_commas.collect()
    });
    words.collect::<Vec<String>>().join(" ")
}
