//! The commands that are compared, and their names.

use std::path::Path;

use anyhow::{Result, ensure};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A command that is compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Arm {
    /// Its name in tables.
    pub(crate) name: String,
    /// For `sh -c`; in files without the passwords of URLs.
    pub(crate) command: String,
    /// Whether an empty text counts as NULL in what it loads.
    pub(crate) empty_text_is_null: bool,
    /// What its table has other than the workload's beside the right rows, such as types; empty until it ran.
    pub(crate) differences: Vec<String>,
}

/// Reads arms as they are typed, `[NAME=]COMMAND`; an empty text counts as NULL for those that `empty_as_null`
/// names.
///
/// # Errors
/// With fewer than two, a command that is empty, a name that two have, and one that none has.
pub(crate) fn arms(typed: &[String], empty_as_null: &[String]) -> Result<Vec<Arm>> {
    ensure!(typed.len() > 1, "--arm: give two or more, to compare");
    let mut arms: Vec<Arm> = Vec::new();
    for typed in typed {
        let (given, command) = split(typed);
        ensure!(
            !command.trim().is_empty(),
            "--arm: {typed:?} has no command"
        );
        let is_taken = |name: &str| arms.iter().any(|arm| arm.name == name);
        let name = match given {
            Some(name) => name.to_owned(),
            None => unused(&program(command), is_taken),
        };
        ensure!(!is_taken(&name), "--arm: two are called {name}");
        arms.push(Arm {
            empty_text_is_null: empty_as_null.contains(&name),
            name,
            command: command.to_owned(),
            differences: Vec::new(),
        });
    }
    for name in empty_as_null {
        let is_known = arms.iter().any(|arm| arm.name == *name);
        ensure!(is_known, "--empty-as-null: no arm is called {name}");
    }
    Ok(arms)
}

/// The name, where there is one, and the command.
fn split(typed: &str) -> (Option<&str>, &str) {
    match typed.split_once('=') {
        Some((name, command)) if is_name(name) => (Some(name), command),
        _ => (None, typed),
    }
}

/// Not the name of a variable, which a command may begin with: these have capitals or underscores.
fn is_name(text: &str) -> bool {
    let is_part =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte);
    !text.is_empty() && text.bytes().all(is_part)
}

/// The program that a command begins with, without its folder.
fn program(command: &str) -> String {
    let mut words = command.split_whitespace();
    let word = words.find(|word| !word.contains('=')).unwrap_or("command");
    let file = Path::new(word)
        .file_name()
        .unwrap_or_default()
        .to_string_lossy();
    match file.trim_matches(|c: char| !c.is_alphanumeric()) {
        "" => "command".to_owned(),
        name => name.to_owned(),
    }
}

/// `name`, or with the first number that makes it unused.
fn unused(name: &str, is_taken: impl Fn(&str) -> bool) -> String {
    let mut unused = name.to_owned();
    let mut nth = 1;
    while is_taken(&unused) {
        nth += 1;
        unused = format!("{name}-{nth}");
    }
    unused
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(typed: &[&str], empty_as_null: &[&str]) -> Result<Vec<Arm>> {
        let owned = |texts: &[&str]| {
            texts
                .iter()
                .map(|&text| text.to_owned())
                .collect::<Vec<_>>()
        };
        arms(&owned(typed), &owned(empty_as_null))
    }

    fn names(typed: &[&str]) -> Vec<String> {
        let arms = read(typed, &[]).unwrap().into_iter();
        arms.map(|arm| arm.name).collect()
    }

    #[test]
    fn an_arm_has_the_name_that_it_is_given_or_that_of_its_program() {
        assert_eq!(
            names(&[
                "apitap -m sql",
                "/usr/bin/python3.11 a.py --n=1",
                "dlt-csv=python b.py"
            ]),
            ["apitap", "python3.11", "dlt-csv"]
        );
        assert_eq!(
            names(&[
                "psql -f a",
                "psql -f b",
                "PGOPTIONS=-cx psql -f c",
                "(psql; psql)"
            ]),
            ["psql", "psql-2", "psql-3", "psql-4"]
        );
        assert_eq!(names(&["A=1", "$(( 1 ))"]), ["command", "command-2"]);
    }

    #[test]
    fn the_command_is_what_follows_the_name() {
        let arms = read(&["a=X=1 b=2 c", "d"], &["d"]).unwrap();
        assert_eq!(
            (arms[0].command.as_str(), arms[1].command.as_str()),
            ("X=1 b=2 c", "d")
        );
        assert_eq!(
            (arms[0].empty_text_is_null, arms[1].empty_text_is_null),
            (false, true)
        );
    }

    #[test]
    fn what_cannot_be_compared_is_refused() {
        let refused = |typed: &[&str], empty: &[&str]| read(typed, empty).unwrap_err().to_string();
        assert!(refused(&["a"], &[]).contains("two or more"));
        assert!(refused(&["a", "b= "], &[]).contains("no command"));
        assert!(refused(&["a=x", "a=y"], &[]).contains("two are called a"));
        assert!(refused(&["x", "y"], &["z"]).contains("no arm is called z"));
    }
}
