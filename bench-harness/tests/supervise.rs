//! What the process tree of a command used, of real processes.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// Runs `command` under the supervisor, in `folder`; returns what was used.
fn supervised(folder: &Path, command: &str) -> Value {
    let job = json!({ "command": command, "output": folder.join("output") });
    let mut supervisor = Command::new(env!("CARGO_BIN_EXE_apitap-bench"))
        .arg("supervise")
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = supervisor.stdin.take().unwrap();
    stdin.write_all(job.to_string().as_bytes()).unwrap();
    drop(stdin);
    let output = supervisor.wait_with_output().unwrap();
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).unwrap()
}

fn cpu_seconds(command: &str) -> f64 {
    let folder = tempfile::tempdir().unwrap();
    let used = supervised(folder.path(), command);
    assert_eq!(used["failure"], Value::Null);
    used["cpu_seconds"].as_f64().unwrap()
}

/// Some tenths of a second of work.
const WORK: &str = "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done";

#[test]
fn the_work_of_children_is_counted_and_of_those_that_nobody_waits_for() {
    let nothing = cpu_seconds("true");
    let own = cpu_seconds(WORK);
    assert!(own > nothing + 0.05, "{own} beside {nothing}");
    // A child of the shell; one in a session of its own, whose parent ended at once.
    for child in [
        format!("sh -c '{WORK}'; true"),
        format!("(setsid sh -c '{WORK}; touch done' &); until [ -e done ]; do sleep 0.05; done"),
    ] {
        let seconds = cpu_seconds(&child);
        assert!(seconds > 0.6 * own, "{seconds} instead of {own}: {child}");
    }
}

#[test]
fn memory_is_that_of_all_processes_at_once() {
    let folder = tempfile::tempdir().unwrap();
    // tail holds what it is to print, until all of `count` hold it.
    let holds = |count: usize| {
        let full =
            format!("touch full-{count}-$$; until [ $(ls | grep -c full-{count}) = {count} ]");
        let waits = format!("{full}; do sleep 0.05; done; sleep 1");
        format!("sh -c 'head -c 60000000 /dev/zero; {waits}' | tail -c 60000000 >/dev/null")
    };
    let peak = |command: &str| supervised(folder.path(), command)["peak_memory_bytes"].as_u64();
    let one = peak(&holds(1)).unwrap();
    assert!((60_000_000..110_000_000).contains(&one), "{one}");
    let two = peak(&format!("{0} & {0} & wait", holds(2))).unwrap();
    assert!(two > 120_000_000, "{two}");
    // The supervisor's own memory is not taken for that of a small command.
    let small = peak("sleep 0.2").unwrap();
    assert!(small < 8_000_000, "{small}");
}

#[test]
fn bytes_for_the_disk_are_counted() {
    // Not the temporary folder, which may be in memory.
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let used = supervised(
        folder.path(),
        "sh -c 'dd if=/dev/zero of=file bs=1M count=8 conv=fsync'; rm file",
    );
    let written = used["disk"]["written_bytes"].as_u64().unwrap();
    assert!((8_000_000..20_000_000).contains(&written), "{used}");
}

#[test]
fn what_a_command_leaves_running_ends_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let begun = Instant::now();
    let used = supervised(folder.path(), "setsid sleep 300 & echo $!; exit 3");
    assert!(begun.elapsed() < Duration::from_secs(60));
    assert_eq!(used["failure"], "exit status: 3");
    let output = std::fs::read_to_string(folder.path().join("output")).unwrap();
    let pid: u32 = output.trim().parse().unwrap();
    assert!(
        !Path::new(&format!("/proc/{pid}")).exists(),
        "{pid} is left"
    );
}
