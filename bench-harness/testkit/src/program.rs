//! A program as a user runs it: in a folder of its own, without what this shell has set for it.

use std::process::{Command, Output};

use anyhow::{Context as _, Result, ensure};

/// A command over an empty folder, without variables that begin with `APITAP_`.
///
/// # Errors
/// It cannot be started.
pub fn run(program: &str, arguments: &[&str]) -> Result<Output> {
    let folder = tempfile::tempdir()?;
    let mut command = Command::new(program);
    command.args(arguments).current_dir(folder.path());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("APITAP_") {
            command.env_remove(name);
        }
    }
    let output = command.output();
    output.with_context(|| format!("cannot start {program}"))
}

/// What a command prints that must succeed.
///
/// # Errors
/// It fails, or prints what is not UTF-8.
pub fn stdout(program: &str, arguments: &[&str]) -> Result<String> {
    let output = run(program, arguments)?;
    ensure!(output.status.success(), "{arguments:?}: {output:?}");
    Ok(String::from_utf8(output.stdout)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_runs_in_an_empty_folder() {
        assert_eq!(stdout("sh", &["-c", "ls -A"]).unwrap(), "");
        assert!(stdout("sh", &["-c", "exit 3"]).is_err());
        assert_eq!(run("sh", &["-c", "exit 3"]).unwrap().status.code(), Some(3));
    }
}
