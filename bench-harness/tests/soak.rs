//! `apitap-bench soak`.

use std::process::Command;

use serde_json::Value;

#[test]
fn loads_with_random_faults_are_right_and_readings_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_apitap-bench"))
        .args(["soak", "--minutes", "0.1", "--seed", "1", "--out"])
        .arg(folder.path())
        .output()
        .unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("seed 1\n"), "{stderr}");
    let json = std::fs::read_to_string(folder.path().join("soak.json")).unwrap();
    let outcome: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(outcome["failures"], Value::Array(Vec::new()), "{stderr}");
    let readings = outcome["readings"].as_array().unwrap();
    assert!(!readings.is_empty(), "{stdout}");
    for reading in readings {
        assert!(
            reading["memory_bytes"].as_u64().unwrap() > 1 << 20,
            "{reading}"
        );
        assert!(reading["descriptors"].as_u64().unwrap() > 3, "{reading}");
        assert_eq!(reading["sessions"], 0, "{reading}");
    }
    for chart in ["memory.svg", "counts.svg"] {
        assert!(folder.path().join(chart).exists(), "{stdout}");
    }
}
