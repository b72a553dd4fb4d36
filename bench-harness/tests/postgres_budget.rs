//! `apitap-bench profile` as its users run it.

use std::path::{Path, PathBuf};
use std::process::Command;

use bench_harness::{Budget, Part, ProfileResults};
use testkit::postgres::{PostgresChoice, PostgresOptions, PostgresServer};
use tokio_postgres::NoTls;

struct Profiled {
    _out: tempfile::TempDir,
    folder: PathBuf,
    stdout: String,
    results: Vec<ProfileResults>,
}

/// Profiles an experiment on `tuned` against the server behind `url`.
fn profile(url: &str, experiment: &str, more: &[&str], environment: &[(&str, &str)]) -> Profiled {
    let out = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_apitap-bench"))
        .args(["profile", experiment, "--scenario=on tuned"])
        .args(["--postgres", url, "--out"])
        .arg(out.path())
        .args(more)
        .envs(environment.iter().copied())
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    let run = std::fs::read_dir(out.path()).unwrap().next().unwrap();
    let folder = run.unwrap().path().join("profiles");
    let text = std::fs::read_to_string(folder.join("profiles.json")).unwrap();
    Profiled {
        folder,
        stdout: String::from_utf8(output.stdout).unwrap(),
        results: serde_json::from_str(&text).unwrap(),
        _out: out,
    }
}

async fn server() -> PostgresServer {
    let mut options = PostgresOptions::new(PostgresChoice::Local);
    options.durable = false;
    PostgresServer::start(&options).await.unwrap()
}

fn budget(results: &[ProfileResults], arm: usize) -> &Budget {
    let budget = results[0].arms[arm].budget.as_ref().unwrap();
    let parts: f64 = budget.parts.iter().map(|part| part.seconds).sum();
    assert!(
        (parts / budget.wall_seconds - 1.0).abs() < 0.02,
        "{budget:?}"
    );
    assert!(budget.looks > 0.0);
    budget
}

fn read(folder: &Path, name: &str) -> String {
    std::fs::read_to_string(folder.join("copy-vs-insert-on-tuned").join(name)).unwrap()
}

#[tokio::test]
async fn a_profile_on_postgres_says_where_the_time_went() {
    let server = server().await;
    let more = ["--rows=100000", "--rounds=6", "--heap"];
    let profiled = profile(server.url(), "copy-vs-insert", &more, &[]);
    let results = &profiled.results[0];
    assert!(
        profiled.stdout.contains("insert takes") && profiled.stdout.contains("The bottleneck of"),
        "{}",
        profiled.stdout
    );
    for (arm, name) in ["insert", "copy-binary"].into_iter().enumerate() {
        budget(&profiled.results, arm);
        let arm = &results.arms[arm];
        assert_eq!(arm.name, name);
        let sampling = arm.sampling.unwrap();
        assert_eq!(sampling.loads, 6);
        assert!(sampling.unknown_share < 0.05, "{sampling:?}");
        assert_eq!(sampling.truncated_share, Some(0.0));
        let attribution = arm.attribution.as_ref().unwrap();
        let stage = |name: &str| {
            let mut stages = attribution.stages.iter();
            stages.find(|stage| stage.stage == name).unwrap().clone()
        };
        // On both clocks, and below the frames.
        for name in ["decode", "encode", "scan"] {
            let stage = stage(name);
            assert!(stage.clocked > 0.0 && stage.sampled > 0.0, "{stage:?}");
        }
        let heap = arm.heap.as_ref().unwrap();
        assert!(heap.profile.total_blocks > heap.rows);
        assert!(arm.server.as_ref().unwrap().wal.unwrap().bytes > 1e6);
        assert!(arm.figures.unwrap().rows_per_second > 0.0);
        assert!(arm.timeline.len() > 1);
    }
    for picture in [
        "baseline.svg",
        "candidate.svg",
        "baseline-icicle.svg",
        "candidate-icicle.svg",
        "difference-in-baseline.svg",
        "difference-in-candidate.svg",
    ] {
        let svg = read(&profiled.folder, picture);
        assert!(svg.contains("apitap_core::stage::encode"), "{picture}");
    }
    let candidate = read(&profiled.folder, "candidate.svg");
    assert!(candidate.contains("apitap_core::decode::tape::TapeDecoder::decode"));
    let markdown = std::fs::read_to_string(profiled.folder.join("index.md")).unwrap();
    assert!(markdown.contains("(copy-vs-insert-on-tuned/baseline.svg)"));
    // What the folder holds is enough to render it again.
    let run = profiled.folder.parent().unwrap();
    std::fs::remove_file(profiled.folder.join("index.md")).unwrap();
    let again = Command::new(env!("CARGO_BIN_EXE_apitap-bench"))
        .arg("report")
        .arg(run)
        .output()
        .unwrap();
    assert!(again.status.success());
    let rendered = std::fs::read_to_string(profiled.folder.join("index.md")).unwrap();
    assert_eq!(rendered, markdown);
}

/// Linux's perf, around the worker, finds the same stages.
#[tokio::test]
async fn perf_samples_a_load_into_postgres() {
    let server = server().await;
    // Both arms write by COPY: there is time for enough rows, of which the faster takes 0.1 s per 100,000.
    let more = ["--rows=300000", "--rounds=1", "--sampler=perf"];
    let profiled = profile(server.url(), "decode-path", &more, &[]);
    for arm in &profiled.results[0].arms {
        let sampling = arm.sampling.unwrap();
        // Perf takes fewer than its frequency calls for where the machine is shared: 19 instead of 27 once.
        assert!(sampling.samples >= 10, "{sampling:?}");
        assert_eq!(sampling.truncated_share, None);
        let stages = &arm.attribution.as_ref().unwrap().stages;
        let decode = stages.iter().find(|stage| stage.stage == "decode").unwrap();
        assert!(decode.sampled > 0.0, "{decode:?}");
    }
}

/// Loads that never came are said, on the way and by the exit code; the others are reported.
#[tokio::test]
async fn loads_into_postgres_that_are_missing_are_a_failure() {
    let server = server().await;
    let folder = tempfile::tempdir().unwrap();
    // It may sample anything but a worker.
    let perf = folder.path().join("perf");
    let script = "#!/bin/sh\ncase \"$*\" in *worker*) exit 3 ;; esac\n";
    std::fs::write(&perf, script).unwrap();
    std::fs::set_permissions(&perf, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let path = std::env::var("PATH").unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_apitap-bench"))
        .args(["profile", "copy-vs-insert", "--scenario=on tuned"])
        .args(["--rows=1000", "--rounds=1", "--sampler=perf"])
        .args(["--postgres", server.url(), "--out"])
        .arg(folder.path().join("runs"))
        .env("PATH", format!("{}:{path}", folder.path().display()))
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("2 loads missing"), "{stderr}");
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(stdout.contains("insert takes"), "{stdout}");
}

/// The part that was slowed down on purpose is named, whichever it is.
#[tokio::test]
async fn a_slow_stage_on_postgres_is_named_as_the_bottleneck() {
    let server = server().await;
    let few = ["--rows=3000", "--rounds=2"];
    for (stage, part) in [("decode", Part::Decode), ("encode", Part::Encode)] {
        // Forty times its own CPU time on top: more than the server takes for these rows.
        let slow = format!("{stage}=40");
        let environment = [("APITAP_SLOWDOWN", slow.as_str())];
        let profiled = profile(server.url(), "copy-vs-insert", &few, &environment);
        let budget = budget(&profiled.results, 1);
        assert_eq!(budget.bottleneck, part, "{budget:?}");
        assert!(profiled.stdout.contains(&format!(" is {part}: ")));
    }
    let (client, connection) = tokio_postgres::connect(&template(server.url()), NoTls)
        .await
        .unwrap();
    let driver = tokio::spawn(connection);
    client.batch_execute(SLOW_ROWS).await.unwrap();
    // Databases can be made of it only while nobody is connected.
    drop(client);
    driver.await.unwrap().unwrap();
    let profiled = profile(server.url(), "copy-vs-insert", &few, &[]);
    let budget = budget(&profiled.results, 1);
    assert_eq!(budget.bottleneck, Part::ServerCpu, "{budget:?}");
    assert!(profiled.stdout.contains(" is server CPU: "));
}

/// The database that new ones are copies of.
fn template(url: &str) -> String {
    let mut url = url::Url::parse(url).unwrap();
    url.set_path("/template1");
    url.into()
}

/// Every row of a table that a load makes keeps the server's processor busy for 60 µs.
const SLOW_ROWS: &str = "
    CREATE FUNCTION spin() RETURNS boolean LANGUAGE plpgsql AS $$
    DECLARE begun timestamptz := clock_timestamp();
    BEGIN
        WHILE clock_timestamp() < begun + interval '60 microseconds' LOOP END LOOP;
        RETURN true;
    END $$;
    CREATE FUNCTION slow_down() RETURNS event_trigger LANGUAGE plpgsql AS $$
    DECLARE made record;
    BEGIN
        FOR made IN SELECT * FROM pg_event_trigger_ddl_commands()
                    WHERE object_type = 'table' AND object_identity LIKE 'public.%' LOOP
            EXECUTE format('ALTER TABLE %s ADD CONSTRAINT slow CHECK (public.spin())', made.object_identity);
        END LOOP;
    END $$;
    CREATE EVENT TRIGGER slow_down ON ddl_command_end WHEN TAG IN ('CREATE TABLE')
    EXECUTE FUNCTION slow_down();";
