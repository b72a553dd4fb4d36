//! `apitap-bench dev flamegraph`.

use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal};

use crate::profile::attribution::by_stage;
use crate::profile::flamegraph::{Caption, Orientation, Scaled, draw};
use crate::profile::stacks::Stacks;
use crate::profile::{perf, pprof};

/// Which program, and where to write its profile.
#[derive(Debug, clap::Args)]
pub(super) struct FlamegraphArgs {
    /// Folder for flamegraph.svg, icicles.svg, stacks.folded and profile.pb.gz
    #[arg(long, value_name = "DIR", default_value = "reports/profile")]
    out: PathBuf,
    /// The command with its arguments
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

/// Runs the command under perf, writes its profile, and returns its exit code.
///
/// It also draws a program that fails: what it did until then may be the question.
pub(super) async fn run(FlamegraphArgs { out, command }: FlamegraphArgs) -> Result<i32> {
    let (program, arguments) = command.split_first().context("no command to run")?;
    perf::availability()?;
    std::fs::create_dir_all(&out).with_context(|| format!("cannot make {}", out.display()))?;
    // Large, and of no use to those who have the stacks.
    let folder = tempfile::tempdir_in(&out).context("cannot make a temporary folder")?;
    let data = folder.path().join("perf.data");

    // A terminal sends it to the command too; what it did until then is drawn.
    let mut interrupted = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let begun = Instant::now();
    let mut recording = Command::from(perf::record(&data, program, arguments))
        .kill_on_drop(true)
        .spawn()
        .context("cannot run perf")?;
    let status = loop {
        tokio::select! {
            status = recording.wait() => break status.context("cannot wait for perf")?,
            _ = interrupted.recv() => {}
        }
    };
    let duration = begun.elapsed();

    let stacks = perf::read(&data).await?;
    ensure!(
        !stacks.is_empty(),
        "the command used too little processor time for a sample at {} Hz",
        perf::FREQUENCY_HZ
    );
    let title = program.to_string_lossy();
    write(&out, &title, &stacks, duration)?;
    // Standard output is the command's.
    eprintln!(
        "{}{}",
        shares(&stacks),
        out.join("flamegraph.svg").display()
    );
    Ok(status
        .code()
        .unwrap_or_else(|| 128 + status.signal().unwrap_or(0)))
}

fn write(out: &Path, title: &str, stacks: &Stacks, duration: Duration) -> Result<()> {
    let subtitle = format!(
        "{} samples at {} Hz of processor time, by perf",
        stacks.total(),
        perf::FREQUENCY_HZ
    );
    let caption = Caption {
        title,
        subtitle: &subtitle,
        unit: "samples",
    };
    let samples = Scaled { stacks, unit: 1.0 };
    let files = [
        (
            "flamegraph.svg",
            draw(samples, Orientation::Flames, caption)?.into_bytes(),
        ),
        (
            "icicles.svg",
            draw(samples, Orientation::Icicles, caption)?.into_bytes(),
        ),
        ("stacks.folded", stacks.folded(1.0).into_bytes()),
        (
            "profile.pb.gz",
            pprof::encode(stacks, perf::FREQUENCY_HZ, duration)?,
        ),
    ];
    for (name, bytes) in files {
        let path = out.join(name);
        std::fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// Shares of the samples by the engine's stages, the largest first.
fn shares(stacks: &Stacks) -> String {
    let mut counts: Vec<_> = by_stage([stacks]).into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let total = stacks.total() as f64;
    counts
        .into_iter()
        .map(|(stage, count)| {
            let stage = stage.unwrap_or("no stage");
            format!("{stage:<10} {:5.1} %\n", 100.0 * count as f64 / total)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_are_shown_with_their_share() {
        let stacks = Stacks::parse(
            "main;apitap_core::stage::decode;memcpy 6\nmain;apitap_core::stage::sql 1\nmain 3\n",
        );
        let expected = "decode      60.0 %\nno stage    30.0 %\nsql         10.0 %\n";
        assert_eq!(shares(&stacks), expected);
    }
}
