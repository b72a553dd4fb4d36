//! Records what this build was made with, for the fingerprint of a result.

use std::{env, path::Path, process::Command};

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // A new file would otherwise not be embedded: see `experiment`.
    println!("cargo:rerun-if-changed=../fixtures/experiments");
    let rustc = env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    export("APITAP_BUILD_RUSTC", output(&rustc, &["--version"]));
    export("APITAP_BUILD_PROFILE", profile());
    export("APITAP_BUILD_COMMIT", output("git", &["rev-parse", "HEAD"]));
    // Git appends to this log whenever HEAD moves; in a worktree it lies elsewhere.
    if let Some(log) = output("git", &["rev-parse", "--git-path", "logs/HEAD"])
        && Path::new(&log).exists()
    {
        println!("cargo:rerun-if-changed={log}");
    }
}

fn export(name: &str, value: Option<String>) {
    println!("cargo:rustc-env={name}={}", value.unwrap_or_default());
}

/// The profile's own name: `PROFILE` says only `debug` or `release`, but
/// `OUT_DIR` is `target/<profile>/build/<package>/out`.
fn profile() -> Option<String> {
    let out = env::var("OUT_DIR").ok()?;
    let folder = Path::new(&out).ancestors().nth(3)?.file_name()?;
    Some(folder.to_string_lossy().into_owned())
}

fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    (output.status.success() && !text.trim().is_empty()).then(|| text.trim().to_owned())
}
