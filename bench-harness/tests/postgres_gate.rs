//! `apitap-bench gate` as its users run it, but for the builds: both revisions are these programs.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use bench_harness::{GateResults, Metric, ScenarioOutcome};
use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_apitap-bench");

/// Limits that no noise of a busy machine reaches.
const WIDE: [&str; 3] = [
    "--limit=client_cpu_seconds_per_million_rows=100%",
    "--limit=server_cpu_seconds_per_million_rows=100%",
    "--limit=rows_per_second=-50%",
];

/// One scenario with few rows, on a server of its own.
const SMALL: [&str; 4] = [
    "--postgres=local",
    "--rows=2000",
    "--scenario=tuned",
    "--exact",
];

struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn gate(&self, arguments: &[&str]) -> Output {
        Command::new(PROGRAM)
            .args(["gate", "--postgres=local", "--blocks=6", "--rows=2000"])
            .args(["--scenario=tuned", "--exact", "--head=HEAD", "--programs"])
            .arg(Path::new(PROGRAM).parent().unwrap())
            .arg("--out")
            .arg(self.path("gates"))
            .args(arguments)
            .output()
            .unwrap()
    }

    /// The folder of the gate that ran.
    fn gated(&self) -> PathBuf {
        let gates = std::fs::read_dir(self.path("gates")).unwrap();
        let mut folders: Vec<PathBuf> = gates.map(|entry| entry.unwrap().path()).collect();
        folders.sort();
        folders.pop().unwrap()
    }
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_slow_head_on_postgres_fails_and_is_explained() {
    let place = Place::new();
    let output = place.gate(&["--base=HEAD", "--slow-head=decode=80%"]);
    assert_eq!(code(&output), 3, "{}", stderr(&output));
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(
        printed.contains("tuned") && printed.contains("decode"),
        "{printed}"
    );
    let folder = place.gated();
    let text = std::fs::read_to_string(folder.join("gate.json")).unwrap();
    let results: GateResults = serde_json::from_str(&text).unwrap();
    let scenario = &results.scenarios[0];
    assert_eq!(scenario.outcome, ScenarioOutcome::Regressed);
    let cpu = scenario
        .regressed()
        .find(|one| one.metric == Metric::ClientCpuSecondsPerMillionRows);
    assert!(cpu.unwrap().change.unwrap().estimate > 0.3);
    let explanation = scenario.explanation.as_ref().unwrap();
    let stage = explanation.stage.as_ref().unwrap();
    assert_eq!(stage.name, "decode");
    assert!(stage.head > stage.base * 1.5, "{stage:?}");
    assert!(folder.join(&explanation.page).exists());
    let difference = explanation.difference.as_ref().unwrap();
    assert!(folder.join(difference).exists());
    for file in ["junit.xml", "summary.md", "bmf.json"] {
        let text = std::fs::read_to_string(folder.join(file)).unwrap();
        assert!(text.contains("tuned"), "{file}: {text}");
    }
    let summary = std::fs::read_to_string(folder.join("summary.md")).unwrap();
    assert!(
        summary.contains(difference) && summary.contains("decode"),
        "{summary}"
    );
}

#[test]
fn the_same_program_on_postgres_passes_and_an_expired_waiver_does_not() {
    let place = Place::new();
    let waivers = place.path("waivers.toml");
    let waiver = "[[waiver]]\nscenario = \"before\"\ncommit = \"HEAD\"\nreason = \"was to be fixed\"\n\
                  expires = \"2020-01-31\"\n";
    std::fs::write(&waivers, waiver).unwrap();
    let mut arguments = vec!["--base=HEAD", "--no-counters"];
    arguments.extend(WIDE);
    let output = place.gate(&arguments);
    assert_eq!(code(&output), 0, "{}", stderr(&output));

    let waivers = format!("--waivers={}", waivers.display());
    arguments.push(&waivers);
    let output = place.gate(&arguments);
    assert_eq!(code(&output), 2, "{}", stderr(&output));
    let expected = "the waiver of before: was to be fixed (until 2020-01-31) is past its last day";
    assert!(stderr(&output).contains(expected), "{}", stderr(&output));
    let summary = std::fs::read_to_string(place.gated().join("summary.md")).unwrap();
    assert!(summary.contains("was to be fixed"), "{summary}");
}

#[test]
fn stored_results_of_postgres_count_here_alone_and_for_the_same_scenarios() {
    let place = Place::new();
    let file = place.path("stored/baseline.json");
    let stored = format!("--save-baseline={}", file.display());
    let output = place.gate(&[&stored, "--no-counters"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let baseline = format!("--baseline={}", file.display());
    let mut arguments = vec![baseline.as_str(), "--no-counters"];
    arguments.extend(WIDE);
    let output = place.gate(&arguments);
    assert_eq!(code(&output), 0, "{}", stderr(&output));

    let text = std::fs::read_to_string(&file).unwrap();
    let mut elsewhere: Value = serde_json::from_str(&text).unwrap();
    let machine = &mut elsewhere["record"]["fingerprint"]["machine"];
    machine["cpu_model"] = "Another 9000".into();
    std::fs::write(&file, elsewhere.to_string()).unwrap();
    let output = place.gate(&arguments);
    assert_eq!(code(&output), 5, "{}", stderr(&output));
    assert!(
        stderr(&output).contains("cpu model: Another 9000, "),
        "{}",
        stderr(&output)
    );

    let mut renamed: Value = serde_json::from_str(&text).unwrap();
    renamed["record"]["scenarios"][0]["plan"]["name"] = "tuned-once".into();
    std::fs::write(&file, renamed.to_string()).unwrap();
    let output = place.gate(&arguments);
    assert_eq!(code(&output), 5, "{}", stderr(&output));
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(printed.contains("not in the baseline"), "{printed}");
    arguments.push("--baseline-lenient");
    let output = place.gate(&arguments);
    assert_eq!(code(&output), 0, "{}", stderr(&output));

    let mut smaller: Value = serde_json::from_str(&text).unwrap();
    smaller["record"]["scenarios"][0]["plan"]["arms"][0]["rows"] = 1_000.into();
    std::fs::write(&file, smaller.to_string()).unwrap();
    let output = place.gate(&arguments);
    assert_eq!(code(&output), 5, "{}", stderr(&output));
    assert!(
        stderr(&output).contains("what tuned runs: 1000 rows of orders"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn promises_and_programs_that_were_built_before_are_judged_on_postgres() {
    let place = Place::new();
    let gate = |claim: &str| {
        let mut gate = Command::new(PROGRAM);
        gate.arg("gate")
            .args(SMALL)
            .args([
                "--no-counters",
                "--no-explanation",
                "--base-binary",
                PROGRAM,
            ])
            .args(["--head-binary", PROGRAM, "--claim", claim, "--out"])
            .arg(place.path("gates"))
            .args(WIDE);
        gate.output().unwrap()
    };
    // The same program is no twice as fast.
    let output = gate("client_cpu_seconds_per_million_rows<=0.5");
    assert_eq!(code(&output), 7, "{}", stderr(&output));
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(printed.contains("on tuned is refuted"), "{printed}");
    let text = std::fs::read_to_string(place.gated().join("gate.json")).unwrap();
    let results: GateResults = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (results.base.named.as_str(), results.base.commit.as_str()),
        (PROGRAM, "unknown")
    );
    assert!(results.claims[0].change.unwrap().blocks.unwrap() > 12);

    let output = gate("client_cpu_seconds_per_million_rows>=1.1");
    assert_eq!(code(&output), 2, "{}", stderr(&output));
    let expected = "write client_cpu_seconds_per_million_rows<=0.90";
    assert!(stderr(&output).contains(expected), "{}", stderr(&output));
}

#[test]
fn the_first_commit_that_is_slower_on_postgres_is_found() {
    let place = Place::new();
    let repository = place.path("repository");
    std::fs::create_dir(&repository).unwrap();
    let git = |arguments: &[&str]| {
        let mut git = Command::new("git");
        let identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"];
        let output = git
            .current_dir(&repository)
            .args(identity)
            .args(arguments)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    git(&["init", "--quiet"]);
    let commits: Vec<String> = (0..5)
        .map(|nth| {
            git(&[
                "commit",
                "--quiet",
                "--allow-empty",
                "-m",
                &format!("commit {nth}"),
            ]);
            git(&["rev-parse", "HEAD"])
        })
        .collect();
    // From the fourth on, decoding is slower.
    let script = format!(
        "#!/bin/sh\ncase \"$*\" in *\"--head {}\"*|*\"--head {}\"*) slow=--slow-head=decode=80% ;; esac\n\
         exec {PROGRAM} \"$@\" $slow\n",
        commits[3], commits[4]
    );
    let gate = place.path("gate");
    std::fs::write(&gate, script).unwrap();
    std::fs::set_permissions(&gate, PermissionsExt::from_mode(0o755)).unwrap();

    let mut bisect = Command::new(PROGRAM);
    bisect
        .current_dir(&repository)
        .args(["bisect", "--good=HEAD~4", "--bad=HEAD", "--gate"])
        .arg(&gate)
        .arg("--")
        .args(SMALL)
        .args([
            "--no-counters",
            "--limit=client_cpu_seconds_per_million_rows=15%",
        ])
        .args([WIDE[1], WIDE[2], "--programs"])
        .arg(Path::new(PROGRAM).parent().unwrap());
    let output = bisect.output().unwrap();
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(printed.starts_with("First bad commit: "), "{printed}");
    assert!(printed.trim_end().ends_with(" commit 3"), "{printed}");
    // The last commit, and then the middle ones: three gates of four commits.
    assert_eq!(
        stderr(&output).matches(" commit ").count(),
        3,
        "{}",
        stderr(&output)
    );

    let mut backwards = Command::new(PROGRAM);
    let output = backwards
        .current_dir(&repository)
        .args(["bisect", "--good=HEAD", "--bad=HEAD~4"])
        .output()
        .unwrap();
    assert_eq!(code(&output), 2, "{}", stderr(&output));
    assert!(
        stderr(&output).contains("is not later than"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn wrong_usage_is_refused_before_anything_runs() {
    let place = Place::new();
    for (arguments, expected) in [
        (vec![], "--base <REV>"),
        (vec!["--base=nothing-of-this-name"], "is not a revision"),
        (
            vec!["--base=HEAD", "--limit=rows=1%"],
            "a gate has no metric",
        ),
        (vec!["--base=HEAD", "--baseline=x"], "cannot be used with"),
    ] {
        let output = place.gate(&arguments);
        assert_eq!(code(&output), 2, "{arguments:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(expected), "{}", stderr(&output));
    }
}
